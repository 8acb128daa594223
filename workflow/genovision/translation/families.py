"""What a student says of its members beside their mean, by family, and what it is trained by; the same for words and for bases.

  end                       nothing: ensemble distillation
  dirichlet                 a Dirichlet by the likelihood of the members' distributions (Malinin et al. 2020)
  proxy_dirichlet           a Dirichlet by the reverse KL to one that stands for the members (Ryabinin et al. 2021)
  laplace, gaussian         noise on each logit, by the likelihood of the members' (Fathullah, Xia & Gales 2023)
  laplace_top, gaussian_top the same on a support of a vocabulary and the bucket of all other tokens

The mean of a Dirichlet and the location of noise are a student's own softmax, so that it keeps the meaning that it has in a member.
Letters: M members, K logits.
"""

import torch

from genovision.translation.dirichlet import dirichlet_nll, proxy_target, reverse_kl
from genovision.translation.logit_noise import FITS, HIGH, LOW, NLL

DIRICHLETS = ("dirichlet", "proxy_dirichlet")
PRECISIONS = (1.0, 1e6)  # bounds of a Dirichlet's


def noise_of(family: str) -> str | None:
    """`laplace`, `gaussian`, or None for a family without noise on logits."""
    kind = family.removesuffix("_top")
    return kind if kind in NLL else None


def bounds_of(family: str) -> tuple[float, float]:
    """Bounds of a scale, or of a Dirichlet's precision."""
    return PRECISIONS if family in DIRICHLETS else (LOW, HIGH)


def typical_spread(family: str, logs: torch.Tensor, bounds: tuple[float, float]) -> float | None:
    """The one scale, or precision, that fits members' log-probabilities (..., M, K), inside the bounds: where a student begins. None for
    a family without a spread."""
    if noise_of(family):
        found = float(FITS[noise_of(family)](logs)[1].double().mean())
    elif family in DIRICHLETS:
        mean = logs.double().exp().mean(dim=-2)
        divergence = torch.special.xlogy(mean, mean) - mean * logs.double().mean(dim=-2)
        found = (logs.shape[-1] - 1) / (2 * max(float(divergence.sum(dim=-1).mean()), 1e-9))
    else:
        return None
    low, high = bounds
    return min(max(found, 1.01 * low), high / 1.01)


def loss(
    family: str,
    log_probs: torch.Tensor,
    spread: torch.Tensor | None,
    logs: torch.Tensor,
    weight: float = 1.0,
    centre: str = "student",
) -> torch.Tensor:
    """What a student is trained by, (...) in nats, from members' log-probabilities (..., M, K).

    log_probs: (..., K), the logarithm of its mean or location;  spread: (..., K) scales, (..., 1) precision of a Dirichlet, None for end

    end                mean_m KL(p_m || q)
    laplace, gaussian  the same of the location, plus `weight` times the negative log-likelihood of the members' log-probabilities
    dirichlet          the negative log-density of the members' distributions; on a support that of its aggregated Dirichlet
    proxy_dirichlet    KL from the student's Dirichlet to the members' proxy, 1 added to the parameters of both

    centre: of the likelihood. `student`: its location, as published, so that a scale holds what the student got wrong besides the members'
    spread; `members`: the location that fits the members best, so that a scale holds their spread alone, and the location is learnt from KL
    """
    if family in DIRICHLETS:
        alpha = log_probs.double().exp() * spread.double()
        if family == "dirichlet":
            return dirichlet_nll(alpha.clamp_min(1e-8), logs)
        return reverse_kl(alpha + 1, proxy_target(logs))
    divergence = kl(log_probs, logs)
    kind = noise_of(family)
    if kind is None:
        return divergence
    location = log_probs if centre == "student" else FITS[kind](logs)[0]
    return divergence + weight * NLL[kind](location, spread, logs)


def kl(log_probs: torch.Tensor, logs: torch.Tensor) -> torch.Tensor:
    """mean_m KL(p_m || q) of log-probabilities q (..., K) and members' (..., M, K): (...) in nats."""
    p = logs.exp()
    own = torch.special.xlogy(p, p).sum(dim=-1).mean(dim=-1)
    return own - (p.mean(dim=-2) * log_probs).sum(dim=-1)
