"""The one number by which a student's scales are multiplied so that its draws disagree as its teachers do.

Teachers' log-probabilities differ most for tokens that nobody expects, and they differ together; independent draws of scales that fit each
token alone disagree more than the members. The factor is matched on validation tokens in the domain: no other sentence is asked.

Letters: T target tokens, M members, S samples, K columns of a support, its bucket counted.
"""

import numpy as np
import torch

from genovision.translation.batches import padded, token_batches
from genovision.translation.decoding import evaluating
from genovision.translation.families import noise_of
from genovision.translation.logit_noise import noise
from genovision.translation.students import Student, said
from genovision.translation.teachers import VALID, Cache, read_logs, select
from genovision.translation.tokenizer import PAD

LOW, HIGH = 0.01, 4.0  # a factor is looked for between
_HALVINGS = 20


@torch.inference_mode()
def matched_spread(student: Student, cache: Cache, *, samples: int = 25, tokens: int = 3000, seed: int = 0) -> float:
    """The factor at which the mean mutual information of a student's draws is that of the members, over (some) validation tokens.

    By bisection between `LOW` and `HIGH`, which is what comes back where no factor between them does it. ValueError for a student without
    noise, and in training mode.
    """
    kind = noise_of(student.family)
    if kind is None:
        raise ValueError(f"a student {student.family} has no noise")
    evaluating([student.network])
    rows, network = cache.of(VALID), student.network
    part, found, positions, wanted, seen = select(cache.corpus, rows), [], [], [], 0
    for batch in token_batches(part, 1000, 0, 0):
        source, target = padded(part, batch)
        mask = target != PAD
        states = network.states(network.encode(source), target)[mask.to(network.device)]
        places = cache.positions(rows[batch])
        support = None if cache.tokens is None else torch.from_numpy(cache.tokens[places].astype(np.int64))
        found.append(said(student, states, None if support is None else support.to(network.device)))
        positions.append(torch.arange(target.shape[1]).expand_as(mask)[mask])
        wanted.append(mutual_information(read_logs(cache.logs[places])))
        seen += len(places)
        if seen >= tokens:
            break
    location, scale = (torch.cat([getattr(one, name).cpu() for one in found]) for name in ("log_probs", "spread"))
    where, aim = torch.cat(positions), float(torch.cat(wanted).double().mean())
    drawn = noise(kind, int(where.max()) + 1, samples, location.shape[-1], seed)
    low, high = LOW, HIGH
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        logits = location[:, None] + (middle * scale)[:, None] * drawn[where]
        if float(mutual_information(logits).double().mean()) < aim:
            low = middle
        else:
            high = middle
    return (low * high) ** 0.5


def mutual_information(logits: torch.Tensor) -> torch.Tensor:
    """H(mean_m p_m) - mean_m H(p_m), (T,), of logits (T, M, K); nothing but a number to match, in single precision."""
    logs = logits.log_softmax(dim=-1)
    p = logs.exp()
    mean = p.mean(dim=-2)
    return torch.special.xlogy(p, p).sum(dim=-1).mean(dim=-1) - torch.special.xlogy(mean, mean).sum(dim=-1)
