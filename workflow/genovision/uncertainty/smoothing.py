"""Why label smoothing harms selective classification, and logit normalisation as the cure.

Xia, Laurent, Franchi & Bouganis 2025 (arXiv 2403.14715); Cattelan & Silva 2024 (MaxLogit-pNorm). The target of smoothing by alpha is
(1 - alpha) onehot(y) + alpha / K, so the gradient of the loss on logit k is p_k - (1 - alpha) [k = y] - alpha / K. Compared with cross
entropy the largest logit gets an extra alpha (1 - 1/K) where the prediction is right (descent pushes it down) and -alpha / K where it is
wrong: in expectation alpha (P(correct) - 1/K). The surer the prediction, the harder its confidence is pressed, and right and wrong ones
draw level.

Letters: N inputs, K classes; everything float64.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.uncertainty.ensembles import Array, logsumexp
from genovision.uncertainty.metrics import aurc
from genovision.uncertainty.scores import logit_norm, msp

POWERS = tuple(range(2, 11))  # p = 1 of a centred vector with one positive component is 1/2 whatever the vector


def loss(logits: npt.ArrayLike, labels: npt.ArrayLike, alpha: float) -> Array:
    """Cross entropy with targets smoothed by alpha, per input, (N,); alpha = 0 is plain cross entropy."""
    v, y = _checked(logits, labels, alpha)
    log_p = v - logsumexp(v)[:, None]
    return -(1.0 - alpha) * log_p[np.arange(len(y)), y] - alpha * log_p.mean(axis=1)


def gradient(logits: npt.ArrayLike, labels: npt.ArrayLike, alpha: float) -> Array:
    """d loss / d logits, (N, K)."""
    v, y = _checked(logits, labels, alpha)
    g = np.exp(v - logsumexp(v)[:, None]) - alpha / v.shape[1]
    g[np.arange(len(y)), y] -= 1.0 - alpha
    return g


def max_logit_pressure(correct: npt.ArrayLike, alpha: float, classes: int) -> Array:
    """What smoothing adds to the gradient on the largest logit, (N,): alpha ([prediction correct] - 1/K). Positive = descent pushes it
    down."""
    return alpha * (np.asarray(correct, dtype=np.float64) - 1.0 / classes)


def expected_pressure(error: npt.ArrayLike, alpha: float, classes: int) -> Array:
    """The same in expectation where the prediction is wrong with probability `error`: alpha (1 - error - 1/K)."""
    return alpha * (1.0 - np.asarray(error, dtype=np.float64) - 1.0 / classes)


def centred_max_logit(logits: npt.ArrayLike) -> Array:
    """max_k v_k - mean_k v_k, (N,): the largest logit without the common offset, which no loss sees."""
    v = np.asarray(logits, dtype=np.float64)
    return v.max(axis=1) - v.mean(axis=1)


def choose_power(
    logits: npt.ArrayLike, correct: npt.ArrayLike, powers: Sequence[float] = POWERS
) -> tuple[float, pd.DataFrame]:
    """The p of logit normalisation with the lowest AURC on held-out data (the smallest of equals), and the search as a table.

    logits: (N, K >= 3) and correct: (N,) of the calibration split of this very model, never of the test split
    Table: score (`msp`, `logit_norm`), p (NaN for MSP), aurc (Xia's convention). MSP is there to be compared with, not to be chosen.
    """
    if not powers:
        raise ValueError("there is no p to choose from")
    values = [aurc(logit_norm(logits, p=p), correct) for p in powers]
    best = min(range(len(powers)), key=lambda k: (values[k], powers[k]))
    table = pd.DataFrame({"score": "logit_norm", "p": np.asarray(powers, dtype=np.float64), "aurc": values})
    plain = pd.DataFrame({"score": ["msp"], "p": [np.nan], "aurc": [aurc(msp(logits), correct)]})
    return powers[best], pd.concat([plain, table], ignore_index=True)


def bins(error: npt.ArrayLike, number: int) -> npt.NDArray[np.int64]:
    """Inputs by probability of error, (N,) -> bin 0 (surest) .. number - 1, as equal in size as can be; ties by row."""
    error = np.asarray(error, dtype=np.float64)
    if not 1 <= number <= error.size:
        raise ValueError(f"{error.size} inputs do not fill {number} bins")
    rank = np.empty(error.size, dtype=np.int64)
    rank[np.argsort(error, kind="stable")] = np.arange(error.size)
    return rank * number // error.size


def _checked(logits: npt.ArrayLike, labels: npt.ArrayLike, alpha: float) -> tuple[Array, npt.NDArray[np.int64]]:
    v, y = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if v.ndim != 2 or y.shape != v.shape[:1]:
        raise ValueError(f"logits have shape (N, K) and labels (N,), these have {v.shape} and {y.shape}")
    if y.size and not (y.min() >= 0 and y.max() < v.shape[1]):
        raise ValueError(f"labels lie in 0..{v.shape[1] - 1}, these reach from {y.min()} to {y.max()}")
    if not 0.0 <= alpha <= 1.0:
        raise ValueError(f"alpha lies in [0, 1], not at {alpha}")
    return v, y
