"""Generate images for a list of prompts, some for each; images that the cache has are not made again, so an interrupted run goes on."""

import argparse
import json

import numpy as np
import pandas as pd

from genovision.arrays import write_arrays
from genovision.errors import InputError
from genovision.tables import read_table, write_table
from genovision.text_to_image.encoder import check_ids, check_texts
from genovision.text_to_image.image_cache import ImageCache, generate, image_seed


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--prompts", required=True, metavar="TABLE", help="columns id and text")
    model = p.add_mutually_exclusive_group(required=True)
    model.add_argument("--model", metavar="FOLDER", help="of train_generator; needs --encoder")
    model.add_argument("--hub", metavar="MODEL", help="text-to-image pipeline of diffusers: folder, or name on the hub")
    p.add_argument("--encoder", metavar="FOLDER", help="that --model was trained with")
    p.add_argument("--samples", type=int, default=4, metavar="S", help="images of each prompt (default 4)")
    p.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    p.add_argument(
        "--scheduler",
        default="DPMSolverMultistepScheduler",
        help="of --model: a class of diffusers or of genovision.samplers, by name",
    )
    p.add_argument("--options", default="{}", metavar="JSON", help="of the scheduler, by name")
    p.add_argument("--steps", type=int, metavar="N", help="of sampling (default 10; --hub: the pipeline's)")
    p.add_argument("--guidance", type=float, metavar="X", help="1: none (default 2; --hub: the pipeline's)")
    p.add_argument("--size", type=int, metavar="PIXELS", help="--hub: of both sides (default the pipeline's)")
    p.add_argument("--precision", default="float32", help="--hub: float32, bfloat16 or float16 (default float32)")
    p.add_argument("--revision", help="--hub: of the name, for the same weights every time")
    p.add_argument("--batch", type=int, metavar="B", help="images at a time (default 256; --hub: 4)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--cache", required=True, metavar="FOLDER", help="keeps the images, across runs")
    p.add_argument(
        "--out", required=True, metavar="TSV", help="id, sample, seed, image (file in the cache): row per image"
    )
    p.add_argument("--images", metavar="NPZ", help="gets the images too, in the order of the rows")
    return p


def _model(args: argparse.Namespace):
    """(model, what its images are made from)."""
    import torch

    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if args.hub is not None:
        from genovision.text_to_image.hub import HubGenerator

        hub = HubGenerator(
            args.hub,
            steps=args.steps,
            guidance=args.guidance,
            size=args.size,
            precision=args.precision,
            device=device,
            revision=args.revision,
        )
        return hub, {"model": hub.digest}
    if args.encoder is None:
        raise InputError("--model needs --encoder, the folder of the encoder it was trained with.")
    from genovision.text_to_image.encoder import Encoder
    from genovision.text_to_image.generator import Generator, Sampling

    defaults = Sampling()
    sampling = Sampling(
        args.scheduler,
        defaults.steps if args.steps is None else args.steps,
        defaults.guidance if args.guidance is None else args.guidance,
        _options(args.options),
    )
    desk = Generator(args.model, Encoder(args.encoder), sampling, args.batch)
    return desk, {"model": desk.digest, "sampling": sampling.to_json()}


def _options(text: str) -> tuple:
    try:
        options = json.loads(text)
    except ValueError as error:
        raise InputError(f"--options {text!r} is no JSON ({error}).") from error
    if not isinstance(options, dict):
        raise InputError(f'--options {text!r} must be an object, as in {{"solver_order": 3}}.')
    return tuple(sorted(options.items()))


def main(args: argparse.Namespace) -> None:
    args.batch = (256 if args.hub is None else 4) if args.batch is None else args.batch
    for name in ("samples", "batch", "threads"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} {getattr(args, name)} must be 1 or more.")
    table = read_table(args.prompts, ["id", "text"])
    ids, texts = table["id"].astype(str).tolist(), table["text"].fillna("").astype(str).tolist()
    check_ids(ids, args.prompts)
    check_texts(texts, ids)
    model, made_from = _model(args)
    rows = [(key, sample) for key in ids for sample in range(args.samples)]
    seeds = [image_seed(args.seed, key, sample) for key, sample in rows]
    prompts = [text for text in texts for _ in range(args.samples)]
    names, images, made = [], [], 0
    from tqdm import tqdm

    with tqdm(total=len(rows), unit="image", disable=None) as progress:

        def tell(new: int, done: int) -> None:
            nonlocal made
            made += new
            progress.update(done - progress.n)

        for name, image in generate(model, prompts, seeds, ImageCache(args.cache, made_from), args.batch, tell):
            names.append(name)
            if args.images:
                images.append(image)
    for sentence in model.cuts.values():
        print(f"warning: {sentence}")
    if args.images:
        write_arrays(args.images, images=np.stack(images))
    out = pd.DataFrame(rows, columns=["id", "sample"])
    write_table(out.assign(seed=seeds, image=names), args.out)
    print(f"{len(rows)} images of {len(ids)} prompts, {made} of them new")
