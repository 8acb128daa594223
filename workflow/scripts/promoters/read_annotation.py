"""Read the 5' ends of protein-coding mRNAs from GFF3, GTF or GenBank as a table of transcription start sites."""

import argparse

from genovision.promoters.annotation import read_annotation
from genovision.promoters.genomes import name_pair, read_lengths
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--archive", required=True, help="annotation, plain or gzip, or a zip or wheel with such files"
    )
    options.add_argument(
        "--member", help="glob for the files in the zip; `outer.zip::chr*.gb` goes into a zip inside it"
    )
    options.add_argument("--rename", nargs="*", action="extend", default=[], type=name_pair, help="contigs: old=new")
    options.add_argument("--fai", required=True, help="index of the genome, which says what contigs there are")
    options.add_argument("--absent", nargs="*", action="extend", default=[], help="contigs the genome is known to lack")
    options.add_argument("--out", required=True, help="TSS table, TSV")
    return options


def main(args: argparse.Namespace) -> None:
    lengths = read_lengths(args.fai)
    write_table(read_annotation(args.archive, lengths, args.member, dict(args.rename), args.absent), args.out)
