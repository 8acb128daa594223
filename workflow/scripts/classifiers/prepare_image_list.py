"""List the images of one set of resources/imagenet.tsv in a fixed order, with their labels; every named file must be there."""

import argparse
import sys
from pathlib import Path

import pandas as pd

from genovision.classifiers.image_folders import find_images
from genovision.classifiers.image_lists import divided, subset
from genovision.classifiers.imagenet_sets import count_warning, read_image_sets
from genovision.errors import InputError
from genovision.resampling import stream
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--table", required=True, metavar="TSV", help="resources/imagenet.tsv")
    p.add_argument("--set", required=True, dest="name", metavar="NAME", help="a set of the table")
    p.add_argument("--root", type=Path, required=True, metavar="FOLDER", help="the folder that all sets lie in")
    p.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="one class per line, in the order of the labels, where only some class folders are there",
    )
    p.add_argument(
        "--hold-out",
        type=int,
        metavar="N",
        help="divide the set: N images drawn for choosing by, the rest for training",
    )
    p.add_argument("--part", choices=("kept", "held_out"), help="which part of a divided set to list")
    p.add_argument("--limit", type=int, metavar="N", help="draw N images without replacement (default: all)")
    p.add_argument("--seed", type=int, default=0, help="of the draw (default 0)")
    p.add_argument(
        "--out", required=True, metavar="TSV", help="name (below the set's folder), label (-1 = out of distribution)"
    )
    return p


def main(args: argparse.Namespace) -> None:
    sets = read_image_sets(args.table)
    if args.name not in sets:
        raise InputError(f"--set {args.name} is none of {args.table}: {', '.join(sets)}.")
    if (args.limit is not None and args.limit < 1) or args.seed < 0:
        raise InputError(f"--limit {args.limit} must be positive and --seed {args.seed} not negative.")
    if args.part and args.hold_out is None:
        raise InputError(f"--part {args.part} needs --hold-out, the number of images to hold out of {args.name}.")
    row = sets[args.name]
    classes = args.classes.read_text(encoding="utf-8").split() if args.classes else None
    images = find_images(row, args.root, classes)
    if warning := count_warning(row, len(images)):
        print(f"warning: {warning}", file=sys.stderr)
    found = len(images)
    if args.part:
        if not 0 < args.hold_out < found:
            raise InputError(
                f"--hold-out {args.hold_out} must lie between 1 and {found - 1}: {args.name} has {found} images."
            )
        images = divided(images, args.hold_out, stream(args.seed, f"held out of {args.name}"))[args.part]
    if args.limit is not None:
        images = subset(images, args.limit, stream(args.seed, f"images of {args.name}"))
    write_table(pd.DataFrame({"name": images.names, "label": images.labels}), args.out)
    print(f"{args.name}: {len(images)} of {found} images")
