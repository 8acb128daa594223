"""What chooses a setting: samples against the validation fold, both encoders and words, species by species."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from genovision.dna.examples import Examples, read_examples  # noqa: E402
from genovision.dna.shuffle import dinucleotide_shuffle  # noqa: E402
from genovision.errors import InputError  # noqa: E402

OPTIONS = {"components": 4, "number": 30, "replicates": 20}


@pytest.fixture(scope="module")
def examples(tiny):
    return read_examples(tiny / "s.npz")


def validation_of(examples, tiny, **options):
    from genovision.dna.selection import Validation

    return Validation(examples, tiny / "embedding", tiny / "patch", **OPTIONS | options)


@pytest.fixture(scope="module")
def validation(examples, tiny):
    return validation_of(examples, tiny)


def measured(validation, codes, species):
    return validation.measure(codes, species).set_index("metric")


def test_real_sequences_are_nearer_than_their_shuffles(validation, examples):
    codes, species = examples.of("train")
    real = measured(validation, codes, species)
    shuffled = measured(validation, dinucleotide_shuffle(codes, np.random.default_rng(1)), species)
    assert list(real.index) == ["fred", "p_fid", "js6", "cor:TATA-box"]
    for metric in ("fred", "p_fid"):
        assert 0 <= real.loc[metric, "value"] < shuffled.loc[metric, "value"], metric
    assert real.loc["cor:TATA-box", "value"] > 0.9 > shuffled.loc["cor:TATA-box", "value"]
    assert (real["low"] <= real["value"]).all() and (real["value"] <= real["high"]).all()


def test_the_fold_itself_is_at_no_distance(validation, examples):
    found = measured(validation, *examples.of("validation"))
    assert np.allclose(found["value"], [0, 0, 0, 1], atol=1e-6)


def test_species_are_compared_each_with_its_own(validation, examples):
    codes, species = examples.of("train")
    swapped = measured(validation, codes, 1 - species)
    assert (swapped.loc[["fred", "p_fid"], "value"] > measured(validation, codes, species).loc[
        ["fred", "p_fid"], "value"]).all()  # fmt: skip


def test_only_as_many_as_the_fold_count_and_the_order_of_species_does_not(validation, examples):
    codes, species = examples.of("train")
    rows = np.concatenate([np.flatnonzero(species == label)[:30] for label in (1, 0)])
    assert validation.measure(codes, species).equals(validation.measure(codes[rows], species[rows]))


def test_settings_share_their_resamples(validation, examples, tiny, monkeypatch):
    """Replicate k takes the same rows of both sides whatever is measured, so a set has no distance from itself in any."""
    codes, species = examples.of("train")
    drawn = []
    weights = type(validation)._weights
    monkeypatch.setattr(type(validation), "_weights", lambda *given: drawn.append(weights(*given)) or drawn[-1])
    validation.measure(codes, species)
    validation.measure(codes[::-1], species[::-1])
    assert len(drawn) == 8
    for first, second in zip(drawn[:4], drawn[4:], strict=True):
        assert first.shape == (21, 30) and (first[0] == 1).all() and np.array_equal(first, second)
    assert not np.array_equal(drawn[0], drawn[1])  # those of the two sides are independent
    assert not np.array_equal(drawn[0], drawn[2])  # and so are those of two species
    other = validation_of(examples, tiny, seed=1)
    assert not np.array_equal(other._weights("set 0", 30), drawn[0])


def test_too_few_sequences_say_how_many(examples, tiny):
    kept = np.flatnonzero((examples.fold != 1) | (np.cumsum(examples.fold == 1) <= 45))  # 5 of B_two are left
    few = Examples(examples.codes[kept], examples.species[kept], examples.fold[kept], examples.names)
    with pytest.raises(
        InputError,
        match="of 30 at most, the validation fold gives 5 sequences of B_two; a covariance of 6 features needs 7",
    ):
        validation_of(few, tiny)
    with pytest.raises(InputError, match="gives 30 sequences of A_one; a covariance of 32 features needs 33"):
        validation_of(examples, tiny, components=32)
    with pytest.raises(InputError, match="no 999 principal components"):
        validation_of(examples, tiny, components=999)


def test_too_few_samples_say_how_many(validation, examples):
    codes, species = examples.of("test")
    with pytest.raises(InputError, match="there are 20 samples of A_one, 30 are needed"):
        validation.measure(codes, species)


def test_samples_and_encoders_of_other_sequences_are_refused(validation, examples, tiny):
    codes, species = examples.of("train")
    with pytest.raises(InputError, match="a set has sequences of 64 bases, the data's have 80"):
        validation.measure(codes[:, :64], species)
    short = Examples(examples.codes[:, :64], examples.species, examples.fold, examples.names)
    with pytest.raises(InputError, match="embedding has sequences of 80 bases, the data's have 64"):
        validation_of(short, tiny)
    other = Examples(examples.codes, examples.species, examples.fold, ("C_three", "D_four"))
    with pytest.raises(InputError, match="embedding is of A_one, B_two, the data are of C_three, D_four"):
        validation_of(other, tiny)
