"""Draw motif occurrence around the start site: the real test set against floors."""

import argparse

import pandas as pd

from genovision.dna.curves import CURVES
from genovision.dna.figures import motif_curves
from genovision.errors import InputError
from genovision.figures import save, style
from genovision.tables import read_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--curves", required=True, nargs="+", metavar="TSV", help="curves of dna/measure_set, one table per set"
    )
    p.add_argument("--name", required=True, metavar="TEXT", help="species as the title calls it")
    p.add_argument("--out", required=True, metavar="SVG", help="the figure")
    return p


def main(args: argparse.Namespace) -> None:
    table = pd.concat([read_table(path, CURVES) for path in args.curves], ignore_index=True)
    kinds = table[["species", "length"]].drop_duplicates()
    if len(kinds) != 1:
        found = ", ".join(f"{kind.species} at {kind.length} bp" for kind in kinds.itertuples()) or "none"
        raise InputError(f"--curves: a figure is of one species and window length, these tables have {found}.")
    title = f"{args.name}, {kinds['length'].iloc[0]} bp: motifs around the start site"
    with style():
        save(motif_curves(table, title), args.out)
