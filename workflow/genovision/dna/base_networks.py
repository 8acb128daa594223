"""The network of both diffusion models of bases: residual dilated convolutions that see a sequence from both sides.

It says of every position how likely each base is there, given what is known of the others: bases of which some are masked, or bases
under Gaussian noise at some time. A species label scales and shifts every layer (FiLM, Perez et al. 2018), a position embedding enters
with the bases, because promoters are aligned at their start site.

Tables of each species, counted in the training set, add to the logits: frequencies by position, what stands between the words to either
side anywhere, and what stands between shorter words near this position. What counting finds in a second, the convolutions need not learn.

A trained model is a folder: config.json and diffusion_pytorch_model.safetensors as diffusers writes them, and dna.json, written last.
"""

import itertools
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

from genovision.atomic import replacing
from genovision.checkpoints import load_into, read_tensors, write_tensors
from genovision.errors import InputError

MASK = 4
CONFIG, WEIGHTS, FACTS = "config.json", "diffusion_pytorch_model.safetensors", "dna.json"
_GROUPS = 8  # of every normalisation
_SHORTER = 50  # times that a word counts as seen with the frequencies of the shorter one
_ANYWHERE = 100  # times that a word counts as seen near a position with the frequencies of anywhere
_NEAR = 3  # positions to either side that count as near
_FREQUENCIES = 32  # of the time embedding, from 1 to 1/10,000 per training step


