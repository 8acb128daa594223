"""Train the desk's text-to-image model; an interrupted run goes on from its newest whole checkpoint and ends with the same weights."""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from genovision import checkpoints, training_options
from genovision.arrays import read_arrays
from genovision.errors import InputError
from genovision.tables import read_table
from genovision.text_to_image.encoder import Encoder, read_embedded
from genovision.text_to_image.generator import NOISE, Denoiser, Examples, Shape, components, write_generator
from genovision.training import train, write_curve


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--images", required=True, metavar="NPZ", help="`images` (N, H, H, 3) of bytes")
    p.add_argument("--texts", required=True, metavar="TABLE", help="a row per image; its texts are those embedded")
    p.add_argument("--column", default="text", help="of the texts (default text)")
    p.add_argument("--embeddings", required=True, metavar="NPZ", help="tokens of the texts, of embed_texts")
    p.add_argument("--layer", required=True, type=int, metavar="L", help="of the encoder they are the hidden state of")
    p.add_argument("--encoder", required=True, metavar="FOLDER", help="that made them; the model remembers its digest")
    p.add_argument("--components", type=int, default=256, metavar="D", help="of the latent (default 256)")
    p.add_argument("--width", type=int, default=512, metavar="W", help="of the denoiser (default 512)")
    p.add_argument("--blocks", type=int, default=4, metavar="N", help="of the denoiser (default 4)")
    p.add_argument("--text-width", type=int, default=128, metavar="W", help="of the text tower (default 128)")
    p.add_argument("--text-layers", type=int, default=1, metavar="N", help="of the text tower (default 1)")
    p.add_argument("--queries", type=int, default=5, metavar="N", help="that read a text (default 5)")
    p.add_argument("--length", type=int, default=48, metavar="L", help="tokens of a text that are read (default 48)")
    p.add_argument(
        "--unconditional", type=float, default=0.1, metavar="SHARE", help="trained without a text (default 0.1)"
    )
    training_options.add(p, batch=128, of="images", learning_rate=2e-3, seed="weights, noise and order", device=False)
    p.add_argument("--out", required=True, metavar="FOLDER", help="gets model.safetensors, config.json and curve.tsv")
    return p


def read_images(path: str) -> np.ndarray:
    """Square images (N, H, H, 3) of bytes."""
    images = read_arrays(path, ["images"])["images"]
    if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2] or images.dtype != np.uint8:
        raise InputError(f"{path}: images must be (N, H, H, 3) of bytes, not {images.shape} of {images.dtype}.")
    if not len(images):
        raise InputError(f"{path} holds no image.")
    return images


def main(args: argparse.Namespace) -> None:
    if not 0 <= args.unconditional < 1:
        raise InputError(f"--unconditional {args.unconditional} must lie in [0, 1).")
    recipe = training_options.recipe(args)
    torch.set_num_threads(args.threads)
    images, embedded = read_images(args.images), read_embedded(args.embeddings)
    texts = read_table(args.texts, [args.column])[args.column].fillna("").astype(str).to_numpy()
    if len(images) != len(texts) or not np.array_equal(texts, embedded.texts):
        raise InputError(
            f"{args.images}, {args.texts} (column {args.column}) and {args.embeddings} are not of the same examples; make them again."
        )
    if embedded.tokens.shape[1] == 0:
        raise InputError(f"{args.embeddings} holds no token embeddings; write it with --parts tokens or both.")
    shape = Shape(
        images.shape[1],
        embedded.tokens.shape[1],
        components=args.components,
        length=args.length,
        width=args.width,
        blocks=args.blocks,
        text=args.text_width,
        layers=args.text_layers,
        queries=args.queries,
    )
    encoder = Encoder.digest_of(args.encoder)
    # of the images alone, so that generators of several seeds share one latent space
    basis = components(images, shape.components)
    network = Denoiser(shape, args.seed)
    share = args.unconditional
    examples = Examples(images, embedded, basis, shape.length, batch=recipe.batch, seed=args.seed, unconditional=share)
    facts = {"recipe": recipe.to_json(), "unconditional": share, "shape": asdict(shape), "noise": NOISE}
    folder = Path(args.out)
    trained = train(
        network,
        examples.loss,
        recipe,
        examples.measure,
        folder / "checkpoints",
        checkpoints.fingerprint(network, facts, images, embedded.tokens, embedded.starts),
        save_every=args.save_every,
        points=args.points,
    )
    training_options.refuse_divergence(trained, "the generator", recipe)
    write_curve(trained.curve, folder / "curve.tsv", "error_at_half_noise")
    facts |= {"layer": args.layer, "encoder": encoder, "loss": trained.curve[-1].loss, "images": len(images)}
    write_generator(folder, trained.network, basis, facts)
    checkpoints.clear(folder / "checkpoints")
    print(f"generator: loss {trained.curve[-1].loss:.4f} after {trained.curve[-1].step} steps")
