"""Draw a set of real sequences of one species, or generate a floor from its training fold."""

import argparse

from genovision.dna.fasta import write_set
from genovision.dna.measures import stream
from genovision.dna.reference import FOLDS, is_reference, reference_set
from genovision.errors import InputError
from genovision.tables import read_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--dataset", required=True, metavar="PARQUET", help="data set of promoters/build_dataset")
    p.add_argument("--species", required=True, metavar="NAME", help="species to take, as in the data set")
    p.add_argument(
        "--set",
        required=True,
        dest="name",
        metavar="SET",
        help="train, validation, test: real sequences; shuffle: dinucleotide shuffles of training sequences; "
        "markov<k>, position_markov<k>: drawn from a Markov chain of order k fitted on them",
    )
    p.add_argument(
        "--number", type=int, default=0, metavar="N", help="sequences; 0 = as many as the test fold has (default 0)"
    )
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument("--out", required=True, metavar="FASTA", help="the set, ids <set>_<k>")
    return p


def main(args: argparse.Namespace) -> None:
    if not is_reference(args.name):
        raise InputError(
            f"--set {args.name}: choose train, validation, test, shuffle, markov<k> or position_markov<k>, k <= 8."
        )
    if args.number < 0 or args.seed < 0:
        raise InputError(f"--number {args.number} and --seed {args.seed} must not be negative.")
    frame = read_table(args.dataset, ["species", "fold", "sequence"])
    rows = frame[frame["species"] == args.species]
    if rows.empty:
        known = ", ".join(sorted(frame["species"].unique()))
        raise InputError(f"{args.dataset} has no species {args.species}; it has {known}.")
    folds = {fold: rows.loc[rows["fold"] == fold, "sequence"].tolist() for fold in FOLDS}
    number = args.number or len(folds["test"])
    if number == 0:
        raise InputError(
            f"{args.dataset} has no test sequence of {args.species}: give a --number, or split it otherwise."
        )
    try:
        sequences = reference_set(args.name, folds, number, stream(args.seed, f"{args.species} {args.name}"))
    except ValueError as error:
        raise InputError(f"{args.dataset}, {args.species}: {error}.") from error
    write_set(args.name, sequences, args.out)
    print(f"{len(sequences)} sequences of {args.name}, {args.species}")
