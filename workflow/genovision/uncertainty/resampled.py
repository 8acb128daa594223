"""Metrics of many bootstrap samples at once, images and training seeds resampled together.

A bootstrap sample is a row of counts: how often each input was drawn. `metrics` takes such counts as weights; here stand the draws, the
variation over seeds, and what many pairs of scores and sets need faster or in one go. Letters: R samples (the first row is the
data themselves, all ones), N inputs; counts have shape (R, N), results (R,). Confidences are higher = accept.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from genovision.resampling import bootstrap_counts, stream
from genovision.uncertainty import metrics
from genovision.uncertainty.metrics import Ranking

Array = npt.NDArray[np.float64]


class Draws:
    """Counts per split, drawn once for every model, score and metric of a run, so that all differences are paired.

    `draws(split, number)` -> (replicates + 1, number): the first row is the data themselves, the others bootstrap samples of them.
    """

    def __init__(self, replicates: int, seed: int):
        self.replicates, self.seed = replicates, seed
        self._known: dict[tuple[str, int], Array] = {}

    def __call__(self, split: str, number: int) -> Array:
        if (split, number) not in self._known:
            counts = np.ones((1, number))
            if self.replicates:
                sampled = bootstrap_counts(number, self.replicates, stream(self.seed, f"images of {split}"))
                counts = np.vstack([counts, sampled])
            self._known[split, number] = counts
        return self._known[split, number]

    def multipliers(self, seeds: int) -> Array:
        """(replicates, seeds): how each replicate leans towards each seed, see `over_seeds`."""
        rng = stream(self.seed, "seeds")
        normal = rng.standard_normal((self.replicates, seeds))
        if seeds < 2:
            return np.zeros((self.replicates, seeds))
        return normal / np.sqrt(rng.chisquare(seeds - 1, (self.replicates, 1)) / (seeds - 1))


def over_seeds(full: Array, left_out: Sequence[float], draws: Draws, bounds: tuple[float, float] = (0.0, 1.0)) -> Array:
    """Replicates (R + 1,) of a value of several training seeds: images vary as in `full`, seeds by the jackknife.

    full:     (R + 1,), the value of all seeds on the data (first) and on every bootstrap sample of the images
    left_out: the value on the data without seed i, for each seed; fewer than two leave the seeds out of account
    bounds:   what the value cannot leave; replicates are clipped to it

    A handful of seeds cannot be bootstrapped (four of them cover some 80 % where 95 % is asked for). The deviations of the leave-one-out
    values, times Gaussian multipliers divided by one chi of S - 1 degrees of freedom, have the jackknife's standard error (Efron &
    Tibshirani 1993, chapter 11) and Student's t for S seeds; for a mean over seeds that is the textbook t interval. It serves ensembles
    and pairs just as well.
    """
    left_out = np.asarray(left_out, dtype=np.float64)
    seeds, values = left_out.size, np.array(full, dtype=np.float64)
    if seeds < 2:
        return values
    deviation = left_out - left_out.mean()
    values[1:] += np.sqrt((seeds - 1) / seeds) * draws.multipliers(seeds) @ deviation
    values[1:] = np.clip(values[1:], *bounds)
    return values


def mean_over_seeds(values: npt.ArrayLike, draws: Draws, bounds: tuple[float, float] = (0.0, 1.0)) -> Array:
    """Replicates (R + 1,) of the mean over seeds of values (S, R + 1)."""
    values = np.asarray(values, dtype=np.float64)
    left_out = [np.delete(values[:, 0], s).mean() for s in range(len(values))] if len(values) > 1 else [values[0, 0]]
    return over_seeds(values.mean(axis=0), left_out, draws, bounds)


def auroc(positive: Array, negative: Array, positive_counts: Array, negative_counts: Array) -> Array:
    """Area under the ROC curve; ties count half.

    Exact for a row of ones; for a bootstrap sample to first order, by the placement values of DeLong et al. 1988 (what is left out
    is of order 1/N), which turns R samples into two matrix products. NaN without a positive or a negative.
    """
    if not len(positive) or not len(negative):
        return np.full(len(positive_counts), np.nan)
    ranked = np.sort(negative)
    below = np.searchsorted(ranked, positive, "left") + np.searchsorted(ranked, positive, "right")
    ranked = np.sort(positive)
    above = np.searchsorted(ranked, negative, "left") + np.searchsorted(ranked, negative, "right")
    v10, v01 = below / (2 * len(negative)), 1 - above / (2 * len(positive))
    with np.errstate(invalid="ignore"):
        shift = positive_counts @ v10 / positive_counts.sum(axis=1) + negative_counts @ v01 / negative_counts.sum(
            axis=1
        )
    return np.clip(shift - v10.mean(), 0.0, 1.0)


def thresholds(confidence: Array, counts: Array, coverage: float) -> Array:
    """Threshold (R,) at which the accepted share of each sample is nearest to `coverage`; only distinct confidences are thresholds."""
    order = np.argsort(-confidence, kind="stable")
    number = len(order)
    reach = 8 * np.sqrt(number * coverage * (1 - coverage)) + 8
    low, high = max(0, int(coverage * number - reach)), min(number, int(coverage * number + reach) + 1)
    found = _nearest(confidence[order], counts, order, low, high, coverage)
    return _nearest(confidence[order], counts, order, 0, number, coverage) if found is None else found


def _nearest(s: Array, counts: Array, order: npt.NDArray, low: int, high: int, coverage: float) -> Array | None:
    """The threshold among ranks low..high - 1 (s: confidences in order), or None when one outside could be nearer.

    Sampled ranks scatter by the square root of N, so a band around the wanted rank will do, and what lies above it is one product.
    """
    above = counts @ np.isin(np.arange(len(s)), order[:low]).astype(np.float64)
    inside = np.cumsum(counts[:, order[low:high]], axis=1)
    last = s[low:high] != np.append(s[low + 1 : high + 1], -np.inf)[: high - low]
    if not last.any():
        return None
    distance = np.abs(above[:, None] + inside[:, last] - coverage * counts.sum(axis=1, keepdims=True))
    at = distance.argmin(axis=1)
    if (low > 0 and (at == 0).any()) or (high < len(s) and (at == distance.shape[1] - 1).any()):
        return None
    return s[low:high][last][at]


def share_at(confidence: Array, counts: Array, at: Array) -> Array:
    """Share of each sample with confidence >= its own threshold; `at` has shape (R,). NaN for a sample of nothing."""
    between = np.flatnonzero((confidence >= at.min()) & (confidence <= at.max()))
    between = between[np.argsort(-confidence[between], kind="stable")]
    above = counts @ (confidence > at.max()).astype(np.float64)
    inside = np.cumsum(np.pad(counts[:, between], ((0, 0), (1, 0))), axis=1)
    number = np.searchsorted(-confidence[between], -at, "right")
    with np.errstate(invalid="ignore"):
        return (above + inside[np.arange(len(counts)), number]) / counts.sum(axis=1)


def risk_curve(ranking: Ranking, counts: Array, coverages: npt.ArrayLike) -> Array:
    """Risk at the attainable coverage nearest to each of `coverages` (G,), shape (R, G): `metrics.risk_at_coverage` for a whole grid."""
    steps = ranking.steps(counts)
    curve = np.empty((len(counts), np.size(coverages)))
    for r, (rows, cost) in enumerate(zip(steps.rows, steps.cost, strict=True)):
        wanted = np.asarray(coverages) * rows[-1]
        right = np.minimum(np.searchsorted(rows, wanted), len(rows) - 1)
        left = np.maximum(right - 1, 0)
        left = np.where(rows[left] > 0, left, right)
        at = np.where(wanted - rows[left] <= rows[right] - wanted, left, right)
        curve[r] = cost[at] / np.maximum(rows[at], 1)
    return curve


def mixture(id_counts: Array, ood_counts: Array, alpha: float | Array = 0.5) -> Array:
    """Weights (R, N + M) under which the ID inputs are a share alpha (one, or one per sample) of the stream: for `metrics.aurr`.

    Nothing is thrown away to reach the share, so no draw enters the value.
    """
    alpha = np.reshape(np.asarray(alpha, dtype=np.float64), (-1, 1))
    parts = [c * (share / c.sum(axis=1, keepdims=True)) for c, share in ((id_counts, alpha), (ood_counts, 1 - alpha))]
    return np.hstack(parts)


def stream_ranking(ours: Array, correct: npt.NDArray[np.bool_], theirs: Array, costs: tuple[float, float]) -> Ranking:
    """ID inputs, then OOD inputs, with their costs: what `mixture` weighs."""
    cost = np.repeat(costs, [len(ours), len(theirs)])
    return Ranking(np.concatenate([ours, theirs]), np.append(correct, np.zeros(len(theirs), dtype=bool)), cost)


def aurr(
    ours: Array,
    correct: npt.NDArray[np.bool_],
    theirs: Array,
    id_counts: Array,
    ood_counts: Array,
    alpha: float | Array = 0.5,
    costs: tuple[float, float] = (0.5, 0.5),
) -> Array:
    """Area under the risk-recall curve of a stream that is in distribution with probability alpha (SCOD), `metrics.aurr`.

    ours, correct: confidences of the ID inputs and whether they are classified correctly;  theirs: of the OOD inputs
    costs: of an accepted ID error and of an accepted OOD input; the area is linear in them
    """
    return metrics.aurr(stream_ranking(ours, correct, theirs, costs), weights=mixture(id_counts, ood_counts, alpha))


def weighted(values: Array, counts: Array) -> Array:
    """Mean of values (N,) over each sample."""
    return counts @ values / counts.sum(axis=1)
