"""Draw a set of real sequences of one species, or generate a floor from its training fold."""

import argparse

import pandas as pd

from genovision.dna.fasta import write_set
from genovision.dna.reference import FOLDS, is_reference, reference_set
from genovision.errors import InputError
from genovision.resampling import stream
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
        help="train, validation, test: real sequences; annotation: real ones of --windows; "
        "shuffle: dinucleotide shuffles of training sequences; "
        "markov<k>, position_markov<k>: drawn from a Markov chain of order k fitted on them",
    )
    p.add_argument("--windows", metavar="PARQUET", help="windows at annotated 5' ends, for --set annotation")
    p.add_argument(
        "--number", type=int, default=0, metavar="N", help="sequences; 0 = as many as the test fold has (default 0)"
    )
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument("--out", required=True, metavar="FASTA", help="the set, ids <set>_<k>")
    return p


def _of_species(path: str, columns: list[str], species: str) -> pd.DataFrame:
    """Rows of one species; InputError lists what there is when it has none."""
    frame = read_table(path, columns)
    rows = frame[frame["species"] == species]
    if rows.empty:
        known = ", ".join(sorted(frame["species"].unique())) or "no rows"
        raise InputError(f"{path} has no sequence of {species}; it has {known}.")
    return rows


def main(args: argparse.Namespace) -> None:
    if not is_reference(args.name):
        known = "train, validation, test, annotation, shuffle, markov<k> or position_markov<k>, k <= 8"
        raise InputError(f"--set {args.name}: choose {known}.")
    if (args.name == "annotation") != (args.windows is not None):
        raise InputError("--windows goes with --set annotation: give both or neither.")
    if args.number < 0 or args.seed < 0:
        raise InputError(f"--number {args.number} and --seed {args.seed} must not be negative.")
    rows = _of_species(args.dataset, ["species", "fold", "sequence"], args.species)
    folds = {fold: rows.loc[rows["fold"] == fold, "sequence"].tolist() for fold in FOLDS}
    if args.windows is not None:
        folds["annotation"] = _of_species(args.windows, ["species", "sequence"], args.species)["sequence"].tolist()
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
