"""Sequence logos: how much is known of the base at each position of aligned sequences, and which base it is.

Schneider & Stephens 1990 (Nucleic Acids Res. 18:6097): a stack of letters is as high as the information of its position, and a letter
takes the share of the stack that its base has of the sequences. The background is uniform, so a position can tell at most 2 bits.

Letters are matplotlib's own text outlines, stretched: logomaker's are too, but it brings 13 MB and does not correct for few sequences.
"""

from collections.abc import Sequence
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

from genovision.alphabet import BASES, encode
from genovision.dna.curves import positions
from genovision.dna.generator_figures import label_of, plain
from genovision.figures import COLOURS

MOST = 2.0  # bits, log2 of the number of bases
WIDTH = 0.92  # of a letter; neighbouring stacks are one position apart
_LEAST = 1e-3  # bits; a lower letter is no longer seen
_COLOUR = dict(zip(BASES, (COLOURS[2], COLOURS[1], COLOURS[4], COLOURS[0]), strict=True))


def base_counts(sequences: Sequence[str] | npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """How often each base occurs at each position: (L, 4), columns A, C, G, T; other letters are not counted.

    sequences: N strings of equal length L, or their codes (N, L) uint8. Raises ValueError for unequal lengths or no sequence.
    """
    codes = sequences if isinstance(sequences, np.ndarray) else encode(sequences)
    if codes.ndim != 2 or len(codes) == 0:
        raise ValueError(f"codes of shape {codes.shape} are not of one sequence or more")
    return np.stack([(codes == base).sum(axis=0) for base in range(len(BASES))], axis=1)


def information(counts: npt.ArrayLike, corrected: bool = True) -> npt.NDArray[np.float64]:
    """Bits known of the base at each position: 2 - (H + e), with H the entropy of the base fractions in bits. counts (L, 4) -> (L,).

    corrected: the entropy of n sequences comes out too low, on average by about e = 3 / (2 n ln 2) (Schneider et al. 1986, J. Mol. Biol.
    188:415; Miller & Madow); without the correction random sequences would show a pattern. So a position that tells nothing scatters
    around 0 and is below it half of the time; False leaves e out.
    NaN where nothing was counted. Raises ValueError for another shape or a count that is negative or not finite.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[1] != len(BASES):
        raise ValueError(f"counts have shape {counts.shape}, not (positions, {len(BASES)})")
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise ValueError("counts must be finite and not negative")
    number = counts.sum(axis=1)
    known = np.where(number > 0, number, np.nan)
    share = counts / known[:, None]
    entropy = -(share * np.log2(np.where(share > 0, share, 1.0))).sum(axis=1)
    excess = (len(BASES) - 1) / (2 * np.log(2) * known) if corrected else 0.0
    return MOST - (entropy + excess)


def heights(counts: npt.ArrayLike, corrected: bool = True) -> npt.NDArray[np.float64]:
    """Height of every letter, bits: (L, 4), a row adds up to the information of its position; 0 where that is negative or unknown."""
    counts = np.asarray(counts, dtype=np.float64)
    bits = np.nan_to_num(np.maximum(information(counts, corrected), 0.0))
    return bits[:, None] * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0)


@cache
def _letter(base: str) -> Path:
    """Outline of a letter, stretched to fill the square from 0 to 1."""
    outline = TextPath((0, 0), base, size=1, prop={"family": "DejaVu Sans", "weight": "bold"})
    box = outline.get_extents()
    return Path((outline.vertices - box.min) / box.size, outline.codes)


def stack_letters(axes: Axes, letters: npt.NDArray[np.float64], places: npt.NDArray) -> None:
    """Draw a stack at each place: letters (K, 4) of `heights`, places (K,) on the horizontal axis; the highest letter on top.

    Equal letters lie in the order A, C, G, T from below; letters under a thousandth of a bit are left out, their room is kept.
    """
    outlines, colours = [], []
    for place, column in zip(places, letters, strict=True):
        foot = 0.0
        for base in np.argsort(column, kind="stable"):
            if column[base] >= _LEAST:
                shape = _letter(BASES[base])
                corner, size = (place - WIDTH / 2, foot), (WIDTH, column[base])
                outlines.append(Path(shape.vertices * size + corner, shape.codes))
                colours.append(_COLOUR[BASES[base]])
            foot += column[base]
    axes.add_collection(PathCollection(outlines, facecolors=colours, edgecolors="none", transform=axes.transData))


def logos(sets: dict[str, npt.NDArray[np.uint8]], first: int, last: int, title: str) -> Figure:
    """A logo per set of the positions from first to last, relative to the start site (0); all on one scale.

    sets: name -> codes (N, L) uint8 with the start site at L // 2; the panels come in their order. A panel's title has the number of
    sequences and the information of all positions drawn. Raises ValueError when there is no set or a window lacks the positions.
    """
    stacks, totals, place = {}, {}, np.arange(first, last + 1)
    for name, codes in sets.items():
        inside = np.isin(positions(codes.shape[1]), place)
        if first > last or inside.sum() != len(place):
            raise ValueError(f"the window of {name} does not have all positions from {first} to {last}")
        counts = base_counts(codes[:, inside])
        stacks[name], totals[name] = heights(counts), float(np.nansum(information(counts)))
    if not stacks:
        raise ValueError("there is no set to draw")
    rows = -(-len(stacks) // 2)
    columns = min(2, len(stacks))
    figure, grid = plt.subplots(rows, columns, figsize=(9, 0.6 + 1.75 * rows), squeeze=False, layout="constrained")
    panels = list(grid.flat)
    for unused in panels[len(stacks) :]:
        unused.remove()
    # a quarter of a bit at least: what is lower is noise and should look like it
    top = max(0.25, 1.05 * max(letters.sum(axis=1).max() for letters in stacks.values()))
    for index, (axes, (name, letters)) in enumerate(zip(panels, stacks.items(), strict=False)):
        stack_letters(axes, letters, place)
        total = f"{totals[name]:.2f}".replace("-0.00", "0.00")
        axes.set_title(f"{plain(label_of(name))}: {total} bits, n = {len(sets[name])}", fontsize=10)
        axes.set_xlim(first - 0.7, last + 0.7)
        axes.set_ylim(0, top)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
        axes.grid(axis="x", visible=False)
        if index % columns == 0:
            axes.set_ylabel("bits")
        if index + columns >= len(stacks):
            axes.set_xlabel("position relative to the start site (bp)")
    figure.suptitle(plain(title), fontsize=12)
    return figure
