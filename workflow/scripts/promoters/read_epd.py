"""Read EPDnew promoters, check them against the genome, and with a DAT file check base by base that it is the right assembly."""

import argparse
import json
import sys
from pathlib import Path

from genovision.errors import InputError
from genovision.promoters.epd import check_se, read_lines, tss_table
from genovision.promoters.genomes import contigs, name_pair, read_lengths
from genovision.promoters.tss import check_contigs, empty_table
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    promoters = options.add_mutually_exclusive_group(required=True)
    promoters.add_argument("--sga", help="EPDnew promoters, SGA, plain or gzip")
    promoters.add_argument("--bed", help="EPDnew promoters, BED, plain or gzip")
    options.add_argument("--rename", nargs="*", action="extend", default=[], type=name_pair, help="contigs: old=new")
    options.add_argument(
        "--dat", help="EPDnew records of the same release; their SE lines are compared with the genome"
    )
    options.add_argument("--genome", required=True, help="genome.fa with its .fai")
    options.add_argument("--absent", nargs="*", action="extend", default=[], help="contigs the genome is known to lack")
    options.add_argument("--receipt", help="JSON of the retrieval; with status `unreachable` the table is empty")
    options.add_argument(
        "--dat-receipt", help="the same of the DAT file; with status `unreachable` nothing is compared"
    )
    options.add_argument("--out", required=True, help="TSS table, TSV")
    return options


def unreachable(receipt: str | None) -> bool:
    if receipt is None:
        return False
    try:
        return json.loads(Path(receipt).read_text()).get("status") == "unreachable"
    except (ValueError, AttributeError) as error:
        raise InputError(f"{receipt} is no receipt of a retrieval; retrieve again.") from error


def main(args: argparse.Namespace) -> None:
    if unreachable(args.receipt):
        print("EPD was out of reach: the table is empty", file=sys.stderr)
        write_table(empty_table(), args.out)
        return
    path = args.sga or args.bed
    promoters = read_lines(path, bed=args.sga is None)
    promoters["accession"] = promoters["accession"].replace(dict(args.rename))
    lengths = read_lengths(f"{args.genome}.fai")
    check_contigs(promoters, lengths, args.absent, path, promoters["line"].tolist())
    if args.dat and unreachable(args.dat_receipt):
        print("the DAT file was out of reach: the genome is not compared with it", file=sys.stderr)
    elif args.dat:
        compared, left = check_se(args.dat, promoters, contigs(args.genome))
        print(f"SE: {compared} records agree with the genome, {left} could not be compared", file=sys.stderr)
    write_table(tss_table(promoters), args.out)
