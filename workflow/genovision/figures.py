"""How figures look and are written: SVG, the same bytes for the same data, readable at 900 px, safe for the colour-blind."""

import os
from collections.abc import Iterable

import matplotlib as mpl
from matplotlib.figure import Figure

from genovision.atomic import replacing

# Okabe & Ito 2008. Real data are black and grey, everything else takes the next colour.
BLACK, GREY = "#000000", "#8a8a8a"
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

_STYLE = {
    "svg.hashsalt": "genovision",  # ids in the file are derived from it instead of from the clock
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "figure.dpi": 100,
}


def style():
    """Context in which a figure is made and saved: `with style(): ...`."""
    return mpl.rc_context(_STYLE)


def palette(names: Iterable[str], fixed: dict[str, str]) -> dict[str, str]:
    """A colour per name: the fixed ones, then COLOURS in order, from the start again when they run out."""
    free = [colour for colour in COLOURS if colour not in fixed.values()] or list(COLOURS)
    others = [name for name in dict.fromkeys(names) if name not in fixed]
    return fixed | {name: free[i % len(free)] for i, name in enumerate(others)}


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Write an SVG without a date; whole or not at all."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
