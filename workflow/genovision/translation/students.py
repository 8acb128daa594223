"""Students of an ensemble of translation networks: one network that says what its members would, and how far they would disagree.

A student begins as a copy of a member, with a second output layer where its family (genovision.translation.families) has one. Those of the
whole vocabulary are as published; the others have noise on the k likeliest tokens and on the bucket of all others.

Letters: T target tokens, M members, V vocabulary, k tokens of a support, K columns (k and the rest bucket, or V).
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from genovision.atomic import replacing
from genovision.errors import InputError
from genovision.training import seeded
from genovision.translation.batches import Batches, padded, token_batches
from genovision.translation.families import DIRICHLETS, bounds_of, kl, loss, noise_of, typical_spread
from genovision.translation.logit_noise import HIGH, LOW, bounded_scale, heavy, raw_scale
from genovision.translation.network import Translator, read_network, warm_started, write_network
from genovision.translation.teachers import TRAIN, VALID, Cache, read_logs, select
from genovision.translation.tokenizer import PAD

FAMILIES = ("end", "dirichlet", "proxy_dirichlet", "laplace", "gaussian", "laplace_top", "gaussian_top")
FULL = ("laplace", "gaussian")  # they learn from the whole vocabulary
CENTRES = ("student", "members")  # of the likelihood of noise
FACTS = "student.json"
_TYPICAL = 5000  # training tokens that say where a spread begins


class Student(NamedTuple):
    """A network and how it is read.

    support:     tokens of a position that it is asked about, k
    temperature: by which its logits are divided, as the members' were when it was trained; decoding takes them as they are
    bounds:      of a scale, or of a Dirichlet's precision
    spread:      by which scales are multiplied when logits are drawn (genovision.translation.spreads)
    """

    network: Translator
    family: str
    support: int
    temperature: float = 1.0
    bounds: tuple[float, float] = (LOW, HIGH)
    spread: float = 1.0


class Said(NamedTuple):
    """log_probs (T, K), the logarithm of the mean or the location;  spread: (T, K) scales, (T, 1) precision of a Dirichlet, or None."""

    log_probs: torch.Tensor
    spread: torch.Tensor | None


def begin(
    member: Translator,
    family: str,
    cache: Cache,
    *,
    dropout: float | None = None,
    bounds: tuple[float, float] | None = None,
    spread: float | None = None,
) -> Student:
    """A student that says what the member says, its spread the cached members' own mean everywhere.

    dropout: in its training, default the member's;  spread: to begin with, default `typical_spread`
    InputError for an unknown family and for a cache of the other kind.
    """
    if family not in FAMILIES:
        raise InputError(f"family {family!r} is none of {', '.join(FAMILIES)}.")
    if (family in FULL) != (cache.tokens is None):
        kind = "the whole vocabulary" if family in FULL else "a support of some tokens"
        raise InputError(
            f"a student {family} learns from a cache of {kind}; write one with translation/cache_teachers."
        )
    head = "precision" if family in DIRICHLETS else "scale" if noise_of(family) else None
    network = warm_started(member, head)
    if dropout is not None:
        network = _with_dropout(network, dropout)
    support = member.sizes.vocabulary if cache.tokens is None else cache.tokens.shape[1]
    bounds = bounds or bounds_of(family)
    student = Student(network, family, support, cache.temperature, bounds)
    if head:
        places = cache.positions(cache.of(TRAIN))
        some = read_logs(cache.logs[places[:: max(1, len(places) // _TYPICAL)]])
        start = typical_spread(family, some, bounds) if spread is None else spread
        with torch.no_grad():
            network.second.bias.fill_(float(raw_scale(torch.tensor(start, dtype=torch.float64), *bounds)))
    return student


def said(student: Student, states: torch.Tensor, tokens: torch.Tensor | None = None) -> Said:
    """What the student says from decoder states (T, D), on a support (T, k) and the bucket of all other tokens, or on the vocabulary."""
    logits, second = student.network.outputs(states)
    log_probs = (logits / student.temperature).log_softmax(dim=-1)
    spread = None if second is None else bounded_scale(second, *student.bounds)
    if tokens is not None:
        log_probs = supported(log_probs, tokens)
        if student.family not in DIRICHLETS and spread is not None:
            spread = torch.cat([spread.gather(-1, tokens), spread[..., -1:]], dim=-1)
    elif noise_of(student.family):
        spread = spread[..., :-1]
    return Said(log_probs, spread)


def supported(log_probs: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Log-probabilities (..., k + 1) on a support (..., k) and of all other tokens, from those of the vocabulary (..., V)."""
    rest = log_probs.scatter(-1, tokens, -torch.inf).logsumexp(dim=-1, keepdim=True)
    return torch.cat([log_probs.gather(-1, tokens), rest], dim=-1)


