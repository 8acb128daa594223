"""Tables of the system sirc: how every score tells correct ID inputs from wrong and from OOD ones, and the risk it runs on a stream."""

import argparse

import numpy as np

from genovision.arrays import read_arrays
from genovision.errors import InputError
from genovision.tables import write_table
from genovision.uncertainty import options
from genovision.uncertainty.sirc_tables import COMBINED, SCORES, Scored, evaluate, summary


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--scores", required=True, nargs="+", metavar="NPZ", help="of uncertainty/score_outputs, one per training seed"
    )
    p.add_argument(
        "--headline",
        default="sirc_msp_residual",
        metavar="SCORE",
        help=f"the SIRC score of the claims, one of {' '.join(COMBINED)} (default sirc_msp_residual)",
    )
    p.add_argument(
        "--ratios",
        nargs="+",
        type=float,
        default=list(np.linspace(0, 2, 11)),
        metavar="R",
        help="OOD inputs per ID input; alpha = 1 / (1 + R)",
    )
    p.add_argument(
        "--betas",
        nargs="+",
        type=float,
        default=list(np.linspace(0, 1, 11)),
        metavar="B",
        help="cost of an ID error; an OOD input costs 1 - B",
    )
    p.add_argument("--separation", required=True, metavar="TSV", help="AUROC and FPR@95 by score and OOD set")
    p.add_argument("--aurr", required=True, metavar="TSV", help="area under the risk-recall curve over alpha and beta")
    p.add_argument("--curves", required=True, metavar="TSV", help="risk by recall")
    p.add_argument("--summary", required=True, nargs=3, metavar="TSV", help="AUROC, FPR@95 and AURR, one row per score")
    options.add(p)
    return p


def _read(path: str) -> Scored:
    arrays = read_arrays(path)
    correct = arrays.pop("test/correct", None)
    scores: dict[str, dict[str, np.ndarray]] = {}
    for name, values in arrays.items():
        split, _, score = name.partition("/")
        scores.setdefault(split, {})[score] = values
    missing = [score for split in scores for score in SCORES if score not in scores[split]]
    if correct is None or "test" not in scores or len(scores) < 2 or missing:
        raise InputError(
            f"{path} is not from uncertainty/score_outputs (a split, a score or test/correct is missing): score the outputs again."
        )
    if not 0 < correct.sum() < len(correct):
        raise InputError(
            f"{path}: all test predictions are {'right' if correct.any() else 'wrong'}, so nothing tells right from wrong."
        )
    return Scored(scores, correct, path)


def main(args: argparse.Namespace) -> None:
    draws = options.draws(args)
    if args.headline not in COMBINED:
        raise InputError(f"--headline {args.headline} is none of {', '.join(COMBINED)}.")
    if min(args.ratios) < 0 or min(args.betas) < 0 or max(args.betas) > 1:
        raise InputError("--ratios must not be negative, and --betas lie in [0, 1].")
    models = [_read(path) for path in args.scores]
    for one in models[1:]:
        sizes = [{split: len(some["msp"]) for split, some in model.scores.items()} for model in (models[0], one)]
        if sizes[0] != sizes[1]:
            raise InputError(f"{models[0].path} and {one.path} score different splits: {sizes[0]} and {sizes[1]}.")
    alphas = 1 / (1 + np.array(args.ratios))
    tables = evaluate(models, draws, alphas, np.array(args.betas), args.headline)
    for table, path in zip(tables, (args.separation, args.aurr, args.curves, args.evidence), strict=True):
        write_table(table, path)
    for table, path in zip(summary(tables, models[0].oods), args.summary, strict=True):
        write_table(table, path)
    print(f"{len(SCORES)} scores, {len(models)} seeds, {len(models[0].oods)} OOD sets")
