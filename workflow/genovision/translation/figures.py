"""Figures of the system edd: AUROC by system and set, how students judge beside their ensemble, what they cost, and where in the
vocabulary teachers disagree and students expect them to.

They read the tables of evaluate_edd and diagnose_teachers and nothing else. The test set is black, what knows no model is grey; intervals
are those of the tables, 95 %.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from genovision.figures import BLACK, COLOURS, GREY, palette

CONTROL, MEAN, TEACHERS, ENSEMBLE = "control", "ood_mean", "teachers", "ensemble"
TOTAL, KNOWLEDGE = "total", "mutual_information"
DETECTION = ["task", "system", "measure", "set", "metric", "value", "low", "high"]
AGREEMENT = ["task", "system", "measure", "of", "set", "value", "low", "high"]
POINTS = ["task", "seed", "set", "id"]
QUALITY = ["task", "system", "metric", "value", "low", "high"]
ERRORS = ["task", "system", "measure", "prr", "prr_low", "prr_high"]
COST = ["task", "system", "per_sentence", "to_ensemble"]
SPREAD = [
    "source",
    "set",
    "first",
    "last",
    "mean",
    "q05",
    "q25",
    "median",
    "q75",
    "q95",
    "auroc",
    "auroc_low",
    "auroc_high",
]
EXPERIMENT = ["smoothing", "temperature", "k", "members", "base", "measure", "set", "value", "low", "high"]

NAMES = {
    "single": "single model",
    "end": "EnD (the mean)",
    "proxy_dirichlet": "proxy Dirichlet",
    "laplace": "Laplace, all logits",
    "laplace_top": "Laplace, top k",
    "gaussian": "Gaussian, all logits",
    "gaussian_top": "Gaussian, top k",
    "dirichlet": "Dirichlet",
    "unigram": "unigram surprisal",
    "bigram": "bigram surprisal",
    "length": "source length",
    "gc": "G and C",
    "markov5_nll": "order-5 Markov",
    "kmer_surprisal": "6-mer surprisal",
    MEAN: "OOD mean",
    TOTAL: "total uncertainty",
    KNOWLEDGE: "mutual information",
    "test": "test (ID)",
    "bleu": "BLEU",
    "bits": "bits per base",
}
_FIXED = {
    "single": BLACK,
    "ensemble": COLOURS[1],
    "teachers": COLOURS[1],
    "end": COLOURS[3],
    "dirichlet": COLOURS[2],
    "proxy_dirichlet": COLOURS[2],
    "laplace": COLOURS[0],
    "laplace_top": COLOURS[0],
    "gaussian": COLOURS[4],
    "gaussian_top": COLOURS[4],
    CONTROL: GREY,
}
_DASHED = ("proxy_dirichlet", "laplace", "gaussian")  # where two systems share a colour
_SHOWN = 150  # points of a set in a scatter plot


def name_of(key: str) -> str:
    """How a figure calls a system, control, measure or set."""
    return NAMES.get(key, key.replace("_", " ").replace("$", r"\$"))


def auroc(detection: pd.DataFrame, task: str) -> Figure:
    """AUROC of every system's mutual information (filled) and total uncertainty (hollow), and of the controls (grey); a panel per OOD set.

    detection: columns DETECTION. Systems whose mutual information is 0 have no filled point. The dashed line is chance, the dotted one the
    ensemble's mutual information.
    """
    table = _of_task(detection, task)
    table = table[
        (table["metric"] == "auroc") & ((table["system"] == CONTROL) | table["measure"].isin([TOTAL, KNOWLEDGE]))
    ]
    sets = [MEAN, *(name for name in dict.fromkeys(table["set"]) if name != MEAN)]
    rows = [(system, "") for system in dict.fromkeys(table["system"]) if system != CONTROL]
    rows += [(CONTROL, name) for name in dict.fromkeys(table.loc[table["system"] == CONTROL, "measure"])]
    rows = rows[::-1]
    figure, panels = _grid(len(sets), 3, 0.24 * len(rows) + 0.8, sharey=True)
    for ax, key in zip(panels, sets, strict=True):
        here = table[table["set"] == key].set_index(["system", "measure"])
        for place, (system, control) in enumerate(rows):
            marks = [(control, 0.0)] if control else [(TOTAL, -0.17), (KNOWLEDGE, 0.17)]
            for measure, offset in marks:
                row = here.loc[(system, measure)]
                if measure == KNOWLEDGE and _knows_nothing(row):
                    continue
                _mark(ax, row, place + offset, _colour(system), hollow=measure == TOTAL)
        ax.axvline(50, color=GREY, linewidth=0.8, linestyle="--", zorder=1)
        if (ENSEMBLE, KNOWLEDGE) in here.index:
            ax.axvline(
                100 * here.loc[(ENSEMBLE, KNOWLEDGE), "value"], color=COLOURS[1], linewidth=0.8, linestyle=":", zorder=1
            )
        ax.set_title(name_of(key), fontsize=10)
        ax.set_yticks(range(len(rows)), [name_of(control or system) for system, control in rows], fontsize=8)
        ax.set_ylim(-0.6, len(rows) - 0.4)
        ax.set_xlabel("AUROC (%)", fontsize=9)
        ax.tick_params(axis="x", labelsize=8, labelbottom=True)
        ax.grid(axis="y", visible=False)
    handles = [
        _handle(BLACK, name_of(KNOWLEDGE)),
        _handle(BLACK, name_of(TOTAL), hollow=True),
        _handle(GREY, "control, without a model"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _knows_nothing(row: pd.Series) -> bool:
    """A constant ties all sentences, whatever is drawn."""
    return row["value"] == 0.5 and not row["high"] > row["low"]


def agreement(points: pd.DataFrame, table: pd.DataFrame, task: str) -> Figure:
    """Mutual information of each student against that of its ensemble, sentence by sentence, on logarithmic axes; a panel per student.

    points: columns POINTS, `ensemble` and one per student;  table: columns AGREEMENT
    The first sentences of each set are shown; ρ is the rank correlation on the test set. On the dotted diagonal both are equal.
    """
    points = _of_task(points, task).groupby("set", sort=False).head(_SHOWN)
    table = _of_task(table, task)
    table = table[(table["measure"] == KNOWLEDGE) & (table["of"] == KNOWLEDGE)].set_index(["system", "set"])
    sets = list(dict.fromkeys(points["set"]))
    students = [name for name in points.columns if name not in (*POINTS, ENSEMBLE) and points[name].notna().any()]
    colours = palette(sets, {sets[0]: BLACK})
    figure, panels = _grid(max(1, len(students)), 3, 3.1)
    for ax, student in zip(panels, students, strict=False):
        both = points[[ENSEMBLE, student]].to_numpy()
        least = both[both > 0].min() if (both > 0).any() else 1e-6
        shown = np.maximum(both, least)
        for key in sets:
            here = (points["set"] == key).to_numpy()
            ax.plot(*shown[here].T, ".", color=colours[key], markersize=3, alpha=0.5, markeredgewidth=0)
        ends = shown.min(), shown.max()
        ax.plot(ends, ends, ":", color=GREY, linewidth=0.9, zorder=1)
        ax.set(xscale="log", yscale="log", xlabel="ensemble (nats)", ylabel="student (nats)")
        row = table.loc[(student, sets[0])] if (student, sets[0]) in table.index else None
        said = "" if row is None else f"\n{_rho(row)}"
        ax.set_title(f"{name_of(student)}{said}", fontsize=9.5)
        ax.tick_params(labelsize=8)
        _plain_logarithms(ax.xaxis, ax.yaxis)
    for ax in panels if not students else ():
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no student has a mutual information", ha="center", va="center")
    handles = [_handle(colour, name_of(key), line="") for key, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=6)
    return figure


def _rho(row: pd.Series) -> str:
    between = f" [{row['low']:.2f}, {row['high']:.2f}]" if np.isfinite(row["low"]) else ""
    return f"ρ = {row['value']:.2f}{between}"


def overview(quality: pd.DataFrame, errors: pd.DataFrame, cost: pd.DataFrame, task: str) -> Figure:
    """What each system achieves, how well its uncertainty finds its bad sentences, and what decoding and scoring cost.

    quality, errors, cost: columns QUALITY, ERRORS, COST. Without costs the third panel is left out.
    """
    quality, errors, cost = (_of_task(table, task) for table in (quality, errors, cost))
    metric = "bleu" if (quality["metric"] == "bleu").any() else "bits"
    quality = quality[quality["metric"] == metric].set_index("system")
    cost = cost.set_index("system")
    systems = list(quality.index)[::-1]
    number = 3 if len(cost) else 2
    figure, panels = _grid(number, number, 0.3 * len(systems) + 0.9, sharey=True)
    for place, system in enumerate(systems):
        _mark(panels[0], quality.loc[system], place, _colour(system), scale=1)
        own = errors[errors["system"] == system].set_index("measure")
        for measure, offset in ((TOTAL, -0.14), (KNOWLEDGE, 0.14)):
            row = own.loc[measure]
            if measure == KNOWLEDGE and max(abs(row["prr"]), row["prr_high"] - row["prr_low"]) < 1e-9:
                continue
            row = {"value": row["prr"], "low": row["prr_low"], "high": row["prr_high"]}
            _mark(panels[1], row, place + offset, _colour(system), hollow=measure == TOTAL, scale=1)
        if system in cost.index:
            panels[2].plot(cost.loc[system, "per_sentence"], place, "o", color=_colour(system), markersize=4)
            panels[2].hlines(place, 0, cost.loc[system, "per_sentence"], color=_colour(system), linewidth=1.2)
    better = "higher" if metric == "bleu" else "lower"
    titles = [
        f"{name_of(metric)}, {better} is better",
        "PRR, 1 is perfect, 0 random",
        "ms per sentence",
    ]
    for ax, title in zip(panels, titles, strict=False):
        ax.set_title(title, fontsize=9.5)
        ax.set_yticks(range(len(systems)), [name_of(system) for system in systems], fontsize=8.5)
        ax.set_ylim(-0.6, len(systems) - 0.4)
        ax.grid(axis="y", visible=False)
    panels[1].axvline(0, color=GREY, linewidth=0.8, linestyle="--", zorder=1)
    if len(cost):
        panels[2].set_xlim(left=0)
    handles = [_handle(BLACK, name_of(KNOWLEDGE)), _handle(BLACK, name_of(TOTAL), hollow=True)]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


# --- vocabulary ----------------------------------------------------------------------------------------------------------------------


def scales(spread: pd.DataFrame) -> Figure:
    """Left: how far the teachers' logits lie apart and what scale students predict there, by rank of the token, on the test set (median
    and middle half of positions). Right: AUROC of both in each range of ranks, mean over OOD sets.

    spread: columns SPREAD. Above the dashed line at 1, the softmax of Laplace noise has no mean.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
    first = next(iter(spread["set"]))
    for source in dict.fromkeys(spread["source"]):
        rows = spread[spread["source"] == source]
        line = {
            "color": _colour(source),
            "linestyle": "--" if source in _DASHED else "-",
            "marker": "o",
            "markersize": 3,
        }
        inside = rows[rows["set"] == first].sort_values("first")
        axes[0].plot(_middle(inside), inside["median"], label=name_of(source), linewidth=1.4, **line)
        axes[0].fill_between(
            _middle(inside), inside["q25"], inside["q75"], color=_colour(source), alpha=0.12, linewidth=0
        )
        means = rows[rows["set"] != first].groupby(["first", "last"], as_index=False)["auroc"].mean()
        axes[1].plot(_middle(means), 100 * means["auroc"], linewidth=1.4, **line)
    axes[0].axhline(1, color=GREY, linewidth=0.8, linestyle="--", zorder=1)
    axes[1].axhline(50, color=GREY, linewidth=0.8, linestyle="--", zorder=1)
    axes[0].set(xscale="log", yscale="log", ylabel="spread of the teachers, scale of students (nats)", title="test set")
    axes[1].set(xscale="log", ylabel="AUROC (%)", title="as a score of OOD, mean over sets")
    _plain_logarithms(axes[0].yaxis)
    for ax in axes:
        _plain_logarithms(ax.xaxis)
        ax.set_xlabel("rank of the token (most probable: 1)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def diagnosis(spread: pd.DataFrame, experiment: pd.DataFrame) -> Figure:
    """Is the teachers' disagreement a signal, and where? Above: their spread by rank of the token, its AUROC there, and AUROC of mutual
    information by the number of members. Below: by k, temperature and label smoothing of the teachers, all else as in the run.

    spread: columns SPREAD;  experiment: columns EXPERIMENT. Hollow points are the setting of the run.
    """
    teachers = spread[spread["source"] == TEACHERS]
    first = next(iter(teachers["set"]))
    sets = list(dict.fromkeys(teachers["set"]))
    colours = palette(sets, {first: BLACK})
    figure, axes = plt.subplots(2, 3, figsize=(9, 6.4), layout="constrained")
    for key in sets:
        rows = teachers[teachers["set"] == key].sort_values("first")
        axes[0, 0].plot(
            _middle(rows), rows["mean"], "o-", color=colours[key], markersize=3, linewidth=1.3, label=name_of(key)
        )
        if key != first:
            axes[0, 1].fill_between(
                _middle(rows),
                100 * rows["auroc_low"],
                100 * rows["auroc_high"],
                color=colours[key],
                alpha=0.1,
                linewidth=0,
            )
            axes[0, 1].plot(_middle(rows), 100 * rows["auroc"], "o-", color=colours[key], markersize=3, linewidth=1.3)
    axes[0, 0].set(xscale="log", title="spread of log-probabilities", ylabel="mean absolute deviation (nats)")
    axes[0, 1].set(xscale="log", title="as a score of OOD", ylabel="AUROC (%)")
    for ax in axes[0, :2]:
        _plain_logarithms(ax.xaxis)
        ax.set_xlabel("rank of the token")
    knowledge = experiment[(experiment["measure"] == KNOWLEDGE) & (experiment["set"] != MEAN)]
    panels = {"members": axes[0, 2], "k": axes[1, 0], "temperature": axes[1, 1], "smoothing": axes[1, 2]}
    titles = {
        "members": "members",
        "k": "tokens kept (k)",
        "temperature": "temperature",
        "smoothing": "label smoothing",
    }
    for factor, ax in panels.items():
        _slice(ax, knowledge, factor, colours)
        ax.set(xlabel=titles[factor], title="mutual information", ylabel="AUROC (%)")
    low, high = (f([ax.get_ylim() for ax in panels.values()]) for f in (np.min, np.max))
    for ax in panels.values():
        ax.set_ylim(low, high)
    for ax in (axes[0, 1], *panels.values()):
        ax.axhline(50, color=GREY, linewidth=0.8, linestyle="--", zorder=1)
    for ax in axes.flat:
        ax.tick_params(labelsize=8)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6)
    return figure


