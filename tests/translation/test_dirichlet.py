"""The Dirichlet's closed forms against draws from it, torch's and numpy's own, finite differences and limits."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.distributions import Dirichlet, kl_divergence  # noqa: E402

from genovision.translation.dirichlet import (  # noqa: E402
    dirichlet_nll,
    expected_log,
    measures,
    proxy_target,
    reverse_kl,
    sample_dirichlet,
)
from genovision.uncertainty.ensembles import decompose  # noqa: E402

ALPHAS = [[0.3, 2.0, 5.0], [1.0, 1.0, 1.0], [40.0, 0.8, 3.0], [0.05, 0.1, 0.2]]


@pytest.mark.parametrize("alpha", ALPHAS)
def test_measures_are_those_of_draws(alpha):
    """Draws of numpy's own generator, as the members of a huge ensemble."""
    draws = np.random.default_rng(0).dirichlet(alpha, 400_000)
    logs = np.log(np.maximum(draws, 1e-300))
    mean = draws.mean(axis=0)
    entropies = -(draws * logs).sum(axis=1)
    divergences = -(mean * (logs - np.log(mean))).sum(axis=1)
    found = {name: values.numpy() for name, values in measures(torch.tensor(alpha)).items()}

    def near(values, name):
        error = 6 * np.std(values) / len(draws) ** 0.5
        assert found[name] == pytest.approx(np.mean(values), abs=error + 1e-4), name

    near(entropies, "data")
    # a member against the next one, which is another draw
    near((draws * (logs - np.roll(logs, 1, axis=0))).sum(axis=1), "epkl")
    near(divergences, "rmi")
    assert found["total"] == pytest.approx(-(mean * np.log(mean)).sum(), abs=5e-3)
    assert np.allclose(np.exp(found["log_mean"]), np.array(alpha) / sum(alpha))
    error = 6 * logs.std(axis=0) / len(draws) ** 0.5
    assert (np.abs(expected_log(torch.tensor(alpha)).numpy() - logs.mean(axis=0)) <= error + 1e-4).all()


def test_identities_hold_from_the_smallest_alpha_to_the_largest():
    generator = torch.Generator().manual_seed(0)
    alpha = torch.exp(torch.rand(500, 6, generator=generator, dtype=torch.float64) * 20 - 6)
    found = measures(alpha)
    assert all((values >= 0).all() for name, values in found.items() if name != "log_mean")
    assert torch.allclose(found["total"] - found["data"], found["mutual_information"], atol=1e-12)
    assert torch.allclose(found["epkl"] - found["mutual_information"], found["rmi"], rtol=1e-9, atol=1e-10)
    assert (found["total"] <= math.log(6) + 1e-12).all() and (found["epkl"] >= found["mutual_information"]).all()
    assert all(values.dtype == torch.float64 for values in measures(alpha.float()).values())


def test_limits():
    flat = measures(torch.ones(4))
    assert float(flat["total"]) == pytest.approx(math.log(4)) and float(flat["epkl"]) == pytest.approx(3 / 4)
    # E of the entropy of a uniform point of the simplex: harmonic numbers
    assert float(flat["data"]) == pytest.approx(1 / 2 + 1 / 3 + 1 / 4)
    sure = measures(torch.tensor([0.5, 0.2, 0.3]) * 1e9)
    assert float(sure["mutual_information"]) < 2e-9 and float(sure["rmi"]) < 2e-9 and float(sure["epkl"]) < 3e-9
    assert float(sure["data"]) == pytest.approx(-sum(p * math.log(p) for p in (0.5, 0.2, 0.3)))


def test_the_likelihood_is_torch_s():
    generator = torch.Generator().manual_seed(1)
    alpha = torch.rand(5, 4, generator=generator, dtype=torch.float64) * 8 + 0.2
    members = torch.randn(5, 3, 4, generator=generator, dtype=torch.float64).log_softmax(dim=-1)
    peer = -torch.stack([Dirichlet(alpha).log_prob(members[:, m].exp()) for m in range(3)]).mean(dim=0)
    assert torch.allclose(dirichlet_nll(alpha, members), peer)
    assert dirichlet_nll(alpha, members).shape == (5,)
    weights = alpha.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda given: dirichlet_nll(given, members), weights)


def test_the_likelihood_finds_the_dirichlet_that_members_are_drawn_from():
    truth = torch.tensor([6.0, 2.0, 0.7], dtype=torch.float64)
    members = sample_dirichlet(truth, 50_000, torch.Generator().manual_seed(2))
    raw = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([raw], max_iter=100)

    def closure():
        optimizer.zero_grad()
        loss = dirichlet_nll(raw.exp(), members)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert torch.allclose(raw.exp(), truth, rtol=0.03)