class Lessons:
    """Training sentences of a cache; `loss(network, step)`, the mean over the tokens of the step's batch, for `training.train`."""

    def __init__(
        self,
        student: Student,
        cache: Cache,
        *,
        budget: int,
        seed: int,
        weight: float = 1.0,
        centre: str = "student",
    ):
        if centre not in CENTRES:
            raise InputError(f"centre {centre!r} is none of {', '.join(CENTRES)}.")
        if not weight > 0:
            raise InputError(f"the weight of the noise's likelihood, {weight}, must be above 0.")
        self.student, self.cache, self.seed, self.weight, self.centre = student, cache, seed, weight, centre
        self.rows = cache.of(TRAIN)
        self.batches = Batches(select(cache.corpus, self.rows), budget, seed)

    def loss(self, network: Translator, step: int) -> torch.Tensor:
        batch = self.batches.rows(step)
        source, target = padded(self.batches.corpus, batch)
        with seeded(self.seed, step, network.device):
            states = network.states(network.encode(source), target)
        tokens, logs = _taught(self.cache, self.rows[batch], network.device)
        found = said(self.student._replace(network=network), states[(target != PAD).to(network.device)], tokens)
        return loss(self.student.family, *found, logs, self.weight, self.centre).mean()


def _taught(cache: Cache, rows: np.ndarray, device: torch.device) -> tuple[torch.Tensor | None, torch.Tensor]:
    """(support (T, k) or None, members' log-probabilities (T, M, K)) of the tokens of sentences."""
    places = cache.positions(rows)
    tokens = None if cache.tokens is None else torch.from_numpy(cache.tokens[places].astype(np.int64)).to(device)
    return tokens, read_logs(cache.logs[places]).to(device)


@torch.inference_mode()
def held_out(
    student: Student, cache: Cache, weight: float = 1.0, centre: str = "student", budget: int = 1000
) -> dict[str, float]:
    """Means over the validation tokens of a cache: loss, kl (of the mean or location), nll of the references, mean_scale and heavy, the
    share of scales of 1 or more, both as they are drawn (precision for a Dirichlet's mean_scale; 0 where a family has none)."""
    network = student.network
    if network.training:
        raise ValueError("the network is in training mode: its dropout would change what is measured")
    sums, tokens_seen = dict.fromkeys(("loss", "kl", "nll", "mean_scale", "heavy"), 0.0), 0
    rows = cache.of(VALID)
    part = select(cache.corpus, rows)
    for batch in token_batches(part, budget, 0, 0):
        source, target = padded(part, batch)
        states = network.states(network.encode(source), target)[(target != PAD).to(network.device)]
        tokens, logs = _taught(cache, rows[batch], network.device)
        found = said(student, states, tokens)
        own = network.outputs(states).logits.double().log_softmax(dim=-1)
        gold = target[target != PAD].to(own.device)
        sums["loss"] += float(loss(student.family, *found, logs, weight, centre).double().sum())
        sums["kl"] += float(kl(found.log_probs.double(), logs.double()).sum())
        sums["nll"] -= float(own.gather(1, gold[:, None]).sum())
        if found.spread is not None:
            spread = found.spread * student.spread
            sums["mean_scale"] += float(spread.double().mean(dim=-1).sum())
            sums["heavy"] += float(heavy(spread).sum()) if noise_of(student.family) else 0.0
        tokens_seen += len(gold)
    return {name: value / tokens_seen for name, value in sums.items()}


def write_student(folder: str | os.PathLike, student: Student, vocabulary: str, facts: dict) -> None:
    """Write the network as a member's, and student.json, last, so that a folder with it is whole."""
    write_network(folder, student.network, vocabulary, facts)
    own = {name: getattr(student, name) for name in Student._fields if name != "network"}
    with replacing(Path(folder) / FACTS) as temporary:
        temporary.write_text(json.dumps(facts | own, indent=1, sort_keys=True) + "\n")


def read_student(folder: str | os.PathLike, vocabulary: str | None = None) -> tuple[Student, dict]:
    """(student in evaluation mode, its facts) of a folder; InputError for what `read_network` refuses, and for a folder of no student."""
    path = Path(folder) / FACTS
    network, _ = read_network(folder, vocabulary)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        student = Student(
            network,
            facts["family"],
            int(facts["support"]),
            float(facts["temperature"]),
            tuple(facts["bounds"]),
            float(facts["spread"]),
        )
    except FileNotFoundError:
        raise InputError(f"{path} is missing: {folder} is a member, not a student.") from None
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} does not describe a student; train it again.") from error
    wanted = "precision" if student.family in DIRICHLETS else "scale" if noise_of(student.family) else None
    if student.family not in FAMILIES or wanted != network.head:
        raise InputError(
            f"{path}: a student {student.family} has a second layer {wanted}, this network {network.head}."
        )
    return student, facts


def _with_dropout(network: Translator, dropout: float) -> Translator:
    copy = Translator(dataclasses.replace(network.sizes, dropout=dropout), network.head).to(network.device)
    copy.load_state_dict(network.state_dict())
    return copy.train(network.training)
