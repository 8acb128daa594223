"""What training on ImageNet adds to genovision.classifiers.training: batches read from files, random crops, and pixels of 0..1 for timm.

Crops and flips are drawn from (seed, epoch, example), so neither the batch size nor the number of processes or threads changes them.
"""

import itertools
import math
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from genovision.classifiers.image_lists import ImageList
from genovision.classifiers.preprocessing import INTERPOLATIONS, Preprocessing, read_image
from genovision.classifiers.training import Recipe


class Normalised(nn.Module):
    """A network of timm that takes pixels of 0..1: mean and std are subtracted and divided by inside."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network((images - self.mean) / self.std)


def random_box(width: int, height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """The crop of Inception's augmentation (Szegedy et al. 2015): left, top, right, bottom.

    An area uniform in 8 %..100 % and an aspect ratio log-uniform in 3/4..4/3; after ten tries that do not fit, the largest central box
    whose ratio lies in that range.
    """
    for _ in range(10):
        area = width * height * rng.uniform(0.08, 1.0)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
            return left, top, left + w, top + h
    w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def augmented(image: Image.Image, size: int, interpolation: str, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A random box of an RGB image at `size` x `size`, mirrored or not: (3, size, size)."""
    box = random_box(*image.size, rng)
    mirrored = rng.integers(0, 2)
    pixels = np.asarray(image.crop(box).resize((size, size), INTERPOLATIONS[interpolation])).transpose(2, 0, 1)
    return pixels[:, :, ::-1] if mirrored else pixels


class FileBatches:
    """Batches of `training.train` from image files: every epoch in an order of its own, one epoch after the other without a rest.

    What is decoded is only the share that a process takes of a batch; while the network computes, threads decode the next one.
    """

    def __init__(self, images: ImageList, recipe: Recipe, size: int, interpolation: str = "bilinear", threads: int = 1):
        self.images, self.recipe, self.size, self.interpolation = images, recipe, size, interpolation
        self._pool = ThreadPoolExecutor(threads)
        self._ahead: dict[tuple, list[Future]] = {}
        self._order: dict[int, npt.NDArray[np.int64]] = {}

    def at(self, step: int) -> tuple["Share", torch.Tensor]:
        """(images, labels) of a step; the images are decoded when a slice of them is taken."""
        rows = self.rows(step)
        return Share(self, step), torch.from_numpy(self.images.labels[[row for _, row in rows]])

    def rows(self, step: int) -> list[tuple[int, int]]:
        """(epoch, example) of each place in a step's batch."""
        places = range(step * self.recipe.batch, (step + 1) * self.recipe.batch)
        return [
            (place // len(self.images), int(self._of(place // len(self.images))[place % len(self.images)]))
            for place in places
        ]

    def _of(self, epoch: int) -> npt.NDArray[np.int64]:
        if epoch not in self._order:
            order = np.random.default_rng([self.recipe.seed, epoch]).permutation(len(self.images))
            self._order = {old: kept for old, kept in self._order.items() if abs(old - epoch) == 1} | {epoch: order}
        return self._order[epoch]

    def _example(self, epoch: int, row: int) -> npt.NDArray[np.uint8]:
        rng = np.random.default_rng([self.recipe.seed, epoch, row])
        return augmented(read_image(self.images.root, self.images.names[row]), self.size, self.interpolation, rng)

    def _submit(self, step: int, part: slice) -> list[Future]:
        return [self._pool.submit(self._example, epoch, row) for epoch, row in self.rows(step)[part]]

    def take(self, step: int, part: slice) -> torch.Tensor:
        """A slice of a step's images, (B, 3, size, size) float32 of 0..1; the same slice of the next step is begun."""
        key = (part.start, part.stop, part.step)
        waiting = self._ahead.pop((step, *key), None) or self._submit(step, part)
        self._ahead = {(step + 1, *key): self._submit(step + 1, part)} if step + 1 < self.recipe.steps else {}
        return torch.from_numpy(np.stack([future.result() for future in waiting])).float().div_(255)


class Share:
    """The images of one step, not decoded yet; `share[a::b]` decodes these."""

    def __init__(self, source: FileBatches, step: int):
        self.source, self.step = source, step

    def __getitem__(self, part: slice) -> torch.Tensor:
        return self.source.take(self.step, part)


def squares(images: ImageList, preprocessing: Preprocessing, threads: int = 1) -> npt.NDArray[np.uint8]:
    """All images as the network sees them before normalisation: (N, 3, size, size) bytes."""

    def one(name: str) -> npt.NDArray[np.uint8]:
        return np.asarray(preprocessing.square(read_image(images.root, name))).transpose(2, 0, 1)

    found = np.empty((len(images), 3, preprocessing.size, preprocessing.size), dtype=np.uint8)
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(images), 1024):
            names = itertools.islice(images.names, start, start + 1024)
            for k, square in enumerate(pool.map(one, names), start=start):
                found[k] = square
    return found
