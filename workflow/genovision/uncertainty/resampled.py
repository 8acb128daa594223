"""Metrics of many bootstrap samples at once, images and training seeds resampled together.

A bootstrap sample is a row of counts: how often each input was drawn (genovision.resampling.Draws). `metrics` takes such counts as
weights; here stand the variation over seeds, and what many pairs of scores and sets need in one go: each set is sorted once, and the
counts of all samples are added up in that order, so that every value is that of the repeated rows, ties and all. Letters: R samples (the
first row is the data themselves, all ones), N inputs; counts are whole numbers (R, N), results (R,). Confidences are higher = accept.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genovision.resampling import Draws, stream
from genovision.uncertainty.metrics import Ranking

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.integer]

FEW = 100  # samples of the images at most behind intervals that are many and weigh no claim: grids and curves, cascades with OOD inputs
_SAMPLES = 16  # at a time: what is added up stays in the processor's cache


def multipliers(draws: Draws, seeds: int) -> Array:
    """(replicates, seeds): how each replicate leans towards each seed, see `over_seeds`."""
    rng = stream(draws.seed, "seeds")
    normal = rng.standard_normal((draws.replicates, seeds))
    if seeds < 2:
        return np.zeros((draws.replicates, seeds))
    return normal / np.sqrt(rng.chisquare(seeds - 1, (draws.replicates, 1)) / (seeds - 1))


def over_seeds(full: Array, left_out: Sequence[float], draws: Draws, bounds: tuple[float, float] = (0.0, 1.0)) -> Array:
    """Replicates (R + 1,) of a value of several training seeds: images vary as in `full`, seeds by the jackknife.

    full:     (R + 1, ...), the value of all seeds on the data (first) and on every bootstrap sample of the images, or on the first of them
    left_out: the value on the data without seed i, for each seed, (S, ...); fewer than two leave the seeds out of account
    bounds:   what the value cannot leave; replicates are clipped to it

    A handful of seeds cannot be bootstrapped (four of them cover some 80 % where 95 % is asked for). The deviations of the leave-one-out
    values, times Gaussian multipliers divided by one chi of S - 1 degrees of freedom, have the jackknife's standard error (Efron &
    Tibshirani 1993, chapter 11) and Student's t for S seeds; for a mean over seeds that is the textbook t interval. It serves ensembles
    and pairs just as well.
    """
    left_out = np.asarray(left_out, dtype=np.float64)
    seeds, values = len(left_out), np.array(full, dtype=np.float64)
    if seeds < 2:
        return values
    deviation = left_out - left_out.mean(axis=0)
    values[1:] += np.sqrt((seeds - 1) / seeds) * multipliers(draws, seeds)[: len(values) - 1] @ deviation
    values[1:] = np.clip(values[1:], *bounds)
    return values


def mean_over_seeds(values: npt.ArrayLike, draws: Draws, bounds: tuple[float, float] = (0.0, 1.0)) -> Array:
    """Replicates (R + 1, ...) of the mean over seeds of values (S, R + 1, ...)."""
    values = np.asarray(values, dtype=np.float64)
    left_out = [np.delete(values[:, 0], s, axis=0).mean(axis=0) for s in range(len(values))] if len(values) > 1 else []
    return over_seeds(values.mean(axis=0), left_out, draws, bounds)


def blocks(samples: int) -> Iterator[slice]:
    """Slices of a few samples, one after the other."""
    return (slice(start, start + _SAMPLES) for start in range(0, samples, _SAMPLES))


def measured(
    ranking: Ranking, counts: Counts, measures: Mapping[str, Callable[[Ranking], npt.NDArray]]
) -> dict[str, Array]:
    """Several metrics of one ranking on every sample, (R, ...) each; `measures` take the ranking with the counts as its weights."""
    values: dict[str, list] = {name: [] for name in measures}
    for rows in blocks(len(counts)):
        weighed = ranking.weighed(counts[rows])
        for name, measure in measures.items():
            values[name].append(measure(weighed))
    return {name: np.concatenate(parts) for name, parts in values.items()}


def risk_curve(weighed: Ranking, coverages: npt.ArrayLike) -> Array:
    """Risk at the attainable coverage nearest to each of `coverages` (G,), shape (R, G): `metrics.risk_at_coverage` for a whole grid, of
    a ranking with weights (`Ranking.weighed`)."""
    steps = weighed.steps()
    curve = np.empty((len(steps.rows), np.size(coverages)))
    for r, (rows, cost) in enumerate(zip(steps.rows, steps.cost, strict=True)):
        wanted = np.asarray(coverages) * rows[-1]
        right = np.minimum(np.searchsorted(rows, wanted), len(rows) - 1)
        left = np.maximum(right - 1, 0)
        left = np.where(rows[left] > 0, left, right)
        at = np.where(wanted - rows[left] <= rows[right] - wanted, left, right)
        curve[r] = cost[at] / np.maximum(rows[at], 1)
    return curve


class Sorted:
    """Confidences (N,) from the highest down, sorted once. order: their rows;  values: the confidences, both in order."""

    def __init__(self, confidence: npt.ArrayLike):
        confidence = np.asarray(confidence, dtype=np.float64)
        self.order = np.argsort(-confidence, kind="stable")
        self.values = confidence[self.order]
        self._rising = -self.values

    def reached(self, at: npt.ArrayLike, strict: bool = False) -> npt.NDArray[np.intp]:
        """How many confidences are at least (strict: above) each of `at`."""
        return np.searchsorted(self._rising, -np.asarray(at), "left" if strict else "right")

    def drawn(self, counts: Counts) -> npt.NDArray[np.int32]:
        """(R, N + 1): how many rows of each sample are among the k highest confidences, k = 0..N."""
        return _added(np.take(counts, self.order, axis=1))


def _added(counts: Counts) -> npt.NDArray[np.int32]:
    """Sums (R, K + 1) of the first k columns, k = 0..K."""
    total = np.zeros((counts.shape[0], counts.shape[1] + 1), dtype=np.int32)
    np.cumsum(counts, axis=1, out=total[:, 1:])
    return total


def auroc(
    positive: Array, negatives: Mapping[str, Array], positive_counts: Counts, negative_counts: Mapping[str, Counts]
) -> dict[str, Array]:
    """`metrics.auroc` of one set of confidences against several, by name, on every sample. NaN without a positive or a negative."""
    ours, theirs = Sorted(positive), {name: Sorted(values) for name, values in negatives.items()}
    places = {name: [ours.reached(one.values, strict) for strict in (True, False)] for name, one in theirs.items()}
    found = {name: np.empty(len(positive_counts)) for name in negatives}
    for rows in blocks(len(positive_counts)):
        above = ours.drawn(positive_counts[rows]).astype(np.float64)
        for name, one in theirs.items():
            drawn = np.take(negative_counts[name][rows], one.order, axis=1).astype(np.float64)
            beaten = [np.einsum("ij,ij->i", np.take(above, place, axis=1), drawn) for place in places[name]]
            with np.errstate(invalid="ignore"):
                found[name][rows] = np.sum(beaten, axis=0) / (2 * above[:, -1] * drawn.sum(axis=1))
    return found


class Operating(NamedTuple):
    """Thresholds (R,), and the share of each sample (R,) that its threshold accepts."""

    threshold: Array
    share: Array


def operating(confidence: Array, counts: Counts, coverage: float) -> Operating:
    """Where the accepted share of each sample is nearest to `coverage`; only distinct confidences are thresholds."""
    ours = Sorted(confidence)
    values = ours.values
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True))
    found = Operating(np.empty(len(counts)), np.empty(len(counts)))
    for rows in blocks(len(counts)):
        drawn = ours.drawn(counts[rows])[:, 1:]
        for r, one in enumerate(drawn if len(last) == len(values) else np.take(drawn, last, axis=1), rows.start):
            wanted = coverage * one[-1]
            right = min(one.searchsorted(wanted), len(one) - 1)
            left = one.searchsorted(one[right - 1]) if right else 0  # the highest of equals
            at = left if wanted - one[left] <= one[right] - wanted else right
            found.threshold[r], found.share[r] = values[last[at]], one[at] / one[-1]
    return found


def share_at(confidence: Array, counts: Counts, at: Array) -> Array:
    """Share of each sample with confidence >= its own threshold; `at` has shape (R,). NaN for a sample of nothing."""
    ours = Sorted(confidence)
    number, found = ours.reached(at), np.empty(len(counts))
    for rows in blocks(len(counts)):
        drawn = ours.drawn(counts[rows])
        with np.errstate(invalid="ignore"):
            found[rows] = drawn[np.arange(len(drawn)), number[rows]] / drawn[:, -1]
    return found


class Stream(NamedTuple):
    """A stream of ID and OOD inputs. areas: (A, C, R), area under the risk-recall curve for A shares of ID inputs and C pairs of costs;
    risks: (R, G), risk at G recalls, where the ID inputs are one half and all costs 1/2."""

    areas: Array
    risks: Array


def streams(
    ours: Array,
    correct: npt.NDArray[np.bool_],
    theirs: Mapping[str, Array],
    id_counts: Counts,
    ood_counts: Mapping[str, Counts],
    alphas: Sequence[float] = (0.5,),
    costs: Sequence[tuple[float, float]] = ((0.5, 0.5),),
    recalls: npt.ArrayLike = (),
) -> dict[str, Stream]:
    """`metrics.aurr` on every sample of streams that are in distribution with probability alpha (SCOD), one for each OOD set.

    ours, correct: confidences of the ID inputs and whether they are classified correctly;  theirs: of the OOD inputs, by set
    costs: of an accepted ID error and of an accepted OOD input; the area is linear in them
    Rows are weighed until the ID inputs are a share alpha: nothing is thrown away, so no draw enters the value. The risk at a recall is
    that of the first threshold which reaches it. NaN for a sample without a correct input.
    """
    inside, outside = Sorted(ours), {name: Sorted(values) for name, values in theirs.items()}
    right = correct[inside.order]
    order, at = inside.order[right], inside.values[right]
    rows_at = inside.reached(at)
    right_at = np.append(0, np.cumsum(right))[rows_at]
    outside_at = {name: one.reached(at) for name, one in outside.items()}
    odds, recalls = 1 / np.asarray(alphas, dtype=np.float64) - 1, np.asarray(recalls)
    shape, uneven = (len(odds), len(costs), len(id_counts)), any(one != other for one, other in costs)
    found = {name: Stream(np.empty(shape), np.empty((len(id_counts), recalls.size))) for name in theirs}
    for rows in blocks(len(id_counts)):
        drawn = inside.drawn(id_counts[rows])
        number, accepted = drawn[:, -1], np.take(drawn, rows_at, axis=1) + 1e-300  # if none is: 0 / 1e-300, no 0 / 0
        new = np.take(id_counts[rows], order, axis=1)
        hits = np.take(_added(new), right_at, axis=1).astype(np.float64)
        total = hits.max(axis=1, initial=0)
        both, every = new * hits, new * accepted if uneven else None
        places, shared = _first(hits, (recalls - 1e-9) * total[:, None]), np.empty_like(accepted)
        for name, one in outside.items():
            drawn = one.drawn(ood_counts[name][rows])
            weight = number / drawn[:, -1]
            for k, ratio in enumerate(odds):
                np.take(drawn * (ratio * weight)[:, None], outside_at[name], axis=1, out=shared, mode="clip")
                shared += accepted
                with np.errstate(invalid="ignore"):
                    inside_risk = (every / shared).sum(axis=1) / total if uneven else np.nan
                    both_risk = 1 - np.divide(both, shared, out=shared).sum(axis=1) / total
                for c, (of_id, of_ood) in enumerate(costs):
                    area = of_ood * both_risk
                    if of_id != of_ood:  # errors are what is accepted in distribution and not right
                        area = area + (of_id - of_ood) * (inside_risk + both_risk - 1)
                    found[name].areas[k, c, rows] = area
            if recalls.size:
                others = np.take_along_axis(drawn, outside_at[name][places], axis=1) * weight[:, None]
                whole = np.take_along_axis(accepted, places, axis=1) + others
                found[name].risks[rows] = (1 - np.take_along_axis(hits, places, axis=1) / whole) / 2
    return found


def _first(rising: Array, wanted: Array) -> npt.NDArray[np.intp]:
    """Index of the first value of each row (R, N) that reaches each of `wanted` (R, G)."""
    if not wanted.size:
        return np.zeros(wanted.shape, dtype=np.intp)
    return np.stack([np.minimum(np.searchsorted(one, w), len(one) - 1) for one, w in zip(rising, wanted, strict=True)])


def weighted(values: Array, counts: Counts) -> Array:
    """Mean of values (N,) or (N, K) over each sample: (R,) or (R, K)."""
    columns = np.column_stack([values, np.ones(len(values))])
    sums = np.concatenate([counts[rows].astype(np.float64) @ columns for rows in blocks(len(counts))])
    means = sums[:, :-1] / sums[:, -1:]
    return means[:, 0] if np.ndim(values) == 1 else means
