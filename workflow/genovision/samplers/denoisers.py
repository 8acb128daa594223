"""Trained denoisers on disk, in the layout of diffusers' DDPMPipeline, and what a sampler needs of one.

    model_index.json, scheduler/scheduler_config.json      as diffusers writes them
    unet/config.json, unet/diffusion_pytorch_model.safetensors
    denoiser.json                                           ours: the space the model works in, and how it was trained

A model of images sees values p / 127.5 - 1 and may work on squares of `patch` x `patch` pixels as channels (pixel unshuffle: a permutation,
so errors are those of pixels). DDPMPipeline loads such a model too and shows its channels as they are; with `patch` 1 it shows the images.
A pipeline of diffusers without denoiser.json is read as a model of pixels.

The network is a UNet2DModel, or a SequenceDenoiser of ours for latents of sequences. One that is told a class says in denoiser.json which
label means any (`any_label`); that is the one a sampler gets.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from genovision.atomic import replacing
from genovision.checkpoints import load_into, read_tensors, write_tensors
from genovision.errors import InputError

PREDICTIONS = ("epsilon", "sample", "v_prediction")
SPACES = ("pixels", "latents")
INDEX, FACTS = "model_index.json", "denoiser.json"
CONFIG, SCHEDULER = "unet/config.json", "scheduler/scheduler_config.json"
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
NETWORKS = {  # and the library whose class the index names
    "UNet2DModel": "diffusers",
    "SequenceDenoiser": "genovision.samplers.sequence_networks",
}
_PIPELINES = ("DDPMPipeline", "DDIMPipeline")
_BATCH = 128  # on a CPU the activations of more images no longer fit its caches


def encode(images: npt.NDArray[np.uint8], patch: int = 1) -> torch.Tensor:
    """Images (N, H, W) or (N, H, W, 3) uint8 as the model sees them: (N, C patch^2, H / patch, W / patch) float32 in [-1, 1].

    InputError when `patch` does not divide height and width.
    """
    x = torch.from_numpy(np.ascontiguousarray(images))
    x = (x[:, None] if x.ndim == 3 else x.movedim(-1, 1)).float() / 127.5 - 1
    if x.shape[-2] % patch or x.shape[-1] % patch:
        raise InputError(f"a patch of {patch} does not divide images of {x.shape[-2]} x {x.shape[-1]} pixels.")
    return functional.pixel_unshuffle(x, patch)


def decode(x: torch.Tensor, patch: int = 1) -> npt.NDArray[np.uint8]:
    """The reverse of `encode`, values outside [-1, 1] clipped: (N, H, W) for one colour, (N, H, W, 3) for three."""
    pixels = functional.pixel_shuffle(x.detach().float().cpu(), patch)
    pixels = torch.round((pixels / 2 + 0.5).clamp(0, 1) * 255).to(torch.uint8)
    return (pixels[:, 0] if pixels.shape[1] == 1 else pixels.movedim(1, -1)).contiguous().numpy()


@dataclass(frozen=True)
class Denoiser:
    """A model as samplers use it.

    network:           called as network(x, t), with a result that has `.sample`, as the models of diffusers; told classes, also with
                       `class_labels` (N,)
    shape:             (C, H, W) of the space the sampler works in
    scheduler_config:  betas, training steps and prediction type, for `from_config` of any scheduler
    facts:             `space`, `patch`, `any_label` where the network is told a class, and whatever training left
    """

    network: nn.Module
    shape: tuple[int, int, int]
    scheduler_config: dict
    facts: dict = field(default_factory=dict)

    @property
    def prediction_type(self) -> str:
        """epsilon, sample or v_prediction."""
        return self.scheduler_config.get("prediction_type", "epsilon")

    @cached_property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @torch.no_grad()
    def denoise(
        self, x: torch.Tensor, t: torch.Tensor | float, class_labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The model's output (N, C, H, W) for x of that shape at training time t (0-dim or (N,), fractions count).

        class_labels: (N,) of a network that is told classes; without them, all have the label that means any
        """
        # the models of diffusers cut a Python number down to a whole one, a tensor they leave as it is
        t = torch.as_tensor(t, dtype=torch.float32)
        label = self.facts.get("any_label")
        if class_labels is None and label is not None:
            class_labels = torch.full((len(x),), label, dtype=torch.int64, device=x.device)
        if self.device.type != "cpu":
            return self.network(x, t, **({} if label is None else {"class_labels": class_labels})).sample
        parts = []
        for at, part in zip(range(0, len(x), _BATCH), x.split(_BATCH), strict=True):
            told = {} if label is None else {"class_labels": class_labels[at : at + _BATCH]}
            part = part.contiguous(memory_format=torch.channels_last)
            parts.append(self.network(part, t if t.ndim == 0 else t[at : at + _BATCH], **told))
        return torch.cat([part.sample for part in parts]).contiguous()

    @property
    def decode(self) -> Callable[[torch.Tensor], npt.NDArray[np.uint8]] | None:
        """From x to images (N, H, W) or (N, H, W, 3) uint8; None for a model of latents."""
        if self.facts.get("space", "pixels") != "pixels":
            return None
        return lambda x: decode(x, self.facts.get("patch", 1))


