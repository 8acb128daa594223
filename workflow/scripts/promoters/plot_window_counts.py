"""Draw what became of every start site: windows kept by fold, and windows dropped by reason, for each species."""

import argparse
import textwrap

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genovision.errors import InputError
from genovision.figures import BLACK, COLOURS, GREY, save, style
from genovision.tables import read_table

FOLDS = {"train": "#4a4a4a", "validation": COLOURS[5], "test": COLOURS[1]}
COLUMNS = ["species", "tss_source", "length", "rows", "kept", *FOLDS]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument(
        "--counts",
        required=True,
        nargs="+",
        metavar="TSV",
        help="counts of promoters/build_dataset, one table per length",
    )
    p.add_argument("--out", required=True, metavar="SVG", help="the figure")
    return p


def _draw_kept(axes: Axes, counts: pd.DataFrame) -> None:
    """Horizontal bars, one per row, a segment per fold; the numbers of the folds are written behind."""
    left = pd.Series(0, index=counts.index)
    for fold, colour in FOLDS.items():
        axes.barh(counts.index, counts[fold], left=left, color=colour, height=0.62, label=fold)
        left = left + counts[fold]
    for place in counts.index:
        numbers = " + ".join(f"{counts.loc[place, fold]:,}" for fold in FOLDS)
        axes.annotate(f" {numbers}", (left[place], place), va="center", fontsize=8.5)
    axes.set_xlim(0, max(1, 1.65 * left.max()))
    axes.xaxis.set_major_locator(plt.MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(plt.FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(axis="y", visible=False)
    axes.set(title="kept", xlabel="windows")


def _draw_dropped(axes: Axes, counts: pd.DataFrame, reasons: list[str]) -> None:
    """The numbers by reason, as a table: they run from one to tens of thousands, which no bar shows."""
    for column, reason in enumerate(reasons):
        for place in counts.index:
            number = counts.loc[place, reason]
            colour = BLACK if number else GREY
            axes.annotate(f"{number:,}", (column, place), ha="center", va="center", fontsize=9, color=colour)
    axes.set_xlim(-0.5, max(1, len(reasons)) - 0.5)
    axes.set_xticks(range(len(reasons)), [textwrap.fill(reason, 10) for reason in reasons], fontsize=8.5)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set(title="dropped, by reason (windows)")


def window_counts(counts: pd.DataFrame) -> Figure:
    """For each species, source and length: a bar of the windows kept, by fold, and the numbers dropped, by reason.

    counts: the columns of promoters/build_dataset; every column that is not one of COLUMNS is a reason.
    """
    reasons = [name for name in counts.columns if name not in COLUMNS]
    order = {name: place for place, name in enumerate(dict.fromkeys(counts["species"]))}
    counts = counts.sort_values(
        ["species", "length"], key=lambda column: column.map(order) if column.name == "species" else column
    )
    counts = counts.reset_index(drop=True)
    labels = [
        f"{row.species.replace('_', '. ', 1)}, {row.length} bp\n{row.tss_source}, {row.rows:,} start sites"
        for row in counts.itertuples()
    ]
    figure, (kept, dropped) = plt.subplots(
        1, 2, figsize=(9, 1.5 + 0.46 * len(counts)), sharey=True, layout="constrained", width_ratios=(5, 6)
    )
    _draw_kept(kept, counts)
    _draw_dropped(dropped, counts, reasons)
    kept.set_ylim(len(counts) - 0.5, -0.5)
    kept.set_yticks(counts.index, labels, fontsize=8.5)
    figure.legend(*kept.get_legend_handles_labels(), loc="outside lower center", ncols=len(FOLDS))
    return figure


def main(args: argparse.Namespace) -> None:
    counts = pd.concat([read_table(path, COLUMNS) for path in args.counts], ignore_index=True)
    if counts.empty:
        raise InputError(f"{', '.join(args.counts)}: no species is counted there.")
    reasons = counts.columns.difference(COLUMNS)
    counts[reasons] = counts[reasons].fillna(0).astype(int)
    with style():
        save(window_counts(counts), args.out)