_FACTORS = ("smoothing", "temperature", "k", "members")


def along(experiment: pd.DataFrame, factor: str) -> pd.DataFrame:
    """The rows in which all other factors are as in the run, by level of the factor."""
    base = experiment[experiment["base"].astype(str).isin(["yes", "True"])].iloc[0]
    rows = experiment
    for other in _FACTORS:
        if other != factor:
            rows = rows[rows[other] == base[other]]
    return rows.sort_values(factor, kind="stable")


def _slice(ax: Axes, experiment: pd.DataFrame, factor: str, colours: dict[str, str]) -> None:
    """AUROC by level of one factor, a line per set."""
    rows = along(experiment, factor)
    levels = list(dict.fromkeys(rows[factor]))
    if len(levels) < 2:
        ax.text(0.5, 0.25, "one level in this run", ha="center", transform=ax.transAxes, fontsize=8.5, color=GREY)
    for key in dict.fromkeys(rows["set"]):
        own = rows[rows["set"] == key]
        at = [levels.index(level) for level in own[factor]]
        ax.vlines(at, 100 * own["low"], 100 * own["high"], color=colours[key], linewidth=0.9, alpha=0.6)
        ax.plot(at, 100 * own["value"], "o-", color=colours[key], markersize=3.5, linewidth=1.2)
        base = own["base"].astype(str).isin(["yes", "True"]).to_numpy()
        ax.plot(
            np.array(at)[base],
            100 * own["value"][base],
            "o",
            color="white",
            markeredgecolor=colours[key],
            markersize=4.5,
        )
    ax.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
    ax.set_xlim(-0.5, len(levels) - 0.5)


