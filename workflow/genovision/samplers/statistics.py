"""What the noise prediction looks like along sampling paths, collected once per model: the normaliser of DEIS-SN and everything chosen
from data.

One pass of plain DEIS (no normaliser) in many steps, as in the released code of DEIS-SN (Xia et al. 2023), but over batches, in float64,
and with the time of every value stored beside it. The same pass gives the linear regression of eps on x at each time (l and b of
DPM-Solver-v3, Zheng et al. 2023, found there through Jacobians), and the Gram matrices from which time grids are searched (time_grids)
and flatness is measured (flatness).
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genovision.arrays import read_arrays, write_arrays
from genovision.errors import InputError
from genovision.samplers.coefficients import _antiderivative, _gauss
from genovision.samplers.schedules import schedule_from_config
from genovision.samplers.time_grids import VARIABLES, Path

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float64]
PER = ("all", "channel", "pixel")
TIMES = 64  # kept of the pass, even in sqrt(tau)
GROUPS = 32  # at most, of pixels that share coefficients in the Gram matrices
BAND = 0.05  # of the log of what survives of an error: pixels within it are alike
KEPT_BYTES = 2**26  # of paths held for the Gram matrices; copies on the way take five times as much
MIN_SAMPLES = 2  # a regression needs two points


@dataclass(frozen=True)
class Trace:
    """Statistics at n rising times tau > 0, over S samples of shape (*shape), D = prod(shape) pixels.

    mean_abs_eps (n,): mean over samples and pixels of |eps|. mean_abs_score (n,): the same of |score| = |eps| / sigma. abs_eps (n, K):
    mean over pixels of |eps| of each of the K kept samples. spread (n,):
    standard deviation over samples of v = x / sqrt(A), root mean square over pixels. r (n, *shape): mean |eps| of each pixel. slope,
    intercept (n, *shape): least squares of eps on x for each pixel over samples, eps ~ slope x + intercept, within what the scheduler
    takes (see deis_sn). residual (n,): mean |eps - slope x - intercept|. group (*shape,): which of Q groups a pixel belongs to. gram,
    gram_affine (Q, 2 n + 1, 2 n + 1): inner products over a group's pixels, averaged over the kept samples, of eps at the n times, of the
    moves of v over the n intervals below them, and of x at the last time; gram_affine has eps - slope x - intercept, the moves of w = Phi
    v - integral(Phi intercept d rho) with Phi = exp(-integral_0^rho slope sqrt(A) d rho), and zeros. config: of the scheduler that was
    run. survive (Q, n + 1), phi (Q, n, NODES): Phi at 0 and the times, and at the quadrature nodes of the intervals below them, mean over
    a group. facts: samples, kept (for the Gram matrices), steps, batch, seed, model (a hash, or empty).
    """

    times: Floats
    mean_abs_eps: Floats
    mean_abs_score: Floats
    abs_eps: Floats
    spread: Floats
    r: Floats
    slope: Floats
    intercept: Floats
    residual: Floats
    group: npt.NDArray[np.int64]
    gram: Floats
    gram_affine: Floats
    survive: Floats
    phi: Floats
    config: dict
    facts: dict

    def save(self, path: str | os.PathLike) -> None:
        """Write an .npz without pickle: the same bytes for the same trace."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        texts = {name: json.dumps(arrays.pop(name), sort_keys=True) for name in ("config", "facts")}
        write_arrays(path, **arrays, **texts)

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Trace":
        """Of `save`; InputError when the file is no trace."""
        arrays: dict[str, Any] = read_arrays(path, [f.name for f in fields(cls)])
        try:
            for name in ("config", "facts"):
                arrays[name] = json.loads(str(arrays[name]))
        except ValueError as error:
            raise InputError(f"{path} is no trace of collect_normalizer ({error}); make it again.") from error
        return cls(**arrays)

    def path(
        self,
        variable: str = "t",
        exponent: float = 0.0,
        affine: bool = False,
        analytical: bool = False,
        normalizer: str = "all",
    ) -> Path:
        """The costs of steps, for time_grids and flatness, of a scheduler with these options.

        variable: of the polynomial. exponent: of the normaliser (0: DEIS, 1: DEIS-SN). affine: linear terms of every pixel integrated
        exactly. analytical: eps at tau = 1 is x, or the affine value. normalizer: "all" for one curve, "pixel" for one of each group of
        pixels, "residual" for the mean of what the linear terms leave.
        """
        return _path(self, variable, exponent, affine, analytical, normalizer)


