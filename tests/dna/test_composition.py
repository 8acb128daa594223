"""Spectra counted by hand, bounds and symmetry of the divergence, weights as repetitions."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from genovision.alphabet import encode
from genovision.dna.composition import base_fractions, composition_l1, gc_content, jensen_shannon, kmers, spectrum

RNG = np.random.default_rng(4)
counts = st.lists(st.integers(0, 50), min_size=6, max_size=6).filter(any)


def random_codes(number=20, length=30, letters=4):
    codes = RNG.integers(0, letters, size=(number, length)).astype(np.uint8)
    return np.where(codes > 3, 255, codes).astype(np.uint8)


def test_kmers_are_base_four_numbers():
    assert kmers(encode(["ACGTN"]), 2).tolist() == [[0 * 4 + 1, 1 * 4 + 2, 2 * 4 + 3, -1]]
    assert kmers(encode(["T" * 12]), 12).tolist() == [[4**12 - 1]]
    for k in (0, 6, 32):
        with pytest.raises(ValueError, match="is not in 1"):
            kmers(encode(["ACGTA"]), k)


def test_spectrum_counts_words():
    codes = random_codes(letters=5)
    words = Counter()
    for row in codes:
        for start in range(len(row) - 2):
            if (row[start : start + 3] < 4).all():
                words[row[start] * 16 + row[start + 1] * 4 + row[start + 2]] += 1
    expected = np.zeros(64)
    for word, count in words.items():
        expected[int(word)] = count
    np.testing.assert_array_equal(spectrum(codes, 3), expected)


def test_weights_are_repetitions():
    codes = random_codes()
    times = RNG.integers(0, 4, size=len(codes))
    repeated = np.repeat(codes, times, axis=0)
    np.testing.assert_allclose(spectrum(codes, 2, times[None]), [spectrum(repeated, 2)])
    np.testing.assert_allclose(base_fractions(codes, times[None]), [base_fractions(repeated)])


@given(counts, counts)
def test_the_divergence_is_symmetric_and_bounded(p, q):
    value = jensen_shannon(p, q)
    assert 0 <= value <= np.log(2)
    assert value == pytest.approx(jensen_shannon(q, p), abs=1e-15)
    # scipy's distance is the root
    assert value == pytest.approx(jensenshannon(p, q) ** 2, abs=1e-12)


def test_the_divergence_is_nought_for_equal_and_ln_2_for_disjoint_spectra():
    assert jensen_shannon([1, 2, 3], [10, 20, 30]) == pytest.approx(0, abs=1e-15)
    assert jensen_shannon([1, 0, 2, 0], [0, 5, 0, 1]) == pytest.approx(np.log(2))
    # by hand: p = (1, 0), q = (1/2, 1/2), middle = (3/4, 1/4)
    assert jensen_shannon([1, 0], [1, 1]) == pytest.approx(
        0.5 * np.log(4 / 3) + 0.25 * np.log(2 / 3) + 0.25 * np.log(2)
    )
    assert np.isnan(jensen_shannon([0, 0], [1, 1]))


def test_gc_content_leaves_other_letters_out():
    np.testing.assert_allclose(gc_content(encode(["ACGT", "GCNN", "AATN"])), [0.5, 1.0, 0.0])
    assert np.isnan(gc_content(encode(["NN"]))[0])


def test_base_fractions_by_position():
    fractions = base_fractions(encode(["AC", "AG", "AN", "TC"]))
    np.testing.assert_allclose(fractions, [[0.75, 0, 0, 0.25], [0, 2 / 3, 1 / 3, 0]])


def test_composition_l1_runs_from_equal_to_disjoint():
    a, b = base_fractions(encode(["AAAA"])), base_fractions(encode(["CCCC"]))
    assert composition_l1(a, a) == 0
    assert composition_l1(a, b) == 0.5
    assert composition_l1(np.stack([a, b]), a).tolist() == [0, 0.5]
