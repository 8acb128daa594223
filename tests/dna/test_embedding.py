"""The promoter network and what it and others see in a set: trained on planted words, resumed, written and read, and bad input."""

import json
import sys
import types

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from genovision.alphabet import decode  # noqa: E402
from genovision.checkpoints import write_tensors  # noqa: E402
from genovision.dna import embedding  # noqa: E402
from genovision.dna.description import (  # noqa: E402
    LogOdds,
    discriminator_scores,
    in_flanks,
    posterior_means,
    principal_components,
    projected,
    read_oracle,
)
from genovision.dna.embedding import (  # noqa: E402
    Embedding,
    accuracy,
    build,
    describe,
    labelled,
    read_embedding,
    write_embedding,
)
from genovision.dna.examples import Examples, write_examples  # noqa: E402
from genovision.dna.fasta import write_set  # noqa: E402
from genovision.dna.features import read_features  # noqa: E402
from genovision.dna.judgement import separation  # noqa: E402
from genovision.errors import InputError  # noqa: E402

NAMES = ("A_one", "B_two")
LENGTH = 64


def planted(number, species, rng):
    """Codes (number, 64) of the composition of a species, with a word at position 30."""
    codes = rng.choice(4, p=[(0.35, 0.15, 0.15, 0.35), (0.2, 0.3, 0.3, 0.2)][species], size=(number, LENGTH))
    codes[:, 30:38] = [(3, 0, 3, 0, 0, 0, 0, 2), (2, 2, 2, 1, 2, 2, 2, 1)][species]
    return codes.astype(np.uint8)


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    sizes = {0: (300, 60, 60), 1: (300, 60, 50)}
    parts = [
        (planted(size, species, rng), species, fold)
        for species, folds in sizes.items()
        for fold, size in enumerate(folds)
    ]
    return Examples(
        np.concatenate([codes for codes, _, _ in parts]),
        np.concatenate([np.full(len(codes), species) for codes, species, _ in parts]),
        np.concatenate([np.full(len(codes), fold, dtype=np.uint8) for codes, _, fold in parts]),
        NAMES,
    )


