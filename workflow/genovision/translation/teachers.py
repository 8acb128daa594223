"""What the members of an ensemble say at every token of the sentences that students learn from, asked once and kept.

Kept are the `k` tokens of highest mean probability at a position and one bucket for all others (genovision.translation.truncation), or the
whole vocabulary, which published students of logits want. Half precision: a log-probability of -10 is kept to 0.004.

Letters: N sentences, T target tokens of all of them, M members, V vocabulary, k tokens of a support.
"""

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.stats import spearmanr

from genovision.arrays import read_arrays, write_arrays
from genovision.errors import InputError
from genovision.resampling import stream
from genovision.translation.batches import Corpus, make_corpus, padded, token_batches
from genovision.translation.decoding import force_members, translate_corpus
from genovision.translation.network import Translator
from genovision.translation.sequence_measures import token_measures
from genovision.translation.truncation import top

TRAIN, VALID = 0, 1  # folds
MEASURES = ("total", "data", "mutual_information", "epkl", "rmi")
_CORPUS = ("source", "source_offsets", "target", "target_offsets")
_ROWS = 512  # positions that are measured at a time


class Cache(NamedTuple):
    """Sentence pairs and what the members say at each target token.

    corpus: N pairs, T target tokens
    fold:   (N,) uint8, TRAIN or VALID
    tokens: (T, k) uint16 or int32, the support, from the most to the least probable, the target's token always among them; None when the
            whole vocabulary is kept
    logs:   (T, M, k + 1) float16, the members' log-probabilities on the support and, last, of all other tokens together; (T, M, V) without
            a support
    vocabulary: digest of the tokenizer
    temperature: by which the members' logits were divided
    """

    corpus: Corpus
    fold: npt.NDArray[np.uint8]
    tokens: npt.NDArray[np.integer] | None
    logs: npt.NDArray[np.float16]
    vocabulary: str
    temperature: float = 1.0

    @property
    def members(self) -> int:
        return self.logs.shape[1]

    def positions(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Places in T of the tokens of these sentences, sentence by sentence."""
        starts, lengths = self.corpus.target_offsets[rows], self.corpus.target_lengths[rows]
        return np.concatenate([np.arange(start, start + length) for start, length in zip(starts, lengths, strict=True)])

    def of(self, fold: int) -> npt.NDArray[np.int64]:
        return np.flatnonzero(self.fold == fold)


def select(corpus: Corpus, rows: Sequence[int] | npt.NDArray[np.integer]) -> Corpus:
    """The sentences of a corpus with these numbers."""
    sources, targets = zip(*((corpus.source_row(row), corpus.target_row(row)) for row in rows), strict=True)
    return make_corpus(sources, targets, int(max(corpus.source.max(), corpus.target.max())) + 1)


def joined(*corpora: Corpus) -> Corpus:
    """Several corpora as one, in their order."""
    rows = [(corpus.source_row(row), corpus.target_row(row)) for corpus in corpora for row in range(corpus.sentences)]
    size = max(int(max(corpus.source.max(initial=0), corpus.target.max(initial=0))) for corpus in corpora) + 1
    return make_corpus([source for source, _ in rows], [target for _, target in rows], size)


def own_translations(members: Sequence[Translator], corpus: Corpus) -> Corpus:
    """The same sources with the ensemble's greedy translations as targets: sentences that it has not been trained towards."""
    said = translate_corpus(members, corpus)
    return make_corpus(
        [corpus.source_row(row) for row in range(corpus.sentences)],
        [best.tokens for (best, *_) in said],
        members[0].sizes.vocabulary,
    )


def mixed_sources(corpus: Corpus, seed: int) -> Corpus:
    """Sources made of the first half of one sentence and the second of another, without targets: where members were never told the answer.

    It is a shift of its own, none of those that detection is tested on.
    """
    rng = stream(seed, "mixed sources")
    others = rng.permutation(corpus.sentences)
    sources = []
    for row, other in enumerate(others):
        first, second = corpus.source_row(row), corpus.source_row(other)
        sources.append(np.concatenate([first[: len(first) // 2], second[(len(second) - 1) // 2 :]]))
    return make_corpus(sources, [[]] * corpus.sentences, int(corpus.source.max()) + 1)


def build_cache(
    members: Sequence[Translator],
    corpus: Corpus,
    fold: npt.NDArray[np.uint8],
    vocabulary: str,
    *,
    k: int | None,
    **options,
) -> Cache:
    """One cache, of a support or of the whole vocabulary (k None); see `build_caches`."""
    return build_caches(members, corpus, fold, vocabulary, supports=[k], **options)[0]


def build_caches(
    members: Sequence[Translator],
    corpus: Corpus,
    fold: npt.NDArray[np.uint8],
    vocabulary: str,
    *,
    supports: Sequence[int | None],
    temperature: float = 1.0,
    budget: int = 2000,
) -> list[Cache]:
    """Ask the members once at every target token of N pairs; a cache for each number of tokens, None for the whole vocabulary.

    InputError for less than two members, for no sentence, and for a support that is no part of the vocabulary.
    """
    if len(members) < 2:
        raise InputError(f"teachers are an ensemble of 2 or more members, {len(members)} given.")
    size = members[0].sizes.vocabulary
    for k in supports:
        if k is not None and not 1 <= k < size:
            raise InputError(f"a support of {k} tokens is no part of a vocabulary of {size}; take 1 to {size - 1}.")
    if not temperature > 0:
        raise InputError(f"temperature {temperature} must be above 0.")
    if len(fold) != corpus.sentences:
        raise ValueError(f"{corpus.sentences} sentences have {len(fold)} folds")
    number, kind = len(corpus.target), np.uint16 if size <= 1 << 16 else np.int32
    caches = []
    for k in supports:
        tokens = None if k is None else np.empty((number, k), dtype=kind)
        logs = np.empty((number, len(members), size if k is None else k + 1), dtype=np.float16)
        caches.append(Cache(corpus, np.asarray(fold, dtype=np.uint8), tokens, logs, vocabulary, temperature))
    for places, found in _asked(members, caches[0], np.arange(corpus.sentences), budget):
        own = torch.from_numpy(corpus.target[places].astype(np.int64)).to(found.device)
        for cache, k in zip(caches, supports, strict=True):
            part = found
            if k is not None:
                tokens, part = top(found, k, keep=own)
                cache.tokens[places] = tokens.cpu().numpy()
            cache.logs[places] = part.half().cpu().numpy()
    return caches


def _asked(
    members: Sequence[Translator], cache: Cache, rows: npt.NDArray[np.int64], budget: int
) -> Iterator[tuple[npt.NDArray[np.int64], torch.Tensor]]:
    """(places in T, log-probabilities (of them, M, V)), batch by batch."""
    part = select(cache.corpus, rows)
    for batch in token_batches(part, budget, 0, 0):
        logs = force_members(members, *padded(part, batch))
        yield (
            cache.positions(rows[batch]),
            logs if cache.temperature == 1 else (logs / cache.temperature).log_softmax(dim=-1),
        )


def write_cache(path: str | os.PathLike, cache: Cache) -> None:
    arrays = {name: getattr(cache.corpus, name) for name in _CORPUS} | {"fold": cache.fold, "logs": cache.logs}
    if cache.tokens is not None:
        arrays["tokens"] = cache.tokens
    vocabulary = np.frombuffer(bytes.fromhex(cache.vocabulary), dtype=np.uint8)
    write_arrays(path, **arrays, vocabulary=vocabulary, temperature=np.float64(cache.temperature))


def read_cache(path: str | os.PathLike, vocabulary: str | None = None, *, full: bool | None = None) -> Cache:
    """A cache from disk. InputError: shapes that disagree, another vocabulary, one member, a fold without sentences, no distribution.

    full: whether the whole vocabulary must be there (True) or a support (False)
    """
    again = "write it with translation/cache_teachers"
    found = read_arrays(path)
    missing = [name for name in (*_CORPUS, "fold", "logs", "vocabulary", "temperature") if name not in found]
    if missing:
        raise InputError(f"{path} has no array {', '.join(missing)}; {again}.")
    digest = bytes(found["vocabulary"].astype(np.uint8)).hex()
    if vocabulary is not None and digest != vocabulary:
        raise InputError(f"{path} was written for the vocabulary {digest[:12]}, here it is {vocabulary[:12]}; {again}.")
    corpus, temperature = Corpus(*(found[name] for name in _CORPUS)), float(found["temperature"])
    cache = Cache(corpus, found["fold"], found.get("tokens"), found["logs"], digest, temperature)
    if full is not None and full != (cache.tokens is None):
        have, want = ("a support", "the whole vocabulary") if full else ("the whole vocabulary", "a support")
        raise InputError(f"{path} keeps {have} of each position, {want} is needed; {again}.")
    number, offsets = len(cache.corpus.target), cache.corpus.target_offsets
    wide = cache.logs.shape[-1] - 1 if cache.tokens is not None else None
    whole = (
        cache.logs.ndim == 3 and cache.logs.shape[0] == number == offsets[-1] and len(offsets) == len(cache.fold) + 1
    )
    if not whole or (cache.tokens is not None and cache.tokens.shape != (number, wide)):
        raise InputError(f"{path}: its arrays are not of the same tokens; {again}.")
    if cache.members < 2:
        raise InputError(f"{path} has {cache.members} member; students learn from 2 or more.")
    for fold, name in ((TRAIN, "training"), (VALID, "validation")):
        if not (cache.fold == fold).any():
            raise InputError(f"{path} has no {name} sentence; {again}.")
    for start in range(0, number, 4096):
        sums = np.exp(cache.logs[start : start + 4096].astype(np.float32)).sum(axis=-1)
        odd = ~(np.abs(sums - 1) < 0.05)
        if odd.any():
            place, member = (int(one) for one in np.argwhere(odd)[0])
            raise InputError(f"{path}: member {member} gives no distribution at token {start + place}; {again}.")
    return cache


def read_logs(cached: npt.NDArray[np.float16]) -> torch.Tensor:
    """Cached log-probabilities in single precision, normalised again."""
    return torch.from_numpy(cached.astype(np.float32)).log_softmax(dim=-1)


def exactness(members: Sequence[Translator], cache: Cache, *, sentences: int = 250, budget: int = 2000) -> pd.DataFrame:
    """What a support loses: token measures of the whole vocabulary beside those of what is kept, over validation tokens.

    A row for each of `MEASURES`: measure, k, tokens, mean_full, mean_top (float16 counted), max_abs_error, spearman.
    """
    if cache.tokens is None:
        raise ValueError("the cache has the whole vocabulary: nothing was left out")
    both = {name: ([], []) for name in MEASURES}
    for places, logs in _asked(members, cache, cache.of(VALID)[:sentences], budget):
        kept = read_logs(cache.logs[places])
        for start in range(0, len(places), _ROWS):
            part = slice(start, start + _ROWS)
            for side, values in enumerate((logs[part].cpu(), kept[part])):
                found = token_measures(values[:, None], torch.zeros(len(values), 1, dtype=torch.long))
                for name in MEASURES:
                    both[name][side].append(found[name][:, 0].numpy())
    rows = []
    for name, sides in both.items():
        full, kept = (np.concatenate(side) for side in sides)
        rows.append(
            {
                "measure": name,
                "k": cache.tokens.shape[1],
                "tokens": len(full),
                "mean_full": full.mean(),
                "mean_top": kept.mean(),
                "max_abs_error": np.abs(full - kept).max(),
                "spearman": float(spearmanr(full, kept).statistic),
            }
        )
    return pd.DataFrame(rows)
