"""Top-1 and top-5 of pretrained networks on labelled photographs, with Wilson intervals, and a window cascade over them."""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from genovision.classifiers.accuracy import rank_of_label, wilson
from genovision.errors import InputError
from genovision.tables import write_table
from genovision.uncertainty.cascade import fit_windows, mean_macs, run
from genovision.uncertainty.outputs import Outputs, read_outputs, same_inputs


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--model",
        dest="models",
        nargs=4,
        action="append",
        required=True,
        metavar=("NAME", "NPZ", "MACS", "CONFIG"),
        help="a name, and what classifiers/write_pretrained_outputs wrote; in the order of the cascade, cheapest first",
    )
    p.add_argument(
        "--half-width",
        type=float,
        default=0.1,
        help="share of the images on either side of the threshold (default 0.1)",
    )
    p.add_argument("--accuracy", required=True, metavar="TSV", help="top-1 and top-5 per network and for the cascade")
    p.add_argument(
        "--cascade", required=True, metavar="TSV", help="per image: where it left the cascade and what it was called"
    )
    return p


class Model(NamedTuple):
    """A network's outputs on the photographs, its cost, and its preprocessing in words."""

    name: str
    outputs: Outputs
    macs: int
    parameters: int
    preprocessing: str


def read_model(name: str, npz: str, macs: str, config: str) -> Model:
    try:
        cost, told = (json.loads(Path(path).read_text(encoding="utf-8")) for path in (macs, config))
        how = told["preprocessing"]
        words = f"{how['rule']} {how['resize']} to {how['size']}, {how['interpolation']}"
        words += f", mean {how['mean'][0]:.3f}, std {how['std'][0]:.3f}"
        found = cost["macs"], cost["parameters"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{macs} or {config} is not what classifiers/write_pretrained_outputs writes ({error!r})."
        ) from error
    return Model(name, read_outputs(npz), *found, words)


def accuracy_row(name: str, ranks: np.ndarray, largest: tuple[int, ...]) -> dict:
    """Shares of images whose label is among the 1 and the 5 largest logits (None for those not asked for), with their intervals."""
    row = {"model": name, "images": len(ranks)}
    for k in (1, 5):
        right = int((ranks < k).sum())
        values = (right, right / len(ranks), *wilson(right, len(ranks))) if k in largest else (None,) * 4
        row |= dict(zip((f"top{k}_right", f"top{k}", f"top{k}_low", f"top{k}_high"), values, strict=True))
    return row


def cascade(models: list[Model], half_width: float) -> tuple[dict, pd.DataFrame]:
    """Row of the accuracy table, and what became of every image; the windows are found on these same images."""
    names, labels = [model.name for model in models], models[0].outputs.labels
    stages = [model.outputs.logits for model in models]
    outcome = run(stages, fit_windows(stages, labels, half_widths=half_width))
    reached = [int((outcome.stage >= s).sum()) for s in range(1, len(models))]
    row = accuracy_row(" -> ".join(names), (outcome.prediction != labels).astype(int), (1,))
    row |= {"million_macs": mean_macs(outcome.stage, [model.macs for model in models]) / 1e6}
    row |= {"parameters": sum(model.parameters for model in models)}
    row |= {"continue": ", ".join(f"{n} of {len(labels)}" for n in reached), "preprocessing": "each network's own"}
    columns = {
        "image": range(len(labels)),
        "label": labels,
        "prediction": outcome.prediction,
        "confidence": outcome.confidence,
    }
    return row, pd.DataFrame(columns | {"left_at": [names[s] for s in outcome.stage]})


def main(args: argparse.Namespace) -> None:
    if not 0 <= args.half_width <= 0.5:
        raise InputError(f"--half-width {args.half_width} is a share of the images between 0 and 0.5.")
    models = [read_model(*told) for told in args.models]
    same_inputs([model.outputs for model in models])
    rows = []
    for model in models:
        row = accuracy_row(model.name, rank_of_label(model.outputs.logits, model.outputs.labels), (1, 5))
        row |= {"million_macs": model.macs / 1e6, "parameters": model.parameters, "continue": None}
        rows.append(row | {"preprocessing": model.preprocessing})
    images = pd.DataFrame(columns=["image", "label", "prediction", "confidence", "left_at"])
    if len(models) > 1:
        row, images = cascade(models, args.half_width)
        rows.append(row)
    table = pd.DataFrame(rows).astype({f"top{k}_right": "Int64" for k in (1, 5)})
    write_table(table, args.accuracy)
    write_table(images, args.cascade)
    for row in rows:
        print(
            f"{row['model']}: top-1 {row['top1_right']} of {row['images']} ({row['top1_low']:.2f} to {row['top1_high']:.2f})"
        )
