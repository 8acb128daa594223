"""Label smoothing: the gradient against finite differences, the pressure on the max logit, and the choice of p for logit normalisation."""

import numpy as np
import pytest

from genovision.uncertainty import metrics, scores
from genovision.uncertainty.smoothing import (
    bins,
    centred_max_logit,
    choose_power,
    expected_pressure,
    gradient,
    loss,
    max_logit_pressure,
)


@pytest.fixture
def batch():
    rng = np.random.default_rng(4)
    return rng.normal(scale=2, size=(40, 6)), rng.integers(6, size=40)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.4, 1.0])
def test_gradient_is_that_of_the_loss(batch, alpha):
    v, y = batch
    step = 1e-6
    for k in range(6):
        up, down = v.copy(), v.copy()
        up[:, k] += step
        down[:, k] -= step
        numeric = (loss(up, y, alpha) - loss(down, y, alpha)) / (2 * step)
        assert np.allclose(gradient(v, y, alpha)[:, k], numeric, atol=1e-8)


def test_no_smoothing_is_cross_entropy(batch):
    v, y = batch
    assert np.allclose(loss(v, y, 0.0), np.logaddexp.reduce(v, axis=1) - v[np.arange(40), y])


def test_smoothing_adds_a_linear_regulariser(batch):
    v, y = batch
    assert np.allclose(loss(v, y, 0.3) - loss(v, y, 0.0), 0.3 * (v[np.arange(40), y] - v.mean(axis=1)))


def test_pressure_is_the_difference_of_gradients_on_the_max_logit(batch):
    v, y = batch
    top = v.argmax(axis=1)
    extra = (gradient(v, y, 0.2) - gradient(v, y, 0.0))[np.arange(40), top]
    assert np.allclose(extra, max_logit_pressure(top == y, 0.2, 6))


def test_expected_pressure_is_its_mean_and_falls_with_the_probability_of_error():
    correct = np.random.default_rng(0).random(200_000) > 0.3
    assert max_logit_pressure(correct, 0.2, 8).mean() == pytest.approx(expected_pressure(0.3, 0.2, 8), abs=1e-3)
    assert (np.diff(expected_pressure(np.linspace(0, 1, 11), 0.2, 8)) < 0).all()
    assert expected_pressure(1 - 1 / 8, 0.2, 8) == pytest.approx(0)


def test_centred_max_logit_does_not_see_a_shift(batch):
    v, _ = batch
    assert np.allclose(centred_max_logit(v), centred_max_logit(v + 5.0))


def test_the_p_chosen_has_the_lowest_aurc_and_the_table_shows_all(batch):
    v, y = batch
    correct = v.argmax(axis=1) == y
    p, table = choose_power(v, correct, powers=[2, 3, 5])
    values = {q: metrics.aurc(scores.logit_norm(v, p=q), correct) for q in (2, 3, 5)}
    assert p == min(values, key=values.get)
    assert table["score"].tolist() == ["msp", "logit_norm", "logit_norm", "logit_norm"]
    assert table["aurc"].tolist() == [metrics.aurc(scores.msp(v), correct), *values.values()]


def test_of_equal_ps_the_smallest_is_chosen():
    logits = np.array([[3.0, 0.0, 0.0], [2.0, 0.0, 0.0]])  # the same up to scale: every p ties
    assert choose_power(logits, [True, False], powers=[7, 4, 9])[0] == 4


def test_two_classes_have_nothing_to_normalise():
    with pytest.raises(ValueError, match="3 classes"):
        choose_power(np.ones((4, 2)), np.array([True, False, True, True]))


def test_bins_are_equal_in_size_and_in_order():
    error = np.random.default_rng(1).random(103)
    place = bins(error, 10)
    assert np.bincount(place).min() >= 10 and np.bincount(place).max() <= 11
    assert error[place == 0].max() <= error[place == 9].min()
    with pytest.raises(ValueError, match="do not fill"):
        bins([0.1, 0.2], 3)


@pytest.mark.parametrize(
    ("labels", "alpha", "message"),
    [([0, 1, 2], 0.1, "labels"), ([0, 6], 0.1, "0..5"), ([-1, 0], 0.1, "0..5"), ([0, 1], 1.1, "alpha")],
)
def test_bad_input_is_named(labels, alpha, message):
    with pytest.raises(ValueError, match=message):
        loss(np.zeros((2, 6)), labels, alpha)
