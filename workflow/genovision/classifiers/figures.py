"""Figures of the classifiers: what the image sets look like, and how training went."""

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from genovision.figures import palette


def contact_sheet(sets: dict[str, npt.NDArray[np.uint8]], columns: int = 24) -> Figure:
    """`columns` images of each set, evenly spaced in it, a row per set. sets: name -> images (N, H, W) uint8."""
    figure, axes = plt.subplots(
        len(sets), 1, figsize=(9, 0.5 * len(sets) + 0.3), squeeze=False, gridspec_kw={"hspace": 0.12}
    )
    for ax, (name, images) in zip(axes[:, 0], sets.items(), strict=True):
        height, width = images.shape[1:]
        strip = np.full((height, columns * (width + 2) - 2), 255, dtype=np.uint8)
        chosen = np.linspace(0, len(images) - 1, min(columns, len(images))).astype(int)
        for place, image in enumerate(images[chosen]):
            strip[:, place * (width + 2) : place * (width + 2) + width] = image
        ax.imshow(strip, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="equal")
        ax.set_axis_off()
        ax.text(-0.008, 0.5, name, transform=ax.transAxes, ha="right", va="center")
    figure.subplots_adjust(left=0.17, right=0.995, top=0.99, bottom=0.01)
    return figure


def training(curves: pd.DataFrame) -> Figure:
    """Loss and accuracy by step, a line per model, and the final accuracy of every model.

    curves: columns width, recipe, seed, step, loss, accuracy; widths and recipes are drawn in the order in which they come.
    """
    widths, recipes = (list(dict.fromkeys(curves[name])) for name in ("width", "recipe"))
    colours = palette(recipes, {})
    figure, axes = plt.subplots(
        3, len(widths), figsize=(9, 7.6), squeeze=False, sharey="row", layout="constrained", height_ratios=[1, 1, 0.8]
    )
    for column, width in enumerate(widths):
        of_width = curves[curves["width"] == width]
        for (recipe, _), rows in of_width.groupby(["recipe", "seed"], sort=False):
            for ax, name, scale in zip(axes[:2, column], ("loss", "accuracy"), (1, 100), strict=True):
                ax.plot(rows["step"], scale * rows[name], color=colours[recipe], linewidth=1, alpha=0.8)
        ends = of_width.groupby(["recipe", "seed"], sort=False).tail(1)
        for place, recipe in enumerate(recipes):
            found = 100 * ends.loc[ends["recipe"] == recipe, "accuracy"].to_numpy()
            aside = place + 0.09 * (np.arange(len(found)) - (len(found) - 1) / 2)
            axes[2, column].plot(aside, found, "o", color=colours[recipe], markersize=4.5)
        axes[0, column].set(title=f"width {width}")
        axes[1, column].set(xlabel="step")
        axes[2, column].set_xticks(range(len(recipes)), recipes)
        axes[2, column].set_xlim(-0.6, len(recipes) - 0.4)
    axes[0, 0].set(ylabel="training loss")
    axes[0, 0].set_ylim(bottom=0)
    axes[1, 0].set(ylabel="calibration accuracy (%)")
    axes[2, 0].set(ylabel="final accuracy (%)")
    handles = [plt.Line2D([], [], color=colours[name], label=name) for name in recipes]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(recipes))
    return figure
