"""The options that every command of this story which resamples has in common."""

import argparse

from genovision.errors import InputError
from genovision.resampling import Draws


def add(parser: argparse.ArgumentParser, what: str = "images") -> None:
    """--replicates and --seed of the samples, and --evidence, the table that they go to."""
    parser.add_argument(
        "--replicates",
        type=int,
        default=1000,
        metavar="R",
        help=f"bootstrap samples of the {what}; 0 = no intervals (default 1000)",
    )
    parser.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    parser.add_argument("--evidence", required=True, metavar="TSV", help="bootstrap replicates for the claims ledger")


def draws(args: argparse.Namespace) -> Draws:
    """The samples that the options ask for; InputError when one is negative."""
    if args.replicates < 0 or args.seed < 0:
        raise InputError(f"--replicates {args.replicates} and --seed {args.seed} must not be negative.")
    return Draws(args.replicates, args.seed)
