"""Turn repeated timings of single models, ensembles and cascades into medians with intervals, and into evidence for the ledger."""

import argparse

from genovision.errors import InputError
from genovision.tables import read_table, write_table
from genovision.uncertainty import options
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
        "--out",
        required=True,
        metavar="TSV",
        help="median microseconds per image and ratios, one row per pair and system",
    )
    options.add(p, "repeats")
    return p


def main(args: argparse.Namespace) -> None:
    draws = options.draws(args)
    seconds = read_table(args.seconds, COLUMNS)
    missing = {"single", "ensemble", "window"} - set(seconds["system"])
    if missing:
        raise InputError(f"{args.seconds} has no timing of {', '.join(sorted(missing))}.")
    points = read_table(args.points, ["task", "system", "width", "value"])
    table, evidence = compare_seconds(seconds, points, draws)
    write_table(table, args.out)
    write_table(evidence, args.evidence)
    print(f"{len(table)} systems timed")