def test_the_divergence_is_torch_s_and_least_at_the_target():
    generator = torch.Generator().manual_seed(3)
    alpha, target = (torch.rand(50, 5, generator=generator, dtype=torch.float64) * 30 + 0.1 for _ in range(2))
    found = reverse_kl(alpha, target)
    assert torch.allclose(found, kl_divergence(Dirichlet(alpha), Dirichlet(target)))
    assert (found > 0).all() and reverse_kl(alpha, alpha).abs().max() < 1e-10
    assert not torch.allclose(found, reverse_kl(target, alpha))
    # single precision going in does not leave a divergence of rounding at a large precision
    large = (target * 1e4).float()
    assert reverse_kl(large, large).abs().max() < 1e-6
    given = alpha.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda one: reverse_kl(one, target), given)


def test_a_proxy_has_the_mean_and_nearly_the_divergence_of_its_members():
    generator = torch.Generator().manual_seed(4)
    centre = torch.randn(40, 1, 4, generator=generator, dtype=torch.float64)
    for spread in (0.02, 0.1):
        members = (centre + spread * torch.randn(40, 6, 4, generator=generator, dtype=torch.float64)).log_softmax(-1)
        alpha = proxy_target(members, offset=0.0)
        mean = members.exp().mean(dim=1)
        assert torch.allclose(alpha / alpha.sum(dim=1, keepdim=True), mean)
        mkl = torch.from_numpy(decompose(members.numpy())["mkl"])
        assert torch.allclose(alpha.sum(dim=1), 3 / (2 * mkl))
        assert torch.allclose(measures(alpha)["rmi"], mkl, rtol=0.1)
    assert torch.allclose(proxy_target(members), alpha + 1)
    assert torch.allclose(proxy_target(members, k=7, offset=0.0), alpha * 2)


def test_a_proxy_of_members_that_agree_is_finite():
    one = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64).log()
    for members in (1, 3):
        alpha = proxy_target(one.expand(members, 3)[None], most=1000.0)
        assert torch.allclose(alpha, 1 + 1000 * one.exp())
    with_zero = torch.tensor([[[0.0, -math.inf], [-0.1, math.log(1 - math.exp(-0.1))]]])
    assert proxy_target(with_zero).isfinite().all() and dirichlet_nll(torch.ones(1, 2), with_zero).isfinite().all()


def test_draws_have_the_dirichlet_s_moments_and_no_infinite_logarithm():
    alpha = torch.tensor([[3.0, 1.0, 0.5], [0.01, 0.02, 0.01]])
    drawn = sample_dirichlet(alpha, 200_000, torch.Generator().manual_seed(5))
    assert drawn.shape == (2, 200_000, 3) and drawn.dtype == torch.float64 and drawn.isfinite().all()
    assert torch.allclose(drawn.logsumexp(dim=-1), torch.zeros(2, 200_000, dtype=torch.float64), atol=1e-12)
    p, peer = drawn.exp(), Dirichlet(alpha.double())
    assert torch.allclose(p.mean(dim=1), peer.mean, atol=6e-3) and torch.allclose(
        p.var(dim=1), peer.variance, atol=3e-3
    )
    assert torch.allclose(drawn.mean(dim=1), expected_log(alpha), rtol=0.01)
    assert torch.equal(drawn, sample_dirichlet(alpha, 200_000, torch.Generator().manual_seed(5)))


def test_what_is_no_dirichlet_is_refused():
    alpha, members = torch.ones(2, 3), torch.zeros(2, 4, 3)
    with pytest.raises(ValueError, match=r"alpha \(2, 3\) and member_log_probs \(2, 4, 5\)"):
        dirichlet_nll(alpha, torch.zeros(2, 4, 5))
    with pytest.raises(ValueError, match=r"alpha \(3,\)"):
        dirichlet_nll(alpha[0], members)
    with pytest.raises(ValueError, match=r"alpha \(2, 3\) and target_alpha \(3,\)"):
        reverse_kl(alpha, alpha[0])
    for wrong in (alpha * 0, -alpha):
        with pytest.raises(ValueError, match="parameters of a Dirichlet are above 0"):
            measures(wrong)
    with pytest.raises(ValueError, match=r"K >= 2, this has shape \(2, 1\)"):
        measures(alpha[:, :1])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        proxy_target(alpha[0])
    with pytest.raises(ValueError, match="samples 0"):
        sample_dirichlet(alpha, 0, torch.Generator())
