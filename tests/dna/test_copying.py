"""The nearest training sequence, found by looking at all of them."""

import numpy as np
import pytest

from genovision.alphabet import encode
from genovision.dna import copying
from genovision.dna.copying import nearest_identity

RNG = np.random.default_rng(7)


def by_loop(codes, pool, exclude_equal=False):
    best = []
    for one in codes:
        matches = [((one == other) & (one < 4)).mean() for other in pool]
        best.append(max(match for match in matches if match < 1 or not exclude_equal))
    return best


@pytest.mark.parametrize("block", [3, 1024])
def test_parity_with_the_loop(monkeypatch, block):
    monkeypatch.setattr(copying, "_ROWS", block)
    codes, pool = RNG.integers(0, 4, size=(10, 25)).astype(np.uint8), RNG.integers(0, 4, size=(17, 25)).astype(np.uint8)
    codes[0, 3], pool[5, 7] = 255, 255
    codes[1] = pool[4]
    np.testing.assert_allclose(nearest_identity(codes, pool), by_loop(codes, pool))
    np.testing.assert_allclose(nearest_identity(codes, pool, exclude_equal=True), by_loop(codes, pool, True))


def test_a_copy_has_identity_one_unless_it_is_the_sequence_itself():
    pool = encode(["AAAA", "AACC", "GGGG"])
    assert nearest_identity(encode(["AAAA"]), pool).tolist() == [1.0]
    assert nearest_identity(encode(["AAAA"]), pool, exclude_equal=True).tolist() == [0.5]


def test_unknown_letters_match_nothing_not_even_each_other():
    assert nearest_identity(encode(["NNAA"]), encode(["NNAA"])).tolist() == [0.5]


def test_nothing_to_compare_with_is_refused():
    codes = encode(["ACGT"])
    with pytest.raises(ValueError, match="pool has shape"):
        nearest_identity(codes, codes[:, :3])
    with pytest.raises(ValueError, match="pool has shape"):
        nearest_identity(codes, codes[:0])
    with pytest.raises(ValueError, match="no other sequence"):
        nearest_identity(codes, codes, exclude_equal=True)
