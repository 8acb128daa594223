"""The commands of generators, from promoters to refined sets and their tables; and what they say to bad input."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")

from genovision import checkpoints  # noqa: E402
from genovision.alphabet import decode, encode  # noqa: E402
from genovision.arrays import read_arrays, write_arrays  # noqa: E402
from genovision.dna.autoregression import bits_per_base, read_autoregression  # noqa: E402
from genovision.dna.examples import (  # noqa: E402
    Examples,
    Samples,
    read_examples,
    read_samples,
    write_examples,
    write_samples,
)
from genovision.dna.fasta import read_set, write_set  # noqa: E402
from genovision.tables import read_table, write_table  # noqa: E402

NAMES = ("A_one", "B_two")
DIFFUSIONS = {"latent": ("--nfe", 4), "onehot": ("--nfe", 4), "masked": ("--rounds", 4)}


def refused(command, name, options, outputs):
    """`wrong(*changes)`: the last line that the user reads; the command must leave with 2 and without output."""

    def wrong(*changes):
        code, err = command(name, *options, *changes)
        assert code == 2, err
        assert not any(path.exists() for path in outputs), changes
        return err.splitlines()[-1]

    return wrong


def sample(command, tiny, folder, kind, *options):
    paths = [folder / f"{kind}_{name}.fa" for name in NAMES]
    given = ("--generator", tiny / kind, "--data", tiny / "s.npz", "--name", kind, "--out", folder / f"{kind}.npz")
    return command("dna/sample_generator", *given, "--sets", *paths, *options), paths


@pytest.fixture(scope="module")
def drawn(tiny, launcher, tmp_path_factory):
    """A folder with samples of a diffusion and of an autoregressive model, 40 of each species, and the calibration of the former."""
    folder = tmp_path_factory.mktemp("drawn")
    for kind, more in (("masked", ("--rounds", 4, "--posterior")), ("recurrent", ())):
        (code, _), _ = sample(
            lambda *given: (launcher.run([*map(str, given)]), ""), tiny, folder, kind, "--number", 40, *more
        )
        assert code == 0
    given = ("--generator", tiny / "masked", "--name", "masked", "--data", tiny / "s.npz", "--replicates", 4)
    outputs = ("--out", folder / "masked.json", "--table", folder / "masked.tsv")
    assert launcher.run(["dna/calibrate_generator", *map(str, (*given, *outputs))]) == 0
    return folder


@pytest.fixture(scope="module")
def others(tiny, tmp_path_factory):
    """A folder with the sequences cut to 64 bases, with those of other species, and with their names in another order."""
    folder, found = tmp_path_factory.mktemp("others"), read_examples(tiny / "s.npz")
    write_examples(folder / "short.npz", Examples(found.codes[:, :64], found.species, found.fold, NAMES))
    write_examples(folder / "other.npz", Examples(found.codes, found.species, found.fold, ("A_one", "C_three")))
    write_examples(folder / "turned.npz", Examples(found.codes, found.species, found.fold, NAMES[::-1]))
    return folder


# --- encode_promoters ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def promoters(tmp_path):
    """Parquet of three species: C_three has no validation sequence of A, C, G, T only."""
    rng, rows = np.random.default_rng(0), []
    for species in ("B_two", "A_one", "C_three"):
        for fold, number in (("test", 2), ("train", 4), ("validation", 2)):
            rows += [(species, fold, text) for text in decode(rng.integers(0, 4, (number, 12)).astype(np.uint8))]
    table = pd.DataFrame(rows, columns=["species", "fold", "sequence"])
    odd = (table["species"] == "C_three") & (table["fold"] == "validation")
    table.loc[odd, "sequence"] = ["ACGNACGTACGT", "ACG-ACGTACGT"]
    table.loc[0, "sequence"] = "ACGUACGUACGU"
    write_table(table, tmp_path / "d.parquet")
    return tmp_path / "d.parquet"


def test_promoters_are_encoded_in_the_order_of_labels_without_other_letters(command, promoters, tmp_path):
    for name in ("a.npz", "b.npz"):
        options = ("--dataset", promoters, "--species", "A_one", "B_two", "--out", tmp_path / name)
        code, err = command("dna/encode_promoters", *options)
        assert code == 0, err
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found, table = read_examples(tmp_path / "a.npz"), read_table(promoters)
    assert found.names == NAMES and found.length == 12
    assert found.species.tolist() == [0] * 8 + [1] * 7  # the one with U is left out
    assert found.fold.tolist() == [0] * 4 + [1] * 2 + [2] * 2 + [0] * 4 + [1] * 2 + [2]
    wanted = table[(table["species"] == "A_one") & (table["fold"] == "train")]["sequence"]
    assert np.array_equal(found.codes[:4], encode(wanted))


def test_encode_promoters_says_what_is_wrong(command, promoters, tmp_path):
    options = ("--dataset", promoters, "--species", "A_one", "--out", tmp_path / "o.npz")
    wrong = refused(command, "dna/encode_promoters", options, [tmp_path / "o.npz"])
    assert "has no sequence of Z_nine; it has A_one, B_two, C_three" in wrong("--species", "A_one", "Z_nine")
    assert "--species A_one A_one: name each species once" in wrong("--species", "A_one", "A_one")
    assert "has no validation sequence of C_three of A, C, G, T only" in wrong("--species", "C_three")
    write_table(pd.DataFrame({"species": ["A_one"], "sequence": ["ACGT"]}), tmp_path / "x.parquet")
    assert "has no column fold" in wrong("--dataset", tmp_path / "x.parquet")


# --- draw_stranger ---------------------------------------------------------------------------------------------------------------------


def test_strangers_are_drawn_once_each_and_of_four_bases_only(command, tmp_path):
    sequences = decode(np.random.default_rng(3).integers(0, 4, (30, 10)).astype(np.uint8))
    windows = [*sequences, *sequences[:5], "ACGTACGTAN", "ACGTACGUAA", "ACGT-ACGTA"]
    write_table(pd.DataFrame({"sequence": windows}), tmp_path / "w.parquet")
    options = ("--windows", tmp_path / "w.parquet", "--species", "D_four")
    for name, more in (
        ("all", ()),
        ("a", ("--number", 8)),
        ("b", ("--number", 8)),
        ("c", ("--number", 8, "--seed", 1)),
    ):
        assert command("dna/draw_stranger", *options, "--out", tmp_path / f"{name}.fa", *more)[0] == 0
    name, found = read_set(tmp_path / "all.fa")
    assert (name, found) == ("D_four", sequences)
    few = read_set(tmp_path / "a.fa")[1]
    assert len(few) == 8 and set(few) <= set(sequences)
    assert (tmp_path / "a.fa").read_bytes() == (tmp_path / "b.fa").read_bytes()
    assert (tmp_path / "a.fa").read_bytes() != (tmp_path / "c.fa").read_bytes()


def test_draw_stranger_says_what_is_wrong(command, tmp_path):
    write_table(pd.DataFrame({"sequence": ["ACGN", "UUUU"]}), tmp_path / "w.parquet")
    write_table(pd.DataFrame({"window": ["ACGT"]}), tmp_path / "x.parquet")
    options = ("--windows", tmp_path / "w.parquet", "--species", "D_four", "--out", tmp_path / "o.fa")
    wrong = refused(command, "dna/draw_stranger", options, [tmp_path / "o.fa"])
    assert "w.parquet has no window of A, C, G, T only" in wrong()
    assert "--number -1 and --seed 0 must not be negative" in wrong("--number", -1)
    assert "--seed -1 must not be negative" in wrong("--seed", -1)
    assert "has no column sequence" in wrong("--windows", tmp_path / "x.parquet")


# --- sample_generator ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["recurrent", "transformer", *DIFFUSIONS])
def test_sets_and_samples_are_the_same_sequences(command, tiny, tmp_path, kind):
    options = (*DIFFUSIONS.get(kind, ("--temperature", 0.9)), "--posterior")
    (code, err), paths = sample(command, tiny, tmp_path, kind, *options)
    assert code == 0, err
    found = read_samples(tmp_path / f"{kind}.npz")
    assert found.names == NAMES and found.species.tolist() == [0] * 20 + [1] * 20  # as many as the test fold
    assert found.edited is None and (found.posterior is None) == (kind not in DIFFUSIONS)
    for label, path in enumerate(paths):
        assert read_set(path) == (kind, decode(found.tokens[found.species == label]))
    first = [path.read_bytes() for path in (*paths, tmp_path / f"{kind}.npz")]
    assert sample(command, tiny, tmp_path, kind, *options)[0][0] == 0
    assert [path.read_bytes() for path in (*paths, tmp_path / f"{kind}.npz")] == first
    assert sample(command, tiny, tmp_path, kind, *options, "--number", 3, "--seed", 1)[0][0] == 0
    assert len(read_samples(tmp_path / f"{kind}.npz").tokens) == 6


def test_sample_generator_says_what_is_wrong(command, tiny, others, tmp_path):
    outputs = [tmp_path / name for name in ("o.npz", "a.fa", "b.fa")]
    options = ("--generator", tiny / "recurrent", "--data", tiny / "s.npz", "--name", "x", "--out", outputs[0])
    wrong = refused(command, "dna/sample_generator", (*options, "--sets", *outputs[1:]), outputs)
    for changes in (("--number", -1), ("--seed", -1), ("--threads", 0)):
        assert "--number and --seed must not be negative, --threads must be 1 or more" in wrong(*changes)
    assert "--sets names 1 files;" in wrong("--sets", outputs[1])
    assert "is missing;" in wrong("--generator", tmp_path)
    assert "kind 'embedding', which is no generator: autoregression" in wrong("--generator", tiny / "embedding")
    assert "recurrent is of A_one, B_two, the data are of A_one, C_three" in wrong("--data", others / "other.npz")
    assert "the data are of B_two, A_one: labels would not fit" in wrong("--data", others / "turned.npz")
    for kind in ("recurrent", *DIFFUSIONS):
        assert f"{kind} has sequences of 80 bases, the data's have 64" in wrong(
            "--data", others / "short.npz", "--generator", tiny / kind
        )
    assert "kind autoregression takes temperature, not sampler" in wrong("--sampler", "ddim")
    assert "kind masked takes rounds, temperature, guidance, not nfe" in wrong(
        "--nfe", 4, "--generator", tiny / "masked"
    )
    assert "kind latent takes sampler, nfe, guidance, not rounds" in wrong(
        "--rounds", 4, "--generator", tiny / "latent"
    )
    assert "temperature 0.0 must be above 0" in wrong("--temperature", 0)
    assert "guidance -1.0 must not be negative" in wrong("--guidance", -1, "--generator", tiny / "latent")
    assert "magic" in wrong("--sampler", "magic", "--generator", tiny / "latent")
    assert "0 evaluations: give 1 or more" in wrong("--nfe", 0, "--generator", tiny / "onehot")
    assert "rounds 81 must lie in 1 to 80" in wrong("--rounds", 81, "--generator", tiny / "masked")


@pytest.mark.parametrize("kind", ["recurrent", "transformer", "masked", "onehot"])
def test_a_model_without_probabilities_draws_nothing_and_the_place_is_named(command, tiny, tmp_path, kind):
    shutil.copytree(tiny / kind, tmp_path / "model")
    (path,) = (tmp_path / "model").glob("*.safetensors")
    tensors = checkpoints.read_tensors(path)
    checkpoints.write_tensors({name: tensor * float("nan") for name, tensor in tensors.items()}, path)
    outputs = [tmp_path / name for name in ("o.npz", "a.fa", "b.fa")]
    options = ("--generator", tmp_path / "model", "--data", tiny / "s.npz", "--name", "x", "--out", outputs[0])
    wrong = refused(command, "dna/sample_generator", (*options, "--sets", *outputs[1:]), outputs)
    assert "gives no probability (nan) for sequence 0 at position 0" in wrong()


def test_how_a_set_was_drawn_is_written(command, tiny, tmp_path):
    table = tmp_path / "t.tsv"
    for kind, given, expected in (
        ("onehot", ("--nfe", 3), {"nfe": 3}),
        ("masked", ("--rounds", 4), {"rounds": 4}),
        ("recurrent", ("--temperature", 0.5), {"temperature": 0.5}),
    ):
        (code, err), _ = sample(command, tiny, tmp_path, kind, "--number", 2, *given, "--table", table)
        assert code == 0, err
        row = read_table(table).iloc[0]
        assert row["set"] == kind and {name: row[name] for name in expected} == expected
        assert pd.isna(row["sampler"]) == (kind != "onehot")


def test_a_checkpoint_of_another_configuration_is_refused(command, tiny, tmp_path):
    shutil.copytree(tiny / "recurrent", tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"width": 24}))
    outputs = [tmp_path / name for name in ("o.npz", "a.fa", "b.fa")]
    options = ("--generator", tmp_path / "model", "--data", tiny / "s.npz", "--name", "x", "--out", outputs[0])
    wrong = refused(command, "dna/sample_generator", (*options, "--sets", *outputs[1:]), outputs)
    assert "diffusion_pytorch_model.safetensors" in wrong()


# --- calibrate_generator ---------------------------------------------------------------------------------------------------------------


def calibration_of(command, tiny, folder, kind, *options):
    given = ("--generator", tiny / kind, "--name", kind, "--data", tiny / "s.npz", "--replicates", 4, "--number", 50)
    return command("dna/calibrate_generator", *given, "--out", folder / "o.json", "--table", folder / "o.tsv", *options)


@pytest.mark.parametrize("kind", ["recurrent", *DIFFUSIONS])
def test_a_generator_is_asked_about_real_sequences(command, tiny, tmp_path, kind):
    code, err = calibration_of(command, tiny, tmp_path, kind)
    assert code == 0, err
    told, table = json.loads((tmp_path / "o.json").read_text()), read_table(tmp_path / "o.tsv")
    assert told["generator"] == kind and told["sequences"] == 50
    assert told["temperature"] > 0 and told["bits_per_base_calibrated"] <= told["bits_per_base"] + 1e-9
    assert 0.25 <= told["mean_largest"] <= 1
    value, low, high = told["calibration_error"]
    assert 0 <= low <= high <= 1 and 0 <= value <= 1
    assert all(0 <= number <= 1 for found in told["error_auroc"].values() for number in found)
    assert set(told["error_auroc"]) == ({"posterior", "decoder"} if kind == "latent" else {"posterior"})
    assert set(table["generator"]) == {kind} and table["n"].sum() == 50 * 80
    first = (tmp_path / "o.json").read_bytes()
    assert calibration_of(command, tiny, tmp_path, kind)[0] == 0
    assert (tmp_path / "o.json").read_bytes() == first


def test_calibrate_generator_says_what_is_wrong(command, tiny, others, tmp_path, monkeypatch):
    outputs = [tmp_path / "o.json", tmp_path / "o.tsv"]
    options = ("--generator", tiny / "masked", "--name", "x", "--data", tiny / "s.npz", "--number", 9)
    options = (*options, "--replicates", 4, "--out", outputs[0], "--table", outputs[1])
    wrong = refused(command, "dna/calibrate_generator", options, outputs)
    for changes in (("--number", 1), ("--replicates", 1), ("--seed", -1), ("--threads", 0)):
        assert "--number and --replicates must be 2 or more, --threads 1 or more" in wrong(*changes)
    assert "masked is of A_one, B_two, the data are of A_one, C_three" in wrong("--data", others / "other.npz")
    assert "masked has sequences of 80 bases, the data's have 64" in wrong("--data", others / "short.npz")
    assert "is no folder of a trained DNA model" in wrong("--generator", tmp_path)
    found = read_examples(tiny / "s.npz")
    kept = found.fold != 1
    write_examples(tmp_path / "s.npz", Examples(found.codes[kept], found.species[kept], found.fold[kept], NAMES))
    assert "the validation fold has no sequence of A_one, B_two" in wrong("--data", tmp_path / "s.npz")


def test_probabilities_of_a_model_that_are_none_are_told_with_their_place(command, tiny, tmp_path, monkeypatch):
    from genovision.dna.masked_diffusion import MaskedDiffusion

    posterior = MaskedDiffusion.posterior

    def broken(*given):
        found = posterior(*given)
        found[3, 7, 0] = np.nan
        return found

    monkeypatch.setattr(MaskedDiffusion, "posterior", broken)
    code, err = calibration_of(command, tiny, tmp_path, "masked")
    assert (code, "row (3, 7) is no distribution: [nan" in err) == (2, True)
    assert not (tmp_path / "o.json").exists()


# --- refine_samples --------------------------------------------------------------------------------------------------------------------


def refining(tiny, drawn, folder, name):
    paths = [folder / f"{name}_{species}.fa" for species in NAMES]
    outputs = [folder / f"{name}.npz", folder / f"{name}.tsv", *paths]
    options = ("--samples", drawn / "masked.npz", "--autoregression", tiny / "recurrent", "--data", tiny / "s.npz")
    options = (*options, "--name", name, "--out", outputs[0], "--table", outputs[1], "--sets", *paths)
    return options, outputs


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--rule", "sampled"),
        ("--rule", "threshold", "--confidence", "posterior", "--threshold", 0.3, "--max-run", 4),
        ("--rule", "threshold", "--confidence", "calibrated", "--threshold", 0.3, "--proposal", "product"),
    ],
)
def test_a_refinement_edits_what_it_says(command, tiny, drawn, tmp_path, options):
    given, outputs = refining(tiny, drawn, tmp_path, "ae")
    code, err = command("dna/refine_samples", *given, "--calibration", drawn / "masked.json", *options)
    assert code == 0, err
    before, after = read_samples(drawn / "masked.npz"), read_samples(outputs[0])
    assert np.array_equal(before.tokens[~after.edited], after.tokens[~after.edited])
    assert np.array_equal(before.confidence, after.confidence) and np.array_equal(before.species, after.species)
    told = read_table(outputs[1]).iloc[0]
    assert told["set"] == "ae" and told["edit_rate"] == pytest.approx(after.edited.mean()) and after.edited.any()
    assert told["changed_rate"] == pytest.approx((before.tokens != after.tokens).mean())
    for label, path in enumerate(outputs[2:]):
        assert read_set(path) == ("ae", decode(after.tokens[after.species == label]))


def test_the_thresholds_ends(command, tiny, drawn, tmp_path):
    """Below 0 nothing is absorbed; below 1 everything is that the autoregressive model does not leave."""
    for threshold, wanted in ((0, 0.0), (1, 1.0)):
        given, outputs = refining(tiny, drawn, tmp_path, f"t{threshold}")
        assert command("dna/refine_samples", *given, "--rule", "threshold", "--threshold", threshold)[0] == 0
        assert read_samples(outputs[0]).edited.mean() == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize("control", ["refill", "letters"])
def test_a_control_edits_as_many_bases_of_each_sequence(command, tiny, drawn, tmp_path, control):
    given, like = refining(tiny, drawn, tmp_path, "ae")
    assert command("dna/refine_samples", *given, "--rule", "threshold", "--threshold", 0.5)[0] == 0
    given, outputs = refining(tiny, drawn, tmp_path, control)
    code, err = command("dna/refine_samples", *given, "--control", control, "--like", like[0])
    assert code == 0, err
    first, second = read_samples(like[0]).edited, read_samples(outputs[0]).edited
    assert first.any() and np.array_equal(first.sum(axis=1), second.sum(axis=1)) and not np.array_equal(first, second)
    assert read_table(outputs[1])["rule"].tolist() == [control]


def test_what_the_sweep_chose_replaces_the_options(command, tiny, drawn, tmp_path):
    setting = {"rule": "threshold", "confidence": "posterior", "threshold": 0.3, "proposal": "autoregression"}
    (tmp_path / "c.json").write_text(json.dumps({"setting": setting | {"temperature": 1.0, "max_run": None}}))
    found = []
    for name, more in (
        ("a", ("--chosen", tmp_path / "c.json")),
        ("b", ("--rule", "threshold", "--confidence", "posterior", "--threshold", 0.3)),
    ):
        given, outputs = refining(tiny, drawn, tmp_path, name)
        assert command("dna/refine_samples", *given, *more)[0] == 0
        found.append(read_samples(outputs[0]).tokens)
    assert np.array_equal(*found)


def changed(source, path, **arrays):
    write_arrays(path, **read_arrays(source) | arrays)
    return path


def test_refine_samples_says_what_is_wrong(command, tiny, drawn, others, tmp_path):
    options, outputs = refining(tiny, drawn, tmp_path, "x")
    wrong = refused(command, "dna/refine_samples", options, outputs)
    source, x = drawn / "masked.npz", tmp_path / "s.npz"
    assert "--control and --like go together" in wrong("--control", "refill")
    assert "--control and --like go together" in wrong("--like", source)
    assert "--seed must not be negative, --threads must be 1 or more" in wrong("--seed", -1)
    assert "--seed must not be negative, --threads must be 1 or more" in wrong("--threads", 0)
    assert "rule 'magic': choose one of natural, sampled, threshold" in wrong("--rule", "magic")
    assert "confidence 'gut': choose one of decoder" in wrong("--confidence", "gut")
    assert "proposal 'sum': choose one of" in wrong("--proposal", "sum")
    for threshold in (-0.1, 1.5, "nan"):
        assert f"threshold {float(threshold)} in [0, 1]" in wrong(f"--threshold={threshold}")
    assert "temperature 0.0 > 0" in wrong("--temperature", 0)
    for more in (("--confidence", "calibrated"), ("--proposal", "product")):
        assert "need --calibration of dna/calibrate_generator" in wrong(*more)
    assert "max_run 0 must be 1 or more" in wrong("--max-run", 0)
    assert "--sets names 1 files;" in wrong("--sets", outputs[2])
    assert "masked.npz is of A_one, B_two, the data are of A_one, C_three" in wrong("--data", others / "other.npz")
    assert "masked.npz has sequences of 80 bases, the data's have 64" in wrong("--data", others / "short.npz")
    assert "holds a model of kind 'masked'; 'autoregression' is needed" in wrong("--autoregression", tiny / "masked")
    assert "is no refinement of" in wrong("--control", "refill", "--like", source)
    few = {name: read_arrays(source)[name][1:] for name in ("tokens", "confidence", "species", "posterior")}
    changed(source, x, **few, edited=np.zeros((79, 80), dtype=bool))
    assert "s.npz is no refinement of" in wrong("--control", "letters", "--like", x)
    (tmp_path / "c.json").write_text('{"setting": {"rul": "natural"}}')
    assert "c.json holds no setting" in wrong("--chosen", tmp_path / "c.json")
    (tmp_path / "c.json").write_text('{"setting": {"threshold": 2}}')
    assert "threshold 2" in wrong("--chosen", tmp_path / "c.json")
    (tmp_path / "t.json").write_text('{"temperature": 0}')
    assert "the temperature 0.0 must be positive" in wrong("--calibration", tmp_path / "t.json")
    confidence, posterior = (read_arrays(source)[name] for name in ("confidence", "posterior"))
    assert "tokens have shape (80, 80) and confidence (80, 79)" in wrong(
        "--samples", changed(source, x, confidence=confidence[:, 1:])
    )
    broken = confidence.copy()
    broken[5, 6] = np.nan
    assert "the confidence of sequence 5 at position 6 is nan" in wrong(
        "--samples", changed(source, x, confidence=broken)
    )
    broken = posterior.copy()
    broken[5, 6] = np.nan
    assert "the posterior of sequence 5 at position 6 is no distribution" in wrong(
        "--samples", changed(source, x, posterior=broken)
    )
    bare = {name: array for name, array in read_arrays(source).items() if name != "posterior"}
    write_arrays(x, **bare)
    assert "sample with --posterior" in wrong("--samples", x, "--confidence", "posterior")


# --- sweep_refinement ------------------------------------------------------------------------------------------------------------------


def sweeping(tiny, drawn, folder):
    outputs = [folder / "sweep.tsv", folder / "chosen.json"]
    options = ("--data", tiny / "s.npz", "--samples", drawn / "masked.npz", "--alone", drawn / "recurrent.npz")
    options += ("--autoregression", tiny / "recurrent", "--calibration", drawn / "masked.json")
    options += ("--embedding", tiny / "embedding", "--autoencoder", tiny / "patch", "--components", 4)
    options += ("--number", 30, "--replicates", 5, "--out", outputs[0], "--chosen", outputs[1])
    return options, outputs


THRESHOLDS = ("--thresholds", "decoder", 0.5, "--thresholds", "calibrated", 0.2)


def test_the_sweep_tries_every_combination_and_keeps_the_best(command, tiny, drawn, tmp_path):
    options, (table_path, chosen_path) = sweeping(tiny, drawn, tmp_path)
    code, err = command("dna/sweep_refinement", *options, *THRESHOLDS)
    assert code == 0, err
    table, chosen = read_table(table_path), json.loads(chosen_path.read_text())
    settings = ["rule", "confidence", "threshold", "control"]
    rows = table[table["metric"] == "fred"][settings]
    assert len(table) == 4 * len(rows) and not rows.duplicated().any()
    assert rows["rule"].tolist()[:2] == ["diffusion", "autoregression"]
    assert rows[rows["control"] == "none"]["rule"].tolist()[2:] == [
        *("natural", "sampled", "threshold"),
        *("natural", "sampled", "threshold", "product"),
    ]
    assert set(rows["control"]) == {"none", "random_refill", "random_letters"}
    refined = table[(table["metric"] == "fred") & (table["control"] == "none")].iloc[2:]
    assert chosen["metric"] == "fred" and chosen["value"] == pytest.approx(refined["value"].min())
    best = refined.loc[refined["value"].idxmin()]
    assert chosen["setting"]["threshold"] == best["threshold"]
    assert chosen["setting"]["confidence"] == best["confidence"]
    given, _ = refining(tiny, drawn, tmp_path, "x")
    again = ("--chosen", chosen_path, "--calibration", drawn / "masked.json")
    assert command("dna/refine_samples", *given, *again)[0] == 0


def test_a_correlation_is_the_better_the_higher_it_is(command, tiny, drawn, tmp_path):
    options, (table_path, chosen_path) = sweeping(tiny, drawn, tmp_path)
    more = ("--thresholds", "decoder", 0.3, 0.9, "--rules", "threshold", "--metric", "cor:TATA-box")
    assert command("dna/sweep_refinement", *options, *more)[0] == 0
    table = read_table(table_path)
    values = table[(table["metric"] == "cor:TATA-box") & (table["rule"] == "threshold") & (table["control"] == "none")]
    assert json.loads(chosen_path.read_text())["value"] == pytest.approx(values["value"].max())


def test_sweep_refinement_says_what_is_wrong(command, tiny, drawn, others, tmp_path):
    options, outputs = sweeping(tiny, drawn, tmp_path)
    plain, x = (*options, "--thresholds", "decoder", 0.5), tmp_path / "s.npz"
    wrong = refused(command, "dna/sweep_refinement", plain, outputs)
    for changes in (("--number", 1), ("--replicates", 1), ("--seed", -1), ("--threads", 0)):
        assert "--number and --replicates must be 2 or more, --threads 1 or more" in wrong(*changes)
    assert "--metric fid: choose one of fred, p_fid, js6, cor:TATA-box" in wrong("--metric", "fid")
    assert "--thresholds decoder: 'half' is no number" in wrong("--thresholds", "decoder", "half")
    assert "threshold 1.5 in [0, 1]" in wrong("--thresholds", "decoder", 1.5)
    assert "confidence 'gut': choose one of" in wrong("--thresholds", "gut", 0.5)
    assert "rule 'magic': choose one of" in wrong("--rules", "magic")
    assert "masked.npz is of A_one, B_two, the data are of A_one, C_three" in wrong("--data", others / "other.npz")
    assert "masked.npz has sequences of 80 bases, the data's have 64" in wrong("--data", others / "short.npz")
    found = read_arrays(drawn / "recurrent.npz")
    changed(drawn / "recurrent.npz", x, names=np.array(NAMES[::-1]))
    assert "s.npz is of B_two, A_one, the data are of A_one, B_two" in wrong("--alone", x)
    changed(drawn / "recurrent.npz", x, tokens=found["tokens"][:, 1:], confidence=found["confidence"][:, 1:])
    assert "s.npz has sequences of 79 bases, the data's have 80" in wrong("--alone", x)
    rows = slice(36, None)  # 4 of A_one are left
    write_samples(x, Samples(found["tokens"][rows], found["confidence"][rows], found["species"][rows], NAMES))
    assert "of 4 at most, the validation fold gives 4 sequences of A_one; a covariance of 6 features needs 7" in wrong(
        "--alone", x
    )
    assert "sample with --posterior" in wrong("--samples", drawn / "recurrent.npz", "--thresholds", "posterior", 0.5)
    assert "a covariance of 32 features needs 33" in wrong("--components", 32)
    assert "holds no temperature" in wrong("--calibration", tiny / "masked" / "dna.json")
    assert "an embedding of train_embedding is needed" in wrong("--embedding", tiny / "patch")


# --- measure_latent_grid ---------------------------------------------------------------------------------------------------------------


def test_every_run_of_the_grid_is_measured(command, tiny, drawn, others, tmp_path):
    out = tmp_path / "grid.tsv"
    options = ("--data", tiny / "s.npz", "--embedding", tiny / "embedding", "--autoencoder", tiny / "patch")
    options += ("--components", 4, "--number", 30, "--replicates", 5, "--out", out)
    runs = [("--run", "patch", "epsilon", "linear", width, 0, drawn / f"{name}.npz") for width, name in
            ((64, "masked"), (96, "recurrent"))]  # fmt: skip
    wrong = refused(command, "dna/measure_latent_grid", (*options, *runs[0]), [out])
    for changes in (("--number", 1), ("--replicates", 1), ("--seed", -1), ("--threads", 0)):
        assert "--number and --replicates must be 2 or more, --threads 1 or more" in wrong(*changes)
    assert "embedding is of A_one, B_two, the data are of A_one, C_three" in wrong("--data", others / "other.npz")
    assert "embedding has sequences of 80 bases, the data's have 64" in wrong("--data", others / "short.npz")
    x = changed(drawn / "masked.npz", tmp_path / "s.npz", names=np.array(NAMES[::-1]))
    assert "s.npz is of B_two, A_one, the data are of A_one, B_two" in wrong(*runs[0][:-1], x)
    code, err = command("dna/measure_latent_grid", *options, *runs[0], *runs[1])
    assert code == 0, err
    table = read_table(out)
    assert len(table) == 8 and set(table["autoencoder"]) == {"patch"} and set(table["width"]) == {64, 96}
    assert {"prediction", "betas", "seed", "metric", "value", "low", "high"} <= set(table.columns)


# --- measure_bits ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["recurrent", "transformer"])
def test_bits_are_those_of_the_test_fold_beside_a_chains(command, tiny, tmp_path, kind):
    out = tmp_path / "bits.tsv"
    options = ("--model", tiny / kind, "--name", "mine", "--data", tiny / "s.npz", "--order", 2, "--replicates", 7)
    code, err = command("dna/measure_bits", *options, "--out", out)
    assert code == 0, err
    table = read_table(out)
    assert set(table["side"]) == {"mine", "markov2"} and set(table["group"]) == set(NAMES)
    assert len(table) == 2 * 2 * 8 and set(table["metric"]) == {"bits_per_base"}
    whole = table[(table["replicate"] == -1) & (table["side"] == "mine")].set_index("group")["value"]
    codes, labels = read_examples(tiny / "s.npz").of("test")
    network = read_autoregression(tiny / kind)[0]
    for label, name in enumerate(NAMES):
        assert whole[name] == pytest.approx(bits_per_base(network, codes[labels == label], labels[labels == label]))


def test_measure_bits_says_what_is_wrong(command, tiny, others, tmp_path):
    options = ("--model", tiny / "recurrent", "--name", "mine", "--data", tiny / "s.npz", "--out", tmp_path / "o.tsv")
    wrong = refused(command, "dna/measure_bits", options, [tmp_path / "o.tsv"])
    for changes in (("--replicates", -1), ("--seed", -1), ("--threads", 0), ("--order", 9), ("--order", -1)):
        assert "--replicates and --seed must not be negative, --threads 1 or more, --order in 0 to 8" in wrong(*changes)
    assert "recurrent is of A_one, B_two, the data are of A_one, C_three" in wrong("--data", others / "other.npz")
    assert "the model's have 80 bases" in wrong("--data", others / "short.npz")
    assert "'autoregression' is needed" in wrong("--model", tiny / "masked")


# --- join_generators -------------------------------------------------------------------------------------------------------------------


def joining(folder):
    """Options of tables as small as can be, and the outputs."""
    rows = [
        {
            "species": s,
            "length": 80,
            "set": name,
            "motif": "",
            "metric": "fred",
            "value": v,
            "low": v,
            "high": v,
            "n": 9,
        }
        for s in NAMES
        for name, v in (("train", 1.0), ("ae", 3.0))
    ]
    write_table(pd.DataFrame(rows).assign(convention="x"), folder / "m.tsv")
    replicates = [("x", "fred", r["set"], r["species"], k, r["value"]) for r in rows for k in (-1, 0, 1)]
    columns = ["system", "metric", "side", "group", "replicate", "value"]
    write_table(pd.DataFrame(replicates, columns=columns), folder / "e.tsv")
    edits = {
        "set": ["ae", "ae_refill"],
        "rule": ["natural", "refill"],
        "threshold": [0.85, None],
        "edit_rate": [0.5, 0.5],
    }
    write_table(pd.DataFrame(edits), folder / "edits.tsv")
    draws = {"set": ["dm", "ar"], "sampler": ["dpm++2m", None], "nfe": [10, None], "rounds": [None, None]}
    write_table(pd.DataFrame(draws), folder / "draws.tsv")
    (folder / "model").mkdir()
    bits = pd.DataFrame({"species": ["A_one"], "model": ["markov5"], "bits_per_base": [1.9]})
    write_table(bits, folder / "model" / "bits.tsv")
    told = {"calibration_error": [0.01, 0.0, 0.02], "error_auroc": {"posterior": [0.8, 0.7, 0.9]}}
    (folder / "dm.json").write_text(json.dumps(told))
    outputs = {
        name: folder / f"o_{name}.tsv"
        for name in ("table", "means", "summary", "edits-out", "bits-out", "autoencoders-out", "conditions")
    }
    evidence = [folder / "o_discdiff.tsv", folder / "o_absorb_escape.tsv"]
    options = ["--measures", folder / "m.tsv", "--evidence", folder / "e.tsv", "--edits", folder / "edits.tsv"]
    options += ["--set", "train", "real", "-", "--set", "ae", "refined", "dm + ar", "--draws", folder / "draws.tsv"]
    options += ["--bits", folder / "model" / "bits.tsv", "--calibration", folder / "dm.json", "--pair", "dm", "ar"]
    options += ["--systems", "discdiff", "absorb_escape", "--evidence-out", *evidence]
    options += [text for name, path in outputs.items() for text in (f"--{name}", path)]
    return options, outputs, evidence


def test_tables_of_all_sets_are_joined(command, tmp_path):
    options, outputs, evidence = joining(tmp_path)
    code, err = command("dna/join_generators", *options)
    assert code == 0, err
    table = read_table(outputs["table"])
    assert table["set"].tolist() == ["train", "train", "ae", "ae"] and (table["floor"] == 1.0).all()
    own = table[table["set"] == "ae"].iloc[0]
    assert (own["threshold"], own["sampler"], own["nfe"]) == (0.85, "dpm++2m", 10)
    assert table.loc[table["set"] == "train", ["threshold", "sampler", "nfe"]].isna().all(axis=None)
    assert read_table(outputs["means"]).set_index("set")["value"].to_dict() == {"train": 1.0, "ae": 3.0}
    for system, path in zip(("discdiff", "absorb_escape"), evidence, strict=True):
        assert set(read_table(path)["system"]) == {system} and len(read_table(path)) == 12
    told = read_table(outputs["conditions"]).set_index("condition")["holds"]
    assert told["dm's posterior confidence finds wrong bases"] == "yes" and told["ae edits at all"] == "yes"
    assert read_table(outputs["bits-out"])["trained"].tolist() == ["model"]


def test_join_generators_says_what_is_wrong(command, tmp_path):
    options, outputs, evidence = joining(tmp_path)
    wrong = refused(command, "dna/join_generators", options, [*outputs.values(), *evidence])
    assert "--evidence-out names 2 files for 1 --systems" in wrong("--systems", "discdiff")
    assert "--set ae is there twice" in wrong("--set", "ae", "x", "-")
    assert "is there twice; give each table once" in wrong("--measures", tmp_path / "m.tsv", tmp_path / "m.tsv")
    assert "has no column species, length, set" in wrong("--measures", tmp_path / "e.tsv")
    assert "has no column system" in wrong("--evidence", tmp_path / "m.tsv")
    table = read_table(tmp_path / "m.tsv")
    write_table(table.assign(set=table["set"].replace("ae", "gan")), tmp_path / "m2.tsv")
    assert "the set gan has no origin; name it with --set" in wrong("--measures", tmp_path / "m2.tsv")
    assert "has no column set, rule, threshold, edit_rate" in wrong("--edits", tmp_path / "model" / "bits.tsv")
    assert "has no column species, model, bits_per_base" in wrong("--bits", tmp_path / "edits.tsv")
    (tmp_path / "x.json").write_text("{")
    assert "x.json is no whole JSON file" in wrong("--calibration", tmp_path / "x.json")
    for text in ("[]", '{"temperature": 1}'):
        (tmp_path / "x.json").write_text(text)
        assert "x.json holds no calibration; write it with" in wrong("--calibration", tmp_path / "x.json")


# --- letters that no model knows, in FASTA ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("letter", ["U", "-", "N", "."])
def test_sets_with_letters_that_are_no_bases_are_refused_by_every_reader(command, tiny, tmp_path, letter):
    write_set("odd", ["ACGT" * 20, f"ACG{letter}" * 20], tmp_path / "odd.fa")
    out = tmp_path / "o.npz"
    describing = ("--sets", f"A_one={tmp_path / 'odd.fa'}", "--data", tiny / "s.npz", "--components", 4)
    describing += ("--embedding", tiny / "embedding", "--autoencoder", tiny / "patch", "--out", out)
    message = refused(command, "dna/describe_set", describing, [out])()
    assert f"sequence odd_1 has a letter {letter}; networks know A, C, G, T only" in message
    scoring = ("--models", tiny / "recurrent", "--data", tiny / "s.npz", "--ood", f"odd={tmp_path / 'odd.fa'}")
    message = refused(command, "dna/score_sequences", (*scoring, "--out", out), [out])()
    assert "odd.fa: sequence 1 has a letter other than A, C, G, T" in message
