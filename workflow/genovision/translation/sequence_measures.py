"""How unsure an ensemble is of a sequence, token by token and as a whole (Malinin & Gales 2021).

The members predict every token from those before it. Their distributions at a position can be averaged as they are (product of
expectations, `pe`), or weighted by how probable each member finds the tokens before (expectation of products, `ep`). All is float64, in
nats, and higher = less sure. Samples of a student take the place of members.

Letters: B sentences, L positions (the end token counts, padding does not), M members, K tokens of the support.
"""

import math

import torch

TOKEN = ("total", "data", "mutual_information", "epkl", "rmi", "total_ep", "rmi_ep")
SEQUENCE = ("sequence_total_pe", "sequence_total_ep", "sequence_data", "sequence_rmi_pe", "sequence_rmi_ep")
# of these a single model knows nothing, they are 0 for it
KNOWLEDGE = ("mutual_information", "epkl", "rmi", "rmi_ep", "sequence_rmi_pe", "sequence_rmi_ep")
_LEAST = -1e4  # of a logarithm: a token that a member excludes leaves sums finite


def token_measures(
    log_probs: torch.Tensor,
    tokens: torch.Tensor,
    mask: torch.Tensor | None = None,
    member_token_logs: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    """Measures (B, L) of every position by the names of `TOKEN`, 0 where the mask is off.

    log_probs:          (B, L, M, K), normalised over K here (so logits will do)
    tokens:             (B, L) whole numbers, the token that is there as an index into K
    mask:               (B, L) bool, on where there is a token; default everywhere
    member_token_logs:  (B, L, M), the members' log-probabilities of the tokens, where they are known from elsewhere (a bucket of the
                        support holds the token); default: from log_probs

      total               H(mean_m p_m)
      data                mean_m H(p_m)
      mutual_information  total - data >= 0
      epkl                mean over ordered pairs of members (one with itself included) of KL(p_m || p_n) >= mutual_information
      rmi                 mean_m KL(mean p || p_m) = epkl - mutual_information, reverse mutual information
      total_ep            entropy of the mean that is weighted by the members' probabilities of the tokens before
      rmi_ep              mean_m KL(that mean || p_m)

    Raises ValueError for shapes that disagree (all named), a token outside of K, and what is no distribution (naming sentence, position).
    """
    logs, tokens, mask = _checked(log_probs, tokens, mask)
    return _token_measures(logs, _token_logs(logs, tokens, mask, member_token_logs), mask)


def sequence_uncertainty(
    log_probs: torch.Tensor,
    tokens: torch.Tensor,
    mask: torch.Tensor | None = None,
    member_token_logs: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    """Measures (B,) of sentences: those of `token_measures` averaged over true tokens, and those of the hypothesis as a whole, per token.

    Arguments as for `token_measures`.

      sequence_total_pe   -(1/L) sum_t ln mean_m p_m(w_t)
      sequence_total_ep   -(1/L) ln mean_m prod_t p_m(w_t)
      sequence_data       -(1/L) mean_m sum_t ln p_m(w_t), the bound that both stay below
      sequence_rmi_pe     sequence_data - sequence_total_pe >= 0
      sequence_rmi_ep     sequence_data - sequence_total_ep >= 0

    The knowledge of one member about what others say is exactly 0. Raises ValueError as `token_measures`, and for a sentence without tokens
    (naming the row).
    """
    logs, tokens, mask = _checked(log_probs, tokens, mask)
    lengths = mask.sum(dim=1)
    if (lengths == 0).any():
        raise ValueError(f"row {int((lengths == 0).nonzero()[0, 0])} has no token: its mask is off everywhere")
    own = _token_logs(logs, tokens, mask, member_token_logs)  # (B, L, M), 0 where the mask is off
    found = {name: values.sum(dim=1) / lengths for name, values in _token_measures(logs, own, mask).items()}
    sums = own.sum(dim=1)  # (B, M)
    data = -sums.mean(dim=1)
    if sums.shape[1] == 1:  # a single member differs from nobody, not even by rounding
        total_pe = total_ep = data
    else:
        total_pe = -(_log_mean(own, dim=2) * mask).sum(dim=1)
        total_ep = -_log_mean(sums, dim=1)
    whole = {
        "sequence_total_pe": total_pe,
        "sequence_total_ep": total_ep,
        "sequence_data": data,
        "sequence_rmi_pe": (data - total_pe).clamp(min=0),
        "sequence_rmi_ep": (data - total_ep).clamp(min=0),
    }
    return found | {name: values / lengths for name, values in whole.items()}


def combine(measures: torch.Tensor, log_probs: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """A measure (B,) of inputs from those (n, B) of their n best hypotheses, weighted by softmax(log_probs / temperature) over them.

    log_probs: (n, B), of the hypotheses, not divided by their lengths; -inf for one that is not there, whose measure may then be anything.
    An infinite temperature gives the plain mean of those that are there. Raises ValueError for shapes, temperature and a column of -inf.
    """
    if measures.shape != log_probs.shape or measures.ndim != 2 or not len(measures):
        raise ValueError(
            f"measures {tuple(measures.shape)} and log_probs {tuple(log_probs.shape)} need one shape (n, B)"
        )
    if not temperature > 0:
        raise ValueError(f"temperature {temperature} must be above 0")
    logs, there = log_probs.double(), log_probs > -math.inf
    if not there.any(dim=0).all():
        raise ValueError(f"input {int((~there.any(dim=0)).nonzero()[0, 0])} has no hypothesis")
    weights = torch.where(there, logs / temperature, -math.inf).softmax(dim=0)
    return torch.where(there, measures.double() * weights, 0).sum(dim=0)


def _token_measures(logs: torch.Tensor, own: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    """From normalised logs (B, L, M, K), the members' logarithms of the tokens (B, L, M), 0 where the mask is off."""
    members = logs.shape[2]
    p, finite = logs.exp(), logs.clamp(min=_LEAST)
    mean_log = finite.mean(dim=2)  # (B, L, K)
    data = -(p * finite).sum(dim=3).mean(dim=2)
    if members == 1:
        cross = total = total_ep = cross_ep = data
    else:
        mean = p.mean(dim=2)
        total, cross = -torch.special.xlogy(mean, mean).sum(dim=2), -(mean * mean_log).sum(dim=2)
        before = own.cumsum(dim=1) - own
        weighted = (p * before.softmax(dim=2).unsqueeze(3)).sum(dim=2)
        total_ep, cross_ep = -torch.special.xlogy(weighted, weighted).sum(dim=2), -(weighted * mean_log).sum(dim=2)
    found = {
        "total": total,
        "data": data,
        # rounding can leave -1e-17 where members agree
        "mutual_information": (total - data).clamp(min=0),
        "epkl": (cross - data).clamp(min=0),
        "rmi": (cross - total).clamp(min=0),
        "total_ep": total_ep,
        "rmi_ep": (cross_ep - total_ep).clamp(min=0),
    }
    return {name: torch.where(mask, values, 0) for name, values in found.items()}


def _log_mean(logs: torch.Tensor, dim: int) -> torch.Tensor:
    return logs.logsumexp(dim=dim) - math.log(logs.shape[dim])


def _token_logs(logs, tokens, mask, given: torch.Tensor | None) -> torch.Tensor:
    """The members' log-probabilities (B, L, M) of the tokens, 0 where the mask is off."""
    if given is None:
        places = tokens[..., None, None].expand(*logs.shape[:3], 1)
        given = logs.gather(3, places)[..., 0]
    elif given.shape != logs.shape[:3]:
        raise ValueError(f"member_token_logs have shape {tuple(given.shape)}, {tuple(logs.shape[:3])} is needed")
    given = torch.where(mask.unsqueeze(2), given.double(), 0)
    if given.isnan().any():
        sentence, position, member = given.isnan().nonzero()[0].tolist()
        raise ValueError(f"member_token_logs of sentence {sentence}, position {position}, member {member} are NaN")
    return given.clamp(min=_LEAST)


def _checked(log_probs, tokens, mask) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalised float64 logs, uniform where the mask is off, tokens and mask."""
    if mask is None:
        mask = torch.ones_like(tokens, dtype=torch.bool)
    if (
        log_probs.ndim != 4
        or not log_probs.shape[2]
        or tokens.shape != log_probs.shape[:2]
        or mask.shape != tokens.shape
    ):
        raise ValueError(
            f"log_probs {tuple(log_probs.shape)}, tokens {tuple(tokens.shape)} and mask {tuple(mask.shape)} disagree: "
            "(B, L, M, K), (B, L) and (B, L) are needed"
        )
    mask = mask.bool()
    # whatever stands in the padding, NaN too, must not come into any sum
    logs = torch.where(mask[..., None, None], log_probs.double(), 0)
    logs = logs - logs.logsumexp(dim=3, keepdim=True)  # on few letters several times as fast as log_softmax
    tokens = torch.where(mask, tokens, 0).long()
    if logs.isnan().any():
        sentence, position, member, _ = logs.isnan().nonzero()[0].tolist()
        raise ValueError(f"member {member} gives no distribution in sentence {sentence} at position {position}")
    odd = (tokens < 0) | (tokens >= logs.shape[3])
    if odd.any():
        sentence, position = odd.nonzero()[0].tolist()
        token = int(tokens[sentence, position])
        raise ValueError(
            f"token {token} in sentence {sentence} at position {position} is none of the {logs.shape[3]} of the support"
        )
    return logs, tokens, mask
