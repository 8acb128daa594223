"""Caption generated images."""

import argparse
from pathlib import Path

import numpy as np

from genovision.arrays import read_arrays
from genovision.errors import InputError
from genovision.tables import read_table, write_table
from genovision.text_to_image.pairs import read_image

_AT_A_TIME = 1000  # images in memory when they come from files


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--generations", required=True, metavar="TSV", help="id, sample (and image, with a folder)")
    p.add_argument("--images", required=True, metavar="NPZ|FOLDER", help="a row per generation, or the PNG files")
    model = p.add_mutually_exclusive_group(required=True)
    model.add_argument("--model", metavar="FOLDER", help="of train_captioner")
    model.add_argument("--hub", metavar="MODEL", help="image-text-to-text model of transformers: folder, or hub name")
    p.add_argument("--question", default="Describe this image.", help="--hub: asked of models that take a chat")
    p.add_argument("--tokens", type=int, default=200, metavar="N", help="--hub: of a caption at most (default 200)")
    p.add_argument("--precision", default="float32", help="--hub: float32, bfloat16 or float16 (default float32)")
    p.add_argument("--revision", help="--hub: of the name, for the same weights every time")
    p.add_argument("--batch", type=int, metavar="B", help="images at a time (default 500; --hub: 8)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument(
        "--out",
        required=True,
        metavar="TSV",
        help="gets id, sample, caption, which can be empty, and image where --images is a folder",
    )
    return p


def _model(args: argparse.Namespace):
    import torch

    torch.set_num_threads(args.threads)
    if args.hub is None:
        from genovision.text_to_image.captioner import Captioner

        return Captioner(args.model, args.batch or 500)
    from genovision.text_to_image.hub import HubCaptioner

    return HubCaptioner(
        args.hub,
        question=args.question,
        tokens=args.tokens,
        batch=args.batch or 8,
        precision=args.precision,
        device="cuda" if torch.cuda.is_available() else "cpu",
        revision=args.revision,
    )


def _read(args: argparse.Namespace, table):
    """The images, some at a time, (B, H, W, 3) each."""
    if not Path(args.images).is_dir():
        images = read_arrays(args.images, ["images"])["images"]
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
            raise InputError(f"{args.images}: images must be (N, H, W, 3) of bytes, not {images.shape}.")
        if len(images) != len(table):
            raise InputError(f"{args.images} has {len(images)} images, {args.generations} {len(table)} rows.")
        yield images
        return
    if "image" not in table.columns:
        raise InputError(f"{args.generations} has no column image, which names the files in {args.images}.")
    root = Path(args.images).resolve()
    names = table["image"].astype(str).tolist()
    for start in range(0, len(names), _AT_A_TIME):
        found = []
        for name in names[start : start + _AT_A_TIME]:
            path = (root / name).resolve()
            if not path.is_relative_to(root) or not path.is_file():
                raise InputError(f"{args.generations}: there is no image {name} in {args.images}; generate again.")
            found.append(read_image(path))
        sizes = {image.shape for image in found}
        if len(sizes) > 1:
            raise InputError(f"{args.images}: images of different sizes, {' and '.join(map(str, sorted(sizes)[:2]))}.")
        yield np.stack(found)


def main(args: argparse.Namespace) -> None:
    if args.threads < 1 or args.tokens < 1 or (args.batch is not None and args.batch < 1):
        raise InputError(f"--threads {args.threads}, --tokens {args.tokens} and --batch must be 1 or more.")
    table = read_table(args.generations, ["id", "sample"])
    model = _model(args)
    captions = [text for images in _read(args, table) for text in model.caption(images)]
    empty = sum(not text for text in captions)
    if empty:
        print(f"warning: {empty} of {len(captions)} captions are empty")
    kept = ["id", "sample", *(["image"] if Path(args.images).is_dir() else [])]
    write_table(table[kept].assign(caption=captions), args.out)
    print(f"{len(captions)} captions, {len(set(captions))} different")
