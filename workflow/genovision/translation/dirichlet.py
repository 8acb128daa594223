"""A Dirichlet distribution over a position's probabilities: losses that fit it to an ensemble, and its uncertainties in closed form.

Ensemble distribution distillation (Malinin et al. 2020) and proxy-Dirichlet distillation (Ryabinin et al. 2021). alpha (..., K) > 0 are its
parameters, alpha_0 their sum; members are axis -2. Everything is computed in float64, since at large alpha the terms cancel; logarithms
are natural.
"""

import torch

MOST = 1e5  # of a proxy's precision: members that agree in everything would make it infinite
_LEAST = -1e4  # of a log-probability: one that a member excludes leaves sums finite


def dirichlet_nll(alpha: torch.Tensor, member_log_probs: torch.Tensor) -> torch.Tensor:
    """Negative log-density (...) of the members' distributions (..., M, K) under Dir(alpha), averaged over members, in nats.

    ln B(alpha) - sum_k (alpha_k - 1) mean_m ln p_mk. It can be below 0, being a density's. Raises ValueError naming shapes that disagree.
    """
    alpha, logs = _pair(alpha, member_log_probs)
    return _log_beta(alpha) - ((alpha - 1) * logs.mean(dim=-2)).sum(dim=-1)


def proxy_target(
    member_log_probs: torch.Tensor, *, k: int | None = None, offset: float = 1.0, most: float = MOST
) -> torch.Tensor:
    """The Dirichlet (..., K) that stands for the members (..., M, K): offset + beta_0 mean_m p_m (Ryabinin et al. 2021, section 3).

    beta_0 = (k - 1) / (2 mean_m KL(mean p || p_m)), at most `most`: the precision at which a Dirichlet's divergence of this kind is, to
    first order, the members'.  k: size of the vocabulary, by default that of the support given.
    """
    if member_log_probs.ndim < 2 or member_log_probs.shape[-2] < 1:
        raise ValueError(
            f"member_log_probs are (..., M, K) with M >= 1, these have shape {tuple(member_log_probs.shape)}"
        )
    logs = member_log_probs.double().clamp(min=_LEAST)
    mean = logs.exp().mean(dim=-2)
    divergence = (torch.special.xlogy(mean, mean) - mean * logs.mean(dim=-2)).sum(dim=-1, keepdim=True)
    free = (logs.shape[-1] if k is None else k) - 1
    return offset + mean * (free / (2 * divergence.clamp(min=free / (2 * most))))


def reverse_kl(alpha: torch.Tensor, target_alpha: torch.Tensor) -> torch.Tensor:
    """KL(Dir(alpha) || Dir(target_alpha)) >= 0, shape (...), in nats: the student first, so that it settles in one mode of the target."""
    if alpha.shape != target_alpha.shape or not alpha.ndim:
        raise ValueError(
            f"alpha {tuple(alpha.shape)} and target_alpha {tuple(target_alpha.shape)} need one shape (..., K)"
        )
    alpha, target = _positive(alpha), _positive(target_alpha)
    return _log_beta(target) - _log_beta(alpha) + ((alpha - target) * expected_log(alpha)).sum(dim=-1)


def expected_log(alpha: torch.Tensor) -> torch.Tensor:
    """E ln p_k = psi(alpha_k) - psi(alpha_0), shape (..., K): what a mean of members' log-probabilities is to an ensemble."""
    alpha = _positive(alpha)
    return torch.digamma(alpha) - torch.digamma(alpha.sum(dim=-1, keepdim=True))


