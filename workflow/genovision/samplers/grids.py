"""Time grids tau_N > ... > tau_0 in [0, 1], falling, float64, N + 1 entries: N steps, the network being asked at all but the last.

Time t of a network trained on T steps is T tau - 1.
"""

import numpy as np

from genovision.errors import InputError

OWN_SPACINGS = ("quadratic", "logsnr", "karras", "tabulated")  # that diffusers has no name for
SPACINGS = ("quadratic", "linspace", "leading", "trailing", "logsnr", "karras", "tabulated")


def make_grid(
    spacing: str,
    steps: int,
    schedule,
    num_train_timesteps: int = 1000,
    end: float = 0.0,
    steps_offset: int = 0,
    table=None,
) -> np.ndarray:
    """The grid of this name, (steps + 1,), ending at `end`.

    quadratic: even in sqrt(tau) (DEIS). trailing: even in tau. linspace: network times even from T - 1 to 0, the last left out; leading:
    multiples of T // (steps + 1), plus `steps_offset`; these two as in diffusers' multistep solvers, unrounded. logsnr, karras: even in
    log rho or rho^(1/7) from rho(1) to rho(1/T), then `end`; where `end` is 1/T, down to it. tabulated: `table` as it stands.
    """
    if steps < 1:
        raise InputError(f"the number of inference steps is {steps}: it must be at least 1.")
    last = num_train_timesteps
    if spacing == "quadratic":
        return np.linspace(1, np.sqrt(end), steps + 1) ** 2
    if spacing == "trailing":
        return np.linspace(1, end, steps + 1)
    if spacing == "linspace":
        times = np.linspace(last - 1, 0, steps + 1)[:-1]
    elif spacing == "leading":
        stride = last // (steps + 1) or last / (steps + 1)
        times = np.minimum(np.arange(steps, 0, -1) * stride + steps_offset, last - 1)
    elif spacing in ("logsnr", "karras"):
        nodes = steps + (end > 0)
        rho = schedule.rho(np.array([1.0, 1 / last]))
        to, back = (np.log, np.exp) if spacing == "logsnr" else (lambda v: v ** (1 / 7), lambda v: v**7)
        tau = schedule.tau_of_rho(back(np.linspace(*to(rho), nodes))) if nodes > 1 else np.ones(1)
        tau[0] = 1.0
        return checked(np.append(tau[:steps], end), f"timestep_spacing {spacing!r} with {steps} steps")
    elif spacing == "tabulated":
        if table is None:
            raise InputError(f"time_grids has no grid for {steps} steps: add one, or choose another timestep_spacing.")
        return checked(table, "a grid of time_grids", steps)
    else:
        raise InputError(f"timestep_spacing {spacing!r} is unknown: choose one of {', '.join(SPACINGS)}.")
    return checked(np.append((times + 1) / last, end), f"timestep_spacing {spacing!r} with {steps} steps")


def checked(grid, name: str, steps: int | None = None) -> np.ndarray:
    """The grid as float64, if it falls strictly from at most 1 to at least 0 (and has `steps` + 1 entries); else an InputError naming
    it.
    """
    grid = np.asarray(grid, dtype=np.float64)
    if steps is not None and grid.shape != (steps + 1,):
        raise InputError(
            f"{name} has {grid.size} times where {steps + 1} are needed (one per step, and where the last one ends)."
        )
    if grid.ndim != 1 or not np.all(np.isfinite(grid)) or grid[0] > 1 or grid[-1] < 0:
        raise InputError(f"{name} must be a list of times between 1 and 0.")
    if not np.all(np.diff(grid) < 0):
        raise InputError(f"{name} must fall strictly, without repeated times.")
    return grid
