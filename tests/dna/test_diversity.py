"""Div of sets small enough to count, and what it must not depend on."""

import numpy as np
import pytest

from genovision.alphabet import encode
from genovision.dna.diversity import delta_diversity, diversity, half_samples, subset_diversity

RNG = np.random.default_rng(6)


def by_sets(sequences, sizes):
    """Div by the definition, with Python's sets of strings."""
    product = 1.0
    for n in sizes:
        grams = [s[i : i + n] for s in sequences for i in range(len(s) - n + 1)]
        grams = [gram for gram in grams if set(gram) <= set("ACGT")]
        product *= len(set(grams)) / len(grams)
    return product


def test_a_hand_counted_set():
    # 2-grams: AA AA AC | AA AC CA -> 3 kinds of 6; 3-grams: AAA AAC | AAC ACA -> 3 of 4
    assert diversity(encode(["AAAC", "AACA"]), sizes=(2, 3)) == pytest.approx(3 / 6 * 3 / 4)


def test_the_default_multiplies_10_11_and_12():
    # one run of A: 5, 4, 3 n-grams of one kind each
    assert diversity(encode(["A" * 14])) == pytest.approx(1 / 5 * 1 / 4 * 1 / 3)


def test_parity_with_sets_of_strings():
    sequences = ["".join(row) for row in RNG.choice(list("ACGTN"), p=[0.45, 0.45, 0.04, 0.04, 0.02], size=(30, 60))]
    assert diversity(encode(sequences)) == pytest.approx(by_sets(sequences, (10, 11, 12)))


def test_order_does_not_matter_and_repetition_does():
    codes = RNG.integers(0, 4, size=(40, 50)).astype(np.uint8)
    assert diversity(codes[::-1]) == diversity(codes)
    doubled = np.concatenate([codes[:20], codes[:20]])
    assert diversity(doubled) == pytest.approx(diversity(codes[:20]) / 8)


def test_subsets_are_sets_of_their_own():
    codes = RNG.integers(0, 2, size=(20, 40)).astype(np.uint8)
    subsets = RNG.random((5, 20)) < 0.5
    np.testing.assert_allclose(subset_diversity(codes, subsets), [diversity(codes[subset]) for subset in subsets])
    assert np.isnan(subset_diversity(codes, np.zeros((1, 20), dtype=bool))[0])


def test_unequal_sets_are_not_compared():
    codes = RNG.integers(0, 4, size=(10, 30)).astype(np.uint8)
    assert delta_diversity(codes, codes) == 0
    for other in (codes[:9], codes[:, :29]):
        with pytest.raises(ValueError, match="equal size"):
            delta_diversity(codes, other)


def test_delta_is_in_percent_of_the_natural_set():
    natural = RNG.integers(0, 2, size=(20, 40)).astype(np.uint8)
    generated = RNG.integers(0, 4, size=(20, 40)).astype(np.uint8)
    expected = 100 * (diversity(generated) / diversity(natural) - 1)
    assert delta_diversity(generated, natural) == pytest.approx(expected)
    assert expected > 0


def test_halves_are_halves_and_spread_like_the_whole():
    halves = half_samples(101, 4000, np.random.default_rng(0))
    assert (halves.sum(axis=1) == 50).all()
    values = np.random.default_rng(1).normal(size=100)
    means = half_samples(100, 4000, np.random.default_rng(2)) @ values / 50
    # the standard error of the mean of all 100, within the noise of 4000 draws
    assert means.std() == pytest.approx(values.std(ddof=1) / 10, rel=0.05)
