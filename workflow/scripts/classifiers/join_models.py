"""Put size, cost and accuracy of all models into one table, and their means by width and recipe into another."""

import argparse
import json
from pathlib import Path

import pandas as pd

from genovision.errors import InputError
from genovision.tables import write_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--model",
        required=True,
        action="append",
        nargs=4,
        metavar=("WIDTH", "RECIPE", "SEED", "FOLDER"),
        help="a model and its folder of classifiers/train_classifier; once per model",
    )
    p.add_argument("--out", required=True, metavar="TSV", help="a row per model")
    p.add_argument("--summary", required=True, metavar="TSV", help="a row per width and recipe")
    return p


def _facts(folder: str, name: str, keys: list[str]) -> list:
    path = Path(folder) / name
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return [facts[key] for key in keys]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} does not hold {' and '.join(keys)}; train the model again.") from error


def main(args: argparse.Namespace) -> None:
    rows = []
    for width, recipe, seed, folder in args.model:
        macs, parameters = _facts(folder, "macs.json", ["macs", "parameters"])
        accuracy, loss = _facts(folder, "config.json", ["accuracy", "loss"])
        rows.append([width, recipe, seed, parameters, macs, loss, accuracy])
    columns = ["width", "recipe", "seed", "parameters", "macs", "loss", "accuracy"]
    table = pd.DataFrame(rows, columns=columns)
    groups = table.groupby(["width", "recipe"], sort=False)
    summary = groups.agg(
        models=("seed", "size"),
        parameters=("parameters", "first"),
        macs=("macs", "first"),
        accuracy=("accuracy", "mean"),
        deviation=("accuracy", "std"),
    ).reset_index()
    write_table(table, args.out)
    write_table(summary, args.summary)
