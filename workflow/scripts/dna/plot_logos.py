"""Draw sequence logos of a stretch before the start site, where the TATA-box lies: real promoters and generated ones."""

import argparse

from genovision.alphabet import encode
from genovision.dna.curves import positions
from genovision.dna.fasta import read_set
from genovision.dna.logos import logos
from genovision.errors import InputError
from genovision.figures import save, style


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--sets", required=True, nargs="+", metavar="FASTA", help="sets of one species, in the order drawn")
    p.add_argument("--name", required=True, metavar="TEXT", help="species as the title calls it")
    p.add_argument("--first", type=int, default=-40, metavar="P", help="position, start site 0 (default -40)")
    p.add_argument("--last", type=int, default=-20, metavar="P", help="position, start site 0 (default -20)")
    p.add_argument("--out", required=True, metavar="SVG", help="the figure")
    return p


def main(args: argparse.Namespace) -> None:
    if args.first > args.last:
        raise InputError(f"--first {args.first} must not lie behind --last {args.last}.")
    sets = {}
    for path in args.sets:
        name, sequences = read_set(path)
        if name in sets:
            raise InputError(f"--sets: {path} is the second set called {name}; give each once.")
        sets[name] = encode(sequences)
        place = positions(sets[name].shape[1])
        if args.first < place[0] or args.last > place[-1]:
            raise InputError(
                f"{path}: sequences run from {place[0]} to {place[-1]}, --first {args.first} and --last {args.last} do not lie inside."
            )
    with style():
        title = f"{args.name}: bases from {args.first} to {args.last}"
        save(logos(sets, args.first, args.last, title), args.out)
