"""SIRC: a softmax confidence augmented by scores that know about out-of-distribution inputs (Xia & Bouganis 2022; SIRC+ for several)."""

import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genovision.atomic import replacing

Floats = npt.NDArray[np.float64]

_SMALLEST = 1e-300  # stands for s1_max - s1 = 0: the top rank, where s2 alone orders
_ROUNDING = 1e-9  # by so much may s1 exceed its maximum before it is an error


class SIRC:
    """C(s1, s2) = -(s1_max - s1) prod_j (1 + exp(-b_j (s2_j - a_j))), a confidence: higher = accept.

    s1_max is the largest value s1 can take: 1 for MSP and DOCTOR, 0 for negative entropy. `fit` sets, from in-distribution training
    data alone, a_j = mean - 3 sd and b_j = 1 / sd of each secondary score (population sd): above a_j, s1 decides; below, s2 is
    believed. With one secondary score given as (N,), a and b are floats; with (N, J), they are (J,). They may also be given.
    """

    def __init__(self, s1_max: float = 1.0, a: npt.ArrayLike | None = None, b: npt.ArrayLike | None = None):
        if (a is None) != (b is None):
            raise ValueError("give both a and b, or neither and call fit")
        if not np.isfinite(s1_max):
            raise ValueError(f"s1_max must be finite, not {s1_max}")
        self.s1_max = float(s1_max)
        self.a: float | Floats | None = None
        self.b: float | Floats | None = None
        if a is not None:
            self._set(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))

    def _set(self, a: Floats, b: Floats) -> None:
        if a.shape != b.shape or a.ndim > 1:
            raise ValueError(f"a has shape {a.shape}, b has shape {b.shape}")
        if not (np.isfinite(a).all() and np.isfinite(b).all() and (b > 0).all()):
            raise ValueError("a must be finite, b positive and finite")
        self.a, self.b = (a, b) if a.ndim else (float(a), float(b))

    def fit(self, s2_train: npt.ArrayLike) -> "SIRC":
        """Take a and b from the secondary scores of in-distribution training data, (N,) or (N, J); returns self.

        Raises ValueError for NaN or infinity (naming the row) and for a score that does not vary.
        """
        s2 = _scores(s2_train, "s2_train", dimensions=(1, 2))
        if not len(s2):
            raise ValueError("s2_train has no rows")
        mean, deviation = s2.mean(axis=0), s2.std(axis=0)
        if (deviation <= 1e-14 * np.abs(mean)).any():
            raise ValueError("a secondary score is constant over the training data: it cannot inform")
        self._set(mean - 3 * deviation, 1 / deviation)
        return self

    def score(self, s1: npt.ArrayLike, s2: npt.ArrayLike, form: str = "log") -> Floats:
        """Confidences (N,) from s1 (N,) and s2 (N, J) as in `fit`; one secondary score may also be (N,).

        form "log" (the default) is -ln(s1_max - s1) - sum_j ln(1 + exp(-b_j (s2_j - a_j))): a monotone map of the "product" above
        that neither overflows nor ties. Rows with s1 = s1_max rank on top, ordered by s2.
        Raises ValueError for NaN or infinity (naming the row), for s1 above s1_max and for shapes that disagree.
        """
        if self.a is None:
            raise ValueError("SIRC is not fitted: call fit, or give a and b")
        s1, s2 = _scores(s1, "s1", dimensions=(1,)), _scores(s2, "s2", dimensions=(1, 2))
        number = np.size(self.a)
        if len(s2) != len(s1) or s2.size != len(s1) * number:
            wanted = f"({len(s1)}, {number})" if number > 1 else f"({len(s1)},) or ({len(s1)}, 1)"
            raise ValueError(
                f"s2 has shape {s2.shape}, but to s1 of shape {s1.shape} belongs {wanted}: fitted for {number} secondary score(s)"
            )
        gap = self.s1_max - s1
        above = np.flatnonzero(gap < -_ROUNDING * max(1.0, abs(self.s1_max)))
        if len(above):
            row = above[0]
            raise ValueError(f"s1 is {s1[row]} in row {row}, above its maximum {self.s1_max}")
        exponent = -self.b * (s2.reshape(len(s1), number) - self.a)
        if form == "product":
            return -np.maximum(gap, 0) * np.prod(1 + np.exp(exponent), axis=1)
        if form != "log":
            raise ValueError(f"form must be 'log' or 'product', not {form!r}")
        return -np.log(np.maximum(gap, _SMALLEST)) - np.logaddexp(0, exponent).sum(axis=1)

    def save(self, path: str | os.PathLike) -> None:
        """Write s1_max, a and b as JSON; the numbers come back exactly."""
        if self.a is None:
            raise ValueError("SIRC is not fitted: there is nothing to save")
        content = {"s1_max": self.s1_max, "a": np.asarray(self.a).tolist(), "b": np.asarray(self.b).tolist()}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike) -> "SIRC":
        """Read what `save` wrote."""
        content = json.loads(Path(path).read_text())
        return cls(content["s1_max"], content["a"], content["b"])


def _scores(values: npt.ArrayLike, name: str, dimensions: tuple[int, ...]) -> Floats:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim not in dimensions:
        raise ValueError(f"{name} has shape {values.shape}; expected (N,)" + (" or (N, J)" if 2 in dimensions else ""))
    finite = np.isfinite(values)
    bad = np.flatnonzero(~(finite.all(axis=1) if finite.ndim == 2 else finite))
    if len(bad):
        raise ValueError(f"{name} is not finite in row {bad[0]}")
    return values
