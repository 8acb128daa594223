"""Gaussian diffusion of one-hot bases: x_0 is 1 at the base and -1 at the three others, and any sampler turns noise into it.

No autoencoder stands between the bases and the noise, as in BitDiffusion (Chen et al. 2023) with one-hot in place of binary. The network
predicts v or x_0 by mean squared error, or `logits` of the bases by cross-entropy: then x_0 is 2 p - 1, which never leaves the simplex.

With `logits` the network sees and completes what the noisy numbers of a position say of its base by themselves. They lie at s (1, -1, -1,
-1) in some order with variance 1 - s^2, so by Bayes the log-odds of the bases are 2 s / (1 - s^2) x: this evidence, as probabilities, is
the network's input, and its output adds to it. What is left to learn is frequencies and context.
"""

import os
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from genovision.devices import device_of
from genovision.dna.base_networks import (
    Examples,
    check_labels,
    check_positive,
    check_tokens,
    guided,
    read_folder,
    write_folder,
)
from genovision.errors import InputError
from genovision.resampling import stream
from genovision.samplers.catalogue import run, schedule_of, settings
from genovision.samplers.schedules import make_betas
from genovision.training import draws, seeded

KIND = "onehot"
PREDICTIONS = ("logits", "sample", "v_prediction")
SAMPLER, NFE = "dpm++2m", 16
_BATCH = 64  # on a CPU the activations of more sequences no longer fit its caches


def noise_schedule(
    prediction: str = "logits",
    beta_schedule: str = "squaredcos_cap_v2",
    steps: int = 1000,
    beta_start: float = 1e-4,
    beta_end: float = 0.02,
) -> dict:
    """The configuration of a scheduler of diffusers, which the schedulers of genovision.samplers read too.

    prediction: one of PREDICTIONS; schedulers know `logits` as `sample`. InputError for an unknown one, and as `make_betas`.
    """
    if prediction not in PREDICTIONS:
        raise InputError(f"prediction {prediction!r}: choose one of {', '.join(PREDICTIONS)}.")
    make_betas(steps, beta_start, beta_end, beta_schedule)
    return {
        "beta_end": beta_end,
        "beta_schedule": beta_schedule,
        "beta_start": beta_start,
        "clip_sample": False,
        "num_train_timesteps": steps,
        "prediction_type": "sample" if prediction == "logits" else prediction,
    }


def one_hot(codes: torch.Tensor) -> torch.Tensor:
    """Codes (B, L) int64 -> x_0 (B, 4, L) float32, 1 and -1."""
    return 2 * functional.one_hot(codes, 4).movedim(-1, 1).float() - 1


