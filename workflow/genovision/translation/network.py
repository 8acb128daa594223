"""The translation network: a small encoder-decoder of transformers, with or without a second output layer for what a student adds.

Two of its architectures are known, which differ in where they normalise: `marian` after each block (Junczys-Dowmunt et al. 2018), `pegasus`
before it. A folder that is written here is one that transformers' own `from_pretrained` reads, students' included.

Letters: B sentences, L target positions, V vocabulary, D width.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional
from transformers import (
    DynamicCache,
    EncoderDecoderCache,
    MarianConfig,
    MarianMTModel,
    PegasusConfig,
    PegasusForConditionalGeneration,
)

from genovision.atomic import replacing
from genovision.checkpoints import load_into, read_tensors, write_tensors
from genovision.errors import InputError
from genovision.translation.tokenizer import END, PAD, START

ARCHITECTURES = {
    "marian": (MarianConfig, MarianMTModel),
    "pegasus": (PegasusConfig, PegasusForConditionalGeneration),
}
# units of a second output layer: a scale for each token and for the rest bucket, or the log-precision of a Dirichlet
HEADS = {"scale": lambda vocabulary: vocabulary + 1, "precision": lambda vocabulary: 1}
_TIED = (
    "network.lm_head.weight",
    "network.model.encoder.embed_tokens.weight",
    "network.model.decoder.embed_tokens.weight",
)
_SHARED = "network.model.shared.weight"
_OWN = "genovision"  # what config.json says beside transformers' keys


@dataclass(frozen=True)
class Sizes:
    """vocabulary: V, special ids counted;  width: D, of states;  layers: of encoder and of decoder;  heads: of attention;
    inner: width between;  dropout: share of states;  longest: tokens of a sentence, `END` counted;  architecture: one of two."""

    vocabulary: int
    width: int = 128
    layers: int = 2
    heads: int = 4
    inner: int = 512
    dropout: float = 0.2
    longest: int = 256
    architecture: str = "pegasus"

    def __post_init__(self):
        whole = (self.vocabulary - 3, self.width, self.layers, self.heads, self.inner, self.longest)
        if min(whole) < 1 or self.width % self.heads or not 0 <= self.dropout < 1:
            raise InputError(
                f"{self} is no translation network: sizes must be 1 or more (a vocabulary more than 3), the width a multiple of the heads "
                "and dropout in [0, 1)."
            )
        if self.architecture not in ARCHITECTURES:
            raise InputError(f"architecture {self.architecture!r} is none of {', '.join(ARCHITECTURES)}.")


class Outputs(NamedTuple):
    """logits (..., V), and what the second layer says, (..., V + 1) or (..., 1), None where there is none."""

    logits: torch.Tensor
    second: torch.Tensor | None


class Encoded(NamedTuple):
    """States (B, Ls, D) of sources, and where there is a token (B, Ls)."""

    states: torch.Tensor
    mask: torch.Tensor


class Translator(nn.Module):
    """Source (B, Ls) and target (B, L) ids, `PAD` behind each sentence -> what may stand at each target position.

    head: None, or the kind of a second output layer (`HEADS`)
    """

    def __init__(self, sizes: Sizes, head: str | None = None):
        super().__init__()
        if head is not None and head not in HEADS:
            raise InputError(f"a second output layer {head!r} is none of {', '.join(HEADS)}.")
        self.sizes, self.head = sizes, head
        config, model = ARCHITECTURES[sizes.architecture]
        self.network = model(config(**_configuration(sizes)))
        self.second = None if head is None else nn.Linear(sizes.width, HEADS[head](sizes.vocabulary))
        # one tensor under one name: what is written, and what an average of weights runs over
        self.register_state_dict_post_hook(_without_tied)
        self.register_load_state_dict_pre_hook(_with_tied)

    @property
    def device(self) -> torch.device:
        return self.network.lm_head.weight.device

    def encode(self, source: torch.Tensor) -> Encoded:
        """ValueError names a row without a token, and one that is longer than `longest`."""
        _checked(source, self.sizes.longest, "source")
        source = source.to(self.device)
        mask = source != PAD
        found = self.network.model.encoder(input_ids=source, attention_mask=None if bool(mask.all()) else mask)
        return Encoded(found.last_hidden_state, mask)

    def states(self, encoded: Encoded, target: torch.Tensor) -> torch.Tensor:
        """States (B, L, D) from which the tokens of target (B, L) are predicted, each from those before it alone."""
        _checked(target, self.sizes.longest, "target")
        before = functional.pad(target[:, :-1], (1, 0), value=START).to(self.device)
        # no mask of the target: padding stands behind the tokens, where nothing looks back from
        return self.network.model.decoder(
            input_ids=before,
            encoder_hidden_states=encoded.states,
            encoder_attention_mask=None if bool(encoded.mask.all()) else encoded.mask,
            use_cache=False,
        ).last_hidden_state

    def outputs(self, states: torch.Tensor) -> Outputs:
        """Both output layers on states (..., D)."""
        return Outputs(self.network.lm_head(states), None if self.second is None else self.second(states))

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> Outputs:
        """Outputs at the tokens of the target alone, (T, V), sentence by sentence: none is computed where there is padding."""
        states = self.states(self.encode(source), target)
        return self.outputs(states[(target != PAD).to(self.device)])

    def start(self, encoded: Encoded) -> "Progress":
        """The beginning of as many targets as there are sources."""
        return Progress(self, encoded)


class Progress:
    """Targets that grow token by token: what the decoder keeps of those before (keys and values), one row per target."""

    def __init__(self, translator: Translator, encoded: Encoded):
        self.translator, self.encoded = translator, encoded
        self.cache = EncoderDecoderCache(DynamicCache(), DynamicCache())

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (B, V) after the next tokens (B,), the first of which are `START`; to choose a token, the second layer is not asked."""
        mask = self.encoded.mask
        states = self.translator.network.model.decoder(
            input_ids=tokens[:, None].to(self.translator.device),
            encoder_hidden_states=self.encoded.states,
            encoder_attention_mask=None if bool(mask.all()) else mask,
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state
        return self.translator.network.lm_head(states[:, -1])

    def select(self, rows: torch.Tensor) -> None:
        """Go on with these rows, in this order, a row as often as it is named."""
        rows = rows.to(self.translator.device)
        self.encoded = Encoded(self.encoded.states[rows], self.encoded.mask[rows])
        self.cache.batch_select_indices(rows)


def build(sizes: Sizes, seed: int, head: str | None = None) -> Translator:
    """A network with random weights, a function of sizes and seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Translator(sizes, head)


def write_network(
    folder: str | os.PathLike, translator: Translator, vocabulary: str, facts: Mapping | None = None
) -> None:
    """Write config.json and model.safetensors, and facts.json with the facts and the digest of the vocabulary."""
    folder = Path(folder)
    kept = translator.state_dict()
    tensors = {name.removeprefix("network."): value for name, value in kept.items()}
    write_tensors(tensors, folder / "model.safetensors")
    config = translator.network.config.to_dict()
    # the version of the library would be all that differs between two machines
    config = {key: value for key, value in config.items() if key not in ("transformers_version", "_name_or_path")}
    config |= {"architectures": [type(translator.network).__name__]}
    config[_OWN] = {"sizes": asdict(translator.sizes), "head": translator.head, "vocabulary": vocabulary}
    _write_json(folder / "config.json", config)
    _write_json(folder / "facts.json", dict(facts or {}) | {"vocabulary": vocabulary})


def read_network(folder: str | os.PathLike, vocabulary: str | None = None) -> tuple[Translator, dict]:
    """(network in evaluation mode, facts) of a folder.

    vocabulary: digest of the tokenizer whose ids the network shall read
    InputError: no such network, another vocabulary, weights of another architecture or that are not finite.
    """
    folder = Path(folder)
    config, facts = _read_json(folder / "config.json"), _read_json(folder / "facts.json")
    own = config.get(_OWN)
    try:
        sizes, head, found = Sizes(**own["sizes"]), own["head"], str(own["vocabulary"])
    except (TypeError, KeyError) as error:
        raise InputError(
            f"{folder / 'config.json'} does not describe a translation network of this workflow."
        ) from error
    if vocabulary is not None and found != vocabulary:
        raise InputError(
            f"{folder} reads the vocabulary {found[:12]}, here it is {vocabulary[:12]}; train it with this tokenizer."
        )
    translator = Translator(sizes, head)
    label = f"{folder / 'model.safetensors'}"
    tensors = read_tensors(label)
    tensors = {name if name.startswith("second.") else f"network.{name}": value for name, value in tensors.items()}
    load_into(translator, tensors, label)
    bad = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if bad:
        raise InputError(
            f"{label} has weights that are not finite ({bad[0].removeprefix('network.')}); train it again."
        )
    return translator.eval(), facts


def read_members(folders: list[str | os.PathLike], vocabulary: str | None = None, least: int = 1) -> list[Translator]:
    """Networks that share a vocabulary, in evaluation mode; InputError for fewer than `least` and for two that differ in vocabulary."""
    if len(folders) < least:
        raise InputError(f"an ensemble needs {least} or more members, {len(folders)} given.")
    found = [read_network(folder, vocabulary) for folder in folders]
    for folder, (_, facts) in zip(folders, found, strict=True):
        if facts.get("vocabulary") != found[0][1].get("vocabulary"):
            raise InputError(
                f"{folders[0]} and {folder} read different vocabularies; members of an ensemble share one."
            )
    return [translator for translator, _ in found]


def warm_started(translator: Translator, head: str | None) -> Translator:
    """A copy of the network with a second output layer of zero weights and biases: at its start it says the same everywhere."""
    copy = Translator(translator.sizes, head).to(translator.device)
    copy.network.load_state_dict(translator.network.state_dict())
    if copy.second is not None:
        nn.init.zeros_(copy.second.weight)
        nn.init.zeros_(copy.second.bias)
    return copy.train(translator.training)


def _configuration(sizes: Sizes) -> dict:
    return {
        "vocab_size": sizes.vocabulary,
        "d_model": sizes.width,
        **{f"{side}_layers": sizes.layers for side in ("encoder", "decoder")},
        **{f"{side}_attention_heads": sizes.heads for side in ("encoder", "decoder")},
        **{f"{side}_ffn_dim": sizes.inner for side in ("encoder", "decoder")},
        "max_position_embeddings": sizes.longest,
        "activation_function": "relu",
        "dropout": sizes.dropout,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "scale_embedding": True,
        "init_std": 1 / math.sqrt(sizes.width),
        "pad_token_id": PAD,
        "bos_token_id": START,
        "decoder_start_token_id": START,
        "eos_token_id": END,
        "forced_eos_token_id": None,
    }


def _without_tied(module: nn.Module, state: dict, prefix: str, metadata: dict) -> None:
    for name in _TIED:
        state.pop(prefix + name, None)


def _with_tied(module: nn.Module, state: dict, prefix: str, *rest) -> None:
    for name in _TIED:
        if prefix + _SHARED in state:
            state.setdefault(prefix + name, state[prefix + _SHARED])


def _checked(tokens: torch.Tensor, longest: int, side: str) -> None:
    if tokens.ndim != 2 or tokens.shape[1] > longest:
        raise ValueError(f"{side} tokens are (B, at most {longest}), these are {tuple(tokens.shape)}")
    empty = (tokens[:, :1] == PAD).flatten()
    if tokens.shape[1] == 0 or bool(empty.any()):
        row = int(empty.nonzero()[0]) if tokens.shape[1] else 0
        raise ValueError(f"row {row} of the {side} has no token: it is all padding")


def _write_json(path: Path, content: Mapping) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def _read_json(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is no whole JSON file; train the network again.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} describes no translation network; train the network again.")
    return found