# --- parts ---------------------------------------------------------------------------------------------------------------------------


def _of_task(table: pd.DataFrame, task: str) -> pd.DataFrame:
    return table[table["task"] == task]


def _middle(rows: pd.DataFrame) -> pd.Series:
    """Where a range of ranks is drawn on a logarithmic axis."""
    return np.sqrt(rows["first"] * rows["last"])


def _colour(system: str) -> str:
    return _FIXED.get(system, GREY)


def _mark(ax: Axes, row, place: float, colour: str, hollow: bool = False, scale: float = 100) -> None:
    """A value with its interval, on a line of its own."""
    ax.plot([scale * row["low"], scale * row["high"]], [place, place], color=colour, linewidth=1.2, zorder=2)
    face = "white" if hollow else colour
    ax.plot(scale * row["value"], place, "o", color=face, markeredgecolor=colour, markersize=4, zorder=3)


def _plain_logarithms(*axes: Axis) -> None:
    """Ticks at 1, 2 and 5 of a decade where there are few decades, at its beginning else, written as numbers."""
    for axis in axes:
        low, high = axis.get_view_interval()
        decades = np.log10(high / low)
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1.7 else (1,)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _handle(colour: str, label: str, hollow: bool = False, line: str = "-") -> Line2D:
    face = "white" if hollow else colour
    return Line2D(
        [],
        [],
        color=colour,
        marker="o",
        markersize=4,
        markerfacecolor=face,
        markeredgecolor=colour,
        linestyle=line,
        label=label,
    )


def _grid(number: int, columns: int, height: float, **shared) -> tuple[Figure, list[Axes]]:
    """A figure of `number` panels in rows of `columns`, each `height` inches high."""
    width = 9 * max(0.5, min(1, number / columns))
    columns = min(number, columns)
    lines = -(-number // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(width, lines * height + 0.5), squeeze=False, layout="constrained", **shared
    )
    panels = list(axes.flat)
    for unused in panels[number:]:
        unused.remove()
    return figure, panels[:number]
