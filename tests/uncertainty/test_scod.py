"""Selective classification with OOD data: mixtures with counts, costs, and the released code's conventions."""

import numpy as np
import pytest
from peers import peer
from sklearn.metrics import average_precision_score

from genovision.uncertainty.metrics import auroc, aurr, bootstrap
from genovision.uncertainty.scod import Evaluation, correct_against_ood, mixture_rows, sirc2022, window2023


def some(n=1000, m=600, seed=0):
    rng = np.random.default_rng(seed)
    correct = rng.random(n) < 0.8
    return rng.normal(np.where(correct, 1.5, 0.5), 1), correct, rng.normal(0, 1, m)


def test_risk_recall_and_areas_by_hand():
    confidence, correct, outside = some()
    evaluation = Evaluation(confidence, correct, outside, cost_id=0.3, cost_ood=0.7)
    assert evaluation.counts == (correct.sum(), (~correct).sum(), 600)
    recalls, risks = [0.0], [0.0]
    for t in np.sort(np.concatenate([confidence, outside]))[::-1]:
        accepted = (confidence >= t).sum() + (outside >= t).sum()
        risks.append((0.3 * ((confidence >= t) & ~correct).sum() + 0.7 * (outside >= t).sum()) / accepted)
        recalls.append(((confidence >= t) & correct).sum() / correct.sum())
    recalls, risks = np.array(recalls), np.array(risks)
    assert evaluation.aurr() == pytest.approx((np.diff(recalls) * risks[1:]).sum())
    assert evaluation.risk_at_recall(0.95) == pytest.approx(risks[np.abs(recalls - 0.95).argmin()])
    assert evaluation.aurc() == pytest.approx(np.trapezoid(risks, np.linspace(0, 1, len(risks))))
    good = np.flatnonzero(risks[1:] <= 0.1)
    assert evaluation.coverage_at_risk(0.1) == (good.max() + 1) / 1600
    assert evaluation.risk_at_coverage(0.5, threshold_on="all") == pytest.approx(risks[800])


def test_threshold_set_on_the_in_distribution_rows():
    confidence, correct, outside = some()
    evaluation = Evaluation(confidence, correct, outside, **window2023())
    t = np.sort(confidence)[::-1][799]
    accepted_wrong = ((confidence >= t) & ~correct).sum() + (outside >= t).sum()
    expected = accepted_wrong / (800 + (outside >= t).sum())
    assert evaluation.risk_at_coverage(0.8) == pytest.approx(expected)
    assert evaluation.risk_at_threshold(np.inf) == 0
    with pytest.raises(ValueError, match="'id' or 'all'"):
        evaluation.risk_at_coverage(0.8, threshold_on="ood")


def test_presets():
    assert sirc2022() == {"cost_id": 0.5, "cost_ood": 0.5}
    assert sirc2022(0.2) == {"cost_id": 0.2, "cost_ood": 0.8}
    assert window2023() == {"cost_id": 1.0, "cost_ood": 1.0}
    assert window2023(3.0)["cost_ood"] == 3.0
    confidence, correct, outside = some()
    halves = Evaluation(confidence, correct, outside, **sirc2022())
    whole = Evaluation(confidence, correct, outside, **window2023())
    assert halves.aurr() == pytest.approx(whole.aurr() / 2)
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match="beta must lie"):
            sirc2022(wrong)
    with pytest.raises(ValueError, match="beta must be finite"):
        window2023(-1)


def test_with_equal_costs_aurr_is_one_minus_average_precision():
    confidence, correct, outside = some()
    labels = np.concatenate([correct, np.zeros(600, dtype=bool)])
    expected = 0.5 * (1 - average_precision_score(labels, np.concatenate([confidence, outside])))
    assert Evaluation(confidence, correct, outside, **sirc2022(0.5)).aurr() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("inside", "outside", "alpha", "kept"),
    [
        (1000, 5000, 0.5, (1000, 1000)),
        (1000, 5000, 1 / 3, (1000, 2000)),
        (1000, 600, 0.5, (600, 600)),
        (1000, 600, 1 / 1.1, (1000, 100)),
        (1000, 600, 1.0, (1000, 0)),
        (1000, 600, None, (1000, 600)),
        (10, 3, 0.4, (2, 3)),
    ],
)
def test_mixtures(inside, outside, alpha, kept):
    rows = mixture_rows(inside, outside, alpha, seed=1)
    assert tuple(map(len, rows)) == kept
    for chosen, size in zip(rows, (inside, outside), strict=True):
        assert (np.diff(chosen) > 0).all() and (chosen < size).all()
    for chosen, again in zip(rows, mixture_rows(inside, outside, alpha, seed=1), strict=True):
        np.testing.assert_array_equal(chosen, again)


