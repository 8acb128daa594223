"""Put the measures of all sets and species into one table, with the floor's value beside every value."""

import argparse

from genovision.dna.measures import join
from genovision.errors import InputError
from genovision.tables import read_table, write_table

COLUMNS = ["species", "length", "set", "motif", "metric", "value", "low", "high", "n", "convention"]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--measures", required=True, nargs="+", metavar="TSV", help="tables of dna/measure_set")
    p.add_argument(
        "--floor", default="train", metavar="SET", help="set whose value goes into column `floor` (default train)"
    )
    p.add_argument("--out", required=True, metavar="TSV", help="the joined table")
    return p


def main(args: argparse.Namespace) -> None:
    tables = [read_table(path, COLUMNS) for path in args.measures]
    try:
        joined = join(tables, args.floor)
    except ValueError as error:
        raise InputError(f"--measures: {error}; give each table once.") from error
    write_table(joined, args.out)
    print(f"{len(joined)} measures of {joined['set'].nunique()} sets, {joined['species'].nunique()} species")
