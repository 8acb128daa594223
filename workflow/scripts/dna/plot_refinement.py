"""Draw Absorb & Escape over its threshold: measures against the edit rate, with controls and parents, and the edit rate against T."""

import argparse

from genovision.dna import generator_figures as figures
from genovision.errors import InputError
from genovision.figures import save, style
from genovision.tables import read_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--sweep", required=True, metavar="TSV", help="of dna/sweep_refinement")
    p.add_argument("--species", metavar="NAME", help="one of the column species, where the table has one")
    p.add_argument("--metrics", nargs="+", metavar="METRIC", help="panels, from above (default: all of the table)")
    p.add_argument("--title", required=True, metavar="TEXT", help="of the figure")
    p.add_argument("--out", required=True, metavar="SVG", help="the figure")
    return p


def main(args: argparse.Namespace) -> None:
    table = read_table(args.sweep, figures.SWEEP)
    kinds = list(dict.fromkeys(table["species"])) if "species" in table else []
    if args.species is not None:
        table = table[table["species"] == args.species] if kinds else table.iloc[:0]
        if table.empty:
            raise InputError(
                f"--species: {args.sweep} has no {args.species}; it has {', '.join(kinds) or 'no species'}."
            )
    elif len(kinds) > 1:
        raise InputError(f"{args.sweep} has {', '.join(kinds)}: choose one with --species.")
    table = table.reset_index(drop=True)
    if table[~table["rule"].isin(figures.PARENTS)].empty:
        raise InputError(f"{args.sweep} has no row of a refinement; sweep the threshold again.")
    bare = table.loc[~table["rule"].isin(figures.PARENTS), ["threshold", "edit_rate"]].isna().any()
    if bare.any():
        raise InputError(f"{args.sweep}: a refinement has no {bare.index[bare][0]}; sweep the threshold again.")
    odd = [str(name) for name in table["control"].dropna().unique() if name not in figures.CONTROLS]
    if odd:
        raise InputError(f"{args.sweep}: control {odd[0]} is none of {', '.join(figures.CONTROLS)}.")
    keys = list(dict.fromkeys(figures.keyed(table)["key"]))
    missing = [name for name in args.metrics or [] if name not in keys]
    if missing:
        raise InputError(f"--metrics: {args.sweep} has no {', '.join(missing)}; it has {', '.join(keys)}.")
    with style():
        save(figures.refinement_sweep(table, args.title, args.metrics or keys), args.out)
