"""Metrics of rankings: golden values, slow second implementations, invariances, identities, parity with the peers."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import peer
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from genovision import resampling
from genovision.resampling import interval
from genovision.uncertainty import metrics
from genovision.uncertainty.metrics import (
    Ranking,
    UndefinedMetric,
    augrc,
    aupr,
    aurc,
    auroc,
    aurr,
    bootstrap,
    bootstrap_aurc,
    bootstrap_difference,
    coverage_at_risk,
    eaurc,
    fpr_at_tpr,
    operating_point,
    optimal_aurc,
    risk_at_coverage,
    risk_at_recall,
    risk_coverage,
    risk_recall,
)

S = [0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]
CORRECT = [1, 1, 0, 1, 1, 0, 1, 0]
CONVENTIONS = ("xia", "torch_uncertainty", "fd_shifts")


def some(n=400, digits=None, seed=0, rate=0.7):
    """Confidences that know something of what is correct; rounded to `digits` they tie."""
    rng = np.random.default_rng(seed)
    confidence = rng.random(n)
    correct = rng.random(n) < np.clip(rate + 0.5 * (confidence - 0.5), 0, 1)
    return confidence if digits is None else confidence.round(digits), correct


@st.composite
def rankings(draw, smallest=2):
    """Few values, so that ties are common; both right and wrong rows are there."""
    n = draw(st.integers(smallest, 25))
    confidence = np.array(draw(st.lists(st.integers(0, 8), min_size=n, max_size=n))) / 4
    correct = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    correct[:2] = [True, False]
    return confidence, correct


# --- second implementations, slow and plain


def risks_by_rank(confidence, correct, cost=1.0):
    """Expected risk of the k first rows over the orders of tied rows, k = 1..N, by looking at every row for every row."""
    confidence, loss = np.asarray(confidence, dtype=float), np.where(correct, 0.0, cost)
    risks = []
    for k in range(1, len(loss) + 1):
        threshold = np.sort(confidence)[::-1][k - 1]
        above, level = confidence > threshold, confidence == threshold
        risks.append((loss[above].sum() + (k - above.sum()) * loss[level].mean()) / k)
    return np.array(risks)


def slow_aurc(confidence, correct, convention, cost=1.0):
    n = len(confidence)
    risks = risks_by_rank(confidence, correct, cost)
    if convention == "xia":
        return np.trapezoid([0, *risks], np.linspace(0, 1, n + 1))
    if convention == "torch_uncertainty":
        return np.trapezoid(risks, np.arange(1, n + 1) / n) / (1 - 1 / n)
    coverage, risk = slow_curve(confidence, correct, cost)
    return np.trapezoid([risk[0], *risk], [0, *coverage])


def slow_curve(confidence, correct, cost=1.0):
    confidence, loss = np.asarray(confidence), np.where(correct, 0.0, cost)
    thresholds = sorted(set(confidence.tolist()), reverse=True)
    coverage = [(confidence >= t).mean() for t in thresholds]
    return np.array(coverage), np.array([loss[confidence >= t].mean() for t in thresholds])


def slow_auroc(inside, outside):
    return np.mean([(a > b) + (a == b) / 2 for a in inside for b in outside])


def slow_fpr(inside, outside, tpr, rule):
    best = None
    for t in sorted({*inside, *outside}, reverse=True):
        hit, false = np.mean(inside >= t), np.mean(outside >= t)
        if not hit:
            continue
        if rule == "nearest" and (best is None or abs(hit - tpr) < best[0]):
            best = (abs(hit - tpr), false)
        if rule == "at_least" and hit >= tpr:
            return false
        if rule == "floor" and np.sum(inside >= t) >= max(1, int(tpr * len(inside))):
            return false
    return best[1]


# --- golden values


def test_golden_values():
    np.testing.assert_allclose(risk_coverage(S, CORRECT).risk, [0, 0, 1 / 3, 1 / 4, 1 / 5, 1 / 3, 2 / 7, 3 / 8])
    np.testing.assert_allclose(risk_coverage(S, CORRECT).coverage, np.arange(1, 9) / 8)
    assert aurc(S, CORRECT) == pytest.approx(0.198735, abs=6e-7)
    assert aurc(S, CORRECT, "torch_uncertainty") == pytest.approx(0.227126, abs=6e-7)
    assert aurc(S, CORRECT, "fd_shifts") == pytest.approx(0.198735, abs=6e-7)
    assert augrc(S, CORRECT) == pytest.approx(0.132812, abs=6e-7)
    assert aurr(S, CORRECT) == pytest.approx(0.147143, abs=6e-7)
    assert optimal_aurc(3 / 8) == pytest.approx(0.081248, abs=6e-7)
    assert eaurc(S, CORRECT) == pytest.approx(0.198735 - 0.081248, abs=2e-6)
    assert coverage_at_risk(S, CORRECT, risk=0.25) == 5 / 8
    assert coverage_at_risk(S, CORRECT, risk=0.3) == 7 / 8
    assert risk_at_coverage(S, CORRECT, coverage=0.5) == 0.25
    assert risk_at_recall(S, CORRECT, recall=0.8) == 0.2


def test_a_perfect_ranking():
    inside, outside = np.array([3.0, 2, 2, 1]), np.array([0.0, -1, -1])
    assert auroc(inside, outside) == aupr(inside, outside) == aupr(inside, outside, "ood") == 1
    for positive in ("id", "ood"):
        for rule in ("nearest", "at_least", "floor"):
            assert fpr_at_tpr(inside, outside, positive=positive, rule=rule) == 0
    n, error = 100_000, 0.3
    correct = np.arange(n) >= error * n
    assert aurc(np.arange(n), correct) == pytest.approx(optimal_aurc(error), rel=1e-4)
    assert augrc(np.arange(n), correct) == pytest.approx(error**2 / 2, rel=1e-4)
    assert eaurc(np.arange(n), correct) == pytest.approx(0, abs=1e-5)


# --- against the second implementations


@given(rankings())
def test_curves_and_areas_equal_the_slow_ones(rows):
    confidence, correct = rows
    coverage, risk = risk_coverage(confidence, correct)
    np.testing.assert_allclose((coverage, risk), slow_curve(confidence, correct), atol=1e-12)
    for convention in CONVENTIONS:
        assert aurc(confidence, correct, convention) == pytest.approx(slow_aurc(*rows, convention), abs=1e-12)
    ranks = np.arange(1, len(correct) + 1) / len(correct)
    generalised = risks_by_rank(confidence, correct) * ranks
    assert augrc(confidence, correct) == pytest.approx(np.trapezoid([0, *generalised], [0, *ranks]), abs=1e-12)
    slow = np.trapezoid(generalised, ranks) / (1 - 1 / len(correct))
    assert augrc(confidence, correct, "torch_uncertainty") == pytest.approx(slow, abs=1e-12)


@given(rankings(), st.sampled_from([0.2, 0.5, 1.0, 3.0]))
def test_costs_equal_the_slow_ones(rows, factor):
    confidence, correct = rows
    cost = np.where(np.arange(len(correct)) % 2, factor, 1.0)
    for convention in CONVENTIONS:
        assert aurc(*rows, convention, cost=cost) == pytest.approx(slow_aurc(*rows, convention, cost), abs=1e-12)
    assert aurr(*rows, cost=factor) == pytest.approx(factor * aurr(*rows), abs=1e-12)
    coverage, risk = slow_curve(confidence, correct, cost)
    assert risk_at_coverage(*rows, coverage=0.5, cost=cost) == pytest.approx(risk[np.abs(coverage - 0.5).argmin()])


@given(rankings())
def test_separation_equals_the_slow_one(rows):
    confidence, correct = rows
    inside, outside = confidence[correct], confidence[~correct]
    assert auroc(inside, outside) == pytest.approx(slow_auroc(inside, outside), abs=1e-12)
    for rule in ("nearest", "at_least", "floor"):
        for tpr in (0.3, 0.8, 0.95, 1.0):
            found = fpr_at_tpr(inside, outside, tpr, rule=rule)
            assert found == pytest.approx(slow_fpr(inside, outside, tpr, rule))
            found = fpr_at_tpr(inside, outside, tpr, positive="ood", rule=rule)
            assert found == pytest.approx(slow_fpr(-outside, -inside, tpr, rule))


@given(rankings(), st.floats(0, 1))
def test_operating_points_are_what_their_threshold_reaches(rows, target):
    confidence, correct = rows
    target = max(target, 1e-3)
    for point in (
        operating_point(*rows, risk=target),
        operating_point(*rows, risk=target, rule="nearest"),
        operating_point(*rows, coverage=target),
        operating_point(*rows, coverage=target, rule="at_least"),
        operating_point(*rows, recall=target),
        operating_point(*rows, recall=target, rule="at_least"),
    ):
        accepted = confidence >= point.threshold
        assert point.coverage == accepted.mean()
        assert point.risk == pytest.approx((~correct[accepted]).mean() if accepted.any() else 0)
        assert point.recall == pytest.approx((accepted & correct).sum() / correct.sum())
    assert operating_point(*rows, coverage=target).risk == risk_at_coverage(*rows, coverage=target)
    assert operating_point(*rows, recall=target).risk == risk_at_recall(*rows, recall=target)
    assert operating_point(*rows, risk=target).coverage == coverage_at_risk(*rows, risk=target)


@given(rankings(), st.floats(0, 1))
def test_coverage_at_risk_is_the_largest_that_a_threshold_reaches(rows, risk):
    coverage, risks = slow_curve(*rows)
    reached = coverage[risks <= risk]
    assert coverage_at_risk(*rows, risk=risk) == (reached.max() if len(reached) else 0)


def test_coverage_at_nearest_risk_skips_the_noisy_beginning():
    n = 50_000
    confidence = np.arange(n, 0, -1.0)
    correct = (
        np.arange(n) % 16 != 0
    )  # the risk falls to 1 / 16 from above and is nearest to 0.05 where coverage is smallest
    risk = np.cumsum(~correct) / np.arange(1, n + 1)
    expected = 499 + np.abs(risk[499:] - 0.05).argmin()  # the first 499 ranks are left out, as in the released code
    assert coverage_at_risk(confidence, correct, 0.05, "nearest") == (expected + 1) / n
    assert coverage_at_risk(confidence, correct, 0.05, "nearest", skip=1) == (np.abs(risk - 0.05).argmin() + 1) / n
    assert coverage_at_risk([1.0] * 5, [True] * 3 + [False] * 2, 0.05, "nearest", skip=2) == 1


def test_low_coverages_are_found_and_unreachable_ones_not_promised():
    """An old torch-uncertainty gave NaN for coverages below a half, and one that goes by rank promises what ties forbid."""
    confidence = np.linspace(1, 0, 1000)
    correct = np.ones(1000, dtype=bool)
    correct[300:] = np.arange(700) % 2 == 0
    assert 0.3 <= coverage_at_risk(confidence, correct, 0.05) < 0.35
    tied = np.array([0.9, 0.9, 0.9, 0.9, 0.1])
    assert coverage_at_risk(tied, [1, 1, 1, 0, 1], 0.05) == 0
    assert coverage_at_risk(tied, [1, 1, 1, 0, 1], 0.2) == 1
    assert coverage_at_risk(tied, [1, 1, 1, 1, 0], 0.05) == 0.8
    assert operating_point(tied, [0] * 5, risk=0.05).threshold == np.inf


# --- invariances

METRICS = {
    "aurc xia": lambda c, y: aurc(c, y),
    "aurc tu": lambda c, y: aurc(c, y, "torch_uncertainty"),
    "aurc fd": lambda c, y: aurc(c, y, "fd_shifts"),
    "augrc": augrc,
    "augrc tu": lambda c, y: augrc(c, y, "torch_uncertainty"),
    "eaurc": eaurc,
    "aurr": aurr,
    "coverage_at_risk": lambda c, y: coverage_at_risk(c, y, 0.3),
    "coverage_at_risk nearest": lambda c, y: coverage_at_risk(c, y, 0.3, "nearest"),
    "risk_at_coverage": lambda c, y: risk_at_coverage(c, y, 0.6),
    "risk_at_recall": lambda c, y: risk_at_recall(c, y, 0.8),
    "auroc": lambda c, y: auroc(Ranking(c, y)),
    "aupr id": lambda c, y: aupr(Ranking(c, y)),
    "aupr ood": lambda c, y: aupr(Ranking(c, y), positive="ood"),
    "aupr linear": lambda c, y: aupr(Ranking(c, y), positive="ood", interpolation="linear"),
    "fpr id": lambda c, y: fpr_at_tpr(Ranking(c, y), tpr=0.8),
    "fpr ood": lambda c, y: fpr_at_tpr(Ranking(c, y), tpr=0.8, positive="ood"),
    "fpr floor": lambda c, y: fpr_at_tpr(Ranking(c, y), tpr=0.8, rule="floor"),
    "cost": lambda c, y: aurc(c, y, cost=np.where(c > c.mean(), 0.3, 0.7)),
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@given(rows=rankings(), order=st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_row_order_never_changes_a_value(metric, rows, order):
    confidence, correct = rows
    shuffled = list(range(len(correct)))
    order.shuffle(shuffled)
    assert metric(confidence[shuffled], correct[shuffled]) == metric(confidence, correct)


@pytest.mark.parametrize("name", [name for name in METRICS if name != "cost"])
@given(rows=rankings())
@settings(max_examples=40)
def test_monotone_maps_never_change_a_value(name, rows):
    confidence, correct = rows
    for mapped in (3 * confidence - 7, np.exp(confidence), confidence.astype(np.float32), np.arctan(confidence)):
        assert METRICS[name](mapped, correct) == METRICS[name](confidence, correct)


def test_infinite_confidences_are_ranks():
    assert auroc([np.inf, 3], [-np.inf, 2]) == 1
    assert auroc([np.inf, np.inf], [np.inf, -np.inf]) == 0.75


# --- identities


@given(rankings())
def test_identities(rows):
    confidence, correct = rows
    accuracy = correct.mean()
    failure = auroc(Ranking(confidence, correct))
    expected = (1 - failure) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2
    assert augrc(confidence, correct) == pytest.approx(expected, abs=1e-12)
    assert aurr(confidence, correct, cost=0.7) == pytest.approx(
        0.7 * (1 - average_precision_score(correct, confidence)), abs=1e-12
    )
    assert risk_coverage(confidence, correct).risk[-1] == pytest.approx(1 - accuracy)
    assert auroc(confidence[correct], confidence[~correct]) == failure
    assert auroc(-confidence[~correct], -confidence[correct]) == failure
    recall, risk = risk_recall(confidence, correct)
    assert recall[-1] == 1 and risk[-1] == pytest.approx(1 - accuracy)


def test_chance_has_the_areas_of_chance():
    confidence, correct = np.zeros(10), np.arange(10) < 7
    assert aurc(confidence, correct, "fd_shifts") == pytest.approx(0.3)
    assert aurc(confidence, correct, "torch_uncertainty") == pytest.approx(0.3)
    assert aurc(confidence, correct) == pytest.approx(0.3 * (1 - 1 / 20))  # risk 0 at coverage 0 cuts a corner
    assert auroc(Ranking(confidence, correct)) == 0.5


# --- parity


@pytest.mark.parametrize("digits", [None, 1])
def test_parity_with_scikit_learn(digits):
    confidence, correct = some(digits=digits)
    inside, outside = confidence[correct], confidence[~correct]
    assert auroc(inside, outside) == pytest.approx(roc_auc_score(correct, confidence), abs=1e-12)
    assert aupr(inside, outside) == pytest.approx(average_precision_score(correct, confidence), abs=1e-12)
    assert aupr(inside, outside, "ood") == pytest.approx(average_precision_score(~correct, -confidence), abs=1e-12)
    precision, recall, _ = precision_recall_curve(correct, confidence)
    assert aupr(inside, outside, interpolation="linear") == pytest.approx(auc(recall, precision), abs=1e-12)
    for positive, labels, values in (("id", correct, confidence), ("ood", ~correct, -confidence)):
        false, true, _ = roc_curve(labels, values, drop_intermediate=False)
        found = fpr_at_tpr(inside, outside, positive=positive, rule="at_least")
        assert found == pytest.approx(false[np.argmax(true >= 0.95)], abs=1e-12)


@pytest.mark.parametrize("digits", [None, 1])
def test_parity_with_pytorch_ood(digits):
    torch = pytest.importorskip("torch")
    theirs = peer("pytorch_ood.metrics.functional")
    confidence, correct = some(digits=digits)
    inside, outside = confidence[correct], confidence[~correct]
    arguments = torch.from_numpy(-confidence), torch.from_numpy(np.where(correct, 0, -1))
    assert auroc(inside, outside) == pytest.approx(float(theirs.auroc(*arguments)), abs=1e-12)
    found = fpr_at_tpr(inside, outside, positive="ood", rule="at_least")
    assert found == pytest.approx(float(theirs.fpr_at_tpr(*arguments)), abs=1e-12)
    for positive in ("id", "ood"):
        found = aupr(inside, outside, positive, interpolation="linear")
        assert found == pytest.approx(float(theirs.aupr(*arguments, positive=positive)), abs=1e-12)


def by_torch_uncertainty(metric, confidence, correct):
    """Two-class probabilities whose maximum is the confidence: it must lie in [1/2, 1]."""
    torch = pytest.importorskip("torch")
    probabilities = torch.from_numpy(np.column_stack([confidence, 1 - confidence]))
    metric.update(probabilities, torch.from_numpy((~correct).astype(int)))
    return float(metric.compute())


def test_parity_with_torch_uncertainty():
    theirs = peer("torch_uncertainty.metrics.classification.risk_coverage")
    confidence, correct = some()
    rows = 0.5 + confidence / 2, correct
    tolerance = {"rel": 2e-7}  # its coverages are float32
    assert aurc(*rows, "torch_uncertainty") == pytest.approx(by_torch_uncertainty(theirs.AURC(), *rows), **tolerance)
    assert augrc(*rows, "torch_uncertainty") == pytest.approx(by_torch_uncertainty(theirs.AUGRC(), *rows), **tolerance)
    for risk in (0.1, 0.2, 0.28):
        found = by_torch_uncertainty(theirs.CovAtxRisk(risk), *rows)
        assert coverage_at_risk(*rows, risk=risk) == pytest.approx(found, **tolerance)
    for coverage in (0.25, 0.8, 1.0):
        found = by_torch_uncertainty(theirs.RiskAtxCov(coverage), *rows)
        assert risk_at_coverage(*rows, coverage=coverage, rule="at_least") == pytest.approx(found, **tolerance)


@pytest.mark.filterwarnings("ignore:Metric `FPR")
@pytest.mark.parametrize("digits", [None, 1])
def test_parity_of_the_false_positive_rate_with_torch_uncertainty(digits):
    torch = pytest.importorskip("torch")
    theirs = peer("torch_uncertainty.metrics.classification.fpr").FPRx(0.9, pos_label=1)
    confidence, correct = some(digits=digits)
    theirs.update(torch.from_numpy(-confidence), torch.from_numpy((~correct).astype(int)))
    found = fpr_at_tpr(confidence[correct], confidence[~correct], 0.9, positive="ood", rule="at_least")
    assert found == pytest.approx(float(theirs.compute()), rel=2e-7)


@pytest.mark.parametrize("digits", [None, 1])
def test_parity_with_fd_shifts(digits, monkeypatch):
    monkeypatch.setattr(np, "trapz", np.trapezoid, raising=False)  # it was written for NumPy 1
    confidence, correct = some(digits=digits)
    theirs = peer("fd_shifts.analysis.rc_stats").RiskCoverageStats(
        residuals=(~correct).astype(float), confids=confidence
    )
    assert 1000 * aurc(confidence, correct, "fd_shifts") == pytest.approx(theirs.aurc, rel=1e-12)
    assert 1000 * augrc(confidence, correct, "fd_shifts") == pytest.approx(theirs.augrc, rel=1e-12)
    assert 1000 * eaurc(confidence, correct, "fd_shifts") == pytest.approx(theirs.eaurc, rel=1e-9)


# --- weights and bootstrap

WEIGHTED = {
    "aurc xia": (aurc, {}),
    "aurc tu": (aurc, {"convention": "torch_uncertainty"}),
    "aurc fd": (aurc, {"convention": "fd_shifts"}),
    "augrc": (augrc, {}),
    "augrc tu": (augrc, {"convention": "torch_uncertainty"}),
    "eaurc": (eaurc, {}),
    "aurr": (aurr, {}),
    "coverage_at_risk": (coverage_at_risk, {"risk": 0.3}),
    "coverage_at_risk nearest": (coverage_at_risk, {"risk": 0.3, "rule": "nearest"}),
    "risk_at_coverage": (risk_at_coverage, {"coverage": 0.6}),
    "risk_at_coverage at least": (risk_at_coverage, {"coverage": 0.6, "rule": "at_least"}),
    "risk_at_recall": (risk_at_recall, {"recall": 0.8}),
    "auroc": (auroc, {}),
    "aupr": (aupr, {}),
    "aupr ood": (aupr, {"positive": "ood"}),
    "aupr linear": (aupr, {"interpolation": "linear"}),
    "aupr ood linear": (aupr, {"positive": "ood", "interpolation": "linear"}),
    "fpr": (fpr_at_tpr, {}),
    "fpr ood": (fpr_at_tpr, {"positive": "ood"}),
    "fpr floor": (fpr_at_tpr, {"rule": "floor"}),
    "fpr at least": (fpr_at_tpr, {"tpr": 0.8, "rule": "at_least"}),
}


def test_every_metric_takes_weights():
    public = {name for name in dir(metrics) if name.startswith(("au", "eau", "coverage_at", "risk_at", "fpr"))}
    assert public == {metric.__name__ for metric, _ in WEIGHTED.values()}


@pytest.mark.parametrize("digits", [None, 1])
@pytest.mark.parametrize(("metric", "options"), WEIGHTED.values(), ids=WEIGHTED)
def test_weights_are_rows_repeated(metric, options, digits):
    confidence, correct = some(40, digits=digits, seed=3)
    weights = np.random.default_rng(1).multinomial(40, np.full(40, 1 / 40), size=30)
    weights[0], weights[1, :5] = 1, 0
    ranking = Ranking(confidence, correct)
    found = metric(ranking, weights=weights, **options)
    assert found.shape == (30,)
    for row, value in zip(weights, found, strict=True):
        repeated = Ranking(np.repeat(confidence, row), np.repeat(correct, row))
        assert value == pytest.approx(metric(repeated, **options), abs=1e-12)
        assert metric(ranking, weights=row, **options) == value
    assert found[0] == pytest.approx(metric(ranking, **options), abs=1e-12)
    np.testing.assert_array_equal(metric(ranking.weighed(weights), **options), found)
    np.testing.assert_allclose(metric(ranking, weights=weights.astype(float), **options), found, atol=1e-12)


def test_costs_and_weights_together():
    confidence, correct = some(40, digits=1)
    cost = np.where(np.arange(40) % 3, 0.2, 0.9)
    row = np.random.default_rng(1).multinomial(40, np.full(40, 1 / 40))
    repeated = Ranking(np.repeat(confidence, row), np.repeat(correct, row), np.repeat(cost, row))
    for metric in (aurc, augrc, aurr, coverage_at_risk):
        assert metric(confidence, correct, cost=cost, weights=row) == pytest.approx(metric(repeated), abs=1e-12)


def test_bootstrap_does_not_depend_on_the_size_of_its_blocks(monkeypatch):
    ranking = Ranking.separating(*np.split(some(300)[0], [200]))
    values = bootstrap(auroc, ranking, replicates=50, seed=2)
    monkeypatch.setattr(resampling, "_NUMBERS", 2000)
    np.testing.assert_array_equal(bootstrap(auroc, ranking, replicates=50, seed=2), values)
    assert (bootstrap(auroc, ranking, replicates=50, seed=3) != values).any()


def test_bootstrap_keeps_the_sizes_of_strata():
    ranking = Ranking.separating(np.arange(30.0), np.arange(20.0))
    sizes = bootstrap(lambda ranking, weights: weights[:, :30].sum(axis=1), ranking, replicates=20)
    assert (sizes == 30).all()


def test_several_scores_share_a_resample():
    confidence, correct = some(500)
    ranking = Ranking(confidence, correct)
    values = bootstrap(aurc, {"a": ranking, "b": Ranking(2 * confidence, correct)}, replicates=30)
    np.testing.assert_array_equal(values["a"], values["b"])
    np.testing.assert_array_equal(values["a"], bootstrap_aurc(confidence, correct, replicates=30))
    same = bootstrap_difference(aurc, ranking, ranking, replicates=30)
    assert same.estimate == same.low == same.high == 0
    other = bootstrap_difference(aurc, ranking, Ranking(some(500, seed=9)[0], correct), replicates=200)
    assert other.low < other.estimate < other.high < 0
    assert other.replicates.shape == (200,)
    with pytest.raises(ValueError, match="500 and 499 rows cannot share"):
        bootstrap(aurc, {"a": ranking, "b": Ranking(confidence[1:], correct[1:])})
    with pytest.raises(ValueError, match="strata"):
        bootstrap(aurc, {"a": ranking, "b": Ranking(confidence, correct, strata=correct.astype(int))})


def test_bootstrap_interval_covers_about_as_often_as_it_says():
    truth = aurc(*some(1_000_000, seed=100))
    covered = 0
    for seed in range(100):
        low, high = interval(bootstrap_aurc(*some(400, seed=seed), replicates=200, seed=seed))
        covered += low <= truth <= high
    assert 88 <= covered <= 100


# --- bad input


def test_nan_is_named():
    with pytest.raises(ValueError, match="confidence is NaN in row 2"):
        aurc([1, 2, np.nan], [1, 0, 1])
    with pytest.raises(ValueError, match="ood_confidence is NaN in row 0"):
        auroc([1, 2], [np.nan])


def test_shapes_that_disagree_are_both_named():
    with pytest.raises(ValueError, match=r"confidence has shape \(3,\), correct has shape \(2,\)"):
        aurc([1, 2, 3], [1, 0])
    with pytest.raises(ValueError, match=r"shape \(3,\), cost has shape \(2,\)"):
        aurc([1, 2, 3], [1, 0, 1], cost=[1, 2])
    with pytest.raises(ValueError, match=r"weights have shape \(2,\), the ranking has 3 rows"):
        aurc([1, 2, 3], [1, 0, 1], weights=[1, 2])
    with pytest.raises(ValueError, match=r"shape \(1, 3\)"):
        aurc([[1, 2, 3]], [1, 0, 1])
    with pytest.raises(ValueError, match=r"strata has shape \(1,\)"):
        Ranking([1, 2, 3], [1, 0, 1], strata=[1])


def test_empty_sets():
    with pytest.raises(ValueError, match="OOD set is empty"):
        auroc([1.0], [])
    with pytest.raises(ValueError, match="in-distribution set is empty"):
        fpr_at_tpr([], [1.0])
    with pytest.raises(ValueError, match="no rows"):
        aurc([], [])


@pytest.mark.parametrize("right", [True, False])
def test_all_right_or_all_wrong(right):
    confidence, correct = np.array([0.9, 0.5, 0.5, 0.1]), np.full(4, right)
    wrong = 0.0 if right else 1.0
    assert aurc(confidence, correct, "fd_shifts") == aurc(confidence, correct, "torch_uncertainty") == wrong
    assert aurc(confidence, correct) == (0 if right else 1 - 1 / 8)
    assert augrc(confidence, correct) == (0 if right else 0.5)
    assert coverage_at_risk(confidence, correct) == 1 - wrong
    assert risk_at_coverage(confidence, correct) == wrong
    assert eaurc(confidence, correct, "fd_shifts") == 0
    undefined = [auroc, aupr, fpr_at_tpr] + ([] if right else [aurr, risk_at_recall])
    for metric in undefined:
        with pytest.warns(UndefinedMetric, match="undefined without"):
            assert np.isnan(metric(Ranking(confidence, correct)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if right:
            assert aurr(confidence, correct) == risk_at_recall(confidence, correct) == 0
        assert np.isnan(auroc(Ranking(confidence, correct), weights=np.ones((2, 4)))).all()
    if not right:
        with pytest.raises(ValueError, match="no row is correct"):
            operating_point(confidence, correct, recall=0.95)


def test_one_row():
    assert aurc([0.3], [True]) == 0
    with pytest.warns(UndefinedMetric):
        assert np.isnan(aurc([0.3], [True], "torch_uncertainty"))


def test_arguments_that_make_no_sense():
    ranking = Ranking([1, 2], [1, 0])
    for call, message in [
        (lambda: aurc(ranking, convention="mean"), "convention must be one of xia"),
        (lambda: aurc([1, 2], [1, 2]), "booleans, or 0 and 1"),
        (lambda: aurc([1, 2]), "give confidence and correct"),
        (lambda: aurc(ranking, [1, 0]), "already knows"),
        (lambda: auroc([1, 2]), "give id_confidence and ood_confidence"),
        (lambda: auroc(ranking, [1]), "already holds both sets"),
        (lambda: aurc([1, 2], [1, 0], cost=-1), "not negative"),
        (lambda: aurc(ranking, weights=[0, 0]), "add up to nothing"),
        (lambda: aurc(ranking, weights=[0.5, 1]), "whole numbers"),
        (lambda: eaurc(Ranking([1, 2], [1, 0], cost=2)), "cost of 1 only"),
        (lambda: coverage_at_risk(ranking, rule="best"), "rule must be one of max"),
        (lambda: coverage_at_risk(ranking, risk=-1), "must not be negative"),
        (lambda: coverage_at_risk(ranking, rule="nearest", skip=3), "skip must lie"),
        (lambda: risk_at_coverage(ranking, coverage=0), "coverage must lie"),
        (lambda: risk_at_recall(ranking, recall=1.1), "recall must lie"),
        (lambda: fpr_at_tpr(ranking, tpr=2), "tpr must lie"),
        (lambda: fpr_at_tpr(ranking, positive="in"), "positive must be one of id, ood"),
        (lambda: fpr_at_tpr(ranking, rule="openood"), "rule must be one of nearest"),
        (lambda: aupr(ranking, interpolation="none"), "interpolation must be"),
        (lambda: operating_point(ranking), "exactly one"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
