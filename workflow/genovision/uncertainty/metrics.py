"""Metrics of confidences: risk against coverage and recall, and the separation of two sets. One sort serves them all.

Confidence is higher = accept; a threshold t accepts every row with confidence >= t, so rows with equal confidence are accepted together
and no value depends on the order of the rows. Risk is the mean cost of the accepted rows; by default a wrong row costs 1.

Every metric takes either the two arrays it names or one `Ranking` of them (sorted once), and optionally `weights`: how often each row
counts, (N,) or (R, N) whole numbers, for instance bootstrap counts; the value is then a float or (R,). A replicate is treated exactly as
the rows repeated, ties and all.

Undefined values: a metric that needs right and wrong rows is NaN, with an `UndefinedMetric` warning, when all rows are right or all wrong
(AUROC, AUPR, FPR) or none is right (AURR, risk at recall); NaN without the warning in replicates. AURC, AUGRC, coverage at risk and risk
at coverage are defined there. Two sets to be separated, one of them empty, are a ValueError, as are NaN, no rows and shapes that
disagree.
"""

import warnings
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from genovision.resampling import Draws, interval

Floats = npt.NDArray[np.float64]
Convention = Literal["xia", "torch_uncertainty", "fd_shifts"]
Positive = Literal["id", "ood"]


class UndefinedMetric(RuntimeWarning):
    """The metric has no value for these rows, and is NaN."""


class _Steps(NamedTuple):
    """What each distinct threshold accepts, from the highest confidence down: cumulative sums (..., B)."""

    rows: Floats
    right: Floats
    cost: Floats

    @property
    def risk(self) -> Floats:
        """Mean cost of the accepted rows; NaN where a replicate has drawn none of them."""
        return _ratio(self.cost, self.rows)