def evidence(x: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Logits (B, 4, L) of the bases given their own noisy numbers x (B, 4, L) alone, at alpha-bar `kept` (B, 1, 1)."""
    return 2 * kept.sqrt() / (1 - kept) * x


def answer(
    network: nn.Module, prediction: str, x: torch.Tensor, labels: torch.Tensor, times: torch.Tensor, kept: torch.Tensor
) -> torch.Tensor:
    """What the network says of x (B, 4, L): logits (B, 4, L), the evidence included, or its prediction of x_0 or v."""
    if prediction != "logits":
        return network(x, labels, times).movedim(-1, 1)
    own = evidence(x, kept)
    return own + network(2 * own.softmax(dim=1) - 1, labels, times).movedim(-1, 1)


class Objective:
    """What `genovision.training.train` minimises, and what it measures on sequences that training does not see.

    The loss is unweighted over times, which are spread evenly over a batch: nats per base for `logits`, else squared error per number.
    """

    def __init__(
        self,
        examples: Examples,
        held_out: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]],
        scheduler: Mapping[str, object],
        prediction: str,
    ):
        self.examples, self.held_out, self.prediction = examples, held_out, prediction
        betas = make_betas(
            *(scheduler[name] for name in ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule"))
        )
        self.alpha_bar = np.cumprod(1 - betas)

    def loss(self, network: nn.Module, step: int) -> torch.Tensor:
        """Mean loss of a step's batch."""
        rng, _ = draws(self.examples.seed, step)
        codes, labels = self.examples.at(step, rng)
        with seeded(self.examples.seed, step, device_of(network)):
            return self._losses(network, codes, labels, rng).mean()

    def measure(self, network: nn.Module) -> float:
        """Mean loss of the held-out sequences with their labels, at noise and times that stay the same."""
        codes, labels = (torch.from_numpy(array.astype(np.int64)) for array in self.held_out)
        rng = np.random.default_rng(20241021)
        with torch.inference_mode():
            parts = [
                self._losses(network, codes[at : at + 128], labels[at : at + 128], rng)
                for at in range(0, len(codes), 128)
            ]
        return float(torch.cat(parts).mean())

    def _losses(self, network, codes, labels, rng: np.random.Generator) -> torch.Tensor:
        number, steps, device = len(codes), len(self.alpha_bar), device_of(network)
        codes, labels = codes.to(device), labels.to(device)
        times = np.minimum((rng.permutation(number) + rng.random(number)) / number * steps, steps - 1).astype(np.int64)
        clean = one_hot(codes)
        noise = torch.from_numpy(rng.standard_normal(tuple(clean.shape), dtype=np.float32)).to(device)
        kept = torch.from_numpy(self.alpha_bar[times]).float()[:, None, None].to(device)
        signal, spread = kept.sqrt(), (1 - kept).sqrt()
        x = signal * clean + spread * noise
        found = answer(network, self.prediction, x, labels, torch.from_numpy(times).to(device), kept)
        if self.prediction == "logits":
            return functional.cross_entropy(found, codes, reduction="none").mean(dim=1)
        target = clean if self.prediction == "sample" else signal * noise - spread * clean
        return (found - target).square().mean(dim=(1, 2))


class BaseDiffusion:
    """A trained model.

    network:    (x (B, 4, L), labels (B,), times (B,)) -> (B, L, 4), as `answer` uses it for the `prediction`
    scheduler:  of `noise_schedule`
    """

    kind = KIND

    def __init__(
        self,
        network: nn.Module,
        names: tuple[str, ...],
        length: int,
        scheduler: Mapping[str, object],
        prediction: str = "logits",
        device: torch.device | str = "cpu",
    ):
        self.network, self.names, self.length = network, tuple(names), length
        self.scheduler, self.prediction, self.device = dict(scheduler), prediction, torch.device(device)

    def draw(
        self,
        labels: npt.ArrayLike,
        seed: int,
        *,
        sampler: str = SAMPLER,
        nfe: int = NFE,
        guidance: float = 1.0,
        batch: int = _BATCH,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """Sequences of labels (N,) in at most `nfe` evaluations: tokens (N, L), the likeliest bases at the last one, and their probability.

        sampler:  a family of genovision.samplers.catalogue, at its default setting
        guidance: 1 without; more pushes away from what the model says of any species, at twice the calls
        A sequence depends on the seed and its place among the labels, not on `batch`; a stochastic sampler draws for all at once.
        """
        labels = check_labels(labels, self.names)
        _check(guidance, batch)
        setting = settings(sampler, 0)[0]
        noise = stream(seed, "noise").standard_normal((len(labels), 4, 1, self.length), dtype=np.float32)
        told, last = torch.from_numpy(labels), [np.zeros((0, self.length, 4), dtype=np.float32)]

        def denoise(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            """The prediction of the whole set, (N, 4, 1, L); what it says of the bases is kept in `last`."""
            found = [
                self._predict(x[at : at + batch, :, 0], t, told[at : at + batch], guidance)
                for at in range(0, len(x), batch)
            ]
            last[0] = np.concatenate([probabilities.cpu().numpy() for _, probabilities in found])
            return torch.cat([prediction for prediction, _ in found])[:, :, None].to(x)

        if len(labels):
            run(setting, denoise, torch.from_numpy(noise), nfe, self.scheduler, seed)
        return last[0].argmax(axis=-1).astype(np.uint8), last[0].max(axis=-1, initial=0.0)

    def posterior(
        self,
        tokens: npt.ArrayLike,
        labels: npt.ArrayLike,
        seed: int,
        *,
        level: float = 0.5,
        repeats: int = 4,
        guidance: float = 1.0,
        batch: int = _BATCH,
    ) -> npt.NDArray[np.float32]:
        """Distributions (N, L, 4), float32, of the bases as the network sees them under noise of a share `level` in (0, 1] of all times.

        The mean over `repeats` draws of noise. A low level gives the bases back; at 1 nothing but the label is known.
        """
        labels = check_labels(labels, self.names)
        tokens = check_tokens(tokens, labels, self.length)
        _check(guidance, batch)
        check_positive(repeats=repeats)
        if not 0 < level <= 1:
            raise InputError(f"level {level} must lie in (0, 1].")
        time = max(0, round(level * self.scheduler["num_train_timesteps"]) - 1)
        kept = self._kept(time)
        rng, found = stream(seed, "noise of the posterior"), np.zeros((*tokens.shape, 4), dtype=np.float32)
        for _ in range(repeats):
            noise = rng.standard_normal((len(tokens), 4, self.length), dtype=np.float32)
            for at in range(0, len(tokens), batch):
                rows = slice(at, at + batch)
                clean = one_hot(torch.from_numpy(tokens[rows].astype(np.int64)))
                x = kept**0.5 * clean + (1 - kept) ** 0.5 * torch.from_numpy(noise[rows])
                t = torch.tensor(float(time))
                found[rows] += self._predict(x, t, torch.from_numpy(labels[rows]), guidance)[1].cpu().numpy()
        return found / repeats

    def _kept(self, time: float) -> float:
        """Alpha-bar at a time of the network's, of which fractions count."""
        schedule = schedule_of(self.scheduler)
        return float(schedule.alpha_bar((time + 1) / len(schedule.betas)))

    @torch.inference_mode()
    def _predict(self, x, t, labels, guidance: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Of x (B, 4, L) at time t (0-dim): the prediction (B, 4, L) in the scheduler's type, and distributions of the bases (B, L, 4)."""
        x, labels = x.to(self.device, torch.float32), labels.to(self.device)
        times = torch.as_tensor(t, dtype=torch.float32, device=self.device).expand(len(x))
        kept = self._kept(float(t))
        level = torch.full((len(x), 1, 1), kept, device=self.device)

        def asked(told: torch.Tensor) -> torch.Tensor:
            return answer(self.network, self.prediction, x, told, times, level)

        found = guided(asked, labels, len(self.names), guidance)
        if self.prediction == "logits":
            probabilities = found.softmax(dim=1)
            return 2 * probabilities - 1, probabilities.movedim(1, -1)
        clean = found if self.prediction == "sample" else kept**0.5 * x - (1 - kept) ** 0.5 * found
        # the mean of x_0 given x is 2 p - 1
        likely = (clean.movedim(1, -1) + 1).clamp(min=1e-6)
        return found, likely / likely.sum(dim=-1, keepdim=True)


def _check(guidance: float, batch: int) -> None:
    check_positive(batch=batch)
    if not guidance >= 0:
        raise InputError(f"guidance {guidance} must not be negative.")


def write_base_diffusion(
    folder: str | os.PathLike, network: nn.Module, scheduler: Mapping[str, object], prediction: str, facts: dict
) -> None:
    """Write a BaseNetwork; facts: species (names in label order), length, and whatever training left."""
    write_folder(folder, network, facts | {"kind": KIND, "scheduler": dict(scheduler), "prediction": prediction})


def read_base_diffusion(folder: str | os.PathLike, device: torch.device | str = "cpu") -> BaseDiffusion:
    """A model from its folder; InputError as in `base_networks.read_folder`, and for a noise or prediction that is none."""
    network, facts = read_folder(folder, KIND)
    scheduler, prediction = facts.get("scheduler"), facts.get("prediction")
    names = ("beta_schedule", "num_train_timesteps", "beta_start", "beta_end")
    if not isinstance(scheduler, dict) or any(name not in scheduler for name in names):
        raise InputError(f"{folder}: dna.json has no scheduler with {', '.join(names)}; train the model again.")
    wanted = noise_schedule(prediction, *(scheduler[name] for name in names))
    if scheduler.get("prediction_type") != wanted["prediction_type"]:
        raise InputError(
            f"{folder}: dna.json says prediction {prediction} and a scheduler of {scheduler.get('prediction_type')}; train the model again."
        )
    return BaseDiffusion(network.to(device), tuple(facts["species"]), facts["length"], scheduler, prediction, device)
