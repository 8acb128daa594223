"""Markov chains over bases, the floors every generator has to clear: homogeneous, or with tables that change along the sequence.

The chain of order k draws each base from the distribution seen after the k bases before it. The homogeneous one knows nothing of the
start site; the positional one counts around each position and so knows composition and short words by position, but no motif as a whole.

A context seldom or never seen backs off to the next shorter one: p_j(b | c) = (n(c, b) + p_{j-1}(b | c')) / (n(c) + 1), where c' is c
without its first base, down to p_{-1} = 1/4 (MacKay & Peto 1995, with weight 1). So no probability is 0 and an unseen context has exactly
the shorter one's distribution.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Markov:
    """Fitted chain: `tables[j]` has shape (P, 4**j, 4), the distribution after each context of j bases, for j = 0 .. order.

    P is 1 for the homogeneous chain and L for the positional one. A context is an integer of 2 bits a base, oldest base highest.
    The first `order` bases of a sequence have shorter contexts, so all orders are kept.
    """

    tables: tuple[npt.NDArray[np.float64], ...]

    @property
    def order(self) -> int:
        return len(self.tables) - 1

    def _table(self, position: int) -> npt.NDArray[np.float64]:
        table = self.tables[min(position, self.order)]
        return table[position if len(table) > 1 else 0]

    def _check(self, length: int) -> None:
        if len(self.tables[0]) not in (1, length):
            raise ValueError(f"the positional chain was fitted on {len(self.tables[0])} bases, not {length}")

    def sample(self, number: int, length: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Codes (number, length), all sequences drawn together, one position after the other."""
        self._check(length)
        codes = np.empty((number, length), dtype=np.uint8)
        context = np.zeros(number, dtype=np.int64)
        for position in range(length):
            steps = np.cumsum(self._table(position), axis=1)[:, :3]
            codes[:, position] = (rng.random(number)[:, None] >= steps[context]).sum(axis=1)
            context = (context * 4 + codes[:, position]) % 4 ** min(position + 1, self.order)
        return codes

    def log_probabilities(self, codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Natural log-probability of every base given those before it: (N, L). Raises ValueError for letters other than A, C, G, T."""
        self._check(codes.shape[1])
        if codes.max(initial=0) > 3:
            raise ValueError("a sequence has a letter other than A, C, G, T")
        logs = np.empty(codes.shape)
        context = np.zeros(len(codes), dtype=np.int64)
        for position in range(codes.shape[1]):
            base = codes[:, position].astype(np.int64)
            logs[:, position] = np.log(self._table(position)[context, base])
            context = (context * 4 + base) % 4 ** min(position + 1, self.order)
        return logs

    def bits_per_base(self, codes: npt.NDArray[np.uint8]) -> float:
        """Mean of -log2 p over all bases of (N, L): 2 for a uniform chain."""
        return float(-self.log_probabilities(codes).mean() / np.log(2))


def _transitions(codes: npt.NDArray[np.uint8], order: int):
    """At each position, for j = 0 .. order: counts (4**j * 4,) of (context of j bases, base); none where the context does not fit."""
    for position in range(codes.shape[1]):
        cell = codes[:, position].astype(np.int64)
        known = cell <= 3
        counts = []
        for j in range(order + 1):
            if j > position:
                counts.append(np.zeros(4 ** (j + 1)))
                continue
            if j:
                before = codes[:, position - j].astype(np.int64)
                known = known & (before <= 3)
                cell = cell + before * 4**j
            counts.append(np.bincount(cell[known], minlength=4 ** (j + 1)).astype(np.float64))
        yield counts


def _back_off(counts: list[npt.NDArray[np.float64]]) -> tuple[npt.NDArray[np.float64], ...]:
    """Counts (P, 4**j, 4) for j = 0 .. order -> tables of the same shapes."""
    shorter = np.full((len(counts[0]), 1, 4), 0.25)
    tables = []
    for j, count in enumerate(counts):
        # context c' of c drops the oldest base, the highest digit: c' = c mod 4**(j - 1)
        prior = shorter if j == 0 else np.tile(shorter, (1, 4, 1))
        shorter = (count + prior) / (count.sum(axis=2, keepdims=True) + 1)
        tables.append(shorter)
    return tuple(tables)


def fit(codes: npt.NDArray[np.uint8], order: int, half_window: int | None = None) -> Markov:
    """Chain of the given order from codes (N, L); transitions with a letter other than A, C, G, T are left out.

    half_window  None: one table for all positions. h: the table of position i counts positions i - h .. i + h (0 = only i).
    Raises ValueError for no sequence, a negative order or window.
    """
    if not codes.size:
        raise ValueError("there is no sequence to fit a Markov chain on")
    if order < 0 or (half_window is not None and half_window < 0):
        raise ValueError(f"order {order} and half window {half_window} must not be negative")
    length = codes.shape[1]
    if half_window is None:
        totals = [np.zeros(4 ** (j + 1)) for j in range(order + 1)]
        for counts in _transitions(codes, order):
            for total, count in zip(totals, counts, strict=True):
                total += count
        return Markov(_back_off([total.reshape(1, -1, 4) for total in totals]))
    by_position = list(_transitions(codes, order))
    first = np.maximum(np.arange(length) - half_window, 0)
    last = np.minimum(np.arange(length) + half_window + 1, length)
    windows = []
    for j in range(order + 1):
        running = np.cumsum([np.zeros(4 ** (j + 1))] + [counts[j] for counts in by_position], axis=0)
        windows.append((running[last] - running[first]).reshape(length, -1, 4))
    return Markov(_back_off(windows))
