"""Confidences from features (N, D), fitted on in-distribution training features: Residual, ViM, KNN, (relative) Mahalanobis, GradNorm.

One protocol, so that scores can be looped over: `fit(features, labels, weight=, bias=, logits=)` returns self, `score(features, logits)`
gives (N,) float64, higher = accept. Each class says which of the arguments it reads; a needed one that is missing is a ValueError, the
others are ignored. weight (K, D) and bias (K,) are the last layer's, logits (N, K) its outputs; where logits are not given they are
computed from features, weight and bias in the precision of these. ValueError too for NaN or infinity (naming the row), for shapes that
disagree (naming both) and for scores before fit. Rows are scored in blocks: memory stays at some tens of MB beyond the input, never
N x bank or N x N.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from genovision.uncertainty import scores

Floats = npt.NDArray[np.float64]

_NUMBERS = 1 << 22  # of one block of distances: 32 MB of float64


class FeatureScore:
    """What the scores of this module share: checks, and the blocks they work in."""

    width: int | None = None  # D, once fitted

    def fit(
        self,
        features: npt.ArrayLike,
        labels: npt.ArrayLike | None = None,
        weight: npt.ArrayLike | None = None,
        bias: npt.ArrayLike | None = None,
        logits: npt.ArrayLike | None = None,
    ) -> "FeatureScore":
        """Learn from training features (N, D); returns self."""
        features = scores.finite_rows(features, "features")
        if not len(features):
            raise ValueError("there are no features to fit")
        self._fit(features, labels, weight, bias, logits)
        self.width = features.shape[1]
        return self

    def score(self, features: npt.ArrayLike, logits: npt.ArrayLike | None = None) -> Floats:
        """Confidences (N,) of features (N, D)."""
        if self.width is None:
            raise ValueError(f"{type(self).__name__} is not fitted: call fit first")
        features = scores.finite_rows(features, "features")
        if features.shape[1] != self.width:
            raise ValueError(f"features have shape {features.shape}, fitted with width {self.width}")
        if logits is not None:
            logits = _logits_of(features, logits)
        return self._score(features, logits)

    def _fit(self, features, labels, weight, bias, logits) -> None:
        raise NotImplementedError

    def _score(self, features, logits) -> Floats:
        raise NotImplementedError


def _logits_of(features: npt.NDArray, logits: npt.ArrayLike) -> npt.NDArray:
    logits = scores.finite_rows(logits, "logits")
    if len(logits) != len(features):
        raise ValueError(f"features have shape {features.shape}, logits have shape {logits.shape}")
    return logits


def _blocks(rows: int, width: int) -> Iterator[slice]:
    step = max(1, _NUMBERS // max(1, width))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


class _Head:
    """The last layer: logits = features @ weight.T + bias, and the origin -pinv(weight) bias at which they vanish."""

    def __init__(self, user: str, weight: npt.ArrayLike | None, bias: npt.ArrayLike | None, width: int):
        if weight is None or bias is None:
            raise ValueError(f"{user} needs the last layer's weight (K, D) and bias (K,)")
        self.weight = scores.finite_rows(weight, "weight")
        self.bias = np.asarray(bias)
        if self.weight.shape[1] != width or self.bias.shape != self.weight.shape[:1]:
            raise ValueError(
                f"weight has shape {self.weight.shape}, bias {self.bias.shape}; features have width {width}"
            )
        if not np.isfinite(self.bias).all():
            raise ValueError("the bias is not finite")
        self.origin = -np.linalg.pinv(self.weight.astype(np.float64)) @ self.bias

    def logits(self, features: npt.NDArray) -> npt.NDArray:
        """In the precision of features and weight, as the network itself computes them: float32 stays float32."""
        return features @ self.weight.T + self.bias


def principal_dimension(width: int) -> int:
    """Dimensions of the principal space by the papers' rule: 1000 of more than 1500, 512 of 768 or more, else half."""
    return 1000 if width > 1500 else 512 if width >= 768 else width // 2


