"""Checkpoints without pickle: tensors as safetensors, the rest as JSON. A checkpoint counts only when it is whole.

In a folder of their own, `step<N>.safetensors` is written first and `step<N>.json`, which holds its sha256, after it; a run that is killed
at any moment leaves the newest whole pair intact.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as as_bytes
from torch import nn

from genovision.atomic import replacing
from genovision.errors import InputError

KEPT = 2  # checkpoints in a folder: the newest, and the one before it


def fingerprint(network: nn.Module, facts: dict, *arrays: np.ndarray) -> str:
    """What a checkpoint must share with a run to be taken up by it: architecture, recipe (facts), data, torch and its number of threads."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    digest.update(repr([(name, tuple(t.shape)) for name, t in network.state_dict().items()]).encode())
    digest.update(f"{torch.__version__} {torch.get_num_threads()}".encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write_tensors(tensors: dict[str, torch.Tensor], path: str | os.PathLike) -> None:
    """Write tensors as safetensors, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(as_bytes({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def read_tensors(path: str | os.PathLike) -> dict[str, torch.Tensor]:
    """Read tensors; InputError for a file that is no whole safetensors (a pickled .pt or .pth is not loaded)."""
    try:
        with open(path, "rb"):
            return load_file(path)
    except SafetensorError as error:
        raise InputError(f"{path} is no whole safetensors file ({error}).") from error


def load_into(network: nn.Module, tensors: dict[str, torch.Tensor], label: str) -> None:
    """Load a state into a network; InputError when it is of another architecture, with the first difference."""
    wanted = network.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors or name not in wanted:
            where = "lacks" if name in wanted else "has a further tensor"
            raise InputError(f"{label} is a checkpoint of another architecture: it {where} {name}.")
        if wanted[name].shape != tensors[name].shape:
            found, needed = tuple(tensors[name].shape), tuple(wanted[name].shape)
            raise InputError(f"{label} is a checkpoint of another architecture: {name} is {found}, {needed} is needed.")
    network.load_state_dict(tensors)


def state(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Tensors of network and optimizer, under names that begin with `network.` and `optimizer.`."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if torch.is_tensor(value):
                tensors[f"optimizer.{name}.{key}"] = value
    return tensors


def restore(network: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], label: str) -> None:
    """The reverse of `state`."""
    own = {name.removeprefix("network."): tensor for name, tensor in tensors.items() if name.startswith("network.")}
    load_into(network, own, label)
    for name, parameter in network.named_parameters():
        prefix = f"optimizer.{name}."
        found = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if found:  # Adam's count of steps, a single number, belongs on the CPU
            optimizer.state[parameter] = {
                key: value.to(parameter.device) if value.ndim else value for key, value in found.items()
            }


def save(folder: Path, step: int, tensors: dict[str, torch.Tensor], facts: dict) -> None:
    """Write the checkpoint of a step and remove the oldest ones."""
    path = folder / f"step{step:09d}.safetensors"
    write_tensors(tensors, path)
    with replacing(path.with_suffix(".json")) as temporary:
        temporary.write_text(
            json.dumps(facts | {"step": step, "sha256": _sha256(path)}, indent=1, sort_keys=True) + "\n"
        )
    for old in sorted(folder.glob("step*.json"))[:-KEPT]:
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)


def newest(folder: Path, fingerprint: str) -> tuple[dict[str, torch.Tensor], dict] | None:
    """(tensors, facts) of the newest whole checkpoint whose facts have this `fingerprint`; None when there is none."""
    for path in sorted(folder.glob("step*.json"), reverse=True):
        tensors = path.with_suffix(".safetensors")
        try:
            facts = json.loads(path.read_text())
            if facts["fingerprint"] == fingerprint and facts["sha256"] == _sha256(tensors):
                return read_tensors(tensors), facts
        except (OSError, ValueError, KeyError, TypeError, InputError):
            continue  # not whole: the one before it is taken
    return None


def clear(folder: Path) -> None:
    """Remove all checkpoints, half-written ones too, and the folder."""
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
