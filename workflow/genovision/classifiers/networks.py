"""A family of small residual networks for small images (He et al. 2016, basic blocks), told apart by the width of their first stage."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn


@dataclass(frozen=True)
class Shape:
    """What a network of the family is made of; `mean` and `std` normalise pixels of 0..1 inside the network."""

    width: int  # channels of the first stage; each further stage has twice as many
    classes: int
    mean: float
    std: float
    channels: int = 1
    stages: int = 3
    blocks: int = 1  # per stage

    @property
    def features(self) -> int:
        """D, the channels of the last stage."""
        return self.width * 2 ** (self.stages - 1)

    def to_json(self) -> dict:
        return asdict(self)


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut; where size or channels change, the shortcut is a 1x1 convolution."""

    def __init__(self, channels: int, out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Identity()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu_(self.norm1(self.conv1(x)))
        return torch.relu_(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """Images (N, C, H, W) of 0..1 -> logits (N, K). The first convolution halves the size, each stage but the first halves it again.

    Weights are drawn from `seed` alone, whatever was drawn before.
    """

    def __init__(self, shape: Shape, seed: int = 0):
        super().__init__()
        self.shape = shape
        self.register_buffer("mean", torch.tensor(shape.mean))
        self.register_buffer("std", torch.tensor(shape.std))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            width = shape.width
            self.stem = nn.Sequential(
                nn.Conv2d(shape.channels, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
            )
            stages, channels = [], width
            for stage in range(shape.stages):
                for block in range(shape.blocks):
                    out = width * 2**stage
                    stages.append(Block(channels, out, 2 if stage and not block else 1))
                    channels = out
            self.stages = nn.Sequential(*stages)
            self.head = nn.Linear(channels, shape.classes)
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """z (N, D): the last stage, after its ReLU, averaged over the image."""
        x = (images - self.mean) / self.std
        return self.stages(self.stem(x)).mean(dim=(2, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images))


def as_input(images: np.ndarray) -> torch.Tensor:
    """Images (N, H, W) or (N, C, H, W) uint8 as a network takes them: float32 of 0..1, channels last in memory."""
    tensor = torch.from_numpy(images if images.ndim == 4 else images[:, None])
    return tensor.float().div_(255).contiguous(memory_format=torch.channels_last)
