"""Write the data sheet of the promoter data set: counts, drops, GC, split, sources of the TSS, sources and licences."""

import argparse
import json
from pathlib import Path

import pandas as pd

from genovision.atomic import replacing
from genovision.errors import InputError
from genovision.promoters import datasheet
from genovision.promoters.comparison import COLUMNS as COMPARISON
from genovision.promoters.dataset import COLUMNS, ROW
from genovision.promoters.split import COLUMNS as SPLIT
from genovision.promoters.tss import read_rows
from genovision.tables import read_table


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--dataset", required=True, nargs="+", help="Parquet of build_dataset, one per length")
    options.add_argument("--dropped", required=True, nargs="+", help="their dropped rows, TSV, in the same order")
    options.add_argument(
        "--receipts", nargs="+", required=True, help="JSON of the retrievals: versions, licences, sha256"
    )
    options.add_argument("--warning", nargs="*", default=[], help="warnings of choose_tss, TSV")
    options.add_argument("--comparison", nargs="*", default=[], help="tables of compare_tss_sources, TSV")
    options.add_argument("--split", help="TSV of split_windows, for its units")
    options.add_argument("--out", required=True, help="data sheet, Markdown")
    return options


def source(path: str) -> dict[str, str]:
    """The row of a receipt; nothing of it says where on this machine the file was found."""
    try:
        receipt = json.loads(Path(path).read_text())
        state = receipt["status"]
        row = {key: str(receipt.get(key, "")) for key in datasheet.SOURCES}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no receipt of a retrieval; retrieve again.") from error
    if state == "retrieved":
        state = "checked" if receipt.get("checked") else "recorded"
    return row | {"state": state}


def main(args: argparse.Namespace) -> None:
    if len(args.dataset) != len(args.dropped):
        raise InputError("--dataset and --dropped are parallel lists, one entry per length; give them in one order.")
    comparison = [table for table in (read_table(path, COMPARISON) for path in args.comparison) if len(table)]
    text = datasheet.write(
        [read_table(path, COLUMNS) for path in args.dataset],
        [read_rows(path, [*ROW, "reason"]) for path in args.dropped],
        pd.DataFrame([source(path) for path in args.receipts]).drop_duplicates(),
        [
            f"{row.species}: {row.text}"
            for path in args.warning
            for row in read_rows(path, ["species", "text"]).itertuples()
        ],
        pd.concat(comparison, ignore_index=True) if comparison else None,
        read_rows(args.split, SPLIT) if args.split else None,
    )
    with replacing(args.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
