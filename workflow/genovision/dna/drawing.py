"""Drawing bases from distributions by their inverse, so that what is drawn is a matter of the distribution and a uniform number alone."""

import numpy as np
import numpy.typing as npt


def inverse_distribution(probabilities: npt.ArrayLike, uniforms: npt.ArrayLike, temperature: float = 1.0):
    """Bases (B,) at uniforms (B,) of distributions (B, 4): how many of the first three partial sums are <= the uniform."""
    return inverse(tempered(np.asarray(probabilities, dtype=np.float64), temperature), np.asarray(uniforms))


def inverse(probabilities, uniforms):
    return (probabilities.cumsum(axis=1)[:, :3] <= uniforms[:, None]).sum(axis=1)


def tempered(probabilities, temperature: float):
    if temperature == 1:
        return probabilities
    # against the largest, so that a low temperature does not take all of them to 0
    powers = (probabilities / probabilities.max(axis=1, keepdims=True)) ** (1 / temperature)
    return powers / powers.sum(axis=1, keepdims=True)
