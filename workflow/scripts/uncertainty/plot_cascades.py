"""Draw what single models, ensembles and cascades give against their cost in MACs, and windows and thresholds of every size."""

import argparse

from genovision.figures import save, style
from genovision.tables import read_table
from genovision.uncertainty import figures


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--points", required=True, metavar="TSV", help="of uncertainty/evaluate_cascades")
    p.add_argument("--sizes", required=True, metavar="TSV", help="of uncertainty/evaluate_cascades")
    p.add_argument(
        "--out", required=True, nargs=2, metavar="SVG", help="against MACs, against the share that continues"
    )
    return p


def main(args: argparse.Namespace) -> None:
    points = read_table(args.points, ["task", "system", "width", "ood", "value", "low", "high", "macs"])
    sizes = read_table(args.sizes, ["policy", "continuing", "coverage_at_5_percent_risk", "accuracy"])
    with style():
        save(figures.cost(points), args.out[0])
        save(figures.sizes(sizes), args.out[1])
