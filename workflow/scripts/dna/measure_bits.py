"""Bits per base of an autoregressive model on the test fold beside a Markov chain's, resampled by sequence, for the claims ledger."""

import argparse

import numpy as np
import pandas as pd
import torch

from genovision import devices
from genovision.dna import markov
from genovision.dna.autoregression import log_probabilities, read_autoregression
from genovision.dna.examples import check_names, read_examples
from genovision.errors import InputError
from genovision.resampling import bootstrap_counts, stream
from genovision.tables import write_table
from genovision.uncertainty.evaluation import evidence


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--model", required=True, metavar="FOLDER", help="of dna/train_autoregression")
    p.add_argument("--name", required=True, help="side of the model in the evidence")
    p.add_argument("--data", required=True, metavar="NPZ", help="of dna/encode_promoters")
    p.add_argument("--order", type=int, default=5, metavar="K", help="of the chain, fitted per species (default 5)")
    p.add_argument("--system", default="absorb_escape", metavar="SLUG", help="named in the evidence")
    p.add_argument("--replicates", type=int, default=200, metavar="R", help="bootstrap samples (default 200)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--device", default="auto", metavar="NAME", help=devices.HELP)
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument("--out", required=True, metavar="TSV", help="replicates by species, sides the model and markov<k>")
    return p


def main(args: argparse.Namespace) -> None:
    if args.replicates < 0 or args.seed < 0 or args.threads < 1 or not 0 <= args.order <= 8:
        raise InputError("--replicates and --seed must not be negative, --threads 1 or more, --order in 0 to 8.")
    torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    examples, (network, _) = read_examples(args.data), read_autoregression(args.model, device)
    check_names(args.model, network.species, examples.names)
    (learned, of_learned), (codes, species) = examples.of("train"), examples.of("test")
    frames = []
    for label, name in enumerate(examples.names):
        own = codes[species == label]
        chain = markov.fit(learned[of_learned == label], args.order)
        sides = {
            args.name: log_probabilities(network, own, np.full(len(own), label)),
            f"markov{args.order}": chain.log_probabilities(own),
        }
        counts = bootstrap_counts(len(own), args.replicates, stream(args.seed, f"bits {name}"))
        weights = np.vstack([np.ones((1, len(own))), counts]) / len(own)
        for side, logs in sides.items():
            values = weights @ (-logs.mean(axis=1) / np.log(2))
            frames.append(evidence(args.system, "bits_per_base", side, name, values))
    write_table(pd.concat(frames, ignore_index=True), args.out)
    print(f"{args.name}: bits per base of {len(codes)} test sequences")
