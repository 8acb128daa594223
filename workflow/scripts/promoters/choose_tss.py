"""Choose the first table of transcription start sites that has rows, and say what the choice means."""

import argparse
import sys

from genovision.promoters.tss import choose, read_rows
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tss", required=True, nargs="+", help="TSS tables, the preferred one first")
    options.add_argument("--species", required=True, help="its code, such as A_thaliana")
    options.add_argument("--out", required=True, help="the chosen table, TSV")
    options.add_argument("--warning", required=True, help="what to warn of (species, text), TSV; no rows if nothing")
    return options


def main(args: argparse.Namespace) -> None:
    chosen, warnings = choose([read_rows(path) for path in args.tss], args.species)
    for text in warnings["text"]:
        print(f"warning: {args.species}: {text}", file=sys.stderr)
    write_table(chosen, args.out)
    write_table(warnings, args.warning)
