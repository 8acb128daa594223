"""Window cascades: where the window lies, that its ends continue, the two limits, and the paper's point against a single threshold."""

import numpy as np
import pytest
from scipy.stats import percentileofscore

from genovision.uncertainty import metrics, scores
from genovision.uncertainty.cascade import SingleThreshold, Window, fit_windows, mean_macs, percentile_rank, run
from genovision.uncertainty.ensembles import decompose


def members(number: int, seed: int, classes: int = 10, count: int = 2):
    """Logits of models that err together in part, and labels: (count arrays (N, K)), (N,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=number)
    shared = 3.4 * np.eye(classes)[labels] + rng.normal(size=(number, classes))
    return [shared + 1.2 * rng.normal(size=(number, classes)) for _ in range(count)], labels


@pytest.fixture(scope="module")
def halves():
    """(validation stages, labels), (test stages, labels)."""
    return members(6_000, 1), members(6_000, 2)


def first_stage(stages, labels):
    return scores.msp(stages[0]), stages[0].argmax(axis=1) == labels


def test_the_window_holds_a_tenth_of_the_data_on_either_side_of_tau(halves):
    confidence, correct = first_stage(*halves[0])
    window = Window().fit(confidence, correct)
    assert window.tau == metrics.operating_point(confidence, correct, risk=0.05, rule="nearest").threshold
    assert np.mean((confidence >= window.low) & (confidence < window.tau)) == pytest.approx(0.1, abs=0.002)
    assert np.mean((confidence > window.tau) & (confidence <= window.high)) == pytest.approx(0.1, abs=0.002)
    assert window.share == pytest.approx(0.2, abs=0.002)
    assert window.expected_macs([3.0, 5.0]) == pytest.approx(3 + 5 * window.share)


def test_both_ends_continue():
    window = Window("scod", level=0.5).fit(np.arange(11) / 10, None, half_width=0.2)
    assert window.passes_on([window.low, window.high]).all()
    assert not window.passes_on([np.nextafter(window.low, 0), np.nextafter(window.high, 1)]).any()


def test_percentile_rank_is_scipys():
    values = np.array([0.1, 0.2, 0.2, 0.2, 0.7, 0.9])
    for at in (0.0, 0.1, 0.2, 0.5, 0.9, 1.0):
        assert percentile_rank(values, at) == pytest.approx(percentileofscore(values, at) / 100)


@pytest.mark.parametrize(("task", "coverage"), [("scod", 0.8), ("ood", 0.95)])
def test_tasks_without_labels_put_tau_at_an_id_coverage(halves, task, coverage):
    confidence, _ = first_stage(*halves[0])
    window = Window(task).fit(confidence)
    assert np.mean(confidence >= window.tau) == pytest.approx(coverage, abs=1e-3)


def test_a_window_at_the_edge_is_cut_there(halves):
    confidence, _ = first_stage(*halves[0])
    window = Window("ood").fit(confidence)
    assert window.low == confidence.min()
    assert window.share == pytest.approx(0.15, abs=0.002)


def test_no_window_is_the_single_model_and_the_widest_is_the_ensemble(halves):
    stages, labels = halves[0]
    confidence, correct = first_stage(stages, labels)
    alone = run(stages, [Window().fit(confidence, correct, half_width=0.0)])
    assert (alone.stage == 0).all()
    assert np.array_equal(alone.confidence, confidence)
    everything = run(stages, [Window().fit(confidence, correct, half_width=1.0)])
    assert (everything.stage == 1).all()
    assert np.allclose(everything.confidence, decompose(np.stack(stages, axis=1))["msp"])


def test_energy_cascades_average_the_energies(halves):
    stages, _ = halves[0]
    outcome = run(stages, [Window("ood").fit(scores.energy(stages[0]))], score="energy")
    gone_on = outcome.stage == 1
    assert np.allclose(outcome.confidence[~gone_on], scores.energy(stages[0])[~gone_on])
    assert np.allclose(outcome.confidence[gone_on], np.mean([scores.energy(v) for v in stages], axis=0)[gone_on])


def test_an_outcome_depends_on_no_other_input(halves):
    stages, labels = halves[1]
    policies = fit_windows(*halves[0])
    whole = run(stages, policies)
    some = np.arange(0, len(labels), 7)
    part = run([v[some] for v in stages], policies)
    for ours, theirs in zip(part, whole, strict=True):
        assert np.array_equal(ours, theirs[some])


def test_mean_cost_is_first_plus_share_of_second(halves):
    stages, _ = halves[1]
    policies = fit_windows(*halves[0])
    outcome = run(stages, policies)
    share = policies[0].passes_on(scores.msp(stages[0])).mean()
    assert mean_macs(outcome.stage, [2.0, 7.0]) == pytest.approx(2 + 7 * share)
    assert policies[0].expected_macs([2.0, 7.0], scores.msp(stages[0])) == pytest.approx(2 + 7 * share)


def test_three_stages_each_narrow_the_stream():
    stages, labels = members(3_000, 5, count=3)
    windows = fit_windows(stages, labels, half_widths=[0.3, 0.1])
    outcome = run(stages, windows)
    counts = np.bincount(outcome.stage, minlength=3)
    assert (counts > 0).all() and counts.sum() == 3_000
    third = outcome.stage == 2
    assert np.allclose(outcome.confidence[third], decompose(np.stack(stages, axis=1))["msp"][third])
    exits = run(stages, windows, ensemble=False)
    third = exits.stage == 2
    assert np.allclose(exits.confidence[third], scores.msp(stages[2])[third])


def test_the_adjusted_window_keeps_tau_and_the_share_on_a_shifted_stream(halves):
    confidence, correct = first_stage(*halves[0])
    window = Window().fit(confidence, correct)
    shifted = np.concatenate([confidence, 0.6 * confidence])
    adjusted = window.adjust(shifted)
    assert adjusted.tau == window.tau and adjusted is not window
    assert adjusted.share == pytest.approx(0.2, abs=0.002)
    assert abs(window.passes_on(shifted).mean() - 0.2) > 0.02


def test_the_window_beats_a_single_threshold_of_equal_cost_and_a_random_one_in_coverage_but_not_in_accuracy(halves):
    (before, known), (stages, labels) = halves
    confidence, correct = first_stage(before, known)
    window = Window().fit(confidence, correct)
    rival = SingleThreshold().fit(confidence, share=window.share)

    class Lot:
        def passes_on(self, s):
            return np.random.default_rng(0).random(len(s)) < window.share

    def result(policy):
        outcome = run(stages, [policy])
        right = outcome.prediction == labels
        return metrics.coverage_at_risk(outcome.confidence, right, 0.05), right.mean(), outcome.stage.mean()

    (covered, accuracy, cost), (rivals, better, same), (lots, _, _) = (result(one) for one in (window, rival, Lot()))
    assert same == pytest.approx(cost, abs=0.02)
    assert covered > max(rivals, lots) + 0.01
    assert better > accuracy


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Window("risk"), "none of sc, scod, ood"),
        (lambda: Window(level=1.5), r"lies in \[0, 1\]"),
        (lambda: Window().fit([0.1, 0.2], None), "which predictions are correct"),
        (lambda: Window("ood").fit([]), r"shape \(N,\)"),
        (lambda: Window("ood").fit([0.1, np.nan]), "row 1"),
        (lambda: Window("ood").fit([0.1, 0.2], half_width=2), "half_width"),
        (lambda: SingleThreshold().fit([0.1], share=-1), "share"),
        (lambda: Window("ood").fit([0.1, 0.2]).expected_macs([1, 2, 3]), "two stages"),
        (lambda: run([np.zeros((3, 4)), np.zeros((3, 5))], [None]), r"\(3, 4\).*\(3, 5\)"),
        (lambda: run([np.zeros((3, 4))] * 3, [None]), "needs 2 policies, not 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("policy", [Window, SingleThreshold])
def test_a_policy_without_a_place_says_so(policy):
    for use in (
        lambda one: one.passes_on([0.1]),
        lambda one: one.expected_macs([1, 2]),
        lambda one: run([np.zeros((2, 3)), np.zeros((2, 3))], [one]),
    ):
        with pytest.raises(ValueError, match=f"the {policy.__name__} has no place yet: call fit with validation data"):
            use(policy())
    with pytest.raises(ValueError, match="call fit"):
        Window().adjust([0.1, 0.2])
