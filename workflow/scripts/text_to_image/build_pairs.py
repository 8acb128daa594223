"""Join prompts, generated images and captions to a data set: pairs.parquet, PNG files named by their SHA-256, and a data sheet."""

import argparse
import json
from pathlib import Path

import pandas as pd

from genovision.arrays import read_arrays
from genovision.atomic import replacing
from genovision.errors import InputError
from genovision.tables import read_table, write_table
from genovision.text_to_image.pairs import IMAGES, data_sheet, pair, read_image, remove_others, write_image
from genovision.text_to_image.prompt_sets import read_prompts

SOURCE = ["source", "version", "licence", "sha256"]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--prompts", required=True, metavar="TSV", help="id, set, kind, text")
    p.add_argument(
        "--generations",
        required=True,
        metavar="TSV",
        help="id, sample, seed; a row for each image, and its PNG in the column image when --images is a folder",
    )
    p.add_argument("--images", required=True, metavar="NPZ|FOLDER", help="`images` (N, H, W, 3), or PNG files")
    p.add_argument("--captions", required=True, metavar="TSV", help="id, sample, caption")
    p.add_argument("--generator", required=True, metavar="NAME", help="what made the images")
    p.add_argument("--captioner", required=True, metavar="NAME", help="what described them")
    p.add_argument("--receipts", nargs="*", default=[], metavar="JSON", help="of the retrievals: versions, licences")
    p.add_argument("--out", required=True, metavar="FOLDER", help="gets pairs.parquet, images/ and README.md")
    return p


def _source(path: str) -> dict[str, str]:
    try:
        receipt = json.loads(Path(path).read_text())
        return {key: str(receipt[key]) for key in SOURCE}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no receipt of a retrieval; retrieve again.") from error


def _images(args: argparse.Namespace, generations: pd.DataFrame):
    """The image of each generation, one at a time."""
    if not Path(args.images).is_dir():
        images = read_arrays(args.images, ["images"])["images"]
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != "uint8":
            raise InputError(
                f"{args.images}: images must be (N, H, W, 3) of bytes, not {images.shape} of {images.dtype}."
            )
        if len(images) != len(generations):
            raise InputError(f"{args.images} has {len(images)} images, {args.generations} {len(generations)} rows.")
        yield from images
        return
    if "image" not in generations.columns:
        raise InputError(f"{args.generations} has no column image, which names the files in {args.images}.")
    root = Path(args.images).resolve()
    for name in generations["image"]:
        path = (root / str(name)).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            raise InputError(f"{args.generations}: there is no image {name} in {args.images}; generate again.")
        yield read_image(path)


def main(args: argparse.Namespace) -> None:
    prompts = read_prompts(args.prompts)
    missing = [column for column in ("set", "kind") if column not in prompts.columns]
    if missing:
        raise InputError(f"{args.prompts} has no column {', '.join(missing)}; it has {', '.join(prompts.columns)}.")
    generations = read_table(args.generations, ["id", "sample", "seed"])
    captions = read_table(args.captions, ["id", "sample", "caption"])
    sources = [_source(path) for path in args.receipts]
    for frame in (generations, captions):
        frame["id"] = frame["id"].astype(str)
    # looked through before the first image is written
    pair(prompts, generations.assign(image="", width=0, height=0), captions, args.generator, args.captioner)
    out, names, sizes = Path(args.out), [], []
    for image in _images(args, generations):
        names.append(write_image(image, out / IMAGES))
        sizes.append(image.shape[:2])
    made = generations[["id", "sample", "seed"]].assign(
        image=[f"{IMAGES}/{name}" for name in names],
        height=[height for height, _ in sizes],
        width=[width for _, width in sizes],
    )
    pairs = pair(prompts, made, captions, args.generator, args.captioner)
    write_table(pairs, out / "pairs.parquet")
    with replacing(out / "README.md") as temporary:
        temporary.write_text(data_sheet(pairs, sources), encoding="utf-8")
    remove_others(out / IMAGES, names)
    empty = int((pairs["caption"] == "").sum())
    print(f"{len(pairs)} pairs of {len(prompts)} prompts, {len(set(names))} different images, {empty} empty captions")
