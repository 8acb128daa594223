"""The desk's supervised network of promoters: which species, and real, shuffled or drawn from a Markov chain. Its last hidden layer is the
space of P-FID, its classes tell how well a set is recognised as its species and as real.

The papers measure in the features of Sei (Chen et al. 2022), trained on human chromatin. This network is far smaller and knows only what
the training fold taught it, so its distance has a name of its own (P-FID) and is no S-FID. Shuffles keep dinucleotides and the chain keeps
words of four bases: to tell them from real promoters, longer words and their positions are needed, which is what generators must learn.
"""

import copy
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.nn import functional

from genovision.atomic import replacing
from genovision.checkpoints import load_into, read_tensors
from genovision.devices import device_of
from genovision.dna import markov
from genovision.dna.examples import Examples
from genovision.dna.features import KINDS, by_species
from genovision.dna.shuffle import dinucleotide_shuffle
from genovision.errors import InputError
from genovision.resampling import stream
from genovision.training import draws

ORDER = 3  # of the Markov chains
KIND = "embedding"
CONFIG, WEIGHTS, FACTS = "config.json", "diffusion_pytorch_model.safetensors", "dna.json"
_POOL = 4  # positions that each of the two pooling layers makes one
_BATCH = 256  # sequences described at a time


def one_hot(codes: npt.NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
    """Codes (N, L) of A, C, G, T -> (N, 4, L) of 0 and 1, float32."""
    return functional.one_hot(torch.as_tensor(codes).long(), 4).movedim(-1, 1).float()


class Embedding(ModelMixin, ConfigMixin):
    """Codes (N, L) -> `features` values, and from them logits of the classes species x KINDS.

    species:  names in label order;  length: L, which 16 must divide
    width:    channels of the first convolution, whose filters are words of 15 bases; 4/3 of it in the two above
    features: entries of the embedding
    Positions are pooled to stretches of 16 bases and then kept apart, since promoters are aligned to their start sites.
    """

    @register_to_config
    def __init__(self, species: list[str], length: int = 256, width: int = 48, features: int = 64):
        super().__init__()
        self.species = tuple(species)
        if length % _POOL**2 or length < 1 or width < 3 or features < 1 or not species:
            raise InputError(
                f"an embedding needs a length that {_POOL**2} divides (not {length}), width {width} >= 3, "
                f"features {features} >= 1 and at least one species."
            )
        wide = width * 4 // 3
        self.trunk = nn.Sequential(
            # the same in the other order, in a quarter of the memory
            *(nn.Conv1d(4, width, 15, padding=7), nn.MaxPool1d(_POOL), nn.ReLU()),
            *(nn.Conv1d(width, wide, 5, padding=2), nn.MaxPool1d(_POOL), nn.ReLU()),
            *(nn.Conv1d(wide, wide, 3, padding=1), nn.ReLU(), nn.Flatten()),
        )
        self.embedding = nn.Linear(wide * (length // _POOL**2), features)
        self.classes = nn.Linear(features, len(species) * len(KINDS))

    def embed(self, codes: npt.NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
        """(N, features): the values of which the classes are linear functions; codes are moved to where the network is."""
        return functional.gelu(self.embedding(self.trunk(one_hot(torch.as_tensor(codes).to(device_of(self))))))

    def forward(self, codes: npt.NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
        """Logits (N, species x 3)."""
        return self.classes(self.embed(codes))


def build(species: Sequence[str], seed: int, **options) -> Embedding:
    """A network with the weights of a seed; options as of `Embedding`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Embedding(list(species), **options)


def labelled(examples: Examples, fold: str, seed: int, copies: int = 1) -> tuple[npt.NDArray, npt.NDArray]:
    """Codes (M, L) and classes (M,) of a fold: each real sequence `copies` times, with as many shuffles and sequences of a chain.

    Shuffles are of the fold's own sequences; the chain of a species is fitted on the training fold. What is drawn is a matter of seed,
    fold and species.
    """
    found, labels = [], []
    training, species_of_training = examples.of("train")
    real, species = examples.of(fold)
    for label, name in enumerate(examples.names):
        own, learned = real[species == label], training[species_of_training == label]
        if not len(own) or not len(learned):
            raise InputError(f"there is no sequence of {name} in the train or the {fold} fold; choose other species.")
        rng = stream(seed, f"floors of {name} in {fold}")
        chain = markov.fit(learned, ORDER)
        for _ in range(copies):
            found += [own, dinucleotide_shuffle(own, rng), chain.sample(len(own), own.shape[1], rng)]
            labels += [np.repeat(label * len(KINDS) + np.arange(len(KINDS)), len(own))]
    return np.concatenate(found), np.concatenate(labels)


class Loss:
    """Cross-entropy of a network on a batch of codes (M, L) with classes (M,): `loss(network, step)`."""

    def __init__(self, codes: npt.NDArray, classes: npt.NDArray, batch: int, seed: int):
        self.codes, self.classes = torch.from_numpy(np.ascontiguousarray(codes)), torch.from_numpy(classes)
        self.batch, self.seed = batch, seed

    def __call__(self, network: nn.Module, step: int) -> torch.Tensor:
        rows = draws(self.seed, step).numpy.integers(len(self.codes), size=self.batch)
        found = network(self.codes[rows])
        return functional.cross_entropy(found, self.classes[rows].to(found.device))


class Described(NamedTuple):
    """features (N, features) and log-probabilities of the classes (N, species x 3), float32."""

    features: npt.NDArray[np.float32]
    classes: npt.NDArray[np.float32]


@torch.no_grad()
def describe(network: Embedding, codes: npt.NDArray[np.uint8]) -> Described:
    """What the network sees in codes (N, L)."""
    features = [network.embed(codes[at : at + _BATCH]) for at in range(0, len(codes), _BATCH)]
    empty = torch.empty(0, network.config.features, device=device_of(network))
    together = torch.cat(features) if features else empty
    classes = functional.log_softmax(network.classes(together), dim=1)
    return Described(together.cpu().numpy(), classes.cpu().numpy())


def accuracy(log_probabilities: npt.NDArray, classes: npt.NDArray) -> dict[str, float]:
    """`classes`: share of rows whose class is the most probable one; `species`: of the real ones, whose species is."""
    species = by_species(log_probabilities).argmax(axis=1)
    real = classes % len(KINDS) == 0
    return {
        "classes": float((log_probabilities.argmax(axis=1) == classes).mean()),
        "species": float((species == classes // len(KINDS))[real].mean()),
    }


def write_embedding(folder: str | os.PathLike, network: Embedding, facts: dict) -> None:
    """Write a trained network: config.json and weights as diffusers does, dna.json with the facts last."""
    folder = Path(folder)
    copy.deepcopy(network).cpu().save_pretrained(folder)
    own = {
        "kind": KIND,
        "species": list(network.species),
        "length": network.config.length,
        "classes": [f"{name} {kind}" for name in network.species for kind in KINDS],
        "parameters": network.num_parameters(),
        "bits_per_base": None,
    }
    with replacing(folder / FACTS) as temporary:
        temporary.write_text(json.dumps(facts | own, indent=1, sort_keys=True) + "\n")


def read_embedding(folder: str | os.PathLike, device: torch.device | str = "cpu") -> Embedding:
    """A trained network in evaluation mode.

    InputError for a folder that is none or not whole, a training that diverged, and weights of another architecture.
    """
    folder = Path(folder)
    facts, config = (_read_json(folder / name) for name in (FACTS, CONFIG))
    if facts.get("kind") != KIND:
        raise InputError(f"{folder / FACTS} describes a {facts.get('kind')}; an {KIND} of train_embedding is needed.")
    if not isinstance(facts.get("loss"), int | float) or not math.isfinite(facts["loss"]):
        raise InputError(f"the {KIND} in {folder} diverged in training; lower its learning rate.")
    try:
        network = Embedding(**{name: value for name, value in config.items() if not name.startswith("_")})
    except TypeError as error:
        raise InputError(f"{folder / CONFIG} describes no {KIND} ({error}).") from error
    load_into(network, read_tensors(folder / WEIGHTS), str(folder / WEIGHTS))
    return network.eval().requires_grad_(False).to(device)


def _read_json(path: Path) -> dict:
    if not path.is_file():
        raise InputError(f"{path.parent} is no folder of a trained {KIND}: it has no {path.name}.")
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} is no whole JSON ({error}); train the {KIND} again.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} is no JSON object; train the {KIND} again.")
    return found
