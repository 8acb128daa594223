"""Draw the figures of the system sirc: AUROC by score and OOD set, AURR over alpha and beta, risk by recall."""

import argparse

from genovision.errors import InputError
from genovision.figures import save, style
from genovision.tables import read_table
from genovision.uncertainty import figures


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--separation", required=True, metavar="TSV", help="of uncertainty/evaluate_sirc")
    p.add_argument("--aurr", required=True, metavar="TSV", help="of uncertainty/evaluate_sirc")
    p.add_argument("--curves", required=True, metavar="TSV", help="of uncertainty/evaluate_sirc")
    p.add_argument(
        "--headline",
        default="sirc_msp_residual",
        metavar="SCORE",
        help="the SIRC score that is drawn (default sirc_msp_residual)",
    )
    p.add_argument(
        "--out", required=True, nargs=3, metavar="SVG", help="separation, AURR over alpha and beta, risk by recall"
    )
    return p


def main(args: argparse.Namespace) -> None:
    separation = read_table(args.separation, ["score", "kind", "ood", "metric", "value", "low", "high"])
    aurr = read_table(args.aurr, ["score", "ood", "alpha", "beta", "value"])
    curves = read_table(args.curves, ["score", "ood", "recall", "risk"])
    if args.headline not in set(separation["score"]):
        raise InputError(f"--headline {args.headline} is not among the scores of {args.separation}.")
    with style():
        for figure, path in zip(
            (
                figures.separation(separation),
                figures.along_stream(aurr, args.headline),
                figures.risk_recall(curves, args.headline),
            ),
            args.out,
            strict=True,
        ):
            save(figure, path)