class _Block(nn.Module):
    """Normalise, scale and shift by the condition, convolve, add."""

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float):
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.film = nn.Linear(width, 2 * width)
        self.convolution = nn.Conv1d(width, width, kernel, padding=dilation * (kernel // 2), dilation=dilation)
        self.dropout = nn.Dropout(dropout)
        for zero in (self.film.weight, self.film.bias, self.convolution.bias):
            nn.init.zeros_(zero)

    def forward(self, hidden: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        scale, shift = self.film(condition)[:, :, None].chunk(2, dim=1)
        inner = functional.silu(self.norm(hidden) * (1 + scale) + shift)
        return hidden + self.convolution(self.dropout(inner))


class BaseNetwork(ModelMixin, ConfigMixin):
    """Logits (B, L, 4) of the bases at every position.

    species:    labels are 0 to species - 1, and `species` for any of them
    timed:      for noisy bases at a time; else for bases of which some are masked
    width, kernel, dilations: of the convolutions, one residual layer per dilation
    context:    the table of words anywhere knows so many bases to either side of a masked one; 0 for none (and when timed)
    local:      so many the table of words near a position knows, 4 (species + 1) length 5^(2 local) numbers; 0 for none. When timed it asks
                that x are probabilities, as 2 p - 1, and has 4 in place of 5
    dropout:    in every layer
    """

    config_name = CONFIG

    @register_to_config
    def __init__(
        self,
        species: int,
        length: int,
        timed: bool = False,
        width: int = 64,
        kernel: int = 5,
        dilations: tuple[int, ...] = (1, 2, 4, 8, 16),
        context: int = 3,
        local: int = 2,
        dropout: float = 0.0,
    ):
        super().__init__()
        _check(species, length, width, kernel, dilations, context, local, dropout)
        self.inside = nn.Conv1d(4 if timed else 5, width, 2 * kernel - 1, padding=kernel - 1)
        self.position = nn.Parameter(0.1 * torch.randn(width, length))
        self.label = nn.Embedding(species + 1, width)
        self.blocks = nn.ModuleList(_Block(width, kernel, dilation, dropout) for dilation in dilations)
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.outside = nn.Conv1d(width, 4, 1)
        # zero: at first every base has the frequency that the tables give it
        nn.init.zeros_(self.outside.weight)
        nn.init.zeros_(self.outside.bias)
        self.frequency = nn.Parameter(torch.zeros(species + 1, 4, length))
        if timed:
            self.time = nn.Sequential(nn.Linear(2 * _FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))
            exponents = torch.arange(_FREQUENCIES) / _FREQUENCIES
            self.register_buffer("frequencies", torch.exp(-math.log(1e4) * exponents), persistent=False)
        elif context:
            self.words = nn.Parameter(torch.zeros(species + 1, 5 ** (2 * context), 4))
        if local:
            # not trained: so few sequences stand behind each number that they would be learnt by heart
            words = 4 ** (2 * local) if timed else 5 ** (2 * local)
            self.register_buffer("nearby", torch.full((species + 1, length, words, 4), float(timed)))

    def forward(self, bases: torch.Tensor, labels: torch.Tensor, times: torch.Tensor | None = None) -> torch.Tensor:
        """bases: tokens (B, L), 4 where masked, or when timed numbers (B, 4, L) at times (B,), of which fractions count."""
        if self.config.timed:
            entered = bases
            angles = times[:, None].float() * self.frequencies
            condition = self.label(labels) + self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
        else:
            entered = functional.one_hot(bases.long(), 5).movedim(-1, 1).float()
            condition = self.label(labels)
        hidden, condition = self.inside(entered) + self.position, functional.silu(condition)
        for block in self.blocks:
            hidden = block(hidden, condition)
        logits = self.outside(functional.silu(self.norm(hidden))).movedim(1, -1)
        logits = logits + self.frequency[labels].movedim(1, -1)
        if self.config.timed:
            return logits + self._among_likely((bases + 1) / 2, labels).log() if self.config.local else logits
        if self.config.context:
            logits = logits + self.words[labels[:, None], around(bases, self.config.context)]
        if self.config.local:
            places = torch.arange(self.config.length, device=bases.device)
            logits = logits + self.nearby[labels[:, None], places, around(bases, self.config.local)]
        return logits

    def _among_likely(self, likely: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean (B, L, 4) of the table of words near a position over words of whose bases probabilities (B, 4, L) are known.

        With the frequencies of the positions they are independent distributions: how much more likely each base is among such neighbours.
        """
        reach, length = self.config.local, self.config.length
        own = likely * self.frequency[labels].softmax(dim=1)
        own = functional.pad(own / own.sum(dim=1, keepdim=True), (reach, reach), value=0.25).movedim(1, -1)
        words = own.new_ones(len(own), length, 1)
        for offset in range(2 * reach + 1):
            if offset != reach:
                words = (words[..., None] * own[:, offset : offset + length, None]).flatten(2)
        found = torch.empty(len(own), length, 4, dtype=own.dtype, device=own.device)
        for label in labels.unique():
            rows = labels == label
            found[rows] = torch.bmm(words[rows].movedim(1, 0), self.nearby[label]).movedim(0, 1)
        return found.clamp(min=1e-6)

    def begin_with(self, codes: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> None:
        """Set the tables to what was counted in codes (N, L) of labels (N,); those of any species to the counts of all."""
        with torch.no_grad():
            for label in range(self.config.species + 1):
                own = codes[labels == label] if label < self.config.species else codes
                if not len(own):
                    continue
                overall, by_position = frequencies(own)
                self.frequency[label] = torch.from_numpy(np.log(by_position).T)
                # where all is masked these are 0, and the frequency of the position stands alone
                if not self.config.timed and self.config.context:
                    self.words[label] = torch.from_numpy(np.log(between(own, self.config.context)) - np.log(overall))
                if self.config.local:
                    self._begin_nearby(label, *between_near(own, self.config.local))

    def _begin_nearby(self, label: int, found: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]) -> None:
        if not self.config.timed:
            self.nearby[label] = torch.from_numpy(np.log(found / expected))
            return
        self.nearby[label] = torch.from_numpy(_all_known(found, self.config.local))
        # relative to what it is on average: where nothing is known of the neighbours, the frequency of the position stands alone
        nothing = torch.full((1, 4, self.config.length), 0.25)
        self.nearby[label] /= self._among_likely(nothing, torch.tensor([label]))[0, :, None]


def around(tokens: torch.Tensor, reach: int) -> torch.Tensor:
    """Number of the word around each position of tokens (B, L), `reach` to either side, without the position itself; (B, L) < 5^(2 reach).

    The leftmost token is the highest of its digits to base 5. Beyond the ends it is as if masked.
    """
    length = tokens.shape[1]
    padded = functional.pad(tokens.long(), (reach, reach), value=MASK)
    word = torch.zeros_like(tokens, dtype=torch.int64)
    for offset in range(2 * reach + 1):
        if offset != reach:
            word = word * 5 + padded[:, offset : offset + length]
    return word


def frequencies(codes: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of the bases in codes (N, L): overall (4,), and by position (L, 4), there as if a few more of the overall ones were seen."""
    counts = np.stack([(codes == base).sum(axis=0) for base in range(4)], axis=1)
    overall = (counts.sum(axis=0) + 1) / (counts.sum() + 4)
    return overall, (counts + _SHORTER * overall) / (len(codes) + _SHORTER)


def between(codes: npt.NDArray[np.uint8], reach: int) -> npt.NDArray[np.float64]:
    """Distributions (5^(2 reach), 4) of the base between known and masked bases, numbered as `around` does, counted in codes (N, L).

    A word seen seldom backs off to the one that knows one base less, the farthest (on a tie the left one): as if it had been seen _SHORTER
    more times with those frequencies.
    """
    overall, _ = frequencies(codes)
    found = np.empty((5,) * (2 * reach) + (4,))
    for known in _patterns(reach):
        if any(known):
            counts = _counts(codes, reach, known).sum(axis=0)
            shorter, axis = _shorter(known, reach)
            prior = np.expand_dims(found[_cells(shorter)], axis)
            found[_cells(known)] = (counts + _SHORTER * prior) / (counts.sum(axis=-1, keepdims=True) + _SHORTER)
        else:
            found[_cells(known)] = overall
    return found.reshape(-1, 4)


def between_near(codes: npt.NDArray[np.uint8], reach: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """As `between`, at each position and _NEAR to either side of it, and what would be expected there: both (L, 5^(2 reach), 4).

    Expected is the distribution of anywhere, times how the position's frequencies differ from those of anywhere. A word near a position
    counts as seen _ANYWHERE more times with that, changed as the shorter word changes it there.
    """
    overall, by_position = frequencies(codes)
    sides, length = 2 * reach, codes.shape[1]
    anywhere = between(codes, reach).reshape((5,) * sides + (4,))
    expected = anywhere * (by_position / overall).reshape(-1, *(1,) * sides, 4)
    expected /= expected.sum(axis=-1, keepdims=True)
    first = np.maximum(np.arange(length) - _NEAR, 0)
    last = np.minimum(np.arange(length) + _NEAR + 1, length)
    found = expected.copy()
    for known in _patterns(reach):
        if not any(known):
            continue
        counts = _counts(codes, reach, known)
        running = np.concatenate([np.zeros_like(counts[:1]), counts.cumsum(axis=0)])
        counts = running[last] - running[first]
        shorter, axis = _shorter(known, reach)
        cells, less = ((slice(None), *_cells(which)) for which in (known, shorter))
        prior = expected[cells] * np.expand_dims(found[less] / expected[less], 1 + axis)
        prior /= prior.sum(axis=-1, keepdims=True)
        found[cells] = (counts + _ANYWHERE * prior) / (counts.sum(axis=-1, keepdims=True) + _ANYWHERE)
    return found.reshape(length, -1, 4), expected.reshape(length, -1, 4)


def _patterns(reach: int) -> list[tuple[bool, ...]]:
    """Which bases around one are known, left to right: all combinations, those that know fewer first."""
    return sorted(itertools.product((False, True), repeat=2 * reach), key=sum)


def _cells(known: tuple[bool, ...]) -> tuple:
    """The part of a table of words that knows just these bases."""
    return tuple(slice(0, 4) if one else MASK for one in known)


def _shorter(known: tuple[bool, ...], reach: int) -> tuple[tuple[bool, ...], int]:
    """The pattern without its farthest base, the left one on a tie, and which of the known bases that is."""
    offsets = [offset for offset in range(-reach, reach + 1) if offset]
    place = max((place for place, one in enumerate(known) if one), key=lambda place: (abs(offsets[place]), -place))
    return tuple(one and at != place for at, one in enumerate(known)), sum(known[:place])


def _counts(codes: npt.NDArray[np.uint8], reach: int, known: tuple[bool, ...]) -> npt.NDArray[np.float64]:
    """How often each base stands between the known ones, at every position: (L, 4, ..., 4), an axis per known base and the last for it."""
    length, offsets = codes.shape[1], [offset for offset in range(-reach, reach + 1) if offset]
    used = [offset for offset, one in zip(offsets, known, strict=True) if one]
    shape = (4,) * (len(used) + 1)
    found = np.zeros((length, *shape))
    for place in range(max(0, -min(used)), length - max(0, *used)):
        word = np.zeros(len(codes), dtype=np.int64)
        for offset in (*used, 0):
            word = word * 4 + codes[:, place + offset]
        found[place] = np.bincount(word, minlength=4 ** len(shape)).reshape(shape)
    return found


def _all_known(table: npt.NDArray[np.float64], reach: int) -> npt.NDArray[np.float64]:
    """The part (L, 4^(2 reach), 4) of a table (L, 5^(2 reach), 4) in whose words no base is masked."""
    sides = 2 * reach
    return table.reshape(-1, *(5,) * sides, 4)[(slice(None), *(slice(0, 4),) * sides)].reshape(len(table), -1, 4)


def _check(species, length, width, kernel, dilations, context, local, dropout) -> None:
    if min(species, length) < 1 or width < 1 or width % _GROUPS:
        raise InputError(
            f"species {species} and length {length} must be 1 or more, width {width} a multiple of {_GROUPS}."
        )
    if kernel < 1 or kernel % 2 == 0 or not dilations or min(dilations) < 1:
        raise InputError(f"kernel {kernel} must be odd, and dilations {list(dilations)} one or more numbers from 1.")
    if not 0 <= context <= 4 or not 0 <= local <= 3 or not 0 <= dropout < 1:
        raise InputError(
            f"context {context} must lie in 0 to 4 (5^(2 context) words), local {local} in 0 to 3, dropout {dropout} in [0, 1)."
        )


def build(seed: int = 0, **config) -> BaseNetwork:
    """A network whose weights depend on `seed` alone; drawing them leaves torch's generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BaseNetwork(**config)


Call = Callable[[torch.Tensor], torch.Tensor]


def guided(call: Call, labels: torch.Tensor, species: int, guidance: float) -> torch.Tensor:
    """Logits `call(labels)`, pushed away from those without a label (Ho & Salimans 2022); guidance 1 asks for no second call."""
    if guidance == 1:
        return call(labels)
    without = call(torch.full_like(labels, species))
    return without + guidance * (call(labels) - without)


class Examples:
    """Batches of sequences with their labels, one epoch after the other, a share of the labels replaced by "any".

    codes (N, L) uint8, labels (N,); what a step gets depends on (seed, step) alone.
    """

    def __init__(
        self,
        codes: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        species: int,
        batch: int,
        seed: int,
        unlabelled: float = 0.1,
    ):
        self.codes, self.labels, self.species = codes, labels, species
        self.batch, self.seed, self.unlabelled = batch, seed, unlabelled
        self._order = (-1, np.empty(0, dtype=np.int64))

    def at(self, step: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes (B, L) int64 and labels (B,) of a step (0-based)."""
        epochs, places = np.divmod(np.arange(step * self.batch, (step + 1) * self.batch), len(self.codes))
        rows = np.array([self._orders(int(epoch))[place] for epoch, place in zip(epochs, places, strict=True)])
        labels = np.where(rng.random(self.batch) < self.unlabelled, self.species, self.labels[rows])
        return torch.from_numpy(self.codes[rows].astype(np.int64)), torch.from_numpy(labels)

    def _orders(self, epoch: int) -> npt.NDArray[np.int64]:
        if self._order[0] != epoch:
            self._order = (epoch, np.random.default_rng([self.seed, 1, epoch]).permutation(len(self.codes)))
        return self._order[1]


def write_folder(folder: str | os.PathLike, network: BaseNetwork, facts: dict) -> None:
    """Write a trained network; dna.json last, so that a folder with one is whole. facts: JSON, with kind, species and length."""
    from diffusers import __version__

    folder = Path(folder)
    config = {key: value for key, value in network.config.items() if not key.startswith("_")}
    _write(folder / CONFIG, config | {"_class_name": type(network).__name__, "_diffusers_version": __version__})
    write_tensors(network.state_dict(), folder / WEIGHTS)
    _write(folder / FACTS, facts | {"parameters": sum(parameter.numel() for parameter in network.parameters())})


def read_folder(folder: str | os.PathLike, kind: str) -> tuple[BaseNetwork, dict]:
    """A network in evaluation mode and dna.json.

    InputError, in one sentence, for a missing or damaged file, another kind of model, weights of another architecture, and a species list
    or length that contradicts the configuration.
    """
    folder = Path(folder)
    facts, config = _read(folder / FACTS), _read(folder / CONFIG)
    if facts.get("kind") != kind:
        raise InputError(f"{folder / FACTS} describes a model of kind {facts.get('kind')!r}; {kind!r} is needed.")
    if config.get("_class_name") != BaseNetwork.__name__:
        raise InputError(f"{folder / CONFIG} is of a {config.get('_class_name')}; a {BaseNetwork.__name__} is needed.")
    try:
        network = build(**{key: value for key, value in config.items() if not key.startswith("_")})
    except (TypeError, ValueError) as error:
        raise InputError(f"{folder / CONFIG} describes no {BaseNetwork.__name__} ({error}).") from error
    names, length = facts.get("species"), facts.get("length")
    if not isinstance(names, list) or len(set(map(str, names))) != network.config.species:
        raise InputError(
            f"{folder / FACTS}: species are {names!r}, but {CONFIG} has {network.config.species} labels; as many names are needed."
        )
    if length != network.config.length:
        raise InputError(
            f"{folder}: the length is {length!r} in {FACTS} and {network.config.length} in {CONFIG}; they must agree."
        )
    if network.config.timed != (kind == "onehot"):
        raise InputError(f"{folder / CONFIG}: timed is {network.config.timed}, which does not go with kind {kind!r}.")
    if not (folder / WEIGHTS).is_file():
        raise InputError(
            f"{folder / WEIGHTS} is missing; save the weights as safetensors (pickled .bin files are not loaded)."
        )
    load_into(network, read_tensors(folder / WEIGHTS), str(folder / WEIGHTS))
    return network.eval().requires_grad_(False), facts


def check_positive(**values: float) -> None:
    """InputError naming the first of the values that is not positive."""
    for name, value in values.items():
        if not value > 0:
            raise InputError(f"{name} {value} must be positive.")


def check_labels(labels: npt.ArrayLike, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Labels (N,) int64; InputError unless all are places in `names`, or their number, which stands for any species."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels must be (N,) whole numbers, not {labels.shape} of {labels.dtype}.")
    odd = (labels < 0) | (labels > len(names))
    if odd.any():
        known = ", ".join(f"{label} ({name})" for label, name in enumerate((*names, "any")))
        raise InputError(f"label {labels[odd][0]} of sequence {odd.argmax()} is none of {known}.")
    return labels.astype(np.int64)


def check_tokens(tokens: npt.ArrayLike, labels: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.uint8]:
    """Tokens (N, L); InputError for another length or number than labels, or a token that is no base."""
    tokens = np.asarray(tokens)
    if tokens.shape != (len(labels), length):
        raise InputError(f"tokens {tokens.shape} must be {len(labels)} sequences of {length} bases.")
    odd = (tokens < 0) | (tokens > 3)
    if odd.any():
        row, place = np.argwhere(odd)[0]
        raise InputError(f"sequence {row} at position {place} is {tokens[row, place]}; bases are 0 to 3 (A, C, G, T).")
    return tokens.astype(np.uint8)


def _write(path: Path, values: dict) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


def _read(path: Path) -> dict:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing; a model of bases is a folder of dna/train_base_diffusion.") from None
    except ValueError as error:
        raise InputError(f"{path} is no whole JSON file ({error}); write it again.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold a JSON object.")
    return values
