"""The few tokens that matter at a position, and one bucket for the rest of the vocabulary.

Letters: M members, V vocabulary, k tokens of the support. The bucket is the last column: what each member gives to all other tokens
together, so that the k + 1 columns are a distribution again. Measures of it are lower bounds of those of the whole vocabulary (the bucket
cannot tell tokens apart), and equal to them at k = V.
"""

import math

import torch


def top(log_probs: torch.Tensor, k: int, keep: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The k tokens of the highest mean probability (..., k), and members' log-probabilities (..., M, k + 1) of them and the rest.

    log_probs: (..., M, V).  keep: (...) token that is in the support whatever its probability, in the last place where it would not be.
    Tokens stand from the most to the least probable. At k = V the bucket is empty, its logarithm -inf.
    Raises ValueError for shapes, for k outside 1..V and for a token outside the vocabulary.
    """
    if log_probs.ndim < 2 or not log_probs.shape[-2]:
        raise ValueError(f"log_probs are (..., M, V) with M >= 1, these have shape {tuple(log_probs.shape)}")
    size = log_probs.shape[-1]
    if not 1 <= k <= size:
        raise ValueError(f"a support of {k} tokens of a vocabulary of {size}: 1 to {size} are possible")
    mean = log_probs.logsumexp(dim=-2)
    tokens = mean.topk(k, dim=-1).indices
    if keep is not None:
        if keep.shape != mean.shape[:-1]:
            raise ValueError(f"keep has shape {tuple(keep.shape)}, {tuple(mean.shape[:-1])} is needed")
        if keep.numel() and not 0 <= int(keep.min()) <= int(keep.max()) < size:
            raise ValueError(f"a token to keep is outside of the vocabulary of {size}")
        absent = ~(tokens == keep.unsqueeze(-1)).any(dim=-1)
        tokens[..., -1] = torch.where(absent, keep.to(tokens.dtype), tokens[..., -1])
    places = tokens.unsqueeze(-2).expand(*log_probs.shape[:-1], k)
    supported = log_probs.gather(-1, places)
    # summed over the others, not taken as 1 - sum: a small rest would be nothing but rounding
    rest = log_probs.scatter(-1, places, -math.inf).logsumexp(dim=-1, keepdim=True)
    return tokens, torch.cat([supported, rest], dim=-1)


def place(tokens: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Column (...) of the wanted tokens (...) in a support (..., k), or k, the rest bucket, for one that is not in it."""
    if wanted.shape != tokens.shape[:-1]:
        raise ValueError(f"wanted has shape {tuple(wanted.shape)}, tokens {tuple(tokens.shape)}: (...) and (..., k)")
    same = tokens == wanted.unsqueeze(-1)
    found = same.any(dim=-1)
    return torch.where(found, same.int().argmax(dim=-1), tokens.shape[-1])
