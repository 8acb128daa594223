"""Figures of generated promoters: measures beside their floors, motif curves, Absorb & Escape by threshold, training, uncertainty, grids.

They read tidy tables. Real sequences are black, what needs no network (shuffles, Markov chains) is grey, controls are hollow. Intervals
are those of the tables, 95 %.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

from genovision.dna.figures import LABELS, REAL
from genovision.dna.motifs import EPD
from genovision.figures import BLACK, COLOURS, GREY, palette

FLOOR, CHANCE = "train", "chance"
MEASURES = ["species", "set", "motif", "metric", "value", "low", "high", "floor", "convention"]
MEASURES += ["generator", "parents", "sampler", "nfe", "threshold"]
SWEEP = ["rule", "confidence", "threshold", "edit_rate", "changed_rate", "share_below"]
SWEEP += ["metric", "value", "low", "high", "control"]
TRAINING = ["step", "loss"]
UNCERTAINTY = ["system", "ood", "score", "metric", "value", "low", "high", "n_id", "n_ood"]
FACTORS = ["autoencoder", "prediction", "betas", "width"]
GRID = [*FACTORS, "seed", "metric", "value", "low", "high"]

NAMES = LABELS | {
    "discdiff": "DiscDiff",
    "autoregressive": "autoregressive",
    "absorb_escape": "Absorb & Escape",
    "base_diffusion": "one-hot diffusion",
    "masked_diffusion": "masked diffusion",
    "random_refill": "control: random refill",
    "random_letters": "control: random letters",
    "nll": "NLL",
    "gc": "G and C",
    "v_prediction": "v",
}
_FIXED = {
    "discdiff": COLOURS[1],
    "autoregressive": COLOURS[0],
    "absorb_escape": COLOURS[2],
    "random_refill": COLOURS[2],
    "random_letters": COLOURS[3],
}
_CONTROLS = ("random_refill", "random_letters")
_FREE_LINES = {"shuffle": ":", "markov5": "--", "position_markov3": "-.", "annotation": (0, (1, 3))}


class Panel(NamedTuple):
    """How a measure is drawn: title, what is good, the factor its values are multiplied by, whether its floor is taken off, and whether
    its axis is logarithmic where values span much."""

    title: str
    good: str
    scale: float = 1.0
    above_floor: bool = False
    ratio: bool = False


# the order in which they are drawn; a metric that is not here is drawn too when it is asked for
PANELS = {
    "fred": Panel("FReD", "lower is better", ratio=True),
    "p_fid": Panel("P-FID", "lower is better", ratio=True),
    "cor:TATA-box": Panel("CorM", "higher is better"),
    "js6": Panel("6-mers, JS", "mnats, lower is better", 1000.0, True),
    "discriminator_logistic": Panel("discriminator, 6-mers", "AUROC (%), 50 is best", 100.0),
    "discriminator_cnn": Panel("discriminator, CNN", "AUROC (%), 50 is best", 100.0),
    "species_accuracy": Panel("species recognised", "%, higher is better", 100.0),
    "delta_div": Panel("Div against real", "%, 0: as real"),
}
_MORE = {
    "cor": Panel("CorM", "higher is better"),
    "mse": Panel("MSE_M", "lower is better", ratio=True),
    "peak": Panel("peak", "% of sequences"),
    "background": Panel("background", "% of sequences"),
    "js3": Panel("3-mers, JS", "mnats, lower is better", 1000.0, True),
    "composition_l1": Panel("base composition", "points, lower is better", 100.0),
    "nearest_identity": Panel("nearest training", "identity (%)", 100.0),
    "gc": Panel("G and C", "%", 100.0),
}


def plain(text: str) -> str:
    """A text that a figure can show as it is: a dollar begins a formula, control characters have no glyph."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split()).replace("$", r"\$")


def label_of(name: str) -> str:
    """How a figure calls a set, generator, score or species: `discdiff_ddim_20` is DiscDiff, ddim 20."""
    family = family_of(name)
    if family in NAMES:
        rest = name.removeprefix(family).strip("_").replace("_", " ")
        return f"{NAMES[family]}, {rest}" if rest else NAMES[family]
    return re.sub(r"^([A-Z])_", r"\1. ", name).replace("_", " ")


def family_of(name: str) -> str:
    """The longest known name that a set's name is or begins with (`discdiff` of `discdiff_ddim_20`), else the name itself."""
    known = [one for one in NAMES if name == one or name.startswith(f"{one}_")]
    return max(known, key=len, default=name)


