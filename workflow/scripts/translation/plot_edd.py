"""Draw the figures of the system edd: AUROC by system and set, quality and cost, students beside their ensemble, and the diagnosis."""

import argparse

import pandas as pd

from genovision.errors import InputError
from genovision.figures import save, style
from genovision.tables import read_table
from genovision.translation import figures


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--tasks", required=True, nargs="+", metavar="TASK", help="bitext, dna or both")
    p.add_argument("--detection", required=True, metavar="TSV", help="of translation/evaluate_edd, like the next five")
    p.add_argument("--quality", required=True, metavar="TSV")
    p.add_argument("--errors", required=True, metavar="TSV")
    p.add_argument("--cost", required=True, metavar="TSV")
    p.add_argument("--agreement", required=True, metavar="TSV")
    p.add_argument("--points", required=True, metavar="TSV")
    p.add_argument(
        "--spread", metavar="TSV", help="of translation/diagnose_teachers, for --scales-figure and --diagnosis-figure"
    )
    p.add_argument("--experiment", metavar="TSV", help="of translation/diagnose_teachers, for --diagnosis-figure")
    p.add_argument("--auroc-figures", required=True, nargs="+", metavar="SVG", help="one per task")
    p.add_argument("--overview-figures", required=True, nargs="+", metavar="SVG", help="one per task")
    p.add_argument("--agreement-figures", required=True, nargs="+", metavar="SVG", help="one per task")
    p.add_argument("--scales-figure", metavar="SVG", help="spread of teachers and scales of students by rank")
    p.add_argument("--diagnosis-figure", metavar="SVG", help="where teachers disagree, and what their AUROC depends on")
    return p


def main(args: argparse.Namespace) -> None:
    for name in ("auroc_figures", "overview_figures", "agreement_figures"):
        if len(getattr(args, name)) != len(args.tasks):
            raise InputError(f"--{name.replace('_', '-')}: one file per task of --tasks is needed, in the same order.")
    for figure, needs in (("scales_figure", ["spread"]), ("diagnosis_figure", ["spread", "experiment"])):
        missing = [name for name in needs if getattr(args, figure) and not getattr(args, name)]
        if missing:
            raise InputError(f"--{figure.replace('_', '-')} needs --{missing[0]}.")
    tables = {
        "detection": figures.DETECTION,
        "quality": figures.QUALITY,
        "errors": figures.ERRORS,
        "cost": figures.COST,
        "agreement": figures.AGREEMENT,
        "points": figures.POINTS,
    }
    found = {name: read_table(getattr(args, name), columns) for name, columns in tables.items()}
    for name in ("detection", "quality", "errors"):
        missing = [task for task in args.tasks if task not in set(found[name]["task"])]
        if missing:
            raise InputError(f"{getattr(args, name)} has no task {missing[0]}; evaluate it first.")
    spread = _read(args.spread, figures.SPREAD)
    experiment = _read(args.experiment, figures.EXPERIMENT)
    with style():
        for place, task in enumerate(args.tasks):
            save(figures.auroc(found["detection"], task), args.auroc_figures[place])
            overview = figures.overview(found["quality"], found["errors"], found["cost"], task)
            save(overview, args.overview_figures[place])
            save(figures.agreement(found["points"], found["agreement"], task), args.agreement_figures[place])
        if args.scales_figure:
            save(figures.scales(spread), args.scales_figure)
        if args.diagnosis_figure:
            save(figures.diagnosis(spread, experiment), args.diagnosis_figure)


def _read(path: str | None, columns: list[str]) -> pd.DataFrame | None:
    return read_table(path, columns) if path else None