class Ranking:
    """Rows sorted by confidence, once, for every metric of this module.

    confidence (N,), correct (N,) bool or 0/1: the row should be accepted. cost: (N,) or a number, charged when a row that is not correct
    is accepted (default 1). strata: (N,) integers; `bootstrap` draws within each stratum (default: all rows are one). Infinite
    confidences are ranks like any other. Raises ValueError for NaN (naming the row), no rows, and shapes that disagree (naming both).
    """

    def __init__(
        self,
        confidence: npt.ArrayLike,
        correct: npt.ArrayLike,
        cost: npt.ArrayLike | None = None,
        strata: npt.ArrayLike | None = None,
    ):
        confidence, correct = _confidences(confidence, "confidence"), np.asarray(correct)
        if confidence.shape != correct.shape:
            raise ValueError(f"confidence has shape {confidence.shape}, correct has shape {correct.shape}")
        if not len(confidence):
            raise ValueError("there are no rows to rank")
        if correct.dtype != bool:
            if not np.isin(correct, (0, 1)).all():
                raise ValueError("correct must hold booleans, or 0 and 1 only")
            correct = correct.astype(bool)
        self.confidence, self.correct = confidence, correct
        self.strata = None if strata is None else np.asarray(strata)
        if self.strata is not None and self.strata.shape != confidence.shape:
            raise ValueError(f"confidence has shape {confidence.shape}, strata has shape {self.strata.shape}")
        self.cost: Floats | None = None  # per row, zero where correct; None: 1 for each wrong row
        if cost is None:
            self.order = np.argsort(-confidence)
        else:
            cost = np.asarray(cost, dtype=np.float64)
            if cost.ndim and cost.shape != confidence.shape:
                raise ValueError(f"confidence has shape {confidence.shape}, cost has shape {cost.shape}")
            if not (np.isfinite(cost).all() and (cost >= 0).all()):
                raise ValueError("costs must be finite and not negative")
            self.cost = np.where(correct, 0.0, cost)
            self.order = np.lexsort((self.cost, -confidence))  # so that sums do not depend on the order of tied rows
        ranked = confidence[self.order]
        self._last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
        self._tied = len(self._last) < len(ranked)
        self.thresholds = ranked[self._last] if self._tied else ranked
        ranked_right = correct[self.order]
        rows = (self._last + 1).astype(np.float64)
        right = self._at_thresholds(np.cumsum(ranked_right, dtype=np.float64))
        lost = rows - right if self.cost is None else self._at_thresholds(np.cumsum(self.cost[self.order]))
        self._steps = _Steps(rows, right, lost)

    @classmethod
    def separating(cls, id_confidence: npt.ArrayLike, ood_confidence: npt.ArrayLike) -> "Ranking":
        """Of two sets: the first (N,) should be accepted, the second (M,) rejected; rows and weights are in that order, strata 0 and 1.

        Raises ValueError if either is empty.
        """
        inside, outside = _confidences(id_confidence, "id_confidence"), _confidences(ood_confidence, "ood_confidence")
        for values, name in ((inside, "in-distribution"), (outside, "OOD")):
            if not len(values):
                raise ValueError(f"the {name} set is empty: there is nothing to separate")
        second = np.repeat([False, True], [len(inside), len(outside)])
        return cls(np.concatenate([inside, outside]), ~second, strata=second.astype(int))

    def __len__(self) -> int:
        return len(self.confidence)

    def _at_thresholds(self, cumulative: npt.NDArray) -> npt.NDArray:
        return np.take(cumulative, self._last, axis=-1) if self._tied else cumulative

    def steps(self, weights: npt.ArrayLike | None = None) -> _Steps:
        """Cumulative rows, right rows and cost at each of `thresholds`: (B,), or (R, B) for weights (R, N)."""
        if weights is None:
            return self._steps
        weights = np.asarray(weights)
        if weights.ndim not in (1, 2) or weights.shape[-1] != len(self):
            raise ValueError(f"weights have shape {weights.shape}, the ranking has {len(self)} rows")
        weights = np.take(weights, self.order, axis=-1)  # in C order, unlike a fancy index
        rows, right = _cumulative(weights), _cumulative(weights * self.correct[self.order])
        if not (rows[..., -1] > 0).all():
            raise ValueError("the weights of a replicate add up to nothing")
        rows, right = self._at_thresholds(rows), self._at_thresholds(right)
        if self.cost is None:
            return _Steps(rows, right, rows - right)
        return _Steps(rows, right, self._at_thresholds(_cumulative(weights * self.cost[self.order])))

    def weighed(self, weights: npt.ArrayLike) -> "Ranking":
        """The same ranking with these weights (R, N) as its own, added up once for several metrics: metric(ranking.weighed(weights))
        is metric(ranking, weights=weights)."""
        ranking = copy(self)
        ranking._steps = self.steps(weights)
        return ranking


def _cumulative(values: npt.NDArray) -> Floats:
    """Sums along the last axis. Whole numbers are added as such: exact, and several times faster than numbers with a point."""
    if values.dtype.kind in "bui":
        return np.cumsum(values, axis=-1, dtype=np.int64).astype(np.float64)
    return np.cumsum(values, axis=-1, dtype=np.float64)


def _confidences(values: npt.ArrayLike, name: str) -> Floats:
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise ValueError(
            f"{name} must be a one-dimensional array of real numbers, not {values.dtype} of shape {values.shape}"
        )
    values = values.astype(np.float64, copy=False)
    if np.isnan(values).any():
        raise ValueError(f"{name} is NaN in row {int(np.isnan(values).argmax())}")
    return values


def _ranking(confidence: npt.ArrayLike | Ranking, correct: npt.ArrayLike | None, cost: npt.ArrayLike | None) -> Ranking:
    if isinstance(confidence, Ranking):
        if correct is not None or cost is not None:
            raise ValueError("a Ranking already knows which rows are correct and what the others cost")
        return confidence
    if correct is None:
        raise ValueError("give confidence and correct, or a Ranking")
    return Ranking(confidence, correct, cost)


