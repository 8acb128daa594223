"""Cut the window around each transcription start site out of a genome; every row is kept or dropped with a reason."""

import argparse
import sys

from genovision.errors import InputError
from genovision.promoters.dataset import ROW
from genovision.promoters.tss import read_rows
from genovision.promoters.windows import extract
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--genome", required=True, help="FASTA, plain or gzip")
    options.add_argument("--tss", required=True, help="TSS table, TSV")
    options.add_argument("--species", required=True, help="its code, such as A_thaliana")
    options.add_argument("--length", required=True, type=int, help="of a window in bp; the TSS is at index length // 2")
    options.add_argument(
        "--ambiguous",
        default="drop",
        choices=("drop", "keep"),
        help="windows with IUPAC codes other than N (default drop)",
    )
    options.add_argument("--out", required=True, help="windows, Parquet")
    options.add_argument("--dropped", required=True, help="the other rows and why, TSV")
    return options


def main(args: argparse.Namespace) -> None:
    if args.length < 1:
        raise InputError(f"--length {args.length} must be positive.")
    tss = read_rows(args.tss).assign(species=args.species)[ROW]
    kept, dropped = extract(args.genome, tss, args.length, args.ambiguous)
    print(f"{args.species}: {len(kept)} of {len(tss)} windows kept", file=sys.stderr)
    write_table(kept, args.out)
    write_table(dropped, args.dropped)
