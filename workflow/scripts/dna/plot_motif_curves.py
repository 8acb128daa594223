"""Draw motif occurrence around the start site: the real test set against floors, or EPD's start sites against annotated ones."""

import argparse

import pandas as pd

from genovision.dna.figures import motif_curves, source_curves
from genovision.dna.measures import CURVES
from genovision.errors import InputError
from genovision.figures import save, style
from genovision.tables import read_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--curves", required=True, nargs="+", metavar="TSV", help="curves of dna/measure_set, one table per set")
    p.add_argument(
        "--annotation",
        metavar="TSV",
        help="curves of the test set cut at annotated 5' ends: compare it with the test set of --curves, draw no floors",
    )
    p.add_argument("--species", required=True, metavar="NAME", help="species to draw")
    p.add_argument("--length", required=True, type=int, metavar="BP", help="window length to draw, bases")
    p.add_argument("--out", required=True, metavar="SVG", help="the figure")
    return p


def _read(paths: list[str], species: str, length: int) -> pd.DataFrame:
    table = pd.concat([read_table(path, CURVES) for path in paths], ignore_index=True)
    chosen = table[(table["species"] == species) & (table["length"] == length)]
    if chosen.empty:
        raise InputError(f"{', '.join(paths)}: no curve of {species} at {length} bp; measure a set of it first.")
    return chosen


def main(args: argparse.Namespace) -> None:
    curves = _read(args.curves, args.species, args.length)
    name = args.species.replace("_", ". ", 1)
    with style():
        if args.annotation is None:
            figure = motif_curves(curves, f"{name}, {args.length} bp: motifs around the start site")
        else:
            sources = {"EPD": curves, "annotated 5' ends": _read([args.annotation], args.species, args.length)}
            figure = source_curves(sources, f"{name}, {args.length} bp: motifs around EPD's and annotated start sites")
        save(figure, args.out)
