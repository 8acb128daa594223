"""Autoencoders of DNA: the latents that diffusion works in, and the way back to bases.

Both are variational (Kingma and Welling 2014): an encoder gives mean and log-variance of every latent number, a decoder log-odds of the
four bases at every position. The loss is the cross-entropy of the bases plus `kl_weight` times the divergence from a standard normal,
both summed over a sequence.

    PatchAutoencoder  every `patch` bases by themselves: (channels, 1, L / patch). A latent depends on its own bases alone, and what a
                      divergence weight of some hundredths makes of it is smooth and of about unit spread.
    ConvAutoencoder   the authors' (DiscDiff, arXiv 2310.06150 and 2402.06079): a tower of convolutions makes a picture of the sequence,
                      positions x channels, and a second stage of 2D convolutions shrinks the picture. The divergence weighs 1e-6 there.

In a folder, as diffusers writes its models:

    config.json, diffusion_pytorch_model.safetensors   `from_pretrained` of the class reads them
    dna.json                                           ours, written last: a folder that has it is whole
"""

import itertools
import json
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from diffusers import __version__ as diffusers_version
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

from genovision.atomic import replacing
from genovision.checkpoints import load_into, read_tensors, write_tensors
from genovision.devices import device_of
from genovision.errors import InputError
from genovision.training import draws

CONFIG, WEIGHTS, FACTS = "config.json", "diffusion_pytorch_model.safetensors", "dna.json"
KIND = "autoencoder"
_LOGVAR = (-30.0, 20.0)  # the authors' limits of a log-variance
_BATCH = 256
_MOST_WORDS = 4**6  # patches of more bases have no table of their codewords


class Moments(NamedTuple):
    """The encoder's normal distribution of a latent: mean and logvar, both (B, *shape)."""

    mean: torch.Tensor
    logvar: torch.Tensor

    def sample(self, noise: torch.Tensor) -> torch.Tensor:
        """A latent, from standard normal noise of its shape."""
        return self.mean + torch.exp(0.5 * self.logvar) * noise

    def divergence(self) -> torch.Tensor:
        """Kullback-Leibler divergence from the standard normal, nats, summed over a sequence: (B,)."""
        terms = self.mean.square() + self.logvar.exp() - 1 - self.logvar
        return 0.5 * terms.flatten(1).sum(dim=1)


def one_hot(sequences: torch.Tensor) -> torch.Tensor:
    """Codes (B, L) -> (B, L, 4) float32; what is one-hot, or probabilities, already is left as it is."""
    return sequences if sequences.ndim == 3 else functional.one_hot(sequences.long(), 4).float()


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """Sequences of `length` in patches of `patch` bases -> latents (channels, 1, length / patch); ValueError when that does not divide."""

    @register_to_config
    def __init__(self, length: int = 256, patch: int = 4, channels: int = 8, width: int = 128):
        super().__init__()
        if min(length, patch, channels, width) < 1 or length % patch:
            raise ValueError(f"patches of {patch} bases, length {length}, {channels} channels, width {width}")
        self.encoder = nn.Sequential(nn.Linear(4 * patch, width), nn.SiLU(), nn.Linear(width, 2 * channels))
        self.decoder = nn.Sequential(nn.Linear(channels, width), nn.SiLU(), nn.Linear(width, 4 * patch))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a latent: channels first."""
        return self.config.channels, 1, self.config.length // self.config.patch

    def encode(self, sequences: torch.Tensor) -> Moments:
        """Codes (B, L) or one-hot (B, L, 4) -> distribution of the latents (B, C, 1, W)."""
        patches = one_hot(sequences).reshape(len(sequences), 1, self.shape[2], -1)
        mean, logvar = self.encoder(patches).movedim(-1, 1).chunk(2, dim=1)
        return Moments(mean, logvar.clamp(*_LOGVAR))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (B, C, 1, W) -> log-odds (B, L, 4)."""
        return self.decoder(latents[:, :, 0].movedim(1, -1)).reshape(len(latents), -1, 4)

    def codewords(self) -> torch.Tensor:
        """Mean latent of every patch there is: (4^patch, channels), in the order of `words`; ValueError for more than 6 bases."""
        words = 4**self.config.patch
        if words > _MOST_WORDS:
            raise ValueError(f"patches of {self.config.patch} bases have {words} codewords")
        digits = torch.arange(words)[:, None] // 4 ** torch.arange(self.config.patch - 1, -1, -1) % 4
        digits = digits.to(device_of(self))
        return self.encoder(one_hot(digits).flatten(1)).chunk(2, dim=1)[0]

    def words(self, codes: torch.Tensor) -> torch.Tensor:
        """Which codeword each patch is: (B, L) codes -> (B, W), the first base of a patch counting most."""
        powers = 4 ** torch.arange(self.config.patch - 1, -1, -1, device=codes.device)
        return (codes.long().reshape(len(codes), -1, self.config.patch) * powers).sum(dim=-1)


