"""What PUNC is compared with: uncertainties of a prompt measured on its images, between image and text, and on the text alone.

Every function gives an uncertainty (N,) float64 of N prompts, higher = more uncertain. Letters: S generations per prompt, images
(N, S, H, W, 3) uint8. A distance takes two batches of images (B, H, W, 3) and gives (B,) float64; `squared_error` and `FeatureDistance`
are two. What needs the generator takes functions: `reconstruct(images (B, H, W, 3), prompts (B,), level)` and
`inpaint(images, prompts, mask (H, W) bool, true where the image is made anew)`, both giving images (B, H, W, 3) uint8.
"""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Images = npt.NDArray[np.uint8]
Distance = Callable[[Images, Images], Array]
Reconstruct = Callable[[Images, list[str], float], Images]
Inpaint = Callable[[Images, list[str], npt.NDArray[np.bool_]], Images]

_BATCH = 256  # prompts whose images are compared at a time


# --- distances ---------------------------------------------------------------------------------------------------------------------


def squared_error(first: Images, second: Images) -> Array:
    """Mean squared difference of two batches of images (B, H, W, C), values taken from 0..255 to 0..1."""
    difference = (np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)) / 255
    return (difference**2).reshape(len(difference), -1).mean(axis=1)


def map_distance(
    first: Sequence[npt.NDArray], second: Sequence[npt.NDArray], weights: Sequence[npt.ArrayLike] | None = None
) -> Array:
    """LPIPS (Zhang et al. 2018) of two batches of feature maps, a list of (B, C_l, H_l, W_l) each: (B,).

    Maps are scaled to length 1 over the channels; their squared differences are weighted, summed over channels, averaged over space and
    summed over the maps. weights: (C_l,) of each map, LPIPS's trained ones; default 1.
    """
    if len(first) != len(second) or (weights is not None and len(weights) != len(first)):
        raise ValueError(f"there are {len(first)} and {len(second)} maps, and weights of another number of them")
    return _weighed([_unit(one) for one in first], [_unit(one) for one in second], weights)


def _weighed(first: Sequence[Array], second: Sequence[Array], weights: Sequence[npt.ArrayLike] | None) -> Array:
    """`map_distance` of maps that have length 1 already."""
    total = np.zeros(len(first[0]))
    for place, (one, other) in enumerate(zip(first, second, strict=True)):
        difference = one - other
        squares = np.einsum("bchw,bchw->bc", difference, difference)
        weighed = squares.sum(axis=1) if weights is None else squares @ np.asarray(weights[place], dtype=np.float64)
        total += weighed / np.prod(one.shape[2:])
    return total


def _unit(maps: npt.NDArray) -> Array:
    maps = np.asarray(maps, dtype=np.float64)
    return maps / (np.sqrt((maps**2).sum(axis=1, keepdims=True)) + 1e-10)


class FeatureDistance:
    """LPIPS-like distance of images by a network's feature maps: `map_distance`.

    features: images (B, H, W, 3) uint8 -> list of maps (B, C_l, H_l, W_l);  weights: as there
    """

    def __init__(
        self,
        features: Callable[[Images], Sequence[npt.NDArray]],
        weights: Sequence[npt.ArrayLike] | None = None,
    ):
        self._features, self._weights = features, weights

    def __call__(self, first: Images, second: Images) -> Array:
        return map_distance(self._features(first), self._features(second), self._weights)

    def among(self, images: Images) -> Array:
        """Mean distance of all pairs among S images, for each of N prompts: the mean of S (S - 1) / 2 calls, each image read once."""
        number, count = images.shape[:2]
        maps = self._features(images.reshape(-1, *images.shape[2:]))
        maps = [_unit(one).reshape(number, count, *np.shape(one)[1:]) for one in maps]
        total = np.zeros(number)
        for a, b in combinations(range(count), 2):
            total += _weighed([one[:, a] for one in maps], [one[:, b] for one in maps], self._weights)
        return total / (count * (count - 1) / 2)


# --- among images ------------------------------------------------------------------------------------------------------------------


def pairwise(images: Images, distance: Distance = squared_error) -> Array:
    """Mean distance of all pairs among the S >= 2 generations of each prompt: how much they differ when only the noise does."""
    images = _generations(images, least=2)
    among = getattr(distance, "among", None)

    def one(batch: Images) -> Array:
        if among is not None:
            return among(batch)
        pairs = list(combinations(range(batch.shape[1]), 2))
        return np.mean([distance(batch[:, a], batch[:, b]) for a, b in pairs], axis=0)

    return _batched(one, images)


def two_models(first: Images, second: Images, distance: Distance = squared_error) -> Array:
    """2XDM: mean distance between the generations of two models for the same prompt, over all pairs of one image of each.

    first, second: (N, S, H, W, 3), (N, T, H, W, 3). Of one model twice, with other noise, it is the version with two seeds.
    """
    first, second = _generations(first), _generations(second)
    if len(first) != len(second):
        raise ValueError(f"the first model has images of {len(first)} prompts, the second of {len(second)}")

    def one(a: Images, b: Images) -> Array:
        pairs = [(s, t) for s in range(a.shape[1]) for t in range(b.shape[1])]
        return np.mean([distance(a[:, s], b[:, t]) for s, t in pairs], axis=0)

    return _batched(one, first, second)


def ensemble(members: Sequence[Images], distance: Distance = squared_error) -> Array:
    """Mean distance between M >= 2 generators that start from the same noise, over pairs of them and the S generations.

    members: M of (N, S, H, W, 3), generation s of each from the same noise. What the noise alone changes is left out, so that this is
    what the generators have not learnt alike; `two_models` holds both.
    """
    members = [_generations(one) for one in members]
    if len(members) < 2 or len({one.shape for one in members}) > 1:
        raise ValueError("an ensemble needs images of two generators at least, all of one shape")

    def one(*batch: Images) -> Array:
        pairs = list(combinations(batch, 2))
        return np.mean([distance(a[:, s], b[:, s]) for a, b in pairs for s in range(a.shape[1])], axis=0)

    return _batched(one, *members)


