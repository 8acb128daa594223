"""Draw promoters of a species that no generator learns, as a FASTA set: what a model of other species should find strange."""

import argparse

import numpy as np

from genovision.dna.fasta import write_set
from genovision.errors import InputError
from genovision.resampling import stream
from genovision.tables import read_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--windows", required=True, metavar="PARQUET", help="of promoters/cut_windows")
    p.add_argument("--species", required=True, metavar="NAME", help="name of the set")
    p.add_argument("--number", type=int, default=0, metavar="N", help="at most; 0: all (default 0)")
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument("--out", required=True, metavar="FASTA", help="the set, ids <species>_<k>")
    return p


def main(args: argparse.Namespace) -> None:
    if args.number < 0 or args.seed < 0:
        raise InputError(f"--number {args.number} and --seed {args.seed} must not be negative.")
    sequences = read_table(args.windows, ["sequence"])["sequence"].drop_duplicates()
    # models know four bases
    sequences = sequences[~sequences.str.contains("[^ACGT]")].tolist()
    if not sequences:
        raise InputError(f"{args.windows} has no window of A, C, G, T only.")
    order = stream(args.seed, f"stranger {args.species}").permutation(len(sequences))
    kept = np.sort(order[: args.number or len(sequences)])
    write_set(args.species, [sequences[row] for row in kept], args.out)
    print(f"{len(kept)} of {len(sequences)} promoters of {args.species}")
