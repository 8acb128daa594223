"""Encoded sentence pairs and batches of them, bounded in tokens and in padding; what a batch holds is a function of seed and epoch."""

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

WASTE = 0.15  # padded tokens per token at most, in a batch and so in all of them
_PARTS = ("source", "source_offsets", "target", "target_offsets")
_JITTER = 1.5  # tokens by which lengths are blurred before sorting, so that a sentence meets others in every epoch


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


def _cut(order: Iterable[int], sides: Sequence[npt.NDArray[np.int64]], bound: npt.NDArray, budget: int) -> list[list]:
    """Cut an order of rows into batches whose padded `bound` side has at most `budget` tokens and whose padding is within `WASTE`.

    sides: lengths of the sentences on each side that gets padded. A sentence longer than the budget is a batch of its own.
    """
    batches, rows = [], []
    longest, tokens, widest = np.zeros(len(sides), dtype=np.int64), 0, 0
    for row in order:
        own = np.array([lengths[row] for lengths in sides])
        grown, most, sum_ = np.maximum(longest, own), max(widest, bound[row]), tokens + own.sum()
        count = len(rows) + 1
        if rows and (count * most > budget or count * grown.sum() > (1 + WASTE) * sum_):
            batches.append(rows)
            rows, grown, most, sum_ = [], own, bound[row], own.sum()
        rows.append(int(row))
        longest, widest, tokens = grown, most, sum_
    return [*batches, rows] if rows else batches


def token_batches(corpus: Corpus, budget: int, seed: int, epoch: int) -> list[npt.NDArray[np.int64]]:
    """Rows of each batch: every sentence once, at most `budget` padded target tokens and 15 % padding on both sides, in shuffled order.

    Sentences of like lengths stand together, lengths blurred anew in every epoch. The same seed and epoch, the same batches.
    """
    _check(corpus, budget)
    rng = stream(seed, f"batches of epoch {epoch}")
    blurred = [
        np.rint(lengths + rng.uniform(-_JITTER, _JITTER, len(lengths)))
        for lengths in (corpus.target_lengths, corpus.source_lengths)
    ]
    # within a target length, sources rise and fall by turns: no jump where one length ends and the next begins
    turned = np.where(blurred[0] % 2 == 0, blurred[1], -blurred[1])
    order = np.lexsort((rng.random(corpus.sentences), turned, blurred[0]))
    batches = _cut(order, (corpus.source_lengths, corpus.target_lengths), corpus.target_lengths, budget)
    return [np.array(batches[place], dtype=np.int64) for place in rng.permutation(len(batches))]


def source_batches(corpus: Corpus, budget: int) -> list[npt.NDArray[np.int64]]:
    """Rows of each batch for decoding: each sentence once, by source length, at most `budget` padded source tokens."""
    _check(corpus, budget, references=False)
    order = np.argsort(corpus.source_lengths, kind="stable")
    cut = _cut(order, (corpus.source_lengths,), corpus.source_lengths, budget)
    return [np.array(rows, dtype=np.int64) for rows in cut]


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
