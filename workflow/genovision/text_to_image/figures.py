"""Figures of PUNC: both uncertainties by set, AUROC of every score, uncertainty by group, and the generations themselves."""

import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from genovision.figures import BLACK, COLOURS, GREY, palette
from genovision.text_to_image.evaluation import AXES, MEANS, NORMAL

NAMES = {
    "rouge1": "ROUGE-1",
    "rougel": "ROUGE-L",
    "bertscore": "BERTScore",
    "pixel_distance": "pixel distance",
    "feature_distance": "feature distance",
    "clip_score": "-CLIPScore",
    "ddpm_ood": "DDPM-OOD",
    "lmd": "LMD",
    "two_models": "2XDM, pixels",
    "ensemble": "ensemble, pixels",
    "two_models_features": "2XDM, features",
    "ensemble_features": "ensemble, features",
    "nearest_training": "text only",
    "ood_mean": "OOD mean",
    "aleatoric_mean": "vague, corrupted: mean",
}
_SIGNS = {"epistemic": "1 - R", "aleatoric": "1 - P", "f1": "1 - F1"}
_KINDS = {"epistemic": COLOURS[0], "aleatoric": COLOURS[1], "f1": COLOURS[3]}


def name_of(score: str) -> str:
    """How a figure calls a score or set: `rouge1_epistemic` is ROUGE-1 1 - R."""
    for side, sign in _SIGNS.items():
        if score.endswith(f"_{side}"):
            similarity = score.removesuffix(f"_{side}")
            return f"{NAMES.get(similarity, similarity)} {sign}"
    return NAMES.get(score, score.replace("ood_", "OOD ").replace("_", " "))


def _colour(score: str) -> str:
    side = next((side for side in _KINDS if score.endswith(f"_{side}")), None)
    return _KINDS[side] if side else BLACK if score == "nearest_training" else GREY


def disentanglement(scores: pd.DataFrame, similarity: str) -> Figure:
    """Aleatoric (1 - P) against epistemic uncertainty (1 - R), a panel per world: prompts (means over seeds), the mean of each set, and
    the ellipse of one standard deviation around it.

    scores: columns world, id, set, kind, seed, <similarity>_epistemic, <similarity>_aleatoric
    """
    columns = [f"{similarity}_{axis}" for axis in AXES]
    points = scores.groupby(["world", "set", "kind", "id"], sort=False)[columns].mean().reset_index()
    worlds = list(dict.fromkeys(points["world"]))
    low, high = points[columns].min().min(), points[columns].max().max()
    figure, axes = plt.subplots(
        1, len(worlds), figsize=(9, 5.6 if len(worlds) > 1 else 6), squeeze=False, layout="constrained"
    )
    for ax, world in zip(axes[0], worlds, strict=True):
        found = points[points["world"] == world]
        # worlds have sets of their own: together they are more than there are colours
        sets = found[["set", "kind"]].drop_duplicates("set")
        colours = palette(sets["set"], dict.fromkeys(sets.loc[sets["kind"] == NORMAL, "set"], BLACK))
        for name in dict.fromkeys(found["set"]):
            x, y = found.loc[found["set"] == name, columns].to_numpy().T
            ax.plot(x, y, ".", color=colours[name], markersize=3.5, alpha=0.25, markeredgewidth=0)
        for name in dict.fromkeys(found["set"]):  # above all points
            x, y = found.loc[found["set"] == name, columns].to_numpy().T
            _ellipse(ax, x, y, colours[name])
            ax.plot(x.mean(), y.mean(), "o", color=colours[name], markersize=7, markeredgecolor="white", zorder=5)
        margin = 0.04 * max(high - low, 0.1)
        ax.set_xlim(low - margin, high + margin)
        ax.set_ylim(low - margin, high + margin)
        ax.plot([low, high], [low, high], ":", color=GREY, linewidth=0.8, zorder=0)
        ax.set_aspect("equal")
        ax.set(title=name_of(world), xlabel="epistemic: 1 - recall")
        handles = [
            plt.Line2D([], [], color=colour, marker="o", linestyle="", markersize=6, label=name_of(name))
            for name, colour in colours.items()
        ]
        ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2 if len(worlds) > 1 else 4)
    axes[0, 0].set(ylabel="aleatoric: 1 - precision")
    return figure


