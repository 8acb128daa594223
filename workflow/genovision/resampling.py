"""Bootstrap by counts: a replicate is how often each unit is drawn, so means and curves become one matrix product."""

import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_NUMBERS = 1 << 20  # of one block of replicates


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


class Draws:
    """Bootstrap counts by name of what is resampled, drawn once for every score and metric of a run, so that all differences are paired.

    What is drawn for a name is a matter of the seed, the name and the number of units alone. Counts are whole numbers (uint16).
    """

    def __init__(self, replicates: int, seed: int):
        self.replicates, self.seed = replicates, seed
        self._known: dict[tuple[str, int], npt.NDArray[np.uint16]] = {}

    def __call__(self, name: str, units: int) -> npt.NDArray[np.uint16]:
        """(replicates + 1, units): the first row is the data themselves, all ones, the others bootstrap samples of them."""
        if (name, units) not in self._known:
            sampled = [counts for (counts,) in self.blocks({name: units})]
            self._known[name, units] = np.vstack([np.ones((1, units), dtype=np.uint16), *sampled])
        return self._known[name, units]

    def blocks(self, units: dict[str, int]) -> Iterator[list[npt.NDArray[np.uint16]]]:
        """The same samples of several names side by side, without the data, in blocks of replicates that a memory holds."""
        streams = [stream(self.seed, f"images of {name}") for name in units]
        step = max(1, _NUMBERS // sum(units.values()))
        for start in range(0, self.replicates, step):
            drawn = min(step, self.replicates - start)
            yield [
                bootstrap_counts(number, drawn, rng).astype(np.uint16)
                for number, rng in zip(units.values(), streams, strict=True)
            ]
