"""Multiply-accumulate operations of a network, counted by fvcore on one image: convolutions and matrix products.

Normalisation, activations and pooling are left out, as is usual where MACs are compared (Xia & Bouganis 2023 count with ptflops,
which adds them; they are below one per cent of a residual network).
"""

import logging

import torch
from torch import nn

COUNTED = ("conv", "linear", "addmm", "matmul", "bmm", "einsum")


def macs(network: nn.Module, shape: tuple[int, ...]) -> int:
    """MACs of one forward pass of one image of `shape` (C, H, W)."""
    from fvcore.nn import FlopCountAnalysis

    example = torch.zeros(1, *shape, device=next(network.parameters()).device)
    training = network.training
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    try:
        analysis = FlopCountAnalysis(network.eval(), example)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        return int(sum(count for name, count in analysis.by_operator().items() if name in COUNTED))
    finally:
        network.train(training)


def parameters(network: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(p.numel() for p in network.parameters())
