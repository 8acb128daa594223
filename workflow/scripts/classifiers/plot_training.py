"""Draw how training went: loss and accuracy by step, and the final accuracy of every model."""

import argparse

import pandas as pd

from genovision.classifiers.figures import training
from genovision.errors import InputError
from genovision.figures import save, style
from genovision.tables import read_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--curve",
        required=True,
        action="append",
        nargs=4,
        metavar=("WIDTH", "RECIPE", "SEED", "TSV"),
        help="a model and its curve.tsv of classifiers/train_classifier; once per model",
    )
    p.add_argument("--out", required=True, metavar="SVG", help="the figure")
    return p


def main(args: argparse.Namespace) -> None:
    tables = []
    for width, recipe, seed, path in args.curve:
        table = read_table(path, ["step", "loss", "accuracy"])
        if table.empty:
            raise InputError(f"{path} has no row; train the model again.")
        tables.append(table.assign(width=width, recipe=recipe, seed=seed))
    with style():
        save(training(pd.concat(tables, ignore_index=True)), args.out)
