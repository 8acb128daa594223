"""Assign every promoter of every species to train, validation or test, so that no two folds share a base."""

import argparse

from genovision.errors import InputError
from genovision.promoters.genomes import read_lengths
from genovision.promoters.split import UNITS, split_windows
from genovision.promoters.tss import read_rows
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tss", required=True, nargs="+", help="TSS tables, one per species")
    options.add_argument("--fai", required=True, nargs="+", help="indices of the genomes, in the same order")
    options.add_argument("--species", required=True, nargs="+", help="species codes, in the same order")
    options.add_argument("--length", required=True, type=int, help="of the longest windows that will be cut, in bp")
    options.add_argument(
        "--unit", default="block", choices=UNITS, help="what goes to a fold as a whole (default block)"
    )
    options.add_argument("--block-length", default=500_000, type=int, help="in bp (default 500000)")
    options.add_argument(
        "--fractions",
        nargs=3,
        type=float,
        default=(0.8, 0.1, 0.1),
        help="of train, validation, test (default 0.8 0.1 0.1)",
    )
    options.add_argument(
        "--orthologs",
        nargs="*",
        action="extend",
        default=[],
        help="`A,B`: one gene symbol, one fold; needs the unit cluster",
    )
    options.add_argument("--seed", default=0, type=int, help="of the order of the units (default 0)")
    options.add_argument("--out", required=True, help="species, id, tss_source, unit, fold, TSV")
    return options


def main(args: argparse.Namespace) -> None:
    if not len(args.tss) == len(args.fai) == len(args.species) == len(set(args.species)):
        raise InputError(
            "--tss, --fai and --species are parallel lists, one entry per species; give them in one order."
        )
    if args.block_length < 1 or args.length < 1:
        raise InputError("--length and --block-length are numbers of bases, at least 1; correct them.")
    split = split_windows(
        {species: read_rows(path) for species, path in zip(args.species, args.tss, strict=True)},
        {species: read_lengths(path) for species, path in zip(args.species, args.fai, strict=True)},
        args.length,
        args.unit,
        args.block_length,
        args.fractions,
        [group.split(",") for group in args.orthologs],
        args.seed,
    )
    write_table(split, args.out)
