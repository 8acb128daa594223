"""The desk's text-to-image model: diffusion in the principal components of small images, told by the token embeddings of a text.

A residual network predicts the clean image from a noisy one (Ho et al. 2020; the x-prediction of Salimans and Ho 2022), guided without a
classifier (Ho and Salimans 2022). Its text tower gives every token a place and its neighbours, and reads the result with a few learnt
queries, so that "a red heart left of a blue dog" and its exchange of colours are different conditions; a pooled embedding hardly tells
them apart. Any scheduler of diffusers samples from it, by name.
"""

import hashlib
import importlib
import inspect
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from genovision.atomic import replacing
from genovision.checkpoints import load_into, read_tensors, write_tensors
from genovision.errors import InputError
from genovision.text_to_image.encoder import Embedded, Encoder
from genovision.training import draws

Images = npt.NDArray[np.uint8]

NOISE = {  # of diffusers; the schedule of Ho et al. 2020
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "prediction_type": "epsilon",
}
_FOLDERS = ("diffusers", "genovision.samplers")  # where a scheduler's name is looked for when it has no dot


@dataclass(frozen=True)
class Shape:
    """side: of the square images;  components: of the latent;  embedding: entries of a token embedding;  length: tokens told apart by
    their place;  width, blocks: of the denoiser;  text: width of the text tower, of `layers` layers, read by `queries` queries."""

    side: int
    embedding: int
    components: int = 256
    length: int = 48
    width: int = 512
    blocks: int = 4
    text: int = 128
    layers: int = 1
    queries: int = 5

    def __post_init__(self):
        wrong = [name for name, value in asdict(self).items() if value < (0 if name in ("layers", "blocks") else 1)]
        if wrong or self.text % 4:
            raise InputError(f"{wrong[0] if wrong else 'text'}: {self} has no such size (text must divide by 4).")
        if self.components > 3 * self.side**2:
            raise InputError(f"{self.components} components: an image of {self.side} x {self.side} has fewer numbers.")


