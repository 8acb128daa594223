"""Sampling from a denoiser of any story: schedules, time grids, integrator coefficients, the scheduler and its statistics.

Names below are loaded on first use, so that the parts that need NumPy alone do not import torch.
"""

import importlib

_HOMES = {"DEISSNScheduler": "deis_sn", "collect_normalizer": "statistics"}
__all__ = ["DEISSNScheduler", "collect_normalizer"]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