class Residual(FeatureScore):
    """Minus the distance of a feature from the principal space of the training features (Wang et al. 2022).

    The space is spanned from the origin u = -pinv(weight) bias by the leading eigenvectors of the uncentred second moments; `dimension` is
    how many (default: `principal_dimension`). Reads weight and bias. Attributes: origin (D,), complement (D, D - dimension).
    """

    def __init__(self, dimension: int | None = None):
        self.dimension = dimension

    def _fit(self, features, labels, weight, bias, logits) -> None:
        width = features.shape[1]
        dimension = principal_dimension(width) if self.dimension is None else self.dimension
        if not 0 <= dimension < width:
            raise ValueError(f"the principal space must have from 0 to {width - 1} dimensions, not {dimension}")
        self._head = _Head(type(self).__name__, weight, bias, width)
        self.origin = self._head.origin
        moments = np.zeros((width, width))
        for rows in _blocks(len(features), width):
            centred = features[rows] - self.origin
            moments += centred.T @ centred
        self.complement = np.ascontiguousarray(np.linalg.eigh(moments)[1][:, : width - dimension])

    def distance(self, features: npt.NDArray) -> Floats:
        """Distance of each feature from the principal space, (N,)."""
        distance = np.empty(len(features))
        for rows in _blocks(len(features), features.shape[1]):
            outside = (features[rows] - self.origin) @ self.complement
            distance[rows] = np.sqrt(np.vecdot(outside, outside))
        return distance

    def _score(self, features, logits) -> Floats:
        return -self.distance(features)


class ViM(Residual):
    """Virtual-logit matching: log-sum-exp of the logits minus alpha times the residual (Wang et al. 2022).

    alpha = mean max logit / mean residual over the training rows. Reads weight, bias and, if given, logits, which should be the same
    rows' in `fit` and in `score`. A monotone map of minus the softmax probability of the virtual class. Attribute: alpha.
    Raises ValueError if all training features lie in the principal space.
    """

    def _fit(self, features, labels, weight, bias, logits) -> None:
        super()._fit(features, labels, weight, bias, logits)
        if logits is not None:
            logits = _logits_of(features, logits)
        residual, top = self.distance(features).mean(), np.empty(len(features))
        for rows in _blocks(len(features), max(self._head.weight.shape)):
            block = self._head.logits(features[rows]) if logits is None else logits[rows]
            top[rows] = block.max(axis=1)
        if residual <= 1e-12 * np.abs(features).max():
            raise ValueError("all training features lie in the principal space: choose a smaller dimension")
        self.alpha = float(top.mean() / residual)

    def _score(self, features, logits) -> Floats:
        virtual = self.alpha * self.distance(features)
        if logits is not None:
            return scores.energy(logits) - virtual
        energy = np.empty(len(features))
        for rows in _blocks(len(features), max(self._head.weight.shape)):
            energy[rows] = scores.energy(self._head.logits(features[rows]))
        return energy - virtual


class KNN(FeatureScore):
    """Minus the squared L2 distance to the k-th nearest training feature, both of unit length (Sun et al. 2022, squared as in SIRC).

    The bank is the first `bank` training rows (default 12,500; None: all): shuffle before if the order means something. A row that is in
    the bank is its own nearest neighbour, so statistics for SIRC are better taken on rows outside it. A row of zeros stays zero.
    Reads features alone. Attribute: bank (B, D).
    """

    def __init__(self, k: int = 10, bank: int | None = 12_500):
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        self.k, self.size = k, bank

    def _fit(self, features, labels, weight, bias, logits) -> None:
        bank = features[: self.size]
        if len(bank) < self.k:
            raise ValueError(f"the {self.k}-th neighbour of a bank of {len(bank)} rows does not exist")
        self.bank = _unit(bank)
        self._neighbours = _Neighbours(self.bank)

    def _score(self, features, logits) -> Floats:
        score = np.empty(len(features))
        for rows in _blocks(len(features), max(self.bank.shape)):
            score[rows] = -self._neighbours.kth(_unit(features[rows]), self.k)[1]
        return score