class _Unit(nn.Module):
    """Normalise each channel over the sequence, GELU, convolve; (B, D, L) -> (B, D', L / stride), transposed (B, D', L x stride)."""

    def __init__(self, channels: int, out: int, kernel: int, transposed: bool = False, stride: int = 1):
        super().__init__()
        self.norm = nn.GroupNorm(channels, channels)
        kind, more = (nn.ConvTranspose1d, {"output_padding": stride - 1}) if transposed else (nn.Conv1d, {})
        self.conv = kind(channels, out, kernel, stride, kernel // 2, **more)
        if not transposed:
            nn.init.normal_(self.conv.weight, std=math.sqrt(2 / (kernel * out)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(functional.gelu(self.norm(x)))


class _Level(nn.Module):
    """A unit, and one of kernel 1 that adds to it."""

    def __init__(self, channels: int, out: int, kernel: int, transposed: bool = False, stride: int = 1):
        super().__init__()
        self.unit, self.residual = _Unit(channels, out, kernel, transposed, stride), _Unit(out, out, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.unit(x)
        return x + self.residual(x)


class _OneMap(nn.Conv2d):
    """A convolution of kernel 3 from many maps to one: (B, C, H, W) -> (B, 1, H, W).

    All maps are weighed at once for each of the nine places of the kernel, and these are added, moved by one. Libraries have no fast way
    for a single output map, and theirs takes more than half of a step of the whole autoencoder on a CPU.
    """

    def __init__(self, channels: int):
        super().__init__(channels, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[2:]
        parts = torch.einsum("ck,bchw->kbhw", self.weight[0].flatten(1), x)
        parts = functional.pad(parts, (1, 1, 1, 1))
        moved = (parts[k, :, k // 3 : k // 3 + height, k % 3 : k % 3 + width] for k in range(9))
        return (sum(moved) + self.bias)[:, None]


class ConvAutoencoder(ModelMixin, ConfigMixin):
    """The authors' two-stage network; with the defaults exactly theirs, for 2048 bases and latents of 16 x 16 x 16.

    length, pools: the picture has length / 2^pools rows;  width: and as many columns, the tower widening to it from width / 2
    maps:          channels of the second stage, each half the size of the one before; a latent has half of the last
    first, kernel: bases that the first layer, and those of the tower, look at
    strided:       the tower halves and doubles by strides of its convolutions; the authors take the larger of two neighbours and repeat
                   each, after which two neighbours look alike and are told apart but slowly

    Their one-hot order is A, T, G, C; here it is A, C, G, T as everywhere. ValueError for sizes that cannot be halved that often.
    """

    @register_to_config
    def __init__(
        self,
        length: int = 2048,
        pools: int = 4,
        width: int = 128,
        maps: tuple[int, ...] = (8, 16, 32),
        first: int = 15,
        kernel: int = 5,
        strided: bool = False,
    ):
        super().__init__()
        halvings = 2 ** len(maps)
        if pools < 1 or not maps or min(maps) < 1 or length % (2**pools * halvings) or width % max(halvings, 2):
            raise ValueError(f"length {length} and width {width} cannot be halved {pools} and {len(maps)} times")
        if maps[-1] % 2 or first % 2 == 0 or kernel % 2 == 0:
            raise ValueError(f"the last of maps {maps} must be even, the kernels {first} and {kernel} odd")
        growth = 2 ** (1 / pools)
        widths = [2 * round(width / 2 * growth**at / 2) for at in range(pools + 1)]
        pairs = list(itertools.pairwise(widths))
        self.feature = _Level(4, widths[0], first)
        stride = 2 if strided else 1
        self.down = nn.ModuleList(_Level(a, b, kernel, stride=stride) for a, b in pairs)
        self.shrink = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.LeakyReLU())
                for a, b in itertools.pairwise((1, *maps))
            )
        )
        self.moments = nn.Conv2d(maps[-1], maps[-1], 1)
        self.expand = nn.Conv2d(maps[-1] // 2, maps[-1], 1)
        steps = list(zip(maps[::-1], (*maps[-2::-1], maps[0]), strict=True))
        self.grow = nn.Sequential(
            *(nn.Sequential(nn.ConvTranspose2d(a, b, 3, 2, 1, 1), nn.BatchNorm2d(b), nn.LeakyReLU()) for a, b in steps)
        )
        self.picture = nn.Sequential(_OneMap(maps[0]), nn.Tanh())
        self.up = nn.ModuleList(_Level(b, a, kernel, True, stride) for a, b in reversed(pairs))
        self.bases = _Level(widths[0], 4, first)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of a latent: channels first."""
        config, halvings = self.config, 2 ** len(self.config.maps)
        return config.maps[-1] // 2, config.length // 2**config.pools // halvings, config.width // halvings

    def encode(self, sequences: torch.Tensor) -> Moments:
        """Codes (B, L) or one-hot (B, L, 4) -> distribution of the latents (B, C, H, W)."""
        x = self.feature(one_hot(sequences).movedim(2, 1))
        for level in self.down:
            x = level(x) if self.config.strided else functional.max_pool1d(level(x), 2)
        mean, logvar = self.moments(self.shrink(x.movedim(1, 2)[:, None])).chunk(2, dim=1)
        return Moments(mean, logvar.clamp(*_LOGVAR))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (B, C, H, W) -> log-odds (B, L, 4)."""
        x = self.picture(self.grow(self.expand(latents)))[:, 0].movedim(2, 1)
        for level in self.up:
            x = level(x if self.config.strided else functional.interpolate(x, scale_factor=2, mode="nearest"))
        return self.bases(x).movedim(1, 2)


Autoencoder = PatchAutoencoder | ConvAutoencoder
ARCHITECTURES = {"patch": PatchAutoencoder, "conv": ConvAutoencoder}
# of 256 bases: a picture of 64 x 64, halved twice, so that latents are the authors' 16 x 16 x 16 and their denoiser fits
SHORT = {"pools": 2, "width": 64, "maps": (16, 32), "strided": True}


def build(architecture: str, seed: int = 0, **options) -> Autoencoder:
    """An autoencoder of some architecture; weights depend on `seed` alone. InputError for an unknown one and for sizes that cannot be."""
    if architecture not in ARCHITECTURES:
        raise InputError(f"architecture {architecture!r}: choose one of {', '.join(ARCHITECTURES)}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return ARCHITECTURES[architecture](**options)
        except ValueError as error:
            raise InputError(f"there is no {architecture} autoencoder of this kind: {error}.") from error


class Examples:
    """Training sequences, codes (N, L); `loss(network, step)` for `training.train`."""

    def __init__(self, codes: npt.NDArray[np.uint8], *, batch: int, seed: int, kl_weight: float):
        self.codes = torch.from_numpy(np.ascontiguousarray(codes))
        self.batch, self.seed, self.kl_weight = batch, seed, kl_weight

    def loss(self, network: Autoencoder, step: int) -> torch.Tensor:
        """Cross-entropy and weighed divergence, nats per sequence."""
        rng, generator = draws(self.seed, step)
        codes = self.codes[rng.integers(len(self.codes), size=self.batch)].to(device_of(network))
        found = network.encode(codes)
        noise = torch.randn(found.mean.shape, generator=generator).to(codes.device)
        logits = network.decode(found.sample(noise))
        wrong = functional.cross_entropy(logits.flatten(0, 1), codes.long().flatten(), reduction="sum")
        return wrong / len(codes) + self.kl_weight * found.divergence().mean()


class Statistics(NamedTuple):
    """What an autoencoder makes of sequences it was not trained on.

    accuracy_mean, accuracy_sample: share of bases that come back, from the mean and from a sample of each latent's distribution
    latent_mean, latent_std:        of all latent numbers;  posterior_std: mean spread of the encoder's distributions
    """

    accuracy_mean: float
    accuracy_sample: float
    latent_mean: float
    latent_std: float
    posterior_std: float


@torch.inference_mode()
def accuracy(network: Autoencoder, codes: npt.NDArray[np.uint8]) -> float:
    """Share of the bases of codes (N, L) that come back from the mean of each latent's distribution."""
    parts = torch.from_numpy(np.ascontiguousarray(codes)).to(device_of(network)).split(_BATCH)
    right = sum(int((network.decode(network.encode(part).mean).argmax(dim=-1) == part).sum()) for part in parts)
    return right / codes.size


def statistics(network: Autoencoder, codes: npt.NDArray[np.uint8], seed: int = 0) -> Statistics:
    """Statistics on codes (N, L) of a network in evaluation mode."""
    means, spreads, right = [], [], np.zeros(2)
    generator = draws(seed, 0).torch
    with torch.inference_mode():
        for part in torch.from_numpy(np.ascontiguousarray(codes)).split(_BATCH):
            part = part.to(device_of(network))
            found = network.encode(part)
            noise = torch.randn(found.mean.shape, generator=generator).to(part.device)
            for at, latents in enumerate((found.mean, found.sample(noise))):
                right[at] += float((network.decode(latents).argmax(dim=-1) == part).sum())
            means.append(found.mean.cpu())
            spreads.append(torch.exp(0.5 * found.logvar).cpu())
    latents = torch.cat(means).double()
    shares = right / codes.size
    spread = float(torch.cat(spreads).double().mean())
    return Statistics(float(shares[0]), float(shares[1]), float(latents.mean()), float(latents.std()), spread)


def check_length(network: Autoencoder, length: int, label: str) -> None:
    """InputError when sequences of this length are not what the autoencoder reads."""
    if network.config.length != length:
        raise InputError(f"{label} has sequences of {length} bases and the autoencoder reads {network.config.length}.")


def write_model(folder: str | os.PathLike, network: ModelMixin) -> None:
    """Write config.json and the weights, the same bytes for the same model."""
    folder = Path(folder)
    config = {key: value for key, value in network.config.items() if not key.startswith("_")}
    config |= {"_class_name": type(network).__name__, "_diffusers_version": diffusers_version}
    write_json(folder / CONFIG, config)
    write_tensors(network.state_dict(), folder / WEIGHTS)


def write_autoencoder(folder: str | os.PathLike, network: Autoencoder, facts: dict) -> None:
    """Write a trained autoencoder; facts: JSON with species, length, training_sequences, steps, seed, recipe, loss and held_out."""
    write_model(folder, network)
    parameters = sum(p.numel() for p in network.parameters())
    kind = next(name for name, known in ARCHITECTURES.items() if isinstance(network, known))
    own = {"kind": KIND, "architecture": kind, "latent": list(network.shape), "parameters": parameters}
    write_json(Path(folder) / FACTS, {"bits_per_base": None} | facts | own)


def read_autoencoder(folder: str | os.PathLike, device: torch.device | str = "cpu") -> tuple[Autoencoder, dict]:
    """A trained autoencoder in evaluation mode, and its facts.

    InputError for a folder that is none or not whole, a training that diverged, and weights of another architecture.
    """
    folder = Path(folder)
    facts, config = read_facts(folder, KIND), read_json(folder / CONFIG)
    known = {kind.__name__: kind for kind in ARCHITECTURES.values()}
    if config.get("_class_name") not in known:
        raise InputError(f"{folder / CONFIG} is of a {config.get('_class_name')}; {' or '.join(known)} is needed.")
    try:
        options = {key: value for key, value in config.items() if not key.startswith("_")}
        network = known[config["_class_name"]](**options)
    except (TypeError, ValueError) as error:
        raise InputError(f"{folder / CONFIG} describes no autoencoder ({error}).") from error
    if not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder / WEIGHTS} is missing; train the autoencoder again.")
    load_into(network, read_tensors(folder / WEIGHTS), str(folder / WEIGHTS))
    return network.eval().requires_grad_(False).to(device), facts


def read_facts(folder: Path, kind: str) -> dict:
    """dna.json of a trained model of this kind; InputError when it is none, or one that diverged."""
    if not (folder / FACTS).is_file():
        raise InputError(f"{folder} is no folder of a trained {kind} model: it has no {FACTS}.")
    facts = read_json(folder / FACTS)
    if facts.get("kind") != kind:
        raise InputError(f"{folder / FACTS} is of another kind of model ({facts.get('kind')}); {kind} is needed.")
    if not isinstance(facts.get("loss"), int | float) or not math.isfinite(facts["loss"]):
        raise InputError(f"the {kind} model in {folder} diverged in training; lower its learning rate.")
    return facts


def write_json(path: Path, values: dict) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")


def read_json(path: Path) -> dict:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing; train the model again.") from None
    except ValueError as error:
        raise InputError(f"{path} is no whole JSON file ({error}).") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold a JSON object.")
    return values
