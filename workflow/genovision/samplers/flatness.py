"""When does score normalisation help? From stored paths: how straight eps, eps / r and what linear terms leave run in time.

A multistep sampler is as good as its polynomial continues the quantity it takes for one. Two views: the second difference in tau, which
needs no solver, and the errors of the scheduler's own steps on the quadratic grid, from the Gram matrices (`time_grids`).
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.samplers.statistics import Trace
from genovision.samplers.time_grids import combination, nearest_nodes, predicted_error

Floats = npt.NDArray[np.float64]

# name: (exponent of the normaliser, whose normaliser, linear terms)
METHODS = {
    "deis": (0.0, "all", False),
    "deis-sn": (1.0, "all", False),
    "deis-sn per pixel": (1.0, "pixel", False),
    "deis affine": (0.0, "all", True),
}
DEGREES = (1, 2, 3)
NEUTRAL = 0.02  # a smaller change of the error is called none
COLUMNS = ["quantity", "method", "degree", "tau", "value", "ratio"]


def flatness(trace: Trace, steps: int = 10) -> pd.DataFrame:
    """One row per quantity, method, degree and time: columns quantity, method, degree, tau, value, ratio (value over that of DEIS; below
    1 is flatter).

    method: deis (eps), deis-sn (eps / r), deis-sn per pixel (r of groups of pixels), deis affine (eps less its linear part). quantity:

    - second difference: norm of the second derivative in tau of the quantity, times the square of the quadratic grid's step there, over the
      norm of the quantity (of eps for deis affine). No degree; where tau is missing, the root mean square over the path.
    - step error: what one step of the quadratic grid of `steps` steps, from the reference's states, adds to the RMSE at the end; tau is
      where it starts.
    - final error: predicted RMSE at the end of that grid; tau is missing.
    """
    found = []
    for method, (exponent, normalizer, affine) in METHODS.items():
        path = trace.path("t", exponent, affine, False, normalizer)
        curvature = _second_difference(trace, path.r, affine, steps)
        inner = trace.times[1:-1]
        found += [
            ("second difference", method, np.nan, tau, value) for tau, value in zip(inner, curvature, strict=True)
        ]
        found.append(("second difference", method, np.nan, np.nan, float(np.sqrt((curvature**2).mean()))))
        nodes = nearest_nodes(path, np.linspace(1, 0, steps + 1) ** 2)
        for degree in DEGREES:
            for k in range(steps):
                start, end = nodes[k], nodes[k + 1]
                c = combination(path, start, end, nodes[max(0, k - degree) : k + 1][::-1]) * path.survive[:, end, None]
                error = np.sqrt(max(np.einsum("qi,qij,qj->", c, path.gram, c), 0.0) / path.pixels)
                found.append(("step error", method, degree, path.times[start], float(error)))
            found.append(("final error", method, degree, np.nan, predicted_error(path, nodes, degree)))
    table = pd.DataFrame(found, columns=COLUMNS[:-1])
    key = ["quantity", "degree", "tau"]
    plain = table[table.method == "deis"].drop(columns="method").rename(columns={"value": "plain"})
    table = table.merge(plain, on=key, how="left", validate="many_to_one")
    # an error that is nothing but rounding has no meaningful ratio
    table["ratio"] = table.value / table.plain.where(table.plain > 1e-12)
    table["degree"] = table.degree.astype("Int64")
    return table[COLUMNS]


def _second_difference(trace: Trace, r: Floats, affine: bool, steps: int) -> Floats:
    """(n - 2,): at the inner times, relative to the size of the quantity and to a step of 2 sqrt(tau) / steps."""
    n, tau = len(trace.times), trace.times
    gram = (trace.gram_affine if affine else trace.gram)[:, :n, :n] / (r[:, :, None] * r[:, None, :])
    size = (trace.gram if affine else gram)[:, np.arange(n), np.arange(n)].sum(axis=0)[1:-1]
    below, above = tau[1:-1] - tau[:-2], tau[2:] - tau[1:-1]
    stencil = 2 * np.stack([1 / (below * (below + above)), -1 / (below * above), 1 / (above * (below + above))])
    square = np.zeros(n - 2)
    for i in range(3):
        for j in range(3):
            square += stencil[i] * stencil[j] * gram[:, np.arange(i, n - 2 + i), np.arange(j, n - 2 + j)].sum(axis=0)
    return np.sqrt(np.maximum(square, 0.0) / size) * (2 * np.sqrt(tau[1:-1]) / steps) ** 2


def recommendation(table: pd.DataFrame, degree: int = 3) -> str:
    """One sentence, from the predicted final errors of `flatness` at this degree: whether to normalise, and how."""
    final = table[(table.quantity == "final error") & (table.degree == degree)].set_index("method").ratio
    bend = table[(table.quantity == "second difference") & table.tau.isna()].set_index("method").ratio
    figures = (
        f"error of degree {degree} on the quadratic grid against DEIS x {final['deis-sn']:.2f} with one r over time, "
        f"x {final['deis-sn per pixel']:.2f} per pixel, x {final['deis affine']:.2f} with linear terms; "
        f"second difference in tau x {bend['deis-sn']:.2f}"
    )
    best = final.drop("deis").idxmin()
    if final["deis-sn"] <= 1 - NEUTRAL:
        advice = "use score normalisation"
    elif final["deis-sn per pixel"] <= 1 - NEUTRAL:
        advice = "use score normalisation per pixel; one r over time does not pay"
    elif final["deis-sn"] < 1 + NEUTRAL:
        advice = "score normalisation changes little"
    else:
        advice = "leave score normalisation off"
    if best == "deis affine" and final[best] <= (1 - NEUTRAL) * min(1.0, final["deis-sn"], final["deis-sn per pixel"]):
        advice += ", and linear terms do more"
    return f"{advice} ({figures})."