@dataclass(frozen=True)
class Normalizer:
    """Mean |eps| over time. times (n,): tau, rising. values (n,), (n, C, 1, ..) or (n, *shape). metadata: how it was made. trace: all
    statistics."""

    times: Floats
    values: Floats
    metadata: dict
    trace: Trace | None = field(default=None, repr=False, compare=False)

    def __post_init__(self):
        times, values = np.asarray(self.times, dtype=np.float64), np.asarray(self.values, dtype=np.float64)
        if times.ndim != 1 or len(times) == 0 or len(times) != len(values):
            raise InputError(
                f"a normaliser of {len(values)} values at {times.shape} times: give one time for every value."
            )
        if not (np.isfinite(times).all() and (np.diff(times) > 0).all() and times[0] >= 0 and times[-1] <= 1):
            raise InputError("the times of a normaliser must rise within 0..1.")
        _refuse_unusable(times, values)
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)

    def to_config(self, affine: bool = False) -> dict:
        """Fragment of DEISSNScheduler's configuration, fit for JSON; with `affine` the linear terms too (needs the trace)."""
        found = {
            "normalizer": self.values.ravel().tolist(),
            "normalizer_times": self.times.tolist(),
            "normalizer_shape": list(self.values.shape[1:]),
        }
        if affine:
            if self.trace is None:
                raise ValueError("a normaliser without a trace has no linear terms")
            found |= affine_config(self.trace)
        return found


def _refuse_unusable(times: Floats, r: Floats) -> None:
    usable = (np.isfinite(r) & (r > 0)).reshape(len(times), -1).all(axis=1)
    if not usable.all():
        raise InputError(
            f"the normaliser is not positive and finite at tau = {times[~usable][-1]:g}: the model predicts no noise there, or diverges."
        )


def affine_config(trace: Trace) -> dict:
    """The linear terms as a fragment of DEISSNScheduler's configuration: affine_times, affine_slope, affine_intercept, affine_shape."""
    return {
        "affine_times": trace.times.tolist(),
        "affine_slope": trace.slope.ravel().tolist(),
        "affine_intercept": trace.intercept.ravel().tolist(),
        "affine_shape": list(trace.slope.shape[1:]),
    }


def sample_noise(seed: int, index: int, shape: Sequence[int]) -> Floats:
    """Standard normal noise of one sample: by (seed, index) alone, so that batches do not matter."""
    return np.random.default_rng([seed, index]).standard_normal(tuple(shape))


def collect_normalizer(
    denoise: "Callable[[torch.Tensor, torch.Tensor], Any]",
    scheduler_config: Mapping[str, Any],
    shape: Sequence[int],
    num_samples: int,
    batch_size: int,
    num_steps: int = 1000,
    seed: int = 0,
    generator: "torch.Generator | None" = None,
    per: str = "all",
    times: int = TIMES,
    dtype: "torch.dtype | None" = None,
    progress: Callable[[int], None] | None = None,
) -> Normalizer:
    """Mean |eps| over time on plain DEIS paths from noise, and the other statistics (`.trace`).

    denoise: called as denoise(x, t); a network, a pipeline's unet or a bed; the prediction is the value returned, or its `sample`
    attribute, and is read by the scheduler's prediction type. scheduler_config: of any diffusers scheduler; its normaliser, linear terms
    and time grid, if any, are not used: the pass takes `num_steps` quadratic steps of degree 3 from tau = 1 to the first training time 1
    / T. shape: of one sample, (C, H, W). seed: noise is drawn per sample, so batches matter only by rounding; a `generator` only lends
    its initial seed. per: "all", "channel" or "pixel". times: how many are kept, even in sqrt(tau), 1 / T and 1 among them. dtype: of the
    paths; the network's own, or float64 without parameters. progress: told the samples done after each batch. Raises InputError for bad
    numbers, or when r is not positive and finite.
    """
    if per not in PER:
        raise InputError(f"a normaliser per {per!r} is not known: give one of {', '.join(PER)}.")
    for name, value, least in (
        ("num_samples", num_samples, MIN_SAMPLES),
        ("batch_size", batch_size, 1),
        ("num_steps", num_steps, 2),
    ):
        if value < least:
            raise InputError(f"{name} {value}: give {least} or more.")
    if generator is not None:
        seed = generator.initial_seed()
    trace = _collect(
        denoise, scheduler_config, tuple(shape), num_samples, batch_size, num_steps, seed, times, dtype, progress
    )
    if per == "all":
        values = trace.mean_abs_eps
    elif per == "pixel":
        values = trace.r
    else:
        rest = tuple(range(2, trace.r.ndim))
        values = trace.r.mean(axis=rest, keepdims=True) if rest else trace.r
    return Normalizer(trace.times, values, trace.facts | {"per": per}, trace)


