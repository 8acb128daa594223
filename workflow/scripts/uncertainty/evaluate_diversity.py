"""Tables of the system ensemble_diversity: single models against their ensemble, score by score."""

import argparse

import numpy as np

from genovision.errors import InputError
from genovision.tables import write_table
from genovision.uncertainty import options
from genovision.uncertainty.diversity_tables import evaluate, summary
from genovision.uncertainty.outputs import read_members


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--outputs",
        required=True,
        action="append",
        nargs="+",
        metavar="SPLIT NPZ",
        help="a split (`test`, or an OOD set by its name) and the outputs of every seed's model on it",
    )
    p.add_argument("--detection", required=True, metavar="TSV", help="AUROC and FPR@95 by OOD set, system and score")
    p.add_argument(
        "--selective", required=True, metavar="TSV", help="accuracy, AURC, coverage at 5 %% risk, AURR of the MSP"
    )
    p.add_argument(
        "--conditional", required=True, metavar="TSV", help="mutual information among inputs of like average entropy"
    )
    p.add_argument(
        "--summary", required=True, nargs=2, metavar="TSV", help="AUROC and FPR@95, one row per system and score"
    )
    options.add(p)
    return p


def main(args: argparse.Namespace) -> None:
    draws = options.draws(args)
    outputs = read_members(args.outputs)
    if "test" not in outputs or len(outputs) < 2:
        raise InputError(f"--outputs: `test` and at least one OOD set are needed, there is {', '.join(outputs)}.")
    members = len(outputs["test"])
    if members < 2:
        raise InputError("--outputs: an ensemble needs the models of two seeds at least (classifiers.seeds).")
    logits = {split: np.stack([one.logits for one in some], axis=1) for split, some in outputs.items()}
    tables = evaluate(logits, outputs["test"][0].labels, draws)
    for table, path in zip(tables, (args.detection, args.selective, args.conditional, args.evidence), strict=True):
        write_table(table, path)
    for table, path in zip(summary(tables), args.summary, strict=True):
        write_table(table, path)
    print(f"{members} members, {len(logits) - 1} OOD sets")
