"""Train a student of an ensemble of translation networks; a run that was cut short goes on from its newest whole checkpoint."""

import argparse
import math
from pathlib import Path

import torch

from genovision import checkpoints, devices, training_options
from genovision.errors import InputError
from genovision.training import train, write_curve
from genovision.translation.families import noise_of
from genovision.translation.logit_noise import HIGH, LOW
from genovision.translation.network import read_network
from genovision.translation.spreads import matched_spread
from genovision.translation.students import CENTRES, FAMILIES, FULL, Lessons, begin, held_out, write_student
from genovision.translation.teachers import read_cache
from genovision.translation.tokenizer import read_tokenizer

MATCHED = "matched"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--family", required=True, choices=FAMILIES, help="what it says of its teachers")
    p.add_argument(
        "--start", required=True, metavar="FOLDER", help="the member, or the student `end`, that it begins as"
    )
    p.add_argument(
        "--teachers",
        required=True,
        metavar="NPZ",
        help="of cache_teachers: the whole vocabulary for laplace and gaussian",
    )
    p.add_argument("--tokenizer", required=True, metavar="FILE", help="that its ids are of (.json or .model)")
    p.add_argument("--weight", type=float, default=0.02, metavar="X", help="of the noise's likelihood (default 0.02)")
    p.add_argument(
        "--centre",
        choices=CENTRES,
        default="student",
        help="of that likelihood: the student's location (as published), or the location that fits the members (default student)",
    )
    p.add_argument(
        "--scale-limit",
        type=float,
        default=HIGH,
        metavar="X",
        help=f"no scale of the noise is above (default {HIGH:g})",
    )
    p.add_argument(
        "--spread",
        metavar="X",
        help="by which scales are multiplied when logits are drawn: a number, or `matched`: so that draws disagree as the members do on "
        "validation sentences (default matched for a student of a support, 1 for one of the whole vocabulary, as published)",
    )
    p.add_argument("--dropout", type=float, metavar="P", help="in training (default that of the member)")
    training_options.add(p, batch=400, of="target tokens", learning_rate=5e-4, seed="order and dropout")
    p.add_argument(
        "--out",
        required=True,
        metavar="FOLDER",
        help="gets model.safetensors, config.json, facts.json, student.json and curve.tsv",
    )
    return p


def _spread(args: argparse.Namespace) -> str | float:
    """`matched`, or the number."""
    given = args.spread if args.spread is not None else "1" if args.family in FULL else MATCHED
    if given == MATCHED:
        return given
    try:
        found = float(given)
    except ValueError:
        found = math.nan
    if not 0 < found < math.inf:
        raise InputError(f"--spread {given} must be {MATCHED} or a number above 0.")
    return found


def main(args: argparse.Namespace) -> None:
    if not LOW < args.scale_limit < math.inf:
        raise InputError(f"--scale-limit {args.scale_limit} must be above {LOW}.")
    spread = _spread(args)
    recipe = training_options.recipe(args)
    torch.set_num_threads(args.threads)
    where = devices.choose(args.device)
    tokenizer = read_tokenizer(args.tokenizer)
    member, _ = read_network(args.start, tokenizer.digest)
    cache = read_cache(args.teachers, tokenizer.digest)
    bounds = (LOW, args.scale_limit) if noise_of(args.family) else None
    student = begin(member.to(where), args.family, cache, dropout=args.dropout, bounds=bounds)
    lessons = Lessons(student, cache, budget=recipe.batch, seed=args.seed, weight=args.weight, centre=args.centre)
    facts = {
        "recipe": recipe.to_json(),
        "family": args.family,
        "members": cache.members,
        "bounds": list(student.bounds),
    }
    facts |= {"temperature": cache.temperature} | (
        {"weight": args.weight, "centre": args.centre} if noise_of(args.family) else {}
    )
    facts |= {"dropout": student.network.sizes.dropout, "epochs": args.steps / lessons.batches.steps(1)}
    folder = Path(args.out)
    weights = [tensor.detach().cpu().numpy() for tensor in student.network.state_dict().values()]
    arrays = [cache.logs, *cache.corpus, *([] if cache.tokens is None else [cache.tokens]), *weights]
    trained = train(
        student.network,
        lessons.loss,
        recipe,
        lambda average: held_out(student._replace(network=average), cache, args.weight, args.centre)["kl"],
        folder / "checkpoints",
        checkpoints.fingerprint(student.network, facts, *arrays),
        save_every=args.save_every,
        points=args.points,
    )
    last = trained.curve[-1]
    training_options.refuse_divergence(trained, f"the student {args.family}", recipe)
    write_curve(trained.curve, folder / "curve.tsv", "validation_kl")
    student = student._replace(network=trained.network)
    if noise_of(args.family):
        student = student._replace(spread=matched_spread(student, cache) if spread == MATCHED else spread)
    found = held_out(student, cache, args.weight, args.centre)
    facts |= {f"validation_{name}": value for name, value in found.items()}
    write_student(folder, student, tokenizer.digest, facts)
    checkpoints.clear(folder / "checkpoints")
    print(
        f"student {args.family}: {found['kl']:.4f} nats per token from the members' mean, {found['nll']:.4f} of the references, after "
        f"{last.step} steps"
    )
    if noise_of(args.family) == "laplace" and found["heavy"] > 0:
        print(
            f"warning: {100 * found['heavy']:.2f} % of the scales on validation tokens are 1 or more: the softmax of such Laplace noise "
            "has no mean, and samples of it are ruled by single draws"
        )
