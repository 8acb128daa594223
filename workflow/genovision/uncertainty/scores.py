"""Confidences from logits (N, K) and features (N, D) alone: closed forms in float64, whatever the dtype that comes in.

Every score is (N,) float64 and higher = accept. Rows are taken in blocks that stay in the cache, so memory beyond the input is
a few megabytes. All functions raise ValueError for arrays that are not (N, K) with K >= 2, and for NaN or infinity, naming the row.
"""

import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

Floats = npt.NDArray[np.float64]

_BLOCK = 1 << 17  # numbers of one block: 1 MB of float64


def finite_rows(array: npt.ArrayLike, name: str) -> npt.NDArray:
    """The array, if it is (N, width) of finite real numbers; else ValueError names the first bad row."""
    array = np.asarray(array)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} must be a two-dimensional array of real numbers, not {array.dtype} of shape {array.shape}"
        )
    for start, block in _blocks(array):
        finite = np.isfinite(block)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise ValueError(f"{name} row {start + row} holds {block[row, column]} in column {column}")
    return array


def _blocks(array: npt.NDArray) -> Iterator[tuple[int, npt.NDArray]]:
    rows = max(1, _BLOCK // max(1, array.shape[1]))
    for start in range(0, len(array), rows):
        yield start, array[start : start + rows]


def _logits(logits: npt.ArrayLike, classes: int = 2) -> npt.NDArray:
    logits = finite_rows(logits, "logits")
    if logits.shape[1] < classes:
        raise ValueError(f"logits of shape {logits.shape}: at least {classes} classes are needed")
    return logits


def _positive(temperature: float) -> float:
    if not 0 < temperature < np.inf:
        raise ValueError(f"the temperature must be positive and finite, not {temperature}")
    return float(temperature)


def logit_scores(logits: npt.ArrayLike, temperature: float = 1.0) -> dict[str, Floats]:
    """All scores that share one log-sum-exp, in one pass: `msp, doctor, neg_entropy, max_logit, energy`, each (N,).

    logits (N, K) are divided by the temperature T first, p = softmax(v / T):
    msp          max_k p_k (Hendrycks & Gimpel 2017), in (0, 1]
    doctor       sum_k p_k^2 (Granese et al. 2021, whose D_alpha is a monotone map of it), in (0, 1]
    neg_entropy  sum_k p_k ln p_k, in [-ln K, 0], with 0 ln 0 = 0
    max_logit    max_k v_k, not divided by T
    energy       T ln sum_k exp(v_k / T) (Liu et al. 2020, negated: higher = in distribution)
    """
    logits, temperature = _logits(logits), _positive(temperature)
    scores = {name: np.empty(len(logits)) for name in ("msp", "doctor", "neg_entropy", "max_logit", "energy")}
    for start, block in _blocks(logits):
        rows = slice(start, start + len(block))
        top = block.max(axis=1).astype(np.float64)
        with np.errstate(over="ignore"):
            below = np.subtract(block, top[:, None], dtype=np.float64)
        if temperature != 1:
            below /= temperature
        np.maximum(below, -1e300, out=below)  # a difference that overflows has probability zero all the same
        weight = np.exp(below)
        total = weight.sum(axis=1)
        scores["msp"][rows] = 1 / total
        scores["doctor"][rows] = np.vecdot(weight, weight) / total**2
        scores["neg_entropy"][rows] = np.minimum(np.vecdot(weight, below) / total - np.log(total), 0)
        scores["max_logit"][rows] = top
        scores["energy"][rows] = top + temperature * np.log(total)
    return scores


def msp(logits: npt.ArrayLike, temperature: float = 1.0) -> Floats:
    """Maximum softmax probability, (N,) in (0, 1]; see `logit_scores`, which gives several scores for the price of one."""
    return logit_scores(logits, temperature)["msp"]


def doctor(logits: npt.ArrayLike, temperature: float = 1.0) -> Floats:
    """DOCTOR as the sum of squared probabilities, (N,) in (0, 1]; see `logit_scores`."""
    return logit_scores(logits, temperature)["doctor"]


def neg_entropy(logits: npt.ArrayLike, temperature: float = 1.0) -> Floats:
    """Negative entropy of the softmax, (N,) in [-ln K, 0]; see `logit_scores`."""
    return logit_scores(logits, temperature)["neg_entropy"]


def energy(logits: npt.ArrayLike, temperature: float = 1.0) -> Floats:
    """Log-sum-exp of the logits, (N,), between the max logit and the max logit + T ln K; see `logit_scores`."""
    return logit_scores(logits, temperature)["energy"]


def max_logit(logits: npt.ArrayLike) -> Floats:
    """Largest logit, (N,) (Hendrycks et al. 2022)."""
    return _logits(logits).max(axis=1).astype(np.float64)


def logit_norm(logits: npt.ArrayLike, p: float = 2, center: bool = True) -> Floats:
    """Largest logit over the p-norm of the logits, (N,): confidences free of the logits' scale (Cattelan & Silva 2024).

    center subtracts each row's mean first, which also frees them of a shift. A row of equal logits scores 0, the lowest value.
    p = 1 with centring gives 0.5 to every row with one logit above the mean, whatever it says: warned of (RuntimeWarning).
    Raises ValueError for p < 1 and for K < 3: with two classes the centred score is the same number for every row.
    """
    logits = _logits(logits, classes=3)
    if not p >= 1:
        raise ValueError(f"p must be at least 1, not {p}")
    if p == 1 and center:
        warnings.warn("logit_norm with p = 1 is degenerate: use p >= 2", RuntimeWarning, stacklevel=2)
    score = np.zeros(len(logits))
    for start, block in _blocks(logits):
        # by the largest size first: no power overflows, and the mean is that of numbers of size 1
        scaled = block.astype(np.float64)
        scaled /= _nonzero(np.abs(scaled).max(axis=1, keepdims=True))
        if center:
            scaled -= scaled.mean(axis=1, keepdims=True)
            flat = (block == block[:, :1]).all(axis=1)
            scaled[flat] = 0
            scaled /= _nonzero(np.abs(scaled).max(axis=1, keepdims=True))
        top = scaled.max(axis=1)
        np.abs(scaled, out=scaled)
        if np.isinf(p):
            norm = scaled.max(axis=1)
        else:
            norm = _power(scaled, p).sum(axis=1) ** (1 / p)
        score[start : start + len(block)] = top / _nonzero(norm)
    return score


def _nonzero(size: Floats) -> Floats:
    return np.where(size == 0, 1.0, size)


def _power(base: Floats, p: float) -> Floats:
    """base ** p; whole powers by squaring, several times faster than the general power."""
    if p != int(p):
        return base**p
    p, result = int(p), None
    while p:
        if p & 1:
            result = base.copy() if result is None else np.multiply(result, base, out=result)
        p >>= 1
        if p:
            base = base * base
    return result


def feature_norm(features: npt.ArrayLike) -> Floats:
    """L1 norm of the features (N, D) -> (N,): small where no unit fires, which is often out of distribution."""
    features = finite_rows(features, "features")
    norm = np.empty(len(features))
    for start, block in _blocks(features):
        norm[start : start + len(block)] = np.abs(block).sum(axis=1, dtype=np.float64)
    return norm


def checked_labels(labels: npt.ArrayLike, rows: int, classes: int | None = None) -> npt.NDArray[np.intp]:
    """Class numbers (N,), if they are whole, not negative and below `classes`; else ValueError names the row."""
    labels = np.asarray(labels)
    if labels.shape != (rows,):
        raise ValueError(f"labels have shape {labels.shape}, the other array has {rows} rows")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be integers, not {labels.dtype}")
    wrong = np.flatnonzero((labels < 0) | (labels >= (np.inf if classes is None else classes)))
    if len(wrong):
        limit = "" if classes is None else f" to {classes - 1}"
        raise ValueError(f"label {labels[wrong[0]]} in row {wrong[0]}: classes go from 0{limit}")
    return labels.astype(np.intp)


def negative_log_likelihood(logits: npt.ArrayLike, labels: npt.ArrayLike, temperature: float = 1.0) -> float:
    """Mean of -ln p_label over the rows of logits (N, K) divided by the temperature."""
    logits, temperature = _logits(logits), _positive(temperature)
    labels = checked_labels(labels, *logits.shape)
    if not len(labels):
        raise ValueError("there are no rows to take the likelihood of")
    own = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0].astype(np.float64)
    return float(np.mean(energy(logits, temperature) - own) / temperature)


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike, bounds: tuple[float, float] = (0.01, 100.0)) -> float:
    """The temperature in `bounds` with the smallest negative log-likelihood (Guo et al. 2017), on a split that is not the test split.

    logits (N, K), labels (N,) in 0..K-1. The likelihood has one optimum in 1 / T, so a bounded line search over ln T finds it.
    """
    logits = _logits(logits)
    labels = checked_labels(labels, *logits.shape)
    found = minimize_scalar(
        lambda log: negative_log_likelihood(logits, labels, np.exp(log)),
        bounds=np.log(bounds),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return float(np.exp(found.x))
