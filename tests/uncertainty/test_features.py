"""Confidences from features: closed-form cases, loops over rows and classes, gradients by autograd, parity with pytorch-ood."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers import peer
from scipy.special import logsumexp, softmax

from genovision.uncertainty import features as module
from genovision.uncertainty import scores
from genovision.uncertainty.features import (
    KNN,
    GradNorm,
    Mahalanobis,
    RelativeMahalanobis,
    Residual,
    ViM,
    principal_dimension,
)
from genovision.uncertainty.metrics import auroc

N, D, K = 300, 12, 5


@pytest.fixture
def model():
    """Training features and labels, test features, the last layer, the test logits."""
    rng = np.random.default_rng(6)
    means, labels = 3 * rng.standard_normal((K, D)), rng.integers(0, K, N)
    scale = np.linspace(0.2, 2, D)
    train = means[labels] + scale * rng.standard_normal((N, D))
    test = means[rng.integers(0, K, 80)] + scale * rng.standard_normal((80, D))
    weight, bias = rng.standard_normal((K, D)), rng.standard_normal(K)
    return {
        "train": train,
        "labels": labels,
        "test": test,
        "head": {"weight": weight, "bias": bias},
        "logits": test @ weight.T + bias,
    }


@pytest.fixture(params=[200, 1 << 22], ids=["small blocks", "one block"], autouse=True)
def _blocks(request, monkeypatch):
    monkeypatch.setattr(module, "_NUMBERS", request.param)


def all_scores():
    return [Residual(), ViM(), KNN(k=3), Mahalanobis(), RelativeMahalanobis(), GradNorm()]


def names(score):
    return type(score).__name__


@pytest.fixture
def score(request):
    return all_scores()[request.param]


# --- one protocol


@pytest.mark.parametrize("score", range(6), ids=[names(score) for score in all_scores()], indirect=True)
def test_one_protocol_for_all(score, model):
    fitted = score.fit(model["train"], model["labels"], **model["head"])
    assert fitted is score
    confidence = score.score(model["test"], model["logits"])
    assert confidence.shape == (80,) and confidence.dtype == np.float64
    np.testing.assert_allclose(score.score(model["test"]), confidence)
    order = np.random.default_rng(0).permutation(80)
    np.testing.assert_allclose(score.score(model["test"][order], model["logits"][order]), confidence[order], rtol=1e-9)


@pytest.mark.parametrize("score", range(6), ids=[names(score) for score in all_scores()], indirect=True)
def test_far_away_is_less_confident(score, model):
    score.fit(model["train"], model["labels"], **model["head"])
    rng = np.random.default_rng(1)
    far = 0.1 * rng.standard_normal((80, D)) if names(score) == "GradNorm" else 30 * rng.standard_normal((80, D))
    if names(score) == "ViM":
        far = model["test"].mean(axis=0) + 100 * score.complement[:, :1].T * rng.standard_normal((80, 1))
    assert auroc(score.score(model["test"]), score.score(far)) > 0.9


@pytest.mark.parametrize("score", range(6), ids=[names(score) for score in all_scores()], indirect=True)
def test_bad_input(score, model):
    with pytest.raises(ValueError, match="not fitted" if names(score) != "GradNorm" else "needs logits"):
        score.score(model["test"])
    broken = model["train"].copy()
    broken[7, 2] = np.nan
    with pytest.raises(ValueError, match="features row 7 holds nan"):
        score.fit(broken, model["labels"], **model["head"])
    with pytest.raises(ValueError, match="no features"):
        score.fit(np.empty((0, D)), model["labels"][:0], **model["head"])
    score.fit(model["train"], model["labels"], **model["head"])
    with pytest.raises(ValueError, match=r"\(80, 11\), fitted with width 12"):
        score.score(model["test"][:, 1:])
    with pytest.raises(ValueError, match=r"\(80, 12\), logits have shape \(79, 5\)"):
        score.score(model["test"], model["logits"][1:])
    broken = model["test"].copy()
    broken[3, 0] = np.inf
    with pytest.raises(ValueError, match="features row 3 holds inf"):
        score.score(broken, model["logits"])
    assert score.score(model["test"][:0]).shape == (0,)


def test_what_is_missing_is_named(model):
    for score in (Residual(), ViM()):
        with pytest.raises(ValueError, match=r"needs the last layer's weight \(K, D\) and bias"):
            score.fit(model["train"], model["labels"])
        with pytest.raises(ValueError, match=r"weight has shape \(5, 12\), bias \(4,\)"):
            score.fit(model["train"], weight=model["head"]["weight"], bias=np.zeros(4))
    for score in (Mahalanobis(), RelativeMahalanobis()):
        with pytest.raises(ValueError, match="needs the labels"):
            score.fit(model["train"])
        with pytest.raises(ValueError, match="label -1 in row 0"):
            score.fit(model["train"], np.full(N, -1))
        with pytest.raises(ValueError, match=r"labels have shape \(299,\).* 300 rows"):
            score.fit(model["train"], model["labels"][1:])
    with pytest.raises(ValueError, match="10-th neighbour of a bank of 9"):
        KNN().fit(model["train"][:9])
    with pytest.raises(ValueError, match="k must be at least 1"):
        KNN(k=0)
    with pytest.raises(ValueError, match="from 0 to 11 dimensions, not 12"):
        Residual(12).fit(model["train"], **model["head"])


# --- Residual and ViM


def test_dimension_of_the_principal_space():
    widths = {2048: 1000, 1280: 512, 1024: 512, 768: 512, 512: 256, 64: 32}
    assert {width: principal_dimension(width) for width in widths} == widths


def test_in_the_principal_space_the_residual_is_zero(model):
    residual = Residual(4).fit(model["train"], **model["head"])
    np.testing.assert_allclose(residual.origin @ model["head"]["weight"].T + model["head"]["bias"], 0, atol=1e-12)
    values, vectors = np.linalg.eigh((model["train"] - residual.origin).T @ (model["train"] - residual.origin))
    inside = residual.origin + np.random.default_rng(0).standard_normal((9, 4)) @ vectors[:, -4:].T
    np.testing.assert_allclose(residual.score(inside), 0, atol=1e-10)
    np.testing.assert_allclose(residual.score(inside + 2 * vectors[:, 0]), -2)
    total = residual.distance(model["train"])
    assert (total**2).sum() == pytest.approx(values[:-4].sum())


def test_vim_is_energy_minus_the_virtual_logit(model):
    vim = ViM(4).fit(model["train"], **model["head"])
    train_logits = model["train"] @ model["head"]["weight"].T + model["head"]["bias"]
    assert vim.alpha == pytest.approx(train_logits.max(axis=1).mean() / vim.distance(model["train"]).mean())
    given_logits = ViM(4).fit(model["train"], **model["head"], logits=train_logits)
    assert given_logits.alpha == pytest.approx(vim.alpha)
    virtual = vim.alpha * vim.distance(model["test"])
    score = vim.score(model["test"], model["logits"])
    np.testing.assert_allclose(score, logsumexp(model["logits"], axis=1) - virtual)
    probability = softmax(np.column_stack([model["logits"], virtual]), axis=1)[:, -1]
    np.testing.assert_array_equal(np.argsort(score), np.argsort(-probability))


def test_vim_without_a_residual_is_refused(model):
    flat = np.column_stack([model["train"][:, :6], np.zeros((N, 6))])
    head = {"weight": np.eye(12)[:6], "bias": np.zeros(6)}
    with pytest.raises(ValueError, match="lie in the principal space"):
        ViM(6).fit(flat, **head)


# --- KNN


@pytest.mark.parametrize("k", [1, 2, 10])
def test_knn_by_loop(model, k):
    knn = KNN(k, bank=100).fit(model["train"])
    assert knn.bank.shape == (100, D)
    bank = model["train"][:100] / np.linalg.norm(model["train"][:100], axis=1, keepdims=True)
    test = model["test"] / np.linalg.norm(model["test"], axis=1, keepdims=True)
    expected = [-np.sort(((one - bank) ** 2).sum(axis=1))[k - 1] for one in test]
    np.testing.assert_allclose(knn.score(model["test"]), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(knn.score(1e-200 * model["test"]), expected, rtol=1e-12, atol=1e-15)


def test_in_the_bank_the_first_neighbour_is_the_row_itself(model):
    knn = KNN(k=1).fit(model["train"])
    assert (knn.score(model["train"]) == 0).all()


def test_copies_and_zeros_in_the_bank(model):
    bank = np.concatenate([np.repeat(model["train"][:3], 50, axis=0), np.zeros((40, D))])
    for k in (1, 40, 41, 50, 51, 190):
        knn = KNN(k, bank=None).fit(bank)
        test = np.concatenate([model["train"][:2], model["test"][:5], np.zeros((1, D))])
        unit = test / np.maximum(np.linalg.norm(test, axis=1, keepdims=True), 1e-30)
        expected = [-np.sort(((one - knn.bank) ** 2).sum(axis=1))[k - 1] for one in unit]
        np.testing.assert_allclose(knn.score(test), expected, atol=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 30), st.floats(-12, 3))
def test_the_nearest_are_exact_however_close_they_are(seed, k, exponent):
    """Points in tight clusters: float32 cannot tell them apart, the result must not show it."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((4, 6))[rng.integers(0, 4, 60)] + 10**exponent * rng.standard_normal((60, 6))
    queries = points[:20] + 10**exponent * rng.standard_normal((20, 6))
    index, square = module._Neighbours(points).kth(queries, k)
    every = ((queries[:, None] - points) ** 2).sum(axis=2)
    expected = np.sort(every, axis=1)[:, k - 1]
    np.testing.assert_allclose(square, expected, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(every[np.arange(20), index], square, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(
    "one", [KNN(k=5, bank=4000), KNN(k=5, bank=50), Mahalanobis()], ids=["bank", "small bank", "classes"]
)
def test_memory_stays_bounded(one, monkeypatch):
    monkeypatch.setattr(module, "_NUMBERS", 1 << 18)
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((4000, 64)), rng.standard_normal((20_000, 64))
    one.fit(train, np.arange(4000) // 2)  # 2000 classes
    tracemalloc.start()
    one.score(test)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24e6  # a block holds 2 MB; all distances at once would take 640 and 320 MB


# --- Mahalanobis


def by_loop(train, labels, test):
    means = np.array([train[labels == one].mean(axis=0) for one in range(K)])
    precision = np.linalg.pinv(sum(np.outer(d, d) for d in train - means[labels]) / len(train), hermitian=True)
    within = [min((z - m) @ precision @ (z - m) for m in means) for z in test]
    centred = train - train.mean(axis=0)
    background = np.linalg.pinv(centred.T @ centred / len(train), hermitian=True)
    apart = test - train.mean(axis=0)
    return np.array(within), np.array([z @ background @ z for z in apart])


def test_mahalanobis_by_loop(model):
    within, background = by_loop(model["train"], model["labels"], model["test"])
    score = Mahalanobis().fit(model["train"], model["labels"])
    np.testing.assert_allclose(score.score(model["test"]), -within, rtol=1e-9)
    relative = RelativeMahalanobis().fit(model["train"], model["labels"])
    np.testing.assert_allclose(relative.score(model["test"]), background - within, rtol=1e-8)


def test_with_unit_covariance_it_is_the_euclidean_distance():
    corners = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    train = np.concatenate([corners, corners + 10])
    score = Mahalanobis().fit(train, np.repeat([0, 7], 4))
    np.testing.assert_allclose(score.covariance, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(score.score([[3.0, 4], [10, 11]]), [-25, -1])
    assert score.nearest(np.array([[3.0, 4], [10, 11]]))[0].tolist() == [0, 7]


def test_with_one_class_the_relative_distance_vanishes(model):
    score = RelativeMahalanobis().fit(model["train"], np.zeros(N, dtype=int))
    np.testing.assert_allclose(score.score(model["test"]), 0, atol=1e-9)


def test_directions_without_variance_count_nothing(model):
    flat = np.column_stack([model["train"], np.full(N, 4.0), model["train"][:, 0]])
    score = Mahalanobis().fit(flat, model["labels"])
    test = np.column_stack([model["test"], np.full(80, 9.0), model["test"][:, 0]])
    within, _ = by_loop(model["train"], model["labels"], model["test"])
    np.testing.assert_allclose(score.score(test), -within, rtol=1e-8)


# --- GradNorm


def test_gradnorm_is_the_norm_of_the_gradient(model):
    torch = pytest.importorskip("torch")
    score = GradNorm().score(model["test"], model["logits"])
    for row in range(5):
        weight = torch.from_numpy(model["head"]["weight"]).requires_grad_()
        logits = torch.from_numpy(model["test"][row]) @ weight.T + torch.from_numpy(model["head"]["bias"])
        (-torch.log_softmax(logits, dim=0).mean()).backward()
        assert score[row] == pytest.approx(float(weight.grad.abs().sum()), rel=1e-9)


# --- parity


def test_parity_with_pytorch_ood(model):
    torch = pytest.importorskip("torch")
    train, test = (torch.from_numpy(model[name]).float() for name in ("train", "test"))
    labels = torch.from_numpy(model["labels"])
    head = [torch.from_numpy(model["head"][name]) for name in ("weight", "bias")]

    def theirs(name, kind, *arguments):
        detector = getattr(peer(f"pytorch_ood.detector.{name}"), kind)(None, *arguments)
        return detector.fit_features(train, labels).predict_features(test).double().numpy()

    def ours(score):
        return score.fit(model["train"], model["labels"], **model["head"]).score(model["test"])

    # their covariances are scatters, not divided by N; Mahalanobis is halved
    np.testing.assert_allclose(-ours(Mahalanobis()), 2 * N * theirs("mahalanobis", "Mahalanobis"), rtol=1e-3)
    np.testing.assert_allclose(-ours(RelativeMahalanobis()), N * theirs("rmd", "RMD"), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(-ours(KNN(k=7)), theirs("knn", "KNN", 7) ** 2, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(-ours(ViM(5)), theirs("vim", "ViM", 5, *head), rtol=1e-4, atol=1e-4)


def test_float32_features_are_scored_in_float64(model):
    for score in all_scores():
        single = score.fit(model["train"].astype(np.float32), model["labels"], **model["head"])
        confidence = single.score(model["test"].astype(np.float32), model["logits"])
        assert confidence.dtype == np.float64
        double = score.fit(model["train"], model["labels"], **model["head"]).score(model["test"], model["logits"])
        np.testing.assert_allclose(confidence, double, rtol=1e-3, atol=1e-4)
    assert scores.feature_norm(model["test"].astype(np.float32)).dtype == np.float64
