"""Figures of the system deis_sn: they read tables and arrays and compute nothing. Intervals are 95 %, over starting noises."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, StrMethodFormatter

from genovision.figures import BLACK, COLOURS, GREY

# what a reader compares stands out; the other samplers are the grey field that they run in
_SHOWN = {
    "ddim": ("DDIM", COLOURS[5], "o"),
    "deis-tab3": ("DEIS, quadratic grid", COLOURS[4], "s"),
    "deis-sn-tab3": ("DEIS-SN, as published", COLOURS[0], "D"),
    "best-peer": ("best peer", BLACK, "v"),
    "best-ours": ("best setting of DEISSNScheduler", COLOURS[1], "*"),
}


def _nfe_axis(axes: Axes, numbers: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(numbers))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_xlabel("evaluations of the network (NFE)")


def _panels(number: int, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    columns = min(2, number)
    rows = -(-number // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(9, height * rows), layout="constrained", squeeze=False)
    for spare in axes.flat[number:]:
        spare.set_axis_off()
    return figure, list(axes.flat[:number])


def by_nfe(
    tables: Mapping[str, pd.DataFrame], value: str, label: str, floors: Mapping[str, float] | None = None
) -> Figure:
    """`value` of every sampler against NFE, log-log, a panel for each denoiser; the samplers named in the legend over all others in grey.

    tables: {denoiser: table of samplers/measure_samples}; floors: {denoiser: value of real against real}.
    """
    tables = {name: table for name, table in tables.items() if value in table and table[value].notna().any()}
    figure, panels = _panels(len(tables), height=3.6)
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        for sampler, rows in table.groupby("sampler"):
            rows = rows.sort_values("nfe")
            if sampler in _SHOWN:
                title, colour, marker = _SHOWN[sampler]
                bars = np.maximum(0, [rows[value] - rows[f"{value}_low"], rows[f"{value}_high"] - rows[value]])
                axes.errorbar(
                    rows["nfe"], rows[value], bars, color=colour, marker=marker, label=title, ms=5, lw=1.4, zorder=3
                )
            else:
                axes.plot(rows["nfe"], rows[value], color=GREY, lw=0.7, alpha=0.6, zorder=1)
        if floors and name in floors:
            axes.axhline(floors[name], color=BLACK, ls=":", lw=1, label="real against real")
        axes.set_yscale("log")
        axes.set_title(name)
        axes.set_ylabel(label)
        _nfe_axis(axes, table["nfe"])
    panels[0].plot([], [], color=GREY, lw=0.7, label="other samplers and settings")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def ratios(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Error over that of the best peer at the same NFE, with intervals, a panel for each denoiser; below 1 is nearer to the solution."""
    figure, panels = _panels(len(tables), height=3.4)
    wanted = {name: _SHOWN[name] for name in ("deis-tab3", "deis-sn-tab3", "best-ours")}
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        for shift, (sampler, (title, colour, marker)) in enumerate(wanted.items()):
            rows = table[table["sampler"] == sampler].sort_values("nfe")
            bars = np.maximum(0, [rows["ratio"] - rows["ratio_low"], rows["ratio_high"] - rows["ratio"]])
            place = rows["nfe"] * 1.03 ** (shift - 1)
            axes.errorbar(place, rows["ratio"], bars, color=colour, marker=marker, label=title, ms=5, lw=1.2)
        axes.axhline(1, color=BLACK, lw=1)
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_title(name)
        axes.set_ylabel("RMSE / RMSE of the best peer")
        _nfe_axis(axes, table["nfe"])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def noise_over_time(curves: Mapping[str, Mapping[str, npt.NDArray]]) -> Figure:
    """Mean |eps| and mean |score| against tau, from noise (left) to data (right): {denoiser: {times, mean_abs_eps, mean_abs_score}}."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for place, (name, found) in enumerate(curves.items()):
        colour = COLOURS[place % len(COLOURS)]
        left.plot(found["times"], found["mean_abs_eps"], color=colour, marker=".", ms=3, lw=1.2, label=name)
        right.plot(found["times"], found["mean_abs_score"], color=colour, marker=".", ms=3, lw=1.2)
    left.axhline(np.sqrt(2 / np.pi), color=BLACK, ls=":", lw=1, label="white noise")
    left.set_ylabel("mean |eps|")
    right.set_ylabel("mean |score|")
    right.set_yscale("log")
    for axes in (left, right):
        axes.set_xlabel("time, 1: noise, 0: data")
        axes.set_xlim(1.02, -0.02)
    left.legend()
    return figure


def sample_grid(
    images: npt.NDArray[np.uint8],
    present: npt.NDArray[np.bool_],
    reference: npt.NDArray[np.uint8],
    samplers: Sequence[str],
    numbers: Sequence[int],
) -> Figure:
    """Images from the same noises: a row for each sampler, a block of columns for each NFE; the solution's on top.

    images (S, K, n, H, W[, 3]), present (S, K): was a sampler run, reference (n, H, W[, 3]).
    """
    rows, blocks, several = len(samplers) + 1, len(numbers), images.shape[2]
    figure, axes = plt.subplots(
        rows, blocks, figsize=(9, 0.55 + 0.92 * rows * 9 / blocks / several), layout="constrained", squeeze=False
    )
    for row in range(rows):
        for block in range(blocks):
            shown = reference if row == 0 else images[row - 1, block]
            panel = axes[row, block]
            if row and not present[row - 1, block]:
                panel.set_axis_off()
                continue
            panel.imshow(np.concatenate(list(shown), axis=1), cmap="gray", vmin=0, vmax=255, aspect="equal")
            panel.set_xticks([])
            panel.set_yticks([])
            panel.grid(False)
            panel.spines[:].set_visible(False)
            if row == 0:
                panel.set_title(f"NFE {numbers[block]}")
        title = "solution" if row == 0 else _SHOWN.get(samplers[row - 1], (samplers[row - 1],))[0]
        axes[row, 0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=8.5)
    return figure


def training(curve: pd.DataFrame, name: str) -> Figure:
    """Loss by step: of training, smoothed, and of held-out images at fixed times and noises."""
    figure, axes = plt.subplots(figsize=(9, 3.2), layout="constrained")
    for column, colour, label in (
        ("loss", GREY, "training"),
        ("held_out", COLOURS[1], "held-out images, averaged weights"),
    ):
        rows = curve[curve[column].notna()]
        axes.plot(rows["step"], rows[column], color=colour, label=label, lw=1.4)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("mean squared error of the prediction")
    axes.set_title(name)
    axes.legend()
    return figure
