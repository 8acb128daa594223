"""What an ensemble is unsure about, from the logits of its members: total, average and disagreement.

Xia & Bouganis 2022 (usefulness of deep ensemble diversity for OOD detection), Malinin & Gales 2021 (EPKL, MKL).
Letters: N inputs, M members, K classes. Everything is float64; logarithms are natural.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# keys of `decompose` that grow with uncertainty; the others are confidences (higher = accept)
UNCERTAINTIES = ("total", "average", "mutual_information", "epkl", "mkl", "variation_ratio")
CONFIDENCES = ("msp", "energy", "max_logit")


def decompose(logits: npt.ArrayLike) -> dict[str, Array]:
    """Every score of an ensemble from one log-sum-exp over the classes; each value has shape (N,).

    logits: (N, M, K), finite, M >= 1, K >= 2

    Uncertainties (higher = less sure), in nats but for the last:
      total               entropy of the averaged probabilities, H(mean_m p_m)
      average             mean_m H(p_m)
      mutual_information  total - average >= 0, the members' disagreement; 0 for identical members
      epkl                mean over all ordered pairs of members (a member with itself included) of KL(p_m || p_n)
      mkl                 mean_m KL(mean p || p_m) = epkl - mutual_information
      variation_ratio     1 - share of members that vote for the most voted class; a member's tied classes: the first
    Confidences (higher = accept):
      msp                 largest averaged probability
      energy              mean_m logsumexp(v_m): the average of the members' scores, not the score of averaged logits
      max_logit           mean_m max_k v_mk

    Raises ValueError naming shape or row.
    """
    v = checked(logits)
    members = v.shape[1]
    energy = logsumexp(v)  # (N, M)
    log_p = v - energy[..., None]  # (N, M, K)
    p = np.exp(log_p)
    mean_p, mean_log_p = p.mean(axis=1), log_p.mean(axis=1)  # (N, K)
    average = -np.einsum("nmk,nmk->n", p, log_p) / members
    total = _entropy(mean_p) if members > 1 else average  # a single member disagrees with nobody, not even by rounding
    cross = (
        average if members == 1 else -np.einsum("nk,nk->n", mean_p, mean_log_p)
    )  # mean over pairs of the cross entropy of p_m under p_n
    return {
        "total": total,
        "average": average,
        # rounding can leave -1e-17 where members agree
        "mutual_information": np.maximum(total - average, 0.0),
        "epkl": np.maximum(cross - average, 0.0),
        "mkl": np.maximum(cross - total, 0.0),
        "variation_ratio": 1.0 - _votes(v).max(axis=1) / members,
        "msp": mean_p.max(axis=1),
        "energy": energy.mean(axis=1),
        "max_logit": v.max(axis=2).mean(axis=1),
    }


def averaged_probabilities(logits: npt.ArrayLike) -> Array:
    """mean_m softmax(v_m), shape (N, K) for logits (N, M, K); its argmax is the ensemble's prediction."""
    v = checked(logits)
    return np.exp(v - logsumexp(v)[..., None]).mean(axis=1)


def averaged_logits(logits: npt.ArrayLike) -> Array:
    """mean_m v_m, shape (N, K): any score of one model applies to it, but it is not the mean of the members' scores."""
    return checked(logits).mean(axis=1)


def averaged_score(score: Callable[[Array], Array], logits: npt.ArrayLike) -> Array:
    """mean_m score(v_m), shape (N,), for any function (N, K) -> (N,): the paper's rule, since diverse classifiers of ID against OOD
    average."""
    v = checked(logits)
    return np.mean([score(v[:, m]) for m in range(v.shape[1])], axis=0)


def logsumexp(v: Array) -> Array:
    """ln sum_k exp(v_k) over the last axis, without overflow."""
    top = v.max(axis=-1)
    return top + np.log(np.exp(v - top[..., None]).sum(axis=-1))


def checked(logits: npt.ArrayLike) -> Array:
    """The logits as float64 (N, M, K), or a ValueError that says which shape or row is wrong."""
    v = np.asarray(logits, dtype=np.float64)
    if v.ndim != 3 or v.shape[1] < 1 or v.shape[2] < 2:
        raise ValueError(f"logits of an ensemble have shape (N, members >= 1, classes >= 2), these have {v.shape}")
    bad = ~np.isfinite(v).all(axis=(1, 2))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"row {row} of the logits is not finite (and {int(bad.sum()) - 1} more)")
    return v


def _entropy(p: Array) -> Array:
    logs = np.log(p, where=p > 0, out=np.zeros_like(p))
    return -np.einsum("nk,nk->n", p, logs)


def _votes(v: Array) -> Array:
    """How many members vote for each class, (N, K)."""
    rows, _, classes = v.shape
    votes = np.zeros((rows, classes))
    for m in range(v.shape[1]):
        votes[np.arange(rows), v[:, m].argmax(axis=1)] += 1
    return votes
