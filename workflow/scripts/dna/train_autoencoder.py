"""Train an autoencoder of DNA; an interrupted run goes on from its newest whole checkpoint and ends with the same weights."""

import argparse
from pathlib import Path

import pandas as pd
import torch

from genovision import checkpoints, devices, training_options
from genovision.dna.autoencoders import ARCHITECTURES, SHORT, Examples, accuracy, build, statistics, write_autoencoder
from genovision.dna.examples import read_examples
from genovision.errors import InputError
from genovision.tables import write_table
from genovision.training import train, write_curve

# what the desk takes, by architecture; a patch's network is so small that it sees many sequences in seconds
DEFAULTS = {
    "patch": {"steps": 600, "batch": 64, "learning_rate": 5e-3, "kl_weight": 0.02},
    "conv": {"steps": 600, "batch": 16, "learning_rate": 1e-2, "kl_weight": 1e-6},
}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", required=True, metavar="NPZ", help="codes, species and fold of encode_promoters")
    p.add_argument("--architecture", default="patch", choices=ARCHITECTURES, help="default patch")
    p.add_argument("--patch", type=int, default=4, metavar="BASES", help="of the patch architecture (default 4)")
    p.add_argument("--channels", type=int, default=8, metavar="C", help="of the patch architecture (default 8)")
    p.add_argument("--pools", type=int, metavar="N", help="of conv (default 2; 4 for sequences of 2048 and more)")
    p.add_argument(
        "--halving",
        choices=("strides", "pooling"),
        help="of conv's tower (default strides; long: pooling, the paper's)",
    )
    p.add_argument("--maps", type=int, nargs="+", metavar="C", help="of conv's second stage (16 32; long: 8 16 32)")
    p.add_argument("--width", type=int, metavar="W", help="patch: hidden (default 128); conv: columns of the picture")
    p.add_argument("--kl-weight", type=float, metavar="X", help="of the divergence (default 0.02, conv 1e-6)")
    training_options.add(
        p, steps="600", batch="64, conv 16", learning_rate="5e-3, conv 1e-2", seed="weights, noise and order"
    )
    p.add_argument(
        "--out", required=True, metavar="FOLDER", help="gets the model, dna.json, curve.tsv and statistics.tsv"
    )
    return p


def options_of(args: argparse.Namespace, length: int) -> dict:
    """Sizes of the network."""
    if args.architecture == "patch":
        return {"length": length, "patch": args.patch, "channels": args.channels, "width": args.width or 128}
    sizes = SHORT if length < 2048 else {"pools": 4, "width": 128, "maps": (8, 16, 32)}
    given = {"pools": args.pools, "width": args.width, "maps": args.maps}
    if args.halving:
        sizes = sizes | {"strided": args.halving == "strides"}
    return {"length": length} | sizes | {name: value for name, value in given.items() if value}


def main(args: argparse.Namespace) -> None:
    usual = DEFAULTS[args.architecture]
    kl_weight = usual["kl_weight"] if args.kl_weight is None else args.kl_weight
    if not kl_weight >= 0:
        raise InputError(f"--kl-weight {kl_weight} must be 0 or more.")
    recipe = training_options.recipe(args, **usual)
    torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    sequences = read_examples(args.data)
    codes, _ = sequences.of("train")
    (held_out, _), (some, _) = sequences.of("validation"), sequences.some("validation")
    options = options_of(args, sequences.length)
    network = build(args.architecture, args.seed, **options).to(device)
    examples = Examples(codes, batch=recipe.batch, seed=args.seed, kl_weight=kl_weight)
    facts = {"recipe": recipe.to_json(), "kl_weight": kl_weight, "options": options}
    folder = Path(args.out)
    trained = train(
        network,
        examples.loss,
        recipe,
        lambda network: accuracy(network, some),
        folder / "checkpoints",
        checkpoints.fingerprint(network, facts, codes, held_out),
        save_every=args.save_every,
        points=args.points,
    )
    training_options.refuse_divergence(trained, "the autoencoder", recipe)
    last = trained.curve[-1]
    found = statistics(trained.network, held_out)
    write_curve(trained.curve, folder / "curve.tsv", "held_out")
    row = {"fold": "validation", "sequences": len(held_out)} | found._asdict()
    write_table(pd.DataFrame([row]), folder / "statistics.tsv")
    facts |= {"species": list(sequences.names), "length": sequences.length, "training_sequences": len(codes)}
    facts |= {"steps": last.step, "seed": args.seed, "loss": last.loss, "held_out": found.accuracy_mean}
    write_autoencoder(folder, trained.network, facts | {"statistics": found._asdict()})
    checkpoints.clear(folder / "checkpoints")
    print(
        f"autoencoder: {found.accuracy_mean:.2%} of held-out bases come back from the mean, {found.accuracy_sample:.2%} from a sample"
    )
