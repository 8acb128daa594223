"""Distances: closed forms, a slow second implementation, the peer library."""

import numpy as np
import pytest
import scipy.linalg
from peers import mend_torchvision

from genovision.frechet import frechet_distance, moments, square_root
from genovision.resampling import bootstrap_counts
from genovision.samplers import measures


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((5, 5))
    return rng.standard_normal((400, 5)) @ mix, rng.standard_normal((300, 5)) @ mix + 0.2


def test_frechet_of_diagonal_gaussians_is_the_closed_form():
    a, b = np.array([1.0, 4.0, 0.25]), np.array([2.0, 1.0, 0.0])
    expected = 3 * 0.5**2 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert frechet_distance(np.zeros(3), np.diag(a), np.full(3, 0.5), np.diag(b)) == pytest.approx(expected, abs=1e-12)


def test_frechet_agrees_with_scipys_square_root(features):
    (m1, c1), (m2, c2) = map(moments, features)
    slow = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * np.real(scipy.linalg.sqrtm(c1 @ c2)))
    assert frechet_distance(m1, c1, m2, c2) == pytest.approx(slow, rel=1e-9)


def test_frechet_agrees_with_torchmetrics(features):
    torch = pytest.importorskip("torch")
    mend_torchvision()
    fid = pytest.importorskip("torchmetrics.image.fid")
    (m1, c1), (m2, c2) = map(moments, features)
    expected = fid._compute_fid(*(torch.from_numpy(array) for array in (m1, c1, m2, c2)))
    assert frechet_distance(m1, c1, m2, c2) == pytest.approx(float(expected), rel=1e-8)


def test_frechet_of_equal_and_of_singular_gaussians(features):
    mean, covariance = moments(features[0])
    assert frechet_distance(mean, covariance, mean, covariance) == pytest.approx(0, abs=1e-9)
    line = np.ones((3, 3))
    assert frechet_distance(np.zeros(3), line, np.zeros(3), 4 * line) == pytest.approx(
        3.0, abs=1e-6
    )  # the root of rounding
    assert np.allclose(square_root(line) @ square_root(line), line)


def test_frechet_is_symmetric_and_stacks(features):
    one, other = map(moments, features)
    assert frechet_distance(*one, *other) == pytest.approx(frechet_distance(*other, *one))
    stacked = frechet_distance(*one, *(np.stack([a, b]) for a, b in zip(one, other, strict=True)))
    assert stacked == pytest.approx([0, frechet_distance(*one, *other)], abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((np.zeros(2), np.eye(3), np.zeros(2), np.eye(2)), "do not fit"),
        ((np.zeros(2), np.eye(2), np.array([0, np.nan]), np.eye(2)), "not finite"),
    ],
)
def test_frechet_refuses(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        frechet_distance(*arguments)


def test_moments_with_counts_are_those_of_repeated_rows(features):
    counts = bootstrap_counts(len(features[0]), 1, np.random.default_rng(1))[0]
    mean, covariance = moments(features[0], counts)
    repeated = np.repeat(features[0], counts.astype(int), axis=0)
    assert np.allclose(mean, repeated.mean(axis=0))
    assert np.allclose(covariance, np.cov(repeated.T))
    with pytest.raises(ValueError, match="row 1 are not finite"):
        moments([[0.0], [np.inf]])


def test_replicates_are_those_of_repeated_rows(features):
    real, generated = features
    counts = bootstrap_counts(len(generated), 3, np.random.default_rng(2))
    slow = [measures.frechet(real, np.repeat(generated, row.astype(int), axis=0)) for row in counts]
    assert measures.frechet(real, generated, counts) == pytest.approx(slow)
    errors = np.random.default_rng(3).random((2, 4, len(generated)))
    slow = [np.sqrt(np.repeat(errors, row.astype(int), axis=-1).mean(axis=-1)) for row in counts]
    assert np.allclose(measures.rmse(errors, counts), slow)
    errors[0, 0, 0] = np.nan
    found = measures.rmse(errors, counts)
    assert np.isnan(found[:, 0, 0]).all()
    assert np.isfinite(found[:, 1]).all()


def test_kid_is_unbiased_and_agrees_with_the_sum_over_pairs(features):
    real, generated = features[0][:20], features[1][:15]

    def kernel(a, b):
        return (a @ b / 5 + 1) ** 3

    def pairs(rows):
        return np.mean([kernel(a, b) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j])

    slow = pairs(real) + pairs(generated) - 2 * np.mean([kernel(a, b) for a in real for b in generated])
    assert measures.kid(real, generated) == pytest.approx(slow)
    rng = np.random.default_rng(4)
    same = [measures.kid(*rng.standard_normal((2, 50, 3))) for _ in range(400)]
    assert abs(np.mean(same)) < 4 * np.std(same) / np.sqrt(400)
    assert min(same) < 0


def test_kid_agrees_with_torchmetrics(features):
    torch = pytest.importorskip("torch")
    mend_torchvision()
    poly_mmd = pytest.importorskip("torchmetrics.image.kid").poly_mmd
    real, generated = (torch.from_numpy(side[:300]) for side in features)
    assert measures.kid(real, generated) == pytest.approx(float(poly_mmd(real, generated, 3, 1 / 5, 1)), rel=1e-6)


def test_sliced_wasserstein_of_a_shift(features):
    points = features[0]
    shift = np.array([3.0, 0, 0, 0, 0])
    found = measures.sliced_wasserstein(points, points + shift, projections=20000)
    assert found == pytest.approx(3 / np.sqrt(5), rel=0.02)
    assert measures.sliced_wasserstein(points, points[::-1]) == 0
    with pytest.raises(ValueError, match="two of the same"):
        measures.sliced_wasserstein(points, points[:5])
