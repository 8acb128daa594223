"""Autoregressive models of promoters, conditional on species: each base given those before it, by a recurrent network or a transformer.

Both read a sequence that starts with its species token; bases are tokens 0 to 3, species 4 and up, the last token stands for any species.
So a label can not be taken for a base, as it can where letters and labels share ids. Into every position go the token before it, the last
few bases as one word (a row of a table), the position and the species. Out of it comes what the network makes of them, plus two tables:
a chain (logits after each word, per species) and the composition at each position. The tables begin as what the training set counts, so
the network learns what they miss. The readout has a part of its own at each position, without which motifs at a fixed distance of the
start site stay blunt.

A model steps through sequences with a state (`conditioned`), as absorb_escape asks of it, or takes whole ones in one pass (`forward`).
"""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

from genovision.atomic import replacing
from genovision.checkpoints import load_into, read_tensors, write_tensors
from genovision.devices import device_of
from genovision.dna.drawing import inverse_distribution
from genovision.dna.markov import Markov
from genovision.errors import InputError
from genovision.training import Point, draws, seeded, write_curve

CONFIG, WEIGHTS, FACTS = "config.json", "diffusion_pytorch_model.safetensors", "dna.json"
KIND = "autoregression"
_BATCH = 256  # sequences at a time


class _Autoregression(ModelMixin, ConfigMixin):
    """What both networks share: the inputs of a position, the tables and the readout. A subclass gives the network between them."""

    def _build(self, species: Sequence[str], length: int, context: int, inside: int, outside: int, dropout: float):
        """inside, outside: width of what goes into the network and of what comes out."""
        names = list(species)
        if not names or len(set(names)) < len(names):
            raise InputError(f"species {', '.join(names) or 'none'}: one or more different names are needed.")
        if length < 1 or not 1 <= context <= 8 or not 0 <= dropout < 1:
            raise InputError(
                f"length {length} >= 1, context {context} in 1 to 8, dropout {dropout} in [0, 1) are needed."
            )
        self.context = context
        labels, words = len(names) + 1, (4 ** (context + 1) - 1) // 3
        self.token = nn.Embedding(4 + labels, inside)
        self.word = nn.Embedding(words, inside)
        self.place = nn.Embedding(length, inside)
        self.chain = nn.Embedding(labels * words, 4)
        self.composition = nn.Embedding(labels * length, 4)
        self.readout = nn.Linear(outside, 4)
        self.place_readout = nn.Parameter(torch.zeros(length, outside, 4))
        self.drop = nn.Dropout(dropout)
        for table in (self.token, self.word, self.place):
            nn.init.normal_(table.weight, std=inside**-0.5)
        for zero in (self.chain.weight, self.composition.weight, self.readout.weight, self.readout.bias):
            nn.init.zeros_(zero)

    @property
    def species(self) -> tuple[str, ...]:
        """Names in label order."""
        return tuple(self.config.species)

    @property
    def length(self) -> int:
        return self.config.length

    @property
    def anything(self) -> int:
        """The label of no species in particular."""
        return len(self.config.species)

    def labels_of(self, names: Sequence[str]) -> npt.NDArray[np.int64]:
        """Labels of species names; InputError for one the model was not trained on, with those it was."""
        known = {name: label for label, name in enumerate(self.species)}
        for name in names:
            if name not in known:
                raise InputError(f"the model does not know {name}; it knows {', '.join(self.species)}.")
        return np.array([known[name] for name in names], dtype=np.int64)

    def begin_with(self, chains: Sequence[Markov], compositions: Sequence[npt.NDArray[np.float64]]) -> None:
        """Set the tables to counted statistics, per label: a homogeneous chain, and (L, 4) frequencies by position.

        A word longer than the chain's order gets the row of its last bases. The composition is set to the logarithm of the frequencies
        over their mean, so that together the tables are a product of the two.
        """
        logs = []
        for chain in chains:
            tables = [chain.tables[min(j, chain.order)][0] for j in range(self.context + 1)]
            rows = [np.tile(table, (4**j // len(table), 1)) for j, table in enumerate(tables)]
            logs.append(np.log(np.concatenate(rows)))
        ratios = [np.log(frequencies / frequencies.mean(axis=0)) for frequencies in compositions]
        with torch.no_grad():
            self.chain.weight.copy_(torch.from_numpy(np.concatenate(logs)))
            self.composition.weight.copy_(torch.from_numpy(np.concatenate(ratios)))

    def _first(self, labels: torch.Tensor) -> torch.Tensor:
        """What goes in at the first position (B, inside): the species token, the empty word and the place."""
        label = self.token(labels + 4)
        return label + self.word.weight[0] + self.place.weight[0]

    def _inputs(self, before: torch.Tensor, words: torch.Tensor, places: torch.Tensor, labels: torch.Tensor):
        """Inputs (..., inside) of positions behind the first: token before, word, place, species."""
        return self.token(before) + self.word(words) + self.place(places) + self.token(labels + 4)

    def _words(self, tokens: torch.Tensor) -> torch.Tensor:
        """Rows (B, L) of the word tables: the last `context` bases before each position, or as many as there are."""
        rows, length = tokens.shape
        found = tokens.new_zeros(rows, length)
        for k in range(1, min(self.context, length - 1) + 1):
            found[:, k:] += tokens[:, :-k] * 4 ** (k - 1)
        reach = torch.arange(length, device=tokens.device).clamp(max=self.context)
        return found + torch.div(4**reach - 1, 3, rounding_mode="floor")

    def _logits(self, hidden: torch.Tensor, words: torch.Tensor, place: int | None, labels: torch.Tensor):
        """Logits (B, L, 4) of outputs (B, L, outside), or (B, 4) of outputs (B, outside) at one place."""
        rows = self.config.length
        if place is None:
            length = hidden.shape[1]
            own = torch.bmm(hidden.transpose(0, 1), self.place_readout[:length]).transpose(0, 1)
            labels, places = labels[:, None], torch.arange(length, device=hidden.device)[None]
        else:
            own, places = hidden @ self.place_readout[place], place
        words = labels * (self.chain.num_embeddings // (self.anything + 1)) + words
        return self.readout(hidden) + own + self.chain(words) + self.composition(labels * rows + places)

    def forward(self, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Logits (B, L, 4) of bases (B, L): position i given the bases before i and the label (B,), all in one pass."""
        tokens, labels = tokens.long(), labels.long()
        words = self._words(tokens)
        places = torch.arange(1, tokens.shape[1], device=tokens.device)
        behind = self._inputs(tokens[:, :-1], words[:, 1:], places, labels[:, None])
        inputs = torch.cat([self._first(labels)[:, None], behind], dim=1)
        return self._logits(self.drop(self._through(self.drop(inputs))), words, None, labels)

    def _through(self, inputs: torch.Tensor) -> torch.Tensor:
        """The network over whole sequences: (B, L, inside) -> (B, L, outside), position i of the first i + 1 inputs."""
        raise NotImplementedError

    def _memory(self, rows: int) -> Any:
        """What the network remembers before the first input."""
        raise NotImplementedError

    def _step(self, memory: Any, inputs: torch.Tensor, place: int) -> tuple[torch.Tensor, Any]:
        """One position: inputs (B, inside) -> (outputs (B, outside), memory)."""
        raise NotImplementedError

    def conditioned(self, labels: npt.ArrayLike) -> "Conditioned":
        """The model on sequences with these labels (B,), as `absorb_escape` steps through it."""
        return Conditioned(self, labels)


class RecurrentModel(_Autoregression):
    """Gated recurrent units (Cho et al. 2014).

    width, layers: of the recurrent network;  context: bases of a word;  inside: width of its inputs
    """

    @register_to_config
    def __init__(
        self,
        species: Sequence[str],
        length: int,
        width: int = 160,
        layers: int = 1,
        context: int = 6,
        inside: int = 64,
        dropout: float = 0.0,
    ):
        super().__init__()
        if width < 1 or layers < 1 or inside < 1:
            raise InputError(f"width {width}, layers {layers} and inside {inside} must be 1 or more.")
        self._build(species, length, context, inside, width, dropout)
        self.network = nn.GRU(inside, width, layers, batch_first=True)

    def _through(self, inputs):
        return self.network(inputs)[0]

    def _memory(self, rows):
        return [self.readout.weight.new_zeros(rows, self.config.width) for _ in range(self.config.layers)]

    def _step(self, memory, inputs, place):
        new = []
        for weights, before in zip(self.network.all_weights, memory, strict=True):
            inputs = torch.gru_cell(inputs, before, *weights)
            new.append(inputs)
        return inputs, new


class CausalTransformer(_Autoregression):
    """Attention to the positions so far, normalised before each part (Vaswani et al. 2017; Xiong et al. 2020).

    width, layers, heads: of the transformer, its inner layers four times as wide;  context: bases of a word
    """

    @register_to_config
    def __init__(
        self,
        species: Sequence[str],
        length: int,
        width: int = 96,
        layers: int = 3,
        heads: int = 4,
        context: int = 6,
        dropout: float = 0.0,
    ):
        super().__init__()
        if width < 1 or layers < 1 or heads < 1 or width % heads:
            raise InputError(
                f"width {width} and layers {layers} must be 1 or more, and {heads} heads divide the width."
            )
        self._build(species, length, context, width, width, dropout)
        self.blocks = nn.ModuleList(_Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def _through(self, inputs):
        for block in self.blocks:
            inputs = block(inputs)
        return self.norm(inputs)

    def _memory(self, rows):
        shape = (rows, self.config.heads, self.config.length, self.config.width // self.config.heads)
        empty = self.readout.weight.new_zeros
        return [(empty(shape), empty(shape)) for _ in self.blocks]

    def _step(self, memory, inputs, place):
        for block, cache in zip(self.blocks, memory, strict=True):
            inputs = block.step(inputs, cache, place)
        return self.norm(inputs), memory


class _Block(nn.Module):
    """Attention and two layers, each added to what came in."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def _heads(self, hidden: torch.Tensor):
        """Queries, keys and values, each (B, heads, L, width / heads)."""
        parts = self.query_key_value(self.before(hidden)).unflatten(-1, (3, self.heads, -1))
        return parts.permute(2, 0, 3, 1, 4)

    def _rest(self, hidden, attended):
        hidden = hidden + self.mixed(attended.transpose(1, 2).flatten(2))
        return hidden + self.outer(functional.gelu(self.inner(self.between(hidden))))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        queries, keys, values = self._heads(hidden)
        return self._rest(hidden, functional.scaled_dot_product_attention(queries, keys, values, is_causal=True))

    def step(self, hidden: torch.Tensor, cache: tuple[torch.Tensor, torch.Tensor], place: int) -> torch.Tensor:
        """One position (B, width); its key and value are added to the cache."""
        query, key, value = self._heads(hidden[:, None])
        for kept, new in zip(cache, (key, value), strict=True):
            kept[:, :, place] = new[:, :, 0]
        keys, values = (kept[:, :, : place + 1] for kept in cache)
        return self._rest(hidden[:, None], functional.scaled_dot_product_attention(query, keys, values))[:, 0]


class State(NamedTuple):
    """Of sequences whose first `place` bases are read: the network's memory and output, and the word before the next base."""

    place: int
    words: torch.Tensor
    hidden: torch.Tensor
    memory: Any


class Conditioned:
    """A model on B sequences of given labels: start, probs and advance, each base read once. The state stays on the model's device.

    A transformer's memory is written to in place, so of two continuations of one state only the last is right.
    """

    def __init__(self, model: _Autoregression, labels: npt.ArrayLike):
        self.model, self.labels = model, _label_tensor(model, labels).to(device_of(model))

    @torch.inference_mode()
    def start(self, number: int) -> State:
        if number != len(self.labels):
            raise ValueError(f"{number} sequences were asked for, and there are {len(self.labels)} labels")
        words = torch.zeros_like(self.labels)
        return self._read(0, words, self.model._first(self.labels), self.model._memory(number))

    @torch.inference_mode()
    def probs(self, state: State) -> npt.NDArray[np.float64]:
        """(B, 4): distribution of the next base."""
        if state.place >= self.model.length:
            raise ValueError(f"the sequences have {self.model.length} bases, and all are read")
        words = self._rows(state.place, state.words)
        logits = self.model._logits(state.hidden, words, state.place, self.labels)
        return logits.double().softmax(dim=-1).cpu().numpy()

    @torch.inference_mode()
    def advance(self, state: State, tokens: npt.ArrayLike) -> State:
        """The state with one more base (B,) of each sequence."""
        place, model = state.place + 1, self.model
        tokens = torch.as_tensor(np.asarray(tokens), dtype=torch.long).to(self.labels.device)
        words = (state.words * 4 + tokens) % 4**model.context
        if place >= model.length:  # behind the last base nothing is predicted
            return State(place, words, state.hidden, state.memory)
        inputs = model._inputs(tokens, self._rows(place, words), self.labels.new_tensor(place), self.labels)
        return self._read(place, words, inputs, state.memory)

    def _read(self, place, words, inputs, memory):
        return State(place, words, *self.model._step(memory, inputs, place))

    def _rows(self, place: int, words: torch.Tensor) -> torch.Tensor:
        return words + (4 ** min(place, self.model.context) - 1) // 3


def sample(
    model: _Autoregression,
    labels: npt.ArrayLike,
    uniforms: npt.NDArray[np.float64],
    temperature: float = 1.0,
    batch: int = _BATCH,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Bases (N, L) at uniforms (N, L), and the largest probability of each (untempered), for labels (N,).

    A sequence depends on its label and uniforms; how many are drawn together changes probabilities in their last digits only.
    """
    labels, uniforms = np.asarray(labels), np.asarray(uniforms)
    if uniforms.shape != (len(labels), model.length):
        raise ValueError(f"uniforms are {uniforms.shape}; ({len(labels)}, {model.length}) is needed")
    if not temperature > 0 or batch < 1:
        raise ValueError(f"temperature {temperature} must be above 0 and batch {batch} 1 or more")
    tokens = np.empty(uniforms.shape, dtype=np.uint8)
    confidence = np.empty(uniforms.shape, dtype=np.float32)
    for at in range(0, len(labels), batch):
        rows = slice(at, at + batch)
        reader = model.conditioned(labels[rows])
        state = reader.start(len(labels[rows]))
        for place in range(model.length):
            probabilities = reader.probs(state)
            drawn = inverse_distribution(probabilities, uniforms[rows, place], temperature)
            tokens[rows, place], confidence[rows, place] = drawn, probabilities.max(axis=1)
            state = reader.advance(state, drawn)
    return tokens, confidence


@torch.inference_mode()
def log_distributions(
    model: _Autoregression, codes: npt.ArrayLike, labels: npt.ArrayLike, batch: int = _BATCH
) -> npt.NDArray[np.float64]:
    """Natural logarithms (N, L, 4) of each base's distribution given those before it, by one pass over codes (N, L) and labels (N,).

    InputError for sequences of another length than the model's, letters other than A, C, G, T, and labels it does not have.
    """
    codes, labels = np.asarray(codes), _label_tensor(model, labels)
    if codes.ndim != 2 or codes.shape[1] != model.length:
        raise InputError(f"the sequences are {codes.shape}; the model's have {model.length} bases.")
    if len(codes) != len(labels):
        raise ValueError(f"there are {len(codes)} sequences and {len(labels)} labels")
    if codes.max(initial=0) > 3:
        row, place = np.argwhere(codes > 3)[0]
        raise InputError(f"sequence {row} at position {place} is {codes[row, place]}; bases are 0 to 3 (A, C, G, T).")
    training = model.training
    model.eval()
    tokens, device = torch.from_numpy(np.ascontiguousarray(codes)), device_of(model)
    found = [
        model(part.to(device), own.to(device)).double().log_softmax(dim=-1).cpu()
        for part, own in zip(tokens.split(batch), labels.split(batch), strict=True)
    ]
    model.train(training)
    return torch.cat(found).numpy() if found else np.empty((0, model.length, 4))


def log_probabilities(model: _Autoregression, codes, labels, batch: int = _BATCH) -> npt.NDArray[np.float64]:
    """Natural log-probability (N, L) of every base given those before it; refuses what `log_distributions` does."""
    logs = log_distributions(model, codes, labels, batch)
    return np.take_along_axis(logs, np.asarray(codes, dtype=np.int64)[:, :, None], axis=2)[:, :, 0]


def entropies(model: _Autoregression, codes, labels, batch: int = _BATCH) -> npt.NDArray[np.float64]:
    """Entropy (N, L), in nats, of every base's distribution given the bases before it."""
    logs = log_distributions(model, codes, labels, batch)
    return -(np.exp(logs) * logs).sum(axis=2)


def bits_per_base(model: _Autoregression, codes, labels, batch: int = _BATCH) -> float:
    """Mean of -log2 p over all bases: 2 for a model that knows nothing."""
    return float(-log_probabilities(model, codes, labels, batch).mean() / math.log(2))


class Batches:
    """Training sequences (N, L) and labels (N,); `loss(network, step)` in bits per base, for `training.train`.

    Every sequence is taken once before one is taken again. unlabelled: share of sequences whose label is left out.
    """

    def __init__(self, codes, labels, *, batch: int, seed: int, unlabelled: float = 0.1):
        if not 0 <= unlabelled < 1:
            raise InputError(f"the share without a label, {unlabelled}, must lie in [0, 1).")
        if batch > len(codes):
            raise InputError(
                f"a batch of {batch} is more than the {len(codes)} training sequences; take a smaller one."
            )
        self.codes, self.labels = torch.from_numpy(np.ascontiguousarray(codes)), torch.from_numpy(np.asarray(labels))
        self.batch, self.seed, self.unlabelled = batch, seed, unlabelled
        self._order: tuple[int, npt.NDArray[np.int64]] | None = None

    def _rows(self, step: int) -> torch.Tensor:
        epoch, at = divmod(step, len(self.codes) // self.batch)
        if self._order is None or self._order[0] != epoch:
            order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.codes))
            self._order = epoch, order
        return torch.from_numpy(self._order[1][at * self.batch : (at + 1) * self.batch])

    def loss(self, network: _Autoregression, step: int) -> torch.Tensor:
        rng, _ = draws(self.seed, step)
        rows = self._rows(step)
        tokens, labels = self.codes[rows].long(), self.labels[rows]
        left_out = torch.from_numpy(rng.random(self.batch) < self.unlabelled)
        labels = torch.where(left_out, network.anything, labels)
        tokens, labels = tokens.to(device_of(network)), labels.to(device_of(network))
        with seeded(self.seed, step, tokens.device):
            logits = network(tokens, labels)
        return functional.cross_entropy(logits.flatten(0, 1), tokens.flatten()) / math.log(2)


def build(kind: str, seed: int, **sizes) -> _Autoregression:
    """A new model, `recurrent` or `transformer`; its weights depend on `seed` alone, and torch's generator stays as it was."""
    kinds = {"recurrent": RecurrentModel, "transformer": CausalTransformer}
    if kind not in kinds:
        raise InputError(f"kind {kind!r} is none of {', '.join(kinds)}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kinds[kind](**sizes)


def write_autoregression(
    folder: str | os.PathLike, network: _Autoregression, facts: dict, curve: list[Point] | None = None
) -> None:
    """Write config.json and the weights, as diffusers does, curve.tsv, and dna.json last, so that a folder with it is whole."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FACTS).unlink(missing_ok=True)
    network.save_config(folder)
    write_tensors(network.state_dict(), folder / WEIGHTS)
    if curve is not None:
        write_curve(curve, folder / "curve.tsv", "held_out")
    own = {
        "kind": KIND,
        "species": list(network.species),
        "length": network.length,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }
    with replacing(folder / FACTS) as temporary:
        temporary.write_text(json.dumps(own | facts, indent=1, sort_keys=True) + "\n")


def read_autoregression(folder: str | os.PathLike, device: torch.device | str = "cpu") -> tuple[_Autoregression, dict]:
    """A model in evaluation mode and its facts; weights are read as tensors only.

    InputError for a missing or damaged file, a folder of another kind of model, and weights of another configuration.
    """
    folder = Path(folder)
    facts, config = _read(folder / FACTS), _read(folder / CONFIG)
    if facts.get("kind") != KIND:
        raise InputError(f"{folder} holds a model of kind {facts.get('kind')!r}; {KIND!r} is needed.")
    kinds = {kind.__name__: kind for kind in (RecurrentModel, CausalTransformer)}
    kind = kinds.get(config.get("_class_name"))
    if kind is None:
        raise InputError(f"{folder / CONFIG} is of a {config.get('_class_name')}; one of {', '.join(kinds)} is needed.")
    try:
        network = kind(**{key: value for key, value in config.items() if not key.startswith("_")})
    except TypeError as error:
        raise InputError(f"{folder / CONFIG} describes no {kind.__name__} ({error}).") from error
    if not (folder / WEIGHTS).is_file():
        raise InputError(f"{folder / WEIGHTS} is missing; pickled weights (.bin, .pt) are not loaded.")
    load_into(network, read_tensors(folder / WEIGHTS), str(folder / WEIGHTS))
    return network.eval().requires_grad_(False).to(device), facts


def _label_tensor(model: _Autoregression, labels: npt.ArrayLike) -> torch.Tensor:
    labels = torch.as_tensor(np.asarray(labels), dtype=torch.long)
    if labels.ndim != 1:
        raise ValueError(f"labels must be (B,), not {tuple(labels.shape)}")
    odd = (labels < 0) | (labels > model.anything)
    if odd.any():
        raise InputError(
            f"label {int(labels[odd][0])} is none of 0 to {model.anything - 1} ({', '.join(model.species)}) "
            f"or {model.anything} (any species)."
        )
    return labels


def _read(path: Path) -> dict:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing; the folder is one of dna/train_autoregression.") from None
    except ValueError as error:
        raise InputError(f"{path} is no whole JSON file ({error}); write it again.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold a JSON object.")
    return values
