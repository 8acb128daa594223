"""Calibration of distributions over bases: does a base of confidence 0.8 stand there in 80 % of cases, and what temperature makes it so.

Absorb & Escape compares the confidences of two models; they mean the same only if both are calibrated. The temperature is fitted on
sequences that neither has seen (Guo et al. 2017), by negative log-likelihood, and changes no ranking of the four bases.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from genovision.errors import InputError

HOTTEST = 100.0  # temperatures are looked for between its inverse and it


def logits_of(probabilities: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Logits (..., 4) of distributions (..., 4): their logarithms, those of 0 as of the smallest normal float32.

    InputError with the place of the first row that is no distribution (negative, not a number, or a sum further than 1e-3 from 1).
    """
    found = np.asarray(probabilities, dtype=np.float64)
    wrong = ~((found >= 0).all(axis=-1) & (np.abs(found.sum(axis=-1) - 1) <= 1e-3))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise InputError(f"row {place} is no distribution: {found[place].tolist()}.")
    return np.log(np.maximum(found, np.finfo(np.float32).tiny))


def nll(logits: npt.ArrayLike, truth: npt.ArrayLike, temperature: float = 1.0) -> float:
    """Mean negative log-likelihood, nats, of truth (M,) under softmax(logits (M, 4) / temperature)."""
    logits, truth = _checked(logits, truth)
    return float(-log_softmax(logits / temperature, axis=1)[np.arange(len(truth)), truth].mean())


def temperature(logits: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """The temperature of the smallest negative log-likelihood, in [1 / 100, 100]; 1 for distributions as sharp as they ought to be.

    logits (M, 4), or their logarithms up to a constant per row (`logits_of` of probabilities); truth (M,) 0 to 3. The likelihood is convex
    in 1 / T, so there is one minimum. InputError when it lies at a bound: with every base right (colder is always better), or wrong.
    """
    logits, truth = _checked(logits, truth)
    if not np.ptp(logits, axis=1).any():
        raise InputError("every distribution is uniform: no temperature changes it.")
    ends = -np.log(HOTTEST), np.log(HOTTEST)
    found = minimize_scalar(
        lambda log: nll(logits, truth, np.exp(log)), bounds=ends, method="bounded", options={"xatol": 1e-6}
    )
    for end, side in zip(ends, ("below", "above"), strict=True):
        if nll(logits, truth, np.exp(end)) <= found.fun:
            raise InputError(
                f"the best temperature lies {side} {np.exp(end):g}: these {len(truth)} bases do not determine one."
            )
    return float(np.exp(found.x))


def apply(logits: npt.ArrayLike, temperature: float) -> npt.NDArray[np.float64]:
    """Distributions (..., 4) of logits (..., 4) at a temperature; ValueError unless it is positive."""
    if not temperature > 0:
        raise ValueError(f"temperature {temperature} must be positive")
    return np.exp(log_softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=-1))


def reliability(confidence: npt.ArrayLike, correct: npt.ArrayLike, bins: int = 20) -> pd.DataFrame:
    """Table of equal bins (low, high] of confidence in [0, 1], the first with its 0: low, high, confidence and accuracy (means), n.

    confidence (...) in [0, 1], correct (...) of the same shape; means of an empty bin are NaN.
    """
    confidence = np.asarray(confidence, dtype=np.float64).ravel()
    correct = np.asarray(correct).ravel()
    if confidence.shape != correct.shape or not len(correct):
        raise ValueError(f"there are {confidence.size} confidences and {correct.size} outcomes")
    if bins < 1 or not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("confidences must lie in [0, 1], and bins be 1 or more")
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    n = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, weights=values, minlength=bins) for values in (confidence, correct)]
    means = [np.divide(total, n, out=np.full(bins, np.nan), where=n > 0) for total in sums]
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "confidence": means[0], "accuracy": means[1], "n": n})


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Mean |accuracy - confidence| over the bins of `reliability`, weighted by n (Naeini et al. 2015), in [0, 1]."""
    gaps = (table["accuracy"] - table["confidence"]).abs().fillna(0.0)
    return float((gaps * table["n"]).sum() / table["n"].sum())


def calibration_errors(
    confidence: npt.ArrayLike, correct: npt.ArrayLike, counts: npt.ArrayLike, bins: int = 20
) -> npt.NDArray[np.float64]:
    """The expected calibration error of `reliability` for each replicate: counts (R, N) says how often each of N sequences is there.

    confidence and correct (N, L). What a bin adds to the error is |right ones - sum of confidences|, so sums by sequence are enough.
    """
    confidence, correct = np.asarray(confidence, dtype=np.float64), np.asarray(correct)
    place = np.clip(np.searchsorted(np.linspace(0, 1, bins + 1), confidence, side="left") - 1, 0, bins - 1)
    cell = (np.arange(len(place))[:, None] * bins + place).ravel()
    excess = np.bincount(cell, weights=(correct - confidence).ravel(), minlength=len(place) * bins)
    counts = np.asarray(counts, dtype=np.float64)
    return np.abs(counts @ excess.reshape(-1, bins)).sum(axis=1) / (counts.sum(axis=1) * confidence.shape[1])


def _checked(logits: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    logits, truth = np.asarray(logits, dtype=np.float64), np.asarray(truth)
    if logits.ndim != 2 or logits.shape[1] != 4 or truth.shape != (len(logits),) or not len(truth):
        raise ValueError(f"logits must be (M, 4) and truth (M,), not {logits.shape} and {truth.shape}")
    if not np.isfinite(logits).all() or not 0 <= truth.min() <= truth.max() <= 3:
        raise ValueError("logits must be finite, and truth from 0 to 3")
    return logits, truth.astype(np.int64)
