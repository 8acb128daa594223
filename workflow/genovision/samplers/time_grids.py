"""Time grids from data: dynamic programming over stored reference paths, exact on the multistep solver. numpy, deterministic, seconds.

The idea of searching the grid on stored trajectories is GITS's (Chen et al. 2024, arXiv 2405.11326), which compares Euler steps. Here the
step is the scheduler's own: with v = x / sqrt(A), dv = eps d rho, the reference's move from one fine node to another and every step a
solver could take instead are linear combinations c of stored vectors (eps at the nodes, moves between neighbours), so the step's error is
the quadratic form c' G c in their Gram matrix G, averaged over samples. No network and no sample is needed once G is there.

Nodes count upwards in time: node 0 is tau_0, where sampling ends, node n is tau_N = 1, where it starts; node k >= 1 has an evaluation.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from genovision.errors import InputError

Floats = npt.NDArray[np.float64]
DEGREES = (0, 1, 2, 3)
VARIABLES = ("t", "rho", "log_rho")
STATE_DEGREE = 2  # of the dynamic programme: its state holds as many earlier nodes, and a third would cost minutes


@dataclass(frozen=True)
class Path:
    """What a step between any two of n + 1 fine nodes would cost. Q: groups of pixels that share coefficients, m = 2 n + 1 rows of the
    Gram matrix.

    times (n + 1,) rising, times[0] the end of sampling. gram (Q, m, m): summed over a group's pixels, averaged over samples; rows: eps
    (or its residual) at nodes 1..n, moves from node k to k - 1 for k = 1..n, the analytical eps at node n. survive (Q, n + 1): how much
    of an error in v made at a node is left at the end. feedback (Q, n + 1): by how much it changes eps there (feedback[:, 0] is not
    used). moments (Q, n, 4): integrals over the interval below node k of r y^m d rho, y the variable of the polynomial; variable
    (n + 1,): y at the nodes (y[0] is not used). r (Q, n) at nodes 1..n. pixels: of a sample. analytical: a
    solver takes eps at node n from the last row.
    """

    times: Floats
    gram: Floats
    survive: Floats
    feedback: Floats
    moments: Floats
    variable: Floats
    r: Floats
    pixels: int
    analytical: bool = False

    @property
    def nodes(self) -> int:
        return len(self.times) - 1

    @cached_property
    def rows(self) -> npt.NDArray[np.intp]:
        """Row of the eps a solver has at nodes 1..n."""
        rows = np.arange(self.nodes)
        if self.analytical:
            rows[-1] = 2 * self.nodes
        return rows


def weights(path: Path, start: int, end: int, history: Sequence[int]) -> Floats:
    """(Q, len(history)) weights w of the step from node `start` to `end` below it: v_end - v_start is taken to be - sum_h w_h eps_h.

    history: nodes of the polynomial, newest (`start`) first; the degree is one less than their number.
    """
    total = path.moments[:, end:start, : len(history)].sum(axis=1)
    origin = path.variable[start]
    offsets = path.variable[list(history)] - origin
    scale = np.abs(offsets).max() or 1.0
    centred = _shifted(total, origin) / scale ** np.arange(len(history))
    solved = np.linalg.solve(np.vander(offsets / scale, increasing=True).T, centred[:, :, None])[:, :, 0]
    return solved / path.r[:, [h - 1 for h in history]]


def _shifted(moments: Floats, origin: Floats | float) -> Floats:
    """Moments about `origin` from raw ones; the last axis is the power, and origin broadcasts against the others."""
    degree = moments.shape[-1]
    shifted = np.empty_like(moments)
    power = np.asarray(origin, dtype=np.float64)
    for m in range(degree):
        binomial = 1.0
        shifted[..., m] = 0.0
        for low in range(m, -1, -1):
            shifted[..., m] += binomial * moments[..., low] * (-power) ** (m - low)
            binomial = binomial * low / (m - low + 1)
    return shifted


def combination(path: Path, start: int, end: int, history: Sequence[int]) -> Floats:
    """(Q, m): coefficients over the Gram matrix's rows of one step's error in v, solver minus reference."""
    c = np.zeros(path.gram.shape[:2])
    c[:, path.nodes + end : path.nodes + start] = -1.0
    for column, node in zip(weights(path, start, end, history).T, history, strict=True):
        c[:, path.rows[node - 1]] -= column
    return c


def local_error(path: Path, start: int, end: int, history: Sequence[int]) -> float:
    """Root mean square over samples and pixels of the error in v of one step from the reference's own states; not propagated."""
    c = combination(path, start, end, history)
    return float(np.sqrt(max(np.einsum("qi,qij,qj->", c, path.gram, c), 0.0) / path.pixels))


