"""Scores of a source that need no neural network: every score of a translation model has to be read beside them.

Counts of the training sources alone; higher is stranger.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

NAMES = ("length", "tokens_per_word", "unigram", "bigram", "unknown_words")
_WEIGHT = 1.0  # of the unigram in the bigram, in counts


def words(text: str) -> list[str]:
    """Words of a text: what stands between white space, case-folded."""
    return text.casefold().split()


class Controls:
    """Control scores from training sources (token arrays, `END` included) and their texts.

    length:          tokens, `END` counted
    tokens_per_word: tokens without `END` per word
    unigram:         mean of -ln p(b) over the tokens, p(b) = (c(b) + 1) / (N + D + 1), with D different tokens among N in training; the one
                     left is what all tokens never seen share
    bigram:          mean of -ln p(b | a), p(b | a) = (c(ab) + p(b)) / (c(a) + 1), a = sentence start before the first token (a Dirichlet
                     prior at the unigram, MacKay & Peto 1995)
    unknown_words:   share of words that occur in no training source
    """

    def __init__(self, train_sources: Sequence[npt.ArrayLike], texts: Sequence[str]):
        if len(train_sources) != len(texts):
            raise ValueError(f"{len(train_sources)} encoded sources and {len(texts)} texts")
        self._single, self._pairs, self._first = Counter(), Counter(), Counter()
        for row in train_sources:
            tokens = [int(token) for token in row]
            before = [None, *tokens[:-1]]
            self._single.update(tokens)
            self._first.update(before[: len(tokens)])
            self._pairs.update(zip(before, tokens, strict=False))
        self._total = sum(self._single.values())
        self._words = {word for text in texts for word in words(text)}

    def token_probability(self, token: int) -> float:
        """p(b); what is left of all known tokens together is given to a token never seen."""
        return (self._single[token] + 1) / (self._total + len(self._single) + 1)

    def pair_probability(self, before: int | None, token: int) -> float:
        """p(b | a); `before` None is the start of a sentence."""
        prior = _WEIGHT * self.token_probability(token)
        return (self._pairs[before, token] + prior) / (self._first[before] + _WEIGHT)

    def known_pairs(self, tokens: npt.ArrayLike) -> float:
        """Share of the bigrams of a sentence, its start counted, that occur in training."""
        row = [int(token) for token in tokens]
        return float(np.mean([pair in self._pairs for pair in zip([None, *row[:-1]], row, strict=True)]))

    def __call__(self, sources: Sequence[npt.ArrayLike], texts: Sequence[str]) -> dict[str, npt.NDArray[np.float64]]:
        """Name -> (N,) for encoded sources and their texts; ValueError for a sentence without tokens."""
        if len(sources) != len(texts):
            raise ValueError(f"{len(sources)} encoded sources and {len(texts)} texts")
        found = np.empty((len(sources), len(NAMES)))
        for place, (row, text) in enumerate(zip(sources, texts, strict=True)):
            tokens, split = [int(token) for token in row], words(text)
            if not tokens:
                raise ValueError(f"sentence {place} has no token")
            single = [self.token_probability(token) for token in tokens]
            pairs = [self.pair_probability(a, b) for a, b in zip([None, *tokens[:-1]], tokens, strict=True)]
            strange = [word not in self._words for word in split]
            found[place] = (
                len(tokens),
                (len(tokens) - 1) / max(1, len(split)),
                -np.mean(np.log(single)),
                -np.mean(np.log(pairs)),
                np.mean(strange) if strange else 0.0,
            )
        return dict(zip(NAMES, found.T.copy(), strict=True))
