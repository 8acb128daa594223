"""DEIS with score normalisation (DEIS-SN) as a diffusers scheduler.

One step takes the normalised noise prediction eps / r for a polynomial through the last outputs and integrates it exactly against the noise
schedule (`coefficients`). r = 1 is tAB-DEIS (Zhang and Chen 2023), r = mean |eps| over time is DEIS-SN (Xia et al. 2023). What goes
beyond the papers (per-pixel r, an exponent, linear terms, an analytical first step, tabulated grids) is off unless its option is set.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers, SchedulerMixin, SchedulerOutput
from diffusers.utils import logging
from scipy.interpolate import CubicSpline, PchipInterpolator

from genovision.errors import InputError
from genovision.samplers.coefficients import VARIABLES, weights
from genovision.samplers.grids import OWN_SPACINGS, SPACINGS, checked, make_grid
from genovision.samplers.schedules import DiscreteVP, make_betas

PREDICTION_TYPES = ("epsilon", "sample", "v_prediction")
FINAL_SIGMAS_TYPES = ("zero", "sigma_min")
_SMALLEST_VARIANCE = 1e-12  # of the data in a pixel, as the linear terms take it: noise in l can suggest less than none

logger = logging.get_logger(__name__)


class _Plan(NamedTuple):
    """A run from one begin index: per step psi, coefficients (newest first), bias, sqrt(A), sigma, l, b.

    Numbers are Python floats; what varies over channels or pixels is a float64 array until `_on` makes it tensors.
    """

    steps: list[tuple]
    first: tuple  # (scale, bias) of noise on its way to the first network call


_PLANS: OrderedDict[tuple, _Plan] = OrderedDict()
_PLANS_KEPT = 64
_PLAN_BYTES = 2**28  # of all plans: coefficients of every pixel in many steps are large


def _plan_bytes(plan: _Plan) -> int:
    parts = [
        part
        for step in plan.steps
        for entry in step
        for part in (entry if isinstance(entry, tuple | list) else [entry])
    ]
    return sum(getattr(part, "nbytes", 8) for part in parts)


class _Curve:
    """values (n, *shape) at rising times (n,), between them a cubic spline in sqrt(tau), at any tau.

    Where the spline would leave the positive numbers, the monotone cubic (PCHIP) takes its place. Below the first time the curve is
    continued straight in sqrt(tau), as mean |eps| behaves; below `clip` it is held.
    """

    def __init__(self, times, values, exponent: float, clip: float):
        self.clip, self.exponent = clip, exponent
        roots = np.sqrt(times)
        self.first = roots[0]
        if len(roots) == 1:
            self.curve, self.start, self.slope = (
                (lambda root: np.repeat(values, len(root), 0)),
                values[0],
                0 * values[0],
            )
        else:
            self.curve = CubicSpline(roots, values)
            between = roots[:-1, None] + np.diff(roots)[:, None] * np.array([0.25, 0.5, 0.75])
            if any(self.curve(column).min() <= 0 for column in between.T):
                self.curve = PchipInterpolator(roots, values)
            self.start, self.slope = values[0], self.curve(roots[:1], 1)[0]
        self.floor = 1e-6 * values.min()

    def __call__(self, tau):
        root = np.sqrt(np.maximum(tau, self.clip))
        values = self.curve(np.maximum(root, self.first))
        low = root < self.first
        if low.any():
            away = (root[low] - self.first).reshape(-1, *[1] * self.start.ndim)
            values[low] = np.maximum(self.start + self.slope * away, self.floor)
        return values if self.exponent == 1 else values**self.exponent


class _Linear:
    """(l, b) at any tau from their values (n, *shape) at rising times, through the Gaussian with the same l and b at each time.

    l = sigma / (A s^2 + sigma^2) and b = -l sqrt(A) m: variance s^2 and mean m change slowly (not at all for Gaussian data), are
    interpolated in sqrt(tau), and held beyond the first and the last time.
    """

    def __init__(self, schedule, times, slope, intercept):
        self.schedule, self.roots = schedule, np.sqrt(times)
        alpha_bar, sigma = (
            part.reshape(-1, *[1] * (slope.ndim - 1)) for part in (schedule.alpha_bar(times), schedule.sigma(times))
        )
        slope = np.maximum(slope, 1e-6)
        variance = np.maximum((sigma / slope - sigma**2) / alpha_bar, _SMALLEST_VARIANCE)
        both = np.stack([variance, -intercept / (slope * np.sqrt(alpha_bar))], axis=1)
        self.curve = (
            PchipInterpolator(self.roots, both) if len(times) > 1 else lambda root: np.repeat(both, len(root), 0)
        )

    def gaussian(self, tau):
        """(s^2, m), each (n, *shape)."""
        roots = np.clip(np.sqrt(tau), self.roots[0], self.roots[-1])
        return np.moveaxis(self.curve(roots), 1, 0)

    def __call__(self, tau):
        variance, mean = self.gaussian(tau)
        alpha_bar, sigma = (
            part.reshape(-1, *[1] * (mean.ndim - 1))
            for part in (self.schedule.alpha_bar(tau), self.schedule.sigma(tau))
        )
        slope = sigma / (alpha_bar * variance + sigma**2)
        return slope, -slope * np.sqrt(alpha_bar) * mean


class _Start:
    """What a pipeline multiplies unit noise by, where the analytical first step is affine and differs between pixels: noise * start =
    scale noise + bias.
    """

    def __init__(self, scale, bias):
        self.scale, self.bias = scale, bias

    def __mul__(self, noise):
        scale, bias = (
            _broadcast(part, noise, torch.promote_types(noise.dtype, torch.float32)) for part in (self.scale, self.bias)
        )
        return (noise * scale + bias).to(noise.dtype)

    __rmul__ = __mul__


def _broadcast(part, like: torch.Tensor, dtype: torch.dtype):
    """A float as it is; an array over (C,) or (C, H, ...) as a tensor that broadcasts against the batch `like` (B, C, H, ...)."""
    if isinstance(part, float) or part is None:
        return part
    shape = part.shape + (1,) * (like.ndim - 1 - part.ndim)
    return torch.from_numpy(np.ascontiguousarray(part)).reshape(shape).to(device=like.device, dtype=dtype)


def _as_list(values) -> Any:
    """Arrays and tensors as JSON-able lists; flat where `values` is given in its own shape."""
    if values is None or isinstance(values, (int, float)):
        return values
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().double()
    return np.asarray(values, dtype=np.float64).ravel().tolist()


class DEISSNScheduler(SchedulerMixin, ConfigMixin):
    """Exponential multistep sampler of order 1 to 4, deterministic, one network call a step; a drop-in for other diffusers schedulers.

    With every default but `num_train_timesteps` and the betas it is tAB-DEIS on the quadratic grid; with `normalizer` it is DEIS-SN.

    num_train_timesteps, beta_start, beta_end, beta_schedule (linear, scaled_linear, squaredcos_cap_v2, sigmoid), trained_betas: as in
    diffusers.
    solver_order: degree of the polynomial plus one, 1 to 4; order 1 without normaliser is DDIM. Warms up from order 1 wherever a run
    begins.
    prediction_type: of the network: epsilon, sample or v_prediction.
    timestep_spacing: quadratic, linspace, leading, trailing, logsnr, karras (see `grids.make_grid`) or tabulated; times given to the
        network are T tau - 1, at least 0, and keep their fraction (float32) unless `round_timesteps`. A name that diffusers does not
        know is kept in the configuration as `time_grid`, with timestep_spacing linspace, so that other schedulers take the configuration.
    time_grid: quadratic, logsnr, karras, tabulated or None; counts where timestep_spacing is linspace.
    interpolation_variable: what the polynomial is in: t, rho or log_rho (as diffusers' DEISMultistepScheduler).
    normalizer: r as a flat list of n values at `normalizer_times` (n,) rising tau, or of n * prod(normalizer_shape) values per channel
        [C] or per pixel [C, H, W]; positive, any constant factor. Without times, n training steps tau = 1/n ... 1. normalizer_exponent:
        r^gamma; 0 is DEIS, 1 DEIS-SN.
        normalizer_clip: r is held below this tau (0.005 for CIFAR-10 in the paper); 0 or None: continued to tau = 0.
    affine_times, affine_slope, affine_intercept, affine_shape: l and b, laid out like r, for eps = l x + b + F: only F (or F / r) is
        taken for a polynomial, the rest is integrated as it stands. Exact for diagonal Gaussians. `model_outputs` then holds F.
    analytical_first_step: eps at tau = 1 is taken to be x (or l x + b), so that N network calls make N + 1 steps; `init_noise_sigma`, by
        which pipelines multiply unit noise, carries the first. A pipeline that does not multiply (DDPMPipeline) leaves the first step
        out.
    time_grids: {N: [tau_N, ..., tau_0]} for N network calls (N + 1 times; N + 2 with analytical_first_step), where timestep_spacing is
        tabulated.
    final_sigmas_type: end at tau = 0 (zero) or at 1/T (sigma_min). lower_order_final: lower the order towards the last step, which has
        order 1.
    thresholding, dynamic_thresholding_ratio, sample_max_value: dynamic thresholding of the predicted sample, as in diffusers.
    steps_offset: added to the times of `leading`.

    `model_outputs` holds the last outputs as noise predictions, newest last. Bad options are an InputError (a ValueError).
    """

    _compatibles = [e.name for e in KarrasDiffusionSchedulers]  # noqa: RUF012
    order = 1

    @register_to_config
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.0001,
        beta_end: float = 0.02,
        beta_schedule: str = "linear",
        trained_betas: Sequence[float] | None = None,
        solver_order: int = 3,
        prediction_type: str = "epsilon",
        timestep_spacing: str = "quadratic",
        interpolation_variable: str = "t",
        normalizer: Sequence[float] | None = None,
        normalizer_times: Sequence[float] | None = None,
        normalizer_shape: Sequence[int] | None = None,
        normalizer_exponent: float = 1.0,
        normalizer_clip: float | None = None,
        affine_times: Sequence[float] | None = None,
        affine_slope: Sequence[float] | None = None,
        affine_intercept: Sequence[float] | None = None,
        affine_shape: Sequence[int] | None = None,
        analytical_first_step: bool = False,
        time_grids: dict[str, Sequence[float]] | None = None,
        final_sigmas_type: str = "zero",
        lower_order_final: bool = False,
        thresholding: bool = False,
        dynamic_thresholding_ratio: float = 0.995,
        sample_max_value: float = 1.0,
        steps_offset: int = 0,
        round_timesteps: bool = False,
        time_grid: str | None = None,
    ):
        if timestep_spacing in OWN_SPACINGS:
            time_grid, timestep_spacing = timestep_spacing, "linspace"
            self.register_to_config(time_grid=time_grid, timestep_spacing=timestep_spacing)
        self._spacing = time_grid if time_grid is not None and timestep_spacing == "linspace" else timestep_spacing
        for name, value, known in (
            ("prediction_type", prediction_type, PREDICTION_TYPES),
            ("timestep_spacing", self._spacing, SPACINGS),
            ("interpolation_variable", interpolation_variable, VARIABLES),
            ("final_sigmas_type", final_sigmas_type, FINAL_SIGMAS_TYPES),
        ):
            if value not in known:
                raise InputError(f"{name} {value!r} is unknown: choose one of {', '.join(known)}.")
        if isinstance(solver_order, bool) or solver_order not in (1, 2, 3, 4):
            raise InputError(f"solver_order {solver_order!r} must be 1, 2, 3 or 4.")
        if normalizer_clip is not None and not 0 <= normalizer_clip <= 1:
            raise InputError(f"normalizer_clip {normalizer_clip!r} must be a time tau between 0 and 1.")
        if not np.isfinite(normalizer_exponent):
            raise InputError(f"normalizer_exponent {normalizer_exponent!r} must be finite.")
        if self._spacing == "tabulated" and not time_grids:
            raise InputError(
                "timestep_spacing 'tabulated' needs time_grids: {number of network calls: falling times tau}."
            )

        if time_grids is not None:
            time_grids = {str(key): _as_list(grid) for key, grid in time_grids.items()}
        lists = {
            "trained_betas": _as_list(trained_betas),
            "normalizer": _as_list(normalizer),
            "normalizer_times": _as_list(normalizer_times),
            "affine_times": _as_list(affine_times),
            "affine_slope": _as_list(affine_slope),
            "affine_intercept": _as_list(affine_intercept),
            "normalizer_shape": None if normalizer_shape is None else [int(size) for size in normalizer_shape],
            "affine_shape": None if affine_shape is None else [int(size) for size in affine_shape],
            "time_grids": time_grids,
        }
        self.register_to_config(**{name: value for name, value in lists.items() if value is not None})

        betas = make_betas(num_train_timesteps, beta_start, beta_end, beta_schedule, trained_betas)
        self.schedule = DiscreteVP(betas)
        self.betas = torch.tensor(betas, dtype=torch.float32)
        self.alphas = torch.tensor(1 - betas, dtype=torch.float32)
        self.alphas_cumprod = torch.tensor(np.cumprod(1 - betas), dtype=torch.float32)
        self._training_times = len(betas)

        self._normalizer = self._affine = None
        digest = hashlib.sha256(betas.tobytes())
        if normalizer is not None:
            times, (values,) = _table(
                "normalizer", lists["normalizer_times"], lists["normalizer_shape"], lists["normalizer"]
            )
            if not np.all(np.isfinite(values)) or not np.all(values > 0):
                raise InputError(
                    "normalizer must be positive and finite everywhere; collect it again, or leave it out for plain DEIS."
                )
            self._normalizer = _Curve(times, values, normalizer_exponent, normalizer_clip or 0.0)
            self._normalizer_times = times
            for part in (times, values):
                digest.update(part.tobytes())
            digest.update(repr((values.shape, float(normalizer_exponent), normalizer_clip or 0.0)).encode())
            if normalizer_exponent == 0:
                self._normalizer = None
        if (affine_slope is None) != (affine_intercept is None):
            raise InputError("affine_slope and affine_intercept belong together: give both or neither.")
        if affine_slope is not None:
            if affine_times is None:
                raise InputError("affine_slope needs affine_times, the rising times tau of its values.")
            times, (slope, intercept) = _table(
                "affine", lists["affine_times"], lists["affine_shape"], lists["affine_slope"], lists["affine_intercept"]
            )
            if not np.all(np.isfinite(slope)) or not np.all(np.isfinite(intercept)):
                raise InputError("affine_slope and affine_intercept must be finite everywhere; collect them again.")
            self._affine = _Linear(self.schedule, times, slope, intercept)
            for part in (times, slope, intercept):
                digest.update(part.tobytes())
            digest.update(repr(slope.shape).encode())
        self._identity = digest.digest()

        self.init_noise_sigma = 1.0
        self.num_inference_steps = None
        self.timesteps = torch.arange(self._training_times - 1, -1, -1, dtype=torch.float32)
        self._grids: OrderedDict[int, np.ndarray] = OrderedDict()
        self._grid = self._times = None
        self._reset()

    def _reset(self):
        self.model_outputs: list[torch.Tensor | None] = [None] * self.config.solver_order
        self._step_index = self._begin_index = None
        self._steps = None

    def __len__(self) -> int:
        return self.config.num_train_timesteps

    @classmethod
    def from_config(cls, config=None, return_unused_kwargs=False, **kwargs):
        """As in diffusers; options of another scheduler that have no counterpart here are kept in the config, ignored, and named in a
        warning.
        """
        # a configuration with an option only we have is ours, or came from ours, and has been warned of
        if isinstance(config, dict) and "interpolation_variable" not in config:
            known = cls._get_init_keys(cls) | set(config.get("_use_default_values", ()))
            foreign = sorted(key for key in config if key not in known and not key.startswith("_"))
            if foreign:
                logger.warning(f"{cls.__name__} has no options {', '.join(foreign)}: they are ignored.")
        return super().from_config(config, return_unused_kwargs=return_unused_kwargs, **kwargs)

    # --- times

    @property
    def step_index(self) -> int | None:
        """Number of the next step; None before the first."""
        return self._step_index

    @property
    def begin_index(self) -> int | None:
        """Number of the first step of a run, where a pipeline has set it."""
        return self._begin_index

    def set_begin_index(self, begin_index: int = 0):
        """The run starts at `timesteps[begin_index]`; to be called before its first step."""
        self._begin_index = begin_index

    @property
    def taus(self) -> np.ndarray:
        """The time grid in tau, falling, float64: the network's times and where the last step ends (with the analytical first step: 1
        before them).
        """
        if self._grid is None:
            raise InputError("the scheduler has no time grid yet: call set_timesteps first.")
        return self._grid

    @property
    def sigmas(self) -> torch.Tensor:
        """sigma / sqrt(A) on the grid, as diffusers' multistep schedulers call it; of the training steps before `set_timesteps`."""
        if self._grid is None:
            return ((1 - self.alphas_cumprod) / self.alphas_cumprod) ** 0.5
        return torch.tensor(self.schedule.rho(self._grid), dtype=torch.float32)

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        timesteps: Sequence[float] | None = None,
        sigmas: Sequence[float] | None = None,
    ):
        """Prepare a run of this many network calls, or one at given network times, or at given sigma / sqrt(A) (both falling; a last 0 of
        `sigmas` ends it).

        `timesteps` (N,) is put on `device`. A normaliser that does not cover the grid, N = 0 and repeated times are an InputError.
        """
        if (num_inference_steps is None) + (timesteps is None) + (sigmas is None) == 3:
            raise InputError("set_timesteps needs num_inference_steps, timesteps or sigmas.")
        if timesteps is not None and sigmas is not None:
            raise InputError("set_timesteps takes timesteps or sigmas, not both.")
        if timesteps is not None:
            grid = self._explicit_grid(np.asarray(_as_list(timesteps)), num_inference_steps)
        elif sigmas is not None:
            grid = self._sigma_grid(np.asarray(_as_list(sigmas)))
        else:
            grid = self._named_grid(num_inference_steps)
        free = int(self.config.analytical_first_step)
        self._grid, times = self._snapped(grid, free)
        self.num_inference_steps = len(times)
        self._times = times.tolist()
        self.timesteps = torch.from_numpy(times).to(device)
        self._reset()
        plan = self._plan(0)
        scale, bias = plan.first
        self.init_noise_sigma = scale if isinstance(scale, float) and bias == 0.0 else _Start(scale, bias)

    @property
    def _end(self) -> float:
        return 0.0 if self.config.final_sigmas_type == "zero" else 1 / self._training_times

    def _named_grid(self, number) -> np.ndarray:
        if isinstance(number, bool) or int(number) != number or number < 1:
            raise InputError(f"num_inference_steps is {number!r}: it must be a whole number, at least 1.")
        number = int(number)
        if number not in self._grids:
            config, table = self.config, None
            if self._spacing == "tabulated":
                table = config.time_grids.get(str(number))
                if table is None:
                    known = ", ".join(sorted(config.time_grids, key=int))
                    raise InputError(f"time_grids has no grid for {number} steps; it has some for {known}.")
            steps = number + int(config.analytical_first_step)
            if len(self._grids) >= _PLANS_KEPT:
                self._grids.popitem(last=False)
            self._grids[number] = make_grid(
                self._spacing,
                steps,
                self.schedule,
                self._training_times,
                self._end,
                config.steps_offset,
                table,
            )
        return self._grids[number]

    def _with_start(self, nodes, end) -> np.ndarray:
        start = [1.0] if self.config.analytical_first_step else []
        return np.concatenate([start, nodes, [end]])

    def _explicit_grid(self, times, number) -> np.ndarray:
        if times.ndim != 1 or not times.size:
            raise InputError("timesteps must be a list of at least one network time.")
        if number is not None and number != len(times):
            raise InputError(f"num_inference_steps is {number} and timesteps has {len(times)} entries: leave one out.")
        last = self._training_times
        if not np.all(np.isfinite(times)) or times.min() < 0 or times.max() > last - 1:
            raise InputError(f"timesteps must lie between 0 and {last - 1}.")
        if not np.all(np.diff(times) < 0):
            raise InputError("timesteps must fall strictly, without repeated times.")
        end = self._end if times[-1] > 0 else 0.0
        return checked(self._with_start((times + 1) / last, end), "timesteps")

    def _sigma_grid(self, sigmas) -> np.ndarray:
        if sigmas.ndim != 1 or not sigmas.size or not np.all(np.isfinite(sigmas)) or sigmas.min() < 0:
            raise InputError("sigmas must be a list of at least one positive number.")
        end = self._end
        if sigmas[-1] == 0:
            sigmas, end = sigmas[:-1], 0.0
        return checked(self._with_start(self.schedule.tau_of_rho(sigmas), end), "sigmas")

    def _snapped(self, grid, free: int) -> tuple[np.ndarray, np.ndarray]:
        """The grid with its nodes moved to the float32 (or rounded) times the network is told, so that both mean the same tau, and
        these times.
        """
        last, grid = self._training_times, grid.copy()
        nodes = grid[free:-1]
        times = last * nodes - 1
        if self.config.round_timesteps:
            count = np.arange(len(times))
            if len(times) > last:
                raise InputError(
                    f"{len(times)} steps cannot have distinct whole times of {last}: switch round_timesteps off."
                )
            rising = np.maximum.accumulate(np.round(np.maximum(times[::-1], 0)) - count) + count
            times = np.minimum(rising, last - len(times) + count)[::-1].astype(np.int64)
            grid[free:-1] = (times + 1) / last
            return checked(grid, "the grid of rounded times"), np.ascontiguousarray(times)
        times = np.maximum(times, 0).astype(np.float32)
        told = (times.astype(np.float64) + 1) / last
        snapped = np.where(nodes >= 1 / last, told, nodes)
        if np.all(np.diff(np.concatenate([grid[:free], snapped, grid[-1:]])) < 0):
            grid[free:-1] = snapped
        return grid, times

    # --- coefficients

    def _plan(self, begin: int) -> _Plan:
        config = self.config
        choices = (
            config.solver_order,
            config.interpolation_variable,
            config.lower_order_final,
            config.analytical_first_step,
        )
        key = (self._identity, self._grid.tobytes(), begin, choices)
        plan = _PLANS.get(key)
        if plan is None:
            plan = _PLANS[key] = self._make_plan(begin)
            while len(_PLANS) > 1 and (
                len(_PLANS) > _PLANS_KEPT or sum(map(_plan_bytes, _PLANS.values())) > _PLAN_BYTES
            ):
                _PLANS.popitem(last=False)
        else:
            _PLANS.move_to_end(key)
        return plan

    def _make_plan(self, begin: int) -> _Plan:
        config, grid = self.config, self._grid
        free = int(config.analytical_first_step)
        oldest = begin + free if begin else 0  # the noise itself counts as an output only in a run from the beginning
        if self._normalizer is not None:
            first, last = self._normalizer_times[0], self._normalizer_times[-1]
            lowest = max(grid[-2], 1 / self._training_times, config.normalizer_clip or 0.0)
            if last < grid[0] * (1 - 1e-9) or first > lowest * (1 + 1e-9):
                raise InputError(
                    f"normalizer_times cover tau from {first:g} to {last:g} and the grid needs {lowest:g} to {grid[0]:g}: "
                    "collect the normaliser over the whole path."
                )
        count = len(grid) - 1 - free
        positions = np.arange(begin + free, len(grid) - 1)
        degree = np.minimum(config.solver_order - 1, positions - oldest)
        if config.lower_order_final:
            degree = np.minimum(degree, count - 1 + free - positions)
        back = np.arange(config.solver_order)
        nodes = np.where(back <= degree[:, None], grid[np.maximum(positions[:, None] - back, 0)], np.nan)
        targets = grid[positions + 1]
        if free:
            targets = np.append(targets, grid[1])
            nodes = np.vstack([nodes, np.where(back == 0, grid[0], np.nan)])
        psi, coefficients, *bias = weights(
            self.schedule, targets, nodes, self._normalizer, config.interpolation_variable, self._affine
        )
        bias = bias[0] if bias else np.zeros(len(targets))
        alpha, sigma = np.sqrt(self.schedule.alpha_bar(grid[positions])), self.schedule.sigma(grid[positions])
        slope, intercept = self._affine(grid[positions]) if self._affine else (np.zeros(len(positions)),) * 2

        def plain(part):
            return float(part) if part.ndim == 0 else part

        steps = [
            (
                plain(psi[i]),
                [plain(coefficients[i, j]) for j in range(degree[i] + 1)],
                plain(bias[i]),
                float(alpha[i]),
                float(sigma[i]),
                plain(slope[i]),
                plain(intercept[i]),
            )
            for i in range(len(positions))
        ]
        start = (1.0, 0.0)
        if free:
            # with linear terms F = 0 at tau = 1; without, eps = x there
            start = (plain(psi[-1] if self._affine else psi[-1] + coefficients[-1, 0]), plain(bias[-1]))
        return _Plan(steps, start)

    # --- steps

    def scale_model_input(self, sample: torch.Tensor, *args, **kwargs) -> torch.Tensor:
        """The sample itself: the network of a variance-preserving model takes it as it is."""
        return sample

    def index_for_timestep(self, timestep, schedule_timesteps=None) -> int:
        """Number of the step at this network time, the last one if there is none. An element of `timesteps` is found without reading
        its value.
        """
        if schedule_timesteps is None:
            schedule_timesteps = self.timesteps
        if isinstance(timestep, torch.Tensor) and timestep.numel() == 1 and _share_memory(timestep, schedule_timesteps):
            return (timestep.storage_offset() - schedule_timesteps.storage_offset()) // schedule_timesteps.stride(0)
        own = schedule_timesteps is self.timesteps and self._times is not None
        times = self._times if own else schedule_timesteps.tolist()
        value = float(timestep)
        return times.index(value) if value in times else len(times) - 1

    def _begin(self, timestep, sample):
        """Choose the first step and fetch its coefficients on the sample's device; the history starts empty, or with the noise
        (analytical first step).
        """
        index = self._begin_index if self._begin_index is not None else self.index_for_timestep(timestep)
        if not 0 <= index < self.num_inference_steps:
            raise InputError(
                f"begin index {index} is outside the {self.num_inference_steps} steps that set_timesteps prepared."
            )
        self._step_index, self._first_index = index, index
        plan = self._plan(index)
        dtype = torch.promote_types(sample.dtype, torch.float32)
        self._steps = plan.steps
        if self._normalizer is not None or self._affine is not None:
            self._steps = [
                (
                    _broadcast(psi, sample, dtype),
                    [_broadcast(part, sample, dtype) for part in coefficients],
                    _broadcast(bias, sample, dtype),
                    alpha,
                    sigma,
                    _broadcast(slope, sample, dtype),
                    _broadcast(intercept, sample, dtype),
                )
                for psi, coefficients, bias, alpha, sigma, slope, intercept in plan.steps
            ]
        if self.config.analytical_first_step and index == 0:
            scale, bias = (_broadcast(part, sample, dtype) for part in plan.first)
            noise = (
                torch.zeros_like(sample, dtype=dtype) if self._affine is not None else (sample.to(dtype) - bias) / scale
            )
            self._remember(noise)

    def _remember(self, output):
        outputs = self.model_outputs
        del outputs[0]
        outputs.append(output)

    def _threshold(self, predicted: torch.Tensor) -> torch.Tensor:
        """Dynamic thresholding (Saharia et al. 2022): clamp each sample at a quantile of its absolute values, between 1 and
        sample_max_value, and divide by it.
        """
        flat = predicted.reshape(len(predicted), -1)
        bound = torch.quantile(flat.abs(), self.config.dynamic_thresholding_ratio, dim=1, keepdim=True)
        bound = bound.clamp(min=1, max=self.config.sample_max_value)
        return (flat.clamp(-bound, bound) / bound).reshape(predicted.shape)

    def convert_model_output(self, model_output, sample, alpha: float, sigma: float) -> torch.Tensor:
        """The network's output as a noise prediction, at sqrt(A) `alpha` and sigma; in float32 at least, unless it is one already."""
        kind = self.config.prediction_type
        if kind == "epsilon" and not self.config.thresholding:
            return model_output.detach()
        dtype = torch.promote_types(torch.promote_types(sample.dtype, model_output.dtype), torch.float32)
        output, sample = model_output.detach().to(dtype), sample.to(dtype)
        if kind == "v_prediction":
            noise = torch.mul(output, alpha).add_(sample, alpha=sigma)
        elif kind == "sample":
            noise = torch.mul(sample, 1 / sigma).add_(output, alpha=-alpha / sigma)
        else:
            noise = output
        if self.config.thresholding:
            predicted = self._threshold((sample - sigma * noise) / alpha)
            noise = torch.mul(sample, 1 / sigma).add_(predicted, alpha=-alpha / sigma)
        return noise

    def step(
        self,
        model_output: torch.Tensor,
        timestep: int | float | torch.Tensor,
        sample: torch.Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> SchedulerOutput | tuple:
        """The sample at the next time of the grid, in `sample`'s dtype; sums are in float32, or float64 where the sample is.

        `timestep` is read only at the first step of a run without begin index. `generator` is not used: the sampler is deterministic.
        """
        if self.num_inference_steps is None:
            raise InputError("the scheduler has no time grid yet: call set_timesteps before step.")
        if model_output.shape != sample.shape:
            raise InputError(
                f"the network's output has shape {tuple(model_output.shape)} and the sample {tuple(sample.shape)}: "
                f"prediction_type {self.config.prediction_type!r} wants one value for each of the sample's "
                "(of a network that also predicts variances, pass the first half of the channels)."
            )
        if self._steps is None:
            self._begin(timestep, sample)
        position = self._step_index - self._first_index
        if position >= len(self._steps):
            raise InputError("the run is over: call set_timesteps for another.")
        psi, coefficients, bias, alpha, sigma, slope, intercept = self._steps[position]

        output = self.convert_model_output(model_output, sample, alpha, sigma)
        dtype = (
            sample.dtype
            if sample.dtype in (torch.float32, torch.float64)
            else torch.promote_types(sample.dtype, torch.float32)
        )
        previous = sample.to(dtype)
        if self._affine is not None:
            output = output.to(dtype) - slope * previous
            output -= intercept
        self._remember(output)
        previous = previous * psi
        if self._affine is not None:
            previous += bias
        for age, coefficient in enumerate(coefficients, 1):
            if isinstance(coefficient, float):
                previous.add_(self.model_outputs[-age], alpha=coefficient)
            else:
                previous.addcmul_(self.model_outputs[-age], coefficient)
        previous = previous.to(sample.dtype)

        self._step_index += 1
        return SchedulerOutput(prev_sample=previous) if return_dict else (previous,)

    # --- noise

    def _level(self, timesteps, like) -> tuple[torch.Tensor, torch.Tensor]:
        """sqrt(A) and sigma at network times (B,), shaped to broadcast against `like`; times of the current grid mean its tau."""
        times = torch.as_tensor(timesteps).detach().cpu().reshape(-1).to(torch.float64).numpy()
        tau = (times + 1) / self._training_times
        if self._times is not None:
            free = int(self.config.analytical_first_step)
            known = dict(zip(reversed(self._times), reversed(self._grid[free:-1].tolist()), strict=True))
            tau = np.array([known.get(float(time), own) for time, own in zip(times, tau, strict=True)])
        dtype = torch.promote_types(like.dtype, torch.float32)
        shape = (-1,) + (1,) * (like.ndim - 1)
        return tuple(
            torch.from_numpy(part).to(device=like.device, dtype=dtype).reshape(shape)
            for part in (np.sqrt(self.schedule.alpha_bar(tau)), self.schedule.sigma(tau))
        )

    def add_noise(self, original_samples: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """sqrt(A) x_0 + sigma noise at network times (B,), whole (training) or fractional."""
        alpha, sigma = self._level(timesteps, original_samples)
        return (alpha * original_samples + sigma * noise).to(original_samples.dtype)

    def get_velocity(self, sample: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """What a network of v_prediction is trained on at network times (B,): sqrt(A) noise - sigma x_0."""
        alpha, sigma = self._level(timesteps, sample)
        return (alpha * noise - sigma * sample).to(sample.dtype)


def _share_memory(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _table(name: str, times, shape, *values) -> tuple[np.ndarray, list[np.ndarray]]:
    """Rising times (n,) in (0, 1] and each of `values` as (n, *shape), checked."""
    size = int(np.prod(shape or ()))
    parts = [np.asarray(part, dtype=np.float64).ravel() for part in values]
    if times is None:
        count = len(parts[0]) // size
        times = np.arange(1, count + 1) / max(count, 1)
    times = np.asarray(times, dtype=np.float64)
    if times.ndim != 1 or not times.size or not np.all(np.isfinite(times)) or not np.all(np.diff(times) > 0):
        raise InputError(f"{name}_times must be a rising list of times tau.")
    if times[0] <= 0 or times[-1] > 1 + 1e-9:
        raise InputError(
            f"{name}_times must lie in (0, 1]: time t of a network trained on T steps is tau = (t + 1) / T."
        )
    for part in parts:
        if len(part) != len(times) * size:
            raise InputError(
                f"{name} has {len(part)} values where {len(times)} times of shape {list(shape or ())} need {len(times) * size}."
            )
    return times, [part.reshape(len(times), *(shape or ())) for part in parts]