def panel_of(metric: str) -> Panel:
    """How a metric (`fred`, `cor:TATA-box`) is drawn."""
    name, _, motif = metric.partition(":")
    panel = PANELS.get(metric) or PANELS.get(name) or _MORE.get(name) or Panel(name.replace("_", " "), "")
    return panel._replace(title=f"{panel.title}, {motif}") if motif else panel


def keyed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column `key`, `<metric>` or `<metric>:<motif>`; a table without motifs has its metrics as keys."""
    motif = _texts(table["motif"]) if "motif" in table else pd.Series("", index=table.index)
    metric = _texts(table["metric"])
    return table.assign(key=metric.where(motif == "", metric + ":" + motif))


def _texts(column: pd.Series) -> pd.Series:
    """A column as texts; a missing entry is "", a whole number has no point."""
    return column.map(lambda value: "" if pd.isna(value) else f"{value:g}" if isinstance(value, float) else str(value))


def _span(axes: Axes, place: float, low: float, high: float, colour: str) -> None:
    if np.isfinite(low) and np.isfinite(high):
        axes.plot([low, high], [place, place], color=colour, linewidth=1.3, zorder=2)


def _rows_axis(axes: Axes, labels: Sequence[str], size: float = 8) -> None:
    """Names at the left, one row each, the first at the top."""
    axes.set_yticks(range(len(labels)), [plain(label) for label in labels], fontsize=size)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="y", visible=False)


def _grid(number: int, columns: int, row_height: float, **kwargs) -> tuple[Figure, list[Axes]]:
    """Panels in lines of `columns`; those that are not needed are removed."""
    lines = -(-number // columns)
    figure, axes = plt.subplots(
        lines,
        min(columns, number),
        figsize=(9, 0.9 + lines * row_height),
        squeeze=False,
        layout="constrained",
        **kwargs,
    )
    panels = list(axes.flat)
    for unused in panels[number:]:
        unused.remove()
    return figure, panels[:number]


def _log_if_wide(set_scale: Callable[[str], None], values: npt.ArrayLike) -> bool:
    """A logarithmic axis for positive values of which the largest is more than ten times the smallest: is it one?"""
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    if len(values) == 0 or values.min() <= 0 or values.max() <= 10 * values.min():
        return False
    set_scale("log")
    return True


# --- measures ----------------------------------------------------------------------------------------------------------------------


def kind_of(name: str, generator: str, parents: str) -> str:
    """real, floor, control, refinement or generator."""
    if name in (REAL, FLOOR):
        return "real"
    if name in LABELS:
        return "floor"
    if name.startswith(_CONTROLS) or generator in _CONTROLS:
        return "control"
    return "refinement" if parents else "generator"


_KINDS = ("real", "generator", "refinement", "control", "floor")


def order_sets(table: pd.DataFrame) -> pd.DataFrame:
    """A row per set to draw, in order: real, generators, refinements, controls, floors, each in the order of the table.

    Returns columns set, kind, label, family (what shares a colour). Left out: the real test set, which everything is compared with, and
    chance, which is a line. Sets of one name are told apart by what differs of first parent, sampler, number of evaluations and
    threshold, or else by the set's own name.
    """
    details = ["generator", "parents", "sampler", "nfe", "threshold"]
    rows = table.drop_duplicates("set").reset_index(drop=True)
    rows = rows.assign(**{column: _texts(rows[column]) for column in ("set", *details)})
    rows = rows[~rows["set"].isin([REAL, CHANCE])]
    rows["kind"] = [kind_of(*row) for row in rows[["set", "generator", "parents"]].itertuples(index=False)]
    rows["family"] = rows["generator"].where(rows["generator"] != "", rows["set"])
    rows["label"] = rows["family"].map(label_of)
    for _, same in rows[rows.duplicated("label", keep=False)].groupby("label", sort=False):
        rows.loc[same.index, "label"] = same["label"] + same.apply(_detail, axis=1, same=same)
    still = rows.duplicated("label", keep=False)
    rows.loc[still, "label"] = rows.loc[still, "set"].map(label_of)
    rank = rows["kind"].map(_KINDS.index)
    return rows.iloc[np.argsort(rank, kind="stable")][["set", "kind", "label", "family"]].reset_index(drop=True)


def _detail(row: pd.Series, same: pd.DataFrame) -> str:
    """What of a set differs within those of the same label, behind a comma."""
    parent = row["parents"] and label_of(re.split(r"[\s,;+]+", row["parents"])[0])
    parts = {"parents": parent, "sampler": row["sampler"].replace("_", "-"), "nfe": row["nfe"]}
    parts["threshold"] = row["threshold"] and f"T {row['threshold']}"
    told = " ".join(part for column, part in parts.items() if part and same[column].nunique() > 1)
    return f", {told}" if told else ""


def _set_colours(sets: pd.DataFrame) -> list[str]:
    """A colour per row of `order_sets`."""
    own = sets[sets["kind"].isin(["generator", "refinement", "control"])]
    colours = palette(own["family"], {name: _FIXED[name] for name in _FIXED if name in set(own["family"])})
    kinds = {"real": BLACK, "floor": GREY}
    return [kinds.get(kind) or colours[family] for kind, family in zip(sets["kind"], sets["family"], strict=True)]


def measures(table: pd.DataFrame, title: str, metrics: Sequence[str]) -> Figure:
    """A panel per metric, a row per set: value with interval, and the floor (real train against real test) as a line.

    table: columns MEASURES, of one species; metrics: keys of `keyed`. A Frechet distance or MSE that spans more than a factor
    of ten is on a logarithmic axis; the dashed line is chance where the table has it; `undefined` stands where a row has no value.
    """
    table = keyed(table)
    sets = order_sets(table)
    colours = _set_colours(sets)
    figure, panels = _grid(len(metrics), 4, 0.185 * len(sets) + 0.75, sharey=True)
    for axes, metric in zip(panels, metrics, strict=True):
        rows = table[table["key"] == metric].drop_duplicates("set")
        rows = rows.assign(set=_texts(rows["set"])).set_index("set")
        _measure(axes, rows, sets, colours, panel_of(metric))
    for place, axes in enumerate(panels):
        _rows_axis(axes, sets["label"])
        if place % 4:
            axes.tick_params(axis="y", labelleft=False)
    handles = [
        Line2D([], [], color=BLACK, linewidth=0.9, linestyle=":", label="floor: real train against real test"),
        Line2D([], [], color=GREY, marker="o", markersize=4, label="no network"),
    ]
    if CHANCE in set(table.loc[table["key"].isin(metrics), "set"]):
        handles.append(Line2D([], [], color=GREY, linewidth=0.9, linestyle="--", label="chance"))
    if "control" in set(sets["kind"]):
        handles.append(
            Line2D([], [], color=BLACK, marker="o", markersize=4, markerfacecolor="white", lw=0, label="control")
        )
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    figure.suptitle(plain(title), fontsize=12)
    return figure


def _measure(axes: Axes, rows: pd.DataFrame, sets: pd.DataFrame, colours: Sequence[str], panel: Panel) -> None:
    """One panel: rows of one metric, indexed by set."""
    floor = float(rows["floor"].dropna().iloc[0]) if rows["floor"].notna().any() else np.nan
    shift = floor if panel.above_floor and np.isfinite(floor) else 0.0
    drawn = panel.scale * (rows[["value", "low", "high"]].astype(float) - shift)
    wide = panel.ratio and _log_if_wide(
        axes.set_xscale, drawn.loc[[name for name in sets["set"] if name in drawn.index]].to_numpy()
    )
    for place, (row, colour) in enumerate(zip(sets.itertuples(), colours, strict=True)):
        if row.set not in drawn.index:
            continue
        value, low, high = drawn.loc[row.set]
        if not np.isfinite(value):
            axes.text(
                0.03, place, "undefined", transform=axes.get_yaxis_transform(), fontsize=7, color=GREY, va="center"
            )
            continue
        _span(axes, place, low, high, colour)
        inside = "white" if row.kind == "control" else colour
        axes.plot(value, place, "o", color=colour, markersize=4.2, markerfacecolor=inside, zorder=3)
    if np.isfinite(floor):
        axes.axvline(panel.scale * (floor - shift), color=BLACK, linewidth=0.9, linestyle=":", zorder=1)
    if CHANCE in drawn.index and np.isfinite(drawn.loc[CHANCE, "value"]):
        axes.axvline(drawn.loc[CHANCE, "value"], color=GREY, linewidth=0.9, linestyle="--", zorder=1)
    if wide:
        _few_log_ticks(axes.xaxis)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, prune="upper"))
    doubtful = rows["convention"].fillna("").str.contains("too few for a trustworthy interval").any()
    axes.set_title(plain(panel.title + (" above floor" if shift else "")), fontsize=9.5)
    axes.set_xlabel("; ".join(filter(None, (panel.good, "too few hits" if doubtful else ""))), fontsize=8.5)


def _few_log_ticks(axis) -> None:
    """1, 2, 5, 10, ... as plain numbers, or powers of ten where the axis spans more than two of them."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,), numticks=7))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


