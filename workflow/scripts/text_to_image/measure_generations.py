"""Uncertainties of prompts that need the captioner or the generator itself: feature distance, CLIPScore, DDPM-OOD, LMD, 2XDM, ensembles.

One row per prompt and noise seed, for text_to_image/score_generations --measured; higher = more uncertain.
"""

import argparse

import numpy as np
import pandas as pd
import torch

from genovision.arrays import read_arrays
from genovision.errors import InputError
from genovision.tables import read_table, write_table
from genovision.text_to_image import baselines
from genovision.text_to_image.baselines import FeatureDistance
from genovision.text_to_image.captioner import Captioner
from genovision.text_to_image.encoder import Encoder
from genovision.text_to_image.generations import Generations, read_generations
from genovision.text_to_image.generator import Generator


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--prompts", required=True, metavar="TABLE", help="id, text")
    p.add_argument("--captions", required=True, metavar="TABLE", help="id, sample, caption: a row per image")
    p.add_argument("--size", type=int, default=4, metavar="S", help="images judged together (default 4)")
    p.add_argument("--images", required=True, metavar="NPZ", help="array `images`, a row per row of --captions")
    p.add_argument("--members", nargs="+", default=[], metavar="NPZ", help="of other generators from the same noise")
    p.add_argument("--encoder", required=True, metavar="FOLDER", help="that captioner and generator were trained with")
    p.add_argument("--captioner", required=True, metavar="FOLDER", help="of text_to_image/train_captioner")
    p.add_argument("--generator", metavar="FOLDER", help="of text_to_image/train_generator; for DDPM-OOD and LMD")
    p.add_argument("--training", nargs=2, metavar=("TABLE", "NPZ"), help="texts and images: the scale of DDPM-OOD")
    p.add_argument("--references", type=int, default=200, metavar="N", help="of the training images (default 200)")
    p.add_argument(
        "--levels", nargs="+", type=float, default=[0.3, 0.5, 0.7], metavar="L", help="of noise, shares of all steps"
    )
    p.add_argument(
        "--judged", type=int, default=1, metavar="N", help="of each S images by DDPM-OOD and LMD (default 1)"
    )
    p.add_argument("--cells", type=int, default=8, metavar="N", help="fields of LMD's checkerboard a side (default 8)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--out", required=True, metavar="TABLE", help="id, seed and the uncertainties")
    return p


def main(args: argparse.Namespace) -> None:
    for name in ("size", "references", "judged", "cells", "threads"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} {getattr(args, name)} must be 1 or more.")
    if args.generator and not args.training:
        raise InputError("--training is needed with --generator: DDPM-OOD takes its scale from training images.")
    torch.set_num_threads(args.threads)
    prompts = read_table(args.prompts, ["id", "text"]).astype({"id": str, "text": str})
    generations = read_generations(args.captions, prompts["id"].tolist(), args.prompts, args.size)
    images = generations.images(args.images)
    encoder, captioner = Encoder(args.encoder), Captioner(args.captioner)
    texts = prompts["text"].repeat(len(generations.seeds)).tolist()
    found = pd.DataFrame({"id": prompts["id"].repeat(len(generations.seeds)).to_numpy()})
    found["seed"] = np.tile(generations.seeds, len(prompts))
    for name, values in _by_captioner(images, prompts, generations, encoder, captioner, args).items():
        found[name] = values
    if args.generator:
        generator = Generator(args.generator, encoder)
        for name, values in _by_generator(images[:, : args.judged], texts, generator, captioner, args).items():
            found[name] = values
    write_table(found, args.out)
    print(f"{', '.join(found.columns[2:])} of {len(prompts)} prompts, {len(generations.seeds)} seeds")


def _by_captioner(
    images: np.ndarray,
    prompts: pd.DataFrame,
    generations: Generations,
    encoder: Encoder,
    captioner: Captioner,
    args: argparse.Namespace,
) -> dict[str, np.ndarray]:
    distance = FeatureDistance(captioner.features)
    found = {"feature_distance": baselines.pairwise(images, distance)} if generations.samples > 1 else {}
    pooled = encoder.embed(prompts["text"].tolist())[0].pooled
    seen = captioner.embed(images.reshape(-1, *images.shape[2:])).reshape(*images.shape[:2], -1)
    if seen.shape[-1] != pooled.shape[-1]:
        raise InputError(f"the captioner in {args.captioner} was trained with another encoder than {args.encoder}.")
    found["clip_score"] = baselines.clip_score(seen, np.repeat(pooled, len(generations.seeds), axis=0))
    if args.members:
        others = [generations.images(path) for path in args.members]
        for path, other in zip(args.members, others, strict=True):
            if other.shape != images.shape:
                raise InputError(f"{path} has images {other.shape[2:]}, {args.images} has {images.shape[2:]}.")
        found["two_models_features"] = baselines.two_models(images, others[0], distance)
        found["ensemble_features"] = baselines.ensemble([images, *others], distance)
    return found


def _by_generator(
    images: np.ndarray, texts: list[str], generator: Generator, captioner: Captioner, args: argparse.Namespace
) -> dict[str, np.ndarray]:
    if not all(0 < level <= 1 for level in args.levels):
        raise InputError(f"--levels {' '.join(map(str, args.levels))}: each must lie in (0, 1].")
    features = FeatureDistance(captioner.features)
    distances = (baselines.squared_error, features)
    known, said = _references(*args.training, args.references)
    measure = [
        baselines.reconstruction_errors(some, told, generator.reconstruct, args.levels, distances)
        for some, told in ((known[:, None], said), (images, texts))
    ]
    return {
        "ddpm_ood": baselines.ddpm_ood(measure[1], measure[0]),
        "lmd": baselines.lmd(images, texts, generator.inpaint, features, args.cells),
    }


def _references(table: str, path: str, number: int) -> tuple[np.ndarray, list[str]]:
    """Evenly spaced training images and their texts."""
    training, images = read_table(table), read_arrays(path, ["images"])["images"]
    column = next((name for name in ("text", "caption") if name in training), None)
    if column is None or len(training) != len(images) or len(images) < 2:
        raise InputError(
            f"{table} needs a column `text` or `caption` with a row for each of two or more images of {path}."
        )
    chosen = np.unique(np.linspace(0, len(images) - 1, min(number, len(images))).astype(int))
    return images[chosen], training[column].iloc[chosen].astype(str).tolist()
