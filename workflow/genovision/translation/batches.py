"""Encoded sentence pairs and batches of them, bounded in tokens and in padding; what a batch holds is a function of seed and epoch."""

import heapq
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from genovision.arrays import read_arrays, write_arrays
from genovision.errors import InputError
from genovision.resampling import stream
from genovision.translation.tokenizer import PAD

WASTE = 0.15  # padding per token at most
_PARTS = ("source", "source_offsets", "target", "target_offsets")
_BLURS = (
    1.0,
    0.5,
    0.0,
)  # tokens by which lengths are blurred before sorting; the first that keeps padding within `WASTE`
_STRIP = 6  # batches in a strip of like target lengths, which is sorted by source length


class Corpus(NamedTuple):
    """N sentence pairs as flat ids, `END` included: sentence i is `source[source_offsets[i]:source_offsets[i + 1]]`.

    A sentence without a reference has a target of length 0.
    """

    source: npt.NDArray[np.integer]
    source_offsets: npt.NDArray[np.int64]
    target: npt.NDArray[np.integer]
    target_offsets: npt.NDArray[np.int64]

    @property
    def sentences(self) -> int:
        return len(self.source_offsets) - 1

    @property
    def source_lengths(self) -> npt.NDArray[np.int64]:
        return np.diff(self.source_offsets)

    @property
    def target_lengths(self) -> npt.NDArray[np.int64]:
        return np.diff(self.target_offsets)

    def source_row(self, row: int) -> npt.NDArray[np.integer]:
        return self.source[self.source_offsets[row] : self.source_offsets[row + 1]]

    def target_row(self, row: int) -> npt.NDArray[np.integer]:
        return self.target[self.target_offsets[row] : self.target_offsets[row + 1]]


def make_corpus(sources: Sequence[npt.ArrayLike], targets: Sequence[npt.ArrayLike], size: int = 1 << 16) -> Corpus:
    """A corpus of token arrays; ids are kept as uint16 where a vocabulary of `size` allows it."""
    if len(sources) != len(targets):
        raise ValueError(f"{len(sources)} sources and {len(targets)} targets")
    kind = np.uint16 if size <= 1 << 16 else np.int32
    parts = []
    for rows in (sources, targets):
        lengths = [len(row) for row in rows]
        flat = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows]) if sum(lengths) else np.empty(0)
        parts += [flat.astype(kind), np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])]
    return Corpus(parts[0], parts[1].astype(np.int64), parts[2], parts[3].astype(np.int64))


def write_corpora(path: str | os.PathLike, corpora: Mapping[str, Corpus], vocabulary: str) -> None:
    """Write an .npz of named corpora and the digest of the vocabulary (hexadecimal sha256) whose ids they hold."""
    arrays = {f"{name}.{part}": getattr(corpus, part) for name, corpus in corpora.items() for part in _PARTS}
    write_arrays(path, **arrays, vocabulary=np.frombuffer(bytes.fromhex(vocabulary), dtype=np.uint8))


def read_vocabulary(path: str | os.PathLike) -> str:
    """Digest (hexadecimal sha256) of the vocabulary that made an .npz of corpora."""
    return bytes(read_arrays(path, ["vocabulary"])["vocabulary"].astype(np.uint8)).hex()


def read_corpus(path: str | os.PathLike, name: str, vocabulary: str | None = None) -> Corpus:
    """The corpus of one set. InputError lists the sets when it is not there, and refuses ids of a vocabulary with another digest."""
    found = read_vocabulary(path)
    if vocabulary is not None and found != vocabulary:
        raise InputError(
            f"{path} was encoded with the vocabulary {found[:12]}, this model has {vocabulary[:12]}; "
            "encode the sets with the tokenizer of the model."
        )
    with np.load(path, allow_pickle=False) as archive:
        sets = [key.removesuffix(".source") for key in archive.files if key.endswith(".source")]
    if name not in sets:
        raise InputError(f"{path} has no set {name}; it has {', '.join(sets) or 'none'}.")
    arrays = read_arrays(path, [f"{name}.{part}" for part in _PARTS])
    corpus = Corpus(*(arrays[f"{name}.{part}"] for part in _PARTS))
    for part in ("source", "target"):
        offsets, flat = getattr(corpus, f"{part}_offsets"), getattr(corpus, part)
        whole = offsets.ndim == flat.ndim == 1 and len(offsets) == len(corpus.source_offsets) >= 1
        if not whole or offsets[0] != 0 or offsets[-1] != len(flat) or (np.diff(offsets) < 0).any():
            raise InputError(f"{path}: the offsets of {name}.{part} do not fit its {flat.size} ids; encode it again.")
    return corpus