def measures(alpha: torch.Tensor) -> dict[str, torch.Tensor]:
    """Uncertainties (...) of Dir(alpha), higher = less sure, in nats, and log_mean (..., K) = ln(alpha / alpha_0).

    total               entropy of the mean
    data                expected entropy
    mutual_information  total - data >= 0
    epkl                expected KL of one draw from another: (K - 1) / alpha_0
    rmi                 expected KL of the mean from a draw, reverse mutual information: epkl - mutual_information
    """
    alpha = _positive(alpha)
    alpha_0 = alpha.sum(dim=-1)
    mean, log_mean = alpha / alpha_0.unsqueeze(-1), alpha.log() - alpha_0.log().unsqueeze(-1)
    total = -(mean * log_mean).sum(dim=-1)
    # sum_k mean_k E ln p_k: of all terms over the vocabulary the dear one, asked once
    cross = -(mean * torch.digamma(alpha)).sum(dim=-1) + torch.digamma(alpha_0)
    epkl = (alpha.shape[-1] - 1) / alpha_0
    # psi(a + 1) = psi(a) + 1 / a turns the expected entropy into cross - epkl
    data = cross - epkl
    return {
        "total": total,
        "data": data,
        # rounding can leave -1e-17 at a large alpha_0
        "mutual_information": (total - data).clamp(min=0),
        "epkl": epkl,
        "rmi": (cross - total).clamp(min=0),
        "log_mean": log_mean,
    }


def hypothesis_measures(alpha: torch.Tensor, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of every position, the measures (...) that `sequence_uncertainty` takes the mean of, for tokens (...) and Dirichlets alpha (..., K).

    Those of `measures`, and of the token that is there. Draws of different positions are independent, so that weighing them by the tokens
    before changes nothing: expectations of products are products of expectations, and the `ep` measures equal the others.
    """
    found = measures(alpha)
    own = alpha.double().gather(-1, tokens.unsqueeze(-1))[..., 0]
    total = -found.pop("log_mean").gather(-1, tokens.unsqueeze(-1))[..., 0]
    data = torch.digamma(alpha.double().sum(dim=-1)) - torch.digamma(own)
    rmi = (data - total).clamp(min=0)
    found |= {"total_ep": found["total"], "rmi_ep": found["rmi"]}
    found |= {"sequence_total_pe": total, "sequence_total_ep": total, "sequence_data": data}
    return found | {"sequence_rmi_pe": rmi, "sequence_rmi_ep": rmi}


def sample_dirichlet(alpha: torch.Tensor, samples: int, generator: torch.Generator) -> torch.Tensor:
    """Log-probabilities (..., S, K) of draws from Dir(alpha), float64; ValueError for less than one sample.

    Gamma variates are drawn as those of alpha + 1 times U^(1 / alpha), in logarithms, so that a small alpha does not end at ln 0.
    """
    if samples < 1:
        raise ValueError(f"samples {samples} must be 1 or more")
    alpha = _positive(alpha).unsqueeze(-2)
    alpha = alpha.expand(*alpha.shape[:-2], samples, alpha.shape[-1]).contiguous()
    uniform = 1 - torch.rand(alpha.shape, generator=generator, dtype=torch.float64)  # in (0, 1]
    logs = torch._standard_gamma(alpha + 1, generator=generator).log() + uniform.log() / alpha
    return logs.log_softmax(dim=-1)


def _log_beta(alpha: torch.Tensor) -> torch.Tensor:
    return torch.lgamma(alpha).sum(dim=-1) - torch.lgamma(alpha.sum(dim=-1))


def _positive(alpha: torch.Tensor) -> torch.Tensor:
    alpha = alpha.double()
    if not alpha.ndim or alpha.shape[-1] < 2:
        raise ValueError(f"alpha is (..., K) with K >= 2, this has shape {tuple(alpha.shape)}")
    if (alpha <= 0).any():
        raise ValueError(f"an alpha is {float(alpha.min())}; parameters of a Dirichlet are above 0")
    return alpha


def _pair(alpha: torch.Tensor, logs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if logs.ndim < 2 or not logs.shape[-2] or alpha.shape != (*logs.shape[:-2], logs.shape[-1]):
        raise ValueError(
            f"alpha {tuple(alpha.shape)} and member_log_probs {tuple(logs.shape)} disagree: (..., K) and (..., M, K) are needed"
        )
    return _positive(alpha), logs.double().clamp(min=_LEAST)
