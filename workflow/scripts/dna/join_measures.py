"""Put the measures of all sets and species into one table, with the floor's value beside every value; and their evidence into another."""

import argparse

import pandas as pd

from genovision.dna.measures import join, summary
from genovision.errors import InputError
from genovision.tables import read_table, write_table

COLUMNS = ["species", "length", "set", "motif", "metric", "value", "low", "high", "n", "convention"]
EVIDENCE = ["system", "metric", "side", "group", "replicate", "value"]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--measures", required=True, nargs="+", metavar="TSV", help="tables of dna/measure_set")
    p.add_argument(
        "--floor", default="train", metavar="SET", help="set whose value goes into column `floor` (default train)"
    )
    p.add_argument("--evidence", nargs="+", default=[], metavar="TSV", help="bootstrap replicates of dna/measure_set")
    p.add_argument("--out", required=True, metavar="TSV", help="the joined measures")
    p.add_argument("--summary", metavar="TSV", help="the measures that tell sets apart, one row per species and set")
    p.add_argument("--evidence-out", metavar="TSV", help="the joined replicates; needed with --evidence")
    return p


def main(args: argparse.Namespace) -> None:
    if bool(args.evidence) != bool(args.evidence_out):
        raise InputError("--evidence and --evidence-out go together: give both or neither.")
    tables = [read_table(path, COLUMNS) for path in args.measures]
    try:
        joined = join(tables, args.floor)
    except ValueError as error:
        raise InputError(f"--measures: {error}; give each table once.") from error
    evidence = [read_table(path, EVIDENCE) for path in args.evidence]
    write_table(joined, args.out)
    if args.summary:
        write_table(summary(joined), args.summary)
    if evidence:
        write_table(pd.concat(evidence, ignore_index=True), args.evidence_out)
    print(f"{len(joined)} measures of {joined['set'].nunique()} sets, {joined['species'].nunique()} species")
