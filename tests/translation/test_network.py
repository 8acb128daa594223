"""The translation network: padding never matters, a state kept is a state computed, and folders that transformers reads."""

import copy
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from translation.tiny import DIGEST, SIZE, network, reversals  # noqa: E402

from genovision import checkpoints  # noqa: E402
from genovision.checkpoints import read_tensors, write_tensors  # noqa: E402
from genovision.errors import InputError  # noqa: E402
from genovision.translation.batches import padded  # noqa: E402
from genovision.translation.network import (  # noqa: E402
    ARCHITECTURES,
    Sizes,
    Translator,
    build,
    read_members,
    read_network,
    warm_started,
    write_network,
)
from genovision.translation.tokenizer import PAD, START  # noqa: E402


@pytest.fixture(scope="module")
def pairs():
    return padded(reversals(6), range(6))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_changes_nothing(pairs, architecture):
    translator = network(architecture=architecture, sharp=3.0)
    source, target = pairs
    together = translator(source, target).logits
    alone = [translator(*(one[row][one[row] != PAD][None] for one in pairs)).logits for row in range(len(source))]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)
    wide = [torch.nn.functional.pad(one, (0, 5), value=PAD) for one in pairs]
    torch.testing.assert_close(translator(*wide).logits, together, rtol=0, atol=1e-5)


def test_a_token_is_predicted_from_those_before_it(pairs):
    translator = network(sharp=3.0)
    source, target = (one[:1, :3].clone() for one in pairs)
    before = translator(source, target).logits
    target[0, 1] = 3 + (target[0, 1] - 2) % (SIZE - 3)
    after = translator(source, target).logits
    torch.testing.assert_close(before[:2], after[:2], rtol=0, atol=0)
    assert (before[2] - after[2]).abs().max() > 1e-3


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_step_by_step_is_all_at_once(pairs, architecture):
    translator = network(architecture=architecture, sharp=3.0, head="scale")
    source, target = pairs
    encoded = translator.encode(source)
    whole = translator.outputs(translator.states(encoded, target))
    progress, tokens = translator.start(encoded), torch.full((len(source),), START)
    order = torch.arange(len(source))
    for position in range(target.shape[1]):
        torch.testing.assert_close(progress.step(tokens), whole.logits[order, position], rtol=0, atol=1e-5)
        rows = torch.tensor([3, 3, 0]) if position == 1 else torch.arange(len(order))
        progress.select(rows)
        order = order[rows]
        tokens = target[order, position]


def test_a_second_layer_leaves_the_first_as_it_is(pairs):
    translator = network()
    for head, units in (("scale", SIZE + 1), ("precision", 1)):
        student = warm_started(translator, head)
        found = student(*pairs)
        torch.testing.assert_close(found.logits, translator(*pairs).logits, rtol=0, atol=0)
        assert found.second.shape == (int((pairs[1] != PAD).sum()), units) and not found.second.any()
    assert translator(*pairs).second is None


def test_one_matrix_is_the_embedding_and_the_output_layer():
    translator = network()
    names = list(translator.state_dict())
    assert sum("shared" in name or "lm_head" in name or "embed_tokens" in name for name in names) == 1
    twin = copy.deepcopy(translator)
    other = network(seed=1)
    checkpoints.load_into(other, twin.state_dict(), "twin")
    with torch.no_grad():
        other.network.model.shared.weight.add_(1.0)
    assert torch.equal(other.network.lm_head.weight, translator.network.model.shared.weight + 1)
    assert torch.equal(twin.network.lm_head.weight, translator.network.model.shared.weight)