class _Neighbours:
    """Which of M points is the k-th nearest, and how far: float64 values at the price of a float32 product.

    A float32 product ranks the points; its error is bounded, so only points within twice the bound of the k-th can be the k-th, mostly
    one of them. Their distances are taken in float64 without cancellation. Rows with many such points (copies in the bank, rows
    far away) are ranked by a float64 product.
    """

    _MANY = 32

    def __init__(self, points: Floats):
        self.points = points
        squares = np.vecdot(points, points)
        self._scale = np.sqrt(squares.max()) or 1.0  # the longest point gets length 1
        self._half = squares / 2
        self._single = (points / self._scale).astype(np.float32)
        self._single_half = (self._half / self._scale / self._scale).astype(np.float32)
        # |fl(x.y) - x.y| <= gamma_D |x| |y| (Higham 2002, section 3.1), and one rounding each of x, y, |y|^2 / 2 and the difference
        self._error = 1.02 * (points.shape[1] + 6) * 2.0**-24

    def kth(self, queries: Floats, k: int) -> tuple[npt.NDArray[np.intp], Floats]:
        """Index of the k-th nearest point of each query (N, D), and the squared distance: both (N,)."""
        index, square = np.empty(len(queries), dtype=np.intp), np.empty(len(queries))
        length = np.sqrt(np.vecdot(queries, queries)) / self._scale
        with np.errstate(over="ignore", invalid="ignore"):
            nearness = (queries / self._scale).astype(np.float32) @ self._single.T
            nearness -= self._single_half
            if k == 1:
                edge = nearness.max(axis=1)
            else:
                edge = np.partition(nearness, len(self.points) - k, axis=1)[:, -k]
            margin = 2 * self._error * (length + 1)
            row, point = np.nonzero(nearness >= (edge - margin).astype(np.float32)[:, None])
            surely = nearness[row, point] > (edge + margin)[row]
        nearer = np.bincount(row[surely], minlength=len(queries))
        row, point = row[~surely], point[~surely]
        number = np.bincount(row, minlength=len(queries))
        few = (number <= self._MANY) & (nearer < k) & (nearer + number >= k) & (length < 1e15)
        row, point = row[few[row]], point[few[row]]
        exact = np.empty(len(row))
        step = max(1, _NUMBERS // max(1, queries.shape[1]))
        for start in range(0, len(row), step):
            pairs = slice(start, start + step)
            apart = queries[row[pairs]] - self.points[point[pairs]]
            exact[pairs] = np.vecdot(apart, apart)
        ranked = np.lexsort((exact, row))
        number = np.where(few, number, 0)
        chosen = ranked[(np.cumsum(number) - number + k - 1 - nearer)[few]]
        index[few], square[few] = point[chosen], exact[chosen]
        if not few.all():
            index[~few], square[~few] = self._kth_in_double(queries[~few], k)
        return index, square

    def _kth_in_double(self, queries: Floats, k: int) -> tuple[npt.NDArray[np.intp], Floats]:
        nearness = queries @ self.points.T - self._half
        index = np.argpartition(nearness, len(self.points) - k, axis=1)[:, -k]
        apart = queries - self.points[index]
        return index, np.vecdot(apart, apart)


def _unit(features: npt.NDArray) -> Floats:
    features = features.astype(np.float64)
    features /= np.maximum(np.abs(features).max(axis=1, keepdims=True), 1e-300)  # no square over- or underflows
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-300)


class _Gaussian:
    """The map after which Mahalanobis distance is Euclidean: z -> (z - centre) @ whiten, a pseudo-inverse where directions are empty."""

    def __init__(self, centre: Floats, covariance: Floats):
        values, vectors = np.linalg.eigh(covariance)
        kept = values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0)
        self.centre, self.whiten = centre, vectors[:, kept] / np.sqrt(values[kept])

    def __call__(self, features: npt.NDArray) -> Floats:
        return (features - self.centre) @ self.whiten


