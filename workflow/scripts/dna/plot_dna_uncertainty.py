"""Draw how well scores of sequence uncertainty find sequences from elsewhere: AUROC with intervals, a panel per OOD set."""

import argparse

from genovision.dna import generator_figures as figures
from genovision.errors import InputError
from genovision.figures import save, style
from genovision.tables import read_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--detection", required=True, metavar="TSV", help="of dna/score_sequences")
    p.add_argument("--title", required=True, metavar="TEXT", help="of the figure")
    p.add_argument("--out", required=True, metavar="SVG", help="the figure")
    return p


def main(args: argparse.Namespace) -> None:
    table = read_table(args.detection, figures.UNCERTAINTY)
    rows = table[table["metric"] == "auroc"]
    if rows.empty:
        found = ", ".join(map(str, dict.fromkeys(table["metric"]))) or "no row at all"
        raise InputError(f"{args.detection} has no row of auroc; there is {found}.")
    twice = rows[rows.duplicated(["system", "ood", "score"])]
    if len(twice):
        row = twice.iloc[0]
        raise InputError(f"{args.detection}: {row['score']} of {row['system']} against {row['ood']} is there twice.")
    with style():
        save(figures.uncertainty(rows, args.title), args.out)
