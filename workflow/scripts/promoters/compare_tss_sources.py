"""Measure how far annotated 5' ends lie from the transcription start sites of EPDnew."""

import argparse

from genovision.promoters.comparison import compare
from genovision.promoters.genomes import read_lengths
from genovision.promoters.tss import read_rows
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--epd", required=True, help="TSS table of EPDnew, TSV")
    options.add_argument("--annotation", required=True, help="TSS table of annotated 5' ends, TSV")
    options.add_argument("--species", required=True, help="its code, such as A_thaliana")
    options.add_argument("--fai", required=True, help="index of the genome; only sites on its contigs are compared")
    options.add_argument("--out", required=True, help="species, n, exact, within_50, median_distance (bp), TSV")
    return options


def main(args: argparse.Namespace) -> None:
    lengths = read_lengths(args.fai)
    epd, annotation = (
        table[table["accession"].isin(list(lengths))] for table in map(read_rows, (args.epd, args.annotation))
    )
    write_table(compare(epd, annotation, args.species), args.out)
