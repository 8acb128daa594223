"""Draw how the training of the DNA models went: loss by step, a panel per model."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd

from genovision.dna import generator_figures as figures
from genovision.errors import InputError
from genovision.figures import save, style
from genovision.tables import read_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--model",
        required=True,
        action="append",
        nargs=2,
        metavar=("NAME", "FOLDER"),
        help="a model as the figure calls it and its folder with curve.tsv and dna.json; once per model",
    )
    p.add_argument("--out", required=True, metavar="SVG", help="the figure")
    return p


def main(args: argparse.Namespace) -> None:
    models = [
        (name, _curve(Path(folder) / "curve.tsv"), _facts(Path(folder) / "dna.json")) for name, folder in args.model
    ]
    with style():
        save(figures.training(models), args.out)


def _curve(path: Path) -> pd.DataFrame:
    table = read_table(path, figures.TRAINING)
    numbers = table.apply(pd.to_numeric, errors="coerce")
    if table.empty or not np.isfinite(numbers[figures.TRAINING]).all(axis=None):
        raise InputError(f"{path} has no row or a loss that is not finite; train the model again.")
    return numbers


def _facts(path: Path) -> dict:
    try:
        facts = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); train the model again.") from error
    if not isinstance(facts, dict):
        raise InputError(f"{path} holds no facts by name; train the model again.")
    return facts
