"""Are training sequences copied? Identity with the nearest one, position by position."""

import numpy as np
import numpy.typing as npt

_ROWS = 1024  # sequences of each side in one product: bounds the memory


def _one_hot(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(N, L) -> (N, 4 L); a letter other than A, C, G, T is all zeros and so equals nothing."""
    return (codes[:, :, None] == np.arange(4, dtype=np.uint8)).reshape(len(codes), -1).astype(np.float32)


def nearest_identity(
    codes: npt.NDArray[np.uint8], pool: npt.NDArray[np.uint8], exclude_equal: bool = False
) -> npt.NDArray[np.float64]:
    """Identity of each sequence with its nearest in the pool, 1 - Hamming / L in [0, 1]: (N,).

    codes (N, L), pool (M, L). Windows are compared as they stand, without gaps or shifts: the start site aligns them.
    exclude_equal leaves equal sequences of the pool out. That is for a set drawn from the pool itself: in a pool without duplicates
    the equal sequence is the sequence itself, and the value is the nearest other one's. Never for a generated set, whose copies count.
    Raises ValueError for unequal lengths or when nothing is left to compare with.
    """
    length = codes.shape[1]
    if not len(pool) or pool.shape[1] != length:
        raise ValueError(f"the pool has shape {pool.shape}; sequences have {length} bases")
    best = np.full(len(codes), -1.0)
    for start in range(0, len(pool), _ROWS):
        others = _one_hot(pool[start : start + _ROWS])
        for first in range(0, len(codes), _ROWS):
            # sums of ones are exact in float32 up to 2**24 bases
            matches = _one_hot(codes[first : first + _ROWS]) @ others.T
            if exclude_equal:
                matches[matches == length] = -1
            rows = slice(first, first + _ROWS)
            best[rows] = np.maximum(best[rows], matches.max(axis=1))
    if (best < 0).any():
        raise ValueError("a sequence has no other sequence in the pool")
    return best / length
