"""Floors come from the training fold alone, real sets are drawn without replacement."""

import numpy as np
import pytest

from genovision.alphabet import encode
from genovision.dna.composition import base_fractions, spectrum
from genovision.dna.reference import is_reference, reference_set

RNG = np.random.default_rng(9)


def words(number, letters="ACGT"):
    return ["".join(row) for row in RNG.choice(list(letters), size=(number, 40))]


FOLDS = {"train": words(200), "validation": words(10), "test": words(20), "annotation": words(25)}


@pytest.mark.parametrize("name", ["train", "validation", "test", "annotation"])
def test_real_sets_are_drawn_without_replacement_in_order(name):
    drawn = reference_set(name, FOLDS, 10, np.random.default_rng(1))
    places = [FOLDS[name].index(sequence) for sequence in drawn]
    assert places == sorted(set(places))
    assert len(drawn) == 10


def test_all_of_a_fold_is_the_fold():
    assert reference_set("test", FOLDS, 20, RNG) == FOLDS["test"]


def test_the_shuffle_keeps_dinucleotides_of_training_sequences():
    shuffled = reference_set("shuffle", FOLDS, 200, np.random.default_rng(2))
    np.testing.assert_array_equal(spectrum(encode(shuffled), 2), spectrum(encode(FOLDS["train"]), 2))
    assert not set(shuffled) & set(FOLDS["train"])


def test_chains_are_fitted_on_training_sequences_alone():
    folds = {"train": words(50, "AC"), "test": words(50, "GT")}
    for name in ("markov5", "position_markov3"):
        sampled = "".join(reference_set(name, folds, 100, np.random.default_rng(3)))
        # only the back-off's share of a training base that was never seen
        assert (sampled.count("G") + sampled.count("T")) / len(sampled) < 0.01


def test_the_positional_chain_follows_the_composition():
    train = ["A" * 20 + one[20:] for one in words(200)]
    fractions = base_fractions(
        encode(reference_set("position_markov3", {"train": train}, 500, np.random.default_rng(4)))
    )
    assert fractions[:10, 0].min() > 0.95
    assert fractions[30:, 0].max() < 0.4


def test_more_may_be_generated_than_there_are_and_not_drawn():
    assert len(reference_set("markov2", FOLDS, 500, RNG)) == 500
    for name in ("test", "shuffle"):
        with pytest.raises(ValueError, match=f"{name} needs 500"):
            reference_set(name, FOLDS, 500, RNG)
    with pytest.raises(ValueError, match="annotation needs 1"):
        reference_set("annotation", {"train": ["ACGT"]}, 1, RNG)


def test_floors_leave_sequences_with_other_letters_out():
    folds = {"train": ["ACGN" * 10, *words(5)]}
    assert len(reference_set("shuffle", folds, 5, RNG)) == 5
    with pytest.raises(ValueError, match="needs 6"):
        reference_set("shuffle", folds, 6, RNG)


def test_names():
    assert all(map(is_reference, ["train", "shuffle", "markov0", "markov8", "position_markov3"]))
    for name in ("markov9", "markov", "position_markov", "discdiff", "train2", "xmarkov5"):
        assert not is_reference(name)
        with pytest.raises(ValueError, match="no reference set"):
            reference_set(name, FOLDS, 1, RNG)
