"""Draw coverage at 5 % risk against measured seconds, and the seconds of each system as a share of its ensemble's."""

import argparse

from genovision.errors import InputError
from genovision.figures import save, style
from genovision.tables import read_table
from genovision.uncertainty import figures


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--seconds", required=True, metavar="TSV", help="of uncertainty/compare_seconds, a pair per width")
    p.add_argument("--points", required=True, metavar="TSV", help="of uncertainty/evaluate_cascades")
    p.add_argument("--out", required=True, metavar="SVG", help="the figure")
    return p


def main(args: argparse.Namespace) -> None:
    columns = ["pair", "system", "images", "seconds", "against_ensemble", "against_low", "against_high"]
    seconds = read_table(args.seconds, columns)
    points = read_table(args.points, ["task", "system", "width", "value", "low", "high"])
    unknown = sorted(set(seconds["pair"].astype(str)) - set(points["width"].astype(str)))
    if unknown:
        raise InputError(f"{args.seconds} has the pair {unknown[0]}, which is no width of {args.points}.")
    with style():
        save(figures.seconds(seconds, points), args.out)