def _generations(images: Images, least: int = 1) -> Images:
    images = np.asarray(images)
    if images.ndim != 5 or images.dtype != np.uint8:
        raise ValueError(
            f"images must be (prompts, generations, height, width, 3) uint8, not {images.dtype} {images.shape}"
        )
    if images.shape[1] < least:
        raise ValueError(f"{least} generations of each prompt are needed, there is {images.shape[1]}")
    return images


def _batched(function: Callable[..., Array], *arrays: npt.NDArray) -> Array:
    number = len(arrays[0])
    parts = [function(*(array[start : start + _BATCH] for array in arrays)) for start in range(0, number, _BATCH)]
    return np.concatenate(parts) if parts else np.empty(0)


# --- between the image and the text, and the text alone ----------------------------------------------------------------------------


def clip_score(image_embeddings: npt.ArrayLike, text_embeddings: npt.ArrayLike) -> Array:
    """Minus the CLIPScore (Hessel et al. 2021), max(100 cos, 0), mean over generations: 0 to -100, (N,).

    image_embeddings: (N, S, D);  text_embeddings: (N, D), in the same space
    """
    image, text = _directions(image_embeddings), _directions(text_embeddings)
    if image.ndim != 3 or image.shape[::2] != text.shape:
        raise ValueError(f"image embeddings {image.shape} and text embeddings {text.shape} are not of the same prompts")
    return 0 - np.maximum(100 * np.einsum("nsd,nd->ns", image, text), 0).mean(axis=1)


def nearest_training(prompts: npt.ArrayLike, training: npt.ArrayLike) -> Array:
    """The control that sees no image: cosine distance of each prompt (N, D) to the nearest training text (M, D)."""
    prompts, training = _directions(prompts), _directions(training)
    if not len(training):
        raise ValueError("there is no training text to be near to")
    training = np.ascontiguousarray(training.T)
    return _batched(lambda some: 1 - (some @ training).max(axis=1), prompts)


def _directions(values: npt.ArrayLike) -> Array:
    values = np.asarray(values, dtype=np.float64)
    norm = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.divide(values, norm, out=np.zeros_like(values), where=norm > 0)


# --- with the generator ------------------------------------------------------------------------------------------------------------


def reconstruction_errors(
    images: Images,
    prompts: Sequence[str],
    reconstruct: Reconstruct,
    levels: Sequence[float],
    distances: Sequence[Distance] = (squared_error,),
) -> Array:
    """What DDPM-OOD (Graham et al. 2023) measures: distances of images to their reconstructions from each level of noise.

    images (N, S, H, W, 3);  levels: as `reconstruct` reads them. Returns (N, S, levels x distances).
    """
    images = _generations(images)
    flat, texts = _flat(images, prompts)
    errors = []
    for level in levels:
        again = np.asarray(reconstruct(flat, texts, level))
        errors += [distance(flat, again) for distance in distances]
    return np.stack(errors, axis=-1).reshape(*images.shape[:2], -1)


def ddpm_ood(errors: Array, reference: Array) -> Array:
    """DDPM-OOD: mean z-score of `reconstruction_errors` (N, S, K), each of the K standardised by those of reference images: (N,).

    reference: (..., K), of images that are in distribution and not among those judged, such as training images
    An error that is the same for all reference images says nothing and is left out; ValueError when all are.
    """
    reference = np.reshape(reference, (-1, np.shape(reference)[-1]))
    if reference.shape[1] != errors.shape[-1]:
        raise ValueError(f"errors have {errors.shape[-1]} columns, the reference {reference.shape[1]}")
    mean, spread = reference.mean(axis=0), reference.std(axis=0, ddof=1)
    usable = spread > 1e-12
    if not usable.any():
        raise ValueError("the reference images have one and the same error: no scale")
    scores = (errors[..., usable] - mean[usable]) / spread[usable]
    return scores.mean(axis=(1, 2))


def checkerboard(height: int, width: int, cells: int) -> npt.NDArray[np.bool_]:
    """Mask (H, W) of `cells` by `cells` fields, the first one false: what LMD hides, and its complement."""
    row, column = (np.arange(number) * cells // number for number in (height, width))
    return (row[:, None] + column) % 2 == 1


def lmd(
    images: Images,
    prompts: Sequence[str],
    inpaint: Inpaint,
    distance: Distance = squared_error,
    cells: int = 8,
    repeats: int = 1,
) -> Array:
    """LMD (Liu et al. 2023): hide a checkerboard or its complement in turn, let the generator fill it, median distance to the image.

    images (N, S, H, W, 3);  repeats: of both masks, when `inpaint` draws noise of its own each time. The median is over masks and repeats,
    the mean over generations.
    """
    images = _generations(images)
    flat, texts = _flat(images, prompts)
    mask = checkerboard(*images.shape[2:4], cells)
    tries = [one for _ in range(repeats) for one in (mask, ~mask)]
    distances = [distance(flat, np.asarray(inpaint(flat, texts, one))) for one in tries]
    return np.median(distances, axis=0).reshape(images.shape[:2]).mean(axis=1)


def _flat(images: Images, prompts: Sequence[str]) -> tuple[Images, list[str]]:
    if len(prompts) != len(images):
        raise ValueError(f"there are {len(prompts)} prompts and images of {len(images)}")
    return images.reshape(-1, *images.shape[2:]), [prompt for prompt in prompts for _ in range(images.shape[1])]