# --- motif curves ------------------------------------------------------------------------------------------------------------------


def motif_curves(curves: pd.DataFrame, title: str, sets: Sequence[str], motifs: Sequence[str]) -> Figure:
    """A line of panels per motif: percent of sequences with a hit by position, chosen sets over the real one; at the right the same near
    the region where the motif is expected.

    curves: the columns of genovision.dna.curves.CURVES, of one species and length; the real test set is drawn always, with its 95 % band.
    A motif without a hit at most positions of the real set is drawn as counted in windows, and its title says so.
    """
    drawn = [name for name in sets if name != REAL]
    own = [name for name in drawn if kind_of(name, "", "") not in ("real", "floor")]
    fixed = {}
    for name in own:  # the first of a family has the family's colour: lines of one colour could not be told apart
        colour = _FIXED.get(family_of(name))
        fixed |= {name: colour} if colour and colour not in fixed.values() else {}
    colours = palette(own, fixed)
    figure, grid = plt.subplots(
        len(motifs),
        2,
        figsize=(9, 0.9 + 2.7 * len(motifs)),
        squeeze=False,
        sharey="row",
        layout="constrained",
        width_ratios=[1.8, 1],
    )
    # what is compared lies on top
    order = [REAL, *(name for name in drawn if name not in own), *own]
    for (whole, near), motif in zip(grid, motifs, strict=True):
        rows = curves[curves["motif"] == motif].sort_values("position")
        real = rows[rows["set"] == REAL]
        prefix = "window_" if len(real) and real["percent"].median() == 0 else ""
        for name in order:
            some = rows[rows["set"] == name]
            if prefix:  # near the ends the window is cut, and its count falls for no other reason
                half = int(some["window"].max()) // 2 if len(some) else 0
                some = some.iloc[half : len(some) - half]
            for axes in (whole, near):
                _curve(axes, some, prefix, name, colours)
        _curve_axes(whole, near, motif, rows, prefix)
    figure.legend(
        *grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(order)), columnspacing=1.4
    )
    figure.suptitle(plain(title), fontsize=12)
    return figure


