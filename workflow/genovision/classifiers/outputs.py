"""What a trained classifier leaves for every later score: logits, features and labels of each split, and its last layer."""

import json
import math
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from genovision.atomic import replacing
from genovision.checkpoints import load_into, read_tensors, write_tensors
from genovision.classifiers.image_sets import ImageSet
from genovision.classifiers.networks import ResNet, Shape, as_input
from genovision.errors import InputError

LEARNT = 0.1  # of the way from chance to perfect accuracy: below it a model has learnt nothing


def write_model(folder: Path, network: ResNet, facts: dict) -> None:
    """Write model.safetensors and config.json (`network`: its shape; and the given facts: name, recipe, accuracy, loss)."""
    write_tensors(network.state_dict(), folder / "model.safetensors")
    write_json(facts | {"network": network.shape.to_json()}, folder / "config.json")


def write_json(facts: dict, path: str | os.PathLike) -> None:
    """Write JSON, keys sorted; a number that is not finite becomes null."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(_finite(facts), indent=1, sort_keys=True, allow_nan=False) + "\n")


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_model(folder: Path) -> tuple[ResNet, dict]:
    """(network in evaluation mode, contents of config.json); InputError when the two files do not fit each other."""
    path = folder / "config.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        network = ResNet(Shape(**facts["network"]))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} does not describe a network of this family ({error}).") from error
    load_into(network, read_tensors(folder / "model.safetensors"), str(folder / "model.safetensors"))
    return network.to(memory_format=torch.channels_last).eval(), facts


def refuse_untrained(facts: dict, label: str) -> None:
    """InputError, with the model's name, when its training diverged or its accuracy is near chance.

    facts: contents of config.json; near chance is less than a tenth of the way from 1 / K to 1.
    """
    name, accuracy, classes = facts.get("name") or label, facts.get("accuracy"), facts["network"]["classes"]
    if facts.get("loss") is None:
        raise InputError(
            f"model {name} diverged in training (its loss is not finite): lower its learning rate, {label}."
        )
    if accuracy is None or accuracy < 1 / classes + LEARNT * (1 - 1 / classes):
        raise InputError(
            f"model {name} has an accuracy of {accuracy} on {classes} classes, which is near chance: "
            f"train it longer or with another learning rate, {label}."
        )


def outputs(network: ResNet, images: ImageSet, batch: int = 500) -> dict[str, npt.NDArray]:
    """logits (N, K) float32, features (N, D) float32 and labels (N,) int64 of a set, in its order, in evaluation mode.

    Raises InputError when a label is none of the network's classes, ValueError when an output is not finite.
    """
    if images.labels.max(initial=-1) >= network.shape.classes:
        raise InputError(
            f"a label is {images.labels.max()}, the network has {network.shape.classes} classes (0..{network.shape.classes - 1})."
        )
    logits, features = [], []
    device = next(network.parameters()).device
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            z = network.features(as_input(images.images[start : start + batch]).to(device))
            features.append(z.cpu().numpy())
            logits.append(network.head(z).cpu().numpy())
    found = {"logits": np.concatenate(logits), "features": np.concatenate(features), "labels": images.labels}
    for name in ("logits", "features"):
        if not np.isfinite(found[name]).all():
            raise ValueError(f"{name} of image {np.argwhere(~np.isfinite(found[name]))[0][0]} are not finite")
    return found


def head(network: ResNet) -> dict[str, npt.NDArray]:
    """The last layer: weight (K, D), bias (K,)."""
    return {"weight": network.head.weight.detach().cpu().numpy(), "bias": network.head.bias.detach().cpu().numpy()}
