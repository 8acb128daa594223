"""Retrieve one file of the table of sources, checked against its sha256, with a receipt that says where it came from."""

import argparse
import json
import os
from pathlib import Path

from genovision.atomic import replacing
from genovision.errors import InputError
from genovision.sources import Interrupted, Unreachable, read_sources, retrieve, sha256


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--table", type=Path, required=True, help="the table of sources (TSV)")
    options.add_argument("--source", required=True, help="name of the source in the table")
    options.add_argument("--file", required=True, help="its file")
    options.add_argument(
        "--folders",
        default=os.environ.get("GENOVISION_SOURCES", ""),
        help=f"look into these folders first, separated by {os.pathsep!r} (default: the variable GENOVISION_SOURCES)",
    )
    options.add_argument("--store", type=Path, help="folder that keeps a link to what was retrieved and is asked first")
    options.add_argument(
        "--optional", action="store_true", help="an unreachable file is not an error: an empty one says so"
    )
    options.add_argument("--taken-up", action="store_true", help="it was out of reach before; noted in the receipt")
    options.add_argument("--out", type=Path, required=True, help="the file, whole")
    options.add_argument(
        "--receipt", type=Path, required=True, help="JSON: status, origin, bytes, sha256, version, licence"
    )
    return options


def main(args: argparse.Namespace) -> None:
    rows = [row for row in read_sources(args.table) if (row.source, row.file) == (args.source, args.file)]
    if not rows:
        raise InputError(f"{args.table} has no source {args.source} with the file {args.file}.")
    folders = [Path(folder) for folder in args.folders.split(os.pathsep) if folder]
    receipt = {"source": args.source, "file": args.file, "version": rows[0].version, "licence": rows[0].licence}
    if args.taken_up:
        receipt["taken_up"] = True
    try:
        origin = retrieve(rows, folders, args.out, args.store)
        if origin.startswith("the folder "):  # a receipt tells nothing of this machine
            origin = "a local folder"
        receipt |= {
            "status": "retrieved",
            "origin": origin,
            "bytes": args.out.stat().st_size,
            "sha256": sha256(args.out),
        }
        receipt["checked"] = bool(rows[0].sha256)
    except Unreachable as answers:
        sentence = (
            f"{args.file} could not be retrieved ({answers}); put it into a folder that sources.folders "
            "in the configuration or the variable EPD_DIR names, and run again."
        )
        if not args.optional or isinstance(answers, Interrupted):
            raise InputError(sentence) from answers
        print(f"warning: {sentence}")
        receipt |= {"status": "unreachable", "reason": sentence}
        with replacing(args.out) as temporary:
            temporary.touch()
    with replacing(args.receipt) as temporary:
        temporary.write_text(json.dumps(receipt, indent=1) + "\n")
