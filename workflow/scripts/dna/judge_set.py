"""Judge a described set against the real one: FReD, P-FID, discriminators, species accuracy, integration, with bootstrap intervals."""

import argparse

from genovision.dna.features import read_features
from genovision.dna.judgement import judge
from genovision.errors import InputError
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--set", required=True, dest="path", metavar="NPZ", help="the set to judge, of describe_set")
    p.add_argument(
        "--real",
        required=True,
        metavar="NPZ",
        help="the real one (may be the same file, which also brings the rows of `chance`)",
    )
    p.add_argument("--name", help="what the set is called in the tables (default: as in its FASTA)")
    p.add_argument(
        "--replicates", type=int, default=200, metavar="R", help="bootstrap samples; 0 = no intervals (default 200)"
    )
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number, that of dna/measure_set (default 0)")
    p.add_argument("--system", default="discdiff", metavar="SLUG", help="named in the evidence (default discdiff)")
    p.add_argument(
        "--resample-as",
        metavar="NAME",
        help="sets with one name are resampled alike: refinements beside what they refine (default: the set's own)",
    )
    p.add_argument("--measures", required=True, metavar="TSV", help="measures: value, low, high (95 %%), n, convention")
    p.add_argument("--evidence", required=True, metavar="TSV", help="bootstrap replicates for the claims ledger")
    return p


def main(args: argparse.Namespace) -> None:
    if args.replicates < 0 or args.seed < 0:
        raise InputError(f"--replicates {args.replicates} and --seed {args.seed} must not be negative.")
    one, real = read_features(args.path), read_features(args.real)
    tables = judge(
        one,
        real,
        name=args.name,
        system=args.system,
        replicates=args.replicates,
        seed=args.seed,
        resample_as=args.resample_as,
    )
    for table, path in zip(tables, (args.measures, args.evidence), strict=True):
        write_table(table, path)
    print(f"{args.name or one.set}: {len(tables.measures)} measures of {len(one.codes)} sequences")
