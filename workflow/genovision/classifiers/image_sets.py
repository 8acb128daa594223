"""Image sets: kept classes with their split, held-out classes as near-OOD, and sets from elsewhere as far-OOD.

A set is `images` (N, 28, 28) uint8 and `labels` (N,) int64, which are 0..K-1 in distribution and -1 outside of it.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genovision.arrays import read_arrays, write_arrays
from genovision.classifiers.debian import read_package
from genovision.classifiers.idx import read_idx
from genovision.errors import InputError

OUTSIDE = -1
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_FOLDER = "usr/share/datasets/fashion-mnist"
_FILES = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class ImageSet:
    """images (N, H, W) uint8, labels (N,) int64; labels < 0 are out of distribution."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows) -> "ImageSet":
        return ImageSet(self.images[rows], self.labels[rows])


def outside(images: npt.NDArray[np.uint8]) -> ImageSet:
    """Images that belong to none of the classes."""
    return ImageSet(images, np.full(len(images), OUTSIDE, dtype=np.int64))


def read_fashion_mnist(path: str | os.PathLike) -> dict[str, ImageSet]:
    """The official `train` (60,000) and `test` (10,000) of Fashion-MNIST (Xiao et al. 2017) out of its Debian package.

    Raises InputError for a damaged package, an idx file that is cut short, or labels that are no class.
    """
    names = {(fold, kind): f"{_FOLDER}/{stem}-{kind}-ubyte.gz" for fold, stem in _FILES.items() for kind in _KINDS}
    files = read_package(path, names.values())
    arrays = {key: read_idx(files[name], f"{path}::{name}") for key, name in names.items()}
    return {
        fold: checked(arrays[fold, "images-idx3"], arrays[fold, "labels-idx1"], len(CLASSES), f"{path}, {fold}")
        for fold in _FILES
    }


_KINDS = ("images-idx3", "labels-idx1")


def checked(images: npt.NDArray, labels: npt.NDArray, classes: int, label: str) -> ImageSet:
    """The two arrays as a set; InputError when shapes or types do not fit or a label lies outside -1..classes-1."""
    if images.ndim != 3 or images.dtype != np.uint8:
        raise InputError(f"{label}: images are {images.dtype} of shape {images.shape}; (N, H, W) of uint8 is needed.")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"{label}: labels are {labels.dtype} of shape {labels.shape}; (N,) of whole numbers is needed."
        )
    if len(images) != len(labels):
        raise InputError(f"{label}: {len(images)} images of shape {images.shape} and {len(labels)} labels.")
    wrong = np.flatnonzero((labels.astype(np.int64) < OUTSIDE) | (labels.astype(np.int64) >= classes))
    if len(wrong):
        raise InputError(f"{label}: label {labels[wrong[0]]} of image {wrong[0]} is none of 0..{classes - 1}.")
    return ImageSet(images, labels.astype(np.int64))


def hold_out(images: ImageSet, classes: Sequence[int]) -> tuple[ImageSet, ImageSet]:
    """(kept, held out): the kept classes are relabelled 0..K-1 in their order, images of `classes` become out of distribution."""
    unknown = [name for name in classes if not 0 <= name < len(CLASSES)]
    if unknown or len(set(classes)) != len(classes) or len(CLASSES) - len(classes) < 3:
        raise InputError(
            f"held-out classes {list(classes)}: name different ones of 0..{len(CLASSES) - 1} and leave three at least."
        )
    held = np.isin(images.labels, classes)
    new = np.cumsum(~np.isin(np.arange(len(CLASSES)), classes)) - 1
    return ImageSet(images.images[~held], new[images.labels[~held]]), outside(images.images[held])


def split(images: ImageSet, sizes: dict[str, int], rng: np.random.Generator) -> dict[str, ImageSet]:
    """Disjoint random parts of the given sizes, in one random order; InputError when there are fewer images than asked for."""
    asked = sum(sizes.values())
    if asked > len(images):
        parts = " and ".join(f"{size} for {name}" for name, size in sizes.items())
        raise InputError(f"{parts} are asked for, but the kept classes have {len(images)} official training images.")
    order = rng.permutation(len(images))
    ends = np.cumsum(list(sizes.values()))
    return {name: images[order[end - size : end]] for (name, size), end in zip(sizes.items(), ends, strict=True)}


def digits(size: int = 28) -> npt.NDArray[np.uint8]:
    """The 1,797 handwritten digits of scikit-learn, 8 x 8 of 0..16, brought to (size, size) by bilinear interpolation."""
    from PIL import Image
    from sklearn.datasets import load_digits

    small = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)
    resized = [Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR) for image in small]
    return np.stack([np.asarray(image) for image in resized])


def gaussian_noise(number: int, shape: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Independent pixels of mean 0.5, each image with a standard deviation |N(0, 1)|^2 of its own, clipped to 0..1.

    The spread varies as in the noise set of SIRC (Xia & Bouganis 2022), from flat grey to black and white.
    """
    spread = rng.standard_normal(number) ** 2
    pixels = 0.5 + spread[:, None, None] * rng.standard_normal((number, *shape))
    return np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)


def uniform_noise(number: int, shape: tuple[int, int], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Independent pixels, each of 0..255 equally likely."""
    return rng.integers(0, 256, (number, *shape), dtype=np.uint8)


def permuted(images: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Images (N, H, W) with their pixels rearranged, all by one permutation: the same grey values without the shapes."""
    order = rng.permutation(images[0].size)
    return images.reshape(len(images), -1)[:, order].reshape(images.shape)


def sample(number: int, available: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Sorted indices of at most `number` of `available` things, without replacement."""
    return np.sort(rng.permutation(available)[:number])


def write_set(images: ImageSet, path: str | os.PathLike) -> None:
    """Write a set as .npz."""
    write_arrays(path, images=images.images, labels=images.labels)


def read_set(path: str | os.PathLike, classes: int | None = None) -> ImageSet:
    """Read a set written by `write_set`; InputError when it is damaged, pickled, or a label is none of -1..classes-1."""
    arrays = read_arrays(path, ["images", "labels"])
    limit = np.iinfo(np.int64).max if classes is None else classes
    images = checked(arrays["images"], arrays["labels"], limit, str(path))
    if len(images) == 0:
        raise InputError(f"{path} has no image.")
    return images