def model_hash(model: Any) -> str:
    """sha256 over a network's parameters and buffers, in the order of their names; empty for a function."""
    if not hasattr(model, "state_dict"):
        return ""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().double().numpy().tobytes())
    return digest.hexdigest()


class _Sums:
    """Running float64 sums over samples, of eps and x at each kept time."""

    def __init__(self, n: int, shape: tuple[int, ...]):
        self.count = np.zeros(n)
        self.absolute, self.x, self.eps, self.xx, self.xe = (np.zeros((n, *shape)) for _ in range(5))

    def add(self, k: int, x: Floats, eps: Floats) -> None:
        self.count[k] += len(x)
        self.absolute[k] += np.abs(eps).sum(axis=0)
        self.x[k] += x.sum(axis=0)
        self.eps[k] += eps.sum(axis=0)
        self.xx[k] += (x * x).sum(axis=0)
        self.xe[k] += (x * eps).sum(axis=0)

    def regression(self) -> tuple[Floats, Floats, Floats]:
        """(slope, intercept, variance of x), all (n, *shape); no slope where x does not vary."""
        count = self.count.reshape(-1, *(1,) * (self.x.ndim - 1))
        mean_x, mean_e = self.x / count, self.eps / count
        variance = np.maximum(self.xx / count - mean_x**2, 0.0)
        covariance = self.xe / count - mean_x * mean_e
        varies = variance > 1e-14 * np.maximum(self.xx / count, 1e-300)
        slope = np.where(varies, covariance / np.where(varies, variance, 1.0), 0.0)
        return slope, mean_e - slope * mean_x, variance


def plain_config(scheduler_config: Mapping[str, Any], **options: Any) -> dict:
    """The noise schedule and prediction type of any diffusers scheduler's configuration, with other options of DEISSNScheduler."""
    kept = (
        "num_train_timesteps",
        "beta_start",
        "beta_end",
        "beta_schedule",
        "trained_betas",
        "prediction_type",
    )
    return {key: scheduler_config[key] for key in kept if scheduler_config.get(key) is not None} | options


