"""Tables of the system deis_sn: what every sampler reaches at every number of evaluations, and the evidence for its claims.

Units of the bootstrap are starting noises, the same for every sampler, so that differences are paired.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.errors import InputError
from genovision.frechet import frechet_distance, moments
from genovision.resampling import bootstrap_counts, interval, stream
from genovision.samplers import measures

Floats = npt.NDArray[np.float64]
SYSTEM = "deis_sn"
EVIDENCE = ["system", "metric", "side", "group", "replicate", "value"]
BAR = "best-peer"  # row that every other is compared with
OWN = "best-ours"
# sides of the claims on the published method; DDIM is on the grid that validation noise chose for it
SIDES = {
    "ddim": "ddim",
    "deis": "deis-tab3",
    "deis_sn": "deis-sn-tab3",
    "deis_tab2": "deis-tab2",
    "deis_sn_tab2": "deis-sn-tab2",
}
FLOOR, SOLUTION = "real images", "reference solution"
_NAN = float("nan")


def solver_errors(
    errors: npt.ArrayLike, samplers: list[str], numbers: list[int], replicates: int, seed: int
) -> tuple[pd.DataFrame, dict[tuple[str, int], Floats]]:
    """RMSE to the solution from the same noise: a table, and {(sampler, nfe): (1 + replicates,)} with the point estimate first.

    errors (S, K, R, N): mean squared error of every sample, NaN where a sampler was not run or has no solution to be compared with.
    Columns: sampler, nfe, rmse, rmse_low, rmse_high, ratio, ratio_low, ratio_high; ratio is to the best peer at that nfe, below 1: nearer.
    """
    errors = np.asarray(errors, dtype=np.float64)
    errors = errors.reshape(*errors.shape[:2], -1)
    counts = bootstrap_counts(errors.shape[-1], replicates, stream(seed, "noises"))
    values = np.concatenate([measures.rmse(errors)[None], measures.rmse(errors, counts)])  # (1 + replicates, S, K)
    rows, found = [], {}
    for column, nfe in enumerate(numbers):
        bar = values[:, samplers.index(BAR), column] if BAR in samplers else np.full(1 + replicates, _NAN)
        for row, sampler in enumerate(samplers):
            one = values[:, row, column]
            if np.isfinite(one[0]):
                found[sampler, nfe] = one
                rows.append([sampler, nfe, one[0], *_band(one), one[0] / bar[0], *_band(one / bar)])
    columns = ["sampler", "nfe", "rmse", "rmse_low", "rmse_high", "ratio", "ratio_low", "ratio_high"]
    return pd.DataFrame(rows, columns=columns), found


def distances(
    features: Mapping[tuple[str, int], npt.ArrayLike], real: npt.ArrayLike, replicates: int, seed: int
) -> tuple[pd.DataFrame, dict[tuple[str, int], Floats]]:
    """Distance of generated features (N, D) to real ones (M, D), and Frechet replicates with the point estimate first.

    features: by (sampler, nfe), every one with the same N <= M / 2, row n of each from one noise. All are compared with one half of the
    real features, and so are N rows of the other half: the floor. Columns: sampler, nfe, frechet, frechet_low, frechet_high, kid,
    sliced_wasserstein.
    Frechet intervals are the replicates' around their own mean, moved to the estimate: resampling adds a bias of its own.
    Raises InputError when the numbers of rows do not fit.
    """
    real = np.asarray(real, dtype=np.float64)
    real = real[stream(seed, "real halves").permutation(len(real))]
    half, rest = real[: len(real) // 2], real[len(real) // 2 :]
    sizes = {len(rows) for rows in features.values()}
    if len(sizes) != 1 or (size := sizes.pop()) > len(half):
        raise InputError(
            f"{sorted({len(rows) for rows in features.values()})} generated samples and {len(real)} real ones: every sampler must have "
            "the same number, at most half of the real ones; lower samplers.noises.test."
        )
    scale = half.std(axis=0) + 1e-12  # KID and the sliced distance have no scale of their own
    counts = bootstrap_counts(size, replicates, stream(seed, "noises"))
    mean, covariance = moments(half)
    against = half[:size]
    rows, found = [], {}
    for (sampler, nfe), generated in {(FLOOR, 0): rest[:size], **features}.items():
        generated = np.asarray(generated, dtype=np.float64)
        several = [moments(generated), *(moments(generated, row) for row in counts)]
        values = frechet_distance(
            mean, covariance, np.stack([m for m, _ in several]), np.stack([c for _, c in several])
        )
        found[sampler, nfe] = values
        low, high = interval(values[1:] - values[1:].mean()) if replicates else (_NAN, _NAN)
        kid = measures.kid(half / scale, generated / scale)
        sliced = measures.sliced_wasserstein(against / scale, generated / scale, seed=seed)
        rows.append([sampler, nfe, values[0], max(0.0, values[0] + low), values[0] + high, kid, sliced])
    columns = ["sampler", "nfe", "frechet", "frechet_low", "frechet_high", "kid", "sliced_wasserstein"]
    return pd.DataFrame(rows, columns=columns), found


def evidence(
    denoiser: str,
    rmses: Mapping[tuple[str, int], Floats],
    frechets: Mapping[tuple[str, int], Floats],
    curves: Mapping[str, Floats] | None = None,
) -> pd.DataFrame:
    """Rows for the ledger: `frechet_nfe10` and `rmse_nfe10` of the published samplers, `log_rmse:<denoiser>` of the best settings (a group
    for each nfe), and `log_eps_slope` of {side: (1 + replicates,)}.
    """
    rows: list[list] = []

    def add(metric: str, side: str, group: str, values: Floats) -> None:
        rows.extend([SYSTEM, metric, side, group, number - 1, value] for number, value in enumerate(values))

    for side, sampler in SIDES.items():
        for metric, found in (("frechet_nfe10", frechets), ("rmse_nfe10", rmses)):
            if (sampler, 10) in found:
                add(metric, side, denoiser, found[sampler, 10])
    for (sampler, nfe), values in rmses.items():
        if sampler in (BAR, OWN):
            add(
                f"log_rmse:{denoiser}",
                sampler.replace("-", "_"),
                f"{denoiser} at {nfe}",
                np.log(np.maximum(values, 1e-300)),
            )
    for side, values in (curves or {}).items():
        add("log_eps_slope", side, denoiser, np.log(values))
    return pd.DataFrame(rows, columns=EVIDENCE)


def slopes(
    times: npt.ArrayLike, values: npt.ArrayLike, replicates: int, seed: int, end: float = 0.1
) -> dict[str, Floats]:
    """How fast mean |eps| moves per unit of time at the `end` of sampling (tau <= end) and before (`middle`): {side: (1 + replicates,)}.

    times (n,) rising, values (n, S): mean |eps| of each of S trajectories; the bootstrap draws trajectories. The slope of a part is the
    total variation of the mean curve over it, divided by its length.
    """
    times, values = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    counts = bootstrap_counts(values.shape[1], replicates, stream(seed, "trajectories"))
    curves = np.concatenate([values.mean(axis=1)[None], counts @ values.T / values.shape[1]])
    moved = np.abs(np.diff(curves, axis=1))
    late = times[1:] <= end
    parts = {"end": late, "middle": ~late}
    if not all(part.any() for part in parts.values()):
        raise InputError(f"the times of the trace do not reach both sides of tau = {end:g}.")
    return {side: moved[:, part].sum(axis=1) / np.diff(times)[part].sum() for side, part in parts.items()}


def _band(values: Floats) -> tuple[float, float]:
    if len(values) < 2 or not np.isfinite(values[1:]).any():
        return _NAN, _NAN
    low, high = interval(values[1:])
    return float(low), float(high)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each denoiser and NFE: RMSE of DDIM, of DEIS and DEIS-SN as published, of the best peer and of the best setting of
    DEISSNScheduler, which these two are, and the latter's error over the former's with its interval.
    """
    rows = []
    for (denoiser, nfe), part in table.groupby(["denoiser", "nfe"], sort=False):
        part = part.set_index("sampler")
        row = {"denoiser": denoiser, "nfe": nfe}
        for sampler in ("ddim", "deis-tab3", "deis-sn-tab3", BAR, OWN):
            if sampler in part.index:
                row[sampler] = part.loc[sampler, "rmse"]
        for sampler, column in ((BAR, "peer"), (OWN, "ours")):
            if sampler in part.index:
                row[column] = part.loc[sampler, "setting"]
        if OWN in part.index:
            row |= {
                "ours_over_peer": part.loc[OWN, "ratio"],
                "low": part.loc[OWN, "ratio_low"],
                "high": part.loc[OWN, "ratio_high"],
            }
        rows.append(row)
    return pd.DataFrame(rows)


def straightness(flatness: pd.DataFrame) -> dict[str, float]:
    """What `flatness.flatness` found over whole paths, over that of DEIS: second difference of eps / r, and predicted error at the end of
    the quadratic grid with one r over time for each degree, with r per pixel, and with linear terms (degree 3).
    """
    whole = flatness[flatness["tau"].isna()]
    bend = whole[whole["quantity"] == "second difference"].set_index("method")["ratio"]
    final = whole[whole["quantity"] == "final error"].set_index(["method", "degree"])["ratio"]
    return {
        "second_difference": float(bend["deis-sn"]),
        **{f"error_degree_{degree}": float(final["deis-sn", degree]) for degree in (1, 2, 3)},
        "error_per_pixel": float(final["deis-sn per pixel", 3]),
        "error_linear_terms": float(final["deis affine", 3]),
    }
