"""The prediction rejection ratio: the areas of its curves, its limits, ties and weights."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from genovision.translation.prediction_rejection import prediction_rejection_ratio
from genovision.uncertainty.metrics import UndefinedMetric

RNG = np.random.default_rng(0)


def area(order, quality):
    """Trapezoids under the summed error of what is kept, rejecting in this order; a rejected sentence is perfect (quality 1)."""
    errors = [sum(1 - quality[i] for i in order[rejected:]) / len(order) for rejected in range(len(order) + 1)]
    return sum((a + b) / 2 for a, b in pairwise(errors)) / len(order)


def slow(uncertainty, quality):
    """From the three curves; of tied uncertainties every order."""
    number = len(quality)
    rejecting = [
        order
        for order in permutations(range(number))
        if all(uncertainty[a] >= uncertainty[b] for a, b in pairwise(order))
    ]
    found = np.mean([area(order, quality) for order in rejecting])
    random = (1 - np.mean(quality)) / 2  # a straight line from the mean error to none
    oracle = area(np.argsort(quality, kind="stable"), quality)
    return (random - found) / (random - oracle)


@pytest.mark.parametrize("values", [1000, 3])
def test_it_is_the_ratio_of_areas(values):
    for _ in range(10):
        quality = RNG.random(6)
        uncertainty = RNG.integers(0, values, 6)
        assert prediction_rejection_ratio(uncertainty, quality) == pytest.approx(slow(uncertainty, quality))


def test_limits():
    quality = RNG.random(2000)
    assert prediction_rejection_ratio(-quality, quality) == pytest.approx(1)
    assert prediction_rejection_ratio(quality, quality) == pytest.approx(-1)
    assert prediction_rejection_ratio(np.zeros(2000), quality) == pytest.approx(0)
    random = [prediction_rejection_ratio(RNG.random(2000), quality) for _ in range(50)]
    assert abs(np.mean(random)) < 0.02 and np.std(random) < 0.05
    noisy = prediction_rejection_ratio(-quality + RNG.normal(0, 0.3, 2000), quality)
    assert 0.4 < noisy < 0.9


def test_only_the_order_of_uncertainty_and_the_shape_of_quality_count():
    quality, uncertainty = RNG.random(80), RNG.normal(size=80)
    value = prediction_rejection_ratio(uncertainty, quality)
    assert prediction_rejection_ratio(np.exp(5 * uncertainty), quality) == pytest.approx(value)
    assert prediction_rejection_ratio(uncertainty, 100 * quality - 7) == pytest.approx(value)
    order = RNG.permutation(80)
    assert prediction_rejection_ratio(uncertainty[order], quality[order]) == pytest.approx(value)
    tied = np.repeat(0.3, 80)
    tied[:5] = quality[:5]
    assert prediction_rejection_ratio(-tied, tied) == pytest.approx(1)


def test_a_replicate_is_the_rows_repeated():
    quality, uncertainty = RNG.integers(0, 6, 30) / 5, RNG.integers(0, 8, 30)
    counts = RNG.multinomial(30, np.full(30, 1 / 30), size=20)
    found = prediction_rejection_ratio(uncertainty, quality, counts)
    assert found.shape == (20,)
    for value, drawn in zip(found, counts, strict=True):
        rows = np.repeat(np.arange(30), drawn)
        assert value == pytest.approx(prediction_rejection_ratio(uncertainty[rows], quality[rows]))
        assert prediction_rejection_ratio(uncertainty, quality, drawn) == pytest.approx(value)


def test_sentences_that_are_equally_good():
    with pytest.warns(UndefinedMetric, match="equally good"):
        assert np.isnan(prediction_rejection_ratio([1.0, 2.0, 3.0], [0.1, 0.1, 0.1]))
    found = prediction_rejection_ratio([1.0, 2.0, 3.0], [0.1, 0.1, 0.9], [[1, 2, 0], [1, 1, 1]])
    assert np.isnan(found[0]) and found[1] == pytest.approx(-1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, np.nan], [1.0, 2.0]), "uncertainty is NaN in row 1"),
        (([1.0, 2.0], [np.nan, 2.0]), "quality is NaN in row 0"),
        (([1.0], [1.0, 2.0]), r"uncertainty has shape \(1,\), quality \(2,\)"),
        (([], []), r"N >= 1"),
        (([[1.0]], [1.0]), r"uncertainty has shape \(1, 1\)"),
        (([1.0, 2.0], [1.0, 2.0], [1, 1, 1]), r"weights have shape \(3,\), there are 2"),
        (([1.0, 2.0], [1.0, 2.0], [0, 0]), "nor all be 0"),
        (([1.0, 2.0], [1.0, 2.0], [-1, 2]), "not be negative"),
    ],
)
def test_what_can_not_be_measured(arguments, message):
    with pytest.raises(ValueError, match=message):
        prediction_rejection_ratio(*arguments)
