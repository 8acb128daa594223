"""Measure every run of a designed experiment on latent diffusion against the validation fold."""

import argparse

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from genovision import devices
from genovision.dna.examples import check_length, check_names, read_examples, read_samples
from genovision.dna.selection import Validation
from genovision.errors import InputError
from genovision.tables import write_table

FACTORS = ["autoencoder", "prediction", "betas", "width", "seed"]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", required=True, metavar="NPZ", help="of dna/encode_promoters")
    p.add_argument(
        "--run",
        required=True,
        action="append",
        nargs=len(FACTORS) + 1,
        metavar=(*[name.upper() for name in FACTORS], "NPZ"),
        help="levels of the factors and the samples; once per run",
    )
    p.add_argument("--embedding", required=True, metavar="FOLDER", help="of dna/train_embedding")
    p.add_argument("--autoencoder", required=True, metavar="FOLDER", help="of dna/train_autoencoder, for FReD")
    p.add_argument("--components", type=int, default=16, metavar="C", help="of FReD's features (default 16)")
    p.add_argument("--number", type=int, default=500, metavar="N", help="sequences per species (default 500)")
    p.add_argument("--replicates", type=int, default=50, metavar="R", help="bootstrap samples (default 50)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--device", default="auto", metavar="NAME", help=devices.HELP)
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument("--out", required=True, metavar="TSV", help="a row per run and metric")
    return p


def main(args: argparse.Namespace) -> None:
    if args.number < 2 or args.replicates < 2 or args.seed < 0 or args.threads < 1:
        raise InputError("--number and --replicates must be 2 or more, --threads 1 or more, --seed not negative.")
    torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    examples, runs = read_examples(args.data), [(levels, path, read_samples(path)) for *levels, path in args.run]
    number = min(args.number, *(count for _, _, samples in runs for count in np.bincount(samples.species)))
    validation = Validation(
        examples,
        args.embedding,
        args.autoencoder,
        components=args.components,
        number=number,
        replicates=args.replicates,
        seed=args.seed,
        device=device,
    )
    frames = []
    for levels, path, samples in tqdm(runs, desc="runs", disable=None):
        check_names(path, samples.names, examples.names)
        check_length(path, samples.tokens.shape[1], examples.length)
        frames.append(
            validation.measure(samples.tokens, samples.species).assign(**dict(zip(FACTORS, levels, strict=True)))
        )
    write_table(pd.concat(frames, ignore_index=True), args.out)
    print(f"{len(frames)} runs")
