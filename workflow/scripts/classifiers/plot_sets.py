"""Draw a contact sheet: some images of every set, a row per set."""

import argparse
from pathlib import Path

from genovision.classifiers.figures import contact_sheet
from genovision.classifiers.image_sets import read_set
from genovision.errors import InputError
from genovision.figures import save, style


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--sets", required=True, nargs="+", metavar="NPZ", help="image sets of classifiers/prepare_images")
    p.add_argument("--columns", type=int, default=24, metavar="N", help="images of each set (default 24)")
    p.add_argument("--out", required=True, metavar="SVG", help="the figure")
    return p


def main(args: argparse.Namespace) -> None:
    if args.columns < 1:
        raise InputError(f"--columns {args.columns} must be 1 or more.")
    images = {Path(path).stem: read_set(path).images for path in args.sets}
    with style():
        save(contact_sheet(images, args.columns), args.out)