def _ellipse(ax: Axes, x: npt.NDArray, y: npt.NDArray, colour: str) -> None:
    if len(x) < 2:
        return
    values, vectors = np.linalg.eigh(np.cov(x, y))
    width, height = 2 * np.sqrt(np.maximum(values[::-1], 0))
    first = vectors[:, 1] * np.sign(vectors[np.abs(vectors[:, 1]).argmax(), 1])  # its sign is arbitrary
    angle = np.degrees(np.arctan2(first[1], first[0]))
    ax.add_patch(
        Ellipse((x.mean(), y.mean()), width, height, angle=angle, fill=False, edgecolor=colour, linewidth=1.6, zorder=4)
    )


def detection(table: pd.DataFrame, world: str) -> Figure:
    """AUROC of every score in one world with 95 % intervals, a panel per set; the dashed line is chance, the dotted one text only."""
    table = table[(table["metric"] == "auroc") & (table["world"] == world)]
    sets = [name for name in dict.fromkeys(table["set"]) if name not in MEANS.values()]
    sets = [*(name for name in MEANS.values() if name in set(table["set"])), *sets]
    names = sorted(dict.fromkeys(table["score"]), key=lambda name: name == "nearest_training")[::-1]  # the control last
    columns = min(4, len(sets))
    lines = -(-len(sets) // columns)
    figure, axes = plt.subplots(
        lines,
        columns,
        figsize=(9, lines * (0.19 * len(names) + 0.75) + 0.5),
        sharey=True,
        layout="constrained",
        squeeze=False,
    )
    for ax, key in zip(axes.flat, sets, strict=False):
        rows = table[table["set"] == key].set_index("score")
        for place, score in enumerate(names):
            row, colour = rows.loc[score], _colour(score)
            ax.plot(100 * np.array([row["low"], row["high"]]), [place, place], color=colour, linewidth=1.3)
            ax.plot(100 * row["value"], place, "o", color=colour, markersize=3.8)
        if "nearest_training" in names:
            ax.axvline(100 * rows.loc["nearest_training", "value"], color=BLACK, linewidth=0.8, linestyle=":")
        ax.axvline(50, color=GREY, linewidth=0.8, linestyle="--")
        ax.set_title(name_of(key), fontsize=9.5)
        ax.set_yticks(range(len(names)), [name_of(score) for score in names], fontsize=8)
        ax.tick_params(axis="x", labelsize=8)
        ax.grid(axis="y", visible=False)
    unused = list(axes.flat)[len(sets) :]
    for ax in unused:
        ax.remove()
    for place, ax in enumerate(axes.flat):
        if place < len(sets) and place + columns >= len(sets):
            ax.set_xlabel("AUROC (%)", fontsize=9)
            ax.tick_params(axis="x", labelbottom=True)
    kinds = {"epistemic": "PUNC, recall", "aleatoric": "PUNC, precision", "f1": "PUNC, both"}
    handles = [_dot(_KINDS[side], label) for side, label in kinds.items() if any(n.endswith(f"_{side}") for n in names)]
    handles += [_dot(GREY, "image space"), _dot(BLACK, "text only")]
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _dot(colour: str, label: str) -> plt.Line2D:
    return plt.Line2D([], [], color=colour, marker="o", markersize=4, label=label)


def groups(table: pd.DataFrame) -> Figure:
    """Uncertainty by group against the mean of the groups of its set, with 95 % intervals; a panel per world and set."""
    panels = list(table[["world", "set"]].drop_duplicates().itertuples(index=False))
    tall = [table[(table["world"] == world) & (table["set"] == key)]["group"].nunique() for world, key in panels]
    columns = min(2, max(1, len(panels)))
    lines = max(1, -(-len(panels) // columns))
    figure, axes = plt.subplots(
        lines,
        columns,
        figsize=(9, 0.8 + lines * (0.8 + 0.24 * max(tall, default=4))),
        squeeze=False,
        layout="constrained",
    )
    for ax, (world, key) in zip(axes.flat, panels, strict=False):
        rows = table[(table["world"] == world) & (table["set"] == key)]
        names = list(dict.fromkeys(rows["group"]))[::-1]
        for offset, axis in ((0.14, "epistemic"), (-0.14, "aleatoric")):
            some = rows[rows["score"].str.endswith(f"_{axis}")].set_index("group").loc[names]
            at = np.arange(len(names)) + offset
            ax.hlines(at, some["difference_low"], some["difference_high"], color=_KINDS[axis], linewidth=1.4)
            ax.plot(some["difference"], at, "o", color=_KINDS[axis], markersize=4.5)
        ax.axvline(0, color=GREY, linewidth=0.8)
        ax.set_yticks(range(len(names)), names, fontsize=8.5)
        ax.grid(axis="y", visible=False)
        ax.set_ylim(-0.5, len(names) - 0.5)
        ax.set(title=f"{name_of(world)}: {name_of(key)}", xlabel="uncertainty, from the mean of the groups")
    for ax in list(axes.flat)[len(panels) :]:
        ax.set_axis_off()
        if not panels:
            ax.text(0.5, 0.5, "no prompts with groups", ha="center", va="center")
    figure.legend(
        handles=[
            _dot(_KINDS[axis], f"{axis}: 1 - {name}") for axis, name in zip(AXES, ("recall", "precision"), strict=True)
        ],
        loc="outside lower center",
        ncols=2,
    )
    return figure


def extremes(scores: pd.DataFrame, order: str, number: int = 2) -> pd.DataFrame:
    """The `number` prompts of each set with the lowest and with the highest score `order`: the rows, with `place` (best or worst).

    scores: one row per prompt. Equal scores are ordered by id, so that the choice is a matter of the scores alone; no prompt is both.
    """
    found = []
    for _, part in scores.groupby("set", sort=False):
        part = part.sort_values([order, "id"], kind="stable")
        best = part.head(min(number, -(-len(part) // 2)))
        worst = part.tail(min(number, len(part) - len(best)))[::-1]
        found += [best.assign(place="best"), worst.assign(place="worst")]
    return pd.concat(found, ignore_index=True)


def contact_sheet(
    rows: pd.DataFrame, images: Sequence[npt.NDArray[np.uint8]], captions: Sequence[Sequence[str]], similarity: str
) -> Figure:
    """Prompts with their generations, what the captioner read in each, and both uncertainties; the best of a set left, the worst right.

    rows: of `extremes`, with text;  images: (S, H, W, 3) of each row;  captions: S of each row
    """
    sets = list(dict.fromkeys(rows["set"]))
    lines = {key: rows[rows["set"] == key].groupby("place").size().max() for key in sets}
    count = max(len(one) for one in images)
    inch, head = 1.32, 0.3
    height = sum(head + inch * number for number in lines.values()) + 0.1
    figure = plt.figure(figsize=(9, height))
    side, gap = 4.4, 0.2  # inches of each half and between them
    tile = (side - 0.1) / count
    size = min(0.66, tile * 0.9)
    top = height - 0.05
    wide = max(8, int(tile / 0.056))
    for key in sets:
        figure.text(0.005, (top - 0.16) / height, name_of(key), fontsize=10.5, fontweight="bold", va="center")
        for half, place in enumerate(("best", "worst")):
            left = half * (side + gap) + 0.05
            if half:
                figure.text(
                    left / 9,
                    (top - 0.16) / height,
                    "furthest from the prompt",
                    fontsize=8,
                    color="#555555",
                    va="center",
                )
            else:
                figure.text(
                    (left + 1.5) / 9,
                    (top - 0.16) / height,
                    "nearest to the prompt",
                    fontsize=8,
                    color="#555555",
                    va="center",
                )
            some = np.flatnonzero((rows["set"] == key) & (rows["place"] == place))
            for line, index in enumerate(some):
                row = rows.iloc[index]
                y = top - head - line * inch
                text = textwrap.shorten(_plain(row["text"]), 52, placeholder=" ...")
                values = "  ".join(f"{_SIGNS[axis]} {row[f'{similarity}_{axis}']:.2f}" for axis in AXES)
                figure.text(left / 9, (y - 0.07) / height, text, fontsize=7.5, va="center")
                figure.text(
                    (left + side - 0.15) / 9, (y - 0.07) / height, values, fontsize=6.5, va="center", ha="right"
                )
                for s, (image, caption) in enumerate(zip(images[index], captions[index], strict=True)):
                    x = left + s * tile
                    ax = figure.add_axes((x / 9, (y - 0.17 - size) / height, size / 9, size / height))
                    ax.imshow(image, interpolation="nearest")
                    ax.set_xticks([])
                    ax.set_yticks([])
                    ax.spines[:].set_visible(True)
                    ax.spines[:].set_color("#cccccc")
                    said = textwrap.wrap(_plain(caption) or "(empty)", wide, max_lines=4, placeholder=" ...")
                    figure.text(
                        x / 9, (y - 0.2 - size) / height, "\n".join(said), fontsize=5.8, va="top", linespacing=1.05
                    )
        top -= head + inch * lines[key]
    return figure


def _plain(text: str) -> str:
    """A text that a figure can show as it is: a dollar begins a formula, control characters have no glyph."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split()).replace("$", r"\$")
