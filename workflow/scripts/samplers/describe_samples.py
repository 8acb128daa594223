"""Features of generated and of real images by one network: what the distances between them are measured on."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from genovision.arrays import read_arrays, write_arrays
from genovision.classifiers import inception
from genovision.classifiers.image_sets import outside
from genovision.classifiers.outputs import outputs, read_model, refuse_untrained
from genovision.errors import InputError


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--samples", required=True, metavar="NPZ", help="of samplers/sample_denoiser")
    p.add_argument("--real", required=True, metavar="NPZ", help="`images` that the denoiser was not trained on")
    p.add_argument("--first", type=int, metavar="N", help="only the first N real images")
    network = p.add_mutually_exclusive_group(required=True)
    network.add_argument("--classifier", metavar="FOLDER", help="of classifiers/train_classifier; for grey images")
    network.add_argument("--inception", metavar="PTH", help="weights of FID's Inception; for all images")
    p.add_argument("--batch", type=int, default=500, metavar="B", help="images at a time (default 500)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument(
        "--out",
        required=True,
        metavar="NPZ",
        help="gets `features` (sampler, nfe, seed, image, D), `reference`, `real`",
    )
    return p


def main(args: argparse.Namespace) -> None:
    if args.batch < 1 or args.threads < 1 or (args.first is not None and args.first < 1):
        raise InputError(f"--batch {args.batch}, --threads {args.threads} and --first {args.first} must be 1 or more.")
    torch.set_num_threads(args.threads)
    arrays = read_arrays(args.samples, ["images", "present", "reference", "samplers", "nfe", "seeds"])
    real = read_arrays(args.real, ["images"])["images"][: args.first]
    one = arrays["reference"].shape[2:]
    if real.shape[1:] != one or real.dtype != np.uint8:
        raise InputError(
            f"{args.real} holds images of {real.dtype} of shape {real.shape[1:]}, {args.samples} of {one}."
        )
    if args.classifier and len(one) != 2:
        raise InputError(
            f"{args.samples} holds images of shape {one}; classifiers trained here take grey ones: use --inception."
        )
    describe = (
        by_classifier(args.classifier, args.batch) if args.classifier else by_inception(args.inception, args.batch)
    )
    found = {"real": describe(real), "reference": _rows(describe, arrays["reference"], one)}
    features = np.zeros(
        (*arrays["present"].shape, arrays["images"].shape[3], found["real"].shape[-1]), dtype=np.float32
    )
    features[arrays["present"]] = _rows(describe, arrays["images"][arrays["present"]], one)
    axes = {name: arrays[name] for name in ("samplers", "nfe", "seeds", "present")}
    write_arrays(args.out, features=features, **found, **axes)
    print(
        f"{int(arrays['present'].sum())} sets of {arrays['images'].shape[3]} images and {len(real)} real ones described"
    )


def by_classifier(folder: str, batch: int) -> Callable[[np.ndarray], np.ndarray]:
    """Features before the last layer of a classifier trained here, of images (N, H, W) uint8."""
    network, facts = read_model(Path(folder))
    refuse_untrained(facts, folder)
    if torch.cuda.is_available():
        network = network.to("cuda")
    return lambda images: outputs(network, outside(images), batch)["features"]


def by_inception(path: str, batch: int) -> Callable[[np.ndarray], np.ndarray]:
    """The 2048 features of FID, of images (N, H, W[, 3]) uint8."""
    network = inception.read_inception(path)
    return lambda images: inception.describe(network, images, batch)


def _rows(describe: Callable[[np.ndarray], np.ndarray], images: np.ndarray, one: tuple[int, ...]) -> np.ndarray:
    found = describe(images.reshape(-1, *one))
    return found.reshape(*images.shape[: images.ndim - len(one)], -1)