def predicted_error(path: Path, nodes: Sequence[int], degree: int, known: dict | None = None) -> float:
    """RMSE at the end of sampling along falling node indices, to first order in the errors made on the way.

    Errors of steps may cancel, and an error in v at a node changes the eps found there by `feedback` times it: exact for diagonal
    Gaussians. The degree warms up from 0, as the scheduler's does. known: weights of steps met before, kept for the next call.
    """
    nodes, known, n = list(nodes), {} if known is None else known, path.nodes
    errors: dict[int, Floats] = {}  # of v at nodes passed, as combinations of the Gram matrix's rows
    error = np.zeros(path.gram.shape[:2])
    for k, (start, end) in enumerate(itertools.pairwise(nodes)):
        history = nodes[max(0, k - degree) : k + 1][::-1]
        key = (end, *history)
        if key not in known:
            w = weights(path, start, end, history)
            known[key] = w, w * path.feedback[:, history]
        w, fed = known[key]
        errors[start] = error
        error = error.copy()
        error[:, n + end : n + start] -= 1.0
        for j, node in enumerate(history):
            error[:, path.rows[node - 1]] -= w[:, j]
            if k > j:  # the first node holds no error
                error -= fed[:, j, None] * errors[node]
    return float(np.sqrt(max((error * (path.gram @ error[:, :, None])[:, :, 0]).sum(), 0.0) / path.pixels))


class _Costs:
    """Propagated local errors of all steps of degree 0, 1 and 2, as arrays: a step's error is a quadratic form in at most three weights."""

    def __init__(self, path: Path):
        n, rows = path.nodes, path.rows
        self.path, self.n = path, n
        moves = path.gram[:, n : 2 * n, n : 2 * n].cumsum(axis=1).cumsum(axis=2)
        moves = np.pad(
            moves, ((0, 0), (1, 0), (1, 0))
        )  # <V_i, V_j>, V_k = v_0 - v_k: small where the times are, so little cancels there
        square = np.einsum("qii->qi", moves)
        self.moved = square[:, :, None] + square[:, None, :] - 2 * moves  # |v_j - v_i|^2
        self.with_eps = np.pad(
            path.gram[:, n : 2 * n, :][:, :, rows].cumsum(axis=1), ((0, 0), (1, 0), (1, 0))
        )  # <V_k, eps_h>
        self.eps = np.pad(path.gram[:, rows, :][:, :, rows], ((0, 0), (1, 0), (1, 0)))
        raw = np.pad(path.moments.cumsum(axis=1), ((0, 0), (1, 0), (0, 0)))
        # about the node that each step starts from: [q, start, end, power]
        self.about = _shifted(
            raw[:, :, None] - raw[:, None, :], np.where(np.arange(n + 1) > 0, path.variable, 0.0)[:, None]
        )
        self.r = np.pad(path.r, ((0, 0), (1, 0)), constant_values=1.0)

    def _norm(self, square: Floats, end: int) -> Floats:
        survive = self.path.survive[:, :end].reshape(len(square), *(1,) * (square.ndim - 2), end)
        return np.sqrt(np.maximum((square * survive**2).sum(axis=0), 0.0) / self.path.pixels)

    def zero(self, i: int) -> Floats:
        """(i,): from node i to each node below, by eps_i alone."""
        w = self.about[:, i, :i, 0] / self.r[:, i, None]
        square = self.moved[:, i, :i] + 2 * w * self._toward(i, i) + w**2 * self.eps[:, i, i, None]
        return self._norm(square, i)

    def _toward(self, i: int, h: int) -> Floats:
        return self.with_eps[:, i, h, None] - self.with_eps[:, :i, h]

    def one(self, i: int) -> Floats:
        """(n - i, i): by eps at node i and at an earlier node p = i + 1..n (rows)."""
        before = np.arange(i + 1, self.n + 1)
        a = (self.path.variable[before] - self.path.variable[i])[None, :, None]
        mass, first = (self.about[:, i, None, :i, m] for m in (0, 1))
        wp = first / a
        wi = (mass - wp) / self.r[:, i, None, None]
        wp = wp / self.r[:, before, None]
        xi = self._toward(i, i)[:, None]
        xp = self.with_eps[:, i, before, None] - self.with_eps[:, :i, before].transpose(0, 2, 1)
        square = self.moved[:, i, None, :i] + 2 * (wi * xi + wp * xp) + wi**2 * self.eps[:, i, i, None, None]
        square = square + wp**2 * self.eps[:, before, before, None] + 2 * wi * wp * self.eps[:, i, before, None]
        return self._norm(square, i)

    def two(self, i: int) -> Floats:
        """(n - i, n - i, i): by eps at i, an earlier node p (second axis) and a still earlier one (first axis), else inf."""
        before = np.arange(i + 1, self.n + 1)
        cost = np.full((len(before), len(before), i), np.inf)
        mass, first, second = (self.about[:, i, None, :i, m] for m in (0, 1, 2))
        xi = self._toward(i, i)[:, None]
        x = self.with_eps[:, i, before, None] - self.with_eps[:, :i, before].transpose(0, 2, 1)
        offset = self.path.variable[before] - self.path.variable[i]
        for k in range(len(before) - 1):
            p, q = before[k], before[k + 1 :]
            a, b = offset[k], offset[None, k + 1 :, None]
            wp = (second - b * first) / (a * (a - b))
            wq = (second - a * first) / (b * (b - a))
            wi = (mass - wp - wq) / self.r[:, i, None, None]
            wp, wq = wp / self.r[:, p, None, None], wq / self.r[:, q, None]
            square = self.moved[:, i, None, :i] + 2 * (wi * xi + wp * x[:, k, None] + wq * x[:, k + 1 :])
            square = square + wi**2 * self.eps[:, i, i, None, None] + wp**2 * self.eps[:, p, p, None, None]
            square = square + wq**2 * self.eps[:, q, q, None]
            square = square + 2 * wi * wp * self.eps[:, i, p, None, None] + 2 * wi * wq * self.eps[:, i, q, None]
            square = square + 2 * wp * wq * self.eps[:, p, q, None]
            cost[k + 1 :, k] = self._norm(square, i)
        return cost