def test_weights_are_a_matter_of_the_seed():
    state = torch.get_rng_state()
    first, again, other = (network(seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    name = "network.model.shared.weight"
    assert not torch.equal(first[name], other[name])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_folder_is_read_back_here_and_by_transformers(pairs, tmp_path, architecture):
    transformers = pytest.importorskip("transformers")
    student = network(architecture=architecture, sharp=3.0, head="scale")
    write_network(tmp_path / "a", student, DIGEST, {"steps": 3})
    write_network(tmp_path / "b", read_network(tmp_path / "a", DIGEST)[0], DIGEST, {"steps": 3})
    for name in ("config.json", "model.safetensors", "facts.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    read, facts = read_network(tmp_path / "a")
    assert facts == {"steps": 3, "vocabulary": DIGEST} and not read.training and read.head == "scale"
    for found, wanted in zip(read(*pairs), student(*pairs), strict=True):
        assert torch.equal(found, wanted)
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "a").eval()
    source, target = pairs
    before = torch.nn.functional.pad(target[:, :-1], (1, 0), value=START)
    logits = theirs(input_ids=source, attention_mask=source != PAD, decoder_input_ids=before).logits
    torch.testing.assert_close(logits[target != PAD], student(*pairs).logits, rtol=0, atol=1e-5)


def test_folders_that_are_no_network(tmp_path):
    write_network(tmp_path / "a", network(), DIGEST)
    with pytest.raises(InputError, match=r"reads the vocabulary abababababab, here it is cdcdcdcdcdcd"):
        read_network(tmp_path / "a", "cd" * 32)
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    own = config["genovision"]
    for changed, match in (
        ({}, "does not describe a translation network"),
        (
            {"genovision": own | {"sizes": own["sizes"] | {"width": 32}}},
            r"another architecture: .* is \(64, 16\), \(64, 32\) is needed",
        ),
        ({"genovision": own | {"head": "precision"}}, "it lacks second"),
        ({"genovision": own | {"head": "tail"}}, "'tail' is none of scale, precision"),
        ({"genovision": own | {"sizes": own["sizes"] | {"depth": 3}}}, "does not describe a translation network"),
    ):
        content = changed and config | changed
        (tmp_path / "a" / "config.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match=match):
            read_network(tmp_path / "a")
    (tmp_path / "a" / "config.json").write_text("{")
    with pytest.raises(InputError, match="no whole JSON"):
        read_network(tmp_path / "a")
    (tmp_path / "a" / "config.json").write_text(json.dumps(config))
    tensors = read_tensors(tmp_path / "a" / "model.safetensors")
    tensors["model.shared.weight"][3, 2] = np.nan
    write_tensors(tensors, tmp_path / "a" / "model.safetensors")
    with pytest.raises(InputError, match=r"weights that are not finite \(model.shared.weight\)"):
        read_network(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        read_network(tmp_path / "b")


def test_members_share_a_vocabulary(tmp_path):
    write_network(tmp_path / "a", network(), DIGEST)
    write_network(tmp_path / "b", network(1), "cd" * 32)
    assert len(read_members([tmp_path / "a", tmp_path / "a"])) == 2
    with pytest.raises(InputError, match="read different vocabularies"):
        read_members([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(InputError, match="needs 2 or more members, 1 given"):
        read_members([tmp_path / "a"], least=2)
    with pytest.raises(InputError, match="needs 1 or more members, 0 given"):
        read_members([])


def test_sentences_that_are_all_padding_or_too_long():
    translator = network(longest=5)
    row, empty = torch.tensor([[4, 2, PAD]]), torch.full((1, 3), PAD)
    with pytest.raises(ValueError, match="row 1 of the source has no token"):
        translator(torch.cat([row, empty]), torch.cat([row, row]))
    with pytest.raises(ValueError, match="row 0 of the target has no token"):
        translator(row, empty)
    with pytest.raises(ValueError, match=r"source tokens are \(B, at most 5\), these are \(1, 6\)"):
        translator(torch.full((1, 6), 4), row)
    with pytest.raises(ValueError, match="has no token"):
        translator(empty[:, :0], row)


def test_sizes_that_make_no_network():
    for changes in ({"vocabulary": 3}, {"width": 10, "heads": 4}, {"layers": 0}, {"dropout": 1.0}):
        with pytest.raises(InputError, match="is no translation network"):
            Sizes(**({"vocabulary": 9} | changes))
    with pytest.raises(InputError, match="'bart' is none of marian, pegasus"):
        Sizes(9, architecture="bart")
    with pytest.raises(InputError, match="'tail' is none of"):
        Translator(Sizes(9, 8, 1, 1, 8), "tail")
    assert build(Sizes(9, 8, 1, 1, 8), 0).device.type == "cpu"
