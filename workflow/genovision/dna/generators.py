"""Any trained generator of promoters behind one interface: draw sequences of species, and say how likely each base is given the others.

    kind in dna.json      what it is                                      draw(...) takes
    autoregression        recurrent network or transformer                temperature
    latent                diffusion in an autoencoder's latents           sampler, nfe, guidance
    onehot                Gaussian diffusion of one-hot bases             sampler, nfe, guidance
    masked                masked discrete diffusion                       rounds, temperature, guidance

Samplers are those of genovision.samplers by name.
"""

import inspect
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from genovision.dna import autoregression, base_diffusion, latent_diffusion, masked_diffusion
from genovision.dna.examples import Drawn
from genovision.errors import InputError
from genovision.resampling import stream

FACTS = "dna.json"
OPTIONS = ("sampler", "nfe", "rounds", "guidance", "temperature")  # of `draw`, that a user chooses


class Generator(Protocol):
    """What sampling needs of a model. Labels (N,) are places in `names`; len(names) stands for any species.

    What is drawn for a sequence depends on the seed and its place, not on the batch size. `posterior` is None in autoregressive models.
    """

    kind: str
    names: tuple[str, ...]
    length: int

    def draw(self, labels: npt.NDArray[np.int64], seed: int, **options) -> Drawn: ...

    def posterior(
        self, tokens: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], seed: int
    ) -> npt.NDArray[np.float32] | None: ...


def read_facts(folder: str | os.PathLike) -> dict:
    """dna.json of a trained model; InputError when there is none."""
    path = Path(folder) / FACTS
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing; {folder} is no folder of a trained DNA model.") from None
    except ValueError as error:
        raise InputError(f"{path} is no whole JSON file ({error}); train the model again.") from error
    if not isinstance(facts, dict) or "kind" not in facts:
        raise InputError(f"{path} does not say the model's kind; train the model again.")
    return facts


class Autoregression:
    """An autoregressive model as a generator; it has no posterior, as it knows a base from those before it only."""

    kind = autoregression.KIND

    def __init__(self, network):
        self.network, self.names, self.length = network, network.species, network.length

    def draw(self, labels: npt.NDArray[np.int64], seed: int, *, temperature: float = 1.0) -> Drawn:
        if not temperature > 0:
            raise InputError(f"temperature {temperature} must be above 0.")
        uniforms = stream(seed, "autoregression").random((len(labels), self.length))
        return Drawn(*autoregression.sample(self.network, labels, uniforms, temperature))

    def posterior(self, tokens, labels, seed) -> None:
        return None


def open_generator(folder: str | os.PathLike, device: torch.device | str = "cpu") -> Generator:
    """A trained generator of any kind, which takes and gives arrays whatever its device.

    InputError when the folder is none, and as the kind's own reader.
    """
    kind = read_facts(folder)["kind"]
    if kind == autoregression.KIND:
        return Autoregression(autoregression.read_autoregression(folder, device)[0])
    readers = {
        latent_diffusion.KIND: latent_diffusion.read_latent_diffusion,
        base_diffusion.KIND: base_diffusion.read_base_diffusion,
        masked_diffusion.KIND: masked_diffusion.read_masked_diffusion,
    }
    if kind not in readers:
        known = ", ".join([autoregression.KIND, *readers])
        raise InputError(f"{folder} holds a model of kind {kind!r}, which is no generator: {known}.")
    return readers[kind](folder, device)


def effective_options(generator: Generator, given: Mapping[str, float | str]) -> dict[str, float | str]:
    """All options that `draw` of this kind of generator goes by, those of `given` in the place of their defaults.

    InputError for one that it does not take.
    """
    found = inspect.signature(generator.draw).parameters.values()
    known = {one.name: one.default for one in found if one.kind is one.KEYWORD_ONLY and one.name in OPTIONS}
    for name in given:
        if name not in known:
            raise InputError(f"a generator of kind {generator.kind} takes {', '.join(known)}, not {name}.")
    return known | dict(given)
