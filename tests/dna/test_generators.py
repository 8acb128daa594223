"""Every kind of trained generator behind one interface."""

import inspect
import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from genovision.dna import autoregression  # noqa: E402
from genovision.dna.examples import check_length, check_names, read_examples  # noqa: E402
from genovision.dna.generators import (  # noqa: E402
    OPTIONS,
    effective_options,
    open_generator,
    read_facts,
)
from genovision.errors import InputError  # noqa: E402

NAMES = ("A_one", "B_two")
KINDS = {name: "autoregression" if name in ("recurrent", "transformer") else name for name in
         ("recurrent", "transformer", "latent", "onehot", "masked")}  # fmt: skip
TAKEN = {
    "autoregression": ["temperature"],
    "latent": ["sampler", "nfe", "guidance"],
    "onehot": ["sampler", "nfe", "guidance"],
    "masked": ["rounds", "temperature", "guidance"],
}
LABELS = np.array([0, 1, 2, 0, 1, 2, 1])  # 2 is any species


@pytest.fixture(params=KINDS)
def name(request):
    return request.param


@pytest.fixture
def generator(tiny, name):
    return open_generator(tiny / name)


def test_a_generator_says_what_it_is(generator, name):
    assert (generator.kind, tuple(generator.names), generator.length) == (KINDS[name], NAMES, 80)


def test_draws_are_bases_with_a_confidence(generator):
    tokens, confidence = generator.draw(LABELS, 3)
    assert (tokens.shape, tokens.dtype) == ((7, 80), np.uint8) and tokens.max() <= 3
    assert (confidence.shape, confidence.dtype) == ((7, 80), np.float32)
    assert ((confidence > 0) & (confidence <= 1)).all()


def test_a_set_depends_on_the_seed_alone(generator):
    first, again, other = (generator.draw(LABELS, seed)[0] for seed in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_what_is_drawn_for_a_sequence_does_not_depend_on_the_batch(generator, monkeypatch):
    whole = generator.draw(LABELS, 3)
    if generator.kind == "autoregression":  # has no option, as its uniforms are those of the sequence
        sample = autoregression.sample
        monkeypatch.setattr(autoregression, "sample", lambda *given: sample(*given, batch=3))
        parts = generator.draw(LABELS, 3)
    else:
        parts = generator.draw(LABELS, 3, batch=3)
    assert (whole[0] == parts[0]).mean() > 0.999  # rounding depends on the size of a batch
    assert np.allclose(whole[1], parts[1], atol=1e-4)


def test_the_posterior_is_a_distribution_and_autoregression_has_none(generator, tiny):
    codes, labels = read_examples(tiny / "s.npz").of("test")
    found = generator.posterior(codes[15:25], labels[15:25], 5)
    if generator.kind == "autoregression":
        assert found is None
        return
    assert (found.shape, found.dtype) == ((10, 80, 4), np.float32)
    assert (found >= 0).all() and np.allclose(found.sum(axis=2), 1, atol=1e-4)
    assert np.array_equal(found, generator.posterior(codes[15:25], labels[15:25], 5))


def test_a_posterior_of_other_sequences_is_refused(generator, tiny):
    if generator.kind == "autoregression":
        return
    codes, labels = read_examples(tiny / "s.npz").of("test")
    with pytest.raises(InputError, match="80 bases"):
        generator.posterior(codes[:3, :79], labels[:3], 0)
    with pytest.raises(InputError, match="bases"):
        generator.posterior(np.full((1, 80), 4, dtype=np.uint8), labels[:1], 0)


def test_a_species_that_the_model_lacks_is_told_with_those_it_has(generator):
    with pytest.raises(InputError, match=r"A_one.*B_two"):
        generator.draw(np.array([3]), 0)


def test_options_of_other_kinds_are_refused(generator):
    taken = TAKEN[generator.kind]
    parameters = inspect.signature(generator.draw).parameters
    usual = {name: parameters[name].default for name in taken}
    assert effective_options(generator, {}) == usual
    assert effective_options(generator, {taken[-1]: 0.5}) == usual | {taken[-1]: 0.5}
    for option in set(OPTIONS) - set(taken):
        with pytest.raises(InputError, match=f"kind {generator.kind} takes {', '.join(taken)}, not {option}"):
            effective_options(generator, {option: 1})


def test_options_out_of_range_are_refused(generator):
    wrong = {"temperature": 0.0, "guidance": -1.0, "nfe": 0, "rounds": 0, "sampler": "magic"}
    for option in TAKEN[generator.kind]:
        with pytest.raises(InputError, match={"nfe": "0 evaluations", "sampler": "magic"}.get(option, option)):
            generator.draw(LABELS, 0, **{option: wrong[option]})


def test_an_unknown_kind_lists_those_there_are(tmp_path):
    with pytest.raises(InputError, match=r"is missing;.*is no folder of a trained DNA model"):
        open_generator(tmp_path)
    for text, message in (
        ('{"kind": ', "is no whole JSON file"),
        ("[]", "does not say the model's kind"),
        ('{"steps": 3}', "does not say the model's kind"),
        ('{"kind": "embedding"}', "kind 'embedding', which is no generator: autoregression, latent, onehot, masked"),
        ('{"kind": "gan"}', "kind 'gan', which is no generator"),
    ):
        (tmp_path / "dna.json").write_text(text)
        with pytest.raises(InputError, match=message):
            open_generator(tmp_path)


def test_weights_of_another_configuration_are_refused(tiny, tmp_path, name):
    shutil.copytree(tiny / name, tmp_path / "model")
    folder = tmp_path / "model" / ("unet" if name == "latent" else ".")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"width": 24}))
    with pytest.raises(InputError, match="model"):
        open_generator(tmp_path / "model")


def test_names_are_those_of_the_data_in_their_order(tiny):
    check_names(tiny / "latent", read_facts(tiny / "latent")["species"], NAMES)
    for wanted in (NAMES[::-1], NAMES[:1], ("A_one", "C_three")):
        with pytest.raises(InputError, match=f"latent is of A_one, B_two, the data are of {', '.join(wanted)}: labels"):
            check_names(tiny / "latent", NAMES, wanted)


def test_lengths_are_those_of_the_data():
    check_length("model", 80, 80)
    with pytest.raises(InputError, match="model has sequences of 80 bases, the data's have 256"):
        check_length("model", 80, 256)
