"""Read EPD-GenDNA as its authors released it (CSV of sequences and species) in place of a data set of our own."""

import argparse
import json
from pathlib import Path

from genovision.atomic import replacing
from genovision.promoters.authors import read_author_csv
from genovision.promoters.dataset import write_fasta
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--csv", required=True, help="the file, plain or gzip, columns Sequence and species")
    options.add_argument("--sha256", required=True, help="of the file; another one is refused")
    options.add_argument("--length", required=True, type=int, help="of its windows in bp")
    options.add_argument(
        "--fractions",
        nargs=3,
        type=float,
        default=(0.8, 0.1, 0.1),
        help="of train, validation, test (default 0.8 0.1 0.1)",
    )
    options.add_argument("--seed", default=0, type=int, help="of the folds (default 0)")
    options.add_argument("--out", required=True, help="data set, Parquet")
    options.add_argument("--fasta", required=True, help="data set, gzip FASTA")
    options.add_argument("--dropped-out", required=True, help="dropped rows, TSV")
    options.add_argument("--counts", required=True, help="rows, kept, dropped by reason and folds by species, TSV")
    options.add_argument("--receipt", required=True, help="JSON for the data sheet: name, checksum, licence")
    return options


def main(args: argparse.Namespace) -> None:
    data, dropped, counts = read_author_csv(args.csv, args.sha256, args.length, args.fractions, args.seed)
    write_table(data, args.out)
    write_fasta(data, args.fasta)
    write_table(dropped, args.dropped_out)
    write_table(counts, args.counts)
    receipt = {
        "source": "authors' CSV",
        "file": Path(args.csv).name,
        "version": "as given",
        "licence": "MIT, as tagged by the authors",
    }
    with replacing(args.receipt) as temporary:
        temporary.write_text(
            json.dumps(receipt | {"status": "retrieved", "checked": True, "sha256": args.sha256}, indent=1) + "\n"
        )
