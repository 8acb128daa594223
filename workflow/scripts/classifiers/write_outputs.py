"""Write what every score reads: logits, features and labels of one trained classifier on each image set, and its last layer."""

import argparse
import os
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA is deterministic only with it, and reads it at start

import torch

from genovision.arrays import write_arrays
from genovision.classifiers.image_sets import read_set
from genovision.classifiers.outputs import head, outputs, read_model, refuse_untrained
from genovision.errors import InputError


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--model", required=True, metavar="FOLDER", help="of classifiers/train_classifier")
    p.add_argument("--sets", required=True, nargs="+", metavar="NPZ", help="image sets; each gives <its name>.npz")
    p.add_argument(
        "--first",
        action="append",
        nargs=2,
        default=[],
        metavar=("SET", "N"),
        help="only the first N images of a set, such as the bank that `train` is; once per set",
    )
    p.add_argument("--batch", type=int, default=500, metavar="B", help="images at a time (default 500)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--out", required=True, metavar="FOLDER", help="gets <set>.npz for every set, and head.npz")
    return p


def main(args: argparse.Namespace) -> None:
    if args.batch < 1 or args.threads < 1:
        raise InputError(f"--batch {args.batch} and --threads {args.threads} must be 1 or more.")
    names = [Path(path).stem for path in args.sets]
    twice = [name for name in names if names.count(name) > 1 or name == "head"]
    if twice:
        raise InputError(f"--sets: {twice[0]} is the name of two outputs; rename one.")
    unknown = [
        f"{name} {number}"
        for name, number in args.first
        if name not in names or not number.isdecimal() or int(number) < 1
    ]
    if unknown:
        raise InputError(f"--first {unknown[0]}: give one of {', '.join(names)}, and a number of images.")
    first = {name: int(number) for name, number in args.first}
    torch.set_num_threads(args.threads)
    network, facts = read_model(Path(args.model))
    refuse_untrained(facts, args.model)
    if torch.cuda.is_available():
        # on a CPU inference is deterministic as it is, and this call takes a second of imports
        torch.use_deterministic_algorithms(True)
        network = network.to("cuda")
    for name, path in zip(names, args.sets, strict=True):
        images = read_set(path, network.shape.classes)[: first.get(name)]
        try:
            found = outputs(network, images, args.batch)
        except ValueError as error:
            raise InputError(f"model {facts.get('name', args.model)} on {path}: {error}") from error
        write_arrays(Path(args.out) / f"{name}.npz", **found)
    write_arrays(Path(args.out) / "head.npz", **head(network))
    print(f"{facts.get('name', args.model)}: outputs on {len(names)} sets")
