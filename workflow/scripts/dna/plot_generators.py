"""Draw the measures of all sets of a species beside their floors, and the motif curves of chosen sets over the real one."""

import argparse

import pandas as pd

from genovision.dna import generator_figures as figures
from genovision.dna.curves import CURVES
from genovision.dna.figures import REAL
from genovision.errors import InputError
from genovision.figures import save, style
from genovision.tables import read_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--measures", required=True, metavar="TSV", help="of dna/join_generators, with a column floor")
    p.add_argument(
        "--curves", required=True, nargs="+", metavar="TSV", help="curves of dna/measure_set, one table per set"
    )
    p.add_argument("--species", required=True, metavar="NAME", help="as the tables call it")
    p.add_argument("--name", required=True, metavar="TEXT", help="species as the titles call it")
    p.add_argument(
        "--metrics",
        nargs="+",
        metavar="METRIC",
        help="panels of measures, a motif's behind a colon (default: those there are of "
        + ", ".join(figures.PANELS)
        + ")",
    )
    p.add_argument("--sets", required=True, nargs="+", metavar="SET", help="sets whose motif curves are drawn")
    p.add_argument(
        "--motifs",
        nargs="+",
        default=["TATA-box", "Initiator"],
        metavar="MOTIF",
        help="default TATA-box and Initiator",
    )
    p.add_argument("--measures-figure", required=True, metavar="SVG")
    p.add_argument("--curves-figure", required=True, metavar="SVG")
    return p


def main(args: argparse.Namespace) -> None:
    measures = _of_species(read_table(args.measures, figures.MEASURES), args.species, args.measures)
    curves = pd.concat([read_table(path, CURVES) for path in args.curves], ignore_index=True)
    curves = _of_species(curves, args.species, "--curves")
    if curves["length"].nunique() != 1:
        lengths = ", ".join(map(str, dict.fromkeys(curves["length"])))
        raise InputError(f"--curves: a figure is of one window length, these tables have {lengths}.")
    keys = list(dict.fromkeys(figures.keyed(measures)["key"]))
    metrics = args.metrics or [metric for metric in figures.PANELS if metric in keys]
    _known("--metrics", metrics, keys)
    _known("--sets", [REAL, *args.sets], list(dict.fromkeys(curves["set"])))
    _known("--motifs", args.motifs, list(dict.fromkeys(curves["motif"])))
    if figures.order_sets(measures).empty:
        raise InputError(f"{args.measures} has no set of {args.species} but {REAL}; measure others first.")
    length = curves["length"].iloc[0]
    with style():
        title = f"{args.name}, {length} bp: sets against the real test set"
        save(figures.measures(measures, title, metrics), args.measures_figure)
        title = f"{args.name}, {length} bp: motifs around the start site"
        save(figures.motif_curves(curves, title, list(dict.fromkeys(args.sets)), args.motifs), args.curves_figure)


def _of_species(table: pd.DataFrame, species: str, what: str) -> pd.DataFrame:
    found = list(dict.fromkeys(table["species"]))
    if species not in found:
        raise InputError(f"{what}: no row of {species}; there is {', '.join(map(str, found)) or 'no row at all'}.")
    return table[table["species"] == species].reset_index(drop=True)


def _known(option: str, wanted: list[str], known: list[str]) -> None:
    """InputError for what is not in the tables; it lists what is."""
    missing = [name for name in wanted if name not in known]
    if missing or not wanted:
        raise InputError(
            f"{option}: no {', '.join(missing) or 'panel to draw'}; there is {', '.join(map(str, known))}."
        )
