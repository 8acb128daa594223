"""Denoisers in closed form: what a sampler gets wrong on them is its own error, not a network's.

Data are independent Gaussians or Gaussian mixtures per coordinate, so the noise prediction E[noise | x] is exact. A bed is called like
a network, `bed(x, t)` with the network time t = T tau - 1 (fractions are right), and tells the solution of its own
probability-flow equation dv/drho = eps with v = x / sqrt(A), rho = sqrt((1 - A) / A), A = alpha-bar.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from genovision.errors import InputError
from genovision.samplers.schedules import ContinuousVP, DiscreteVP, make_betas

# the schedule of Ho et al. (2020), on which the diffusers peers stand
SCHEDULER_CONFIG = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "epsilon",
    "clip_sample": False,
}


@dataclass(frozen=True)
class Bed:
    """A data distribution with known noise prediction.

    weights (K,) sum to 1; means and scales (K, *shape) are those of the K components of every coordinate, coordinates being independent;
    alpha_bar maps tau in [0, 1] to A (float64 arrays to float64 arrays); steps is T, the number of training times.
    """

    name: str
    weights: npt.NDArray[np.float64]
    means: npt.NDArray[np.float64]
    scales: npt.NDArray[np.float64]
    alpha_bar: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
    steps: int = 1000

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample, channels first."""
        return self.means.shape[1:]

    @property
    def scheduler_config(self) -> dict:
        """The diffusers scheduler configuration of the bed's noise schedule."""
        return dict(SCHEDULER_CONFIG)

    def __call__(self, x: torch.Tensor, t: torch.Tensor | float) -> torch.Tensor:
        """The noise in x (batch, *shape) at network time t (one, or one per sample); float64 inside, the dtype of x out."""
        times = torch.as_tensor(t, dtype=torch.float64).detach().cpu().numpy()
        return self.noise(x, self.alpha_bar((times + 1) / self.steps))

    def noise(self, x: torch.Tensor, alpha_bar: torch.Tensor | float) -> torch.Tensor:
        """E[noise | x] at a given alpha-bar (one, or one per sample), by the posterior weights of the components."""
        level = np.asarray(alpha_bar, dtype=np.float64)
        found = self._noise(x.detach().cpu().double().numpy(), level)
        return torch.from_numpy(found).to(device=x.device, dtype=x.dtype)

    def _noise(self, x: npt.NDArray[np.float64], level: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        a = level.reshape(level.shape + (1,) * (x.ndim - level.ndim)) if level.ndim else level
        variances = [a * scale**2 + (1 - a) for scale in self.scales]
        distances = [x - np.sqrt(a) * mean for mean in self.means]
        if len(variances) == 1:
            return np.sqrt(1 - a) * distances[0] / variances[0]
        ratios = [distance / variance for distance, variance in zip(distances, variances, strict=True)]
        logs = [
            np.log(weight) - 0.5 * (np.log(variance) + distance * ratio)
            for weight, variance, distance, ratio in zip(self.weights, variances, distances, ratios, strict=True)
        ]
        highest = np.maximum.reduce(logs)
        posterior = [np.exp(log - highest) for log in logs]
        total = sum(weight * ratio for weight, ratio in zip(posterior, ratios, strict=True))
        return np.sqrt(1 - a) * total / sum(posterior)

    def solution(self, noise: torch.Tensor, tau: float = 0.0, steps: int = 500) -> torch.Tensor:
        """Where the flow that starts at x(1) = noise stands at tau, float64.

        Gaussians: closed form, x(tau) = sqrt(A) m + spread(tau) / spread(1) (x(1) - sqrt(A(1)) m). Mixtures: classical Runge-Kutta of
        order 4 on `steps` intervals, even in asinh(rho / 0.05): in log rho where the noise is large, in rho where it vanishes.
        """
        start, end = (float(self.alpha_bar(np.float64(at))) for at in (1.0, tau))
        x = noise.double()
        if len(self.weights) == 1:
            mean, scale = torch.from_numpy(self.means[0]), torch.from_numpy(self.scales[0])
            spread = [torch.sqrt(a * scale**2 + 1 - a) for a in (start, end)]
            return end**0.5 * mean + spread[1] / spread[0] * (x - start**0.5 * mean)
        rho = [((1 - a) / a) ** 0.5 for a in (start, end)]
        knee = 0.05
        grid = knee * np.sinh(np.linspace(np.arcsinh(rho[0] / knee), np.arcsinh(rho[1] / knee), steps + 1))
        grid[[0, -1]] = rho

        def slope(v: npt.NDArray[np.float64], at: float) -> npt.NDArray[np.float64]:
            a = 1 / (1 + at**2)
            return self._noise(a**0.5 * v, np.float64(a))

        v = x.numpy() / start**0.5
        for here, there in itertools.pairwise(grid.tolist()):
            h, middle = there - here, (here + there) / 2
            first = slope(v, here)
            second = slope(v + h / 2 * first, middle)
            third = slope(v + h / 2 * second, middle)
            v = v + h / 6 * (first + 2 * second + 2 * third + slope(v + h * third, there))
        return torch.from_numpy(end**0.5 * v)


def _isotropic() -> tuple:
    return [1.0], np.full((1, 1, 4, 4), 0.3), np.full((1, 1, 4, 4), 0.5)


def _anisotropic() -> tuple:
    scales = 1 / (1 + np.arange(64.0)).reshape(1, 1, 8, 8)
    return [1.0], np.zeros((1, 1, 8, 8)), scales


def _mixture() -> tuple:
    ones = np.ones((1, 1, 4, 4))
    means, scales = [-2.0, 0.0, 2.0], [0.3, 0.2, 0.3]
    return [0.3, 0.4, 0.3], np.concatenate([m * ones for m in means]), np.concatenate([s * ones for s in scales])


BEDS = {"isotropic": _isotropic, "anisotropic": _anisotropic, "mixture": _mixture}


def denoiser(name: str, continuous: bool = False) -> Bed:
    """The bed of this name: isotropic (16 coordinates, mean 0.3, spread 0.5), anisotropic (64 coordinates, spread 1 / (1 + i), the spectrum
    of images), mixture (16 coordinates, three well separated modes each, so that neighbouring paths part).

    With `continuous` the noise schedule is the smooth variance-preserving one (rates 0.1 to 20) instead of the 1000 training times, for
    measuring orders of convergence. InputError for an unknown name lists the beds.
    """
    if name not in BEDS:
        raise InputError(f"there is no bed {name!r}; the beds are {', '.join(BEDS)}.")
    weights, means, scales = BEDS[name]()
    schedule = ContinuousVP() if continuous else DiscreteVP(make_betas())
    return Bed(name, np.asarray(weights), means, scales, schedule.alpha_bar)
