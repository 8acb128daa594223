"""Tables of the system early_exit: single models, ensembles of two and cascades, by what they give and what they cost in MACs."""

import argparse

from genovision.errors import InputError
from genovision.tables import write_table
from genovision.uncertainty import options
from genovision.uncertainty.cascade_tables import Family, evaluate, summary
from genovision.uncertainty.outputs import read_macs, read_members


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--macs",
        required=True,
        action="append",
        nargs=2,
        metavar=("WIDTH", "JSON"),
        help="cost of a model of the width; once per width",
    )
    p.add_argument(
        "--outputs",
        required=True,
        action="append",
        nargs="+",
        metavar="WIDTH SPLIT NPZ",
        help="a width, a split (calibration, test, or an OOD set by its name) and the outputs of every seed's model on it",
    )
    p.add_argument(
        "--half-width", type=float, default=0.1, metavar="X", help="of the window, a share on either side (default 0.1)"
    )
    p.add_argument(
        "--sweep", required=True, metavar="WIDTH", help="the width for which windows of every size are tried"
    )
    p.add_argument("--points", required=True, metavar="TSV", help="metric and MACs by task, system, width and OOD set")
    p.add_argument("--windows", required=True, metavar="TSV", help="the windows, by width, task and first stage")
    p.add_argument(
        "--sizes",
        required=True,
        metavar="TSV",
        help="coverage and accuracy by share that continues, for windows and thresholds of every size",
    )
    p.add_argument("--summary", required=True, metavar="TSV", help="one row per width and system")
    options.add(p)
    return p


def main(args: argparse.Namespace) -> None:
    draws = options.draws(args)
    if not 0 < args.half_width <= 0.5:
        raise InputError(f"--half-width {args.half_width} lies in (0, 0.5].")
    macs = {width: read_macs(path) for width, path in args.macs}
    if args.sweep not in macs:
        raise InputError(f"--sweep {args.sweep} is none of the widths {', '.join(macs)}.")
    families, read = {}, {}
    for width in macs:
        read[width] = read_members([group[1:] for group in args.outputs if group[0] == width])
        if len(read[width].get("test", [])) < 2:
            raise InputError(
                f"--outputs: a cascade of the width {width} needs the models of two seeds at least (classifiers.seeds)."
            )
        if not {"calibration", "test"} < set(read[width]):
            raise InputError(
                f"--outputs: the width {width} needs calibration, test and an OOD set, there is {', '.join(read[width])}."
            )
        families[width] = Family(
            {split: [one.logits for one in some] for split, some in read[width].items()}, macs[width]
        )
    first = read[next(iter(macs))]
    for width, some in read.items():
        shapes = [{split: (len(seeds), len(seeds[0].labels)) for split, seeds in one.items()} for one in (first, some)]
        if shapes[0] != shapes[1]:
            raise InputError(
                f"--outputs: the widths differ in splits, seeds or inputs, see {width}: {shapes[0]} and {shapes[1]}."
            )
    labels = {split: first[split][0].labels for split in ("calibration", "test")}
    tables = evaluate(families, labels["calibration"], labels["test"], draws, args.half_width, args.sweep)
    for table, path in zip(tables, (args.points, args.windows, args.sizes, args.evidence), strict=True):
        write_table(table, path)
    write_table(summary(tables.points), args.summary)
    print(f"{len(families)} widths, {len(tables.points)} points")