def unet_config(
    shape: tuple[int, int, int],
    channels: list[int],
    *,
    layers: int = 2,
    attention: list[int] | tuple[int, ...] = (),
    middle_attention: bool = True,
    heads: int = 1,
    groups: int = 32,
    dropout: float = 0.0,
    scale_shift: bool = False,
) -> dict:
    """The configuration of a UNet2DModel for x of `shape` (C, H, W), in the words of OpenAI's UNet.

    channels:         of each level, each half the size of the one before
    layers:           residual blocks per level, one more on the way up
    attention:        sizes of the levels with attention after each block
    middle_attention: also between the two blocks of the middle
    heads, groups:    of every attention, of every group normalisation
    scale_shift:      time scales and shifts normalised values instead of adding to them
    InputError for levels that cannot be halved, attention where there is no level, and numbers that do not divide.
    """
    _, height, width = shape
    halvings = 2 ** (len(channels) - 1)
    if not channels or min(channels) < 1 or layers < 1 or groups < 1 or heads < 1:
        raise InputError(f"channels {channels}, layers {layers}, groups {groups} and heads {heads} must be 1 or more.")
    if height % halvings or width % halvings:
        raise InputError(f"{len(channels)} levels need a size that {halvings} divides; it is {height} x {width}.")
    if not 0 <= dropout < 1:
        raise InputError(f"dropout {dropout} must lie in [0, 1).")
    sizes = [height // 2**level for level in range(len(channels))]
    if stray := set(attention) - set(sizes):
        raise InputError(f"attention at {min(stray)}: the levels are of {', '.join(map(str, sizes))}.")
    if odd := [count for count in channels if count % groups]:
        raise InputError(f"{groups} groups do not divide {odd[0]} channels.")
    attended = {count for count, size in zip(channels, sizes, strict=True) if size in attention}
    attended |= {channels[-1]} if middle_attention else set()
    if heads > 1 and (len(attended) > 1 or any(count % heads for count in attended)):
        raise InputError(
            f"{heads} heads need levels of one width that {heads} divides, not {', '.join(map(str, sorted(attended)))} channels."
        )
    places = [size in attention for size in sizes]
    return {
        "sample_size": height if height == width else [height, width],
        "in_channels": shape[0],
        "out_channels": shape[0],
        "block_out_channels": list(channels),
        "layers_per_block": layers,
        "down_block_types": ["AttnDownBlock2D" if place else "DownBlock2D" for place in places],
        "up_block_types": ["AttnUpBlock2D" if place else "UpBlock2D" for place in reversed(places)],
        "add_attention": middle_attention,
        # None: one head as wide as its level
        "attention_head_dim": max(attended) // heads if heads > 1 else None,
        "norm_num_groups": groups,
        "attn_norm_num_groups": groups,
        "dropout": dropout,
        "resnet_time_scale_shift": "scale_shift" if scale_shift else "default",
    }


def build(config: dict, seed: int | None = None, kind: str = "UNet2DModel") -> nn.Module:
    """A network of this configuration, of one of NETWORKS; its weights depend on `seed` alone, and drawing them leaves torch's generator
    as it was."""
    if kind == "UNet2DModel":
        from diffusers.models.unets.unet_2d import UNet2DModel as Network
    else:
        from genovision.samplers.sequence_networks import SequenceDenoiser as Network

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0 if seed is None else seed)
        return Network.from_config(config).to(memory_format=torch.channels_last)


def scheduler_config(
    steps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02, prediction_type: str = "epsilon"
) -> dict:
    """The configuration of a DDPMScheduler with linear betas. It does not clip x_0: a clipped step follows no differential equation."""
    return {
        "_class_name": "DDPMScheduler",
        "beta_end": beta_end,
        "beta_schedule": "linear",
        "beta_start": beta_start,
        "clip_sample": False,
        "num_train_timesteps": steps,
        "prediction_type": prediction_type,
        "variance_type": "fixed_small",
    }


def write_denoiser(folder: str | os.PathLike, network: nn.Module, scheduler: dict, facts: dict) -> None:
    """Write a network of NETWORKS; the index last, so that a folder with an index is whole.

    scheduler: as of `scheduler_config`; facts: JSON, with `space` (pixels or latents), for pixels `patch`, and for a network that is
    told a class `any_label`.
    """
    folder = Path(folder)
    version = network.config["_diffusers_version"] if "_diffusers_version" in network.config else _version()
    config = {key: value for key, value in network.config.items() if not key.startswith("_")}
    _write(folder / CONFIG, config | {"_class_name": type(network).__name__, "_diffusers_version": version})
    write_tensors(network.state_dict(), folder / WEIGHTS)
    _write(folder / SCHEDULER, scheduler | {"_diffusers_version": version})
    _write(folder / FACTS, facts | {"prediction_type": scheduler.get("prediction_type", "epsilon")})
    kind = type(network).__name__
    parts = {"scheduler": ["diffusers", scheduler["_class_name"]], "unet": [NETWORKS[kind], kind]}
    _write(folder / INDEX, parts | {"_class_name": "DDPMPipeline", "_diffusers_version": version})