def shortest(path: Path, steps: Sequence[int], degree: int) -> dict[int, list[int]]:
    """For each number of steps (intervals) the falling node indices whose propagated local errors have the smallest sum of norms.

    degree 0, 1 or 2, warming up from 0. Exact: dynamic programming whose state is the current node and the `degree` nodes before it.
    """
    _check(path, steps, degree, STATE_DEGREE)
    costs, n, most = _Costs(path), path.nodes, max(steps)
    zero = [costs.zero(i) for i in range(n + 1)]
    if degree == 0:
        return _by_node(zero, steps, n)
    one = [costs.one(i) if 0 < i < n else None for i in range(n + 1)]
    if degree == 1:
        return _by_pair(zero[n], one, steps, n)
    two = [costs.two(i) if 0 < i < n - 1 else None for i in range(n + 1)]
    # best[p, i, j]: cheapest way to stand on j having come from i and before it from p; a way of one step has p = i = n
    best = np.full((n + 1, n + 1, n + 1), np.inf)
    came, found = {}, {}
    for i in range(1, n):
        best[n, i, :i] = zero[n][i] + one[i][-1]
    if 1 in steps:
        found[1] = [n, 0]
    for k in range(2, most + 1):
        if k > 2:
            following, before = np.full_like(best, np.inf), np.zeros(best.shape, dtype=np.int16)
            for i in range(1, n - 1):
                way = best[i + 1 :, i + 1 :, i, None] + two[i]
                following[i + 1 :, i, :i] = way.min(axis=0)
                before[i + 1 :, i, :i] = way.argmin(axis=0) + i + 1
            best, came[k] = following, before
        if k in steps:
            p, i = np.unravel_index(best[:, :, 0].argmin(), (n + 1, n + 1))
            nodes = [0, int(i), int(p)]
            for back in range(k, 2, -1):
                nodes.append(int(came[back][nodes[-1], nodes[-2], nodes[-3]]))
            found[k] = nodes[::-1]
    return found


def _by_node(zero: list[Floats], steps: Sequence[int], n: int) -> dict[int, list[int]]:
    cost = np.full((n + 1, n + 1), np.inf)
    for i in range(1, n + 1):
        cost[i, :i] = zero[i]
    best, came, found = cost[n], {}, {}
    for k in range(1, max(steps) + 1):
        if k > 1:
            way = best[:, None] + cost
            best, came[k] = way.min(axis=0), way.argmin(axis=0)
        if k in steps:
            nodes = [0]
            for back in range(k, 1, -1):
                nodes.append(int(came[back][nodes[-1]]))
            found[k] = [n, *nodes[::-1]]
    return found


def _by_pair(first: Floats, one: list[Floats | None], steps: Sequence[int], n: int) -> dict[int, list[int]]:
    best = np.full((n + 1, n + 1), np.inf)
    best[n, :n] = first
    came, found = {}, {}
    for k in range(1, max(steps) + 1):
        if k > 1:
            following, before = np.full_like(best, np.inf), np.zeros(best.shape, dtype=np.int16)
            for i in range(1, n):
                way = best[i + 1 :, i, None] + one[i]
                following[i, :i], before[i, :i] = way.min(axis=0), way.argmin(axis=0) + i + 1
            best, came[k] = following, before
        if k in steps:
            nodes = [0, int(best[:, 0].argmin())]
            for back in range(k, 1, -1):
                nodes.append(int(came[back][nodes[-1], nodes[-2]]))
            found[k] = nodes[::-1]
    return found


