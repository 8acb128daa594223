"""Which confidence Absorb & Escape goes by, what it draws from, and what is drawn at random places instead: the rows of its table.

Confidence of the diffusion model in a base:
    decoder     the largest probability of the final decode, as published
    posterior   its probability of the base that stands there, given the others (the sample is noised or masked, and denoised again)
    calibrated  the same after a temperature fitted on real validation sequences

Rules: natural, sampled and threshold of `absorb_escape`; the controls refill and letters edit as many bases of each sequence as another
refinement did, at random places. With `proposal` product an absorbed base is drawn from p_AR p_DM, normalised, p_DM being the (calibrated)
posterior: the composition of the two models that the paper (Absorb & Escape, arXiv 2410.21345) argues from. It asks for both to agree.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genovision.dna import calibration as calibrated
from genovision.dna.absorb_escape import absorb_escape, random_letters, random_refill
from genovision.dna.examples import Samples
from genovision.errors import InputError
from genovision.resampling import stream

CONFIDENCES = ("decoder", "posterior", "calibrated")
RULES = ("natural", "sampled", "threshold")
CONTROLS = ("refill", "letters")
PROPOSALS = ("autoregression", "product")


@dataclass(frozen=True)
class Setting:
    """One way to refine: `rule` and the rest of the arguments of `absorb_escape`, see the head of this file."""

    rule: str = "natural"
    confidence: str = "decoder"
    threshold: float = 0.85
    proposal: str = "autoregression"
    temperature: float = 1.0
    max_run: int | None = None

    def __post_init__(self):
        for name, value, known in (
            ("rule", self.rule, RULES),
            ("confidence", self.confidence, CONFIDENCES),
            ("proposal", self.proposal, PROPOSALS),
        ):
            if value not in known:
                raise InputError(f"{name} {value!r}: choose one of {', '.join(known)}.")
        if not 0 <= self.threshold <= 1 or not self.temperature > 0:
            raise InputError(f"threshold {self.threshold} in [0, 1] and temperature {self.temperature} > 0 are needed.")
        if self.max_run is not None and self.max_run < 1:
            raise InputError(f"max_run {self.max_run} must be 1 or more.")


def read_temperature(path: str | os.PathLike) -> float:
    """The temperature that dna/calibrate_generator found; InputError when the file holds none."""
    try:
        found = float(json.loads(Path(path).read_text(encoding="utf-8"))["temperature"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} holds no temperature ({error}); write it with dna/calibrate_generator.") from error
    if not found > 0:
        raise InputError(f"{path}: the temperature {found} must be positive.")
    return found


def confidence_of(samples: Samples, kind: str, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """(N, L) confidence of a kind; `temperature` is the calibrated one's. InputError when the samples have no posterior."""
    if kind == "decoder":
        return samples.confidence.astype(np.float64)
    found = posterior_of(samples, temperature if kind == "calibrated" else 1.0)
    return np.take_along_axis(found, samples.tokens[..., None].astype(np.int64), axis=2)[..., 0]


def posterior_of(samples: Samples, temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """(N, L, 4) the diffusion model's distribution of each base given the others, tempered."""
    if samples.posterior is None:
        raise InputError("the samples have no posterior, which this refinement needs: sample with --posterior.")
    return calibrated.apply(calibrated.logits_of(samples.posterior), temperature)


class Product:
    """A model for `absorb_escape` that draws from p_AR(x_i | x_<i) p_i(x_i), normalised.

    model: the autoregressive one; factor: (B, L, 4) positive, whose row b and position i belong to sequence b
    """

    def __init__(self, model, factor: npt.NDArray[np.float64]):
        self.model, self.factor = model, np.maximum(factor, 1e-12)

    def start(self, number: int):
        return self.model.start(number), 0

    def probs(self, state) -> npt.NDArray[np.float64]:
        inner, position = state
        product = np.asarray(self.model.probs(inner), dtype=np.float64) * self.factor[:, position]
        return product / product.sum(axis=1, keepdims=True)

    def advance(self, state, tokens):
        inner, position = state
        return self.model.advance(inner, tokens), position + 1


def _in_batches(places: npt.NDArray[np.bool_], batch: int) -> list[npt.NDArray[np.int64]]:
    """Rows of places (N, L) that have any, those together whose last ones are near each other: the model is not asked behind them."""
    last = np.where(places.any(axis=1), places.shape[1] - places[:, ::-1].argmax(axis=1), 0)
    order = np.argsort(last, kind="stable")[np.count_nonzero(last == 0) :]
    return [order[at : at + batch] for at in range(0, len(order), batch)]


def refine(
    samples: Samples, network, setting: Setting, *, calibration: float = 1.0, seed: int = 0, batch: int = 512
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Absorb & Escape on samples of a diffusion model: new tokens and what was edited, both (N, L).

    network: autoregressive, with `conditioned(labels)`, whose labels are those of the samples; calibration: temperature of the posterior.
    What a sequence becomes does not depend on the others, nor on `batch`.
    """
    confidence = confidence_of(samples, setting.confidence, calibration)
    factor = posterior_of(samples, calibration) if setting.proposal == "product" else None
    uniforms = stream(seed, "absorb and escape").random(samples.tokens.shape)
    tokens, edited = samples.tokens.copy(), np.zeros(samples.tokens.shape, dtype=bool)
    for rows in _in_batches(confidence < setting.threshold, batch):
        model = network.conditioned(samples.species[rows])
        tokens[rows], edited[rows] = absorb_escape(
            samples.tokens[rows],
            confidence[rows],
            model if factor is None else Product(model, factor[rows]),
            threshold=setting.threshold,
            uniforms=uniforms[rows],
            escape=setting.rule,
            temperature=setting.temperature,
            max_run=setting.max_run,
        )
    return tokens, edited


def control(
    samples: Samples,
    edited: npt.NDArray[np.bool_],
    kind: str,
    *,
    network=None,
    pool: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]] | None = None,
    seed: int = 0,
    batch: int = 512,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """As many edits of each sequence as `edited` (N, L) has, at random places: by the autoregressive model (refill) or letters.

    pool: training codes and their species, whose base frequencies by position the letters follow, each species its own
    """
    if kind not in CONTROLS:
        raise InputError(f"control {kind!r}: choose one of {', '.join(CONTROLS)}.")
    tokens, places = samples.tokens.copy(), np.zeros(edited.shape, dtype=bool)
    if kind == "letters":
        codes, species = pool
        for label in np.unique(samples.species):
            rows = samples.species == label
            tokens[rows], places[rows] = random_letters(
                samples.tokens[rows], edited[rows], pool=codes[species == label], seed=seed + int(label)
            )
        return tokens, places
    rng = stream(seed, "random refill")
    uniforms, chances = rng.random(edited.shape), rng.random(edited.shape)
    for rows in _in_batches(edited, batch):
        model = network.conditioned(samples.species[rows])
        tokens[rows], places[rows] = random_refill(
            samples.tokens[rows], edited[rows], model, uniforms[rows], chances[rows]
        )
    return tokens, places
