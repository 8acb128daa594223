"""Join the windows of all species into one data set: exact duplicates out, folds in, every row accounted for."""

import argparse

from genovision.promoters.dataset import COLUMNS, ROW, build_dataset, write_fasta
from genovision.promoters.split import COLUMNS as SPLIT
from genovision.promoters.tss import read_rows
from genovision.tables import read_table, write_table


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--windows", required=True, nargs="+", help="Parquet of cut_windows, one per species, in their order"
    )
    options.add_argument("--dropped", required=True, nargs="+", help="dropped rows of cut_windows, in the same order")
    options.add_argument("--split", required=True, help="TSV of split_windows")
    options.add_argument("--out", required=True, help="data set, Parquet")
    options.add_argument("--fasta", required=True, help="data set, gzip FASTA")
    options.add_argument("--dropped-out", required=True, help="all dropped rows, duplicates and conflicts too, TSV")
    options.add_argument("--counts", required=True, help="rows, kept, dropped by reason and folds by species, TSV")
    return options


def main(args: argparse.Namespace) -> None:
    windows = [read_table(path, [column for column in COLUMNS if column != "fold"]) for path in args.windows]
    dropped = [read_rows(path, [*ROW, "reason"]) for path in args.dropped]
    data, dropped, counts = build_dataset(windows, dropped, read_rows(args.split, SPLIT))
    write_table(data, args.out)
    write_fasta(data, args.fasta)
    write_table(dropped, args.dropped_out)
    write_table(counts, args.counts)
