"""Turn repeated timings of single models, ensembles and cascades into medians with intervals, and into evidence for the ledger."""

import argparse

from genovision.errors import InputError
from genovision.tables import read_table, write_table
from genovision.uncertainty.cascade_tables import compare_seconds

COLUMNS = ["pair", "system", "repeat", "images", "share", "seconds"]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--seconds",
        required=True,
        metavar="TSV",
        help="of classifiers/time_cascade: pair, system, repeat, images, share, seconds",
    )
    p.add_argument("--points", required=True, metavar="TSV", help="of uncertainty/evaluate_cascades: coverages reached")
    p.add_argument(
        "--replicates", type=int, default=1000, metavar="R", help="bootstrap samples of the repeats (default 1000)"
    )
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument(
        "--out",
        required=True,
        metavar="TSV",
        help="median microseconds per image and ratios, one row per pair and system",
    )
    p.add_argument("--evidence", required=True, metavar="TSV", help="bootstrap replicates for the claims ledger")
    return p


def main(args: argparse.Namespace) -> None:
    if args.replicates < 0 or args.seed < 0:
        raise InputError(f"--replicates {args.replicates} and --seed {args.seed} must not be negative.")
    seconds = read_table(args.seconds, COLUMNS)
    missing = {"single", "ensemble", "window"} - set(seconds["system"])
    if missing:
        raise InputError(f"{args.seconds} has no timing of {', '.join(sorted(missing))}.")
    points = read_table(args.points, ["task", "system", "width", "value"])
    table, evidence = compare_seconds(seconds, points, args.replicates, args.seed)
    write_table(table, args.out)
    write_table(evidence, args.evidence)
    print(f"{len(table)} systems timed")
