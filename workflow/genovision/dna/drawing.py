"""Drawing bases from distributions by their inverse, so that what is drawn is a matter of the distribution and a uniform number alone.

Columns are distributions that stand beside each other, (4, B): what is asked of every one of them is then asked of whole rows.
"""

import numpy as np
import numpy.typing as npt


def inverse_distribution(probabilities: npt.ArrayLike, uniforms: npt.ArrayLike, temperature: float = 1.0):
    """Bases (B,) at uniforms (B,) of distributions (B, 4): how many of the first three partial sums are <= the uniform."""
    columns = np.asarray(probabilities, dtype=np.float64).T
    return inverse(tempered(columns, temperature), np.asarray(uniforms)).astype(np.int64)


def inverse(columns, uniforms):
    """Bases (B,), as bytes, at uniforms (B,) of columns (4, B)."""
    first, second, third, _ = columns
    two = first + second
    three = two + third
    return (first <= uniforms).view(np.int8) + (two <= uniforms).view(np.int8) + (three <= uniforms).view(np.int8)


def tempered(columns, temperature: float):
    """Columns (4, B) whose log-odds are divided by a temperature."""
    if temperature == 1:
        return columns
    with np.errstate(invalid="ignore", divide="ignore"):  # what is no distribution stays none
        # against the largest, so that a low temperature does not take all of them to 0
        powers = (columns / columns.max(axis=0)) ** (1 / temperature)
        return powers / powers.sum(axis=0)
