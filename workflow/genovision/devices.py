"""Where torch computes: on the CPU, or on a GPU of CUDA. What is drawn at random is drawn on the CPU and moved, so both see the same."""

import os
import re
from collections.abc import Callable

import torch
from torch import nn

from genovision.errors import InputError

HELP = "cpu, cuda, cuda:1, ... (default auto: cuda where there is one)"  # of an option --device


def choose(name: str = "auto") -> torch.device:
    """The device of a name: cpu, cuda or cuda:N; auto is cuda where there is one, else the CPU.

    InputError for another name, and for a GPU that is not there. With a GPU, torch is asked for deterministic algorithms wherever they
    exist, which for cuBLAS has to be said before its first use.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise InputError(f"device {name!r}: choose auto, cpu, cuda or cuda:N.")
    number = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == "auto" and not number):
        return torch.device("cpu")
    device = torch.device("cuda" if name == "auto" else name)
    if not number:
        raise InputError(
            f"device {name}: torch finds no GPU here; choose cpu (gpu: 0 in the configuration), or run where there is one."
        )
    if (device.index or 0) >= number:
        raise InputError(f"device {name}: this machine has {number} GPUs, counted from 0.")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    return device


def device_of(network: nn.Module | Callable) -> torch.device:
    """Where a network's parameters are; the CPU for what has none, such as a function in its place."""
    parameters = getattr(network, "parameters", tuple)()
    return next((parameter.device for parameter in parameters), torch.device("cpu"))
