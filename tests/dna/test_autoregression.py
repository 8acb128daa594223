"""Autoregressive models: labels that are no bases, a state that says what one pass says, folders, training, and the command."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from genovision import checkpoints  # noqa: E402
from genovision.dna import markov  # noqa: E402
from genovision.dna.absorb_escape import absorb_escape  # noqa: E402
from genovision.dna.autoregression import (  # noqa: E402
    Batches,
    CausalTransformer,
    RecurrentModel,
    bits_per_base,
    build,
    entropies,
    log_distributions,
    log_probabilities,
    read_autoregression,
    sample,
    write_autoregression,
)
from genovision.dna.drawing import inverse_distribution  # noqa: E402
from genovision.dna.examples import Examples, write_examples  # noqa: E402
from genovision.errors import InputError  # noqa: E402
from genovision.training import Recipe, train  # noqa: E402

NAMES = ("A_one", "B_two", "C_three")
LENGTH = 30
KINDS = ("recurrent", "transformer")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)


def sizes(kind, **changes):
    own = {"inside": 16, "layers": 2} if kind == "recurrent" else {"heads": 2, "layers": 2}
    return {"species": list(NAMES), "length": LENGTH, "width": 24, "context": 3} | own | changes


def model(kind, seed=0, **changes):
    """A model whose every weight is drawn, those that begin at 0 too."""
    network = build(kind, seed, **sizes(kind, **changes)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return network


def sequences(number, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 4, size=(number, LENGTH)).astype(np.uint8), rng.integers(0, 4, size=number)


@pytest.fixture(params=KINDS)
def network(request):
    return model(request.param)


def test_labels_are_no_bases(network):
    """In a vocabulary where labels share the ids of letters, a label and a base give one prefix; here every label has a row of its own."""
    codes, _ = sequences(1)
    assert network.token.num_embeddings == 4 + len(NAMES) + 1
    asked = []
    hook = network.token.register_forward_hook(lambda _, inputs, __: asked.append(inputs[0].flatten()))
    given = [log_distributions(network, codes, [label])[0] for label in range(4)]
    hook.remove()
    tokens = torch.cat(asked).unique().tolist()
    assert set(tokens) == set(np.unique(codes[:, :-1])) | {4, 5, 6, 7}
    for one in range(4):
        for other in range(one):
            assert np.abs(given[one] - given[other]).min(axis=1).max() > 1e-3
    # a change of a base's embedding changes nothing that only labels go into
    with torch.no_grad():
        network.token.weight[:4] += 1
    np.testing.assert_array_equal(log_distributions(network, codes, [2])[0, 0], given[2][0])


def test_a_base_depends_on_those_before_it_alone(network):
    codes, labels = sequences(4)
    logs = log_distributions(network, codes, labels)
    np.testing.assert_allclose(np.exp(logs).sum(axis=2), 1)
    for place in (0, 1, 7, LENGTH - 1):
        other = codes.copy()
        other[:, place] = (other[:, place] + 1) % 4
        changed = log_distributions(network, other, labels)
        np.testing.assert_array_equal(changed[:, : place + 1], logs[:, : place + 1])
        if place + 1 < LENGTH:
            assert np.abs(changed[:, place + 1 :] - logs[:, place + 1 :]).max() > 1e-3


def test_the_state_says_what_one_pass_says(network):
    codes, labels = sequences(5)
    logs = log_distributions(network, codes, labels)
    reader = network.conditioned(labels)
    state = reader.start(5)
    for place in range(LENGTH):
        np.testing.assert_allclose(np.log(reader.probs(state)), logs[:, place], atol=1e-5)
        state = reader.advance(state, codes[:, place])
    with pytest.raises(ValueError, match="have 30 bases, and all are read"):
        reader.probs(state)
    with pytest.raises(ValueError, match="4 sequences were asked for, and there are 5 labels"):
        reader.start(4)


def test_no_prefix_is_read_twice(network):
    """Of each sequence every base goes in once: LENGTH tokens, the first of them its label, and a label beside every later one."""
    read = []
    kind = network.network if isinstance(network, RecurrentModel) else network.blocks[0].query_key_value
    hook = network.word.register_forward_hook(lambda _, inputs, __: read.append(inputs[0].numel()))
    whole = kind.register_forward_hook(lambda *_: read.append(0))
    sample(network, np.zeros(6, int), np.random.default_rng(0).random((6, LENGTH)))
    hook.remove()
    whole.remove()
    # the first position has the empty word, which is not looked up
    assert sum(read) == 6 * (LENGTH - 1)
    assert read.count(0) == (0 if isinstance(network, RecurrentModel) else LENGTH)


def test_a_sample_depends_on_its_label_and_uniforms_alone(network):
    uniforms, labels = np.random.default_rng(1).random((11, LENGTH)), np.arange(11) % 4
    whole, confidence = sample(network, labels, uniforms)
    assert (whole.dtype, confidence.dtype, whole.shape) == (np.uint8, np.float32, (11, LENGTH))
    for batch in (1, 4):
        tokens, again = sample(network, labels, uniforms, batch=batch)
        np.testing.assert_array_equal(tokens, whole)
        np.testing.assert_allclose(again, confidence, atol=1e-5)
    tokens, _ = sample(network, labels[5:], uniforms[5:])
    np.testing.assert_array_equal(tokens, whole[5:])
    logs = log_distributions(network, whole, labels)
    np.testing.assert_allclose(confidence, np.exp(logs).max(axis=2), atol=1e-5)
    for place in range(LENGTH):
        expected = inverse_distribution(np.exp(logs[:, place]), uniforms[:, place])
        np.testing.assert_array_equal(whole[:, place], expected)


def test_absorb_escape_over_everything_is_sampling(network):
    uniforms, labels = np.random.default_rng(2).random((7, LENGTH)), np.arange(7) % 4
    tokens, _ = sample(network, labels, uniforms)
    found, edited = absorb_escape(
        np.zeros((7, LENGTH), np.uint8), np.zeros((7, LENGTH)), network.conditioned(labels), uniforms=uniforms
    )
    assert edited.all()
    np.testing.assert_array_equal(found, tokens)


def test_cold_sampling_takes_the_likeliest_base(network):
    labels, uniforms = np.zeros(3, int), np.random.default_rng(3).random((3, LENGTH))
    tokens, _ = sample(network, labels, uniforms, temperature=1e-4)
    np.testing.assert_array_equal(tokens, log_distributions(network, tokens, labels).argmax(axis=2))


def test_bits_and_entropies_are_those_of_the_distributions(network):
    codes, labels = sequences(6)
    logs = log_distributions(network, codes, labels)
    own = log_probabilities(network, codes, labels, batch=4)
    for row, place in ((0, 0), (3, 7), (5, 29)):
        assert own[row, place] == pytest.approx(logs[row, place, codes[row, place]], abs=1e-5)
    assert bits_per_base(network, codes, labels) == pytest.approx(-own.mean() / np.log(2), abs=1e-6)
    found = entropies(network, codes, labels)
    np.testing.assert_allclose(found, -(np.exp(logs) * logs).sum(axis=2))
    assert (found > 0).all() and (found <= np.log(4) + 1e-9).all()


def test_tables_begin_as_what_was_counted(network):
    codes, _ = sequences(200, seed=5)
    codes[:, 10] = 2
    blank = build("recurrent", 0, **sizes("recurrent")).eval()
    chains = [markov.fit(codes, 2) for _ in range(4)]
    flat = np.full((LENGTH, 4), 0.25)
    blank.begin_with(chains, [flat] * 4)
    # the network's own part is still 0, and the chain of order 2 answers for words of 3 bases
    assert bits_per_base(blank, codes, np.zeros(200, int)) == pytest.approx(chains[0].bits_per_base(codes), abs=1e-5)
    shares = np.stack([(codes == base).mean(axis=0) for base in range(4)], axis=1) + 0.01
    blank.begin_with(chains, [flat, flat, shares / shares.sum(axis=1, keepdims=True), flat])
    found = np.exp(log_distributions(blank, codes, np.full(200, 2)))
    assert found[:, 10, 2].mean() > 0.9
    assert np.exp(log_distributions(blank, codes, np.full(200, 1)))[:, 10, 2].mean() < 0.6


def test_a_folder_comes_back(network, tmp_path):
    write_autoregression(tmp_path / "a", network, {"steps": 3, "bits_per_base": None}, [])
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "config.json",
        "curve.tsv",
        "diffusion_pytorch_model.safetensors",
        "dna.json",
    ]
    again, facts = read_autoregression(tmp_path / "a")
    codes, labels = sequences(3)
    expected = log_distributions(network, codes, labels)
    np.testing.assert_allclose(log_distributions(again, codes, labels), expected, atol=1e-5)
    assert (facts["kind"], facts["species"], facts["length"]) == ("autoregression", list(NAMES), LENGTH)
    assert facts["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert again.labels_of(["C_three", "A_one"]).tolist() == [2, 0]
    # diffusers reads what we write, and we read what it writes
    theirs = type(network).from_pretrained(tmp_path / "a")
    np.testing.assert_allclose(log_distributions(theirs.eval(), codes, labels), expected, atol=1e-5)
    theirs.save_pretrained(tmp_path / "b")
    shutil.copy(tmp_path / "a" / "dna.json", tmp_path / "b")
    again, _ = read_autoregression(tmp_path / "b")
    np.testing.assert_allclose(log_distributions(again, codes, labels), expected, atol=1e-5)


def test_a_folder_that_is_not_right_is_refused(tmp_path):
    network = model("recurrent")

    def folder(name, file=None, **changes):
        write_autoregression(tmp_path / name, network, {})
        if file:
            path = tmp_path / name / file
            path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return tmp_path / name

    def refused(path, message):
        with pytest.raises(InputError, match=message):
            read_autoregression(path)

    refused(tmp_path / "nothing", r"dna.json is missing")
    refused(folder("kind", "dna.json", kind="masked"), "holds a model of kind 'masked'; 'autoregression' is needed")
    refused(folder("class", "config.json", _class_name="UNet2DModel"), "is of a UNet2DModel")
    refused(folder("width", "config.json", width=20), r"another architecture: .* is .*, .* is needed")
    refused(folder("option", "config.json", colour="red"), "describes no RecurrentModel")
    refused(folder("species", "config.json", species=["A_one", "A_one"]), "different names are needed")
    weights = folder("weights") / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    refused(weights.parent, "no whole safetensors")
    torch.save(network.state_dict(), weights)
    refused(weights.parent, "no whole safetensors")
    weights.rename(weights.with_name("diffusion_pytorch_model.bin"))
    refused(weights.parent, "is missing; pickled weights")
    broken = folder("broken") / "dna.json"
    broken.write_text("{")
    refused(broken.parent, "no whole JSON file")


def test_what_a_model_cannot_read_is_refused(network):
    codes, labels = sequences(2)
    with pytest.raises(InputError, match="does not know Z_nine; it knows A_one, B_two, C_three"):
        network.labels_of(["A_one", "Z_nine"])
    with pytest.raises(InputError, match=r"\(2, 29\); the model's have 30 bases"):
        log_probabilities(network, codes[:, 1:], labels)
    for wrong in (-1, 4):
        with pytest.raises(InputError, match=rf"label {wrong} is none of 0 to 2 \(A_one, B_two, C_three\) or 3"):
            network.conditioned([0, wrong])
    codes[1, 4] = 7
    with pytest.raises(InputError, match="sequence 1 at position 4 is 7"):
        log_probabilities(network, codes, labels)
    with pytest.raises(ValueError, match=r"uniforms are \(2, 9\); \(2, 30\) is needed"):
        sample(network, labels, np.zeros((2, 9)))
    for options in ({"temperature": 0}, {"batch": 0}):
        with pytest.raises(ValueError):
            sample(network, labels, np.zeros((2, LENGTH)), **options)
    with pytest.raises(ValueError, match="2 sequences and 1 labels"):
        log_probabilities(network, np.zeros((2, LENGTH), np.uint8), [0])


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("gan", {}),
        ("recurrent", {"species": []}),
        ("recurrent", {"width": 0}),
        ("recurrent", {"context": 9}),
        ("recurrent", {"dropout": 1.0}),
        ("transformer", {"heads": 5}),
    ],
)
def test_sizes_that_cannot_be_are_refused(kind, wrong):
    with pytest.raises(InputError):
        build(kind, 0, **sizes("transformer" if kind == "transformer" else "recurrent", **wrong))


def world(number=240, seed=0):
    """Sequences of two species: one likes A and T, the other C and G; TATAAA stands at one place in half of the first."""
    rng = np.random.default_rng(seed)
    species = np.arange(number) % 2
    shares = np.array([[0.4, 0.1, 0.1, 0.4], [0.1, 0.4, 0.4, 0.1]])
    codes = np.stack([rng.choice(4, p=shares[label], size=LENGTH) for label in species]).astype(np.uint8)
    codes[::4, 12:18] = [3, 0, 3, 0, 0, 0]
    fold = np.repeat([0, 1, 2], [number - 2 * (number // 6), number // 6, number // 6])
    return Examples(codes, species, fold.astype(np.uint8), ("A_one", "B_two"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("autoregression") / "sequences.npz"
    write_examples(path, world())
    return path


def command_options(data, out, kind="recurrent", **changes):
    own = {"data": data, "kind": kind, "width": 16, "context": 2, "steps": 24, "batch": 16, "out": out} | changes
    own |= {"inside": 8} if kind == "recurrent" else {"heads": 2, "layers": 1}
    return [text for name, value in own.items() for text in (f"--{name.replace('_', '-')}", value)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_trains_and_tells_bits_beside_chains(command, data, tmp_path, kind):
    code, err = command("dna/train_autoregression", *command_options(data, tmp_path / "a", kind))
    assert code == 0, err
    facts = json.loads((tmp_path / "a" / "dna.json").read_text())
    assert facts["training_sequences"] == 160 and facts["species"] == ["A_one", "B_two"] and facts["steps"] == 24
    table = pd.read_csv(tmp_path / "a" / "bits.tsv", sep="\t")
    bits = table.pivot(index="species", columns="model", values="bits_per_base")
    chains = {"markov0", "markov2", "markov3", "markov5", "position_markov3"}
    assert set(bits.columns) == {"autoregression"} | chains and len(table) == 12
    assert facts["bits_per_base"] == pytest.approx(bits["autoregression"].mean(), abs=1e-8)
    assert bits["autoregression"].mean() < bits["markov5"].mean() < 2
    network, _ = read_autoregression(tmp_path / "a")
    codes, species = world().of("test")
    for label, name in enumerate(("A_one", "B_two")):
        own = bits_per_base(network, codes[species == label], species[species == label])
        assert own == pytest.approx(bits.loc[name, "autoregression"], abs=1e-8)
    curve = pd.read_csv(tmp_path / "a" / "curve.tsv", sep="\t")
    assert list(curve.columns) == ["step", "loss", "held_out"] and curve["step"].iloc[-1] == 24
    assert not (tmp_path / "a" / "checkpoints").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_run_ends_with_the_same_bytes(command, data, tmp_path, kind, monkeypatch):
    options = {"dropout": 0.1, "save_every": 5}
    assert command("dna/train_autoregression", *command_options(data, tmp_path / "whole", kind, **options))[0] == 0
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    loss = Batches.loss

    def killed(self, network, step):
        if step == 13:
            raise KeyboardInterrupt
        return loss(self, network, step)

    monkeypatch.setattr(Batches, "loss", killed)
    again = command_options(data, tmp_path / "killed", kind, **options)
    with pytest.raises(KeyboardInterrupt):
        command("dna/train_autoregression", *again)
    assert (tmp_path / "killed" / "checkpoints" / "step000000010.json").exists()
    assert not (tmp_path / "killed" / "dna.json").exists()
    monkeypatch.setattr(Batches, "loss", loss)
    torch.manual_seed(99)  # and whatever torch's own generator is at
    assert command("dna/train_autoregression", *again)[0] == 0
    found = {path.name: path.read_bytes() for path in (tmp_path / "killed").iterdir()}
    assert found == whole
    other = command_options(data, tmp_path / "seed", kind, seed=1, **options)
    assert command("dna/train_autoregression", *other)[0] == 0
    assert (tmp_path / "seed" / "diffusion_pytorch_model.safetensors").read_bytes() != whole[
        "diffusion_pytorch_model.safetensors"
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "gan"}, "kind 'gan' is none of recurrent, transformer"),
        ({"batch": 161}, "a batch of 161 is more than the 160 training sequences"),
        ({"steps": 0}, "steps 0 >= 1"),
        ({"threads": 0}, "--threads 0 must be 1 or more"),
        ({"unlabelled": 1.0}, "the share without a label, 1.0"),
        ({"learning_rate": 1e30}, "the autoregressive model a diverged at step"),
    ],
)
def test_the_command_says_what_is_wrong(command, data, tmp_path, changes, message):
    code, err = command("dna/train_autoregression", *command_options(data, tmp_path / "a", **changes))
    assert (code, message in err) == (2, True), err
    assert not (tmp_path / "a" / "dna.json").exists()


def test_every_sequence_is_taken_before_one_is_taken_again():
    codes, labels = sequences(40)
    batches = Batches(codes, labels, batch=10, seed=3)
    taken = np.concatenate([batches._rows(step).numpy() for step in range(8)])
    assert sorted(taken[:40]) == sorted(taken[40:]) == list(range(40))
    assert taken[:40].tolist() != taken[40:].tolist()
    np.testing.assert_array_equal(batches._rows(2).numpy(), taken[20:30])  # asked again, out of order
    labels_seen = []
    network = model("recurrent")
    hook = network.register_forward_hook(lambda _, inputs, __: labels_seen.extend(inputs[1].tolist()))
    one = Batches(codes, np.zeros(40, np.int64), batch=40, seed=0, unlabelled=0.1)
    losses = [float(one.loss(network, step).detach()) for step in range(50)]
    hook.remove()
    assert set(labels_seen) == {0, network.anything}
    assert np.mean(np.array(labels_seen) == network.anything) == pytest.approx(0.1, abs=0.02)
    assert losses[7] == float(one.loss(network, 7).detach())


def test_it_learns_species_and_places(tmp_path):
    examples = world(600)
    codes, labels = examples.of("train")
    network = build("recurrent", 0, species=list(examples.names), length=LENGTH, width=32, context=3, inside=16)
    batches = Batches(codes, labels, batch=32, seed=0)
    recipe = Recipe(steps=200, batch=32, learning_rate=1e-2, average=0.9)
    found = train(network, batches.loss, recipe, lambda _: 0.0, tmp_path, "mark", tell=lambda _: None).network
    held_out, species = examples.of("test")
    own = bits_per_base(found, held_out, species)
    assert own < bits_per_base(found, held_out, 1 - species) - 0.3
    assert own < bits_per_base(found, held_out, np.full(len(species), found.anything)) + 0.02
    uniforms = np.random.default_rng(0).random((400, LENGTH))
    drawn, _ = sample(found, np.zeros(400, int), uniforms)
    boxes = (drawn[:, 12:18] == [3, 0, 3, 0, 0, 0]).all(axis=1)
    assert 0.35 < boxes.mean() < 0.65  # half of the first species
    assert np.isin(sample(found, np.ones(400, int), uniforms)[0], [1, 2]).mean() > 0.7


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first, second, other = (build("recurrent", seed, **sizes("recurrent")) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    marks = [checkpoints.fingerprint(network, {}) for network in (first, second, other)]
    assert marks[0] == marks[1] == marks[2]  # shapes only
    assert torch.equal(first.word.weight, second.word.weight)
    assert not torch.equal(first.word.weight, other.word.weight)


def test_memory_is_linear_in_rows_and_length():
    network = model("transformer")
    state = network.conditioned(np.zeros(5, int)).start(5)
    numbers = sum(part.numel() for cache in state.memory for part in cache)
    assert numbers == 2 * len(network.blocks) * 5 * LENGTH * 24
    assert isinstance(network, CausalTransformer)