def _curve(axes: Axes, rows: pd.DataFrame, prefix: str, name: str, colours: Mapping[str, str]) -> None:
    """One set's line; prefix "" or "window_" says which columns."""
    line = {"color": colours.get(name, GREY), "linewidth": 1.2}
    if name == REAL:
        line = {"color": BLACK, "linewidth": 2}
        if rows[f"{prefix}low"].notna().any():
            band = (rows[f"{prefix}low"], rows[f"{prefix}high"])
            axes.fill_between(rows["position"], *band, color=BLACK, alpha=0.13, linewidth=0)
    elif name in _FREE_LINES:
        line["linestyle"] = _FREE_LINES[name]
    axes.plot(rows["position"], rows[f"{prefix}percent"], label=plain(label_of(name)), **line)


def _curve_axes(whole: Axes, near: Axes, motif: str, rows: pd.DataFrame, prefix: str) -> None:
    low, high = rows["position"].min(), rows["position"].max()
    region = EPD[motif].region if motif in EPD else None
    if region is None:
        near.remove()
    else:  # EPD counts the start site as +1 without a 0, the axis has it at 0
        first, last = (bound - (bound > 0) for bound in region)
        for axes in (whole, near):
            axes.axvspan(max(first, low) - 0.5, min(last, high) + 0.5, color="#f2f0e6", zorder=0)
        near.set_xlim(max(first - 10, low), min(last + 10, high))
        near.set(title="near EPD's region", xlabel="position (bp)")
        near.xaxis.set_major_locator(MaxNLocator(7, integer=True, steps=[1, 2, 5, 10]))
    for axes in (whole, near):
        axes.axvline(0, color=GREY, linewidth=0.8, linestyle=":", zorder=1)
    counted = f", in windows of {rows['window'].iloc[0]:g} bp" if prefix else ""
    whole.set(title=plain(motif + counted), ylabel="sequences with the motif (%)")
    whole.set_xlabel("position relative to the start site (bp)")
    whole.set_xlim(low, high)
    whole.set_ylim(bottom=0)