def descend(path: Path, nodes: Sequence[int], degree: int, sweeps: int = 50) -> list[int]:
    """Move one inner node at a time, by up to eight nodes, while that lowers `predicted_error` by more than a thousandth."""
    nodes, known = list(nodes), {}
    lowest = predicted_error(path, nodes, degree, known)
    for _ in range(sweeps):
        before = lowest
        for k in range(1, len(nodes) - 1):
            for move in (-8, -4, -2, -1, 1, 2, 4, 8):
                if nodes[k + 1] < nodes[k] + move < nodes[k - 1]:
                    other = [*nodes[:k], nodes[k] + move, *nodes[k + 1 :]]
                    error = predicted_error(path, other, degree, known)
                    if error < lowest:
                        nodes, lowest = other, error
        if lowest > 0.999 * before:
            break
    return nodes


def nearest_nodes(path: Path, times: npt.ArrayLike) -> list[int]:
    """Falling node indices near falling times, ends included and no node twice; times are compared by their square roots."""
    wanted, have = np.sqrt(np.asarray(times, dtype=np.float64)), np.sqrt(path.times)
    found = [path.nodes]
    for k, value in enumerate(wanted[1:-1], start=1):
        lowest = len(wanted) - 1 - k
        found.append(int(min(max(np.abs(have - value).argmin(), lowest), found[-1] - 1)))
    return [*found, 0]


def search(path: Path, steps: Sequence[int], degree: int, refine: bool = True) -> dict[int, list[float]]:
    """{N: [tau_N .. tau_0]} for the scheduler's `time_grids`, best by `predicted_error` for polynomials of this degree.

    Starts are the exact grids of `shortest` for degrees up to two, and the quadratic grid; with `refine` each is improved by `descend`.
    With the analytical first step a grid for N evaluations has N + 1 intervals. Raises InputError for N < 1 or more steps than the path
    has nodes.
    """
    _check(path, steps, degree, DEGREES[-1])
    intervals = {number: number + path.analytical for number in steps}
    lower = range(min(degree, 1), min(degree, STATE_DEGREE) + 1)
    starts = [shortest(path, sorted(set(intervals.values())), d) for d in lower]
    found = {}
    for number, count in intervals.items():
        quadratic = nearest_nodes(path, path.times[-1] * np.linspace(1, 0, count + 1) ** 2)
        candidates = [start[count] for start in starts] + [quadratic]
        if refine:
            candidates = [descend(path, nodes, degree) for nodes in candidates]
        best = min(candidates, key=lambda nodes: predicted_error(path, nodes, degree))
        found[number] = [float(path.times[k]) for k in best]
    return found


def polish(
    grid: Sequence[float], error: Callable[[list[float]], float], rounds: int = 4, step: float = 0.25
) -> list[float]:
    """Improve a grid on a real error, such as the scheduler's RMSE to stored references: pattern search on sqrt(tau), one inner node at a
    time.

    grid: falling times. error: a deterministic function of falling times. A node moves by `step` of the gap on that side; a round in
    which no move helps halves the step. At most rounds * 2 * (nodes - 2) + 1 calls.
    """
    root = np.sqrt(np.asarray(grid, dtype=np.float64))
    lowest = error(list(grid))
    for _ in range(rounds):
        moved = False
        for k in range(1, len(root) - 1):
            for gap in (root[k - 1] - root[k], root[k + 1] - root[k]):
                other = root.copy()
                other[k] += step * gap
                found = error(_squared(other, grid))
                if found < lowest:
                    root, lowest, moved = other, found, True
                    break
        if not moved:
            step /= 2
    return _squared(root, grid)


def _squared(root: Floats, grid: Sequence[float]) -> list[float]:
    return [float(grid[0]), *(float(z * z) for z in root[1:-1]), float(grid[-1])]


def _check(path: Path, steps: Sequence[int], degree: int, highest: int) -> None:
    if not 0 <= degree <= highest:
        raise InputError(f"degree {degree} of a time grid's polynomial is not one of 0 to {highest}.")
    bad = [number for number in steps if not 1 <= number + path.analytical <= path.nodes]
    if bad or not steps:
        raise InputError(
            f"a time grid of {bad[0] if bad else 'no'} steps: give 1 to {path.nodes - path.analytical}, the path's fine nodes."
        )
