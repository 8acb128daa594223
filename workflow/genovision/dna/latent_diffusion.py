"""Latent diffusion of DNA (DiscDiff, arXiv 2310.06150 and 2402.06079): a denoiser in the latents of an autoencoder, told the species.

    <folder>/{model_index.json, denoiser.json, scheduler/, unet/}   a denoiser folder of genovision.samplers: every sampler runs on it
    <folder>/autoencoder/                                           a copy, so that the folder is whole
    <folder>/dna.json                                               written last

Latents are shifted and scaled to mean 0 and standard deviation 1 of each channel, so that the noise is as large against every one of them.
Species are labels 0 .. S-1 and S means any: a share of the training examples is told only that, for guidance (Ho and Salimans 2022).

With an autoencoder of patches a clean latent is made of codewords, one for each of the 4^patch patches, and the denoiser may know them
(SequenceDenoiser): it names the probability of every patch at every place, is trained by cross-entropy, and its x_0 is the mean of the
codewords. It starts from what can be counted in the training fold: patches by species and place, and which ends meet which beginnings.
So before any training it draws from about a positional chain of order 3, and what is learnt is the rest; report it beside that chain, and
beside the same denoiser without counts. Without codewords it is trained by squared error of the noise, of v or of x_0, as the authors'.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from genovision.devices import device_of
from genovision.dna.autoencoders import (
    FACTS,
    Autoencoder,
    Moments,
    PatchAutoencoder,
    read_autoencoder,
    read_facts,
    write_autoencoder,
    write_json,
)
from genovision.dna.examples import Drawn
from genovision.errors import InputError
from genovision.resampling import stream
from genovision.samplers import denoisers
from genovision.samplers.catalogue import run, schedule_of, settings
from genovision.samplers.denoisers import PREDICTIONS, Denoiser, read_denoiser, write_denoiser
from genovision.training import draws, seeded

KIND = "latent"
BETAS = ("angular", "linear", "scaled_linear", "squaredcos_cap_v2")
LOSSES = (*PREDICTIONS, "codewords")
ANGLES = (0.1, 10.0)  # noise over signal at the first and the last time of `angular`
_BATCH = 128
_NEIGHBOUR, _PRIOR, _JUNCTION = 0.25, 50, 1  # of counted words


def noise_config(betas: str, prediction: str, steps: int = 1000) -> dict:
    """The configuration of a scheduler of diffusers.

    betas: linear as in DDPM (Ho et al. 2020; the authors' choice); scaled_linear as in latent diffusion (Rombach et al. 2022);
    squaredcos_cap_v2 (Nichol and Dhariwal 2021); angular, as that even in the angle of noise and signal, but between two angles: what
    decides between letters is noise about as large as the signal, and a last time without any signal is no use to solvers
    """
    if betas not in BETAS:
        raise InputError(f"betas {betas!r}: choose one of {', '.join(BETAS)}.")
    config = denoisers.scheduler_config(steps, prediction_type=prediction)
    if betas == "scaled_linear":
        return config | {"beta_schedule": betas, "beta_start": 0.00085, "beta_end": 0.012}
    if betas == "squaredcos_cap_v2":
        return config | {"beta_schedule": betas}
    if betas == "angular":
        kept = np.cos(np.linspace(*np.arctan(ANGLES), steps)) ** 2
        return config | {"trained_betas": (1 - kept / np.append(1, kept[:-1])).tolist()}
    return config


class Scale(NamedTuple):
    """Mean and standard deviation of each channel of the latents, both (C, 1, 1)."""

    mean: torch.Tensor
    std: torch.Tensor

    def to(self, device: torch.device | str) -> "Scale":
        return Scale(self.mean.to(device), self.std.to(device))

    def scaled(self, latents: torch.Tensor) -> torch.Tensor:
        return (latents - self.mean) / self.std

    def latents(self, scaled: torch.Tensor) -> torch.Tensor:
        return scaled * self.std + self.mean


def no_scale(channels: int) -> Scale:
    """Latents as they are, which is what the authors' code takes."""
    return Scale(torch.zeros(channels, 1, 1), torch.ones(channels, 1, 1))


def scale_of(autoencoder: Autoencoder, codes: npt.NDArray[np.uint8]) -> Scale:
    """Of latents of codes (N, L) drawn from their distributions, computed without drawing; on the autoencoder's device."""
    total, squares, count, device = 0.0, 0.0, 0, device_of(autoencoder)
    with torch.inference_mode():
        for part in torch.from_numpy(np.ascontiguousarray(codes)).split(_BATCH):
            found = autoencoder.encode(part.to(device))
            mean = found.mean.double()
            total = total + mean.sum(dim=(0, 2, 3))
            squares = squares + (mean.square() + found.logvar.double().exp()).sum(dim=(0, 2, 3))
            count += mean.numel() // mean.shape[1]
    mean = total / count
    std = (squares / count - mean.square()).clamp_min(1e-12).sqrt()
    return Scale(mean.float()[:, None, None].clone(), std.float()[:, None, None].clone())


def network_for(
    autoencoder: Autoencoder,
    species: int,
    *,
    kind: str = "sequence",
    seed: int = 0,
    codewords: bool = False,
    **options,
) -> nn.Module:
    """A denoiser of an autoencoder's latents, told one of `species` species or any.

    kind: sequence (SequenceDenoiser with its `options`) or unet (UNet2DModel with those of `denoisers.unet_config`). InputError for
    latents it does not take, and for codewords where there are none.
    """
    shape = autoencoder.shape
    if kind not in ("sequence", "unet"):
        raise InputError(f"denoiser {kind!r}: choose sequence or unet.")
    if codewords and (
        kind != "sequence" or not isinstance(autoencoder, PatchAutoencoder) or autoencoder.config.patch > 6
    ):
        raise InputError("codewords need the denoiser sequence, and an autoencoder of patches of at most 6 bases.")
    if kind == "unet":
        config = denoisers.unet_config(shape, **options) | {"num_class_embeds": species + 1}
        return denoisers.build(config, seed)
    if shape[1] != 1:
        raise InputError(f"latents of {' x '.join(map(str, shape))} are no sequence of places; take the denoiser unet.")
    config = {"in_channels": shape[0], "out_channels": shape[0], "sample_size": [1, shape[2]]}
    config |= {"num_class_embeds": species + 1}
    if codewords:
        config |= {"codewords": 4**autoencoder.config.patch, "joint": min(3, autoencoder.config.patch)}
    try:
        return denoisers.build(config | options, seed, "SequenceDenoiser")
    except ValueError as error:
        raise InputError(f"there is no denoiser of this kind: {error}.") from error


class Examples:
    """Training examples: codes (N, L) and their species; `loss(network, step)` for `training.train`.

    unconditional: share of examples that are told "any" instead of their species
    autoencoder and scale are where the network is
    A network with codewords learns from the means of the latents, every other one from samples of their distributions, as the authors'.
    """

    def __init__(
        self,
        codes: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        autoencoder: Autoencoder,
        scale: Scale,
        scheduler: dict,
        *,
        species: int,
        batch: int,
        seed: int,
        unconditional: float = 0.1,
    ):
        self.codes, self.labels = torch.from_numpy(np.ascontiguousarray(codes)), torch.from_numpy(labels)
        self.autoencoder, self.scale, self.any = autoencoder, scale, species
        self.prediction = scheduler["prediction_type"]
        self.kept = torch.from_numpy(alpha_bar(scheduler)).float()
        self.batch, self.seed, self.unconditional = batch, seed, unconditional

    def know(self, network: nn.Module, counts: bool = True) -> None:
        """Give a network with codewords what it has to know; without counts, all codewords are as likely, and follow on each other."""
        with torch.no_grad():
            codebook = self.scale.scaled(self.autoencoder.codewords()[:, :, None, None])[:, :, 0, 0]
        words = self.autoencoder.words(self.codes)
        prior = log_frequencies(words, self.labels, len(codebook), self.any)
        junction = log_ratios(words, len(codebook), len(network.junction))
        if not counts:
            prior, junction = torch.zeros_like(prior), torch.zeros_like(junction)
        network.know(codebook, self.kept, prior, junction)

    def _error(self, network, codes, labels, times, numpy_rng, generator) -> torch.Tensor:
        """Loss of some sequences at some times, mean over all."""
        words, device = bool(getattr(network.config, "codewords", 0)), device_of(network)
        kept = self.kept[times][:, None, None, None].to(device)
        codes, labels, times = codes.to(device), labels.to(device), times.to(device)
        with torch.no_grad():
            found = self.autoencoder.encode(codes)
            clean = found.mean
            if not words:
                clean = found.sample(torch.randn(clean.shape, generator=generator).to(device))
            clean = self.scale.scaled(clean)
            noise = torch.randn(clean.shape, generator=generator).to(device)
            noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise
            noisy = noisy.contiguous(memory_format=torch.channels_last)
        if words:
            answers = network.answers(noisy, times, labels)
            return functional.cross_entropy(answers.flatten(0, 1), self.autoencoder.words(codes).flatten())
        target = {"epsilon": noise, "sample": clean, "v_prediction": kept.sqrt() * noise - (1 - kept).sqrt() * clean}
        return functional.mse_loss(network(noisy, times, class_labels=labels).sample, target[self.prediction])

    def loss(self, network: nn.Module, step: int) -> torch.Tensor:
        """Mean squared error, or cross-entropy in nats per place; the times of a batch are spread evenly."""
        rng, generator = draws(self.seed, step)
        rows = rng.integers(len(self.codes), size=self.batch)
        spread = (rng.random() + np.arange(self.batch) / self.batch) % 1
        times = torch.from_numpy((spread * len(self.kept)).astype(np.int64))
        untold = torch.from_numpy(rng.random(self.batch) < self.unconditional)
        labels = torch.where(untold, self.any, self.labels[rows])
        with seeded(self.seed, step, device_of(network)):
            return self._error(network, self.codes[rows], labels, times, rng, generator)

    def held_out(self, codes: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> Callable[[nn.Module], float]:
        """The same loss on other sequences, with the same noise and the same times, spread evenly, whenever it is asked for."""
        codes, labels = torch.from_numpy(np.ascontiguousarray(codes)), torch.from_numpy(labels)

        def measure(network: nn.Module) -> float:
            rng, generator = draws(20231010, 0)
            times = ((rng.permutation(len(codes)) + 0.5) / len(codes) * len(self.kept)).astype(np.int64)
            total = 0.0
            with torch.inference_mode():
                for at in range(0, len(codes), _BATCH):
                    part = slice(at, at + _BATCH)
                    found = self._error(
                        network, codes[part], labels[part], torch.from_numpy(times[part]), rng, generator
                    )
                    total += float(found) * len(codes[part])
            return total / len(codes)

        return measure


def log_frequencies(words: torch.Tensor, labels: torch.Tensor, number: int, species: int) -> torch.Tensor:
    """Logarithms of how frequent each of `number` words is at each place, by label and for any: (species + 1, W, number).

    words: (N, W). The place's neighbours count a quarter, and _PRIOR words with the frequencies of the whole sequence are added, which in
    turn start from half a word of each: so none has probability 0.
    """
    counts = torch.zeros(species + 1, words.shape[1], number)
    for label in range(species):
        for place, column in enumerate(words[labels == label].T):
            counts[label, place] = torch.bincount(column, minlength=number)
    counts[species] = counts[:species].sum(dim=0)
    whole = counts.sum(dim=1, keepdim=True) + 0.5
    near = counts.clone()
    near[:, 1:] += _NEIGHBOUR * counts[:, :-1]
    near[:, :-1] += _NEIGHBOUR * counts[:, 1:]
    near += _PRIOR * whole / whole.sum(dim=2, keepdim=True)
    return torch.log(near / near.sum(dim=2, keepdim=True))


def log_ratios(words: torch.Tensor, number: int, parts: int) -> torch.Tensor:
    """How much more often than by chance each end of a word stands before each beginning of the next: logarithms (parts, parts).

    words: (N, W) of `number`, whose last letters are the word modulo `parts` and whose first ones the word divided by number / parts.
    What is expected is added to what is counted, as much as _JUNCTION places, so a pair never seen has a ratio above 0.
    """
    ends, begins = words[:, :-1] % parts, words[:, 1:] // (number // parts)
    counts = torch.bincount((ends * parts + begins).flatten(), minlength=parts**2).view(parts, parts).double()
    row, column = counts.sum(dim=1, keepdim=True) + 0.5, counts.sum(dim=0, keepdim=True) + 0.5
    expected = row / row.sum() * column / column.sum()
    pseudo = _JUNCTION * parts**2
    return torch.log((counts + pseudo * expected) / (counts.sum() + pseudo) / expected).float()


def alpha_bar(scheduler: dict) -> npt.NDArray[np.float64]:
    """(T,): the share of the latent's variance that is left at each training time."""
    return np.cumprod(1 - schedule_of(scheduler).betas)


class LatentDiffusion:
    """A trained generator: `draw` sequences of labels, and what it makes of given ones, `posterior`.

    names: species in label order;  length: bases;  facts: of dna.json
    """

    kind = KIND

    def __init__(self, autoencoder: Autoencoder, denoiser: Denoiser, facts: dict):
        self.autoencoder, self.denoiser, self.facts = autoencoder, denoiser, facts
        self.device = denoiser.device
        self.names, self.length = tuple(facts["species"]), int(facts["length"])
        means, stds = (torch.tensor(denoiser.facts[key])[:, None, None] for key in ("latent_mean", "latent_std"))
        self.scale = Scale(means, stds).to(self.device)

    def draw(
        self,
        labels: npt.NDArray[np.int64],
        seed: int,
        *,
        sampler: str = "dpm++2m",
        nfe: int = 10,
        guidance: float = 1.0,
        batch: int = _BATCH,
        progress: Callable[[int], None] = lambda evaluations: None,
    ) -> Drawn:
        """A sequence for each label (N,), by any family of the samplers' catalogue at its default.

        guidance: 1 is none, 0 forgets the label;  batch: sequences at a time, without influence on the result
        progress: told the evaluations done after each
        Noise is drawn for all N at once. InputError for labels that are none, a negative guidance, a sampler that is none, and one that
        needs statistics.
        """
        labels = self._labels(labels)
        if not guidance >= 0:
            raise InputError(f"guidance {guidance} must not be negative.")
        if not len(labels):
            return Drawn(np.empty((0, self.length), dtype=np.uint8), np.empty((0, self.length), dtype=np.float32))
        config = self.denoiser.scheduler_config
        noise = stream(seed, "latent diffusion").standard_normal((len(labels), *self.denoiser.shape), dtype=np.float32)
        done = 0

        def denoise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            nonlocal done
            found = self._in_batches(lambda part, told: self._guided(part, t, told, guidance), x.float(), labels, batch)
            done += 1
            progress(done)
            return found.to(x.dtype)

        scaled, _ = run(settings(sampler, 0)[0], denoise, torch.from_numpy(noise), nfe, config, seed)
        decoded = self._in_batches(lambda part, _: self._bases(part), scaled.float(), labels, batch)
        confidence, tokens = decoded.max(dim=-1)
        return Drawn(tokens.to(torch.uint8).numpy(), confidence.numpy())

    def posterior(
        self,
        tokens: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        seed: int,
        *,
        tau: float = 0.3,
        repeats: int = 4,
        batch: int = _BATCH,
    ) -> npt.NDArray[np.float32]:
        """What the denoiser thinks of each base of given sequences (N, L): (N, L, 4) probabilities.

        The latent is noised to tau (0 is none, 1 the last training time), the denoiser predicts the clean one, that is decoded; mean over
        `repeats` noises. With codewords a patch is predicted from all the others alone, so its bases do not vouch for themselves, and a low
        tau leaves the others clear. Without them a base's own noisy latent counts too, the less the higher tau is.
        InputError for codes that are no bases or of another length, for labels that are none, and for a tau outside (0, 1].
        """
        labels = self._labels(labels)
        if tokens.ndim != 2 or tokens.shape != (len(labels), self.length) or tokens.max(initial=0) > 3:
            raise InputError(
                f"tokens {tokens.shape} must be {len(labels)} sequences of {self.length} bases (codes 0 to 3)."
            )
        if not 0 < tau <= 1 or repeats < 1:
            raise InputError(f"tau {tau} must lie in (0, 1] and repeats {repeats} be 1 or more.")
        schedule = schedule_of(self.denoiser.scheduler_config)
        kept = float(schedule.alpha_bar(tau))
        time = torch.tensor(max(len(schedule.betas) * tau - 1, 0.0), dtype=torch.float32)
        rng, codes = stream(seed, "latent diffusion/posterior"), torch.from_numpy(np.ascontiguousarray(tokens))
        total = torch.zeros(*tokens.shape, 4)
        encode = self.autoencoder.encode
        clean = self._in_batches(lambda part, _: self.scale.scaled(encode(part).mean), codes, labels, batch)
        for _ in range(repeats):
            noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32))
            noisy = kept**0.5 * clean + (1 - kept) ** 0.5 * noise
            total += self._in_batches(lambda part, told: self._expected(part, time, told, kept), noisy, labels, batch)
        return (total / repeats).numpy()

    def decoder_confidence(
        self, tokens: npt.NDArray[np.uint8], seed: int, *, batch: int = _BATCH
    ) -> npt.NDArray[np.float32]:
        """The decoder's largest probability (N, L) at each place of given sequences (N, L), from a latent drawn of the encoder's: what the
        published rule of Absorb & Escape goes by, in sequences whose right bases are known."""
        rng, codes = stream(seed, "latent diffusion/decoder"), torch.from_numpy(np.ascontiguousarray(tokens))
        shape = (len(tokens), *self.denoiser.shape)
        noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))

        def moments(part: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            return torch.stack([*self.autoencoder.encode(part)], dim=1)

        labels = torch.zeros(len(tokens), dtype=torch.int64)  # no autoencoder asks for them
        latents = Moments(*self._in_batches(moments, codes, labels, batch).unbind(dim=1)).sample(noise)
        sure = self._in_batches(lambda part, _: self.autoencoder.decode(part).softmax(dim=-1), latents, labels, batch)
        return sure.amax(dim=-1).numpy()

    def _labels(self, labels: npt.NDArray[np.int64]) -> torch.Tensor:
        labels = np.asarray(labels)
        known = [f"{label} ({name})" for label, name in enumerate((*self.names, "any"))]
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise InputError(f"labels must be whole numbers (N,), each one of {', '.join(known)}.")
        odd = (labels < 0) | (labels > len(self.names))
        if odd.any():
            row = int(odd.argmax())
            raise InputError(f"label {labels[row]} of sequence {row} is none of {', '.join(known)}.")
        return torch.from_numpy(labels.astype(np.int64))

    def _guided(self, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor, guidance: float) -> torch.Tensor:
        """The denoiser's output, away from that without a label by `guidance`."""
        told = self.denoiser.denoise(x, t, labels) if guidance else 0.0
        if guidance == 1:
            return told
        untold = self.denoiser.denoise(x, t)
        return untold + guidance * (told - untold) if guidance else untold

    def _bases(self, scaled: torch.Tensor) -> torch.Tensor:
        """Probabilities (B, L, 4) of the bases of latents."""
        return self.autoencoder.decode(self.scale.latents(scaled)).softmax(dim=-1)

    def _expected(self, x: torch.Tensor, t: torch.Tensor, labels: torch.Tensor, kept: float) -> torch.Tensor:
        """Probabilities (B, L, 4) of the bases behind noisy latents."""
        network = self.denoiser.network
        if getattr(
            network.config, "codewords", 0
        ):  # it names them, no decoder has to read them from a mean of codewords
            told = network.given_others(x.contiguous(memory_format=torch.channels_last), t, labels)
            words = told.softmax(dim=-1)
            patch = self.autoencoder.config.patch
            digits = torch.arange(words.shape[-1])[:, None] // 4 ** torch.arange(patch - 1, -1, -1) % 4
            spelled = functional.one_hot(digits, 4).float().flatten(1).to(x.device)
            return (words @ spelled).reshape(len(x), -1, 4)
        found = self.denoiser.denoise(x, t, labels)
        alpha, sigma = kept**0.5, (1 - kept) ** 0.5
        if self.denoiser.prediction_type == "epsilon":
            found = (x - sigma * found) / alpha
        elif self.denoiser.prediction_type == "v_prediction":
            found = alpha * x - sigma * found
        return self._bases(found)

    def _in_batches(self, one: Callable, x: torch.Tensor, labels: torch.Tensor, batch: int) -> torch.Tensor:
        """`one(part, labels)` batch by batch, the last filled up with its last row: rounding depends on a batch's size.

        Only a batch is on the model's device at a time; x, and with it what a sampler keeps and draws, stays on the CPU.
        """
        if batch < 1:
            raise InputError(f"batch {batch} must be 1 or more.")
        parts = []
        with torch.inference_mode():
            for at in range(0, len(x), batch):
                part, told = x[at : at + batch], labels[at : at + batch]
                missing = min(batch, len(x)) - len(part)
                filled = torch.cat([part, part[-1:].expand(missing, *part.shape[1:])]).to(self.device)
                told = torch.cat([told, told[-1:].expand(missing)]).to(self.device)
                parts.append(one(filled, told)[: len(part)].cpu())
        return torch.cat(parts)


def write_latent_diffusion(
    folder: str | os.PathLike,
    network: nn.Module,
    scheduler: dict,
    scale: Scale,
    autoencoder: tuple[Autoencoder, dict],
    facts: dict,
) -> None:
    """Write a trained generator; autoencoder: with its facts, as of `read_autoencoder`; facts: JSON as of `write_autoencoder`."""
    folder = Path(folder)
    own = {"space": "latents", "any_label": len(facts["species"])}
    own |= {"latent_mean": scale.mean.flatten().tolist(), "latent_std": scale.std.flatten().tolist()}
    write_autoencoder(folder / "autoencoder", *autoencoder)
    write_denoiser(folder, network, scheduler, own)
    parameters = sum(p.numel() for p in network.parameters())
    parts = {"denoiser": parameters, "autoencoder": sum(p.numel() for p in autoencoder[0].parameters())}
    found = {"kind": KIND, "network": type(network).__name__, "parameters": sum(parts.values()), "parameters_of": parts}
    write_json(folder / FACTS, {"bits_per_base": None} | facts | found)


def read_latent_diffusion(folder: str | os.PathLike, device: torch.device | str = "cpu") -> LatentDiffusion:
    """A trained generator; InputError for a folder that is none or not whole, or whose parts are not of each other."""
    folder = Path(folder)
    facts = read_facts(folder, KIND)
    denoiser = read_denoiser(folder, device)
    autoencoder, own = read_autoencoder(folder / "autoencoder", device)
    if autoencoder.shape != denoiser.shape or own["species"] != facts["species"]:
        raise InputError(
            f"{folder}: the autoencoder has latents {autoencoder.shape} of {', '.join(own['species'])}, the denoiser is of "
            f"{denoiser.shape} and {', '.join(facts['species'])}; train it again."
        )
    missing = [key for key in ("latent_mean", "latent_std", "any_label") if key not in denoiser.facts]
    if missing:
        raise InputError(f"{folder / denoisers.FACTS} has no {missing[0]}; train the denoiser again.")
    return LatentDiffusion(autoencoder, denoiser, facts)
