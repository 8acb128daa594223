"""Dinucleotide shuffle: a random sequence with exactly the dinucleotide counts, first and last base of the given one.

A sequence is an Euler path on the multigraph with a vertex per base and an edge per dinucleotide. Every such path ends in the last base,
and the last edge by which it leaves each other vertex forms a tree towards that base. Choosing the tree with probability proportional to
the product of its edges' multiplicities, and the order of all other edges at random, makes every path equally likely (Altschul & Erickson
1985, Mol. Biol. Evol. 2:526; Kandel et al. 1996). With four bases there are only 16 trees per root, so they are drawn from a list instead
of by trial and error, and all sequences take their steps together.
"""

from itertools import product

import numpy as np
import numpy.typing as npt


def _trees(root: int) -> list[tuple[int, ...]]:
    """All maps vertex -> next vertex on 4 vertices that lead to the root; the root's own entry is the root."""
    trees = []
    for tree in product(range(4), repeat=4):
        if tree[root] != root:
            continue
        ends = list(range(4))
        for _ in range(3):
            ends = [tree[vertex] for vertex in ends]
        if all(end == root for end in ends):
            trees.append(tree)
    return trees


_TREES = np.array([_trees(root) for root in range(4)])  # (root, 16, vertex)


def _draw_trees(counts: npt.NDArray[np.int64], root: npt.NDArray[np.int64], rng: np.random.Generator):
    """counts (N, 4, 4) of dinucleotides, root (N,) -> (N, 4): the last edge out of each vertex."""
    weight = counts.astype(np.float64)
    row = np.arange(len(root))
    # a base that does not occur has no edge: let it point to the root, so that it does not rule out every tree
    absent = (counts.sum(axis=2) == 0) & (np.arange(4) != root[:, None])
    weight[row[:, None], np.arange(4), root[:, None]] += absent
    weight[row, root] = 1.0
    trees = _TREES[root]
    ways = np.prod(weight[row[:, None, None], np.arange(4), trees], axis=2)
    steps = np.cumsum(ways, axis=1)
    chosen = (rng.random(len(root))[:, None] * steps[:, -1:] >= steps).sum(axis=1)
    return trees[row, chosen]


def _successors(codes, last, rng):
    """Next bases grouped by base, each group in random order with the tree's edge at its end: (N, L - 1), and group starts (N, 4)."""
    base, following = codes[:, :-1], codes[:, 1:]
    key = base + 0.5 * rng.random(base.shape)
    for vertex in range(4):
        # which of several equal edges goes last makes no difference to the sequence
        match = (base == vertex) & (following == last[:, vertex, None])
        rows = np.flatnonzero(match.any(axis=1))
        key[rows, match[rows].argmax(axis=1)] = vertex + 0.75
    order = np.argsort(key, axis=1)
    out = np.stack([(base == vertex).sum(axis=1) for vertex in range(4)], axis=1)
    return np.take_along_axis(following, order, axis=1), np.cumsum(out, axis=1) - out


def dinucleotide_shuffle(codes: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Each sequence shuffled, uniformly over all sequences with the same dinucleotide counts and the same ends: (N, L) -> (N, L).

    Raises ValueError for letters other than A, C, G, T.
    """
    codes = np.asarray(codes)
    if codes.size and codes.max() > 3:
        raise ValueError("only A, C, G, T can be shuffled")
    number, length = codes.shape
    if number == 0 or length < 3:
        return codes.copy()
    row = np.arange(number)
    wide = codes.astype(np.int64)
    cell = row[:, None] * 16 + wide[:, :-1] * 4 + wide[:, 1:]
    counts = np.bincount(cell.ravel(), minlength=number * 16).reshape(number, 4, 4)
    root = wide[:, -1]
    last = _draw_trees(counts, root, rng)
    # the path ends in the root, so no edge out of it is held back
    last[row, root] = -1
    successors, cursor = _successors(wide, last, rng)
    shuffled = np.empty_like(codes)
    current = wide[:, 0]
    shuffled[:, 0] = current
    for position in range(1, length):
        place = cursor[row, current]
        cursor[row, current] += 1
        current = successors[row, place]
        shuffled[:, position] = current
    return shuffled
