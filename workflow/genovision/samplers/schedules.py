"""Noise schedules of the variance-preserving kind over time tau in [0, 1].

A(tau) is alpha-bar: x_tau = sqrt(A) x_0 + sigma noise with sigma^2 = 1 - A, A(0) = 1. rho = sigma / sqrt(A) grows with tau from 0.
A network trained on T steps has seen step k at tau = (k + 1) / T.
"""

import numpy as np
from scipy.interpolate import CubicHermiteSpline, CubicSpline

from genovision.errors import InputError

BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid")


def make_betas(
    num_train_timesteps: int = 1000,
    beta_start: float = 0.0001,
    beta_end: float = 0.02,
    beta_schedule: str = "linear",
    trained_betas=None,
) -> np.ndarray:
    """The variances added at each of the T training steps, (T,) float64, as diffusers names them; `trained_betas` go before the rest.

    An unknown name, or a beta outside (0, 1), is an InputError.
    """
    if trained_betas is not None:
        betas = np.asarray(trained_betas, dtype=np.float64).ravel()
    elif num_train_timesteps < 1:
        raise InputError(f"num_train_timesteps is {num_train_timesteps}: it must be at least 1.")
    elif beta_schedule == "linear":
        betas = np.linspace(beta_start, beta_end, num_train_timesteps)
    elif beta_schedule == "scaled_linear":
        betas = np.linspace(beta_start**0.5, beta_end**0.5, num_train_timesteps) ** 2
    elif beta_schedule == "squaredcos_cap_v2":
        angle = (np.arange(num_train_timesteps + 1) / num_train_timesteps + 0.008) / 1.008 * np.pi / 2
        level = np.cos(angle) ** 2
        betas = np.minimum(1 - level[1:] / level[:-1], 0.999)
    elif beta_schedule == "sigmoid":
        betas = beta_start + (beta_end - beta_start) / (1 + np.exp(-np.linspace(-6, 6, num_train_timesteps)))
    else:
        raise InputError(f"beta_schedule {beta_schedule!r} is unknown: choose one of {', '.join(BETA_SCHEDULES)}.")
    if not len(betas) or not np.all((betas > 0) & (betas < 1)):
        raise InputError("betas must lie strictly between 0 and 1 (trained_betas, or beta_start and beta_end).")
    return betas


class Schedule:
    """What follows from log A(tau). Subclasses give `log_alpha_bar` and its derivative `log_alpha_bar_slope`; all take and give arrays."""

    def alpha_bar(self, tau) -> np.ndarray:
        return np.exp(self.log_alpha_bar(tau))

    def sigma(self, tau) -> np.ndarray:
        return np.sqrt(-np.expm1(self.log_alpha_bar(tau)))

    def rho(self, tau) -> np.ndarray:
        return np.sqrt(np.expm1(-self.log_alpha_bar(tau)))

    def rho_slope(self, tau) -> np.ndarray:
        """d rho / d tau, for tau > 0 (it grows without bound at 0)."""
        log_alpha_bar = self.log_alpha_bar(tau)
        return -self.log_alpha_bar_slope(tau) * np.exp(-log_alpha_bar) / (2 * np.sqrt(np.expm1(-log_alpha_bar)))

    def tau_of_rho(self, rho) -> np.ndarray:
        """The tau in [0, 1] with this rho, by bisection in sqrt(tau) to the last bit; rho beyond rho(1) gives 1."""
        rho = np.asarray(rho, dtype=np.float64)
        low, high = np.zeros_like(rho), np.ones_like(rho)
        for _ in range(54):
            middle = (low + high) / 2
            above = self.rho(middle * middle) > rho
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return ((low + high) / 2) ** 2


class ContinuousVP(Schedule):
    """beta(tau) grows linearly from `beta_min` to `beta_max`: log A = -(beta_min tau + (beta_max - beta_min) tau^2 / 2)."""

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0):
        self.beta_min, self.beta_max = beta_min, beta_max

    def log_alpha_bar(self, tau):
        tau = np.asarray(tau, dtype=np.float64)
        return -(self.beta_min + (self.beta_max - self.beta_min) / 2 * tau) * tau

    def log_alpha_bar_slope(self, tau):
        return -(self.beta_min + (self.beta_max - self.beta_min) * np.asarray(tau, dtype=np.float64))


class DiscreteVP(Schedule):
    """A schedule known at T training steps, `betas` (T,), and between them by a monotone cubic of log A in tau through A(0) = 1.

    The slopes are those of the twice differentiable spline (smooth betas give a smooth A, to which high orders of convergence cling),
    limited to three times the smaller neighbouring chord (Hyman 1983), so that A falls everywhere, also where betas jump.
    """

    def __init__(self, betas):
        self.betas = np.asarray(betas, dtype=np.float64)
        knots = np.linspace(0, 1, len(self.betas) + 1)
        values = np.concatenate([[0.0], np.cumsum(np.log1p(-self.betas))])
        chords = np.diff(values) / np.diff(knots)
        slopes = CubicSpline(knots, values)(knots, 1)
        steepest = 3 * np.maximum(np.append(chords[:1], chords), np.append(chords, chords[-1:]))
        self.log_alpha_bar = CubicHermiteSpline(knots, values, np.clip(slopes, steepest, 0))
        self.log_alpha_bar_slope = self.log_alpha_bar.derivative()


def schedule_from_config(config) -> DiscreteVP:
    """The schedule a scheduler's configuration (a mapping with the names of `make_betas`) describes."""
    names = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
    return DiscreteVP(make_betas(**{name: config[name] for name in names if name in config}))
