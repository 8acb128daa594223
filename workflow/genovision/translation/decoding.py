"""What networks translate a sentence to: greedy or beam search over one network or the averaged probabilities of several.

At every position the members' probabilities are averaged (a product of expectations). `END` counts as a token of a hypothesis, so none has
length 0; a hypothesis that reaches the limit gets `END` as its last token, at its own log-probability. `PAD` and `START` are never chosen.

Letters: B sentences, L target positions, M members, V vocabulary.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from genovision.errors import InputError
from genovision.translation.batches import Corpus, padded_source, source_batches
from genovision.translation.network import Translator
from genovision.translation.tokenizer import END, PAD, START

_GONE = 0.2  # share of ended rows at which they are taken out of a batch; to do so copies what is kept of the others


class Hypothesis(NamedTuple):
    """Token ids, `END` the last, and the sum of their log-probabilities under the averaged members."""

    tokens: npt.NDArray[np.int64]
    log_probability: float


class Counter:
    """passes: forwards of a network over a batch, an encoder's or a decoder's step counts one for each member;  idle: rows of greedy steps
    whose sentence had ended, as good as padding"""

    def __init__(self):
        self.passes = self.idle = 0


def limit_of(source_tokens: int, ratio: float = 2.0, least: int = 16) -> int:
    """Longest hypothesis of a source, `END` counted: so that one that never ends costs little."""
    return max(least, math.ceil(ratio * source_tokens))


@torch.inference_mode()
def translate(
    members: Sequence[Translator],
    source: torch.Tensor,
    *,
    beam: int = 1,
    limit: int | None = None,
    hypotheses: int = 1,
    length_penalty: float = 1.0,
    counter: Counter | None = None,
) -> list[list[Hypothesis]]:
    """The best `hypotheses` of each source (B, Ls), from the best down: by log-probability / tokens ** length_penalty.

    beam:   hypotheses kept open; 1 is greedy search
    limit:  tokens of a hypothesis at most, `END` counted; default: `limit_of` each source alone

    The search ends for a sentence when no open hypothesis can still overtake its found ones. A list can be shorter than `hypotheses` where
    the limit leaves fewer. The networks must be in evaluation mode (ValueError), since dropout would change what is measured.
    """
    evaluating(members)
    if not 1 <= hypotheses <= beam or (limit is not None and limit < 1) or length_penalty < 0:
        raise ValueError(f"1 <= hypotheses {hypotheses} <= beam {beam}, limit {limit} >= 1, length penalty >= 0")
    lengths = (source != PAD).sum(dim=1)
    limits = torch.tensor([limit_of(int(n)) if limit is None else limit for n in lengths])
    limits = limits.clamp(max=min(member.sizes.longest for member in members))
    encoded = [member.encode(source) for member in members]
    progress = [member.start(part) for member, part in zip(members, encoded, strict=True)]
    counter = counter or Counter()
    counter.passes += len(members)
    search = _greedy if beam == 1 else _beam
    return search(progress, limits, counter, beam=beam, hypotheses=hypotheses, penalty=length_penalty)


def translate_corpus(
    members: Sequence[Translator], corpus: Corpus, *, budget: int = 2000, counter: Counter | None = None, **options
) -> list[list[Hypothesis]]:
    """`translate` for every sentence of a corpus in its order, batched by at most `budget` padded source tokens."""
    found: list[list[Hypothesis]] = [[] for _ in range(corpus.sentences)]
    for rows in source_batches(corpus, budget):
        said = translate(members, padded_source(corpus, rows), counter=counter, **options)
        for row, one in zip(rows, said, strict=True):
            found[row] = one
    return found


@torch.inference_mode()
def force(translator: Translator, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (T, V) at the tokens of targets (B, L), `PAD` behind each, sentence by sentence."""
    evaluating([translator])
    return translator(source, target).logits.log_softmax(dim=-1)