def _cut(order: Sequence[int], lengths: npt.NDArray[np.int64], budget: int) -> list[npt.NDArray[np.int64]]:
    """Cut an order of rows into batches of at most `budget` padded tokens; a sentence longer than that is a batch of its own."""
    starts, longest, rows = [0], 0, 0
    for place, length in enumerate(lengths[order].tolist()):
        longest, rows = max(longest, length), rows + 1
        if rows > 1 and rows * longest > budget:
            starts.append(place)
            longest, rows = length, 1
    return np.split(np.asarray(order, dtype=np.int64), starts[1:])


def _split(rows: npt.NDArray[np.int64], sides: Sequence[npt.NDArray[np.int64]]) -> list[npt.NDArray[np.int64]]:
    """The two batches with the fewest padded tokens that a batch falls into when it is sorted by one side."""
    best = None
    for by in sides:
        ordered = rows[np.argsort(by[rows], kind="stable")]
        heads = sum(np.maximum.accumulate(side[ordered])[:-1] for side in sides)
        tails = sum(np.maximum.accumulate(side[ordered][::-1])[::-1][1:] for side in sides)
        counts = np.arange(1, len(rows))
        full = counts * heads + (len(rows) - counts) * tails
        place = int(np.argmin(full))
        if best is None or full[place] < best[0]:
            best = full[place], np.split(ordered, [place + 1])
    return best[1]


def _within(
    batches: list[npt.NDArray[np.int64]], sides: Sequence[npt.NDArray[np.int64]]
) -> list[npt.NDArray[np.int64]]:
    """The batches, those with the most padding split until padding is at most `WASTE` of all tokens."""

    def entry(rows: npt.NDArray[np.int64]) -> tuple[int, int, npt.NDArray[np.int64]]:
        full = len(rows) * sum(int(side[rows].max()) for side in sides)
        return -(full - sum(int(side[rows].sum()) for side in sides)), int(rows.min()), rows

    heap = [entry(rows) for rows in batches]  # no two batches share a row, so arrays are never compared
    heapq.heapify(heap)
    allowed = WASTE * sum(int(side.sum()) for side in sides)
    padding = -sum(part[0] for part in heap)
    while padding > allowed:
        worst = heapq.heappop(heap)
        parts = [entry(rows) for rows in _split(worst[2], sides)]
        padding += worst[0] - sum(part[0] for part in parts)
        for part in parts:
            heapq.heappush(heap, part)
    return [part[2] for part in sorted(heap, key=lambda part: part[1])]


def token_batches(corpus: Corpus, budget: int, seed: int, epoch: int) -> list[npt.NDArray[np.int64]]:
    """Rows of each batch, in shuffled order: every sentence once, at most `budget` padded target tokens, at most 15 % of padding.

    A sentence longer than the budget is a batch of its own. Sentences of like lengths stand together; lengths are blurred anew in every
    epoch, as much as the padding allows, so that a sentence meets others. The same seed and epoch, the same batches.
    """
    _check(corpus, budget)
    rng = stream(seed, f"batches of epoch {epoch}")
    sides = corpus.target_lengths, corpus.source_lengths
    ties, *blur = rng.random((3, corpus.sentences))
    for width in _BLURS:
        target, source = (side + 2 * width * (noise - 0.5) for side, noise in zip(sides, blur, strict=True))
        order = np.lexsort((ties, target))
        # strips of like targets, in each of which sources rise and fall by turns: no jump from strip to strip
        strip = np.cumsum(sides[0][order]) // (_STRIP * budget)
        order = order[np.lexsort((np.where(strip % 2 == 0, source[order], -source[order]), strip))]
        batches = _cut(order, sides[0], budget)
        if waste(corpus, batches) <= WASTE:
            break
    else:
        batches = _within(batches, sides)
    return [batches[place] for place in rng.permutation(len(batches))]


