"""Train the network whose features are P-FID's; an interrupted run goes on from its newest whole checkpoint."""

import argparse
from pathlib import Path

import torch

from genovision import checkpoints, devices, training_options
from genovision.dna.embedding import Loss, accuracy, build, describe, labelled, write_embedding
from genovision.dna.examples import read_examples
from genovision.errors import InputError
from genovision.training import train, write_curve


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", required=True, metavar="NPZ", help="sequences of encode_promoters")
    p.add_argument("--width", type=int, default=48, metavar="W", help="channels of the first layer (default 48)")
    p.add_argument("--features", type=int, default=64, metavar="F", help="entries of the embedding (default 64)")
    p.add_argument(
        "--copies", type=int, default=3, metavar="K", help="shuffles and chain sequences per real one (default 3)"
    )
    training_options.add(p, steps=1600, batch=64, learning_rate=4e-3, seed="weights, floors and order")
    p.add_argument("--out", required=True, metavar="FOLDER", help="gets config.json, weights, curve.tsv and dna.json")
    return p


def main(args: argparse.Namespace) -> None:
    if args.copies < 1:
        raise InputError(f"--copies {args.copies} must be 1 or more.")
    recipe = training_options.recipe(args)
    torch.set_num_threads(args.threads)
    device = devices.choose(args.device)
    examples = read_examples(args.data)
    codes, classes = labelled(examples, "train", args.seed, args.copies)
    held_out = {fold: labelled(examples, fold, args.seed) for fold in ("validation", "test")}
    network = build(examples.names, args.seed, length=examples.length, width=args.width, features=args.features)
    network = network.to(device)

    def accuracies(network, fold: str) -> dict[str, float]:
        found, known = held_out[fold]
        return accuracy(describe(network, found).classes, known)

    folder = Path(args.out)
    trained = train(
        network,
        Loss(codes, classes, recipe.batch, recipe.seed),
        recipe,
        lambda network: accuracies(network, "validation")["classes"],
        folder / "checkpoints",
        checkpoints.fingerprint(network, {"recipe": recipe.to_json()}, codes, classes, *held_out["validation"]),
        save_every=args.save_every,
        points=args.points,
    )
    training_options.refuse_divergence(trained, "the embedding", recipe)
    last = trained.curve[-1]
    write_curve(trained.curve, folder / "curve.tsv", "held_out")
    found = {fold: accuracies(trained.network, fold) for fold in held_out}
    facts = {
        "training_sequences": int((classes % 3 == 0).sum()) // args.copies,
        "copies": args.copies,
        "steps": last.step,
        "seed": args.seed,
        "recipe": recipe.to_json(),
        "loss": last.loss,
        "held_out": found["validation"]["classes"],
        "species_accuracy": found["validation"]["species"],
        "test": found["test"],
    }
    write_embedding(folder, trained.network, facts)
    checkpoints.clear(folder / "checkpoints")
    print(
        f"embedding: of the test fold {found['test']['classes']:.1%} in their class of {len(examples.names) * 3}, "
        f"{found['test']['species']:.1%} of the real ones in their species"
    )
