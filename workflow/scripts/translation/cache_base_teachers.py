"""Write what an ensemble of autoregressive promoter models says of training and validation sequences, once for all students."""

import argparse
import os

import numpy as np
import torch

from genovision import devices
from genovision.dna.autoregression import log_distributions, read_autoregression
from genovision.dna.examples import Examples, read_examples
from genovision.errors import InputError
from genovision.translation.base_students import TRAIN, VALIDATION, Cache, write_cache

FOLDS = {"train": TRAIN, "validation": VALIDATION}
LABELS = ("any", "species")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--models", required=True, nargs="+", metavar="FOLDER", help="of dna/train_autoregression: two members or more"
    )
    p.add_argument("--data", required=True, metavar="NPZ", help="of dna/encode_promoters")
    p.add_argument(
        "--labels",
        choices=LABELS,
        default="any",
        help="what members are told: no species, as score_base_system asks them (default), or the sequence's own",
    )
    p.add_argument(
        "--number", type=int, default=0, metavar="N", help="training sequences, evenly chosen; 0 = all (default 0)"
    )
    p.add_argument(
        "--validation", type=int, default=600, metavar="N", help="validation sequences; 0 = all (default 600)"
    )
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--device", default="auto", metavar="NAME", help=devices.HELP)
    p.add_argument("--out", required=True, metavar="NPZ", help="codes, labels, fold and log-probabilities (N, L, M, 4)")
    return p


def _chosen(examples: Examples, fold: str, species: tuple[str, ...], number: int):
    """Codes and labels of sequences of the models' species, evenly chosen over the file's order."""
    codes, of = examples.of(fold)
    known = np.array([species.index(name) if name in species else -1 for name in examples.names])[of]
    rows = np.flatnonzero(known >= 0)
    if not len(rows):
        raise InputError(f"the {fold} fold has no sequence of {', '.join(species)}, the species of the models.")
    if 0 < number < len(rows):
        rows = rows[np.linspace(0, len(rows) - 1, number).astype(np.int64)]
    return codes[rows], known[rows]


def main(args: argparse.Namespace) -> None:
    if args.threads < 1 or args.number < 0 or args.validation < 0:
        raise InputError(
            f"--threads {args.threads} must be 1 or more, --number {args.number} and --validation {args.validation} not negative."
        )
    if len(args.models) < 2:
        raise InputError("--models names one model; an ensemble has two members or more.")
    torch.set_num_threads(args.threads)
    examples = read_examples(args.data)
    device = devices.choose(args.device)
    models = [read_autoregression(folder, device)[0] for folder in args.models]
    for folder, model in zip(args.models, models, strict=True):
        if tuple(model.species) != tuple(models[0].species):
            raise InputError(
                f"{folder} knows {', '.join(model.species)} and {args.models[0]} {', '.join(models[0].species)}; "
                "members of an ensemble need the same species."
            )
        if model.length != examples.length:
            raise InputError(
                f"{folder} reads sequences of {model.length} bases, those of {args.data} have {examples.length}."
            )
    species, numbers = tuple(models[0].species), {"train": args.number, "validation": args.validation}
    codes, labels = zip(*(_chosen(examples, fold, species, numbers[fold]) for fold in FOLDS), strict=True)
    fold = np.repeat(np.array(list(FOLDS.values()), dtype=np.uint8), [len(part) for part in codes])
    codes, labels = np.concatenate(codes), np.concatenate(labels)
    if args.labels == "any":
        labels = np.full(len(labels), models[0].anything)
    logs = np.stack([log_distributions(model, codes, labels).astype(np.float16) for model in models], axis=2)
    write_cache(args.out, Cache(codes, labels, logs, fold, species))
    print(
        f"{len(models)} members, {(fold == TRAIN).sum()} training and {(fold == VALIDATION).sum()} validation sequences: "
        f"{os.path.getsize(args.out) / 1e6:.1f} MB"
    )
