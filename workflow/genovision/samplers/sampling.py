"""From noise to a sample with any diffusers scheduler, one network call at a time."""

import inspect
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch


class Step(NamedTuple):
    """One network call: its number, the network's time (as the scheduler gives it), the sample before the step and the network's output.

    `sample` is the scheduler's own variable: for schedulers of the variance-exploding kind (Euler, Heun) it is not yet scaled
    for the network. `output` is what the network gave, in the scheduler's prediction type.
    """

    index: int
    timestep: torch.Tensor
    sample: torch.Tensor
    output: torch.Tensor


@torch.no_grad()
def trajectory(
    denoise: Callable, scheduler, noise: torch.Tensor, generator: torch.Generator | None = None
) -> Iterator[Step]:
    """Every network call on the way from `noise` (B, ...) of unit variance to the sample, which is the generator's return value.

    `denoise(x, t)` gets x (B, ...) scaled for the network and t, a 0-dim float32 tensor on x's device; `scheduler.set_timesteps` has
    been called. A scheduler that draws noise takes it from `generator`. Under `torch.no_grad`.
    """
    takes_generator = "generator" in inspect.signature(scheduler.step).parameters
    options = {"generator": generator} if takes_generator else {}
    sample = noise * scheduler.init_noise_sigma
    for index, timestep in enumerate(scheduler.timesteps):
        t = timestep.to(device=sample.device, dtype=torch.float32)
        output = denoise(scheduler.scale_model_input(sample, timestep), t)
        yield Step(index, timestep, sample, output)
        sample = scheduler.step(output, timestep, sample, **options, return_dict=False)[0]
    return sample


def sample(denoise: Callable, scheduler, noise: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """The sample x_0 (B, ...) that `noise` (B, ...) leads to; arguments as for `trajectory`."""
    steps = trajectory(denoise, scheduler, noise, generator)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
