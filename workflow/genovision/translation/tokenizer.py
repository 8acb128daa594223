"""Texts as token ids: byte-level byte-pair encoding trained on the bitext, or a SentencePiece model that is there already.

Both have the same special ids. A byte-level vocabulary holds all 256 bytes, so there is no unknown token, and decoding is exact.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from genovision.atomic import replacing
from genovision.errors import InputError

PAD, START, END = 0, 1, 2  # <pad>, <s> (what a decoder starts from), </s>
SPECIAL = ("<pad>", "<s>", "</s>")
SMALLEST = len(SPECIAL) + 256


class Tokenizer:
    """Byte-level BPE (Sennrich et al. 2016; bytes: Radford et al. 2019) from the bytes of a tokenizer.json.

    size: of the vocabulary, special ids counted;  digest: sha256 of the file in hexadecimal, which stands for the vocabulary
    """

    suffix = ".json"

    def __init__(self, data: bytes, label: str = "the tokenizer"):
        self.data, self.digest = data, hashlib.sha256(data).hexdigest()
        try:
            self._coder = tokenizers.Tokenizer.from_str(data.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise InputError(f"{label} is no tokenizer.json (it is not UTF-8); train it again.") from error
        except Exception as error:  # the library raises Exception itself
            reason = str(error).splitlines()[0] if str(error) else "no reason given"
            raise InputError(f"{label} is no tokenizer.json ({reason}); train it again.") from error
        found = tuple(self._coder.id_to_token(number) for number in range(len(SPECIAL)))
        if found != SPECIAL:
            raise InputError(
                f"{label} begins with the tokens {', '.join(map(str, found))}; ids 0, 1, 2 must be {', '.join(SPECIAL)}."
            )
        self._coder.no_padding()
        self._coder.no_truncation()
        self._coder.encode_special_tokens = True  # "</s>" in a text is four characters, not the end
        self.size = self._coder.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> list[npt.NDArray[np.int32]]:
        """Ids of each text with `END` behind them."""
        found = self._coder.encode_batch(list(texts), add_special_tokens=False)
        return [np.array([*one.ids, END], dtype=np.int32) for one in found]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first `END`; other special ids are left out, bytes that are no UTF-8 become U+FFFD."""
        return self._coder.decode(_text_ids(ids, self.size), skip_special_tokens=False).removeprefix(" ")


class SentencePieceTokenizer:
    """A SentencePiece model behind the same interface: its piece i has the id i + 3, so `PAD`, `START` and `END` are what they are here."""

    suffix = ".model"

    def __init__(self, data: bytes, label: str = "the model"):
        import sentencepiece

        self.data, self.digest = data, hashlib.sha256(data).hexdigest()
        self._coder = sentencepiece.SentencePieceProcessor()
        try:
            known = self._coder.LoadFromSerializedProto(data)
        except (RuntimeError, OSError, ValueError) as error:
            raise InputError(f"{label} is no whole SentencePiece model; fetch it again.") from error
        if not known or self._coder.GetPieceSize() < 1:
            raise InputError(f"{label} is no whole SentencePiece model; fetch it again.")
        self.size = self._coder.GetPieceSize() + len(SPECIAL)

    def encode(self, texts: Sequence[str]) -> list[npt.NDArray[np.int32]]:
        """Ids of each text with `END` behind them; what the model does not know is its own <unk>, plus 3."""
        found = self._coder.EncodeAsIds(list(texts))
        return [np.array([*(number + len(SPECIAL) for number in ids), END], dtype=np.int32) for ids in found]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first `END`; other special ids are left out."""
        return self._coder.DecodeIds([number - len(SPECIAL) for number in _text_ids(ids, self.size)])


def _text_ids(ids: Iterable[int], size: int) -> list[int]:
    """Ids before the first `END` that stand for text; ValueError for one outside the vocabulary."""
    kept = []
    for number in map(int, ids):
        if number == END:
            break
        if not 0 <= number < size:
            raise ValueError(f"id {number} is outside the vocabulary of {size}")
        if number >= len(SPECIAL):
            kept.append(number)
    return kept


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """Train a joint byte-level BPE of at most `size` ids (fewer when there is no more pair to merge); the same texts, the same bytes.

    A word counts with the space before it, and a text begins as if there were one, so a word is the same tokens wherever it stands.
    """
    if size < SMALLEST:
        raise InputError(f"a vocabulary of {size} cannot hold 3 special ids and 256 bytes; {SMALLEST} is the least.")
    coder = tokenizers.Tokenizer(models.BPE())
    coder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    coder.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    coder.train_from_iterator(texts, trainer)
    text = json.dumps(json.loads(coder.to_str()), ensure_ascii=False, sort_keys=True, indent=1)
    return Tokenizer(f"{text}\n".encode())


def read_tokenizer(path: str | os.PathLike) -> Tokenizer | SentencePieceTokenizer:
    """A tokenizer by suffix: `.json` of this module or of the tokenizers library with the same special ids, `.model` of SentencePiece."""
    kinds = {kind.suffix: kind for kind in (Tokenizer, SentencePieceTokenizer)}
    kind = kinds.get(Path(path).suffix)
    if kind is None:
        raise InputError(f"{path} is no tokenizer; it must be a tokenizer.json or the .model of SentencePiece.")
    return kind(Path(path).read_bytes(), str(path))


def write_tokenizer(tokenizer: Tokenizer | SentencePieceTokenizer, path: str | os.PathLike) -> None:
    """Write the bytes whose digest the tokenizer has; the suffix must be that of its kind."""
    if Path(path).suffix != tokenizer.suffix:
        raise InputError(f"{path} must end in {tokenizer.suffix}.")
    with replacing(path) as temporary:
        temporary.write_bytes(tokenizer.data)
