"""Figures of promoter sequences: motif-position curves and composition around the start site, real against floors."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genovision.dna.motifs import EPD
from genovision.figures import BLACK, COLOURS, GREY, palette

REAL = "test"
LABELS = {
    "test": "real, test",
    "train": "real, train",
    "annotation": "real, at annotated 5' ends",
    "shuffle": "dinucleotide shuffle",
    "markov5": "Markov, order 5",
    "position_markov3": "positional Markov, order 3",
}
_FIXED = {
    "test": BLACK,
    "train": GREY,
    "annotation": COLOURS[3],
    "shuffle": COLOURS[4],
    "markov5": COLOURS[1],
    "position_markov3": COLOURS[0],
}
_WIDTH = {"test": 1.4, "train": 1.4}
_AXIS = "position relative to the start site (bp)"


def _order(sets) -> list[str]:
    """Floors first, then whatever else there is, then the real sets: those drawn last lie on top."""
    present = list(dict.fromkeys(sets))
    real = [name for name in ("annotation", "train", REAL) if name in present]
    floors = [name for name in LABELS if name in present and name not in real]
    return floors + [name for name in present if name not in LABELS] + real


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles[::-1], labels[::-1], loc="outside lower center", ncols=5 if len(handles) == 5 else 3, columnspacing=1.4
    )


def _panels(number: int) -> tuple[Figure, list[Axes]]:
    rows = max(1, -(-number // 2))
    figure, axes = plt.subplots(
        rows, min(2, number) or 1, figsize=(9, 0.7 + 2.75 * rows), squeeze=False, layout="constrained"
    )
    axes = list(axes.flat)
    for unused in axes[number:]:
        unused.remove()
    return figure, axes[:number]


def _shade_expected(axes: Axes, motif: str, low: float, high: float) -> None:
    """The region where EPD's motif is expected, in positions with the start site at 0."""
    region = EPD[motif].region if motif in EPD else None
    if region is not None:
        first, last = (bound - (bound > 0) for bound in region)
        axes.axvspan(max(first, low) - 0.5, min(last, high) + 0.5, color="#f2f0e6", zorder=0)


def _is_sparse(real: pd.DataFrame) -> bool:
    """Most positions have no hit at all: only counts in windows show anything."""
    return len(real) > 0 and real["percent"].median() == 0


def _curve(axes: Axes, rows: pd.DataFrame, prefix: str, colour: str, name: str) -> None:
    """One set's line, with its band where it is the real one; prefix "" or "window_" says which columns."""
    rows = rows.sort_values("position")
    if prefix:
        # near the ends the window is cut, and its count falls for no other reason
        half = int(rows["window"].max()) // 2 if len(rows) else 0
        rows = rows.iloc[half : len(rows) - half]
    low, high = rows[f"{prefix}low"], rows[f"{prefix}high"]
    if name == REAL and low.notna().any():
        axes.fill_between(rows["position"], low, high, color=colour, alpha=0.18, linewidth=0)
    line = {"color": colour, "linewidth": _WIDTH.get(name, 1.0), "label": LABELS.get(name, name)}
    axes.plot(rows["position"], rows[f"{prefix}percent"], **line)


def motif_curves(curves: pd.DataFrame, title: str) -> Figure:
    """A panel per motif: percent of sequences with a hit at each position; the real test set with its 95 % band on top.

    curves: the columns of genovision.dna.curves.CURVES, of one species and length. A motif without a hit at most positions of the real
    set is drawn as counted in windows, and its title says so.
    """
    motifs = list(dict.fromkeys(curves["motif"]))
    sets = _order(curves["set"])
    colours = palette(sets, _FIXED)
    figure, panels = _panels(len(motifs))
    for axes, motif in zip(panels, motifs, strict=True):
        chosen = curves[curves["motif"] == motif]
        prefix = "window_" if _is_sparse(chosen[chosen["set"] == REAL]) else ""
        for name in sets:
            _curve(axes, chosen[chosen["set"] == name], prefix, colours[name], name)
        _finish(axes, motif, chosen, prefix)
    _legend(figure, panels[0])
    figure.suptitle(title, fontsize=12)
    return figure


def _finish(axes: Axes, motif: str, rows: pd.DataFrame, prefix: str) -> None:
    low, high = rows["position"].min(), rows["position"].max()
    _shade_expected(axes, motif, low, high)
    axes.axvline(0, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
    counted = f", in windows of {rows['window'].iloc[0]} bp" if prefix else ""
    axes.set(title=motif + counted, xlabel=_AXIS, ylabel="sequences with the motif (%)")
    axes.set_xlim(low, high)
    axes.set_ylim(bottom=0)


def composition(fractions: pd.DataFrame, title: str) -> Figure:
    """A panel per base: percent of sequences with that base at each position, real against floors.

    fractions: columns set, position, A, C, G, T (fractions), of one species and length.
    """
    sets = _order(fractions["set"])
    colours = palette(sets, _FIXED)
    figure, panels = _panels(4)
    for axes, base in zip(panels, "ACGT", strict=True):
        for name in sets:
            rows = fractions[fractions["set"] == name].sort_values("position")
            line = {"color": colours[name], "linewidth": _WIDTH.get(name, 1.0), "label": LABELS.get(name, name)}
            axes.plot(rows["position"], 100 * rows[base], **line)
        axes.axvline(0, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
        axes.set(title=base, xlabel=_AXIS, ylabel=f"sequences with {base} (%)")
        axes.set_xlim(fractions["position"].min(), fractions["position"].max())
    highest = 100 * float(np.nanmax(fractions[list("ACGT")].to_numpy()))
    for axes in panels:
        axes.set_ylim(0, 1.05 * highest)
    _legend(figure, panels[0])
    figure.suptitle(title, fontsize=12)
    return figure
