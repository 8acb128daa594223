"""The shuffle keeps every dinucleotide count and both ends, and reaches all such sequences equally often."""

from collections import Counter
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genovision.alphabet import decode, encode
from genovision.dna.composition import spectrum
from genovision.dna.shuffle import _TREES, dinucleotide_shuffle


def pairs(sequence):
    return Counter(pairwise(sequence))


def all_rearrangements(sequence):
    """Every sequence with the same dinucleotide counts and ends, by trying all orders of the inner bases."""
    inner = set(permutations(sequence[1:-1]))
    candidates = {sequence[0] + "".join(order) + sequence[-1] for order in inner}
    return sorted(candidate for candidate in candidates if pairs(candidate) == pairs(sequence))


def test_there_are_sixteen_trees_on_four_bases():
    # Cayley: 4**(4 - 2) for each root
    assert _TREES.shape == (4, 16, 4)
    assert len({tuple(tree) for root in _TREES for tree in root}) == 64


@given(st.lists(st.text("ACGT", min_size=12, max_size=12), min_size=1, max_size=20), st.integers(0, 2**32))
@settings(deadline=None)
def test_counts_and_ends_are_kept(sequences, seed):
    shuffled = decode(dinucleotide_shuffle(encode(sequences), np.random.default_rng(seed)))
    for before, after in zip(sequences, shuffled, strict=True):
        assert pairs(before) == pairs(after)
        assert (before[0], before[-1]) == (after[0], after[-1])


@pytest.mark.parametrize("sequence", ["", "A", "AC", "AAAAAAAA", "ACACACAC", "AAAACCCC"])
def test_what_has_one_arrangement_stays(sequence):
    if not sequence:
        assert dinucleotide_shuffle(np.empty((2, 0), dtype=np.uint8), np.random.default_rng(0)).shape == (2, 0)
        return
    assert decode(dinucleotide_shuffle(encode([sequence] * 3), np.random.default_rng(0))) == [sequence] * 3


@pytest.mark.parametrize("sequence", ["AACAAGACA", "ACGTCATGA", "AATATTAGA", "CAACGCAAC"])
def test_every_arrangement_is_equally_likely(sequence):
    arrangements = all_rearrangements(sequence)
    assert len(arrangements) >= 4
    draws = 2000 * len(arrangements)
    counts = Counter(decode(dinucleotide_shuffle(encode([sequence] * draws), np.random.default_rng(12))))
    assert sorted(counts) == arrangements
    # chi-squared with k - 1 degrees of freedom, at about one in ten thousand
    statistic = sum((count - 2000) ** 2 / 2000 for count in counts.values())
    degrees = len(arrangements) - 1
    assert statistic < degrees + 4 * np.sqrt(2 * degrees) + 10


def test_a_rare_way_out_is_no_obstacle():
    # C leaves for A once in 50 times: drawing last edges by trial and error would fail again and again
    sequence = "A" + "C" * 50 + "A" + "G" * 50 + "A" + "T" * 50 + "A"
    shuffled = decode(dinucleotide_shuffle(encode([sequence] * 200), np.random.default_rng(1)))
    assert all(pairs(one) == pairs(sequence) for one in shuffled)
    assert len(set(shuffled)) == 6


def test_long_sequences_lose_their_order_but_not_their_pairs():
    codes = np.random.default_rng(2).integers(0, 4, size=(300, 256)).astype(np.uint8)
    shuffled = dinucleotide_shuffle(codes, np.random.default_rng(3))
    np.testing.assert_array_equal(spectrum(shuffled, 2), spectrum(codes, 2))
    assert (shuffled == codes).mean() == pytest.approx(0.25, abs=0.02)
    assert not np.array_equal(dinucleotide_shuffle(codes, np.random.default_rng(4)), shuffled)


def test_other_letters_are_refused():
    with pytest.raises(ValueError, match="only A, C, G, T"):
        dinucleotide_shuffle(encode(["ACGN"]), np.random.default_rng(0))
