"""Train an autoregressive model of promoters; an interrupted run goes on from its newest checkpoint and ends with the same weights."""

import argparse
import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from genovision import checkpoints, devices
from genovision.dna import markov
from genovision.dna.autoregression import Batches, bits_per_base, build, write_autoregression
from genovision.dna.examples import Examples, read_examples
from genovision.errors import InputError
from genovision.tables import write_table
from genovision.training import Recipe, train

CHAINS = {"markov0": (0, None), "markov2": (2, None), "markov3": (3, None), "markov5": (5, None)}
CHAINS |= {"position_markov3": (3, 6)}  # half window of 6 bases, as dna/draw_reference has it
_ORDER = 5  # of the chains the model begins with: a longer one has seen too few of its contexts


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", required=True, metavar="NPZ", help="of dna/encode_promoters")
    p.add_argument("--kind", default="recurrent", help="recurrent, transformer (default recurrent)")
    p.add_argument("--width", type=int, default=160, metavar="W", help="of the network (default 160)")
    p.add_argument("--layers", type=int, default=1, metavar="N", help="of the network (default 1)")
    p.add_argument("--heads", type=int, default=4, metavar="N", help="of a transformer (default 4)")
    p.add_argument("--inside", type=int, default=64, metavar="W", help="inputs of a recurrent network (default 64)")
    p.add_argument("--context", type=int, default=6, metavar="K", help="bases of a word (default 6)")
    p.add_argument("--dropout", type=float, default=0.1, metavar="SHARE", help="default 0.1")
    p.add_argument("--steps", type=int, default=450, metavar="N", help="of training (default 450)")
    p.add_argument("--batch", type=int, default=64, metavar="B", help="sequences per step (default 64)")
    p.add_argument("--learning-rate", type=float, default=4e-3, metavar="X", help="the highest one (default 4e-3)")
    p.add_argument("--weight-decay", type=float, default=0.01, metavar="X", help="default 0.01")
    p.add_argument("--average", type=float, default=0.99, metavar="X", help="decay of the averaged weights")
    p.add_argument("--unlabelled", type=float, default=0.1, metavar="SHARE", help="trained without species")
    p.add_argument("--save-every", type=int, default=200, metavar="STEPS", help="between checkpoints (default 200)")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--device", default="auto", metavar="NAME", help=devices.HELP)
    p.add_argument("--seed", type=int, default=0, help="of weights, order and labels (default 0)")
    p.add_argument("--out", required=True, metavar="FOLDER", help="gets the model, dna.json, curve.tsv and bits.tsv")
    return p


def counted(examples: Examples, order: int):
    """Per label, the species and then any: a chain of this order, and the share of each base at each position, of the training fold."""
    codes, species = examples.of("train")
    sets = [codes[species == label] for label in range(len(examples.names))] + [codes]
    frequencies = [(np.stack([(one == base).mean(axis=0) for base in range(4)], axis=1) + 0.01) / 1.04 for one in sets]
    return [markov.fit(one, order) for one in sets], frequencies


def bits(examples: Examples, network) -> pd.DataFrame:
    """Bits per base on the test fold, of the network and of the chains, per species."""
    (train_codes, train_species), (codes, species) = examples.of("train"), examples.of("test")
    rows = []
    for label, name in enumerate(examples.names):
        own, learned = codes[species == label], train_codes[train_species == label]
        if not len(own):
            raise InputError(f"the test fold has no sequence of {name}.")
        rows.append((name, "autoregression", bits_per_base(network, own, np.full(len(own), label))))
        for chain, (order, half_window) in CHAINS.items():
            rows.append((name, chain, markov.fit(learned, order, half_window).bits_per_base(own)))
    return pd.DataFrame(rows, columns=["species", "model", "bits_per_base"])


def main(args: argparse.Namespace) -> None:
    for name in ("threads", "save_every"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must be 1 or more.")
    recipe = Recipe(args.steps, args.batch, args.learning_rate, args.weight_decay, args.average, seed=args.seed)
    torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    examples = read_examples(args.data)
    sizes = {"width": args.width, "layers": args.layers, "context": args.context, "dropout": args.dropout}
    sizes |= {"inside": args.inside} if args.kind == "recurrent" else {"heads": args.heads}
    network = build(args.kind, args.seed, species=list(examples.names), length=examples.length, **sizes)
    network.begin_with(*counted(examples, min(_ORDER, args.context)))
    network = network.to(device)
    codes, labels = examples.of("train")
    batches = Batches(codes, labels, batch=args.batch, seed=args.seed, unlabelled=args.unlabelled)
    held_out = examples.some("validation")
    facts = {"recipe": recipe.to_json(), "unlabelled": args.unlabelled, "network": args.kind, "sizes": sizes}
    folder = Path(args.out)
    trained = train(
        network,
        batches.loss,
        recipe,
        lambda network: bits_per_base(network, *held_out),
        folder / "checkpoints",
        checkpoints.fingerprint(network, facts, codes, labels, *held_out),
        save_every=args.save_every,
    )
    end = trained.curve[-1]
    if not math.isfinite(end.loss):
        raise InputError(f"{folder.name}: the loss is {end.loss} at step {end.step}; lower --learning-rate.")
    table = bits(examples, trained.network)
    own = table[table["model"] == "autoregression"].set_index("species")["bits_per_base"]
    facts |= {
        "training_sequences": len(codes),
        "steps": args.steps,
        "seed": args.seed,
        "loss": end.loss,
        "held_out": end.measured,
        "bits_per_base": float(own.mean()),
        "bits_per_base_of": {name: float(value) for name, value in own.items()},
    }
    write_table(table, folder / "bits.tsv")
    write_autoregression(folder, trained.network, facts, trained.curve)
    checkpoints.clear(folder / "checkpoints")
    print(f"autoregression: {own.mean():.4f} bits per base on the test fold after {end.step} steps")