def force_members(members: Sequence[Translator], source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (T, M, V) of several members at the tokens of targets (B, L)."""
    evaluating(members)
    return torch.stack([force(member, source, target) for member in members], dim=1)


def evaluating(members: Sequence[Translator]) -> None:
    """ValueError unless there are members, all in evaluation mode and of one vocabulary."""
    if not members:
        raise ValueError("there is no network to ask")
    if any(member.training for member in members):
        raise ValueError("a network is in training mode: its dropout would change what is measured")
    sizes = sorted({member.sizes.vocabulary for member in members})
    if len(sizes) > 1:
        raise InputError(f"members have vocabularies of {' and '.join(map(str, sizes))}; an ensemble shares one.")


def _log_probs(progress, tokens: torch.Tensor, counter: Counter) -> torch.Tensor:
    """(B, V) log of the averaged probabilities after the next tokens (B,), -inf where none may stand."""
    counter.passes += len(progress)
    found = [one.step(tokens).log_softmax(dim=-1) for one in progress]
    if len(found) == 1:
        mean = found[0]
    else:
        mean = torch.stack(found).logsumexp(dim=0) - math.log(len(found))
    mean[:, [PAD, START]] = -math.inf
    return mean


def _end_only(log_probs: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The same with `END` as the only choice in some rows."""
    ends = log_probs[:, END].clone()
    log_probs = log_probs.masked_fill(rows.to(log_probs.device)[:, None], -math.inf)
    log_probs[:, END] = ends
    return log_probs


def _greedy(progress, limits: torch.Tensor, counter: Counter, **_) -> list[list[Hypothesis]]:
    device = progress[0].translator.device
    number, longest = len(limits), int(limits.max())
    said = torch.full((number, longest), PAD, dtype=torch.long, device=device)
    scores = torch.zeros(number, dtype=torch.float64, device=device)
    limits, owner = limits.to(device), torch.arange(number, device=device)  # owner: sentence of each row
    tokens = torch.full((number,), START, device=device)
    ended = torch.zeros(number, dtype=torch.bool, device=device)
    for position in range(longest):
        counter.idle += int(ended.sum())
        log_probs = _end_only(_log_probs(progress, tokens, counter), limits[owner] <= position + 1)
        best, tokens = log_probs.max(dim=1)
        growing = owner[~ended]
        said[growing, position] = tokens[~ended]
        scores[growing] += best[~ended].double()
        ended = ended | (tokens == END)
        gone = int(ended.sum())
        if gone == len(ended):
            break
        if gone >= _GONE * len(ended):
            rows = (~ended).nonzero()[:, 0]
            for one in progress:
                one.select(rows)
            owner, tokens, ended = owner[rows], tokens[rows], ended[rows]
    return [[_hypothesis(row, score)] for row, score in zip(said.tolist(), scores.tolist(), strict=True)]


def _beam(progress, limits: torch.Tensor, counter: Counter, *, beam: int, hypotheses: int, penalty: float):
    """An ended hypothesis keeps its place in the beam, so the search is greedy at width 1 and exhaustive at a great one."""
    device = progress[0].translator.device
    found: list[list[tuple[float, Hypothesis]]] = [[] for _ in limits]
    owner = torch.arange(len(limits), device=device)  # sentence of each open hypothesis
    scores = torch.zeros(len(limits), dtype=torch.float64, device=device)
    said = torch.full((len(limits), 1), START, device=device)
    room = torch.full((len(limits),), beam, device=device)  # hypotheses of each sentence that may still be open
    limits = limits.to(device)
    for position in range(int(limits.max())):
        log_probs = _end_only(_log_probs(progress, said[:, -1], counter), limits[owner] <= position + 1)
        best, tokens = log_probs.topk(min(beam, log_probs.shape[1]), dim=1)
        total = (scores[:, None] + best.double()).flatten()
        parents = torch.arange(len(owner), device=device).repeat_interleave(best.shape[1])
        kept = _best_of_each(total, owner[parents], room)
        parents, tokens, scores = parents[kept], tokens.flatten()[kept], total[kept]
        said, owner = torch.cat([said[parents], tokens[:, None]], dim=1), owner[parents]
        for row in (tokens == END).nonzero()[:, 0].tolist():
            score = float(scores[row])
            found[int(owner[row])].append(
                (score / (position + 1) ** penalty, _hypothesis(said[row, 1:].tolist(), score))
            )
            room[owner[row]] -= 1
        left = (tokens != END) & ~_settled(found, owner, scores, limits, hypotheses, penalty)
        rows = left.nonzero()[:, 0]
        if not len(rows):
            break
        owner, scores, said = owner[rows], scores[rows], said[rows]
        for one in progress:
            one.select(parents[rows])
    return [[one for _, one in _ranked(ended)[:hypotheses]] for ended in found]


def _best_of_each(scores: torch.Tensor, owner: torch.Tensor, room: torch.Tensor) -> torch.Tensor:
    """Places of the `room` best finite scores of each owner, best first; the first of equals."""
    order = torch.argsort(scores, descending=True, stable=True)
    order = order[torch.isfinite(scores[order])]
    order = order[torch.argsort(owner[order], stable=True)]
    own = owner[order]
    counts = torch.bincount(own, minlength=len(room))
    starts = counts.cumsum(0) - counts
    rank = torch.arange(len(order), device=order.device) - starts[own]
    return order[rank < room[own]]


def _settled(found, owner, scores, limits, hypotheses: int, penalty: float) -> torch.Tensor:
    """Which open hypotheses can no longer be among the best of their sentence: they only lose probability."""
    worst = torch.full((len(found),), -math.inf, dtype=torch.float64)
    for number, ended in enumerate(found):
        if len(ended) >= hypotheses:
            worst[number] = _ranked(ended)[hypotheses - 1][0]
    reachable = scores / limits[owner].double() ** penalty
    return reachable <= worst.to(scores.device)[owner]


def _ranked(ended: list[tuple[float, Hypothesis]]) -> list[tuple[float, Hypothesis]]:
    return sorted(ended, key=lambda one: (-one[0], one[1].tokens.tolist()))


def _hypothesis(tokens: list[int], score: float) -> Hypothesis:
    return Hypothesis(np.array(tokens[: tokens.index(END) + 1], dtype=np.int64), score)
