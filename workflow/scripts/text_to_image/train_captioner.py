"""Train the desk's captioner; an interrupted run goes on from its newest whole checkpoint and ends with the same weights."""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from genovision import checkpoints, training_options
from genovision.arrays import read_arrays
from genovision.errors import InputError
from genovision.tables import read_table, write_table
from genovision.text_to_image.captioner import Examples, Network, Shape, agreement, decode, vocabulary, write_captioner
from genovision.text_to_image.encoder import read_embedded
from genovision.training import train, write_curve


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--images", required=True, metavar="NPZ", help="`images` (N, H, H, 3) of bytes, H a multiple of 8")
    p.add_argument("--captions", required=True, metavar="TABLE", help="column caption, a row per image")
    p.add_argument("--embeddings", required=True, metavar="NPZ", help="pooled ones of the captions, of embed_texts")
    p.add_argument(
        "--test",
        nargs="*",
        default=[],
        metavar="NPZ",
        help="further image sets, each beside a table of the same name (<set>.tsv, column caption), for the accuracy",
    )
    p.add_argument("--channels", type=int, default=32, metavar="C", help="of the first layer (default 32)")
    p.add_argument("--width", type=int, default=256, metavar="W", help="of features and decoder (default 256)")
    training_options.add(
        p,
        batch=64,
        of="images",
        learning_rate=2e-3,
        weight_decay=0.001,
        average=None,
        seed="weights, noise and order",
        device=False,
    )
    p.add_argument(
        "--out", required=True, metavar="FOLDER", help="gets model.safetensors, config.json, curve.tsv and accuracy.tsv"
    )
    return p


def _set(images: str, captions: str | Path) -> tuple[np.ndarray, list[str]]:
    found = read_arrays(images, ["images"])["images"]
    texts = read_table(captions, ["caption"])["caption"].fillna("").astype(str).tolist()
    if found.ndim != 4 or found.shape[1] != found.shape[2] or found.shape[3] != 3 or found.dtype != np.uint8:
        raise InputError(f"{images}: images must be (N, H, H, 3) of bytes, not {found.shape} of {found.dtype}.")
    if len(found) != len(texts) or not texts:
        raise InputError(f"{images} has {len(found)} images, {captions} {len(texts)} rows; make them again.")
    return found, texts


def main(args: argparse.Namespace) -> None:
    recipe = training_options.recipe(args)
    torch.set_num_threads(args.threads)
    images, captions = _set(args.images, args.captions)
    embedded = read_embedded(args.embeddings)
    if list(embedded.texts) != captions or embedded.pooled.shape[1] == 0:
        raise InputError(f"{args.embeddings} holds no pooled embeddings of {args.captions}, column caption.")
    tests = {Path(path).stem: _set(path, Path(path).with_suffix(".tsv")) for path in args.test}
    words = vocabulary(captions)
    shape = Shape(images.shape[1], len(words), embedded.pooled.shape[1], args.channels, args.width)
    network = Network(shape, args.seed)
    examples = Examples(images, captions, embedded.pooled, words, batch=recipe.batch, seed=args.seed)
    facts = {"recipe": recipe.to_json(), "words": words, "shape": asdict(shape)}
    glance = slice(None, None, max(1, len(images) // 500))

    def measure(network) -> float:
        said = decode(network, images[glance], words, examples.longest)
        return float(np.mean([a == b for a, b in zip(said, captions[glance], strict=True)]))

    folder = Path(args.out)
    trained = train(
        network,
        examples.loss,
        recipe,
        measure,
        folder / "checkpoints",
        checkpoints.fingerprint(network, facts, images, embedded.pooled, examples.target.numpy()),
        save_every=args.save_every,
        points=args.points,
    )
    training_options.refuse_divergence(trained, "the captioner", recipe)
    write_curve(trained.curve, folder / "curve.tsv", "training_captions_exact")
    sets = {"training": (images, captions)} | tests
    said = {name: decode(trained.network, found, words, examples.longest) for name, (found, _) in sets.items()}
    write_table(agreement({name: (sets[name][1], texts) for name, texts in said.items()}), folder / "accuracy.tsv")
    facts = {"recipe": recipe.to_json(), "loss": trained.curve[-1].loss, "images": len(images)}
    write_captioner(folder, trained.network, words, examples.longest, facts)
    checkpoints.clear(folder / "checkpoints")
    print(f"captioner: loss {trained.curve[-1].loss:.4f} after {trained.curve[-1].step} steps")
