"""Draw the figures of the system label_smoothing: risk by coverage, AURC by alpha, suppression of the max logit, the search for p."""

import argparse

from genovision.figures import save, style
from genovision.tables import read_table
from genovision.uncertainty import figures


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--measures", required=True, metavar="TSV", help="of uncertainty/evaluate_smoothing, like the other tables"
    )
    p.add_argument("--curves", required=True, metavar="TSV", help="risk by coverage")
    p.add_argument("--suppression", required=True, metavar="TSV", help="max logits by probability of error")
    p.add_argument("--searched", required=True, metavar="TSV", help="AURC on the calibration split by p")
    p.add_argument(
        "--out", required=True, nargs=4, metavar="SVG", help="risk by coverage, by alpha, suppression, search"
    )
    return p


def main(args: argparse.Namespace) -> None:
    curves = read_table(args.curves, ["recipe", "alpha", "score", "coverage", "risk", "low", "high"])
    measures = read_table(args.measures, ["recipe", "alpha", "score", "metric", "value", "low", "high"])
    suppression = read_table(
        args.suppression, ["recipe", "alpha", "error", "wrong", "pressure", "classes", "suppression", "low", "high"]
    )
    searched = read_table(args.searched, ["recipe", "alpha", "score", "p", "aurc", "chosen"])
    with style():
        save(figures.risk_coverage(curves), args.out[0])
        save(figures.by_alpha(measures), args.out[1])
        save(figures.suppression(suppression), args.out[2])
        save(figures.powers(searched), args.out[3])
