"""Draw the figures of the system punc: both uncertainties by set, AUROC of every score, uncertainty by group, contact sheets."""

import argparse

import numpy as np
import pandas as pd

from genovision.errors import InputError
from genovision.figures import save, style
from genovision.tables import read_table
from genovision.text_to_image import figures
from genovision.text_to_image.evaluation import KEYS
from genovision.text_to_image.generations import read_generations

LARGEST = 128  # pixels of a side on a contact sheet


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--world",
        required=True,
        action="append",
        nargs=4,
        metavar=("WORLD", "SCORES", "CAPTIONS", "IMAGES"),
        help="of score_generations, caption_images and generate_images; once per world",
    )
    p.add_argument("--similarity", default="bertscore", metavar="NAME", help="in the figures (default bertscore)")
    p.add_argument("--detection", required=True, metavar="TSV", help="of text_to_image/evaluate_punc")
    p.add_argument("--groups", required=True, metavar="TSV", help="of text_to_image/evaluate_punc")
    p.add_argument("--size", type=int, default=4, metavar="S", help="images judged together (default 4)")
    p.add_argument("--examples", type=int, default=2, metavar="N", help="best and worst of each set (default 2)")
    p.add_argument("--disentanglement-figure", required=True, metavar="SVG", help="precision against recall")
    p.add_argument("--groups-figure", required=True, metavar="SVG", help="uncertainty by group")
    p.add_argument("--auroc-figures", required=True, nargs="+", metavar="SVG", help="one per world")
    p.add_argument("--contact-sheets", required=True, nargs="+", metavar="SVG", help="one per world")
    return p


def main(args: argparse.Namespace) -> None:
    if args.examples < 1 or args.size < 1:
        raise InputError(f"--examples {args.examples} and --size {args.size} must be 1 or more.")
    for name in ("auroc_figures", "contact_sheets"):
        if len(getattr(args, name)) != len(args.world):
            raise InputError(f"--{name.replace('_', '-')}: one file per --world is needed, in the same order.")
    columns = [f"{args.similarity}_{side}" for side in ("epistemic", "aleatoric", "f1")]
    worlds = {name: read_table(path, [*KEYS, "text", *columns]) for name, path, _, _ in args.world}
    detection = read_table(args.detection, ["world", "score", "set", "metric", "value", "low", "high"])
    groups = read_table(args.groups, ["world", "set", "group", "score", "difference", "difference_low"])
    missing = [name for name in worlds if name not in set(detection["world"])]
    if missing:
        raise InputError(f"{args.detection} has no world {missing[0]}; evaluate its scores first.")
    with style():
        together = pd.concat([scores.assign(world=name) for name, scores in worlds.items()], ignore_index=True)
        save(figures.disentanglement(together, args.similarity), args.disentanglement_figure)
        save(figures.groups(groups), args.groups_figure)
        for name, path in zip(worlds, args.auroc_figures, strict=True):
            save(figures.detection(detection, name), path)
        for (name, scores, captions, images), path in zip(args.world, args.contact_sheets, strict=True):
            save(_sheet(worlds[name], scores, captions, images, columns[2], args), path)


def _sheet(scores: pd.DataFrame, label: str, captions: str, images: str, order: str, args: argparse.Namespace):
    """The contact sheet of the first seed."""
    scores = scores.assign(id=scores["id"].astype(str))
    prompts = list(dict.fromkeys(scores["id"]))
    generations = read_generations(captions, prompts, label, args.size)
    seed = generations.seeds[0]
    rows = figures.extremes(scores[scores["seed"] == seed], order, args.examples)
    number = {key: place * len(generations.seeds) for place, key in enumerate(prompts)}
    places = [number[key] for key in rows["id"]]
    drawn = [_small(image) for image in generations.images(images, places)]
    return figures.contact_sheet(rows, drawn, [generations.captions[place] for place in places], args.similarity)


def _small(images: np.ndarray) -> np.ndarray:
    """Images (S, H, W, 3) averaged over squares, so that none is much larger than `LARGEST`: a page holds many."""
    by = max(1, -(-max(images.shape[1:3]) // LARGEST))
    if by == 1:
        return images
    height, width = (size // by * by for size in images.shape[1:3])
    fields = images[:, :height, :width].reshape(len(images), height // by, by, width // by, by, 3)
    return np.rint(fields.mean(axis=(2, 4))).astype(np.uint8)