def _collect(
    denoise, scheduler_config, shape, num_samples, batch_size, num_steps, seed, times, dtype, progress
) -> Trace:
    import torch

    from genovision.samplers.deis_sn import DEISSNScheduler
    from genovision.samplers.sampling import trajectory

    config = plain_config(scheduler_config)
    lowest = 1 / len(schedule_from_config(config).betas)
    upper = np.linspace(1, np.sqrt(lowest), num_steps) ** 2
    upper[-1] = lowest
    grid = [*upper.tolist(), 0.0]
    scheduler = DEISSNScheduler.from_config(
        config | {"timestep_spacing": "tabulated", "time_grids": {str(len(grid) - 1): grid}, "solver_order": 4}
    )
    schedule = schedule_from_config(scheduler.config)
    parameter = next(denoise.parameters(), None) if hasattr(denoise, "parameters") else None
    device = parameter.device if parameter is not None else torch.device("cpu")
    dtype = dtype or (parameter.dtype if parameter is not None else torch.float64)

    nodes = np.unique(np.round(np.linspace(0, num_steps - 1, min(times, num_steps))).astype(int))[::-1]
    place = {int(step): k for k, step in enumerate(nodes)}  # step -> place among the kept times, which rise
    n, pixels = len(nodes), int(np.prod(shape))
    kept = min(num_samples, max(MIN_SAMPLES, KEPT_BYTES // (16 * n * pixels)))

    def call(x, t):
        found = denoise(x, t)
        return getattr(found, "sample", found)

    sums, paths_x, paths_eps = _Sums(n, shape), [], []
    for start in range(0, num_samples, batch_size):
        indices = range(start, min(start + batch_size, num_samples))
        noise = torch.from_numpy(np.stack([sample_noise(seed, i, shape) for i in indices])).to(device, dtype)
        keep = max(0, min(kept - start, len(indices)))
        xs, es = np.zeros((n, keep, *shape)), np.zeros((n, keep, *shape))
        scheduler.set_timesteps(len(grid) - 1, device=device)
        kept_times = scheduler.taus[nodes]
        for step in trajectory(call, scheduler, noise):
            if step.index in place:
                k, level = place[step.index], schedule.alpha_bar(scheduler.taus[step.index])
                found = scheduler.convert_model_output(
                    step.output, step.sample, float(level**0.5), float((1 - level) ** 0.5)
                )
                x, eps = (part.double().cpu().numpy() for part in (step.sample, found))
                sums.add(k, x, eps)
                xs[k], es[k] = x[:keep], eps[:keep]
        if keep:
            paths_x.append(xs)
            paths_eps.append(es)
        if progress is not None:
            progress(len(indices))
    facts = {
        "samples": num_samples,
        "kept": kept,
        "steps": num_steps,
        "batch": batch_size,
        "seed": seed,
        "model": model_hash(denoise),
    }
    x, eps = np.concatenate(paths_x, axis=1), np.concatenate(paths_eps, axis=1)
    return summarise(kept_times, x, eps, sums, schedule, config, facts)


def summarise(times, x, eps, sums: _Sums, schedule, config: dict, facts: dict) -> Trace:
    """Trace from the sums over all samples and the kept paths x, eps (n, K, *shape) at rising times.

    Below the first of them, where no network was trained, paths end as the linear terms say with what they leave held: exact for Gaussians.
    """
    shape, n, count = x.shape[2:], len(times), x.shape[1]
    a = np.asarray(schedule.alpha_bar(times))
    slope, intercept, variance = sums.regression()
    r = sums.absolute / sums.count.reshape(-1, *(1,) * len(shape))
    mean = r.reshape(n, -1).mean(axis=1)
    _refuse_unusable(times, mean)
    flat = (n, count, -1)
    x, eps = x.reshape(flat), eps.reshape(flat)
    linear = _linear(schedule, times, slope, intercept)
    slope, intercept = linear(times)
    fit = _Affine(schedule, times, linear)
    group = _groups(fit.survive[1:])
    members = np.eye(group.max() + 1)[group] / np.bincount(group)
    v = x / np.sqrt(a)[:, None, None]
    residual = eps - slope.reshape(n, 1, -1) * x - intercept.reshape(n, 1, -1)
    w = fit.survive[1:, None] * v - fit.shift[1:, None]
    end = w[:1] - fit.first * residual[:1]
    v, w = np.concatenate([end, v]), np.concatenate([end, w])
    gram = _gram(eps, v[:-1] - v[1:], x[-1], group)
    gram_affine = _gram(residual, w[:-1] - w[1:], np.zeros_like(x[-1]), group)
    return Trace(
        times=np.asarray(times, dtype=np.float64),
        mean_abs_eps=mean,
        mean_abs_score=mean / np.sqrt(1 - a),
        abs_eps=np.abs(eps).mean(axis=-1),
        spread=np.sqrt((variance / a.reshape(-1, *(1,) * len(shape))).reshape(n, -1).mean(axis=1)),
        r=r,
        slope=slope,
        intercept=intercept,
        residual=np.abs(residual).mean(axis=(1, 2)),
        group=group.reshape(shape),
        gram=gram,
        gram_affine=gram_affine,
        survive=(fit.survive @ members).T,
        phi=np.moveaxis(fit.phi @ members, 2, 0),
        config=config,
        facts=facts,
    )


def _gram(eps: Floats, moves: Floats, last: Floats, group: npt.NDArray[np.int64]) -> Floats:
    rows = np.concatenate([eps, moves, last[None]])
    found = []
    for q in range(group.max() + 1):
        part = rows[:, :, group == q].reshape(len(rows), -1)
        found.append(part @ part.T / eps.shape[1])
    return np.stack(found)


def _groups(survive: Floats, most: int = GROUPS) -> npt.NDArray[np.int64]:
    """Group of each pixel, from survive (n, D): even bands of the mean log of what survives of an error; one where all are alike."""
    key = np.log(np.maximum(survive, 1e-300)).mean(axis=0)
    span = np.ptp(key)
    if span < 1e-3:
        return np.zeros(len(key), dtype=np.int64)
    count = min(most, len(key), max(2, int(np.ceil(span / BAND))))
    band = np.minimum((key - key.min()) * count / span, count - 1).astype(np.int64)
    return np.unique(band, return_inverse=True)[1].astype(np.int64)


NODES = 12  # Gauss-Legendre, on each interval between kept times


def _quadrature(schedule, times: Floats) -> tuple[Floats, Floats]:
    """(tau, weight), both (n, NODES): sum of weight f(tau) is the integral of f d rho over the n intervals from 0 to times[0], and on.

    In sqrt(tau), where rho is smooth down to its zero; in the first interval in tau^(1/8), which tames log rho there.
    """
    power = np.full(len(times), 2.0)
    power[0] = 8
    low, high = np.concatenate([[0.0], times[:-1]]) ** (1 / power), times ** (1 / power)
    node, weight = _gauss(NODES)
    half = (high - low)[:, None] / 2
    at, power = low[:, None] + half * (1 + node), power[:, None]
    tau = at**power
    return tau, half * weight * power * at ** (power - 1) * np.asarray(schedule.rho_slope(tau))


def _linear(schedule, times: Floats, slope: Floats, intercept: Floats):
    """The scheduler's own curves: tau (k,) -> (l, b), each (k, *shape)."""
    from genovision.samplers.deis_sn import _Linear

    return _Linear(schedule, times, slope, intercept)


class _Affine:
    """Exact part of dv/drho = slope sqrt(A) v + intercept + F for D pixels, at 0 and the n times.

    survive (n + 1, D): Phi(0, tau) = exp(-integral_0 slope sqrt(A) d rho). shift (n + 1, D): integral_0 Phi(0, s) intercept d rho. phi
    (n, NODES, D). first (D,): integral of Phi(0, s) d rho over the first interval.
    """

    def __init__(self, schedule, times: Floats, linear):
        tau, weight = _quadrature(schedule, times)
        slope, bias = (part.reshape(*tau.shape, -1) for part in linear(tau.ravel()))
        rate = weight[:, :, None] * np.sqrt(schedule.alpha_bar(tau))[:, :, None] * slope
        zero = np.zeros((1, rate.shape[2]))
        within = _antiderivative(NODES) / _gauss(NODES)[1]  # of weighted values: from an interval's start to each node
        whole = np.concatenate([zero, rate.sum(axis=1).cumsum(axis=0)])
        self.survive = np.exp(-whole)
        self.phi = np.exp(-(whole[:-1, None] + np.einsum("jk,nkd->njd", within, rate)))
        self.first = (weight[0, :, None] * self.phi[0]).sum(axis=0)
        self.shift = np.concatenate([zero, (weight[:, :, None] * self.phi * bias).sum(axis=1).cumsum(axis=0)])


def _path(trace: Trace, variable: str, exponent: float, affine: bool, analytical: bool, normalizer: str) -> Path:
    from genovision.samplers.deis_sn import _Curve

    if variable not in VARIABLES:
        raise InputError(f"a polynomial in {variable!r} is not known: give {', '.join(VARIABLES)}.")
    schedule = schedule_from_config(trace.config)
    n, groups, times = len(trace.times), len(trace.gram), trace.times
    flat = trace.group.ravel()
    members = np.eye(groups)[flat] / np.bincount(flat)
    if normalizer == "pixel":
        curves = trace.r.reshape(n, -1) @ members
    elif normalizer in ("all", "residual"):
        curves = np.repeat((trace.mean_abs_eps if normalizer == "all" else trace.residual)[:, None], groups, axis=1)
    else:
        raise InputError(f"a normaliser per {normalizer!r} has no path of groups: give all, pixel or residual.")
    tau, weight = _quadrature(schedule, times)
    if exponent:
        r = _Curve(times, curves, exponent, 0.0)(tau.ravel()).reshape(*tau.shape, groups)
    else:
        r = np.ones((*tau.shape, groups))
    kernel = weight[:, :, None] * r
    if affine:
        kernel = kernel * np.moveaxis(trace.phi, 0, 2)
    y = _variable(schedule, variable, tau)
    slope = trace.slope.reshape(n, -1) @ members * np.sqrt(schedule.alpha_bar(times))[:, None]
    feedback = np.pad(slope.T, ((0, 0), (1, 0)))
    return Path(
        times=np.concatenate([[0.0], times]),
        gram=trace.gram_affine if affine else trace.gram,
        survive=np.ones_like(trace.survive) if affine else trace.survive,
        feedback=np.zeros_like(feedback) if affine else feedback,
        moments=np.einsum("nkq,nkm->qnm", kernel, y[:, :, None] ** np.arange(4)),
        variable=np.concatenate([[0.0], _variable(schedule, variable, times)]),
        r=curves.T**exponent,
        pixels=trace.group.size,
        analytical=analytical,
    )


def _variable(schedule, name: str, tau: Floats) -> Floats:
    if name == "t":
        return tau
    rho = np.asarray(schedule.rho(tau))
    return rho if name == "rho" else np.log(rho)
