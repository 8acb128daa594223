"""What sequences are made of: k-mers, G+C, bases by position; and how far two sets are apart in it.

Sequences are codes (N, L) uint8, 0 to 3 for A, C, G, T and 255 for any other letter (genovision.alphabet.encode).
`weights` (R, N) says how often each sequence counts in each of R replicates: a bootstrap is one matrix product.
"""

import numpy as np
import numpy.typing as npt

_ROWS = 2048  # sequences counted at a time: bounds the memory


def kmers(codes: npt.NDArray[np.uint8], k: int) -> npt.NDArray[np.int64]:
    """k-mers as integers of 2 bits a base, first base highest: (N, L - k + 1); -1 where a letter is not A, C, G, T.

    Raises ValueError for k outside 1 .. 31 or longer than the sequences.
    """
    number, length = codes.shape
    if not 1 <= k <= min(31, length):
        raise ValueError(f"k = {k} is not in 1 .. {min(31, length)} for sequences of {length} bases")
    places = length - k + 1
    value = np.zeros((number, places), dtype=np.int64)
    other = np.zeros((number, places), dtype=bool)
    for offset in range(k):
        base = codes[:, offset : offset + places]
        value = (value << 2) | (base & 3)
        other |= base > 3
    value[other] = -1
    return value


def spectrum(codes: npt.NDArray[np.uint8], k: int, weights: npt.ArrayLike | None = None) -> npt.NDArray[np.float64]:
    """How often each k-mer occurs: (4**k,) counts, or (R, 4**k) with weights (R, N). k-mers with another letter are left out."""
    weight = np.ones((1, len(codes))) if weights is None else np.asarray(weights, dtype=np.float64)
    total = np.zeros((len(weight), 4**k))
    for first in range(0, len(codes), _ROWS):
        values = kmers(codes[first : first + _ROWS], k)
        row, place = np.nonzero(values >= 0)
        cell = row * 4**k + values[row, place]
        counts = np.bincount(cell, minlength=len(values) * 4**k).reshape(len(values), 4**k)
        total += weight[:, first : first + _ROWS] @ counts.astype(np.float64)
    return total[0] if weights is None else total


def jensen_shannon(p: npt.ArrayLike, q: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Jensen-Shannon divergence in nats of two spectra (..., K), each normalised to sum 1: in [0, ln 2], symmetric.

    It falls with the number of sequences: compare sets of equal size, beside the value of real against real. NaN for an empty spectrum.
    """
    p, q = (np.asarray(counts, dtype=np.float64) for counts in (p, q))
    with np.errstate(invalid="ignore"):
        p, q = (counts / counts.sum(axis=-1, keepdims=True) for counts in (p, q))
    middle = (p + q) / 2

    def relative_entropy(a):
        ratio = np.divide(a, middle, out=np.ones(middle.shape), where=a > 0)
        return (a * np.log(ratio)).sum(axis=-1)

    return np.clip((relative_entropy(p) + relative_entropy(q)) / 2, 0.0, np.log(2))


def gc_content(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Fraction of G and C among A, C, G, T of each sequence: (N,); NaN for a sequence without any."""
    known = (codes <= 3).sum(axis=1)
    strong = ((codes == 1) | (codes == 2)).sum(axis=1)
    return np.divide(strong, known, out=np.full(len(codes), np.nan), where=known > 0)


def base_fractions(codes: npt.NDArray[np.uint8], weights: npt.ArrayLike | None = None) -> npt.NDArray[np.float64]:
    """Fractions of A, C, G, T at each position: (L, 4), or (R, L, 4) with weights (R, N); other letters do not count."""
    weight = np.ones((1, len(codes))) if weights is None else np.asarray(weights, dtype=np.float64)
    counts = np.stack([weight @ (codes == base).astype(np.float64) for base in range(4)], axis=-1)
    with np.errstate(invalid="ignore"):
        fractions = counts / counts.sum(axis=-1, keepdims=True)
    return fractions[0] if weights is None else fractions


def composition_l1(fractions: npt.ArrayLike, others: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Mean absolute difference of base fractions (..., L, 4) over positions and bases, in [0, 0.5]."""
    difference = np.abs(np.asarray(fractions, dtype=np.float64) - np.asarray(others, dtype=np.float64))
    return difference.mean(axis=(-2, -1))
