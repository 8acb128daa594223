"""Tables of the system label_smoothing: selective classification after cross entropy and after smoothing, with and without a remedy."""

import argparse

from genovision.errors import InputError
from genovision.tables import write_table
from genovision.uncertainty import options
from genovision.uncertainty.outputs import read_members
from genovision.uncertainty.smoothing import POWERS
from genovision.uncertainty.smoothing_tables import Model, evaluate, summary


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--alpha",
        required=True,
        action="append",
        nargs=2,
        metavar=("RECIPE", "ALPHA"),
        help="smoothing of a recipe; exactly one is 0",
    )
    p.add_argument(
        "--outputs",
        required=True,
        action="append",
        nargs="+",
        metavar="RECIPE SPLIT NPZ",
        help="a recipe, a split (calibration or test) and the outputs of every seed's model on it",
    )
    p.add_argument(
        "--powers",
        nargs="+",
        type=float,
        default=list(POWERS),
        metavar="P",
        help="p among which logit normalisation chooses (default 2..10)",
    )
    p.add_argument("--measures", required=True, metavar="TSV", help="accuracy, AURC and more by recipe and score")
    p.add_argument("--curves", required=True, metavar="TSV", help="risk by coverage")
    p.add_argument("--searched", required=True, metavar="TSV", help="AURC on the calibration split by p")
    p.add_argument(
        "--suppression", required=True, metavar="TSV", help="max logit after smoothing by probability of error"
    )
    p.add_argument("--summary", required=True, metavar="TSV", help="one row per recipe and score")
    options.add(p)
    return p


def _alphas(pairs: list[list[str]]) -> dict[str, float]:
    alphas = {}
    for recipe, text in pairs:
        try:
            alphas[recipe] = float(text)
        except ValueError as error:
            raise InputError(f"--alpha {recipe} {text}: {text} is no number.") from error
        if not 0 <= alphas[recipe] < 1:
            raise InputError(f"--alpha {recipe} {text}: smoothing lies in [0, 1).")
    if sum(alpha == 0 for alpha in alphas.values()) != 1 or len(alphas) < 2:
        raise InputError(
            "--alpha: one recipe without smoothing and at least one with are needed (classifiers.recipes)."
        )
    return alphas


def main(args: argparse.Namespace) -> None:
    draws = options.draws(args)
    if min(args.powers) <= 1:
        raise InputError(
            f"--powers: every p is above 1, because p = 1 says nothing; the least is {min(args.powers):g}."
        )
    alphas = _alphas(args.alpha)
    models, labels = {}, {}
    for recipe in alphas:
        outputs = read_members([group[1:] for group in args.outputs if group[0] == recipe])
        if set(outputs) != {"calibration", "test"}:
            raise InputError(
                f"--outputs: the recipe {recipe} needs calibration and test, there is {', '.join(outputs) or 'nothing'}."
            )
        if outputs["test"][0].logits.shape[1] < 3:
            raise InputError(f"{outputs['test'][0].path}: logit normalisation says nothing about two classes.")
        models[recipe] = [
            Model(a.logits, b.logits) for a, b in zip(outputs["calibration"], outputs["test"], strict=True)
        ]
        for split in outputs:
            if split in labels and labels[split].tolist() != outputs[split][0].labels.tolist():
                raise InputError(
                    f"{outputs[split][0].path}: the recipes were not given the same inputs of the split {split}."
                )
            labels[split] = outputs[split][0].labels
    tables = evaluate(models, alphas, labels["calibration"], labels["test"], draws, args.powers)
    for table, path in zip(
        tables, (args.measures, args.curves, args.searched, args.suppression, args.evidence), strict=True
    ):
        write_table(table, path)
    write_table(summary(tables.measures), args.summary)
    print(f"{len(alphas)} recipes of {len(next(iter(models.values())))} seeds")
