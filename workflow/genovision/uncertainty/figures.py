"""Figures of the four systems: they read the tidy tables and nothing else. Intervals are 95 %, over training seeds and resampled images."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from genovision.figures import BLACK, COLOURS, GREY

NAMES = {
    "msp": "MSP",
    "doctor": "DOCTOR",
    "neg_entropy": "negative entropy",
    "entropy": "entropy",
    "average_entropy": "average entropy",
    "max_logit": "max logit",
    "energy": "energy",
    "l1_norm": "L1 norm",
    "residual": "residual",
    "vim": "ViM",
    "knn": "KNN",
    "mahalanobis": "Mahalanobis",
    "relative_mahalanobis": "relative Mahalanobis",
    "gradnorm": "GradNorm",
    "mutual_information": "mutual information",
    "epkl": "EPKL",
    "variation_ratio": "variation ratio",
    "id_wrong": "ID wrong",
    "ood_mean": "OOD mean",
    "logit_norm": "logit norm",
}
KINDS = {"softmax": BLACK, "ood": COLOURS[4], "sirc": COLOURS[1], "sirc_plus": COLOURS[3]}
KIND_NAMES = {"softmax": "softmax", "ood": "OOD detector", "sirc": "SIRC", "sirc_plus": "SIRC+"}
SYSTEMS = {
    "single": BLACK,
    "ensemble": COLOURS[1],
    "window": COLOURS[0],
    "adjusted_window": COLOURS[4],
    "single_threshold": COLOURS[2],
    "family_cascade": COLOURS[3],
}
SYSTEM_NAMES = {
    "single": "single model",
    "ensemble": "ensemble of two",
    "window": "window cascade",
    "adjusted_window": "adjusted window",
    "single_threshold": "single threshold",
    "family_cascade": "cascade of all widths",
}
MARKERS = {
    "single": "o",
    "ensemble": "s",
    "window": "D",
    "adjusted_window": "d",
    "single_threshold": "v",
    "family_cascade": "*",
}


def name_of(score: str) -> str:
    """How a figure calls a score or set: `sirc_msp_residual` is SIRC(MSP, residual)."""
    if score.startswith("sirc_plus_"):
        return f"SIRC+({NAMES[score.removeprefix('sirc_plus_')]})"
    if score.startswith("sirc_"):
        s1 = next(one for one in ("msp", "doctor", "neg_entropy") if score.startswith(f"sirc_{one}_"))
        short = {"neg_entropy": "-H"}.get(s1, NAMES[s1])
        return f"SIRC({short}, {NAMES[score.removeprefix(f'sirc_{s1}_')]})"
    return NAMES.get(score, score.replace("_", " "))


def separation(table: pd.DataFrame) -> Figure:
    """AUROC of every score, a panel per column of the paper's table: wrong ID inputs, the mean over OOD sets, each OOD set."""
    table = table[table["metric"] == "auroc"]
    sets = ["id_wrong", "ood_mean", *(name for name in table["ood"].unique() if name not in ("id_wrong", "ood_mean"))]
    scores = list(table["score"].unique())[::-1]
    figure, axes = plt.subplots(
        2, -(-len(sets) // 2), figsize=(9, 0.36 * len(scores) + 1.2), sharey=True, layout="constrained", squeeze=False
    )
    for ax, name in zip(axes.flat, sets, strict=False):
        rows = table[table["ood"] == name].set_index("score").loc[scores]
        for place, (_, row) in enumerate(rows.iterrows()):
            colour = KINDS[row["kind"]]
            ax.plot(100 * np.array([row["low"], row["high"]]), [place, place], color=colour, linewidth=1.2)
            ax.plot(100 * row["value"], place, "o", color=colour, markersize=3.5)
        ax.axvline(100 * rows.loc["msp", "value"], color=BLACK, linewidth=0.7, linestyle=":")
        ax.set_title(name_of(name), fontsize=10)
        ax.set_yticks(range(len(scores)), [name_of(score) for score in scores], fontsize=7.5)
        ax.tick_params(axis="x", labelsize=8)
        ax.grid(axis="y", visible=False)
    for unused in list(axes.flat)[len(sets) :]:
        unused.remove()
    for ax in axes[-1]:
        ax.set_xlabel("AUROC (%)", fontsize=9)
    handles = [
        plt.Line2D([], [], color=colour, marker="o", markersize=4, label=KIND_NAMES[kind])
        for kind, colour in KINDS.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def shown_scores(headline: str) -> dict[str, tuple[str, str]]:
    """The few scores that curves are drawn for -> colour and line style."""
    return {
        "msp": (BLACK, "-"),
        "energy": (COLOURS[4], "-"),
        "residual": (COLOURS[2], "--"),
        "knn": (COLOURS[5], "--"),
        "vim": (COLOURS[0], "--"),
        headline: (COLOURS[1], "-"),
        "sirc_plus_msp": (COLOURS[3], "-"),
    }


def along_stream(aurr: pd.DataFrame, headline: str) -> Figure:
    """AURR relative to that of the MSP, mean over OOD sets: over alpha (beta 1/2) and over beta (alpha 1/2)."""
    means = aurr.groupby(["score", "alpha", "beta"])["value"].mean()
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.9), layout="constrained")
    for ax, (varied, fixed) in zip(axes, (("alpha", "beta"), ("beta", "alpha")), strict=True):
        rows = means.reset_index()
        rows = rows[np.isclose(rows[fixed], 0.5)].pivot_table(index=varied, columns="score", values="value")
        for score, (colour, line) in shown_scores(headline).items():
            ax.plot(rows.index, rows[score] / rows["msp"], line, color=colour, label=name_of(score), linewidth=1.5)
        ax.set(ylabel="AURR / AURR of the MSP" if varied == "alpha" else None)
    axes[0].set(xlabel="alpha: share of ID in the stream", title="costs equal (beta = 0.5)")
    axes[1].set(xlabel="beta: cost of an ID error (OOD input: 1 - beta)", title="half of the stream ID (alpha = 0.5)")
    low, high = (f([ax.get_ylim() for ax in axes]) for f in (np.min, np.max))
    for ax in axes:
        ax.set_ylim(max(0, low), min(high, 2.5))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def risk_recall(curves: pd.DataFrame, headline: str) -> Figure:
    """Risk by recall at alpha and beta 1/2, a panel per OOD set, mean over seeds."""
    sets = list(curves["ood"].unique())
    figure, axes = plt.subplots(
        -(-len(sets) // 3),
        3,
        figsize=(9, 2.5 * -(-len(sets) // 3) + 0.7),
        layout="constrained",
        squeeze=False,
        sharex=True,
    )
    for ax, name in zip(axes.flat, sets, strict=False):
        for score, (colour, line) in shown_scores(headline).items():
            rows = curves[(curves["ood"] == name) & (curves["score"] == score)]
            ax.fill_between(100 * rows["recall"], rows["low"], rows["high"], color=colour, alpha=0.12, linewidth=0)
            ax.plot(100 * rows["recall"], rows["risk"], line, color=colour, label=name_of(score), linewidth=1.3)
        ax.set_title(name_of(name))
        ax.set_ylim(bottom=0)
    for unused in list(axes.flat)[len(sets) :]:
        unused.remove()
    for ax in axes[-1]:
        ax.set_xlabel("recall of correct ID inputs (%)")
    for ax in axes[:, 0]:
        ax.set_ylabel("cost per accepted input")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def diversity(detection: pd.DataFrame) -> Figure:
    """AUROC of every score of single models and of the ensemble, less that of a single model's entropy, a panel per OOD set."""
    table = detection[detection["metric"] == "auroc"]
    sets = ["ood_mean", *(name for name in table["ood"].unique() if name != "ood_mean")]
    keys = list(table[["system", "score"]].drop_duplicates().itertuples(index=False, name=None))[::-1]
    columns = -(-len(sets) // 2)
    figure, axes = plt.subplots(2, columns, figsize=(9, 7), sharey=True, layout="constrained", squeeze=False)
    for ax, name in zip(axes.flat, sets, strict=False):
        rows = table[table["ood"] == name].set_index(["system", "score"])
        for place, key in enumerate(keys):
            row = rows.loc[key]
            colour = _diversity_colour(*key)
            ax.plot(
                100 * np.array([row["difference_low"], row["difference_high"]]),
                [place, place],
                color=colour,
                linewidth=1.4,
            )
            ax.plot(100 * row["difference"], place, "o", color=colour, markersize=4)
        ax.axvline(0, color=BLACK, linewidth=0.7, linestyle=":")
        ax.set_title(f"{name_of(name)} ({100 * rows.loc[('single', 'entropy'), 'value']:.1f})", fontsize=10)
        ax.set_yticks(range(len(keys)), [f"{name_of(score)}" for _, score in keys], fontsize=8)
        ax.grid(axis="y", visible=False)
    for unused in list(axes.flat)[len(sets) :]:
        unused.remove()
    for ax in axes[-1]:
        ax.set_xlabel("AUROC, points more", fontsize=9)
    labels = {"single model": GREY, "ensemble": COLOURS[1], "ensemble, disagreement alone": COLOURS[0]}
    handles = [
        plt.Line2D([], [], color=colour, marker="o", markersize=4, label=label) for label, colour in labels.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _diversity_colour(system: str, score: str) -> str:
    if system == "single":
        return GREY
    return COLOURS[0] if score in ("mutual_information", "epkl", "variation_ratio") else COLOURS[1]


def conditional(table: pd.DataFrame) -> Figure:
    """Mean mutual information among inputs of like average entropy, ID and every OOD set: is disagreement news beyond the entropy?"""
    figure, ax = plt.subplots(figsize=(9, 4.2), layout="constrained")
    for k, name in enumerate(["test", *(name for name in table["set"].unique() if name != "test")]):
        rows = table[(table["set"] == name) & (table["inputs"] >= 20)]
        line = {"color": BLACK, "linewidth": 2.2, "label": "ID (test)"} if name == "test" else {}
        line = line or {"color": COLOURS[(k - 1) % len(COLOURS)], "linewidth": 1.2, "label": name_of(name)}
        ax.plot(rows["average_entropy"], rows["mutual_information"], "o-", markersize=3.5, **line)
    ax.set(xlabel="average entropy of the members (nats)", ylabel="mutual information (nats)")
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def cost(points: pd.DataFrame) -> Figure:
    """What single models, ensembles and cascades give against what they cost: coverage at 5 % risk, FPR@95 and SCOD risk (OOD means)."""
    figure, axes = plt.subplots(1, 3, figsize=(9, 4.1), layout="constrained")
    titles = {
        "sc": ("SC", "coverage at 5 % risk (%)"),
        "ood": ("OOD detection", "FPR@95 (%)"),
        "scod": ("SCOD", "risk at 80 % coverage (%)"),
    }
    for ax, (task, (title, label)) in zip(axes, titles.items(), strict=True):
        rows = points[(points["task"] == task) & points["ood"].isin(["none", "ood_mean"])]
        _against(ax, rows, rows["macs"] / 1e6)
        ax.set(xlabel="million MACs per input", ylabel=label, title=title)
    _systems_legend(figure, points["system"].unique())
    return figure


def _against(ax: Axes, rows: pd.DataFrame, x: pd.Series) -> None:
    """One line per system through its widths, with intervals; x on a logarithmic scale."""
    for system in SYSTEMS:
        some = rows[rows["system"] == system]
        if not len(some):
            continue
        at = x.loc[some.index]
        # intervals of neighbouring systems would lie on each other
        ax.vlines(at, 100 * some["low"], 100 * some["high"], color=SYSTEMS[system], linewidth=0.9, alpha=0.6)
        size = 11 if system == "family_cascade" else 5.5
        line = "-" if system == "single" else ":"
        ax.plot(
            at,
            100 * some["value"],
            MARKERS[system],
            linestyle=line,
            color=SYSTEMS[system],
            markersize=size,
            linewidth=1,
        )
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _systems_legend(figure: Figure, systems: Sequence[str]) -> None:
    handles = [
        plt.Line2D(
            [],
            [],
            color=SYSTEMS[one],
            marker=MARKERS[one],
            linestyle="-" if one == "single" else ":",
            markersize=6,
            label=SYSTEM_NAMES[one],
        )
        for one in SYSTEMS
        if one in set(systems)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)


def sizes(table: pd.DataFrame) -> Figure:
    """Windows and single thresholds of every size: coverage at 5 % risk and accuracy against the share that continues."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.7), layout="constrained")
    for ax, (column, label) in zip(
        axes, (("coverage_at_5_percent_risk", "coverage at 5 % risk (%)"), ("accuracy", "accuracy (%)")), strict=True
    ):
        for policy in ("window", "single_threshold"):
            rows = table[table["policy"] == policy].sort_values("continuing")
            ax.plot(
                100 * rows["continuing"],
                100 * rows[column],
                f"{MARKERS[policy]}-",
                color=SYSTEMS[policy],
                markersize=4,
                linewidth=1.2,
            )
        ax.set(xlabel="inputs that reach the second model (%)", ylabel=label)
    _systems_legend(figure, ["window", "single_threshold"])
    return figure


def seconds(table: pd.DataFrame, points: pd.DataFrame) -> Figure:
    """Coverage at 5 % risk and FPR@95 (mean over OOD sets) against measured microseconds per image of the ID test set, and the time of
    each system as a share of its ensemble's.

    table: of compare_seconds, a pair per width;  points: of evaluate_cascades
    """
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained")
    timed = table[table["system"].isin(["single", "ensemble", "window_ood"])].replace(
        {"system": {"window_ood": "window"}}
    )
    table = table[table["system"] != "window_ood"]
    means = (
        points[points["task"] == "ood"].groupby(["width", "system"], as_index=False)[["value", "low", "high"]].mean()
    )
    detection = means.merge(
        timed[["pair", "system", "seconds", "images"]], left_on=["width", "system"], right_on=["pair", "system"]
    )
    _against(axes[1], detection, 1e6 * detection["seconds"] / detection["images"])
    axes[1].set(xlabel="microseconds per image, median", ylabel="FPR@95, mean over OOD sets (%)")
    rows = points[points["task"] == "sc"].merge(
        table[["pair", "system", "seconds", "images"]], left_on=["width", "system"], right_on=["pair", "system"]
    )
    _against(axes[0], rows, 1e6 * rows["seconds"] / rows["images"])
    axes[0].set(xlabel="microseconds per image, median", ylabel="coverage at 5 % risk (%)")
    pairs = list(table.loc[table["system"] == "ensemble", "pair"].unique())
    for k, system in enumerate(
        one for one in ("single", "window", "single_threshold", "ensemble") if one in set(table["system"])
    ):
        some = table[table["system"] == system].set_index("pair").loc[pairs]
        at = np.arange(len(pairs)) + 0.2 * (k - 1.5)
        axes[2].vlines(at, some["against_low"], some["against_high"], color=SYSTEMS[system], linewidth=1.4)
        axes[2].plot(at, some["against_ensemble"], MARKERS[system], color=SYSTEMS[system], markersize=6)
    axes[2].set_xticks(range(len(pairs)), [f"width {pair}" for pair in pairs])
    axes[2].grid(axis="x", visible=False)
    axes[2].set_ylim(bottom=0)
    axes[2].set(ylabel="seconds / seconds of the ensemble")
    _systems_legend(figure, table["system"].unique())
    return figure


def _recipes(table: pd.DataFrame) -> dict[str, str]:
    """Recipe -> colour, by rising alpha; cross entropy is black."""
    order = table[["recipe", "alpha"]].drop_duplicates().sort_values("alpha")
    shades = ("#56b4e9", "#0072b2", "#cc79a7", "#d55e00", "#e69f00")
    smoothed = list(order.loc[order["alpha"] > 0, "recipe"])
    plain = dict.fromkeys(order.loc[order["alpha"] == 0, "recipe"], BLACK)
    return plain | {recipe: shades[k % len(shades)] for k, recipe in enumerate(smoothed)}


def recipe_name(recipe: str, alpha: float) -> str:
    return "cross entropy" if alpha == 0 else f"label smoothing {alpha:g}"


def risk_coverage(curves: pd.DataFrame) -> Figure:
    """Risk by coverage of every recipe, by MSP and after logit normalisation; the band of cross entropy in both panels."""
    colours = _recipes(curves)
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained", sharey=True)
    base = next(iter(colours))
    for ax, score, title in zip(axes, ("msp", "logit_norm"), ("MSP", "logit normalisation"), strict=True):
        for recipe, colour in colours.items():
            rows = curves[(curves["recipe"] == recipe) & (curves["score"] == score)]
            alpha = rows["alpha"].iloc[0]
            ax.plot(
                100 * rows["coverage"],
                100 * rows["risk"],
                color=colour,
                label=recipe_name(recipe, alpha),
                linewidth=1.4,
            )
            ax.fill_between(
                100 * rows["coverage"], 100 * rows["low"], 100 * rows["high"], color=colour, alpha=0.1, linewidth=0
            )
        if score != "msp":
            rows = curves[(curves["recipe"] == base) & (curves["score"] == "msp")]
            ax.plot(
                100 * rows["coverage"], 100 * rows["risk"], ":", color=BLACK, linewidth=1.4, label="cross entropy, MSP"
            )
        ax.set(xlabel="coverage (%)", title=title)
        ax.set_xlim(0, 100)
        ax.set_ylim(bottom=0)
    axes[0].set(ylabel="risk (%)")
    handles, labels = axes[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def by_alpha(measures: pd.DataFrame) -> Figure:
    """AURC and risk at 10 % coverage against the smoothing alpha, by score, and the accuracy beside them."""
    lines = {"msp": (BLACK, "o", -1), "max_logit": (COLOURS[4], "s", 0), "logit_norm": (COLOURS[1], "D", 1)}
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.8), layout="constrained")
    titles = {
        "aurc": "AURC (%)",
        "risk_at_10_percent_coverage": "risk at 10 % coverage (%)",
        "accuracy": "accuracy (%)",
    }
    span = max(measures["alpha"].max(), 0.1)
    for ax, (metric, title) in zip(axes, titles.items(), strict=True):
        for score, (colour, marker, side) in lines.items():
            rows = measures[(measures["metric"] == metric) & (measures["score"] == score)].sort_values("alpha")
            if metric == "accuracy" and score != "msp":
                continue
            at = rows["alpha"] + (0.012 * span * side if metric != "accuracy" else 0)
            ax.vlines(at, 100 * rows["low"], 100 * rows["high"], color=colour, linewidth=1.2)
            ax.plot(
                at, 100 * rows["value"], f"{marker}-", color=colour, markersize=4.5, linewidth=1.1, label=name_of(score)
            )
        ax.set(xlabel="smoothing alpha", title=title)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def suppression(table: pd.DataFrame) -> Figure:
    """Left: the extra gradient of smoothing on the max logit by probability of error, closed form and in the data. Right: how much
    smaller the centred max logit of the trained smoothed models is than that of cross entropy."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    colours = _recipes(table)
    for recipe, colour in colours.items():
        rows = table[table["recipe"] == recipe].sort_values("error")
        alpha = rows["alpha"].iloc[0]
        line = np.linspace(0, 1, 50)
        axes[0].plot(100 * line, alpha * (1 - line - 1 / rows["classes"].iloc[0]), color=colour, linewidth=1)
        axes[0].plot(
            100 * rows["error"], rows["pressure"], "o", color=colour, markersize=4.5, label=recipe_name(recipe, alpha)
        )
        axes[1].fill_between(
            100 * rows["error"], 100 * rows["low"], 100 * rows["high"], color=colour, alpha=0.15, linewidth=0
        )
        axes[1].plot(100 * rows["error"], 100 * rows["suppression"], "o-", color=colour, markersize=4.5, linewidth=1.2)
    axes[0].axhline(0, color=GREY, linewidth=0.8)
    axes[0].set(
        xlabel="probability of error (%)", ylabel="extra gradient on the max logit", title="what the loss asks for"
    )
    axes[1].set(
        xlabel="estimated probability of error (%)",
        ylabel="max logit less than with cross entropy (%)",
        title="what training did",
    )
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def powers(table: pd.DataFrame) -> Figure:
    """AURC on the calibration split by p, mean over seeds per recipe; dots are the choices of single models, the dashed line is the MSP."""
    colours = _recipes(table)
    figure, ax = plt.subplots(figsize=(9, 3.8), layout="constrained")
    for recipe, colour in colours.items():
        rows = table[table["recipe"] == recipe]
        searched = rows[rows["score"] == "logit_norm"]
        means = 100 * searched.groupby("p")["aurc"].mean()
        ax.plot(means.index, means, color=colour, linewidth=1.4, label=recipe_name(recipe, rows["alpha"].iloc[0]))
        ax.axhline(100 * rows.loc[rows["score"] == "msp", "aurc"].mean(), color=colour, linewidth=0.9, linestyle="--")
        chosen = searched[searched["chosen"].astype(str) == "True"]
        ax.plot(chosen["p"], 100 * chosen["aurc"], "o", color=colour, markersize=4.5)
    ax.set(xlabel="p", ylabel="AURC on the calibration split (%)")
    figure.legend(loc="outside lower center", ncols=4)
    return figure