# --- Absorb & Escape ---------------------------------------------------------------------------------------------------------------

PARENTS = {"diffusion": COLOURS[1], "autoregression": COLOURS[0]}
_RULES = {"natural": COLOURS[2], "sampled": COLOURS[3], "threshold": COLOURS[4]}
CONTROLS = ("none", "random_refill", "random_letters")
_CONTROL_LINES = {"none": "-", "random_refill": "--", "random_letters": ":"}


def refinement_sweep(table: pd.DataFrame, title: str, metrics: Sequence[str]) -> Figure:
    """A line of panels per metric against the edit rate and one of the edit rate against T; a column per source of confidence.

    table: columns SWEEP, of one species or one mean. Rows with rule `diffusion` or `autoregression` are the two parents, drawn as levels;
    control `none` (or nothing) is Absorb & Escape, the other controls have as many edits elsewhere or other letters. Lines join points in
    the order of T.
    """
    table = keyed(table)
    for column in ("rule", "confidence", "control"):
        table[column] = _texts(table[column])
    table["control"] = table["control"].replace("", "none")
    parents = table[table["rule"].isin(PARENTS)]
    swept = table[~table["rule"].isin(PARENTS)].sort_values("threshold", kind="stable")
    sources = list(dict.fromkeys(table.loc[~table["rule"].isin(PARENTS), "confidence"]))
    rules = palette(dict.fromkeys(table.loc[swept.index.sort_values(), "rule"]), _RULES)
    rules = {name: rules[name] for name in rules if name in set(swept["rule"])}
    lines = len(metrics) + 1
    figure, grid = plt.subplots(
        lines, len(sources), figsize=(9, 0.8 + 2.3 * lines), squeeze=False, sharey="row", layout="constrained"
    )
    for column, source in enumerate(sources):
        rows = swept[swept["confidence"] == source]
        for axes, metric in zip(grid[:, column], metrics, strict=False):
            _against_edits(
                axes, rows[rows["key"] == metric], parents[parents["key"] == metric], rules, panel_of(metric)
            )
        _edits_by_threshold(grid[-1, column], rows, rules)
        grid[0, column].set_title(plain(f"confidence: {source.replace('_', ' ')}" if source else "all"))
    for line, metric in enumerate(metrics):
        panel = panel_of(metric)
        grid[line, 0].set_ylabel("\n".join(filter(None, (plain(panel.title), panel.good))), fontsize=9)
    grid[-1, 0].set_ylabel("positions (%)", fontsize=9)
    _sweep_legend(figure, rules, set(parents["rule"]), set(swept["control"]))
    figure.suptitle(plain(title), fontsize=12)
    return figure


def _against_edits(
    axes: Axes, rows: pd.DataFrame, parents: pd.DataFrame, rules: Mapping[str, str], panel: Panel
) -> None:
    for name, colour in PARENTS.items():
        for value in parents.loc[parents["rule"] == name, "value"].dropna()[:1]:
            axes.axhline(panel.scale * value, color=colour, linewidth=1, zorder=1)
    for rule, colour in rules.items():
        for control, line in _CONTROL_LINES.items():
            some = rows[(rows["rule"] == rule) & (rows["control"] == control)]
            if not len(some):
                continue
            x, y = 100 * some["edit_rate"], panel.scale * some["value"]
            marker = "o" if control == "none" else ""
            if control == "none":
                low, high = panel.scale * some["low"], panel.scale * some["high"]
                axes.vlines(x, low, high, color=colour, linewidth=0.9, alpha=0.6)
            axes.plot(x, y, line, marker=marker, color=colour, linewidth=1.3, markersize=3.5)
    axes.set_xlabel("edited positions (%)", fontsize=9)
    axes.tick_params(labelsize=8)


