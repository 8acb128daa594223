"""Draw sequences of every species from a trained generator: tokens with the model's confidence, and one FASTA set per species."""

import argparse

import numpy as np
import pandas as pd
import torch

from genovision import devices
from genovision.alphabet import decode
from genovision.dna.examples import Drawn, Samples, check_length, check_names, read_examples, write_samples
from genovision.dna.fasta import write_set
from genovision.dna.generators import OPTIONS, effective_options, open_generator
from genovision.errors import InputError
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--generator", required=True, metavar="FOLDER", help="a trained model")
    p.add_argument("--data", required=True, metavar="NPZ", help="of dna/encode_promoters: species, and how many")
    p.add_argument("--number", type=int, default=0, metavar="N", help="per species; 0: the test fold's (default 0)")
    p.add_argument("--name", required=True, help="of the set")
    p.add_argument("--sampler", help="of a diffusion model, by its name in genovision.samplers")
    p.add_argument("--nfe", type=int, metavar="N", help="evaluations of the network")
    p.add_argument("--rounds", type=int, metavar="N", help="of a masked model")
    p.add_argument("--guidance", type=float, metavar="W", help="1: the conditional model as it is")
    p.add_argument("--temperature", type=float, metavar="T", help="1: the model as it is")
    p.add_argument("--posterior", action="store_true", help="each base's probability given the others, too")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--device", default="auto", metavar="NAME", help=devices.HELP)
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument("--out", required=True, metavar="NPZ", help="tokens, confidence, species, posterior")
    p.add_argument("--table", metavar="TSV", help="how they were drawn: sampler, nfe, rounds, guidance, temperature")
    p.add_argument("--sets", required=True, nargs="+", metavar="FASTA", help="one per species, in label order")
    return p


def _check_finite(folder: str, confidence: np.ndarray) -> None:
    """InputError naming the first place where the model gave no probability."""
    if not np.isfinite(confidence).all():
        row, place = np.argwhere(~np.isfinite(confidence))[0]
        raise InputError(
            f"{folder} gives no probability (nan) for sequence {row} at position {place}: its weights are damaged or its training "
            "diverged; train it again."
        )


def main(args: argparse.Namespace) -> None:
    if args.number < 0 or args.seed < 0 or args.threads < 1:
        raise InputError("--number and --seed must not be negative, --threads must be 1 or more.")
    torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    examples = read_examples(args.data)
    if len(args.sets) != len(examples.names):
        raise InputError(f"--sets names {len(args.sets)} files; {args.data} has {len(examples.names)} species.")
    generator = open_generator(args.generator, device)
    check_names(args.generator, generator.names, examples.names)
    check_length(args.generator, generator.length, examples.length)
    _, held_out = examples.of("test")
    counts = [args.number or int((held_out == label).sum()) for label in range(len(examples.names))]
    labels = np.repeat(np.arange(len(counts)), counts)
    given = {name: getattr(args, name) for name in OPTIONS if getattr(args, name) is not None}
    settings = effective_options(generator, given)
    drawn = Drawn(*generator.draw(labels, args.seed, **given))
    _check_finite(args.generator, drawn.confidence)
    posterior = generator.posterior(drawn.tokens, labels, args.seed) if args.posterior else None
    for label, path in enumerate(args.sets):
        write_set(args.name, decode(drawn.tokens[labels == label]), path)
    write_samples(args.out, Samples(drawn.tokens, drawn.confidence, labels, examples.names, posterior))
    if args.table:
        row = {"set": args.name} | {name: settings.get(name) for name in OPTIONS}
        write_table(pd.DataFrame([row]), args.table)
    print(f"{args.name}: {len(labels)} sequences, mean confidence {drawn.confidence.mean():.3f}")
