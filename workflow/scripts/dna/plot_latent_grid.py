"""Draw a designed grid of latent diffusion models: every setting, and the main effect of each factor."""

import argparse

from genovision.dna import generator_figures as figures
from genovision.errors import InputError
from genovision.figures import save, style
from genovision.tables import read_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--grid", required=True, metavar="TSV", help="a row per run and metric")
    p.add_argument(
        "--metrics",
        nargs="+",
        metavar="METRIC",
        help="columns, settings sorted by the first (default: all of the table)",
    )
    p.add_argument("--title", required=True, metavar="TEXT", help="of the figure")
    p.add_argument("--out", required=True, metavar="SVG", help="the figure")
    return p


def main(args: argparse.Namespace) -> None:
    table = read_table(args.grid, figures.GRID)
    keys = list(dict.fromkeys(figures.keyed(table)["key"]))
    metrics = args.metrics or keys
    missing = [name for name in metrics if name not in keys]
    if missing or not metrics:
        raise InputError(
            f"--metrics: {args.grid} has no {', '.join(missing) or 'row'}; it has {', '.join(keys) or 'no metric'}."
        )
    if not figures.varied(table):
        raise InputError(
            f"{args.grid}: none of {', '.join(figures.FACTORS)} has two values; a grid needs one that does."
        )
    with style():
        try:
            figure = figures.latent_grid(table, args.title, metrics)
        except ValueError as error:
            raise InputError(f"{args.grid}: {error}; run the missing settings too.") from error
        save(figure, args.out)
