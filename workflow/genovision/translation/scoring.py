"""How unsure a system is of its own translations: each sentence is decoded, and its hypotheses are scored token by token.

Members of an ensemble and samples of a student go through the same formulas (genovision.translation.sequence_measures); a Dirichlet has
closed forms. Of several hypotheses the measures are averaged, weighted by how probable the system finds each (Malinin & Gales 2021,
section 4). Everything is asked of networks without dropout, so the same sentence has the same scores again.

Letters: B sentences, L target positions (the end counts), T positions without padding, M members, K tokens of a support, V vocabulary.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from genovision.translation import dirichlet
from genovision.translation.batches import Corpus, make_corpus, padded, source_batches, token_batches, waste
from genovision.translation.decoding import Counter, Hypothesis, force_members, translate_corpus
from genovision.translation.families import noise_of
from genovision.translation.logit_noise import heavy
from genovision.translation.network import Translator
from genovision.translation.predictions import Prediction, predict, support_of
from genovision.translation.sequence_measures import combine, sequence_uncertainty
from genovision.translation.students import Student
from genovision.translation.tokenizer import PAD

Floats = npt.NDArray[np.float64]
_NUMBERS = 1 << 22  # of a batch that is scored: 32 MB in double precision, a few times over


class Judge(NamedTuple):
    """measures: sources (B, Ls) and hypotheses (B, L), padded -> measures (B,) by name;  numbers: held of each position at a time"""

    measures: Callable[[torch.Tensor, torch.Tensor], dict[str, torch.Tensor]]
    numbers: int


class Scored(NamedTuple):
    """Of N sentences, in their order. best: the first hypothesis of each;  measures: (N,) by name, over all its hypotheses"""

    best: list[Hypothesis]
    measures: dict[str, Floats]


class Cost(NamedTuple):
    """What decoding and scoring took. seconds: of the processor;  passes: forwards of a network, an encoder's and a decoder's one each;
    padding_waste: padding per token that went through them"""

    sentences: int
    tokens: int
    seconds_decode: float
    seconds_score: float
    passes: int
    padding_waste: float

    def plus(self, other: "Cost") -> "Cost":
        tokens = self.tokens + other.tokens
        padding = self.padding_waste * self.tokens + other.padding_waste * other.tokens
        sums = [a + b for a, b in zip(self[:-1], other[:-1], strict=True)]
        return Cost(*sums, padding / max(1, tokens))


def score_corpus(
    networks: Sequence[Translator],
    judge: Judge,
    corpus: Corpus,
    *,
    beam: int = 1,
    hypotheses: int = 1,
    temperature: float = 1.0,
    budget: int = 2000,
) -> tuple[Scored, Cost]:
    """Decode every source of a corpus with the networks (their average) and judge the hypotheses.

    hypotheses: of each sentence, the most probable ones of the beam;  temperature: of their weights;  budget: padded tokens of a batch
    """
    begun, counter = time.process_time(), Counter()
    said = translate_corpus(networks, corpus, budget=budget, counter=counter, beam=beam, hypotheses=hypotheses)
    decoded = time.process_time()
    sources = [corpus.source_row(row) for row, some in enumerate(said) for _ in some]
    pairs = make_corpus(sources, [one.tokens for some in said for one in some], networks[0].sizes.vocabulary)
    batches = token_batches(pairs, min(budget, max(1, _NUMBERS // judge.numbers)), 0, 0)
    found: dict[str, Floats] = {}
    for rows in batches:
        for name, values in judge.measures(*padded(pairs, rows)).items():
            found.setdefault(name, np.empty(pairs.sentences))[rows] = values.numpy()
    measures = _combined(said, found, temperature)
    cost = Cost(
        corpus.sentences,
        sum(len(some[0].tokens) for some in said),
        decoded - begun,
        time.process_time() - decoded,
        counter.passes + 2 * len(batches) * len(networks),
        _padding(corpus, budget, pairs, batches, counter.idle),
    )
    return Scored([some[0] for some in said], measures), cost


def _combined(said: Sequence[Sequence[Hypothesis]], found: dict[str, Floats], temperature: float) -> dict[str, Floats]:
    """Measures (N,) from those of all hypotheses, sentence by sentence."""
    most = max(map(len, said))
    there = np.array([[place < len(some) for some in said] for place in range(most)])
    log_probs = torch.full(there.shape, -math.inf, dtype=torch.float64)
    # flat hypotheses are sentence by sentence, the array is by place first
    log_probs.T[torch.from_numpy(there.T)] = torch.tensor(
        [one.log_probability for some in said for one in some], dtype=torch.float64
    )
    combined = {}
    for name, values in found.items():
        each = torch.zeros(there.shape, dtype=torch.float64)
        each.T[torch.from_numpy(there.T)] = torch.from_numpy(values)
        combined[name] = combine(each, log_probs, temperature).numpy()
    return combined


def _padding(corpus: Corpus, budget: int, pairs: Corpus, batches: Sequence[npt.NDArray], idle: int) -> float:
    """Padding per token of what was encoded, decoded (`idle` rows of sentences that had ended) and scored (both sides)."""
    lengths = corpus.source_lengths
    full = sum(len(rows) * int(lengths[rows].max()) for rows in source_batches(corpus, budget))
    real, said = int(lengths.sum()), int(pairs.target_lengths.sum())
    scored = int(pairs.source_lengths.sum()) + said
    return (full - real + idle + waste(pairs, batches) * scored) / (real + said + scored)


# --- judges --------------------------------------------------------------------------------------------------------------------------


def of_members(members: Sequence[Translator]) -> Judge:
    """What an ensemble, or a single model, says of hypotheses, by its members' whole distributions."""

    def measures(source: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        return member_measures(force_members(members, source, target), target)

    return Judge(measures, len(members) * members[0].sizes.vocabulary)


def of_student(student: Student, samples: int = 25, seed: int = 0, support: int | None = None) -> Judge:
    """What a student says of hypotheses: by its mean alone (end), in closed form (Dirichlets), or by samples of its logits as members.

    support: tokens that it is asked about, no more than it was taught on; default those, for one of the whole vocabulary all, as
    published. Logit noise has three measures besides, means over tokens:

      location_entropy  entropy of the softmax of the location, over the vocabulary
      mean_scale        of the logits that are drawn
      heavy_share       share of these scales that are 1 or more (genovision.translation.logit_noise.heavy)
    """
    size = student.network.sizes.vocabulary
    support = support_of(student, student.support if support is None else support)

    def measures(source: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        found = predict(student, source, target, samples=samples, support=support, seed=seed)
        if found.alpha is not None:
            return dirichlet_measures(found.alpha, target, found.own)
        own = {} if found.scale is None else _of_noise(found, target)
        return member_measures(found.log_probs, target, found.own) | own

    return Judge(measures, max(size, samples * support) if noise_of(student.family) else size)


def _of_noise(found: Prediction, target: torch.Tensor) -> dict[str, torch.Tensor]:
    location = found.location.double()
    each = {
        "location_entropy": -(location.exp() * location).sum(dim=1),
        "mean_scale": found.scale.double().mean(dim=1),
        "heavy_share": heavy(found.scale),
    }
    mask = (target != PAD).to(location.device)
    return {name: averaged(values, mask).cpu() for name, values in each.items()}


def member_measures(
    log_probs: torch.Tensor, target: torch.Tensor, tokens: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """Measures (B,) of `sequence_uncertainty` from members' or samples' log-probabilities (T, M, K) at the tokens of target (B, L).

    tokens: (T,) columns of the target's tokens in the support; default: the support is the vocabulary
    """
    mask = (target != PAD).to(log_probs.device)
    tokens = target[target != PAD].to(log_probs.device) if tokens is None else tokens
    found = sequence_uncertainty(_padded(log_probs, mask), _padded(tokens, mask), mask)
    return {name: values.cpu() for name, values in found.items()}


def dirichlet_measures(
    alpha: torch.Tensor, target: torch.Tensor, tokens: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """The same measures of Dirichlets alpha (T, K), in closed form; tokens as in `member_measures`."""
    mask = (target != PAD).to(alpha.device)
    tokens = target[target != PAD].to(alpha.device) if tokens is None else tokens
    found = dirichlet.hypothesis_measures(alpha, tokens)
    return {name: averaged(values, mask).cpu() for name, values in found.items()}


def averaged(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean (B,) over its positions of what is said (T,) of each, float64."""
    return _padded(values.double(), mask).sum(dim=1) / mask.sum(dim=1)


def _padded(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Values (T, ...) of positions as (B, L, ...), 0 where there is no token."""
    block = values.new_zeros((*mask.shape, *values.shape[1:]))
    block[mask] = values
    return block
