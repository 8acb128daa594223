"""Read one matrix of the JASPAR database as a motif: log-odds, cut-off and reference column."""

import argparse
import contextlib
import io
import warnings

import pyjaspar

from genovision.atomic import replacing
from genovision.dna.motifs import from_jaspar
from genovision.errors import InputError


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--id", required=True, metavar="ID", help="matrix with its version, as in MA0108.1")
    p.add_argument("--release", required=True, help="release of the database, as in JASPAR2024")
    p.add_argument("--name", metavar="NAME", help="what tables and figures call it (default: JASPAR's name and the id)")
    p.add_argument(
        "--pseudocount", type=float, default=1.0, metavar="X", help="counts added to each column in all (default 1)"
    )
    p.add_argument(
        "--background",
        nargs=4,
        type=float,
        default=(0.25, 0.25, 0.25, 0.25),
        metavar=("A", "C", "G", "T"),
        help="frequencies the log-odds are taken against (default 0.25 each)",
    )
    p.add_argument(
        "--cutoff",
        type=float,
        default=0.8,
        metavar="X",
        help="cut-off, as a share of the way from lowest to highest score (default 0.8)",
    )
    p.add_argument(
        "--reference", type=int, metavar="COLUMN", help="column, 1-based, whose place is reported (default: the middle)"
    )
    p.add_argument(
        "--region",
        nargs=2,
        type=int,
        metavar=("FIRST", "LAST"),
        help="where it is expected, start site +1, base before it -1 (default: nowhere in particular)",
    )
    p.add_argument("--out", required=True, metavar="JSON", help="the motif")
    return p


def fetch(identifier: str, release: str):
    """(name, counts) of a matrix; InputError when the release or the matrix does not exist."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # pyjaspar prints and warns where it should raise; what it did is told below
        warnings.simplefilter("ignore")
        releases = pyjaspar.jaspardb().get_releases()
        if release not in releases:
            raise InputError(f"--release {release} is not in this pyjaspar; it has {', '.join(releases)}.")
        motif = pyjaspar.jaspardb(release=release).fetch_motif_by_id(identifier)
    if motif is None or motif.matrix_id != identifier:
        raise InputError(f"--id {identifier} is no matrix of {release}; give the id with its version, as in MA0108.1.")
    return motif.name, motif.counts


def main(args: argparse.Namespace) -> None:
    name, counts = fetch(args.id, args.release)
    try:
        motif = from_jaspar(
            args.name or f"{name} {args.id}",
            counts,
            pseudocount=args.pseudocount,
            background=tuple(args.background),
            relative_cutoff=args.cutoff,
            reference=None if args.reference is None else args.reference - 1,
            region=args.region and tuple(args.region),
        )
    except ValueError as error:
        raise InputError(f"{error}.") from error
    with replacing(args.out) as temporary:
        temporary.write_text(motif.to_json())
    print(
        f"{motif.name}: {len(motif.matrix)} columns, cut-off {motif.cutoff:g}, reference column {motif.reference + 1}"
    )
