"""Confidences from logits: golden values, bounds, and a second implementation by scipy's softmax."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from peers import peer
from scipy.special import entr, logsumexp, softmax

from genovision.uncertainty import scores
from genovision.uncertainty.scores import (
    doctor,
    energy,
    feature_norm,
    fit_temperature,
    logit_norm,
    logit_scores,
    max_logit,
    msp,
    neg_entropy,
    negative_log_likelihood,
)

GOLDEN = np.array([[2, 1, 0], [0.5, 0.4, 0.3], [5, -1, -2]])
RNG = np.random.default_rng(4)
LOGITS = arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(3, 7)), elements=st.floats(-50, 50, width=32))
BY_NAME = {"msp": msp, "doctor": doctor, "neg_entropy": neg_entropy, "max_logit": max_logit, "energy": energy}


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (msp, [0.665241, 0.367165, 0.996621]),
        (doctor, [0.510543, 0.335550, 0.993260]),
        (neg_entropy, [-0.832396, -1.095287, -0.024569]),
        (max_logit, [2, 0.5, 5]),
        (energy, [2.407606, 1.501943, 5.003385]),
    ],
)
def test_golden_values(score, expected):
    np.testing.assert_allclose(score(GOLDEN), expected, atol=6e-7)
    assert score(GOLDEN.astype(np.float32)).dtype == np.float64


def test_golden_values_of_logit_norm():
    np.testing.assert_allclose(logit_norm(GOLDEN), [0.707107, 0.707107, 0.809345], atol=6e-7)
    np.testing.assert_allclose(logit_norm(GOLDEN, p=4), [0.840896, 0.840896, 0.962478], atol=6e-7)
    with pytest.warns(RuntimeWarning, match="p = 1 is degenerate"):
        np.testing.assert_allclose(logit_norm(GOLDEN, p=1), 0.5)


@pytest.mark.parametrize("temperature", [1.0, 0.3, 7.0])
def test_one_pass_equals_the_textbook(temperature, monkeypatch):
    monkeypatch.setattr(scores, "_BLOCK", 100)
    logits = 9 * RNG.standard_normal((57, 11))
    p = softmax(logits / temperature, axis=1)
    expected = {
        "msp": p.max(axis=1),
        "doctor": (p**2).sum(axis=1),
        "neg_entropy": -entr(p).sum(axis=1),
        "max_logit": logits.max(axis=1),
        "energy": temperature * logsumexp(logits / temperature, axis=1),
    }
    found = logit_scores(logits, temperature)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12, atol=1e-14)
        if name != "max_logit":
            np.testing.assert_array_equal(BY_NAME[name](logits, temperature), found[name])


@given(LOGITS)
def test_bounds(logits):
    found, classes = logit_scores(logits), logits.shape[1]
    assert (found["msp"] >= 1 / classes - 1e-12).all() and (found["msp"] <= 1).all()
    assert (found["doctor"] >= 1 / classes - 1e-12).all() and (found["doctor"] <= found["msp"] + 1e-12).all()
    assert (found["neg_entropy"] >= -np.log(classes) - 1e-12).all() and (found["neg_entropy"] <= 0).all()
    assert (found["energy"] >= found["max_logit"]).all()
    assert (found["energy"] <= found["max_logit"] + np.log(classes) + 1e-12).all()


@given(LOGITS, st.floats(0.01, 100), st.floats(-100, 100), st.integers(2, 10))
def test_logit_norm_does_not_see_scale_and_shift(logits, scale, shift, p):
    # rows that differ in the last digits only lose them to the shift: there is nothing left to compare
    logits = logits[(np.ptp(logits, axis=1) > 1e-2) | (np.ptp(logits, axis=1) == 0)]
    np.testing.assert_allclose(logit_norm(scale * logits + shift, p), logit_norm(logits, p), rtol=1e-6, atol=1e-9)


@given(LOGITS, st.sampled_from([1, 1.5, 2, 3, 7, 10, np.inf]), st.booleans())
@pytest.mark.filterwarnings("ignore:logit_norm")
def test_logit_norm_is_the_formula(logits, p, center):
    shifted = logits - logits.mean(axis=1, keepdims=True) if center else logits
    keep = np.abs(shifted).max(axis=1) > 1e-6
    expected = shifted[keep].max(axis=1) / np.linalg.norm(shifted[keep], ord=p, axis=1)
    np.testing.assert_allclose(logit_norm(logits, p, center)[keep], expected, rtol=1e-6, atol=1e-12)


@given(LOGITS, st.permutations(range(6)))
def test_rows_do_not_influence_each_other(logits, order):
    order = [row for row in order if row < len(logits)]
    for score in BY_NAME.values():
        np.testing.assert_array_equal(score(logits[order]), score(logits)[order])


def test_equal_logits_are_the_lowest():
    flat = np.full((2, 5), 3.3)
    assert logit_norm(flat).tolist() == [0, 0]
    np.testing.assert_allclose(neg_entropy(flat), -np.log(5))
    np.testing.assert_allclose(msp(flat), 0.2)


def test_certainty_has_entropy_zero_not_nan():
    found = logit_scores([[1000.0, -1000, 0], [1e308, -1e308, 0]])
    assert found["neg_entropy"].tolist() == [0, 0]
    assert found["msp"].tolist() == [1, 1]
    assert np.isfinite(logit_norm([[1e308, -1e308, 0], [1e-300, 0, 0]], p=10)).all()


def test_float32_logits_are_ranked_in_float64():
    logits = np.array([[20, 0, 0], [21, 0, 0]], dtype=np.float32)
    assert np.diff(msp(logits))[0] > 0
    assert softmax(logits, axis=1).max(axis=1).tolist() == [1, 1]


@pytest.mark.parametrize("score", [*BY_NAME.values(), logit_norm])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_bad_row_is_named(score, bad):
    logits = RNG.standard_normal((300_000, 3))
    logits[210_123, 1] = bad
    with pytest.raises(ValueError, match="logits row 210123 holds"):
        score(logits)


@pytest.mark.parametrize("score", [*BY_NAME.values(), logit_norm])
def test_shapes_are_checked(score):
    with pytest.raises(ValueError, match=r"shape \(4,\)"):
        score(np.zeros(4))
    with pytest.raises(ValueError, match=r"\(4, 1\).*at least [23] classes"):
        score(np.zeros((4, 1)))
    with pytest.raises(ValueError, match="real numbers"):
        score(np.zeros((4, 3), dtype=complex))
    assert score(np.zeros((0, 3))).shape == (0,)


def test_logit_norm_refuses_two_classes_and_small_p():
    with pytest.raises(ValueError, match="at least 3 classes"):
        logit_norm(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="p must be at least 1"):
        logit_norm(GOLDEN, p=0.5)


def test_temperature_that_is_none():
    for temperature in (0, -1, np.nan, np.inf):
        with pytest.raises(ValueError, match="temperature must be positive"):
            msp(GOLDEN, temperature)


def test_feature_norm():
    np.testing.assert_array_equal(feature_norm([[1, -2, 3], [0, 0, 0]]), [6, 0])
    with pytest.raises(ValueError, match="features row 1"):
        feature_norm([[1.0], [np.nan]])


def test_temperature_scaling_recovers_the_temperature():
    logits = 3 * RNG.standard_normal((20_000, 6))
    p = softmax(logits, axis=1)
    labels = (p.cumsum(axis=1) < RNG.random((len(p), 1))).sum(axis=1)
    assert fit_temperature(4 * logits, labels) == pytest.approx(4, rel=0.05)
    best = fit_temperature(logits, labels)
    loss = negative_log_likelihood(logits, labels, best)
    assert loss == pytest.approx(-np.log(softmax(logits / best, axis=1)[np.arange(len(p)), labels]).mean())
    for other in (0.98 * best, 1.02 * best):
        assert negative_log_likelihood(logits, labels, other) > loss


def test_labels_out_of_range():
    with pytest.raises(ValueError, match="label 3 in row 1: classes go from 0 to 2"):
        fit_temperature(GOLDEN, [0, 3, 1])
    with pytest.raises(ValueError, match="label -1 in row 0"):
        fit_temperature(GOLDEN, [-1, 0, 1])
    with pytest.raises(ValueError, match=r"shape \(2,\).* 3 rows"):
        fit_temperature(GOLDEN, [0, 1])
    with pytest.raises(ValueError, match="integers"):
        fit_temperature(GOLDEN, [0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("module", "name", "score"),
    [
        ("softmax", "MaxSoftmax", msp),
        ("energy", "EnergyBased", energy),
        ("entropy", "Entropy", neg_entropy),
        ("maxlogit", "MaxLogit", max_logit),
    ],
)
def test_parity_with_pytorch_ood(module, name, score):
    torch = pytest.importorskip("torch")
    logits = 2 * RNG.standard_normal((200, 10))
    theirs = getattr(peer(f"pytorch_ood.detector.{module}"), name)(None).predict_logits(torch.from_numpy(logits))
    # their entropy clips probabilities at 1e-7
    np.testing.assert_allclose(score(logits), -theirs.numpy(), rtol=1e-12, atol=1e-4 if name == "Entropy" else 1e-12)
