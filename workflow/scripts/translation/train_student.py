"""Train a student of an ensemble of translation networks; a run that was cut short goes on from its newest whole checkpoint."""

import os

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA is deterministic only with it, and reads it at start

import argparse
import math
from pathlib import Path

import torch

from genovision import checkpoints
from genovision.errors import InputError
from genovision.training import Recipe, train, write_curve
from genovision.translation.logit_noise import HIGH, LOW
from genovision.translation.network import DEVICES, device, read_network
from genovision.translation.spreads import matched_spread
from genovision.translation.students import CENTRES, FAMILIES, FULL, Lessons, begin, held_out, noise_of, write_student
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
    p.add_argument("--steps", required=True, type=int, metavar="N", help="of training")
    p.add_argument("--budget", type=int, default=400, metavar="T", help="target tokens per step (default 400)")
    p.add_argument("--learning-rate", type=float, default=5e-4, metavar="X", help="the highest one (default 5e-4)")
    p.add_argument("--weight-decay", type=float, default=0.01, metavar="X", help="default 0.01")
    p.add_argument(
        "--average", type=float, default=0.99, metavar="X", help="decay of the weights' moving average (default 0.99)"
    )
    p.add_argument("--save-every", type=int, default=500, metavar="STEPS", help="between checkpoints (default 500)")
    p.add_argument("--points", type=int, default=8, metavar="N", help="rows of the curve (default 8)")
    p.add_argument(
        "--device", choices=DEVICES, default="auto", help="auto takes a GPU where there is one (default auto)"
    )
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--seed", type=int, default=0, help="of order and dropout (default 0)")
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
    for name in ("threads", "save_every", "points"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must be 1 or more.")
    if not LOW < args.scale_limit < math.inf:
        raise InputError(f"--scale-limit {args.scale_limit} must be above {LOW}.")
    spread = _spread(args)
    recipe = Recipe(
        args.steps, args.budget, args.learning_rate, args.weight_decay, average=args.average, seed=args.seed
    )
    torch.set_num_threads(args.threads)
    where = device(args.device)
    tokenizer = read_tokenizer(args.tokenizer)
    member, _ = read_network(args.start, tokenizer.digest)
    cache = read_cache(args.teachers, tokenizer.digest)
    bounds = (LOW, args.scale_limit) if noise_of(args.family) else None
    student = begin(member.to(where), args.family, cache, dropout=args.dropout, bounds=bounds)
    lessons = Lessons(student, cache, budget=args.budget, seed=args.seed, weight=args.weight, centre=args.centre)
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
    if not math.isfinite(last.loss) or not math.isfinite(last.measured):
        raise InputError(f"training diverged at step {last.step}; lower --learning-rate {args.learning_rate}.")
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
