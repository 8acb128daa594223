"""Temperature and reliability, where they have closed forms."""

import numpy as np
import pytest
from scipy.special import softmax

from genovision.dna.calibration import (
    apply,
    calibration_errors,
    expected_calibration_error,
    logits_of,
    nll,
    reliability,
    temperature,
)
from genovision.errors import InputError

RNG = np.random.default_rng(11)


def drawn(distributions):
    return (RNG.random(len(distributions))[:, None] >= distributions.cumsum(axis=1)[:, :3]).sum(axis=1)


def test_the_temperature_has_a_closed_form_where_one_base_stands_out():
    # logit a for base 0 and 0 for the others, base 0 right in a share p: softmax(a / T) = p, so T = a / log(3 p / (1 - p))
    a, right = 3.0, 60
    logits = np.tile([a, 0, 0, 0], (100, 1))
    truth = np.r_[np.zeros(right, dtype=int), np.resize([1, 2, 3], 100 - right)]
    p = right / 100
    found = temperature(logits, truth)
    assert found == pytest.approx(a / np.log(3 * p / (1 - p)), rel=1e-4)
    assert apply(logits, found)[0, 0] == pytest.approx(p, abs=1e-5)
    # the likelihood there is that of the counts
    expected = -(p * np.log(p) + (1 - p) * np.log((1 - p) / 3))
    assert nll(logits, truth, found) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_the_temperature_that_drew_the_bases_is_found_again(true):
    logits = 2 * RNG.standard_normal((20_000, 4))
    assert temperature(logits, drawn(softmax(logits / true, axis=1))) == pytest.approx(true, rel=0.05)


def test_probabilities_and_logits_say_the_same():
    probabilities = RNG.dirichlet(np.ones(4), 500)
    truth = drawn(probabilities)
    assert temperature(logits_of(probabilities), truth) == pytest.approx(
        temperature(logits_of(probabilities) + 7, truth), rel=1e-5
    )
    np.testing.assert_allclose(apply(logits_of(probabilities), 1.0), probabilities, atol=1e-12)
    cold = apply(logits_of(probabilities), 0.5)
    np.testing.assert_allclose(cold, probabilities**2 / (probabilities**2).sum(axis=1, keepdims=True))
    assert np.array_equal(cold.argmax(axis=1), probabilities.argmax(axis=1))
    # a probability of 0 is unlikely, not impossible
    assert np.isfinite(nll(logits_of([[1.0, 0, 0, 0]]), [1]))
    assert apply(logits_of(np.full((2, 3, 4), 0.25)), 3.0).shape == (2, 3, 4)


def test_bases_that_determine_no_temperature():
    logits = np.tile([1.0, 0, 0, 0], (10, 1))
    with pytest.raises(InputError, match=r"lies below 0.01: these 10 bases"):
        temperature(logits, np.zeros(10, dtype=int))
    with pytest.raises(InputError, match="lies above 100"):
        temperature(logits, np.ones(10, dtype=int))
    with pytest.raises(InputError, match="every distribution is uniform"):
        temperature(np.zeros((3, 4)), [0, 1, 2])


def test_reliability_by_hand():
    table = reliability([0.0, 0.5, 0.6, 0.75, 1.0], [False, True, False, True, True], bins=2)
    assert table["low"].tolist() == [0, 0.5] and table["high"].tolist() == [0.5, 1]
    # a confidence on an edge belongs to the bin below it, 0 to the first
    assert table["n"].tolist() == [2, 3]
    assert table["confidence"].tolist() == pytest.approx([0.25, 2.35 / 3])
    assert table["accuracy"].tolist() == pytest.approx([0.5, 2 / 3])
    assert expected_calibration_error(table) == pytest.approx((0.25 * 2 + (2.35 - 2)) / 5)


def test_empty_bins_have_no_means_and_no_weight():
    table = reliability(np.full((2, 3), 0.9), np.ones((2, 3), dtype=bool), bins=4)
    assert table["n"].tolist() == [0, 0, 0, 6]
    assert table["confidence"].isna().tolist() == [True, True, True, False]
    assert expected_calibration_error(table) == pytest.approx(0.1)


def test_the_error_is_near_zero_for_calibrated_and_the_excess_for_overconfident_distributions():
    probabilities = RNG.dirichlet(np.ones(4), 50_000)
    truth = drawn(probabilities)
    correct = probabilities.argmax(axis=1) == truth
    assert expected_calibration_error(reliability(probabilities.max(axis=1), correct)) < 0.01
    sharp = apply(logits_of(probabilities), 1 / 3)
    before = expected_calibration_error(reliability(sharp.max(axis=1), correct))
    assert before == pytest.approx(sharp.max(axis=1).mean() - correct.mean(), abs=0.01)
    again = apply(logits_of(sharp), temperature(logits_of(sharp), truth))
    assert expected_calibration_error(reliability(again.max(axis=1), correct)) < 0.01


def test_what_is_no_distribution_is_refused_with_its_place():
    with pytest.raises(ValueError, match=r"row \(1,\) is no distribution: \[0.5, 0.5, 0.5, 0.0\]"):
        logits_of([[1, 0, 0, 0], [0.5, 0.5, 0.5, 0]])
    with pytest.raises(ValueError, match=r"row \(0, 1\)"):
        logits_of([[[1, 0, 0, 0], [np.nan, 0, 0, 1]]])
    with pytest.raises(ValueError, match=r"logits must be \(M, 4\) and truth \(M,\), not \(2, 4\) and \(3,\)"):
        nll(np.zeros((2, 4)), [0, 1, 2])
    with pytest.raises(ValueError, match="truth from 0 to 3"):
        temperature(np.zeros((1, 4)), [4])
    with pytest.raises(ValueError, match="temperature 0 must be positive"):
        apply([[0, 0, 0, 0]], 0)
    with pytest.raises(ValueError, match="2 confidences and 1 outcomes"):
        reliability([0.5, 0.5], [True])
    with pytest.raises(ValueError, match=r"confidences must lie in \[0, 1\]"):
        reliability([1.5], [True])


def test_errors_of_replicates_are_those_of_repeated_sequences():
    rng = np.random.default_rng(4)
    confidence, correct = rng.random((30, 12)), rng.random((30, 12)) < 0.6
    confidence[0, :3] = 0.0, 0.05, 1.0  # ends and edges of bins
    counts = rng.multinomial(30, np.full(30, 1 / 30), size=5)
    wanted = [
        expected_calibration_error(reliability(np.repeat(confidence, row, axis=0), np.repeat(correct, row, axis=0)))
        for row in counts
    ]
    np.testing.assert_allclose(calibration_errors(confidence, correct, counts), wanted, rtol=1e-12)
