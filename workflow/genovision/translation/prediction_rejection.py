"""Does uncertainty find the sentences of low quality? The prediction rejection ratio (Malinin, Ragni, Knill & Gales 2017).

Sentences are rejected from the most uncertain on and count as perfect from then on. The area that this gains over rejecting at random, as
a share of what rejecting by the true quality gains. Only the order of the uncertainties counts, and neither a constant added to the
quality nor its unit.
"""

import warnings

import numpy as np
import numpy.typing as npt

from genovision.uncertainty.metrics import UndefinedMetric

Floats = npt.NDArray[np.float64]


def prediction_rejection_ratio(
    uncertainty: npt.ArrayLike, quality: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float | Floats:
    """1 for an order that rejects the worst sentences first, 0 on average for a random one, -1 for the reverse; higher is better.

    uncertainty, quality: (N,), higher = less sure, higher = better.  weights: how often each sentence counts, (N,) or (R, N), for instance
    bootstrap counts; the value is then a float or (R,). Tied sentences are rejected in every order, on average.
    NaN where all sentences are equally good, with an `UndefinedMetric` warning unless in a replicate of (R, N).
    Raises ValueError for NaN (naming the row), no rows, and shapes that disagree.
    """
    uncertainty, quality = _column(uncertainty, "uncertainty"), _column(quality, "quality")
    if uncertainty.shape != quality.shape or not len(quality):
        raise ValueError(f"uncertainty has shape {uncertainty.shape}, quality {quality.shape}: (N,) each, N >= 1")
    counts = np.ones(len(quality)) if weights is None else np.asarray(weights, dtype=np.float64)
    if counts.ndim not in (1, 2) or counts.shape[-1] != len(quality):
        raise ValueError(f"weights have shape {counts.shape}, there are {len(quality)} sentences")
    if (counts < 0).any() or not (counts.sum(axis=-1) > 0).all():
        raise ValueError("weights must not be negative, nor all be 0")
    # the curve of summed quality over the retained share is linear between sentences, so its area is a covariance of ranks
    centred = quality - (counts @ quality / counts.sum(axis=-1))[..., None]
    gained = (counts * centred * _ranks(-uncertainty, counts)).sum(axis=-1)
    possible = (counts * centred * _ranks(quality, counts)).sum(axis=-1)
    # equal qualities differ from their mean by rounding
    defined = possible > 1e-12 * np.abs(quality).max() * counts.sum(axis=-1) ** 2
    ratio = np.divide(gained, possible, out=np.full(np.shape(gained), np.nan), where=defined)
    if counts.ndim == 1:
        if not defined:
            warnings.warn("all sentences are equally good: there is nothing to reject", UndefinedMetric, stacklevel=2)
        return float(ratio)
    return ratio


def _ranks(values: Floats, counts: Floats) -> Floats:
    """Weighted mid-ranks: the weight below each value, and half of that at it; shape of the counts."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)  # of each group of ties
    reached = np.cumsum(counts[..., order], axis=-1)[..., last]
    middle = (reached + np.concatenate([np.zeros_like(reached[..., :1]), reached[..., :-1]], axis=-1)) / 2
    sizes = np.diff(last, prepend=-1)
    ranks = np.empty(counts.shape)
    ranks[..., order] = np.repeat(middle, sizes, axis=-1)
    return ranks


def _column(values: npt.ArrayLike, name: str) -> Floats:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"{name} has shape {values.shape}, (N,) is needed")
    if np.isnan(values).any():
        raise ValueError(f"{name} is NaN in row {int(np.isnan(values).argmax())}")
    return values