def test_sweep_of_the_paper_keeps_every_in_distribution_row():
    for ratio in np.linspace(0, 2, 21):
        inside, outside = mixture_rows(1000, 2000, 1 / (1 + ratio))
        assert len(inside) == 1000
        assert len(outside) == round(1000 * ratio)


def test_mixture_of_an_evaluation_is_counted_and_shared():
    confidence, correct, outside = some()
    first = Evaluation(confidence, correct, outside, alpha=0.8, seed=3)
    second = Evaluation(-confidence, correct, -outside, alpha=0.8, seed=3)
    assert first.counts == second.counts == (correct.sum(), (~correct).sum(), 250)
    assert first.alpha == 0.8
    np.testing.assert_array_equal(first.ood_rows, second.ood_rows)
    other = Evaluation(confidence, correct, outside, alpha=0.8, seed=4)
    assert (first.ood_rows != other.ood_rows).any()
    alone = Evaluation(confidence, correct, outside, alpha=1)
    assert alone.counts.ood == 0 and alone.alpha == 1


def test_bootstrap_of_the_mixture_keeps_its_composition():
    evaluation = Evaluation(*some(), alpha=0.7)
    values = bootstrap(aurr, evaluation.ranking, replicates=100)
    assert values.std() > 0 and values.min() < evaluation.aurr() < values.max()
    counts = np.ones((2, len(evaluation.ranking)))
    for metric in (
        evaluation.aurr,
        evaluation.aurc,
        evaluation.risk_at_recall,
        evaluation.coverage_at_risk,
    ):
        assert metric(weights=counts) == pytest.approx(metric())


def test_the_columns_of_the_tables():
    confidence, correct, outside = some()
    ranking = correct_against_ood(confidence, correct, outside)
    assert auroc(ranking) == auroc(confidence[correct], outside)
    with pytest.raises(ValueError, match="in-distribution set is empty"):
        correct_against_ood(confidence, np.zeros(1000, dtype=bool), outside)


def test_bad_input():
    confidence, correct, outside = some()
    with pytest.raises(ValueError, match="OOD set is empty"):
        Evaluation(confidence, correct, [])
    with pytest.raises(ValueError, match="ood_confidence is NaN in row 0"):
        Evaluation(confidence, correct, [np.nan])
    with pytest.raises(ValueError, match=r"\(1000,\), correct has shape \(999,\)"):
        Evaluation(confidence, correct[1:], outside)
    with pytest.raises(ValueError, match="costs must be finite"):
        Evaluation(confidence, correct, outside, cost_ood=-1)
    for alpha in (0, 1.5):
        with pytest.raises(ValueError, match="alpha must lie"):
            Evaluation(confidence, correct, outside, alpha=alpha)
    with pytest.raises(ValueError, match="too few"):
        Evaluation(confidence, correct, [0.0], alpha=0.1)


def test_parity_with_torch_uncertainty():
    torch = pytest.importorskip("torch")
    theirs = peer("torch_uncertainty.metrics.classification.scod_risk_coverage")
    confidence, correct, outside = some()
    arguments = [np.concatenate(pair) for pair in [(-confidence, -outside), (~correct, np.zeros(600, dtype=bool))]]
    evaluation = Evaluation(confidence, correct, outside, cost_id=0.25, cost_ood=0.75)
    for metric, found in [
        (theirs.SCODAURC(ood_cost=0.75), evaluation.aurc("torch_uncertainty")),
        (theirs.SCODCovAtxRisk(0.1, ood_cost=0.75), evaluation.coverage_at_risk(0.1)),
        (theirs.SCODRiskAtxCov(0.5, ood_cost=0.75), evaluation.risk_at_coverage(0.5, threshold_on="all")),
    ]:
        metric.update(*map(torch.from_numpy, arguments), torch.arange(1600) >= 1000)
        assert found == pytest.approx(float(metric.compute()), rel=2e-7)
