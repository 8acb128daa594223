"""Encode the promoters that generators learn from: sequences of chosen species as codes, with species and fold."""

import argparse

import numpy as np

from genovision.alphabet import encode
from genovision.dna.examples import FOLDS, Examples, write_examples
from genovision.errors import InputError
from genovision.tables import read_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--dataset", required=True, metavar="PARQUET", help="data set of promoters/build_dataset")
    p.add_argument("--species", required=True, nargs="+", metavar="NAME", help="as in the data set, in label order")
    p.add_argument("--out", required=True, metavar="NPZ", help="codes, species, fold and names")
    return p


def main(args: argparse.Namespace) -> None:
    frame = read_table(args.dataset, ["species", "fold", "sequence"])
    known = sorted(frame["species"].unique())
    for name in args.species:
        if name not in known:
            raise InputError(f"{args.dataset} has no sequence of {name}; it has {', '.join(known) or 'no rows'}.")
    if len(set(args.species)) < len(args.species):
        raise InputError(f"--species {' '.join(args.species)}: name each species once.")
    frame = frame[frame["species"].isin(args.species)]
    codes = encode(frame["sequence"])
    # windows with other letters are there only where the configuration keeps them; models know four bases
    pure = (codes <= 3).all(axis=1)
    frame, codes = frame[pure], codes[pure]
    species = frame["species"].map({name: label for label, name in enumerate(args.species)}).to_numpy(np.int64)
    fold = frame["fold"].map({name: number for number, name in enumerate(FOLDS)}).to_numpy(np.uint8)
    for label, name in enumerate(args.species):
        for number, part in enumerate(FOLDS):
            if not ((species == label) & (fold == number)).any():
                raise InputError(f"{args.dataset} has no {part} sequence of {name} of A, C, G, T only; choose others.")
    order = np.lexsort((fold, species))
    write_examples(args.out, Examples(codes[order], species[order], fold[order], tuple(args.species)))
    print(f"{len(codes)} sequences of {', '.join(args.species)}; {int((~pure).sum())} with other letters left out")
