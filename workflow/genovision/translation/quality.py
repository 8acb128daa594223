"""BLEU and chrF of translations, and both on many bootstrap samples at once.

Both are functions of sums over sentences (matched n-grams and the like), so a sample that draws sentences by counts (R, N) is a matrix
product with the sentences' own numbers (N, columns), not R evaluations. The numbers are sacrebleu's (Post 2018), and so are the values:
those of `corpus_score` on the drawn sentences. All scores run from 0 to 100, higher = better. Letters: N sentences, R samples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics import BLEU, CHRF

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_ORDER = BLEU().max_ngram_order
_BETA = CHRF().beta


class Statistics(NamedTuple):
    """What each sentence adds to the corpus.

    bleu: (N, 2 + 2 * 4): length of hypothesis and reference in words, matched n-grams and n-grams of the hypothesis for n = 1..4
    chrf: (N, 3 * 6): character n-grams of hypothesis and reference and matched ones, for n = 1..6 in turn
    signatures: `bleu` and `chrf` -> how sacrebleu was set, in its own words
    """

    bleu: Counts
    chrf: Counts
    signatures: dict[str, str]


def statistics(hypotheses: Sequence[str], references: Sequence[str]) -> Statistics:
    """Statistics of N hypotheses with one reference each, as sacrebleu is set by default (13a words, mixed case, chrF2).

    ValueError for no sentence or unequal numbers of both.
    """
    if len(hypotheses) != len(references) or not len(hypotheses):
        raise ValueError(f"{len(hypotheses)} hypotheses and {len(references)} references: as many of both are needed")
    found = {}
    for name, metric in (("bleu", BLEU(force=True)), ("chrf", CHRF())):
        rows = metric._extract_corpus_statistics(list(hypotheses), [list(references)])
        found[name] = np.array(rows, dtype=np.int64), str(metric.get_signature())
    return Statistics(*(rows for rows, _ in found.values()), {name: text for name, (_, text) in found.items()})


def _summed(statistics: Counts, counts: npt.ArrayLike | None) -> Floats:
    weights = np.ones((1, len(statistics))) if counts is None else np.asarray(counts, dtype=np.float64)
    return weights @ statistics.astype(np.float64)


def corpus_bleu(found: Statistics, counts: npt.ArrayLike | None = None) -> Floats:
    """BLEU (R,) of samples that draw each sentence `counts` (R, N) times; without counts of the sentences themselves, (1,).

    Geometric mean of the four precisions times the brevity penalty; an order that nothing matches counts as half, a quarter ... of a match
    (sacrebleu's `exp`); 0 if no word matches, or the hypotheses have no n-gram of some order.
    """
    summed = _summed(found.bleu, counts)
    length, wanted = summed[:, 0], summed[:, 1]
    matched, number = summed[:, 2 : 2 + _ORDER], summed[:, 2 + _ORDER :]
    halvings = np.cumsum((matched == 0) & (number > 0), axis=1)
    whole = np.maximum(number, 1)
    precision = np.where(matched > 0, matched, 0.5**halvings) / whole
    penalty = np.exp(np.minimum(0.0, 1 - wanted / np.maximum(length, 1)))
    value = 100 * penalty * np.exp(np.log(precision).mean(axis=1))
    return np.where((matched.sum(axis=1) > 0) & (number > 0).all(axis=1), value, 0.0)


def corpus_chrf(found: Statistics, counts: npt.ArrayLike | None = None) -> Floats:
    """chrF2 (R,) of samples that draw each sentence `counts` (R, N) times; without counts of the sentences themselves, (1,).

    F score, recall weighing 2^2, of precision and recall averaged over those orders of which both sides have n-grams.
    """
    return _chrf(_summed(found.chrf, counts))


def sentence_chrf(found: Statistics) -> Floats:
    """chrF2 (N,) of every sentence by itself."""
    return _chrf(found.chrf.astype(np.float64))


def _chrf(summed: Floats) -> Floats:
    ours, theirs, matched = (summed[:, part::3] for part in range(3))
    orders = (ours > 0) & (theirs > 0)
    number = np.maximum(orders.sum(axis=1), 1)
    precision = np.where(orders, matched / np.maximum(ours, 1), 0.0).sum(axis=1) / number
    recall = np.where(orders, matched / np.maximum(theirs, 1), 0.0).sum(axis=1) / number
    both = _BETA**2 * precision + recall
    return 100 * (1 + _BETA**2) * precision * recall / np.where(both > 0, both, 1.0)
