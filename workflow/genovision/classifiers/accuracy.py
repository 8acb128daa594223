"""How often the label is among the k largest logits, with an interval that holds for few images too."""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt


def rank_of_label(logits: npt.ArrayLike, labels: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """How many classes have a logit above the label's, or an equal one and a smaller index: (N, K), (N,) -> (N,), 0 = predicted.

    So ties are settled as argmax settles them, and an image is right in the top k when its rank is below k.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f"logits has shape {logits.shape} but labels has shape {labels.shape}")
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    before = (logits == own) & (np.arange(logits.shape[1]) < labels[:, None])
    return ((logits > own) | before).sum(axis=1)


def wilson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a proportion (Wilson 1927): within [0, 1] and of sensible width also at 0, at `trials` and for a handful of trials."""
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} of {trials} is no proportion")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / trials
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
