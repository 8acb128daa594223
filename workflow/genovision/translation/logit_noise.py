"""A distribution over logits: each logit on its own, Laplace or Gaussian around a location, fitted to those of an ensemble's members.

Logit-based ensemble distribution distillation (Fathullah, Xia & Gales 2023). The members' logits are their log-softmax outputs, since the
logits of separately trained networks differ by a shift that means nothing. Letters: M members, K logits, S samples; members and samples
are axis -2, logits axis -1.
"""

import math
from functools import lru_cache
from typing import Literal

import torch

Family = Literal["laplace", "gaussian"]
LOW, HIGH = 1e-3, 10.0  # bounds of a scale


def laplace_nll(
    location: torch.Tensor, scale: torch.Tensor, member_logits: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Negative log-likelihood (...) of members' logits (..., M, K) under Laplace noise: location and scale (..., K).

    sum_k [ mean_m |l_mk - mu_k| / s_k + ln s_k + ln 2 ], in nats; a mean over members, a sum over logits. Least where mu_k is a median of
    the members and s_k their mean absolute deviation from it (`fit_laplace`).

    weight: (..., K), what each logit's term counts, for instance 0 to leave one out. Numbers for location and scale, with (M,) logits, are
    a single logit. Raises ValueError naming the shapes when they disagree, and for a scale of 0 or below.
    """
    location, scale, member_logits = _checked(location, scale, member_logits)
    deviation = (member_logits - location.unsqueeze(-2)).abs().mean(dim=-2)
    return _summed(deviation / scale + scale.log() + math.log(2), weight)


def gaussian_nll(
    location: torch.Tensor, scale: torch.Tensor, member_logits: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """Negative log-likelihood (...) of members' logits (..., M, K) under Gaussian noise: location and scale (..., K).

    sum_k [ mean_m (l_mk - mu_k)^2 / (2 s_k^2) + ln s_k + ln sqrt(2 pi) ], in nats. Least at the members' mean and standard deviation, that
    of the population (`fit_gaussian`). `weight` and errors as for `laplace_nll`.
    """
    location, scale, member_logits = _checked(location, scale, member_logits)
    deviation = (member_logits - location.unsqueeze(-2)).square().mean(dim=-2)
    return _summed(deviation / (2 * scale.square()) + scale.log() + math.log(2 * math.pi) / 2, weight)


NLL = {"laplace": laplace_nll, "gaussian": gaussian_nll}


def fit_laplace(member_logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Median and mean absolute deviation from it, each (..., K), of members' logits (..., M, K): the maximum of the likelihood.

    The median of an even number is the mean of the two in the middle (any point between them is as likely). Identical members have scale 0.
    """
    members = _members(member_logits)
    ordered = member_logits.sort(dim=-2).values
    location = (ordered[..., (members - 1) // 2, :] + ordered[..., members // 2, :]) / 2
    return location, (member_logits - location.unsqueeze(-2)).abs().mean(dim=-2)


def fit_gaussian(member_logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (divided by M), each (..., K), of members' logits (..., M, K): the maximum of the likelihood."""
    _members(member_logits)
    return member_logits.mean(dim=-2), member_logits.std(dim=-2, correction=0)


FITS = {"laplace": fit_laplace, "gaussian": fit_gaussian}


def sample(
    location: torch.Tensor, scale: torch.Tensor, samples: int, *, family: Family, generator: torch.Generator
) -> torch.Tensor:
    """Logits (..., S, K) drawn around location (..., K) with scale (..., K); a scale of 0 gives the location.

    Each sample is to a student what a member is to an ensemble. Raises ValueError naming shapes, number or family.
    """
    if location.shape != scale.shape or not location.ndim:
        raise ValueError(f"location {tuple(location.shape)} and scale {tuple(scale.shape)} need one shape (..., K)")
    if samples < 1:
        raise ValueError(f"samples {samples} must be 1 or more")
    shape = (*location.shape[:-1], samples, location.shape[-1])
    if family == "laplace":
        # inverse distribution; 1 - |u| stays above 0, so that no draw is infinite
        u = torch.rand(shape, generator=generator, dtype=location.dtype) * 2 - 1
        noise = -u.sign() * torch.log1p(-u.abs().clamp(max=1 - torch.finfo(u.dtype).eps / 2))
    elif family == "gaussian":
        noise = torch.randn(shape, generator=generator, dtype=location.dtype)
    else:
        raise ValueError(f"family {family!r} is none of {', '.join(NLL)}")
    return location.unsqueeze(-2) + scale.unsqueeze(-2) * noise


@lru_cache(maxsize=2)
def noise(kind: str, positions: int, samples: int, columns: int, seed: int) -> torch.Tensor:
    """Draws (positions, S, K) of scale 1 around 0; those of a position do not depend on how many positions there are."""
    zero = torch.zeros(columns)
    generator = torch.Generator()
    drawn = [
        sample(zero, zero + 1, samples, family=kind, generator=generator.manual_seed(seed * 1_000_003 + position))
        for position in range(positions)
    ]
    return torch.stack(drawn)


def bounded_scale(raw: torch.Tensor, low: float = LOW, high: float = HIGH) -> torch.Tensor:
    """A scale in (low, high) from any real number, growing with it: sqrt(low high) exp(raw) about raw = 0, levelling off at the bounds."""
    log_low, reach = _reach(low, high)
    return torch.exp(log_low + reach * torch.sigmoid(raw * (4 / reach)))


def raw_scale(scale: torch.Tensor | float, low: float = LOW, high: float = HIGH) -> torch.Tensor:
    """The inverse of `bounded_scale`, so that a head can start at a wanted scale; ValueError for one outside of (low, high)."""
    log_low, reach = _reach(low, high)
    scale = torch.as_tensor(scale)
    if not ((scale > low) & (scale < high)).all():
        raise ValueError(f"a scale must lie between {low} and {high}, and neither of them")
    return torch.logit((scale.log() - log_low) / reach) * (reach / 4)


def heavy(scale: torch.Tensor) -> torch.Tensor:
    """Share (...) of scales (..., K) that are 1 or more, float64.

    A Laplace logit of such a scale has no mean of its exponential, so softmax samples of it are ruled by single draws: an alarm.
    """
    return (scale >= 1).double().mean(dim=-1)


def _checked(location, scale, member_logits) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    location, scale, member_logits = map(torch.as_tensor, (location, scale, member_logits))
    if location.ndim == scale.ndim == 0 and member_logits.ndim == 1:
        location, scale, member_logits = location[None], scale[None], member_logits[:, None]
    wanted = (*member_logits.shape[:-2], *member_logits.shape[-1:])
    if member_logits.ndim < 2 or location.shape != wanted or scale.shape != wanted or not member_logits.shape[-2]:
        raise ValueError(
            f"location {tuple(location.shape)}, scale {tuple(scale.shape)} and member_logits {tuple(member_logits.shape)} "
            "disagree: (..., K), (..., K) and (..., M, K) are needed"
        )
    if (scale <= 0).any():
        raise ValueError(f"a scale is {float(scale.min())}; scales are above 0")
    return location, scale, member_logits


def _members(member_logits: torch.Tensor) -> int:
    if member_logits.ndim < 2 or not member_logits.shape[-2]:
        raise ValueError(f"member_logits are (..., M, K) with M >= 1, these have shape {tuple(member_logits.shape)}")
    return member_logits.shape[-2]


def _summed(terms: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    if weight is None:
        return terms.sum(dim=-1)
    if weight.shape != terms.shape:
        raise ValueError(f"weight has shape {tuple(weight.shape)}, location and scale {tuple(terms.shape)}")
    return (terms * weight).sum(dim=-1)


def _reach(low: float, high: float) -> tuple[float, float]:
    if not 0 < low < high < math.inf:
        raise ValueError(f"bounds of a scale are 0 < low < high, these are {low} and {high}")
    return math.log(low), math.log(high) - math.log(low)
