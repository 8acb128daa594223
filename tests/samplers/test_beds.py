"""The closed-form denoisers: their noise prediction, their solutions, and how they are called."""

import numpy as np
import pytest
import torch

from genovision.errors import InputError
from genovision.samplers.beds import BEDS, Bed, denoiser

NAMES = list(BEDS)


def some_noise(bed: Bed, count: int = 40) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).standard_normal((count, *bed.shape)))


@pytest.mark.parametrize("name", NAMES)
def test_prediction_is_the_mean_of_the_noise_given_the_sample(name):
    """For pairs (x_0, noise) what is left of the noise is uncorrelated with the sample and with the prediction."""
    bed, rng = denoiser(name), np.random.default_rng(0)
    count = 20000
    component = rng.choice(len(bed.weights), size=(count, *bed.shape), p=bed.weights)
    means, scales = (np.take_along_axis(part, component, 0) for part in (bed.means, bed.scales))
    data = means + scales * rng.standard_normal(means.shape)
    noise = rng.standard_normal(data.shape)
    for t in (30.0, 250.5, 800.0):
        level = float(bed.alpha_bar(np.float64((t + 1) / 1000)))
        x = np.sqrt(level) * data + np.sqrt(1 - level) * noise
        found = bed(torch.from_numpy(x), t).numpy()
        residual = noise - found
        for regressor in (np.ones_like(x), x, found):
            assert abs((residual * regressor).mean()) < 0.01


@pytest.mark.parametrize("name", NAMES)
def test_prediction_is_minus_sigma_times_the_score(name):
    bed = denoiser(name)
    level = 0.6
    x = some_noise(bed, 5).requires_grad_(True)
    log_density = torch.zeros(())
    parts = []
    for weight, mean, scale in zip(bed.weights, bed.means, bed.scales, strict=True):
        normal = torch.distributions.Normal(
            torch.from_numpy(level**0.5 * mean), torch.from_numpy(np.sqrt(level * scale**2 + 1 - level))
        )
        parts.append(np.log(weight) + normal.log_prob(x))
    log_density = torch.logsumexp(torch.stack(parts), 0).sum()
    (score,) = torch.autograd.grad(log_density, x)
    assert torch.allclose(bed.noise(x.detach(), level), -((1 - level) ** 0.5) * score, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_solution_obeys_the_flow(name):
    """dv/drho = eps along the solution, by a central difference in rho."""
    bed = denoiser(name)
    noise = some_noise(bed, 8)
    taus = np.array([0.2499, 0.25, 0.2501])
    levels = bed.alpha_bar(taus)
    rho = np.sqrt((1 - levels) / levels)
    v = [bed.solution(noise, tau) / level**0.5 for tau, level in zip(taus, levels, strict=True)]
    slope = (v[2] - v[0]) / (rho[2] - rho[0])
    assert torch.allclose(slope, bed(v[1] * levels[1] ** 0.5, 249.0), atol=2e-4)


def test_mixture_solution_is_converged():
    bed = denoiser("mixture")
    noise = some_noise(bed, 20)
    assert torch.allclose(bed.solution(noise, steps=1000), bed.solution(noise, steps=2000), atol=1e-7)


def test_one_component_mixture_meets_the_closed_form():
    bed = denoiser("isotropic")
    twin = Bed("twin", np.array([0.5, 0.5]), np.repeat(bed.means, 2, 0), np.repeat(bed.scales, 2, 0), bed.alpha_bar)
    noise = some_noise(bed, 20)
    assert torch.allclose(bed.solution(noise), twin.solution(noise, steps=500), atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_called_like_a_network(name):
    bed = denoiser(name)
    noise = some_noise(bed, 4).float()
    found = bed(noise, torch.tensor(499.5))
    assert found.dtype == torch.float32 and found.shape == noise.shape
    assert torch.equal(found, bed(noise, torch.full((4,), 499.5)))
    assert bed(noise.half(), 499).dtype == torch.float16
    between = [bed(noise.double(), t) for t in (499.0, 499.5, 500.0)]
    assert not torch.equal(between[0], between[1]) and not torch.equal(between[1], between[2])


def test_end_of_the_flow_has_the_data_distribution():
    bed = denoiser("isotropic")
    found = bed.solution(some_noise(bed, 4000))
    assert abs(float(found.mean()) - 0.3) < 0.01 and abs(float(found.std()) - 0.5) < 0.01


def test_unknown_bed_is_refused_with_the_list():
    with pytest.raises(InputError, match="isotropic, anisotropic, mixture"):
        denoiser("cauchy")
