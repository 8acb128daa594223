"""Cached outputs of classifiers, the currency between the stories: one npz per model and split, read whole and checked.

A file `{split}.npz` holds `logits` (N, K), `features` (N, D) and `labels` (N,), -1 where an input is out of distribution; `head.npz` of a
linear head holds `weight` (K, D) and `bias` (K,). Pickled objects are never loaded.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genovision.arrays import read_arrays
from genovision.errors import InputError

ID_SPLITS = ("train", "calibration", "test")


class Outputs(NamedTuple):
    """logits (N, K) and features (N, D), float64; labels (N,), -1 = out of distribution; path they came from."""

    logits: npt.NDArray[np.float64]
    features: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    path: str

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Is the class of the largest logit (the first of equals) the label? False for every OOD input."""
        return self.logits.argmax(axis=1) == self.labels


class Head(NamedTuple):
    """The last layer, logits = features @ weight.T + bias: weight (K, D), bias (K,)."""

    weight: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]


def read_outputs(path: str | os.PathLike, kind: str = "id") -> Outputs:
    """Outputs of one model on one split; InputError in one sentence when they are not usable.

    kind: `id` (every label in 0..K-1) or `ood` (every label -1)
    """
    arrays = read_arrays(path, ("logits", "features", "labels"))
    for name in ("logits", "features"):
        if not np.issubdtype(arrays[name].dtype, np.number):
            raise InputError(f"{path}: the {name} are {arrays[name].dtype}, not numbers; write them again.")
    logits, features = (arrays[name].astype(np.float64) for name in ("logits", "features"))
    labels = arrays["labels"]
    if logits.ndim != 2 or features.ndim != 2 or labels.ndim != 1 or not len(logits) == len(features) == len(labels):
        raise InputError(
            f"{path}: logits {logits.shape}, features {features.shape} and labels {labels.shape} should be (N, K), (N, D) and (N,)."
        )
    if len(labels) == 0:
        raise InputError(f"{path} holds no input at all; make the set again or take it out of the configuration.")
    if logits.shape[1] < 2:
        raise InputError(f"{path}: there is nothing to be unsure about with {logits.shape[1]} class.")
    for name, array in (("logits", logits), ("features", features)):
        bad = ~np.isfinite(array).all(axis=1)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"{path}: row {row} of the {name} is not finite ({int(bad.sum())} such rows): train the model anew."
            )
    low, high = (0, logits.shape[1] - 1) if kind == "id" else (-1, -1)
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < low or labels.max() > high:
        wanted = f"in 0..{high}" if kind == "id" else "-1 (out of distribution)"
        raise InputError(
            f"{path}: labels are {wanted} in this split, these reach from {labels.min()} to {labels.max()}."
        )
    return Outputs(logits, features, labels.astype(np.int64), str(path))


def read_head(path: str | os.PathLike, like: Outputs) -> Head:
    """The head that fits these outputs, or InputError with both shapes."""
    arrays = read_arrays(path, ("weight", "bias"))
    weight, bias = (arrays[name].astype(np.float64) for name in ("weight", "bias"))
    wanted = (like.logits.shape[1], like.features.shape[1])
    if weight.shape != wanted or bias.shape != wanted[:1]:
        raise InputError(
            f"{path}: weight {weight.shape} and bias {bias.shape} do not fit {like.path}, which needs {wanted} and {wanted[:1]}."
        )
    return Head(weight, bias)


def same_inputs(outputs: Sequence[Outputs]) -> None:
    """Were these made from the same inputs, row by row? InputError naming the first file that differs from the first."""
    for one in outputs[1:]:
        if one.logits.shape != outputs[0].logits.shape or not np.array_equal(one.labels, outputs[0].labels):
            shapes = f"{one.logits.shape} and {outputs[0].path} of shape {outputs[0].logits.shape}"
            raise InputError(
                f"{one.path} has logits of shape {shapes}, or their labels differ: models are compared on the same inputs in"
                " the same order."
            )


def refuse_chance(outputs: Outputs) -> None:
    """InputError naming the file when the model is no better than always saying the most frequent class (within three standard errors)."""
    share = np.bincount(outputs.labels).max() / len(outputs.labels)
    accuracy = outputs.correct.mean()
    if accuracy <= share + 3 * np.sqrt(share * (1 - share) / len(outputs.labels)):
        raise InputError(
            f"{outputs.path}: the model is at chance level (accuracy {accuracy:.3f}, most frequent class {share:.3f});"
            " train it anew or leave it out."
        )


def read_members(groups: Sequence[Sequence[str]]) -> dict[str, list[Outputs]]:
    """Outputs of several models on several splits: split -> one per model, in the order given.

    groups: (split, path, path, ...) with as many paths, of the same models in the same order, for every split
    InputError when a split is named twice, models are missing somewhere or did not see the same inputs, or one is at chance level.
    """
    found: dict[str, list[Outputs]] = {}
    for split, *paths in groups:
        if split in found:
            raise InputError(f"the split {split} is given twice.")
        kind = "id" if split in ID_SPLITS else "ood"
        found[split] = [read_outputs(path, kind) for path in paths]
        if len(paths) != len(groups[0]) - 1:
            raise InputError(
                f"{len(groups[0]) - 1} models of the split {groups[0][0]} and {len(paths)} of {split} were given."
            )
        same_inputs(found[split])
        if kind == "id":
            for one in found[split]:
                refuse_chance(one)
    classes = {one.logits.shape[1]: one.path for some in found.values() for one in some}
    if len(classes) > 1:
        raise InputError(
            "different numbers of classes: "
            + ", ".join(f"{number} in {path}" for number, path in classes.items())
            + "."
        )
    return found


def read_macs(path: str | os.PathLike) -> float:
    """The cost of one input in multiply-accumulate operations, from a model's macs.json."""
    try:
        macs = json.loads(Path(path).read_text(encoding="utf-8"))["macs"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{path} is no JSON object with the key "macs".') from error
    if not isinstance(macs, int | float) or not macs > 0:
        raise InputError(f"{path}: macs is a positive number, not {macs}.")
    return float(macs)