class Mahalanobis(FeatureScore):
    """Minus the squared Mahalanobis distance to the nearest class mean, one covariance for all (Lee et al. 2018, last features only).

    The covariance is the within-class scatter / N; directions without variance count nothing (pseudo-inverse). Reads labels (N,), the
    class numbers, not negative. Attributes: classes (C,), means (C, D), covariance (D, D). `nearest(features)` gives class and distance.
    """

    def _fit(self, features, labels, weight, bias, logits) -> None:
        if labels is None:
            raise ValueError(f"{type(self).__name__} needs the labels of the training features")
        labels = scores.checked_labels(labels, len(features))
        self.classes, number = np.unique(labels, return_inverse=True)
        order = np.argsort(number, kind="stable")
        count = np.bincount(number)
        self.means = np.empty((len(self.classes), features.shape[1]))
        self.covariance = np.zeros((features.shape[1],) * 2)
        for one, rows in enumerate(np.split(order, np.cumsum(count)[:-1])):
            self.means[one] = features[rows].mean(axis=0, dtype=np.float64)
        for rows in _blocks(len(features), features.shape[1]):
            centred = features[rows] - self.means[number[rows]]
            self.covariance += centred.T @ centred
        self.covariance /= len(features)
        self._within = _Gaussian(count @ self.means / len(features), self.covariance)
        self._neighbours = _Neighbours(self._within(self.means))

    def nearest(self, features: npt.NDArray) -> tuple[npt.NDArray, Floats]:
        """(class, squared distance) of the nearest class mean, both (N,)."""
        found, distance = np.empty(len(features), dtype=np.intp), np.empty(len(features))
        for rows in _blocks(len(features), max(len(self.classes), features.shape[1])):
            found[rows], distance[rows] = self._neighbours.kth(self._within(features[rows]), 1)
        return self.classes[found], distance

    def _score(self, features, logits) -> Floats:
        return -self.nearest(features)[1]


class RelativeMahalanobis(Mahalanobis):
    """Mahalanobis confidence plus the squared distance under one Gaussian fitted to all training rows (Ren et al. 2021).

    min_c d_c - d_0, negated; both covariances are scatters / N, so with a single class it is 0 everywhere. Reads labels.
    """

    def _fit(self, features, labels, weight, bias, logits) -> None:
        super()._fit(features, labels, weight, bias, logits)
        centre = features.mean(axis=0, dtype=np.float64)
        scatter = np.zeros_like(self.covariance)
        for rows in _blocks(len(features), features.shape[1]):
            centred = features[rows] - centre
            scatter += centred.T @ centred
        self._background = _Gaussian(centre, scatter / len(features))

    def _score(self, features, logits) -> Floats:
        background = np.empty(len(features))
        for rows in _blocks(len(features), features.shape[1]):
            white = self._background(features[rows])
            background[rows] = np.vecdot(white, white)
        return background - self.nearest(features)[1]


class GradNorm(FeatureScore):
    """||z||_1 ||p - 1/K||_1: the L1 norm of the last weights' gradient of the cross-entropy to the uniform target (Huang et al. 2021).

    In closed form, without automatic differentiation. There is nothing to learn; `fit` keeps weight and bias, if given, for calls of
    `score` without logits, and need not be called where logits are given.
    """

    _head: _Head | None = None

    def _fit(self, features, labels, weight, bias, logits) -> None:
        self._head = None if weight is None and bias is None else _Head("GradNorm", weight, bias, features.shape[1])

    def score(self, features: npt.ArrayLike, logits: npt.ArrayLike | None = None) -> Floats:
        """Confidences (N,) of features (N, D) and their logits (N, K)."""
        features = scores.finite_rows(features, "features")
        if self._head is not None and features.shape[1] != self.width:
            raise ValueError(f"features have shape {features.shape}, fitted with width {self.width}")
        if logits is not None:
            logits = _logits_of(features, logits)
        elif self._head is None:
            raise ValueError("GradNorm needs logits, or a fit with weight and bias")
        spread = np.empty(len(features))
        classes = len(self._head.weight) if logits is None else logits.shape[1]
        for rows in _blocks(len(features), max(classes, features.shape[1])):
            block = self._head.logits(features[rows]) if logits is None else logits[rows]
            block = block.astype(np.float64)
            block -= block.max(axis=1, keepdims=True)
            np.exp(block, out=block)
            block /= block.sum(axis=1, keepdims=True)
            block -= 1 / classes
            spread[rows] = np.abs(block, out=block).sum(axis=1)
        return scores.feature_norm(features) * spread