class TextTower(nn.Module):
    """Token embeddings (B, L, E) and their mask -> condition (B, queries * text)."""

    def __init__(self, shape: Shape):
        super().__init__()
        width = shape.text
        self.inside = nn.Linear(shape.embedding, width)
        self.place = nn.Parameter(0.3 * torch.randn(shape.length, width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(shape.layers)
        )
        self.query = nn.Parameter(torch.randn(shape.queries, width) * width**-0.5)
        self.key, self.value = nn.Linear(width, width), nn.Linear(width, width)
        self.nothing = nn.Parameter(torch.zeros(shape.queries * width))  # the condition of no text

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = self.inside(tokens) + self.place[: tokens.shape[1]]
        for layer in self.layers:
            hidden = layer(hidden, src_key_padding_mask=~mask)
        weights = torch.einsum("qd,bld->bql", self.query, self.key(hidden))
        weights = weights.masked_fill(~mask[:, None], -1e9).softmax(dim=-1)
        return (weights @ self.value(hidden)).flatten(1)


class _Block(nn.Module):
    """A residual layer whose inner activations are scaled and shifted by the condition (FiLM, Perez et al. 2018)."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.inner, self.outer, self.film = (
            nn.Linear(width, width),
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
        )
        for zero in (self.outer.weight, self.outer.bias, self.film.weight, self.film.bias):
            nn.init.zeros_(zero)

    def forward(self, hidden: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        scale, shift = self.film(condition).chunk(2, dim=1)
        return hidden + self.outer(functional.silu(self.inner(self.norm(hidden)) * (1 + scale) + shift))


class Denoiser(nn.Module):
    """Noisy latents (B, D), times (B,) of 0..T-1 and conditions -> clean latents (B, D)."""

    def __init__(self, shape: Shape, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.shape = shape
            width = shape.width
            self.text = TextTower(shape)
            self.inside = nn.Linear(shape.components, width)
            self.condition = nn.Linear(shape.queries * shape.text, width)
            self.time = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
            self.blocks = nn.ModuleList(_Block(width) for _ in range(shape.blocks))
            self.outside = nn.Linear(width, shape.components)
            nn.init.zeros_(self.outside.weight)
        self.register_buffer("frequencies", torch.exp(-math.log(1e4) * torch.arange(32) / 32), persistent=False)

    def forward(self, noisy: torch.Tensor, times: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        angles = times[:, None].float() * self.frequencies
        condition = self.condition(told) + self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
        condition, hidden = functional.silu(condition), self.inside(noisy)
        for block in self.blocks:
            hidden = block(hidden, condition)
        return self.outside(hidden)


class Components(NamedTuple):
    """Principal components of images: mean (P,), basis (P, D) with orthonormal columns, scale (D,); pixels are -1 to 1.

    A latent is ((pixels - mean) @ basis) * scale. Scales are the inverse roots of the standard deviations, so that a component's latent has
    the root of its spread (all of them together 1 on average): with unit spread, noise on the many small components would count as much as
    the picture.
    """

    mean: torch.Tensor
    basis: torch.Tensor
    scale: torch.Tensor

    def latents(self, images: torch.Tensor) -> torch.Tensor:
        """Latents (B, D) of images (B, H, W, 3), 0..255."""
        return (images.flatten(1).float() / 127.5 - 1 - self.mean) @ self.basis * self.scale

    def pixels(self, latents: torch.Tensor) -> torch.Tensor:
        """(B, P), about -1 to 1."""
        return latents / self.scale @ self.basis.T + self.mean


def components(images: Images, number: int, seed: int = 0) -> Components:
    """The first principal components of images (N, H, W, 3), by a randomised decomposition (Halko et al. 2011)."""
    if len(images) <= number:
        raise InputError(f"{len(images)} images have fewer than {number} components; take fewer components.")
    flat = torch.from_numpy(images.reshape(len(images), -1)).float() / 127.5 - 1
    mean = flat.mean(dim=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        more = min(number + 20, *flat.shape)
        _, values, basis = torch.svd_lowrank(flat - mean, more, niter=2)
    variance = (values[:number] ** 2 / len(flat)).clamp_min(1e-8)
    scale = variance**-0.25
    scale = scale / (variance * scale**2).mean().sqrt()
    return Components(mean, basis[:, :number].contiguous(), scale)


class Examples:
    """Training examples: latents of images (N, H, W, 3) and their texts; `loss(network, step)` for `training.train`.

    unconditional: share of examples whose text is left out, for the guidance
    """

    def __init__(
        self,
        images: Images,
        texts: Embedded,
        basis: Components,
        length: int,
        *,
        batch: int,
        seed: int,
        unconditional: float = 0.1,
    ):
        if len(images) != len(texts.texts):
            raise InputError(f"there are {len(images)} training images and {len(texts.texts)} texts.")
        parts = torch.from_numpy(images).split(1000)
        self.latents = torch.cat([basis.latents(part) for part in parts])
        # the loss weighs a component by the root of its share of the pixels' error
        self.weights = (1 / basis.scale) / (1 / basis.scale).square().mean().sqrt()
        self.texts, self.length = texts, length
        self.batch, self.seed, self.unconditional = batch, seed, unconditional
        self.kept = torch.from_numpy(alpha_bar())

    def loss(self, network: Denoiser, step: int) -> torch.Tensor:
        rng, generator = draws(self.seed, step)
        rows = rng.integers(len(self.latents), size=self.batch)
        times = torch.from_numpy(rng.integers(len(self.kept), size=self.batch))
        clean = self.latents[rows]
        kept = self.kept[times][:, None]
        noise = torch.randn(clean.shape, generator=generator)
        told = told_of(network, self.texts, rows, self.length)
        left_out = torch.from_numpy(rng.random(self.batch) < self.unconditional)
        told = torch.where(left_out[:, None], network.text.nothing, told)
        found = network(kept.sqrt() * clean + (1 - kept).sqrt() * noise, times, told)
        return ((found - clean).square() * self.weights).mean()

    def measure(self, network: Denoiser, number: int = 512) -> float:
        """Error of the clean latents of some examples at half of all times, weighed as the loss: a curve without the noise of the steps."""
        rows = np.linspace(0, len(self.latents) - 1, min(number, len(self.latents))).astype(np.int64)
        _, generator = draws(self.seed, 0)
        clean, time = self.latents[rows], len(self.kept) // 2
        noise = torch.randn(clean.shape, generator=generator)
        with torch.inference_mode():
            told = told_of(network, self.texts, rows, self.length)
            noisy = self.kept[time].sqrt() * clean + (1 - self.kept[time]).sqrt() * noise
            found = network(noisy, torch.full((len(rows),), time), told)
            return float(((found - clean).square() * self.weights).mean())


def alpha_bar() -> npt.NDArray[np.float32]:
    """(T,): the share of the image's variance that is left at each training time."""
    betas = np.linspace(NOISE["beta_start"], NOISE["beta_end"], NOISE["num_train_timesteps"], dtype=np.float64)
    return np.cumprod(1 - betas).astype(np.float32)


def told_of(network: Denoiser, texts: Embedded, rows: npt.ArrayLike, length: int) -> torch.Tensor:
    """Conditions (B, queries * text) of some texts; of more than `length` tokens the first are read."""
    longest = int(np.diff(texts.starts)[np.asarray(rows)].max(initial=1))
    tokens, mask = texts.padded(rows, min(length, longest))
    return network.text(torch.from_numpy(tokens), torch.from_numpy(mask))


def write_generator(folder: Path, network: Denoiser, basis: Components, facts: dict) -> None:
    """Write model.safetensors and config.json."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= {f"components.{name}": value for name, value in basis._asdict().items()}
    write_tensors(tensors, folder / "model.safetensors")
    facts = {"kind": "generator", "shape": asdict(network.shape), "noise": NOISE} | facts
    with replacing(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")


@dataclass(frozen=True)
class Sampling:
    """How images are drawn: any scheduler class by name, with its own options; guidance 1 is none."""

    scheduler: str = "DPMSolverMultistepScheduler"
    steps: int = 10
    guidance: float = 2.0
    options: tuple[tuple[str, object], ...] = ()

    def __post_init__(self):
        if self.steps < 1 or not math.isfinite(self.guidance):
            raise InputError(f"steps {self.steps} must be 1 or more and guidance {self.guidance} a number.")

    def to_json(self) -> dict:
        return asdict(self) | {"options": dict(self.options)}


def scheduler_of(sampling: Sampling):
    """A scheduler on the generator's noise; InputError when no class has the name, or an option is none of its."""
    module, _, name = sampling.scheduler.rpartition(".")
    for place in [module] if module else _FOLDERS:
        try:
            found = getattr(importlib.import_module(place), name, None)
        except ImportError:
            continue
        if inspect.isclass(found) and hasattr(found, "set_timesteps") and hasattr(found, "from_config"):
            known = inspect.signature(found.__init__).parameters
            unknown = [key for key, _ in sampling.options if key not in known]
            if unknown:
                raise InputError(f"scheduler {sampling.scheduler} has no option {unknown[0]}.")
            noise = {"clip_sample": False, "steps_offset": 0} | NOISE | dict(sampling.options)
            return found(**{key: value for key, value in noise.items() if key in known})
    raise InputError(
        f"scheduler {sampling.scheduler!r} is no scheduler of diffusers (such as DDIMScheduler) or of genovision.samplers."
    )


class Generator:
    """A trained generator in a folder: `generate(prompts, seeds)`, and what the reconstruction baselines ask of it.

    encoder: the one it was trained with (config.json has its digest; InputError for another)
    batch:   images at a time; the last one is filled up, so that every image is computed in a batch of this size
    Prompts that the text tower or the encoder cut are in `cuts`: text -> sentence.
    """

    def __init__(self, folder: str | Path, encoder: Encoder, sampling: Sampling | None = None, batch: int = 256):
        self.folder, self.encoder, self.sampling = Path(folder), encoder, sampling or Sampling()
        facts = read_facts(self.folder, "generator")
        try:
            shape = Shape(**facts["shape"])
            self.layer, expected = int(facts["layer"]), facts["encoder"]
        except (TypeError, KeyError) as error:
            raise InputError(f"{self.folder / 'config.json'} does not describe a generator of this kind.") from error
        if expected != encoder.digest:
            raise InputError(f"{folder} was trained with another encoder than the one in {encoder.folder}.")
        tensors = read_tensors(self.folder / "model.safetensors")
        own = {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
        self.network = Denoiser(shape).eval()
        label = f"{self.folder / 'model.safetensors'}"
        load_into(self.network, own, label)
        try:
            self.basis = Components(*(tensors[f"components.{name}"] for name in Components._fields))
        except KeyError as error:
            raise InputError(f"{label} has no {error.args[0]}.") from error
        self.side, self.batch, self.facts = shape.side, batch, facts
        self.kept = torch.from_numpy(alpha_bar())
        self.cuts: dict[str, str] = {}
        self._told: dict[str, torch.Tensor] = {}
        scheduler_of(self.sampling)

    @property
    def digest(self) -> str:
        """sha256 over the weights, which stands for the model in a cache."""
        with open(self.folder / "model.safetensors", "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()

    def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> Images:
        """Images (N, H, W, 3) uint8, one for each prompt and seed; an image does not depend on the others."""
        if len(prompts) != len(seeds):
            raise ValueError(f"there are {len(prompts)} prompts and {len(seeds)} seeds")

        def one(told: torch.Tensor, seeds: list[int]) -> torch.Tensor:
            scheduler = scheduler_of(self.sampling)
            scheduler.set_timesteps(self.sampling.steps)
            generators = [torch.Generator().manual_seed(seed) for seed in seeds]
            noise = [torch.randn(self.network.shape.components, generator=generator) for generator in generators]
            latents = torch.stack(noise) * float(getattr(scheduler, "init_noise_sigma", 1.0))
            # schedulers that add noise draw it image by image
            own = {"generator": generators} if "generator" in inspect.signature(scheduler.step).parameters else {}
            clean = latents
            for time in scheduler.timesteps:
                scaled = scheduler.scale_model_input(latents, time)
                found = self._epsilon(scheduler, scaled, time, told)
                latents = scheduler.step(found, time, latents, **own).prev_sample
                clean = latents
            return self.basis.pixels(clean)

        return self._in_batches(one, prompts, list(seeds))

    def _epsilon(self, scheduler, noisy: torch.Tensor, time: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        """The predicted noise, which every scheduler knows what to do with; times between the trained ones are interpolated."""
        position = float(time)
        low = min(max(math.floor(position), 0), len(self.kept) - 1)
        high = min(low + 1, len(self.kept) - 1)
        kept = torch.exp(torch.lerp(self.kept[low].log(), self.kept[high].log(), position - low))
        clean = self._clean(noisy, position, told)
        return (noisy - kept.sqrt() * clean) / (1 - kept).sqrt()

    def _clean(self, noisy: torch.Tensor, time: float, told: torch.Tensor) -> torch.Tensor:
        times = torch.full((len(noisy),), time)
        guidance = self.sampling.guidance
        if guidance == 1:
            return self.network(noisy, times, told)
        nothing = self.network.text.nothing.expand_as(told)
        both = self.network(noisy.repeat(2, 1), times.repeat(2), torch.cat([told, nothing]))
        with_text, without = both.chunk(2)
        return without + guidance * (with_text - without)

    def reconstruct(self, images: Images, prompts: Sequence[str], level: float, steps: int = 10) -> Images:
        """Images (N, H, W, 3), given the noise of a share `level` in (0, 1] of all times, and denoised by DDIM: DDPM-OOD.

        The noise of an image depends on its pixels and the level alone. Without guidance, which would pull towards the prompt.
        """
        if not 0 < level <= 1:
            raise InputError(f"level {level} must lie in (0, 1].")
        count = max(1, round(level * steps))
        return self._again(
            images, prompts, np.linspace(level * (len(self.kept) - 1), 0, count + 1)[:-1], None, f"{level}"
        )

    def inpaint(self, images: Images, prompts: Sequence[str], mask: npt.NDArray[np.bool_], steps: int = 10) -> Images:
        """Images (N, H, W, 3) made anew where the mask (H, W) is true, kept elsewhere: LMD.

        At every step the known pixels replace those of the predicted image. The noise depends on pixels and mask alone.
        """
        mask = np.asarray(mask, dtype=bool)
        if mask.shape != (self.side, self.side):
            raise ValueError(f"the mask is {mask.shape}, the images are ({self.side}, {self.side})")
        times = np.linspace(len(self.kept) - 1, 0, steps + 1)[:-1]
        found = self._again(images, prompts, times, torch.from_numpy(np.repeat(mask.ravel(), 3)), mask.tobytes().hex())
        return np.where(mask[None, :, :, None], found, images)

    def _again(self, images, prompts, times, mask: torch.Tensor | None, label: str) -> Images:
        """DDIM without guidance from the first of `times` (falling) to the image, known pixels put back where there is a mask."""
        images = np.ascontiguousarray(images)
        if images.shape[1:] != (self.side, self.side, 3) or images.dtype != np.uint8:
            raise ValueError(
                f"images must be (N, {self.side}, {self.side}, 3) uint8, not {images.dtype} {images.shape}"
            )
        if len(images) != len(prompts):
            raise ValueError(f"there are {len(images)} images and {len(prompts)} prompts")

        def one(told: torch.Tensor, batch: list[npt.NDArray]) -> torch.Tensor:
            known = torch.from_numpy(np.stack(batch))
            seeds = [hashlib.sha256(image.tobytes() + label.encode()).digest()[:7] for image in batch]
            generators = [torch.Generator().manual_seed(int.from_bytes(seed, "big")) for seed in seeds]
            noise = [torch.randn(self.network.shape.components, generator=generator) for generator in generators]
            pixels = known.flatten(1).float() / 127.5 - 1
            kept = self.kept[round(times[0])]
            clean = self.basis.latents(known)
            noisy = kept.sqrt() * clean + (1 - kept).sqrt() * torch.stack(noise) if mask is None else torch.stack(noise)
            for time, following in zip(times, [*times[1:], -1.0], strict=True):
                kept = self.kept[round(time)]
                clean = self.network(noisy, torch.full((len(noisy),), float(round(time))), told)
                if mask is not None:
                    mended = torch.where(mask, self.basis.pixels(clean), pixels)
                    clean = (mended - self.basis.mean) @ self.basis.basis * self.basis.scale
                if following < 0:
                    break
                epsilon = (noisy - kept.sqrt() * clean) / (1 - kept).sqrt()
                after = self.kept[round(following)]
                noisy = after.sqrt() * clean + (1 - after).sqrt() * epsilon
            return self.basis.pixels(clean)

        return self._in_batches(one, prompts, list(images))

    def _in_batches(self, one, prompts: Sequence[str], others: list) -> Images:
        """`one(conditions, others)` batch by batch, each filled up to `batch` with its last row: rounding depends on a batch's size."""
        self._read(prompts)
        found = []
        with torch.inference_mode():
            for start in range(0, len(prompts), self.batch):
                texts, rest = list(prompts[start : start + self.batch]), others[start : start + self.batch]
                missing = self.batch - len(texts)
                told = torch.stack([self._told[text] for text in texts + texts[-1:] * missing])
                pixels = one(told, rest + rest[-1:] * missing)[: len(texts)]
                shaped = pixels.reshape(-1, self.side, self.side, 3)
                found.append(((shaped + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy())
        return np.concatenate(found) if found else np.empty((0, self.side, self.side, 3), dtype=np.uint8)

    def _read(self, prompts: Sequence[str]) -> None:
        """Conditions of the prompts that are new, each computed alone."""
        new = [text for text in dict.fromkeys(prompts) if text not in self._told]
        if not new:
            return
        embedded, cuts = self.encoder.embed(new, layer=self.layer)
        self.cuts |= {new[cut.place]: cut.sentence(f"the prompt {new[cut.place][:40]!r}") for cut in cuts}
        length = self.network.shape.length
        with torch.inference_mode():
            for row, text in enumerate(new):
                count = int(embedded.starts[row + 1] - embedded.starts[row])
                if count > length:
                    self.cuts[text] = f"the prompt {text[:40]!r} has {count} tokens and the generator reads {length}"
                self._told[text] = told_of(self.network, embedded, [row], length)[0]


def read_facts(folder: Path, kind: str) -> dict:
    """config.json of a trained network of this kind; InputError when it is none, or one that diverged."""
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} is no folder of a trained {kind}: it has no config.json.")
    try:
        facts = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}).") from error
    if not isinstance(facts, dict) or facts.get("kind") != kind:
        found = facts.get("kind") if isinstance(facts, dict) else None
        raise InputError(f"{path} describes {f'a {found}' if found else 'something else'}, a {kind} is needed.")
    if facts.get("loss") is None or not math.isfinite(facts["loss"]):
        raise InputError(f"the {kind} in {folder} diverged in training; lower its learning rate.")
    return facts