def source_batches(corpus: Corpus, budget: int) -> list[npt.NDArray[np.int64]]:
    """Rows of each batch, for decoding: by source length, at most `budget` padded source tokens and 15 % of padding."""
    _check(corpus, budget, references=False)
    order = np.argsort(corpus.source_lengths, kind="stable")
    return _within(_cut(order, corpus.source_lengths, budget), (corpus.source_lengths,))


def _check(corpus: Corpus, budget: int, references: bool = True) -> None:
    if budget < 1:
        raise InputError(f"a budget of {budget} tokens makes no batch; it must be 1 or more.")
    if not corpus.sentences:
        raise InputError("there is no sentence to make batches of.")
    for side, lengths in [("source", corpus.source_lengths), ("target", corpus.target_lengths)][: 1 + references]:
        if (lengths == 0).any():
            raise InputError(
                f"sentence {int(np.argmin(lengths))} has no {side} token: a row of it would be all padding."
            )


def _pad(rows: Sequence[npt.NDArray], side: str, numbers: Iterable[int]) -> torch.Tensor:
    lengths = [len(row) for row in rows]
    if not lengths:
        raise InputError("a batch of no sentence was asked for.")
    if min(lengths) == 0:
        empty = list(numbers)[int(np.argmin(lengths))]
        raise InputError(f"sentence {empty} has no {side} token: its row of the batch would be all padding.")
    block = np.full((len(rows), max(lengths)), PAD, dtype=np.int64)
    for place, row in enumerate(rows):
        block[place, : len(row)] = row
    return torch.from_numpy(block)


def padded_source(corpus: Corpus, rows: Iterable[int]) -> torch.Tensor:
    """Sources of rows as int64 (B, Ls), `PAD` behind each; InputError names a sentence that is empty."""
    rows = [int(row) for row in rows]
    return _pad([corpus.source_row(row) for row in rows], "source", rows)


def padded_target(corpus: Corpus, rows: Iterable[int]) -> torch.Tensor:
    """Targets of rows as int64 (B, Lt), `END` counted, `PAD` behind each; InputError names a sentence without a reference."""
    rows = [int(row) for row in rows]
    return _pad([corpus.target_row(row) for row in rows], "target", rows)


def padded(corpus: Corpus, rows: Iterable[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """(source (B, Ls), target (B, Lt)), int64, padded with `PAD`."""
    rows = list(rows)
    return padded_source(corpus, rows), padded_target(corpus, rows)


def waste(corpus: Corpus, batches: Iterable[npt.ArrayLike]) -> float:
    """Tokens of padded batches, both sides, per token of their sentences, minus 1."""
    full = real = 0
    for rows in batches:
        rows = np.asarray(rows)
        for lengths in (corpus.source_lengths[rows], corpus.target_lengths[rows]):
            full, real = full + len(rows) * int(lengths.max()), real + int(lengths.sum())
    if not real:
        raise InputError("the batches hold no token: they are all padding.")
    return full / real - 1


class Batches:
    """Rows of the batch of each training step, epoch after epoch; `rows(step)` is a function of corpus, budget, seed and step alone."""

    def __init__(self, corpus: Corpus, budget: int, seed: int):
        self.corpus, self.budget, self.seed = corpus, budget, seed
        self._starts = [0]  # first step of each epoch known so far
        self._epoch, self._batches = -1, []

    def _open(self, epoch: int) -> None:
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, token_batches(self.corpus, self.budget, self.seed, epoch)
            if epoch == len(self._starts) - 1:
                self._starts.append(self._starts[-1] + len(self._batches))

    def rows(self, step: int) -> npt.NDArray[np.int64]:
        """Rows of the batch of a step (0-based)."""
        while step >= self._starts[-1]:
            self._open(len(self._starts) - 1)
        epoch = int(np.searchsorted(self._starts, step, side="right")) - 1
        self._open(epoch)
        return self._batches[step - self._starts[epoch]]

    def steps(self, epochs: int) -> int:
        """Steps of the first `epochs` epochs."""
        while len(self._starts) <= epochs:
            self._open(len(self._starts) - 1)
        return self._starts[epochs]
