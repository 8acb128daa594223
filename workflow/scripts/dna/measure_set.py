"""Measure a set of sequences against the real test set of its species: motif curves, composition, diversity, copying."""

import argparse

from genovision.dna.diversity import SIZES
from genovision.dna.fasta import read_set
from genovision.dna.measures import measure
from genovision.dna.motifs import EPD, read_motif
from genovision.errors import InputError
from genovision.tables import read_table, write_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--set", required=True, dest="path", metavar="FASTA", help="the set to measure, ids <set>_<k>")
    p.add_argument(
        "--real", required=True, metavar="FASTA", help="as many real sequences of the test fold (may be the same file)"
    )
    p.add_argument(
        "--train", required=True, metavar="PARQUET", help="data set with the training fold: copies are looked for in it"
    )
    p.add_argument("--species", required=True, metavar="NAME", help="species, as in the data set")
    p.add_argument(
        "--motifs", nargs="*", default=list(EPD), metavar="NAME", help=f"EPD's motifs (default {' '.join(EPD)})"
    )
    p.add_argument(
        "--motif-file",
        action="extend",
        nargs="+",
        default=[],
        metavar="JSON",
        help="further motifs, from dna/read_jaspar",
    )
    p.add_argument(
        "--replicates", type=int, default=200, metavar="R", help="bootstrap samples; 0 = no intervals (default 200)"
    )
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number, the same for all sets (default 0)")
    p.add_argument(
        "--system", default="epd_gendna", metavar="SLUG", help="system named in the evidence (default epd_gendna)"
    )
    p.add_argument(
        "--resample-as",
        metavar="NAME",
        help="sets with one name are resampled alike: refinements beside what they refine (default: the set's own)",
    )
    p.add_argument("--measures", required=True, metavar="TSV", help="measures: value, low, high (95 %%), n, convention")
    p.add_argument("--curves", required=True, metavar="TSV", help="motif occurrence by position, percent of sequences")
    p.add_argument("--composition", required=True, metavar="TSV", help="fractions of A, C, G, T by position")
    p.add_argument("--evidence", required=True, metavar="TSV", help="bootstrap replicates for the claims ledger")
    return p


def _motifs(names: list[str], files: list[str]) -> list:
    unknown = [name for name in names if name not in EPD]
    if unknown:
        raise InputError(f"--motifs {unknown[0]} is none of {', '.join(EPD)}; give other motifs with --motif-file.")
    motifs = [EPD[name] for name in names] + [read_motif(path) for path in files]
    labels = [motif.name for motif in motifs]
    twice = [name for name in labels if labels.count(name) > 1]
    if twice:
        raise InputError(f"two motifs are called {twice[0]}: name each once, in --motifs or in a --motif-file.")
    return motifs


def main(args: argparse.Namespace) -> None:
    if args.replicates < 0 or args.seed < 0:
        raise InputError(f"--replicates {args.replicates} and --seed {args.seed} must not be negative.")
    motifs = _motifs(args.motifs, args.motif_file)
    name, sequences = read_set(args.path)
    real_name, real = read_set(args.real)
    frame = read_table(args.train, ["species", "fold", "sequence"])
    train = frame.loc[(frame["species"] == args.species) & (frame["fold"] == "train"), "sequence"].tolist()
    if not train:
        raise InputError(f"{args.train} has no training sequence of {args.species}.")
    if len(sequences) != len(real):
        raise InputError(
            f"{args.path} has {len(sequences)} sequences and {args.real} {len(real)}: measures depend on the number, "
            "so draw both with one --number."
        )
    if len(sequences[0]) < max(SIZES):
        raise InputError(
            f"{args.path} has sequences of {len(sequences[0])} bases; Div counts {max(SIZES)}-mers, so give longer ones."
        )
    for path, other in ((args.real, real), (args.train, train)):
        if len(other[0]) != len(sequences[0]):
            raise InputError(f"{args.path} has sequences of {len(sequences[0])} bases and {path} of {len(other[0])}.")
    tables = measure(
        name,
        sequences,
        real,
        train,
        motifs,
        species=args.species,
        real_name=real_name,
        system=args.system,
        replicates=args.replicates,
        seed=args.seed,
        resample_as=args.resample_as,
    )
    for table, path in zip(tables, (args.measures, args.curves, args.composition, args.evidence), strict=True):
        write_table(table, path)
    print(f"{name}, {args.species}: {len(tables.measures)} measures of {len(sequences)} sequences")
