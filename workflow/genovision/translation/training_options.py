"""Options that the commands which train a network of translation share, and what they mean."""

import argparse
import math

from genovision import devices
from genovision.errors import InputError
from genovision.training import Recipe, Trained


def add(p: argparse.ArgumentParser, *, learning_rate: float, seed: str) -> None:
    """seed: what it is the seed of"""
    p.add_argument("--steps", required=True, type=int, metavar="N", help="of training")
    p.add_argument("--budget", type=int, default=400, metavar="T", help="target tokens per step (default 400)")
    p.add_argument(
        "--learning-rate",
        type=float,
        default=learning_rate,
        metavar="X",
        help=f"the highest one (default {learning_rate:g})",
    )
    p.add_argument("--weight-decay", type=float, default=0.01, metavar="X", help="default 0.01")
    p.add_argument(
        "--average", type=float, default=0.99, metavar="X", help="decay of the weights' moving average (default 0.99)"
    )
    p.add_argument("--save-every", type=int, default=500, metavar="STEPS", help="between checkpoints (default 500)")
    p.add_argument("--points", type=int, default=8, metavar="N", help="rows of the curve (default 8)")
    p.add_argument("--device", default="auto", help=devices.HELP)
    p.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default 1)")
    p.add_argument("--seed", type=int, default=0, help=f"of {seed} (default 0)")


def recipe(args: argparse.Namespace) -> Recipe:
    """InputError for a number that allows no training, naming the option."""
    for name in ("threads", "save_every", "points"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must be 1 or more.")
    return Recipe(args.steps, args.budget, args.learning_rate, args.weight_decay, average=args.average, seed=args.seed)


def refuse_divergence(trained: Trained, learning_rate: float) -> None:
    """InputError when the last loss or what was measured of the network is not finite."""
    last = trained.curve[-1]
    if not math.isfinite(last.loss) or not math.isfinite(last.measured):
        raise InputError(f"training diverged at step {last.step}; lower --learning-rate {learning_rate}.")
