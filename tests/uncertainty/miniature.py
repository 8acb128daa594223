"""Outputs of classifiers that nobody trained, in the format of the real ones: Gaussian classes behind a linear head.

A width is how little noise a model adds to the features, a seed draws that noise; label smoothing flattens the probabilities and adds
noise to their logarithms, which harms the ranking where it is surest. The OOD sets: `near` between the classes, `far` off their subspace,
`dim` near the origin.
"""

import json
from pathlib import Path

import numpy as np

CLASSES, DIMENSIONS = 5, 12
NOISE = {"S": 1.3, "M": 1.0, "L": 0.8}
MACS = {"S": 1_000_000, "M": 4_000_000, "L": 16_000_000}
OOD = ("near", "far", "dim")
HEAD = {"weight": (CLASSES, DIMENSIONS), "bias": (CLASSES,)}


def _inputs(split: str, number: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features before any model's noise, and labels (-1 = OOD)."""
    centres = np.zeros((CLASSES, DIMENSIONS))
    centres[np.arange(CLASSES), np.arange(CLASSES)] = 4.0
    labels = rng.integers(CLASSES, size=number)
    spread = rng.normal(size=(number, DIMENSIONS))
    if split == "near":
        return 0.5 * (centres[labels] + centres[(labels + 1) % CLASSES]) + spread, np.full(number, -1)
    if split == "far":
        shift = np.zeros(DIMENSIONS)
        shift[CLASSES:] = 2.5
        return centres[labels] + shift + spread, np.full(number, -1)
    if split == "dim":
        return 0.5 * spread, np.full(number, -1)
    return centres[labels] + 1.2 * spread, labels


def outputs(width: str, alpha: float, seed: int, sizes: dict[str, int]) -> tuple[dict, dict]:
    """({split: {logits, features, labels}}, head) of one model; the inputs are the same for every model."""
    rng = np.random.default_rng([seed, ord(width), round(100 * alpha)])
    weight = np.eye(CLASSES, DIMENSIONS) * 1.5 + 0.05 * rng.normal(size=(CLASSES, DIMENSIONS))
    bias = 0.1 * rng.normal(size=CLASSES)
    splits = {}
    for number, (split, size) in enumerate(sizes.items()):
        z, labels = _inputs(split, size, np.random.default_rng([99, number]))
        z = np.maximum(z + NOISE[width] * rng.normal(size=z.shape), 0)
        v = z @ weight.T + bias
        if alpha:
            p = np.exp(v - np.logaddexp.reduce(v, axis=1, keepdims=True))
            v = np.log((1 - alpha) * p + alpha / CLASSES) + 0.15 * rng.normal(size=v.shape)
        splits[split] = {
            "logits": v.astype(np.float32),
            "features": z.astype(np.float32),
            "labels": labels.astype(np.int64),
        }
    return splits, {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}


def write(folder: Path, widths="SML", recipes=None, seeds=3, sizes=None) -> Path:
    """Everything under folder/outputs and folder/models, laid out as the rules of the classifiers do; returns the folder."""
    recipes = recipes or {"ce": 0.0, "ls0.1": 0.1, "ls0.4": 0.4}
    sizes = sizes or {"train": 400, "calibration": 400, "test": 500, **dict.fromkeys(OOD, 200)}
    for width in widths:
        for recipe, alpha in recipes.items():
            if alpha and width != "M":
                continue
            for seed in range(seeds):
                splits, head = outputs(width, alpha, seed, sizes)
                place = folder / "outputs" / width / recipe / f"seed{seed}"
                place.mkdir(parents=True)
                for split, arrays in splits.items():
                    np.savez(place / f"{split}.npz", **arrays)
                np.savez(place / "head.npz", **head)
                model = folder / "models" / width / recipe / f"seed{seed}"
                model.mkdir(parents=True)
                (model / "macs.json").write_text(json.dumps({"macs": MACS[width], "parameters": 1000}))
    return folder
