"""Options that commands which train a network share, and what they mean: the recipe, where it runs, how often it is saved and measured."""

import argparse
import math

from genovision import devices
from genovision.errors import InputError
from genovision.training import Recipe, Trained

BATCHES = {"sequences": "--batch", "images": "--batch", "target tokens": "--budget"}  # what is counted -> its option


def add(
    p: argparse.ArgumentParser,
    *,
    steps: int | str | None = None,
    batch: int | str,
    learning_rate: float | str,
    seed: str,
    of: str = "sequences",
    weight_decay: float = 0.01,
    average: float | None = 0.99,
    save_every: int = 500,
    points: int = 8,
    device: bool = True,
) -> None:
    """Add them, with these defaults; a text describes several, which `recipe` is then given. Steps without a default are required.

    of:      what a batch is counted in, of BATCHES;  seed: what it is the seed of
    average: None leaves the option out, and the last weights are kept
    device:  whether the command can run on a GPU
    """

    def number(name: str, kind: type, default: float | str | None, letter: str, help: str) -> None:
        several = isinstance(default, str)
        text = help if default is None else f"{help} (default {default if several else f'{default:g}'})"
        p.add_argument(
            name,
            type=kind,
            default=None if several else default,
            required=default is None,
            metavar=letter,
            dest="batch" if name == BATCHES[of] else None,
            help=text,
        )

    number("--steps", int, steps, "N", "of training")
    number(BATCHES[of], int, batch, "B", f"{of} per step")
    number("--learning-rate", float, learning_rate, "X", "the highest one")
    number("--weight-decay", float, weight_decay, "X", "of the weights")
    if average is not None:
        number("--average", float, average, "X", "decay of the weights' moving average; 0 keeps the last weights")
    number("--save-every", int, save_every, "STEPS", "between checkpoints")
    number("--points", int, points, "N", "rows of the curve")
    number("--threads", int, 1, "N", "of the CPU")
    number("--seed", int, 0, "S", f"of {seed}")
    if device:
        p.add_argument("--device", default="auto", metavar="NAME", help=devices.HELP)


def recipe(args: argparse.Namespace, **defaults: float) -> Recipe:
    """The recipe of the options; `defaults` stand in for those that were not given and have several.

    InputError for a number that allows no training, naming the option.
    """
    for name in ("threads", "save_every", "points"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must be 1 or more.")
    given = {
        name: getattr(args, name, 0.0)
        for name in ("steps", "batch", "learning_rate", "weight_decay", "average", "seed")
    }
    return Recipe(**{name: defaults[name] if value is None else value for name, value in given.items()})


def refuse_divergence(trained: Trained, what: str, recipe: Recipe) -> None:
    """InputError, naming what was trained, when the last loss or what was measured of the network is not finite."""
    last = trained.curve[-1]
    if not math.isfinite(last.loss) or not math.isfinite(last.measured):
        raise InputError(
            f"{what} diverged at step {last.step} (loss {last.loss}); lower --learning-rate {recipe.learning_rate}."
        )
