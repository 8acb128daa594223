"""Write the images of the set `noise`: Gaussian noise of random resolution and contrast, as SIRC's authors generate it."""

import argparse
import shutil
from pathlib import Path

from PIL import Image

from genovision.classifiers.noise_images import noise_image
from genovision.errors import InputError


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--number", type=int, default=10000, metavar="N", help="images (default 10000, as in the paper)")
    p.add_argument("--seed", type=int, default=0, help="image k depends on the seed and on k alone (default 0)")
    p.add_argument(
        "--overflow", choices=("wrap", "clip"), default="wrap", help="of bytes (default wrap, as in the released code)"
    )
    p.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="img_<k>.jpg; replaced as a whole")
    return p


def main(args: argparse.Namespace) -> None:
    if args.number < 1 or args.seed < 0:
        raise InputError(f"--number {args.number} must be positive and --seed {args.seed} not negative.")
    part = args.out.with_name(f".{args.out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for k in range(args.number):
        Image.fromarray(noise_image(args.seed, k, args.overflow)).save(part / f"img_{k}.jpg")
    shutil.rmtree(args.out, ignore_errors=True)
    part.rename(args.out)
    print(f"{args.number} images")