def _edits_by_threshold(axes: Axes, rows: pd.DataFrame, rules: Mapping[str, str]) -> None:
    rows = rows[rows["control"] == "none"].drop_duplicates(["rule", "threshold"])
    below = rows.drop_duplicates("threshold")
    axes.plot(below["threshold"], 100 * below["share_below"], color=GREY, linewidth=1.2)
    for rule, colour in rules.items():
        some = rows[rows["rule"] == rule]
        axes.plot(some["threshold"], 100 * some["edit_rate"], "o-", color=colour, linewidth=1.3, markersize=3.5)
        axes.plot(some["threshold"], 100 * some["changed_rate"], color=colour, linewidth=0.8)
    axes.set_xlabel("threshold T", fontsize=9)
    axes.set_ylim(0, 102)
    axes.tick_params(labelsize=8)


def _sweep_legend(figure: Figure, rules: Mapping[str, str], parents: set[str], controls: set[str]) -> None:
    handles = [Line2D([], [], color=c, label=f"{name} alone") for name, c in PARENTS.items() if name in parents]
    handles += [
        Line2D([], [], color=c, marker="o", markersize=3.5, label=plain(f"A&E, {name.replace('_', ' ')} escape"))
        for name, c in rules.items()
    ]
    names = {"random_refill": "control: refilled elsewhere", "random_letters": "control: random letters"}
    handles += [
        Line2D([], [], color=BLACK, linestyle=_CONTROL_LINES[control], label=label)
        for control, label in names.items()
        if control in controls
    ]
    handles += [
        Line2D([], [], color=BLACK, linewidth=0.8, label="thin: changed by the edit"),
        Line2D([], [], color=GREY, linewidth=1.2, label="confidence below T"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)


# --- training ----------------------------------------------------------------------------------------------------------------------


def training(models: Sequence[tuple[str, pd.DataFrame, Mapping]]) -> Figure:
    """A panel per model: its loss by step, and what was measured on held-out sequences; losses of different models are not comparable.

    models: (name, curve, facts); curve: columns step, loss and one that was measured: `held_out` is a loss and shares the axis, any other
    has an axis of its own at the right. Of the facts, parameters and bits_per_base are named where they are numbers.
    """
    figure, panels = _grid(len(models), 3, 2.5)
    twins = False
    for axes, (name, curve, facts) in zip(panels, models, strict=True):
        curve = curve.sort_values("step")
        measured = next((column for column in curve.columns if column not in TRAINING), None)
        style = {"linewidth": 1.4, "marker": ".", "markersize": 5}
        axes.plot(curve["step"], curve["loss"], color=GREY, **style)
        shown = [curve["loss"]]
        if measured == "held_out":
            axes.plot(curve["step"], curve[measured], color=COLOURS[1], **style)
            shown.append(curve[measured])
        elif measured is not None:
            right = axes.twinx()
            right.plot(curve["step"], curve[measured], color=COLOURS[0], **style)
            right.set_ylabel(plain(measured.replace("_", " ")), fontsize=9, color=COLOURS[0])
            right.tick_params(labelsize=8)
            right.grid(visible=False)
            right.spines["right"].set_visible(True)
            right.spines["bottom"].set_visible(False)
            twins = True
        if _log_if_wide(axes.set_yscale, np.concatenate(shown)):
            _few_log_ticks(axes.yaxis)
        axes.set_title(f"{plain(name)}\n{_facts(facts)}", fontsize=9)
        axes.set_xlabel("step", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.set_xlim(left=0)
    for axes in panels[::3]:
        axes.set_ylabel("loss", fontsize=9)
    labels = {"training": GREY, "held-out sequences, averaged weights": COLOURS[1]}
    labels |= {"held-out sequences, axis at the right": COLOURS[0]} if twins else {}
    handles = [Line2D([], [], color=colour, marker=".", label=label) for label, colour in labels.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _facts(facts: Mapping) -> str:
    numbers = {name: value for name, value in facts.items() if isinstance(value, (int, float))}
    parts = [f"{numbers['parameters'] / 1e6:.2f} M parameters"] if "parameters" in numbers else []
    parts += [f"{numbers['bits_per_base']:.3f} bits/base"] if "bits_per_base" in numbers else []
    return ", ".join(parts)


# --- sequence uncertainty ----------------------------------------------------------------------------------------------------------

_CONTROL_SYSTEM = "control"


def uncertainty(table: pd.DataFrame, title: str) -> Figure:
    """AUROC of every score with its interval, a panel per OOD set, a row per system and score; controls are grey.

    table: columns UNCERTAINTY; system `control` are scores that know no model of the sequences. The dashed line is chance. The number of
    ID and OOD sequences stands in a panel's title.
    """
    table = table[table["metric"] == "auroc"]
    table = table.assign(**{column: _texts(table[column]) for column in ("system", "score", "ood")})
    keys = list(table[["system", "score"]].drop_duplicates().itertuples(index=False, name=None))
    keys = sorted(keys, key=lambda key: key[0] == _CONTROL_SYSTEM)  # controls last, otherwise as they come
    colours = palette([system for system, _ in keys], {_CONTROL_SYSTEM: GREY})
    sets = list(dict.fromkeys(table["ood"]))
    figure, panels = _grid(len(sets), 4, 0.2 * len(keys) + 0.85, sharey=True, sharex=True)
    several = len({system for system, _ in keys} - {_CONTROL_SYSTEM}) > 1
    labels = [
        f"{label_of(system)}: {label_of(score)}" if several and system != _CONTROL_SYSTEM else label_of(score)
        for system, score in keys
    ]
    for index, (axes, ood) in enumerate(zip(panels, sets, strict=True)):
        rows = table[table["ood"] == ood].set_index(["system", "score"])
        for place, key in enumerate(keys):
            if key not in rows.index:
                continue
            value, low, high = (100 * float(rows.loc[key, column]) for column in ("value", "low", "high"))
            _span(axes, place, low, high, colours[key[0]])
            axes.plot(value, place, "o", color=colours[key[0]], markersize=4, zorder=3)
        axes.axvline(50, color=GREY, linewidth=0.9, linestyle="--", zorder=1)
        number = rows.iloc[0]
        axes.set_title(f"{plain(label_of(ood))}\n{number['n_id']:.0f} ID, {number['n_ood']:.0f} OOD", fontsize=9)
        axes.set_xlabel("AUROC (%)", fontsize=9)
        _rows_axis(axes, labels)
        axes.tick_params(axis="x", labelbottom=True)
        if index % 4:
            axes.tick_params(axis="y", labelleft=False)
    handles = [
        Line2D([], [], color=colour, marker="o", markersize=4, label=plain(label_of(system)))
        for system, colour in sorted(colours.items(), key=lambda item: item[0] == _CONTROL_SYSTEM)
        if system in {key[0] for key in keys}
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    figure.suptitle(plain(title), fontsize=12)
    return figure


# --- a designed grid ---------------------------------------------------------------------------------------------------------------


def varied(table: pd.DataFrame) -> dict[str, list]:
    """The factors of FACTORS that have several levels, with their levels in order (numbers by size, names as they come)."""
    found = {factor: list(dict.fromkeys(table[factor])) for factor in FACTORS}
    numbers = {factor for factor in FACTORS if pd.api.types.is_numeric_dtype(table[factor])}
    found = {factor: sorted(levels) if factor in numbers else levels for factor, levels in found.items()}
    return {factor: levels for factor, levels in found.items() if len(levels) > 1}


def main_effects(runs: pd.DataFrame, factors: Mapping[str, Sequence]) -> dict[str, npt.NDArray[np.float64]]:
    """Mean of `value` at each level of each factor, the other factors held even: {factor: (levels,)}.

    Least squares with an effect per level that adds up to 0 over a factor's levels. With all combinations run equally often these are
    the plain means of the levels; where some are missing (diverged runs), plain means would mix the factors up and these do not.
    Raises ValueError when the runs cannot tell the factors apart.
    """
    columns = [np.ones((len(runs), 1))]
    for factor, levels in factors.items():
        is_level = np.stack([(runs[factor] == level).to_numpy(dtype=float) for level in levels], axis=1)
        columns.append(is_level[:, :-1] - is_level[:, -1:])
    design = np.hstack(columns)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise ValueError(f"{len(runs)} runs do not tell the effects of {', '.join(factors)} apart")
    solution = np.linalg.lstsq(design, runs["value"].to_numpy(dtype=float), rcond=None)[0]
    found, place = {}, 1
    for factor, levels in factors.items():
        effects = solution[place : place + len(levels) - 1]
        found[factor] = solution[0] + np.append(effects, -effects.sum())
        place += len(levels) - 1
    return found


def latent_grid(table: pd.DataFrame, title: str, metrics: Sequence[str]) -> Figure:
    """A designed experiment, a column per metric: above, every setting (a dot per seed), the best by the first metric on top; below, the
    main effects: mean at each level of each factor, the others held even, over the pale dots of its runs.

    table: columns GRID, a row per run and metric; runs without a value are left out of the effects and named `failed` above.
    """
    table = keyed(table)
    factors = varied(table)
    settings = _sorted_settings(table, factors, metrics[0])
    levels = [(factor, level) for factor, found in factors.items() for level in found]
    heights = [0.19 * len(settings) + 0.5, 0.22 * (len(levels) + len(factors)) + 0.5]
    figure, grid = plt.subplots(
        2,
        len(metrics),
        figsize=(9, 1.0 + sum(heights)),
        squeeze=False,
        sharey="row",
        sharex="col",
        layout="constrained",
        height_ratios=heights,
    )
    for column, metric in enumerate(metrics):
        rows, panel = table[table["key"] == metric], panel_of(metric)
        upper, lower = grid[:, column]
        _settings(upper, rows, list(factors), settings, panel)
        _effects(lower, rows[rows["value"].notna()], factors, panel)
        wide = panel.ratio and _log_if_wide(upper.set_xscale, panel.scale * rows["value"].to_numpy(dtype=float))
        if wide:
            _few_log_ticks(upper.xaxis)
        else:
            upper.xaxis.set_major_locator(MaxNLocator(5))
        upper.set_title(plain(panel.title), fontsize=10)
        upper.tick_params(axis="x", labelbottom=True)
        lower.set_xlabel(panel.good, fontsize=9)
        if column:
            for axes in (upper, lower):
                axes.tick_params(axis="y", labelleft=False)
    figure.suptitle(plain(title), fontsize=12)
    return figure


def _name_of_level(factor: str, level) -> str:
    text = f"{level:g}" if isinstance(level, (int, float, np.number)) else label_of(str(level))
    return f"width {text}" if factor == "width" else text


def _sorted_settings(table: pd.DataFrame, factors: Mapping[str, Sequence], metric: str) -> list[tuple]:
    """Settings, best first by the mean of `metric` over seeds; equal ones in the order of the table, failed ones last."""
    sign = -1 if "higher" in panel_of(metric).good else 1
    order = table.assign(score=(sign * table["value"]).where(table["key"] == metric))
    means = order.groupby(list(factors), sort=False)["score"].mean().sort_values(kind="stable", na_position="last")
    return [key if isinstance(key, tuple) else (key,) for key in means.index]


def _settings(axes: Axes, rows: pd.DataFrame, factors: Sequence[str], settings: Sequence[tuple], panel: Panel) -> None:
    found = {key if isinstance(key, tuple) else (key,): some for key, some in rows.groupby(list(factors), sort=False)}
    for place, setting in enumerate(settings):
        runs = found.get(setting)
        if runs is None or runs["value"].isna().all():
            axes.text(0.03, place, "failed", transform=axes.get_yaxis_transform(), fontsize=7, color=GREY, va="center")
            continue
        aside = 0.16 * (np.arange(len(runs)) - (len(runs) - 1) / 2)
        for shift, (_, run) in zip(aside, runs.iterrows(), strict=True):
            _span(axes, place + shift, panel.scale * run["low"], panel.scale * run["high"], BLACK)
            axes.plot(panel.scale * run["value"], place + shift, "o", color=BLACK, markersize=3.5, zorder=3)
    names = [", ".join(_name_of_level(f, level) for f, level in zip(factors, s, strict=True)) for s in settings]
    _rows_axis(axes, names)


def _effects(axes: Axes, runs: pd.DataFrame, factors: Mapping[str, Sequence], panel: Panel) -> None:
    means = main_effects(runs, factors)
    place, ticks, names = 0, [], []
    for number, (factor, levels) in enumerate(factors.items()):
        colour, rows = COLOURS[number % len(COLOURS)], []
        for level in levels:
            values = panel.scale * runs.loc[runs[factor] == level, "value"]
            axes.plot(values, np.full(len(values), place), "o", color=colour, markersize=3, alpha=0.25, mew=0)
            rows.append(place)
            ticks.append(place)
            names.append(_name_of_level(factor, level))
            place += 1
        axes.plot(panel.scale * means[factor], rows, "o-", color=colour, markersize=5.5, linewidth=1.3)
        place += 1  # a gap between factors
    centre = next(iter(means.values())).mean()
    axes.axvline(panel.scale * centre, color=GREY, linewidth=0.9, linestyle=":", zorder=1)
    axes.set_yticks(ticks, [plain(name) for name in names], fontsize=8)
    axes.set_ylim(place - 1.4, -0.6)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="y", visible=False)
