"""A denoiser by name, the noise of each purpose, and the solution that every sampler is measured against."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from genovision.errors import InputError
from genovision.resampling import stream
from genovision.samplers.beds import Bed, denoiser
from genovision.samplers.catalogue import schedule_of

PURPOSES = ("validation", "test")
BELOW = 4  # steps from the first training time to 0, where the network is asked about the first training time


@dataclass(frozen=True)
class Denoiser:
    """What the commands sample from.

    predict(x, t): the model's output at network time t, on x's device. shape: of one sample, channels first. decode: of samples
    (batch, *shape) to uint8 images (batch, H, W[, C]), or None. config: of the noise schedule and the prediction type. dtype: of
    samples. bed: where the denoiser is one.
    """

    predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    shape: tuple[int, ...]
    decode: Callable[[torch.Tensor], npt.NDArray[np.uint8]] | None
    config: Mapping[str, object]
    dtype: torch.dtype
    bed: Bed | None = None


def open_denoiser(name: str) -> Denoiser:
    """The denoiser `bed:NAME` (see `beds`), or that of a folder written by samplers/train_denoiser."""
    if name.startswith("bed:"):
        bed = denoiser(name.removeprefix("bed:"))
        return Denoiser(bed, bed.shape, None, bed.scheduler_config, torch.float64, bed)
    from genovision.samplers.denoisers import read_denoiser

    if not Path(name).is_dir():
        raise InputError(f"there is no denoiser {name}: give bed:NAME, or the folder that train_denoiser wrote.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = read_denoiser(name, device)

    def predict(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return found.denoise(x.to(device), t).to(x.device)

    return Denoiser(predict, tuple(found.shape), found.decode, found.scheduler_config, torch.float32)


def noises(
    purpose: str, seed: int, count: int, shape: tuple[int, ...], dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    """Standard normal (count, *shape), a stream of its own for each purpose and seed: what is chosen on `validation` never saw `test`.

    The first rows do not depend on how many are drawn.
    """
    if purpose not in PURPOSES:
        raise InputError(f"noise for {purpose!r}: the purposes are {', '.join(PURPOSES)}.")
    values = stream(seed, f"samplers/{purpose}").standard_normal((count, *shape))
    return torch.from_numpy(values).to(dtype)


def reference(
    source: Denoiser, noise: torch.Tensor, steps: int, batch: int, progress: Callable[[int], None] = lambda done: None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Solutions from `noise` at tau = 0 and at the first training time, tau = 1 / T, where some samplers end; both (batch, *shape).

    A bed tells them (a mixture by 500 Runge-Kutta steps). Otherwise DEIS of degree 3 in `steps` quadratic steps to 1 / T and four more
    to 0; `reference_error` tells how far off that is.
    """
    if source.bed is not None:
        found = source.bed.solution(noise), source.bed.solution(noise, 1 / source.bed.steps)
        progress(len(noise))
        return tuple(part.numpy() for part in found)
    ends, firsts = [], []
    for start in range(0, len(noise), batch):
        end, first = solve(source, noise[start : start + batch], steps)
        ends.append(end)
        firsts.append(first)
        progress(len(end))
    return np.concatenate(ends), np.concatenate(firsts)


def reference_error(
    source: Denoiser, noise: torch.Tensor, solutions: tuple[npt.NDArray[np.float64], ...], steps: int, batch: int
) -> npt.NDArray[np.float64]:
    """Mean squared error (2, batch) of what `reference` gave for `noise`, at tau = 0 and 1 / T: against twice the steps."""
    if source.bed is not None:
        better = [source.bed.solution(noise, tau, steps=1000).numpy() for tau in (0.0, 1 / source.bed.steps)]
    else:
        parts = [solve(source, noise[i : i + batch], 2 * steps) for i in range(0, len(noise), batch)]
        better = [np.concatenate(side) for side in zip(*parts, strict=True)]
    return np.stack([mean_square(a, b) for a, b in zip(solutions, better, strict=True)])


def mean_square(x: npt.ArrayLike, solution: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Mean squared error of each sample, (batch,), float64; both (batch, *shape)."""
    difference = np.asarray(x, dtype=np.float64) - np.asarray(solution, dtype=np.float64)
    return np.square(difference).reshape(len(difference), -1).mean(axis=1)


def solve(source: Denoiser, noise: torch.Tensor, steps: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """One batch of `reference` by the high number of steps, for beds too."""
    from genovision.samplers import DEISSNScheduler
    from genovision.samplers.catalogue import schedule_options
    from genovision.samplers.sampling import trajectory

    lowest = 1 / len(schedule_of(source.config).betas)
    upper = np.linspace(1, lowest**0.5, steps + 1) ** 2
    upper[-1] = lowest
    grid = [*upper.tolist(), *(lowest * (np.arange(BELOW - 1, -1, -1) / BELOW) ** 2).tolist()]
    scheduler = DEISSNScheduler(
        **schedule_options(source.config),
        solver_order=4,
        timestep_spacing="tabulated",
        time_grids={str(len(grid) - 1): grid},
    )
    scheduler.set_timesteps(len(grid) - 1)
    first = None
    walk = trajectory(source.predict, scheduler, noise)
    while True:
        try:
            step = next(walk)
        except StopIteration as end:
            return end.value.double().numpy(), first
        if step.index == steps:
            first = step.sample.double().numpy()