@pytest.fixture(scope="module")
def data(examples, tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "sequences.npz"
    write_examples(path, examples)
    return path


SMALL = ("--width", 12, "--features", 8, "--steps", 240, "--batch", 64, "--learning-rate", "0.01", "--copies", 1)


@pytest.fixture(scope="module")
def folder(data, launcher, tmp_path_factory):
    out = tmp_path_factory.mktemp("embedding")
    assert launcher.run([*map(str, ["dna/train_embedding", "--data", data, *SMALL, "--out", out])]) == 0
    return out


class Patches(torch.nn.Module):
    """An autoencoder that another story trains: linear in patches of four bases."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.weight = torch.randn((16, 2), generator=generator)

    def encode(self, codes):
        onehot = torch.nn.functional.one_hot(codes.long(), 4).float()
        mean = onehot.reshape(len(codes), -1, 16) @ self.weight
        return mean.movedim(-1, 1)[:, :, None], torch.zeros_like(mean)


@pytest.fixture
def autoencoders(monkeypatch):
    """A stand-in for genovision.dna.autoencoders; any folder is its one model."""
    module = types.ModuleType("genovision.dna.autoencoders")
    module.read_autoencoder = lambda folder, device: (Patches(), {})
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


# --- the network -----------------------------------------------------------------------------------------------------------------------


def test_it_tells_species_and_real_promoters_of_held_out_sequences(folder, examples):
    network, facts = read_embedding(folder), json.loads((folder / "dna.json").read_text())
    codes, classes = labelled(examples, "test", 0)
    found = accuracy(describe(network, codes).classes, classes)
    assert found["classes"] > 0.6 and found["species"] > 0.95  # a shuffle and a chain look much alike
    assert facts["test"] == pytest.approx(found)
    assert facts["kind"] == "embedding" and facts["species"] == list(NAMES) and facts["length"] == LENGTH
    assert facts["classes"][:3] == ["A_one real", "A_one shuffle", "A_one markov3"]
    assert facts["training_sequences"] == 600 and facts["parameters"] == sum(p.numel() for p in network.parameters())
    curve = (folder / "curve.tsv").read_text().splitlines()
    assert curve[0] == "step\tloss\theld_out" and curve[-1].startswith("240\t")
    assert float(curve[-1].split("\t")[2]) == pytest.approx(facts["held_out"], abs=1e-5)
    assert not (folder / "checkpoints").exists()


def test_diffusers_reads_it_too(folder, examples):
    codes = examples.codes[:5]
    again = Embedding.from_pretrained(folder).eval()
    assert torch.equal(again(codes), read_embedding(folder)(codes))
    assert again.species == NAMES


def test_features_and_classes_do_not_depend_on_the_batch(folder, examples, monkeypatch):
    network = read_embedding(folder)
    features, classes = describe(network, examples.codes)
    assert features.shape == (len(examples.codes), 8) and classes.shape == (len(examples.codes), 6)
    assert np.allclose(np.exp(classes).sum(axis=1), 1, atol=1e-5)
    monkeypatch.setattr(embedding, "_BATCH", 7)
    assert np.allclose(describe(network, examples.codes).features, features, atol=1e-5)
    assert describe(network, examples.codes[:0]).features.shape == (0, 8)


def test_a_run_that_was_killed_ends_with_the_same_bytes(command, data, folder, tmp_path, monkeypatch):
    options = ("dna/train_embedding", "--data", data, *SMALL, "--save-every", 100, "--out", tmp_path)
    drawn = embedding.draws

    def killed(seed, step):
        if step == 150:
            raise KeyboardInterrupt
        return drawn(seed, step)

    with monkeypatch.context() as patch:
        patch.setattr(embedding, "draws", killed)
        with pytest.raises(KeyboardInterrupt):
            command(*options)
    assert not (tmp_path / "dna.json").exists()
    assert command(*options)[0] == 0
    for name in ("diffusion_pytorch_model.safetensors", "config.json", "curve.tsv", "dna.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_run_that_diverges_says_so_and_writes_no_model(command, data, tmp_path):
    changed = ("--learning-rate", "1e30", "--steps", 30)
    code, err = command("dna/train_embedding", "--data", data, *SMALL, *changed, "--out", tmp_path)
    assert (code, "the embedding diverged at step" in err) == (2, True)
    assert not (tmp_path / "dna.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--copies", 0), "--copies 0 must be 1 or more"),
        (("--width", 2), "width 2 >= 3"),
        (("--steps", 0), "steps 0 >= 1"),
    ],
)
def test_bad_options_are_refused(command, data, tmp_path, options, message):
    code, err = command("dna/train_embedding", "--data", data, *SMALL, *options, "--out", tmp_path)
    assert (code, message in err) == (2, True)


def test_floors_keep_what_they_must(examples):
    codes, classes = labelled(examples, "validation", 5)
    assert np.bincount(classes).tolist() == [60] * 6
    real, shuffled = codes[classes == 3], codes[classes == 4]
    assert np.array_equal(real, examples.codes[(examples.species == 1) & (examples.fold == 1)])
    assert (np.sort(real, axis=1) == np.sort(shuffled, axis=1)).all() and (real != shuffled).any()
    for again, changed in ((5, False), (6, True)):
        assert (labelled(examples, "validation", again)[0] != codes).any() == changed
    assert np.bincount(labelled(examples, "test", 5, copies=2)[1]).tolist() == [120] * 3 + [100] * 3
    lacking = Examples(examples.codes, examples.species, np.where(examples.species == 1, 0, examples.fold), NAMES)
    with pytest.raises(InputError, match="no sequence of B_two in the train or the test fold"):
        labelled(lacking, "test", 5)


def test_folders_that_are_none_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match="is no folder of a trained embedding: it has no dna"):
        read_embedding(tmp_path)
    network = build(NAMES, 0, length=LENGTH, width=12, features=8)
    write_embedding(tmp_path, network, {"loss": float("nan")})
    with pytest.raises(InputError, match="diverged in training"):
        read_embedding(tmp_path)
    write_embedding(tmp_path, network, {"loss": 1.0})
    assert read_embedding(tmp_path).species == NAMES
    other = build(NAMES, 0, length=LENGTH, width=12, features=9)
    write_tensors(other.state_dict(), tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(InputError, match="another architecture"):
        read_embedding(tmp_path)
    (tmp_path / "dna.json").write_text('{"kind": "autoencoder"}')
    with pytest.raises(InputError, match="describes a autoencoder; an embedding"):
        read_embedding(tmp_path)
    (tmp_path / "dna.json").write_text("{")
    with pytest.raises(InputError, match="is no whole JSON"):
        read_embedding(tmp_path)
    with pytest.raises(InputError, match="a length that 16 divides"):
        Embedding(["A"], length=60)


# --- features of a set -----------------------------------------------------------------------------------------------------------------


def test_principal_components():
    rng = np.random.default_rng(4)
    means = rng.normal(size=(200, 6)) @ np.diag([5, 4, 3, 0.1, 0.1, 0.1]) + 7
    basis = principal_components(means, 3)
    _, singular, rows = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
    assert np.allclose(np.abs(basis.components), np.abs(rows[:3]))
    assert basis.share == pytest.approx((singular[:3] ** 2).sum() / (singular**2).sum())
    largest = np.abs(basis.components).argmax(axis=1)
    assert (basis.components[np.arange(3), largest] > 0).all()
    found = projected(means, basis, "x")
    assert np.allclose(found.mean(axis=0), 0) and np.allclose(np.cov(found.T), np.diag(singular[:3] ** 2 / 199))
    for number in (0, 7):
        with pytest.raises(InputError, match=f"have no {number} principal components"):
            principal_components(means, number)
    with pytest.raises(InputError, match="5 latent values and the components of x 6"):
        projected(means[:, :5], basis, "x")
    with pytest.raises(InputError, match="all the same or not finite"):
        principal_components(np.ones((9, 4)), 2)


def test_posterior_means_are_flattened_and_do_not_depend_on_the_batch(examples, monkeypatch):
    means = posterior_means(Patches(), examples.codes)
    assert means.shape == (len(examples.codes), 32) and means.dtype == np.float64
    monkeypatch.setattr("genovision.dna.description._BATCH", 11)
    assert np.allclose(posterior_means(Patches(), examples.codes), means, atol=1e-6)


def test_sequences_stand_in_real_flanks_start_site_on_start_site():
    rng = np.random.default_rng(5)
    codes, windows = rng.integers(0, 4, (5, 6)).astype(np.uint8), rng.integers(0, 4, (2, 20)).astype(np.uint8)
    placed = in_flanks(codes, windows)
    for row, (found, sequence) in enumerate(zip(placed, codes, strict=True)):
        window = windows[row % 2]
        assert found.tolist() == [*window[:7], *sequence, *window[13:]]
        assert found[10] == sequence[3]  # the start site: W // 2 and L // 2
    odd = in_flanks(codes[:, :5], windows)
    assert odd[0, 10] == codes[0, 2] and odd[0].tolist() == [*windows[0][:8], *codes[0, :5], *windows[0][13:]]
    assert np.array_equal(in_flanks(codes, windows[:, :6]), codes)
    for wrong in (windows[:, :5], windows[:0]):
        with pytest.raises(ValueError, match="have no room"):
            in_flanks(codes, wrong)


def test_the_oracle_is_the_log_odds_of_real_against_shuffled(folder, examples):
    oracle = LogOdds(read_embedding(folder))
    found, classes = oracle.predict(examples.codes[:9]), describe(read_embedding(folder), examples.codes[:9]).classes
    assert np.allclose(found, classes[:, [0, 3]] - classes[:, [1, 4]]) and oracle.outputs == NAMES
    assert read_oracle(folder).length == LENGTH
    for path in (folder / "sei.pth", folder.parent):
        with pytest.raises(InputError, match="Sei, Enformer or Borzoi are not loaded, nor exported programs"):
            read_oracle(path)


def test_the_discriminator_tells_what_differs_and_nothing_where_nothing_does(folder, examples):
    torch.set_num_threads(1)
    network, rng = read_embedding(folder), np.random.default_rng(6)
    species = np.repeat([0, 1], 60)
    real, same, other = (np.concatenate([planted(60, label, rng) for label in (0, 1)]) for _ in range(3))
    other[:, 30:38] = rng.integers(0, 4, (120, 8))
    weights, part = (np.ones((1, 120)),) * 2, np.tile(np.arange(60) % 3, 2)

    def found(one):
        # a few dozen sequences make few steps of an epoch
        return separation(*discriminator_scores(network, one, real, species, epochs=10), part, weights)[0]

    assert found(other) > 0.9
    assert found(same) == pytest.approx(0.5, abs=0.12)
    assert found(real) == 0.5
    before = describe(network, real).features
    first, second = (discriminator_scores(network, other, real, species, seed) for seed in (0, 0))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert np.array_equal(describe(network, real).features, before)  # the embedding itself learns nothing


# --- commands --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def describing(command, autoencoders, data, folder, tmp_path):
    """`describing(out, *options)` -> (exit code, standard error)."""

    def call(out, *options):
        given = ("--embedding", folder, "--autoencoder", tmp_path, "--out", tmp_path / out, *options)
        return command("dna/describe_set", *given)

    return call


@pytest.fixture
def sets(examples, tmp_path):
    """FASTA of the set `mine`: 60 of A_one and 50 of B_two."""
    rng = np.random.default_rng(8)
    paths = []
    for label, number in ((0, 60), (1, 50)):
        paths.append(tmp_path / f"mine_{label}.fa")
        write_set("mine", decode(planted(number, label, rng)), paths[-1])
    return paths


def test_from_the_data_set_to_judged_sets(command, describing, examples, data, sets, tmp_path):
    code, err = describing("real.npz", "--fold", "test", "--data", data, "--components", 5)
    assert code == 0, err
    real = read_features(tmp_path / "real.npz")
    assert (real.set, real.names, real.scores) == ("test", NAMES, None)
    assert np.array_equal(real.codes, examples.of("test")[0]) and real.fred.shape == (110, 5)
    assert real.p_fid.shape == (110, 8) and real.classes.shape == (110, 6) and 0 < real.basis.share < 1
    code, err = describing("mine.npz", "--sets", *sets, "--real", tmp_path / "real.npz")
    assert code == 0, err
    mine = read_features(tmp_path / "mine.npz")
    assert mine.set == "mine" and np.array_equal(mine.basis.components, real.basis.components)
    assert np.allclose(mine.fred, projected(posterior_means(Patches(), mine.codes), real.basis, ""))
    first = (tmp_path / "mine.npz").read_bytes()
    assert describing("mine.npz", "--sets", *sets, "--real", tmp_path / "real.npz")[0] == 0
    assert (tmp_path / "mine.npz").read_bytes() == first
    tables = ("--measures", tmp_path / "m.tsv", "--evidence", tmp_path / "e.tsv", "--replicates", 3)
    code, err = command("dna/judge_set", "--set", tmp_path / "mine.npz", "--real", tmp_path / "real.npz", *tables)
    assert code == 0, err


def test_a_set_may_omit_a_species(describing, data, sets, tmp_path):
    assert describing("real.npz", "--fold", "test", "--data", data, "--components", 5)[0] == 0
    code, err = describing("b.npz", "--sets", f"B_two={sets[1]}", "--real", tmp_path / "real.npz")
    assert code == 0, err
    found = read_features(tmp_path / "b.npz")
    assert found.species.tolist() == [1] * 50 and found.names == NAMES and len(found.scores[1]) == 50


def test_an_oracle_of_longer_windows_reads_sequences_in_their_flanks(describing, data, sets, tmp_path):
    rng = np.random.default_rng(9)
    wide = build(NAMES, 1, length=96, width=6, features=4)
    write_embedding(tmp_path / "wide", wide, {"loss": 1.0})
    windows = rng.integers(0, 4, (12, 96)).astype(np.uint8)
    write_examples(tmp_path / "w.npz", Examples(windows, np.repeat([1, 0], 6), np.tile([0, 1, 2], 4), NAMES[::-1]))
    given = ("--sets", *sets, "--data", data, "--components", 5, "--oracle", tmp_path / "wide")
    code, err = describing("mine.npz", *given)
    assert (code, "reads 96 bases and sequences have 64: give --flanks" in err) == (2, True)
    code, err = describing("mine.npz", *given, "--flanks", data)
    assert (code, "has windows of 64 bases; the oracle reads 96" in err) == (2, True)
    code, err = describing("mine.npz", *given, "--flanks", tmp_path / "w.npz")
    assert code == 0, err
    found = read_features(tmp_path / "mine.npz")
    # names are in another order there: A_one is number 1, and so are the first six windows
    placed = in_flanks(found.codes[:60], windows[[2, 5]])
    assert np.allclose(found.predictions[:60], LogOdds(wide).predict(placed), atol=1e-5)


def test_describe_set_says_what_is_wrong(describing, data, sets, tmp_path, folder):
    def wrong(*options):
        code, err = describing("no.npz", *options)
        assert code == 2 and not (tmp_path / "no.npz").exists()
        return err.splitlines()[-1]

    assert describing("real.npz", "--fold", "test", "--data", data, "--components", 5)[0] == 0
    real = ("--real", tmp_path / "real.npz")
    assert "--data is needed with --fold" in wrong("--fold", "test", *real)
    assert "--data is needed with --fold" in wrong("--sets", *sets)
    assert "give one file for each of A_one, B_two, or SPECIES=FASTA" in wrong("--sets", sets[0], *real)
    assert "each once" in wrong("--sets", f"A_one={sets[0]}", f"A_one={sets[0]}", *real)
    assert "no 33 principal components" in wrong("--sets", *sets, "--data", data, "--components", 33)
    assert "mine has 50 sequences of A_one and" in wrong("--sets", *sets[::-1], *real)
    write_set("other", ["ACGT" * 16] * 50, tmp_path / "o.fa")
    assert "is of set mine with 64 bases" in wrong("--sets", sets[0], tmp_path / "o.fa", *real)
    write_set("n", ["ACGN" * 16] * 60, tmp_path / "n.fa")
    assert "sequence n_0 has a letter N" in wrong("--sets", f"A_one={tmp_path / 'n.fa'}", *real)
    write_set("short", ["ACGT" * 8] * 60, tmp_path / "s.fa")
    assert "has sequences of 32 bases and the embedding reads 64" in wrong(
        "--sets", f"A_one={tmp_path / 's.fa'}", *real
    )
    assert "--threads 0" in wrong("--sets", *sets, *real, "--threads", 0)
    write_embedding(tmp_path / "other", build(NAMES, 1, length=LENGTH, width=12, features=8), {"loss": 1.0})
    assert "described by another autoencoder or embedding" in wrong(
        "--sets", *sets, *real, "--embedding", tmp_path / "other"
    )
    write_embedding(tmp_path / "other", build(["C"], 1, length=LENGTH), {"loss": 1.0})
    assert "is of A_one, B_two, the embedding of C" in wrong(
        "--fold", "test", "--data", data, "--embedding", tmp_path / "other"
    )