def _separation(id_confidence: npt.ArrayLike | Ranking, ood_confidence: npt.ArrayLike | None) -> Ranking:
    if isinstance(id_confidence, Ranking):
        if ood_confidence is not None:
            raise ValueError("a Ranking already holds both sets")
        return id_confidence
    if ood_confidence is None:
        raise ValueError("give id_confidence and ood_confidence, or a Ranking")
    return Ranking.separating(id_confidence, ood_confidence)


def _ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole, NaN where whole is 0."""
    if np.ndim(whole) == 1 and whole[0] > 0:  # cumulative and positive from the start: the common case, at full speed
        return part / whole
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    return np.divide(part, whole, out=np.full(shape, np.nan), where=np.broadcast_to(np.asarray(whole) > 0, shape))


def _increments(cumulative: Floats) -> Floats:
    return np.diff(cumulative, axis=-1, prepend=0)


def _answer(value: npt.ArrayLike, weights: npt.ArrayLike | None, needs: str | None = None) -> Any:
    """A float, or (R,) for R replicates; `needs` says what must be there for the value to be defined."""
    value = np.asarray(value, dtype=np.float64)
    if value.ndim:
        return value
    if needs is not None and weights is None and np.isnan(value):
        warnings.warn(f"the metric is undefined without {needs}: NaN", UndefinedMetric, stacklevel=3)
    return float(value)


def _one_of(value: str, name: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def _share(value: float, name: str) -> None:
    if not 0 < value <= 1:
        raise ValueError(f"{name} must lie in (0, 1], not {value}")


# --- risk and coverage -------------------------------------------------------------------------------------------------------------


class RiskCoverage(NamedTuple):
    """Coverage and risk at each distinct threshold, coverage ascending to 1: two arrays (B,)."""

    coverage: Floats
    risk: Floats


class RiskRecall(NamedTuple):
    """Recall of the correct rows and risk at each distinct threshold, recall ascending to 1: two arrays (B,)."""

    recall: Floats
    risk: Floats


def risk_coverage(
    confidence: npt.ArrayLike | Ranking, correct: npt.ArrayLike | None = None, *, cost: npt.ArrayLike | None = None
) -> RiskCoverage:
    """The risk-coverage curve (Geifman & El-Yaniv 2017): one point for each distinct confidence, which is also what a threshold can reach.

    The point at coverage 0 is left out: conventions disagree on its risk. The thresholds are those of `Ranking(...).thresholds`.
    """
    ranking = _ranking(confidence, correct, cost)
    steps = ranking.steps()
    return RiskCoverage(steps.rows / len(ranking), steps.risk)


def risk_recall(
    confidence: npt.ArrayLike | Ranking, correct: npt.ArrayLike | None = None, *, cost: npt.ArrayLike | None = None
) -> RiskRecall:
    """The risk-recall curve (Xia & Bouganis 2022): recall is the accepted share of the correct rows; NaN if there are none."""
    steps = _ranking(confidence, correct, cost).steps()
    return RiskRecall(_ratio(steps.right, steps.right[-1:]), steps.risk)


def aurc(
    confidence: npt.ArrayLike | Ranking,
    correct: npt.ArrayLike | None = None,
    convention: Convention = "xia",
    *,
    cost: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
) -> Any:
    """Area under the risk-coverage curve, a fraction (not x 100 or x 1000), lower is better; without ties each equals its namesake.

    "xia"                (Xia & Bouganis 2022) N + 1 points at coverage k / N with risk 0 at k = 0, trapezoids
    "torch_uncertainty"  (0.13) points 1..N only, trapezoids, divided by 1 - 1/N; NaN for one row
    "fd_shifts"          (Jaeger et al. 2023) one point per distinct confidence, the first one's risk at coverage 0, trapezoids

    Tied rows: the first two take the expectation over the orders in which tied rows could stand (at rank k within a tie the cost so far
    grows by the tie's mean), as Xia's and torch-uncertainty's own code, which take the order of the rows, would on average.
    """
    _one_of(convention, "convention", ("xia", "torch_uncertainty", "fd_shifts"))
    ranking = _ranking(confidence, correct, cost)
    steps = ranking.steps(weights)
    rows, lost, total = steps.rows, steps.cost, steps.rows[..., -1]
    if convention == "fd_shifts":
        start = _first_risk(steps)[..., None]
        risk = np.where(rows > 0, steps.risk, start)
        before = np.concatenate([start, risk[..., :-1]], axis=-1)
        return _answer((_increments(rows) * (risk + before)).sum(axis=-1) / 2 / total, weights)
    if rows.ndim == 1 and weights is None and not ranking._tied:
        summed = (lost / rows).sum()
    else:
        summed = _expected_risks(steps)
    area = summed - lost[..., -1] / total / 2
    if convention == "xia":
        return _answer(area / total, weights)
    area = _ratio(area - _first_risk(steps) / 2, total - 1)
    return _answer(area, weights, "a second row")


def _first_risk(steps: _Steps) -> Floats:
    """Risk at the highest threshold that accepts anything: (...,)."""
    first = (steps.rows > 0).argmax(axis=-1)[..., None]
    rows, lost = np.take_along_axis(steps.rows, first, -1)[..., 0], np.take_along_axis(steps.cost, first, -1)[..., 0]
    return lost / rows


def _expected_risks(steps: _Steps) -> Floats:
    """Sum over k = 1..N of the expected risk of the k first rows, when tied rows stand in random order.

    Within a tie of n rows and mean cost m that begins after C rows and cost L, the expectation at rank k is m + (L - m C) / k:
    the sum over the tie is m n + (L - m C) (H(C + n) - H(C)), H the harmonic numbers.
    """
    number = steps.rows.astype(np.intp)
    if (number != steps.rows).any():
        raise ValueError("weights must be whole numbers: how often each row counts")
    harmonic = np.zeros(number[..., -1].max() + 1)
    np.cumsum(1 / np.arange(1, len(harmonic)), out=harmonic[1:])
    count, lost = _increments(steps.rows), _increments(steps.cost)
    mean = np.divide(lost, count, out=np.zeros_like(lost), where=count > 0)
    begin, height = steps.rows - count, _increments(np.take(harmonic, number))
    lost += (steps.cost - lost - mean * begin) * height
    return lost.sum(axis=-1)


def optimal_aurc(error_rate: npt.ArrayLike) -> Any:
    """AURC of the perfect ranking of many rows with this error rate: e + (1 - e) ln(1 - e) (Geifman et al. 2019)."""
    error_rate = np.asarray(error_rate, dtype=np.float64)
    right = 1 - error_rate
    best = error_rate + right * np.log(np.where(right > 0, right, 1.0))
    return best if best.ndim else float(best)


def eaurc(
    confidence: npt.ArrayLike | Ranking,
    correct: npt.ArrayLike | None = None,
    convention: Convention = "xia",
    *,
    weights: npt.ArrayLike | None = None,
) -> Any:
    """Excess AURC: `aurc` minus `optimal_aurc` of the error rate, which is that of N -> infinity: few rows can fall slightly below 0."""
    ranking = _ranking(confidence, correct, None)
    if ranking.cost is not None:
        raise ValueError("the optimal AURC is known for a cost of 1 only: leave out the cost")
    steps = ranking.steps(weights)
    error = (steps.rows[..., -1] - steps.right[..., -1]) / steps.rows[..., -1]
    return _answer(aurc(ranking, convention=convention, weights=weights) - optimal_aurc(error), weights)


def augrc(
    confidence: npt.ArrayLike | Ranking,
    correct: npt.ArrayLike | None = None,
    convention: Convention = "fd_shifts",
    *,
    cost: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
) -> Any:
    """Area under the generalised risk-coverage curve (Traub et al. 2024): accepted cost / N against coverage; lower is better.

    "fd_shifts" and "xia" integrate from (0, 0) and equal (1 - AUROC) acc err + err^2 / 2, ties and all; "torch_uncertainty" integrates
    from coverage 1/N and divides by 1 - 1/N. Tied rows: as in `aurc`.
    """
    _one_of(convention, "convention", ("xia", "torch_uncertainty", "fd_shifts"))
    steps = _ranking(confidence, correct, cost).steps(weights)
    total = steps.rows[..., -1]
    area = (_increments(steps.rows) * (2 * steps.cost - _increments(steps.cost))).sum(axis=-1) / 2
    if convention == "torch_uncertainty":
        area = _ratio(area - _first_risk(steps) / 2, total - 1)
        return _answer(area / total, weights, "a second row")
    return _answer(area / total**2, weights)


def aurr(
    confidence: npt.ArrayLike | Ranking,
    correct: npt.ArrayLike | None = None,
    *,
    cost: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
) -> Any:
    """Area under the risk-recall curve (Xia & Bouganis 2022): sum of recall steps times the risk at their end, over distinct thresholds.

    With one cost c for every wrong row it is c (1 - AP), AP the average precision of right against wrong rows. NaN without a right row.
    """
    steps = _ranking(confidence, correct, cost).steps(weights)
    return _answer(
        _ratio(np.nansum(_increments(steps.right) * steps.risk, axis=-1), steps.right[..., -1]), weights, "a right row"
    )


# --- operating points --------------------------------------------------------------------------------------------------------------


class OperatingPoint(NamedTuple):
    """A threshold (accept confidence >= threshold) and what it reaches. recall: of the correct rows, NaN if there are none."""

    threshold: float
    coverage: float
    risk: float
    recall: float


def _pick(value: npt.NDArray, index: npt.NDArray) -> npt.NDArray:
    return np.take_along_axis(value, index[..., None], axis=-1)[..., 0]


def _index_at_risk(steps: _Steps, risk: float, rule: str, skip: int | None) -> npt.NDArray:
    """Index of the threshold; -1 where rule "max" finds none."""
    _one_of(rule, "rule", ("max", "nearest"))
    if not risk >= 0:
        raise ValueError(f"the risk must not be negative, not {risk}")
    found = steps.risk
    if rule == "max":
        good = np.less_equal(found, risk)  # NaN is not
        last = found.shape[-1] - 1 - good[..., ::-1].argmax(axis=-1)
        return np.where(good.any(axis=-1), last, -1)
    total = steps.rows[..., -1:]
    skipped = np.maximum(1, np.round(total / 100)) if skip is None else skip
    if skip is not None and not (1 <= skip <= total).all():
        raise ValueError(f"skip must lie between 1 and the number of rows, not {skip}")
    return np.where(steps.rows >= skipped, np.abs(found - risk), np.inf).argmin(axis=-1)


def _index_nearest(reached: npt.NDArray, target: float, rule: str, valid: npt.NDArray | bool = True) -> npt.NDArray:
    """Index of the first threshold nearest to the target, or of the first that reaches it; `reached` ascends to 1."""
    _one_of(rule, "rule", ("nearest", "at_least"))
    if rule == "nearest":
        return np.where(valid, np.abs(reached - target), np.inf).argmin(axis=-1)
    return (reached >= target).argmax(axis=-1)


def coverage_at_risk(
    confidence: npt.ArrayLike | Ranking,
    correct: npt.ArrayLike | None = None,
    risk: float = 0.05,
    rule: Literal["max", "nearest"] = "max",
    *,
    skip: int | None = None,
    cost: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
) -> Any:
    """Coverage at a risk, higher is better. Only coverages that a threshold reaches are returned: tied rows are never split.

    "max"      the largest coverage with risk <= `risk` (torch-uncertainty's, made tie-exact); 0, rejecting all, if no threshold keeps to it
    "nearest"  (Xia & Bouganis 2023) the coverage whose risk is nearest to `risk`, above it or not, among those that accept at least `skip`
               rows (default: a hundredth, rounded, at least 1; theirs is 500 of 50,000), the smallest such coverage
    """
    ranking = _ranking(confidence, correct, cost)
    steps = ranking.steps(weights)
    index = _index_at_risk(steps, risk, rule, skip)
    return _answer(np.where(index < 0, 0.0, _pick(steps.rows, index)) / steps.rows[..., -1], weights)


def risk_at_coverage(
    confidence: npt.ArrayLike | Ranking,
    correct: npt.ArrayLike | None = None,
    coverage: float = 0.8,
    rule: Literal["nearest", "at_least"] = "nearest",
    *,
    cost: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
) -> Any:
    """Risk at a coverage: of the threshold whose coverage is nearest (Xia), the smaller one if two are, or of the first that reaches it
    ("at_least", torch-uncertainty's)."""
    _share(coverage, "coverage")
    steps = _ranking(confidence, correct, cost).steps(weights)
    index = _index_nearest(steps.rows / steps.rows[..., -1:], coverage, rule, steps.rows > 0)
    return _answer(_pick(steps.risk, index), weights)


def risk_at_recall(
    confidence: npt.ArrayLike | Ranking,
    correct: npt.ArrayLike | None = None,
    recall: float = 0.95,
    rule: Literal["nearest", "at_least"] = "nearest",
    *,
    cost: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
) -> Any:
    """Risk at a recall of the correct rows: of the threshold whose recall is nearest (Xia & Bouganis 2022), the highest one if several
    are, or of the first that reaches it ("at_least"). NaN without a right row."""
    _share(recall, "recall")
    steps = _ranking(confidence, correct, cost).steps(weights)
    right = steps.right[..., -1]
    index = _index_nearest(_ratio(steps.right, right[..., None]), recall, rule, steps.right > 0)
    return _answer(np.where(right > 0, _pick(steps.risk, index), np.nan), weights, "a right row")


def operating_point(
    confidence: npt.ArrayLike | Ranking,
    correct: npt.ArrayLike | None = None,
    *,
    risk: float | None = None,
    coverage: float | None = None,
    recall: float | None = None,
    rule: str | None = None,
    skip: int | None = None,
    cost: npt.ArrayLike | None = None,
) -> OperatingPoint:
    """The threshold behind `coverage_at_risk`, `risk_at_coverage` or `risk_at_recall`: give one target, and optionally its rule.

    Where no threshold keeps to the risk (rule "max"), the threshold is infinite: coverage, risk and recall are 0.
    """
    if sum(target is not None for target in (risk, coverage, recall)) != 1:
        raise ValueError("give exactly one of risk, coverage and recall")
    ranking = _ranking(confidence, correct, cost)
    steps = ranking.steps()
    found = _ratio(steps.right, steps.right[-1:])
    if risk is not None:
        index = int(_index_at_risk(steps, risk, rule or "max", skip))
        if index < 0:
            return OperatingPoint(np.inf, 0.0, 0.0, 0.0)
    elif coverage is not None:
        _share(coverage, "coverage")
        index = int(_index_nearest(steps.rows / len(ranking), coverage, rule or "nearest"))
    else:
        _share(recall, "recall")
        if not steps.right[-1]:
            raise ValueError("no row is correct: no threshold has a recall")
        index = int(_index_nearest(found, recall, rule or "nearest", steps.right > 0))
    return OperatingPoint(
        float(ranking.thresholds[index]),
        float(steps.rows[index] / len(ranking)),
        float(steps.risk[index]),
        float(found[index]),
    )


# --- separation of two sets --------------------------------------------------------------------------------------------------------


def auroc(
    id_confidence: npt.ArrayLike | Ranking,
    ood_confidence: npt.ArrayLike | None = None,
    *,
    weights: npt.ArrayLike | None = None,
) -> Any:
    """Chance that a row of the first set has the higher confidence, ties counting half (Mann-Whitney); the same whichever set is positive.

    `auroc(Ranking(confidence, correct))` separates right from wrong rows (NaN if all are one or the other).
    """
    steps = _separation(id_confidence, ood_confidence).steps(weights)
    wrong = _increments(steps.rows - steps.right)
    pairs = (wrong * (2 * steps.right - _increments(steps.right))).sum(axis=-1) / 2
    inside, outside = _sizes(steps)
    return _answer(_ratio(pairs, inside * outside), weights, "both right and wrong rows")


def _sizes(steps: _Steps) -> tuple[Floats, Floats]:
    inside = steps.right[..., -1]
    return inside, steps.rows[..., -1] - inside


def _found(steps: _Steps, positive: str) -> tuple[Floats, Floats]:
    """Cumulative positives and negatives taken at each threshold, positives in full at the end: ID from the top, OOD from the bottom."""
    _one_of(positive, "positive", ("id", "ood"))
    wrong = steps.rows - steps.right
    if positive == "id":
        return steps.right, wrong
    return tuple((c[..., -1:] - c + _increments(c))[..., ::-1] for c in (wrong, steps.right))


def aupr(
    id_confidence: npt.ArrayLike | Ranking,
    ood_confidence: npt.ArrayLike | None = None,
    positive: Positive = "id",
    interpolation: Literal["step", "linear"] = "step",
    *,
    weights: npt.ArrayLike | None = None,
) -> Any:
    """Area under the precision-recall curve with the first ("id") or the second set ("ood", found from the lowest confidence up) as
    positive.

    "step" is average precision (scikit-learn's average_precision_score); "linear" joins the points by trapezoids from precision 1 at
    recall 0, which is too high where precision falls, but what pytorch-ood and OpenOOD report.
    """
    _one_of(interpolation, "interpolation", ("step", "linear"))
    steps = _separation(id_confidence, ood_confidence).steps(weights)
    hit, false = _found(steps, positive)
    precision = _ratio(hit, hit + false)
    if interpolation == "linear":
        precision = np.where(np.isnan(precision), 1.0, precision)  # nothing found yet: still at the starting point
        before = np.concatenate([np.ones_like(precision[..., :1]), precision[..., :-1]], axis=-1)
        precision = (precision + before) / 2
    inside, outside = _sizes(steps)
    area = np.nansum(_increments(hit) * precision, axis=-1)
    area = _ratio(area, np.where(np.minimum(inside, outside) > 0, hit[..., -1], 0.0))
    return _answer(area, weights, "both right and wrong rows")


def fpr_at_tpr(
    id_confidence: npt.ArrayLike | Ranking,
    ood_confidence: npt.ArrayLike | None = None,
    tpr: float = 0.95,
    positive: Positive = "id",
    rule: Literal["nearest", "at_least", "floor"] = "nearest",
    *,
    weights: npt.ArrayLike | None = None,
) -> Any:
    """Share of the negative set taken for positive when a share `tpr` of the positive set is found; lower is better.

    positive "id" (Xia, ViM): OOD accepted when 95 % of ID is kept. "ood" (OpenOOD, pytorch-ood, torch-uncertainty): ID rejected when 95 %
    of OOD is caught. The two are different numbers. The threshold, always the one with the fewest negatives among equals:
    "nearest"   its TPR is nearest to `tpr` (Xia & Bouganis; the smaller TPR if two are, and where several thresholds share
                the TPR their released code takes the last, we the first)
    "at_least"  the first whose TPR reaches `tpr` (OpenOOD, pytorch-ood, torch-uncertainty)
    "floor"     the first that finds floor(tpr n) of the n positives (ViM)
    """
    _one_of(rule, "rule", ("nearest", "at_least", "floor"))
    _share(tpr, "tpr")
    steps = _separation(id_confidence, ood_confidence).steps(weights)
    hit, false = _found(steps, positive)
    positives, negatives = hit[..., -1], false[..., -1]
    if rule == "floor":
        index = (hit >= np.maximum(1, np.floor(tpr * positives))[..., None]).argmax(axis=-1)
    else:
        index = _index_nearest(_ratio(hit, positives[..., None]), tpr, rule, hit > 0)
    rate = _ratio(_pick(false, index), np.where(positives > 0, negatives, 0.0))
    return _answer(rate, weights, "both right and wrong rows")


# --- bootstrap ---------------------------------------------------------------------------------------------------------------------


class Difference(NamedTuple):
    """left - right on the rows themselves, and the percentile interval over common resamples."""

    estimate: float
    low: float
    high: float
    replicates: Floats


def bootstrap(
    metric: Callable[..., Any],
    rankings: Ranking | Mapping[str, Ranking],
    *,
    replicates: int = 1000,
    seed: int = 0,
    **options: Any,
) -> Any:
    """Values of a metric on resampled rows: (replicates,), or a dict of them for a dict of rankings, which all see the same resamples.

    metric: any function of this module that takes `weights`, or your own `metric(ranking, weights=(R, N), **options) -> (R,)`. Rankings
    must be of the same rows in the same order (equal length and strata); rows are drawn with replacement within each stratum, so the
    sizes of an ID and an OOD set stay. A replicate is a matter of `seed`, the number of rows and the strata alone.
    """
    named = dict(rankings) if isinstance(rankings, Mapping) else {"": rankings}
    first = next(iter(named.values()))
    for ranking in named.values():
        if len(ranking) != len(first):
            raise ValueError(f"rankings of {len(first)} and {len(ranking)} rows cannot share a resample")
        if (ranking.strata is None) != (first.strata is None) or (
            first.strata is not None and (ranking.strata != first.strata).any()
        ):
            raise ValueError("rankings with different strata cannot share a resample")
    strata = np.zeros(len(first), dtype=int) if first.strata is None else first.strata
    members = {f"stratum {i}": np.flatnonzero(strata == one) for i, one in enumerate(np.unique(strata))}
    values = {name: np.empty(replicates) for name in named}
    start = 0
    for drawn in Draws(replicates, seed).blocks({name: len(rows) for name, rows in members.items()}):
        weights = np.empty((len(drawn[0]), len(first)), dtype=drawn[0].dtype)
        for rows, counts in zip(members.values(), drawn, strict=True):
            weights[:, rows] = counts
        block = slice(start, start + len(weights))
        for name, ranking in named.items():
            values[name][block] = metric(ranking, weights=weights, **options)
        start += len(weights)
    return values if isinstance(rankings, Mapping) else values[""]


def bootstrap_aurc(
    confidence: npt.ArrayLike | Ranking,
    correct: npt.ArrayLike | None = None,
    convention: Convention = "xia",
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> Floats:
    """AURC of resampled rows, (replicates,); its interval is `genovision.resampling.interval`."""
    ranking = _ranking(confidence, correct, None)
    return bootstrap(aurc, ranking, replicates=replicates, seed=seed, convention=convention)


def bootstrap_difference(
    metric: Callable[..., Any],
    left: Ranking,
    right: Ranking,
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    **options: Any,
) -> Difference:
    """Paired difference metric(left) - metric(right) of two rankings of the same rows: see `bootstrap`."""
    values = bootstrap(metric, {"left": left, "right": right}, replicates=replicates, seed=seed, **options)
    difference = values["left"] - values["right"]
    low, high = interval(difference, level)
    return Difference(metric(left, **options) - metric(right, **options), float(low), float(high), difference)
