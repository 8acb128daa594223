"""Turn a published genome into plain FASTA of 60 columns with a .fai index, under the contig names that the TSS use."""

import argparse

from genovision.promoters.genomes import name_pair, read_genome, renamed, write_genome


def length_pair(text: str) -> tuple[str, int]:
    name, length = name_pair(text)
    return name, int(length)


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument(
        "--archive", required=True, help="FASTA or GenBank, plain or gzip, or a zip or wheel with such files"
    )
    options.add_argument(
        "--member", help="glob for the files in the zip; `outer.zip::chr*.gb` goes into a zip inside it"
    )
    options.add_argument("--rename", nargs="*", action="extend", default=[], type=name_pair, help="contigs: old=new")
    options.add_argument(
        "--lengths", nargs="*", action="extend", default=[], type=length_pair, help="new=length in bp, each is checked"
    )
    options.add_argument("--out", required=True, help="genome.fa; genome.fa.fai is written beside it")
    return options


def main(args: argparse.Namespace) -> None:
    contigs = read_genome(args.archive, args.member)
    write_genome(renamed(contigs, dict(args.rename), dict(args.lengths), args.archive), args.out)