def read_denoiser(folder: str | os.PathLike, device: torch.device | str = "cpu") -> Denoiser:
    """A denoiser in evaluation mode.

    InputError, in one sentence, for a missing or damaged file, pickled weights, weights of another architecture, a pipeline or network of
    another class, a model that needs labels (none of which means any) or predicts a variance too, and a prediction type that contradicts
    the scheduler's.
    """
    folder = Path(folder)
    index, config, scheduler = (_read(folder / name) for name in (INDEX, CONFIG, SCHEDULER))
    facts = _read(folder / FACTS) if (folder / FACTS).is_file() else {}
    _check_classes(folder, index, config, facts)
    prediction = scheduler.get("prediction_type", "epsilon")
    if prediction not in PREDICTIONS:
        raise InputError(
            f"{folder / SCHEDULER}: prediction_type is {prediction!r}; it must be one of {', '.join(PREDICTIONS)}."
        )
    if facts.get("prediction_type", prediction) != prediction:
        raise InputError(
            f"{folder}: the model predicts {facts['prediction_type']} ({FACTS}), but {SCHEDULER} says {prediction}; correct the wrong one."
        )
    shape = _shape(folder, config, facts)
    if not (folder / WEIGHTS).is_file():
        raise InputError(
            f"{folder / WEIGHTS} is missing; save the weights as safetensors (pickled .bin files are not loaded)."
        )
    try:
        kind = config["_class_name"]
        network = build({key: value for key, value in config.items() if not key.startswith("_")}, kind=kind)
    except (TypeError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{folder / CONFIG} describes no {kind} ({first}).") from error
    load_into(network, read_tensors(folder / WEIGHTS), str(folder / WEIGHTS))
    return Denoiser(network.eval().requires_grad_(False).to(device), shape, scheduler, facts)


def _check_classes(folder: Path, index: dict, config: dict, facts: dict) -> None:
    if index.get("_class_name") not in _PIPELINES:
        raise InputError(
            f"{folder / INDEX} is of a {index.get('_class_name')}; a pipeline of one of {', '.join(_PIPELINES)} is needed."
        )
    if config.get("_class_name") not in NETWORKS:
        raise InputError(
            f"{folder / CONFIG} is of a {config.get('_class_name')}; a {' or a '.join(NETWORKS)} is needed."
        )
    classes, label = config.get("num_class_embeds"), facts.get("any_label")
    if config.get("class_embed_type") is not None or (classes is not None and label is None):
        raise InputError(
            f"{folder / CONFIG}: the model wants a class label, and {FACTS} names no any_label; one is needed."
        )
    if label is not None and not (isinstance(label, int) and isinstance(classes, int) and 0 <= label < classes):
        raise InputError(f"{folder / FACTS}: any_label {label!r} is none of the {classes or 0} classes in {CONFIG}.")
    if config.get("in_channels", 3) != config.get("out_channels", 3):
        raise InputError(
            f"{folder / CONFIG}: {config.get('out_channels', 3)} channels come out and {config.get('in_channels', 3)} go in; "
            "a model that predicts its variance too is not supported."
        )
    if config.get("time_embedding_type", "positional") != "positional":
        raise InputError(
            f"{folder / CONFIG}: time_embedding_type is {config['time_embedding_type']}; samplers use times between whole steps, "
            "which needs positional."
        )


def _shape(folder: Path, config: dict, facts: dict) -> tuple[int, int, int]:
    size = config.get("sample_size")
    size = (size, size) if isinstance(size, int) else size
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise InputError(f"{folder / CONFIG}: sample_size is {size!r}; a size or a pair of sizes is needed.")
    shape = (config.get("in_channels", 3), *size)
    space, patch = facts.get("space", "pixels"), facts.get("patch", 1)
    if space not in SPACES or not isinstance(patch, int) or patch < 1:
        raise InputError(f"{folder / FACTS}: space {space!r} must be one of {', '.join(SPACES)}, patch {patch!r} >= 1.")
    if space == "pixels" and shape[0] not in (patch**2, 3 * patch**2):
        raise InputError(
            f"{folder}: a patch of {patch} ({FACTS}) makes {patch**2} or {3 * patch**2} channels of pixels, {CONFIG} has {shape[0]}."
        )
    return shape


def _version() -> str:
    from diffusers import __version__

    return __version__


def _write(path: Path, values: dict) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


def _read(path: Path) -> dict:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing; a denoiser is a folder of samplers/train_denoiser or of a DDPMPipeline."
        ) from None
    except ValueError as error:
        raise InputError(f"{path} is no whole JSON file ({error}); write it again.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold a JSON object.")
    return values
