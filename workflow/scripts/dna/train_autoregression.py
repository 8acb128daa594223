"""Train an autoregressive model of promoters; an interrupted run goes on from its newest checkpoint and ends with the same weights."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from genovision import checkpoints, devices, training_options
from genovision.dna import markov
from genovision.dna.autoregression import Batches, bits_per_base, build, write_autoregression
from genovision.dna.examples import Examples, read_examples
from genovision.errors import InputError
from genovision.tables import write_table
from genovision.training import train

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
    p.add_argument(
        "--unlabelled", type=float, default=0.1, metavar="SHARE", help="trained without species (default 0.1)"
    )
    training_options.add(p, steps=450, batch=64, learning_rate=4e-3, save_every=200, seed="weights, order and labels")
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
    recipe = training_options.recipe(args)
    torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    examples = read_examples(args.data)
    sizes = {"width": args.width, "layers": args.layers, "context": args.context, "dropout": args.dropout}
    sizes |= {"inside": args.inside} if args.kind == "recurrent" else {"heads": args.heads}
    network = build(args.kind, args.seed, species=list(examples.names), length=examples.length, **sizes)
    network.begin_with(*counted(examples, min(_ORDER, args.context)))
    network = network.to(device)
    codes, labels = examples.of("train")
    batches = Batches(codes, labels, batch=recipe.batch, seed=args.seed, unlabelled=args.unlabelled)
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
        points=args.points,
    )
    training_options.refuse_divergence(trained, f"the autoregressive model {folder.name}", recipe)
    end = trained.curve[-1]
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
