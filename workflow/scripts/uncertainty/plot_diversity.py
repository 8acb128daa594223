"""Draw the figures of the system ensemble_diversity: AUROC against a single model's entropy, and disagreement by average entropy."""

import argparse

from genovision.figures import save, style
from genovision.tables import read_table
from genovision.uncertainty import figures


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--detection", required=True, metavar="TSV", help="of uncertainty/evaluate_diversity")
    p.add_argument("--conditional", required=True, metavar="TSV", help="of uncertainty/evaluate_diversity")
    p.add_argument("--out", required=True, nargs=2, metavar="SVG", help="AUROC, disagreement")
    return p


def main(args: argparse.Namespace) -> None:
    detection = read_table(
        args.detection, ["system", "score", "ood", "metric", "value", "difference", "difference_low", "difference_high"]
    )
    conditional = read_table(args.conditional, ["set", "average_entropy", "mutual_information", "inputs"])
    with style():
        save(figures.diversity(detection), args.out[0])
        save(figures.conditional(conditional), args.out[1])
