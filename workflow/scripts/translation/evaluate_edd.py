"""Tables of the system edd: how well each system's uncertainty tells the test set from OOD sets and finds bad sentences, quality, whether
students judge sentences as their ensemble does, cost, what was chosen on validation sets, and evidence for the ledger."""

import argparse

import pandas as pd

from genovision.errors import InputError
from genovision.resampling import Draws
from genovision.tables import read_table, write_table
from genovision.translation import detection, judgement
from genovision.translation.scored import KEYS, Task, read_task


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--scored",
        required=True,
        action="append",
        nargs=4,
        metavar=("TASK", "SEED", "SYSTEM", "TSV"),
        help="of score_system or score_base_system: task bitext or dna; once per table",
    )
    p.add_argument(
        "--sets",
        required=True,
        action="append",
        nargs=2,
        metavar=("TASK", "TSV"),
        help="the role of each set (columns set, role; for bitext also id, target); once per task",
    )
    p.add_argument(
        "--controls",
        action="append",
        nargs=2,
        default=[],
        metavar=("TASK", "TSV"),
        help="set, id and scores that know no model; once per task",
    )
    p.add_argument(
        "--costs",
        action="append",
        nargs=2,
        default=[],
        metavar=("TASK", "TSV"),
        help="of score_system or score_base_system; once per run",
    )
    p.add_argument(
        "--replicates", type=int, default=500, metavar="R", help="bootstrap samples; 0 = no intervals (default 500)"
    )
    p.add_argument("--seed", type=int, default=0, help="non-negative whole number (default 0)")
    p.add_argument(
        "--detection", required=True, metavar="TSV", help="AUROC, AUPR and FPR@95 by system, measure and set"
    )
    p.add_argument("--summary", required=True, metavar="TSV", help="AUROC, one row per system and measure")
    p.add_argument("--errors", required=True, metavar="TSV", help="how well each measure finds bad sentences")
    p.add_argument("--quality", required=True, metavar="TSV", help="BLEU and chrF, or bits per base")
    p.add_argument("--agreement", required=True, metavar="TSV", help="rank correlation with the ensemble's uncertainty")
    p.add_argument("--points", required=True, metavar="TSV", help="mutual information of every sentence, first seed")
    p.add_argument("--cost", required=True, metavar="TSV", help="seconds and passes, means over runs, and ratios")
    p.add_argument("--choice", required=True, metavar="TSV", help="what was chosen on the validation OOD sets")
    p.add_argument("--told", metavar="TSV", help="gets a sentence for each student whose samples mean nothing")
    p.add_argument("--evidence", required=True, metavar="TSV", help="bootstrap replicates for the claims ledger")
    return p


def main(args: argparse.Namespace) -> None:
    if args.replicates < 0 or args.seed < 0:
        raise InputError(f"--replicates {args.replicates} and --seed {args.seed} must not be negative.")
    sets = _per_task("sets", args.sets, ["set", "role"])
    controls = _per_task("controls", args.controls, KEYS)
    tasks = read_tasks(args.scored, sets, controls)
    costs = _costs(args.costs)
    draws = Draws(args.replicates, args.seed)
    found = [detection.Detection(task, draws) for task in tasks]
    errors = [judgement.Errors(task, draws) for task in tasks]
    quality = [judgement.Quality(task, draws, _references(task, sets[task.name])) for task in tasks]
    table = detection.detection_table(found)
    evidence = [
        detection.detection_evidence(found),
        judgement.error_evidence(errors, found),
        judgement.quality_evidence(quality, found),
    ]
    written = {
        "detection": table,
        "summary": detection.summary(table),
        "errors": judgement.error_table(errors),
        "quality": judgement.quality_table(quality),
        "agreement": judgement.agreement_table(tasks, draws),
        "points": judgement.points(tasks),
        "cost": judgement.cost_table(costs),
        "choice": detection.choice_table(found),
        "evidence": pd.concat(evidence, ignore_index=True),
    }
    for name, one in written.items():
        write_table(one, getattr(args, name))
    if args.told:
        write_table(judgement.alarms(tasks), args.told)
    for task in tasks:
        print(f"{task.name}: {', '.join(task.systems)}; seeds {', '.join(task.seeds)}; {len(task.roles)} sets")


def read_tasks(scored: list[list[str]], sets: dict[str, pd.DataFrame], controls: dict[str, pd.DataFrame]) -> list[Task]:
    tables: dict[str, dict[tuple[str, str], pd.DataFrame]] = {}
    for name, seed, system, path in scored:
        own = tables.setdefault(name, {})
        if (seed, system) in own:
            raise InputError(f"--scored {name} {seed} {system}: the table is named twice.")
        own[seed, system] = read_table(path, KEYS)
    for option, given in (("sets", sets), ("controls", controls)):
        unknown = [name for name in given if name not in tables]
        if unknown:
            raise InputError(f"--{option} {unknown[0]}: no --scored is of this task.")
    missing = [name for name in tables if name not in sets]
    if missing:
        raise InputError(f"--scored {missing[0]}: no --sets says which role the sets of this task have.")
    return [
        read_task(name, own, dict(zip(sets[name]["set"], sets[name]["role"], strict=True)), controls.get(name))
        for name, own in tables.items()
    ]


def _per_task(option: str, given: list[list[str]], columns: list[str]) -> dict[str, pd.DataFrame]:
    found = {}
    for name, path in given:
        if name in found:
            raise InputError(f"--{option} {name}: the task is named twice.")
        found[name] = read_table(path, columns)
    return found


def _references(task: Task, sets: pd.DataFrame) -> list[str]:
    """Of the test set's sentences, where systems translate."""
    if task.name != "bitext":
        return []
    if not {"id", "target"} <= set(sets.columns):
        raise InputError("--sets bitext: there is no column target (or id), which translations are compared with.")
    rows = sets[sets["set"] == task.test]
    texts = rows.set_index(rows["id"].astype(str))["target"].fillna("").astype(str)
    lost = [name for name in task.ids[task.test] if name not in texts.index]
    if lost:
        raise InputError(f"--sets bitext: sentence {lost[0]} of {task.test} is missing.")
    return texts.loc[task.ids[task.test]].tolist()


def _costs(given: list[list[str]]) -> pd.DataFrame:
    tables = [read_table(path, judgement.COST).assign(task=name) for name, path in given]
    return (
        pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["task", *judgement.COST], dtype=float)
    )
