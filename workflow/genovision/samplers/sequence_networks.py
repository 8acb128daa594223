"""A denoiser of sequences: residual dilated convolutions over places, told the time, the place and, if it is known, the class.

Latents of DNA are (C, 1, W): channels at each of W places, laid out as the images that samplers know, with a height of 1. The network is a
model of diffusers (ModelMixin, ConfigMixin), so its folder is like that of a UNet2DModel, and its class label has the same names.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils import BaseOutput
from torch import nn
from torch.nn import functional

_FREQUENCIES = 32  # of the time embedding


@dataclass
class SequenceDenoiserOutput(BaseOutput):
    """sample: (B, C, 1, W), in the prediction type the network was trained for."""

    sample: torch.Tensor


class _Block(nn.Module):
    """A residual block over (B, 1, W, D); the condition scales and shifts its normalised input (FiLM, Perez et al. 2018).

    The mean over all places is part of the condition: what a sequence is made of as a whole is beyond the reach of a few convolutions.
    """

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.whole = nn.Linear(width, width)
        self.film = nn.Linear(width, 2 * width)
        self.conv = nn.Conv2d(width, width, (1, kernel), padding=(0, kernel // 2 * dilation), dilation=(1, dilation))
        self.dropout = nn.Dropout(dropout)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, hidden: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        inner = self.norm(hidden)
        condition = functional.silu(condition + self.whole(inner.mean(dim=(1, 2))))
        scale, shift = self.film(condition)[:, None, None].chunk(2, dim=3)
        inner = inner * (1 + scale) + shift
        inner = self.conv(inner.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return hidden + self.outer(self.dropout(functional.silu(inner)))


class SequenceDenoiser(ModelMixin, ConfigMixin):
    """x (B, C, 1, W), times 0..T-1 (fractions count) and class labels (B,) -> an object with `sample` (B, C, 1, W).

    in_channels, sample_size: C and (1, W)
    width, blocks, kernel:    of the residual blocks; their dilations go through `dilations` in turn
    num_class_embeds:         classes, the last of which means "any" and is taken where no label is given; None for a network without
    codewords, times:         of how many codewords every place of a clean x holds one, and T; 0 codewords when x is any number
    letters, joint:           of codewords, see below

    Where a clean x is made of codewords, the network names their probabilities and its sample, which is of x_0, is their mean ("score
    interpolation", Dieleman et al. 2022); so it can be trained by cross-entropy. The number of a codeword is written in an alphabet of
    `letters` letters, the first one counting most.

    What is known, or can be counted, is where the log-odds start and is given to the network beside x,
    so that it has the rest of the context to learn:
        what a place's own x says of its codeword: a normal density around each;
        how frequent each codeword is, at every place in every class (`prior`);
        what the neighbours say, by their own x and prior: how much more often than by chance the `joint` letters at the end of one
        codeword meet those at the beginning of the next (`junction`), as one round of belief propagation along a chain.
    `know` tells it all that. It stays as it is: learnt further, counts of the training examples would only be learnt by heart.

    Without codewords the sample is what the last layer gives, in the prediction type it was trained for.

    ValueError for sizes that cannot be.
    """

    @register_to_config
    def __init__(
        self,
        in_channels: int = 8,
        out_channels: int = 8,
        sample_size: tuple[int, int] = (1, 64),
        width: int = 128,
        blocks: int = 8,
        kernel: int = 3,
        dilations: tuple[int, ...] = (1, 2, 4, 8),
        num_class_embeds: int | None = None,
        codewords: int = 0,
        letters: int = 4,
        joint: int = 3,
        times: int = 1000,
        dropout: float = 0.0,
    ):
        super().__init__()
        if in_channels != out_channels or sample_size[0] != 1 or min(in_channels, sample_size[1], width, blocks) < 1:
            raise ValueError(
                f"{in_channels} channels in, {out_channels} out, size {tuple(sample_size)}, width {width} and {blocks} blocks"
            )
        if kernel % 2 == 0 or not dilations or min(dilations) < 1 or codewords < 0 or times < 1 or not 0 <= dropout < 1:
            raise ValueError(f"kernel {kernel}, dilations {dilations}, {codewords} codewords, dropout {dropout}")
        if codewords and (letters < 2 or joint < 1 or codewords % letters**joint):
            raise ValueError(f"{codewords} codewords are not made of {letters} letters, {joint} or more in each")
        self.inside = nn.Linear(in_channels, width)
        self.place = nn.Parameter(torch.randn(sample_size[1], width))
        self.time = nn.Sequential(nn.Linear(2 * _FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(num_class_embeds, width) if num_class_embeds else None
        self.layers = nn.ModuleList(
            _Block(width, kernel, dilations[at % len(dilations)], dropout) for at in range(blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.outside = nn.Linear(width, codewords or out_channels)
        nn.init.zeros_(self.outside.weight)
        nn.init.zeros_(self.outside.bias)
        if codewords:
            self.word = nn.Linear(codewords, width, bias=False)
            nn.init.normal_(self.word.weight)  # an embedding: its input is close to one-hot
            self.register_buffer("prior", torch.zeros(num_class_embeds or 1, sample_size[1], codewords))
            self.register_buffer("junction", torch.zeros(letters**joint, letters**joint))
            self.register_buffer("codebook", torch.zeros(codewords, in_channels))
            self.register_buffer("kept", torch.linspace(1, 0, times + 2)[1:-1])
        frequencies = torch.exp(-math.log(1e4) * torch.arange(_FREQUENCIES) / _FREQUENCIES)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def know(
        self, codebook: torch.Tensor, alpha_bar: npt.ArrayLike, prior: torch.Tensor, junction: torch.Tensor
    ) -> None:
        """Fill the buffers: codewords (K, C); the share of x_0's variance in x at each of the T times; log frequencies (classes, W, K); and
        logarithms of observed over expected frequency, of an end (rows) beside a beginning (letters^joint, letters^joint)."""
        self.codebook.copy_(codebook)
        self.kept.copy_(torch.as_tensor(np.asarray(alpha_bar)))
        self.prior.copy_(prior)
        self.junction.copy_(junction)

    def _known(self, places: torch.Tensor, times: torch.Tensor, class_labels: torch.Tensor) -> torch.Tensor:
        """Log-odds (B, 1, W, K) of the codewords from what is known before any context is learnt."""
        own = self._evidence(places, times) + self.prior[class_labels][:, None]
        likely, parts = own.softmax(dim=-1), len(self.junction)
        ratios = self.junction.exp()
        ends = likely.unflatten(3, (-1, parts)).sum(dim=3)  # the last letters count least: every `parts`-th codeword
        begins = likely.unflatten(3, (parts, -1)).sum(dim=4)
        # what lies beyond the ends of the sequence says nothing: a ratio of 1
        before = functional.pad(torch.log(ends[:, :, :-1] @ ratios + 1e-8), (0, 0, 1, 0))
        behind = functional.pad(torch.log(begins[:, :, 1:] @ ratios.T + 1e-8), (0, 0, 0, 1))
        times_each = own.shape[3] // parts
        return own + before.repeat_interleave(times_each, dim=3) + behind.repeat(1, 1, 1, times_each)

    def given_others(
        self, sample: torch.Tensor, timestep: torch.Tensor | float, class_labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Log-odds (B, W, K) of the codewords by what all other places say: the answers without the density of the place's own x.

        What the layers read out of the place itself stays in; they are trained on top of that density, so it is little.
        """
        times = torch.as_tensor(timestep, dtype=torch.float32, device=sample.device).reshape(-1)
        own = self._evidence(sample.permute(0, 2, 3, 1), times)[:, 0]
        return self.answers(sample, timestep, class_labels) - own

    def _evidence(self, places: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
        """Log density of x (B, 1, W, C) at each place around every codeword, but for a constant: (B, 1, W, K)."""
        # between whole times the logarithm of the signal-to-noise ratio is taken to be straight
        ratio = torch.log(self.kept) - torch.log1p(-self.kept)
        times = times.clamp(0, len(ratio) - 1)
        below = times.floor().long().clamp(max=max(0, len(ratio) - 2))
        share = times - below
        kept = torch.sigmoid(ratio[below] * (1 - share) + ratio[(below + 1).clamp(max=len(ratio) - 1)] * share)
        kept = kept.reshape(-1, 1, 1, 1)
        near = kept.sqrt() * (places @ self.codebook.T) - kept * self.codebook.square().sum(dim=1) / 2
        return near / (1 - kept)

    def answers(
        self, sample: torch.Tensor, timestep: torch.Tensor | float, class_labels: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What the last layer gives, (B, W, C), or log-odds of the codewords, (B, W, K)."""
        times = torch.as_tensor(timestep, dtype=torch.float32, device=sample.device).reshape(-1)
        angles = times[:, None] * self.frequencies
        condition = self.time(torch.cat([angles.sin(), angles.cos()], dim=1)).expand(len(sample), -1)
        if class_labels is None:
            last = max(0, (self.config.num_class_embeds or 1) - 1)
            class_labels = torch.full((len(sample),), last, dtype=torch.int64, device=sample.device)
        if self.label is not None:
            condition = condition + self.label(class_labels)
        # channels last: what a CPU's convolutions are fast in
        places = sample.permute(0, 2, 3, 1)
        hidden = self.inside(places) + self.place
        if self.config.codewords:
            known = self._known(places, times, class_labels)
            hidden = hidden + self.word(known.softmax(dim=-1))
        for block in self.layers:
            hidden = block(hidden, condition)
        found = self.outside(functional.silu(self.norm(hidden)))
        return (found + known if self.config.codewords else found)[:, 0]

    def forward(
        self,
        sample: torch.Tensor,
        timestep: torch.Tensor | float,
        class_labels: torch.Tensor | None = None,
        return_dict: bool = True,
    ) -> SequenceDenoiserOutput | tuple[torch.Tensor]:
        found = self.answers(sample, timestep, class_labels)
        if self.config.codewords:
            found = found.softmax(dim=-1) @ self.codebook
        found = found.movedim(-1, 1)[:, :, None]
        return SequenceDenoiserOutput(sample=found) if return_dict else (found,)
