"""How far samples are from a reference solution and from real data. numpy, float64, no network.

Solver error comes first: it needs no features and is what a solver controls. Distribution distances are compared at equal N only.
"""

import numpy as np
import numpy.typing as npt

from genovision.frechet import frechet_distance, moments
from genovision.resampling import stream

Floats = npt.NDArray[np.float64]


def rmse(squared_error: npt.ArrayLike, counts: npt.ArrayLike | None = None) -> Floats:
    """Root of the mean over samples of (..., N) per-sample mean squared errors; with counts (R, N) one per replicate: (R, ...).

    A NaN row (a sampler without a reference) stays NaN and touches no other.
    """
    errors = np.asarray(squared_error, dtype=np.float64)
    if counts is None:
        return np.sqrt(errors.mean(axis=-1))
    counts = np.asarray(counts, dtype=np.float64)
    return np.sqrt(np.moveaxis(errors @ (counts / counts.sum(axis=1, keepdims=True)).T, -1, 0))


def frechet(real: npt.ArrayLike, generated: npt.ArrayLike, counts: npt.ArrayLike | None = None) -> Floats | float:
    """Squared Frechet distance of features (N, D) to real ones (M, D); with counts (R, N) of the generated, one per replicate: (R,)."""
    mean, covariance = moments(real)
    if counts is None:
        return frechet_distance(mean, covariance, *moments(generated))
    several = [moments(generated, row) for row in np.asarray(counts)]
    return frechet_distance(mean, covariance, np.stack([m for m, _ in several]), np.stack([c for _, c in several]))


def kid(real: npt.ArrayLike, generated: npt.ArrayLike, degree: int = 3) -> float:
    """Kernel inception distance: unbiased squared MMD with kernel (x.y / D + 1)^degree (Binkowski et al. 2018, eq. 3); may be negative.

    real (M, D), generated (N, D), M, N >= 2. Features are taken as they come: standardise them first where their scale is arbitrary.
    """
    x, y = (np.asarray(side, dtype=np.float64) for side in (real, generated))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(
            f"features of shape {x.shape} and {y.shape}; (M, D) and (N, D) with two rows or more are needed"
        )

    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** degree

    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kernel(x, x), kernel(y, y))]
    return float(within[0] + within[1] - 2 * kernel(x, y).mean())


def sliced_wasserstein(real: npt.ArrayLike, generated: npt.ArrayLike, projections: int = 256, seed: int = 0) -> float:
    """Sliced Wasserstein-2 distance of two samples of equal size, (N, D) each (Bonneel et al. 2015): root mean square over lines.

    Lines are drawn from (seed); the same lines serve every comparison under one seed.
    """
    x, y = (np.asarray(side, dtype=np.float64) for side in (real, generated))
    if x.shape != y.shape or x.ndim != 2 or not len(x):
        raise ValueError(f"samples of shape {x.shape} and {y.shape}; two of the same (N, D) are needed")
    lines = stream(seed, "projections").standard_normal((x.shape[1], projections))
    lines /= np.linalg.norm(lines, axis=0)
    return float(np.sqrt(((np.sort(x @ lines, axis=0) - np.sort(y @ lines, axis=0)) ** 2).mean()))
