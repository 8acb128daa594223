"""What a student says of the tokens of given translations, in the form that the measures of uncertainty take.

A student of logits is sampled: S draws of the logits, each to it what a member is to an ensemble, on the k likeliest tokens of a position,
the token of the translation always among them, and a bucket for all others. The published procedure draws the whole vocabulary. The noise
at a position is the same for every sentence and every batch, a function of seed, position and place in the support: two sentences are
compared under the same draws, and a score depends on no other sentence. A Dirichlet needs no draws; one that was taught on a support is
aggregated to it, because nothing taught it how the mass of the bucket scatters.

Letters: B sentences, L target positions, T target tokens of all of them, S samples, k tokens of a support, V vocabulary.
"""

from typing import NamedTuple

import torch

from genovision.translation.decoding import evaluating
from genovision.translation.families import DIRICHLETS, noise_of
from genovision.translation.logit_noise import bounded_scale, noise
from genovision.translation.students import FULL, Student, supported
from genovision.translation.tokenizer import PAD
from genovision.translation.truncation import place

LARGEST = 64  # tokens of a support that samples are drawn on by default


class Prediction(NamedTuple):
    """Of T tokens, sentence by sentence.

    location:  (T, V) log-probabilities of the mean or the location, at the student's temperature
    own:       (T,) column of the token that is there in `log_probs`
    log_probs: (T, S, K) samples, or (T, 1, V) for a student without spread; None for a Dirichlet. Not normalised where K is a support, so
               that a measure must do it (`sequence_uncertainty` does)
    alpha:     (T, K) of a Dirichlet, else None
    scale:     (T, K) of the noise as it was drawn, else None
    """

    location: torch.Tensor
    own: torch.Tensor
    log_probs: torch.Tensor | None
    alpha: torch.Tensor | None
    scale: torch.Tensor | None


@torch.inference_mode()
def predict(
    student: Student,
    source: torch.Tensor,
    target: torch.Tensor,
    *,
    samples: int = 25,
    support: int | None = None,
    seed: int = 0,
    spread: float | None = None,
) -> Prediction:
    """What a student says of the tokens of targets (B, L), `PAD` behind each.

    samples: of a student of logits;  support: k, default that of `support_of`; V is the published procedure, and shows scales that a
    student of a support was never taught;  spread: by which scales are multiplied (1 is the student's word)
    The network must be in evaluation mode (ValueError).
    """
    network = student.network
    evaluating([network])
    mask = (target != PAD).to(network.device)
    gold = target.to(network.device)[mask]
    logits, second = network.outputs(network.states(network.encode(source), target)[mask])
    log_probs = (logits / student.temperature).log_softmax(dim=-1)
    kind, size = noise_of(student.family), network.sizes.vocabulary
    if kind is None and student.family not in DIRICHLETS:
        return Prediction(log_probs, gold, log_probs[:, None], None, None)
    if support is None or kind is None:
        support = support_of(student, support)
    location, own, tokens = log_probs, gold, None
    if support < size:
        tokens = _likeliest(log_probs, support, gold)
        location, own = supported(log_probs, tokens), place(tokens, gold)
    if kind is None:
        precision = bounded_scale(second.double(), *student.bounds)
        return Prediction(log_probs, own, None, location.double().exp() * precision, None)
    raw = second[:, :-1] if tokens is None else torch.cat([second.gather(-1, tokens), second[:, -1:]], dim=-1)
    scale = bounded_scale(raw, *student.bounds)
    if support < size and student.family in FULL:
        scale[:, -1] = 0  # it was taught no scale of the bucket: a sum over so many tokens hardly moves
    drawn = noise(kind, int(mask.sum(dim=1).max()), samples, location.shape[-1], seed).to(location.device)
    positions = torch.arange(target.shape[1], device=mask.device).expand_as(mask)[mask]
    scale = scale * (student.spread if spread is None else spread)
    sampled = location[:, None] + scale[:, None] * drawn[positions]
    return Prediction(log_probs, own, sampled, None, scale)


def support_of(student: Student, asked: int | None) -> int:
    """Tokens of a position that a student is asked about: no more than it was taught on; at most `LARGEST` of a whole vocabulary, unless
    more are asked for."""
    if asked is None:
        return min(student.support, LARGEST) if student.family in FULL else student.support
    return min(student.support, asked)


def _likeliest(log_probs: torch.Tensor, k: int, gold: torch.Tensor) -> torch.Tensor:
    """The k likeliest tokens (T, k), `gold` (T,) in the last place where it would not be among them."""
    tokens = log_probs.topk(k, dim=-1).indices
    absent = ~(tokens == gold[:, None]).any(dim=-1)
    tokens[:, -1] = torch.where(absent, gold, tokens[:, -1])
    return tokens
