"""Frechet distance between Gaussians fitted to two sets of features (FID where the features are Inception's, FReD where they are DNA's).

Dowson & Landau 1982; as a score of generators Heusel et al. 2017. Biased upwards when few samples are there, and by an amount that depends
on the generator: compare only at equal N, and show the distance of real against real at that N beside it.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def moments(features: npt.ArrayLike, counts: npt.ArrayLike | None = None) -> tuple[Floats, Floats]:
    """Mean (D,) and covariance (D, D) of features (N, D), divided by N - 1; `counts` (N,) says how often each row is there.

    Raises ValueError for fewer than two rows or for features that are not finite.
    """
    rows = np.asarray(features, dtype=np.float64)
    if rows.ndim != 2 or len(rows) < 2:
        raise ValueError(f"features of shape {rows.shape}; (N, D) with N >= 2 is needed")
    if not np.isfinite(rows).all():
        raise ValueError(f"features of row {int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])} are not finite")
    weights = np.ones(len(rows)) if counts is None else np.asarray(counts, dtype=np.float64)
    total = weights.sum()
    mean = weights @ rows / total
    centred = rows - mean
    return mean, (centred * weights[:, None]).T @ centred / (total - 1)


def square_root(covariance: npt.ArrayLike) -> Floats:
    """The symmetric square root of a positive semidefinite matrix (..., D, D); eigenvalues that rounding left below zero count as 0."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, dtype=np.float64))
    return (vectors * np.sqrt(np.clip(values, 0, None))[..., None, :]) @ np.swapaxes(vectors, -1, -2)


def frechet_distance(
    mu1: npt.ArrayLike, cov1: npt.ArrayLike, mu2: npt.ArrayLike, cov2: npt.ArrayLike
) -> float | Floats:
    """Squared Frechet distance |mu1 - mu2|^2 + tr(cov1 + cov2 - 2 (cov1^1/2 cov2 cov1^1/2)^1/2), never negative.

    mu (D,), cov (D, D) symmetric positive semidefinite, singular ones too: by symmetric eigendecomposition, so there is no complex root
    and no regularisation. The second side may be a stack, mu2 (..., D) and cov2 (..., D, D): the result then has shape (...).
    Raises ValueError when shapes do not fit or a number is not finite.
    """
    mu1, cov1, mu2, cov2 = (np.asarray(array, dtype=np.float64) for array in (mu1, cov1, mu2, cov2))
    size = mu1.shape[-1] if mu1.ndim == 1 else -1
    if cov1.shape != (size, size) or mu2.shape[-1:] != (size,) or cov2.shape != (*mu2.shape, size):
        raise ValueError(
            f"means of shape {mu1.shape} and {mu2.shape} do not fit covariances of shape {cov1.shape} and {cov2.shape}"
        )
    if not all(np.isfinite(array).all() for array in (mu1, cov1, mu2, cov2)):
        raise ValueError("a mean or covariance is not finite")
    root = square_root(cov1)
    shared = np.linalg.eigvalsh(root @ cov2 @ root)
    cross = np.sqrt(np.clip(shared, 0, None)).sum(axis=-1)
    distance = ((mu1 - mu2) ** 2).sum(axis=-1) + np.trace(cov1) + np.trace(cov2, axis1=-2, axis2=-1) - 2 * cross
    distance = np.clip(distance, 0, None)
    return float(distance) if distance.ndim == 0 else distance
