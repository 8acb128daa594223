"""Draw the base composition around the start site: the real test set against floors."""

import argparse

import pandas as pd

from genovision.dna.figures import composition
from genovision.errors import InputError
from genovision.figures import save, style
from genovision.tables import read_table

COLUMNS = ["species", "length", "set", "position", "A", "C", "G", "T"]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--composition", required=True, nargs="+", metavar="TSV", help="composition tables of dna/measure_set, one per set")
    p.add_argument("--species", required=True, metavar="NAME", help="species to draw")
    p.add_argument("--length", required=True, type=int, metavar="BP", help="window length to draw, bases")
    p.add_argument("--out", required=True, metavar="SVG", help="the figure")
    return p


def main(args: argparse.Namespace) -> None:
    table = pd.concat([read_table(path, COLUMNS) for path in args.composition], ignore_index=True)
    chosen = table[(table["species"] == args.species) & (table["length"] == args.length)]
    if chosen.empty:
        raise InputError(f"{', '.join(args.composition)}: no composition of {args.species} at {args.length} bp.")
    name = args.species.replace("_", ". ", 1)
    with style():
        save(composition(chosen, f"{name}, {args.length} bp: bases around the start site"), args.out)
