"""Comparing motif-position curves (DiscDiff, arXiv 2402.06079): CorM, MSE_M, the peak and what it rises from.

Curves are in percent of sequences, shape (..., L); leading axes (bootstrap replicates) are kept. The start site is at index L // 2.
"""

import numpy as np
import numpy.typing as npt

from genovision.dna.motifs import Motif

CURVES = ["species", "length", "set", "motif", "position", "percent", "low", "high"]
CURVES += ["window", "window_percent", "window_low", "window_high"]


def positions(length: int) -> npt.NDArray[np.int64]:
    """Position of each index relative to the start site: index - length // 2. The start site itself is 0, one base upstream -1."""
    return np.arange(length) - length // 2


def fits(length: int, motif: Motif) -> npt.NDArray[np.bool_]:
    """(L,) True where the reference column can lie with the whole motif inside the sequence."""
    index = np.arange(length)
    return (index >= motif.reference) & (index <= length - len(motif.matrix) + motif.reference)


def expected(length: int, motif: Motif) -> npt.NDArray[np.bool_]:
    """(L,) True in the motif's expected region, clipped to the window; everywhere when the motif has none.

    The region counts the start site as +1 without a 0, so +k is index L // 2 + k - 1 and -k is index L // 2 - k.
    """
    if motif.region is None:
        return np.ones(length, dtype=bool)
    first, last = (bound - (bound > 0) for bound in motif.region)
    return (positions(length) >= first) & (positions(length) <= last)


def is_constant(curve: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """True for a curve with one value only: it correlates with nothing."""
    return np.ptp(np.asarray(curve, dtype=np.float64), axis=-1) == 0


def cor_m(generated: npt.ArrayLike, natural: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """CorM: Pearson correlation of two curves over all positions, in [-1, 1].

    NaN when either curve is constant (`is_constant`), never 0: a set without the motif has no correlation to report.
    """
    a, b = (np.asarray(curve, dtype=np.float64) for curve in (generated, natural))
    undefined = is_constant(a) | is_constant(b)
    a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)
    scale = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    return np.where(undefined, np.nan, (a * b).sum(axis=-1) / np.where(undefined, 1.0, scale))


def mse_m(generated: npt.ArrayLike, natural: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """MSE_M: mean squared difference of two curves over all positions, in percentage points squared."""
    difference = np.asarray(generated, dtype=np.float64) - np.asarray(natural, dtype=np.float64)
    return (difference * difference).mean(axis=-1)


def peak(curve: npt.ArrayLike, motif: Motif) -> npt.NDArray[np.float64]:
    """Highest value in the expected region, percent; NaN when the region lies outside the window."""
    curve = np.asarray(curve, dtype=np.float64)
    inside = curve[..., expected(curve.shape[-1], motif)]
    return inside.max(axis=-1) if inside.shape[-1] else np.full(curve.shape[:-1], np.nan)


def peak_position(curve: npt.ArrayLike, motif: Motif) -> float:
    """Where one curve (L,) is highest in the expected region, relative to the start site (0); the first of equals, NaN if all are 0."""
    curve = np.asarray(curve, dtype=np.float64)
    inside = expected(len(curve), motif)
    if not curve[inside].any():
        return float("nan")
    return float(positions(len(curve))[inside][curve[inside].argmax()])


def background(curve: npt.ArrayLike, motif: Motif) -> npt.NDArray[np.float64]:
    """Median outside the expected region, over the positions where the motif fits, percent; NaN when there are none.

    A motif without an expected region has the median over all positions where it fits.
    """
    curve = np.asarray(curve, dtype=np.float64)
    length = curve.shape[-1]
    outside = fits(length, motif)
    if motif.region is not None:
        outside &= ~expected(length, motif)
    return np.median(curve[..., outside], axis=-1) if outside.any() else np.full(curve.shape[:-1], np.nan)
