"""Bootstrap by counts: a replicate is how often each unit is drawn, so means and curves become one matrix product."""

import zlib

import numpy as np
import numpy.typing as npt


def bootstrap_counts(units: int, replicates: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """How often each of `units` is drawn, with replacement, in each replicate: shape (replicates, units), rows sum to `units`."""
    if units < 1:
        raise ValueError("there is no unit to resample")
    return rng.multinomial(units, np.full(units, 1.0 / units), size=replicates).astype(np.float64)


def interval(values: npt.ArrayLike, level: float = 0.95, axis: int = 0) -> tuple[npt.NDArray, npt.NDArray]:
    """Percentile interval (Efron & Tibshirani 1993, chapter 13) along `axis`; NaN replicates (undefined there) are left out."""
    tail = 100 * (1 - level) / 2
    low, high = np.nanpercentile(np.asarray(values, dtype=np.float64), [tail, 100 - tail], axis=axis)
    return low, high


def stream(seed: int, name: str) -> np.random.Generator:
    """A random stream of its own for each name under one seed."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])
