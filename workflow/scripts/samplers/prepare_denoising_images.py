"""Write the images that a denoiser is trained on, and those kept apart for its curve: CIFAR-10 or LSUN churches."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from genovision.errors import InputError
from genovision.resampling import stream
from genovision.samplers.image_sources import CIFAR_ADDRESS, LSUN_ADDRESS, read_cifar10, read_lsun, write_images
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    source = p.add_mutually_exclusive_group(required=True)
    source.add_argument("--cifar10", metavar="TAR", help=f"the binary version, {CIFAR_ADDRESS}")
    source.add_argument(
        "--lsun-church", metavar="FOLDER", help=f"church_outdoor_train_lmdb, unzipped from {LSUN_ADDRESS}"
    )
    p.add_argument("--size", type=int, default=64, metavar="PIXELS", help="of LSUN's squares (default 64)")
    p.add_argument("--images", type=int, metavar="N", help="at most so many training images (default: all)")
    p.add_argument(
        "--held-out",
        type=int,
        default=2000,
        metavar="N",
        help="images kept apart: the first test images of CIFAR-10, random ones of LSUN (default 2000)",
    )
    p.add_argument("--seed", type=int, default=0, help="of LSUN's random ones (default 0)")
    p.add_argument("--out", required=True, metavar="FOLDER", help="gets train.npz and held_out.npz")
    p.add_argument("--table", required=True, metavar="TSV", help="set, images, height, width, source")
    return p


def _progress(done: int, of: int) -> None:
    if done % 5000 == 0 or done == of:
        print(f"{done} of {of} images", file=sys.stderr, flush=True)


def _sets(args: argparse.Namespace) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], str]:
    if args.cifar10:
        folds = read_cifar10(args.cifar10)
        train, test = folds["train"], folds["test"]
        if args.held_out > len(test[0]):
            raise InputError(f"--held-out {args.held_out}: {args.cifar10} has {len(test[0])} test images.")
        cut = {
            "train": tuple(part[: args.images] for part in train),
            "held_out": tuple(part[: args.held_out] for part in test),
        }
        return cut, "CIFAR-10"
    limit = None if args.images is None else args.images + args.held_out
    images = read_lsun(args.lsun_church, args.size, limit, _progress)
    if args.held_out >= len(images):
        raise InputError(
            f"--held-out {args.held_out} leaves nothing to train on: {args.lsun_church} has {len(images)} images."
        )
    order = stream(args.seed, "lsun").permutation(len(images))
    rows = {"train": np.sort(order[args.held_out :]), "held_out": np.sort(order[: args.held_out])}
    return {name: (images[r], np.zeros(len(r), dtype=np.int64)) for name, r in rows.items()}, "LSUN church_outdoor"


def main(args: argparse.Namespace) -> None:
    if args.seed < 0 or args.held_out < 1 or args.size < 1 or (args.images is not None and args.images < 1):
        raise InputError("--seed must not be negative; --held-out, --size and --images must be 1 or more.")
    sets, source = _sets(args)
    rows = []
    for name, (images, labels) in sets.items():
        write_images(Path(args.out) / f"{name}.npz", images, labels)
        height, width = images.shape[1:3]
        rows.append({"set": name, "images": len(images), "height": height, "width": width, "source": source})
    write_table(pd.DataFrame(rows), args.table)
    print(f"{source}: {rows[0]['images']} images to train on, {rows[1]['images']} kept apart")
