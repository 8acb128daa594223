"""Observed orders of convergence, with a smooth noise schedule and a smooth normaliser: degree k has order k + 1, normalised or not."""

import numpy as np
import pytest

from genovision.samplers.beds import denoiser
from genovision.samplers.coefficients import weights
from genovision.samplers.schedules import ContinuousVP

END = 0.02  # where the normaliser is still smooth


class Smooth:
    """A smooth r(tau): the mean |eps| of Gaussian data with the mixture's variance."""

    def __init__(self, schedule, spread: float):
        self.schedule, self.spread = schedule, spread

    def __call__(self, tau):
        level = self.schedule.alpha_bar(tau)
        return np.sqrt((1 - level) / (level * self.spread**2 + 1 - level))


@pytest.fixture(scope="module")
def mixture():
    """The bed, 20 noises, and where the flow takes them at END."""
    import torch

    bed = denoiser("mixture", continuous=True)
    noise = torch.from_numpy(np.random.default_rng(5).standard_normal((20, *bed.shape)))
    return bed, noise, bed.solution(noise, END, steps=4000)


def solve(bed, schedule, noise, steps: int, degree: int, normalizer) -> object:
    """Multistep steps from the coefficients alone, float64, on the quadratic grid from 1 to END, begun with the exact history.

    (Warming up from degree 0 leaves an error of order 2 in the first step, which in the end outlasts those of higher orders.)
    """
    tau = np.linspace(1, END**0.5, steps + 1) ** 2
    tau[[0, -1]] = 1, END
    exact = [bed.solution(noise, at, steps=300) for at in tau[: degree + 1]]
    history = [bed(x, 1000 * at - 1) for x, at in zip(exact[:degree], tau, strict=False)][::-1]
    x, places = exact[-1], np.arange(degree, steps)
    psi, coefficients = weights(
        schedule, tau[places + 1], tau[places[:, None] - np.arange(degree + 1)], normalizer, "t"
    )
    for step, at in enumerate(tau[degree:-1]):
        history = [bed(x, 1000 * at - 1), *history][: degree + 1]
        x = float(psi[step]) * x + sum(c * eps for c, eps in zip(coefficients[step].tolist(), history, strict=True))
    return x


@pytest.mark.parametrize("normalised", [False, True], ids=["deis", "deis-sn"])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_degree_k_has_order_k_plus_1(degree, normalised, mixture):
    bed, noise, solution = mixture
    schedule = ContinuousVP()
    normalizer = Smooth(schedule, 1.6) if normalised else None
    # the median: the few coordinates that start between two modes converge late and would carry a mean
    errors = [
        float((solve(bed, schedule, noise, steps, degree, normalizer) - solution).abs().median()) for steps in (80, 160)
    ]
    assert abs(np.log2(errors[0] / errors[1]) - (degree + 1)) < 0.2, errors
