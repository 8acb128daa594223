"""The desk's image-to-text model: a small convolutional network, a recurrent decoder of words, and an image embedding in the texts' space.

It stands for the large vision-language model of PUNC, behind the same `caption(images) -> texts`. The image embedding is trained to lie
nearest to the pooled embedding of its own caption (InfoNCE, Radford et al. 2021), for CLIPScore; the feature maps serve as LPIPS does.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from genovision.atomic import replacing
from genovision.checkpoints import load_into, read_tensors, write_tensors
from genovision.errors import InputError
from genovision.text_to_image.generator import read_facts
from genovision.training import draws

Images = npt.NDArray[np.uint8]

END = "<end>"  # word 0: opens and closes a caption
_NOISE = 0.3  # largest standard deviation of the pixel noise in training, which makes the reader of generated images less brittle
_ALIGNMENT = 0.1  # weight of InfoNCE beside the words' cross-entropy


@dataclass(frozen=True)
class Shape:
    """side: of the square images, a multiple of 8;  words: in the vocabulary;  embedding: entries of a text's pooled embedding;
    channels: of the first of three layers, doubled twice;  width: of features and decoder."""

    side: int
    words: int
    embedding: int
    channels: int = 32
    width: int = 256

    def __post_init__(self):
        if self.side % 8 or min(asdict(self).values()) < 1:
            raise InputError(f"{self} is no captioner: all sizes must be 1 or more and the side a multiple of 8.")


class Network(nn.Module):
    """Images (B, 3, H, W) of -1 to 1 -> features, from which words and an embedding are read."""

    def __init__(self, shape: Shape, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.shape = shape
            c, width = shape.channels, shape.width
            sizes = ((3, c, 5), (c, 2 * c, 3), (2 * c, 4 * c, 3))
            self.stages = nn.ModuleList(
                nn.Sequential(nn.Conv2d(i, o, kernel, 2, kernel // 2), nn.BatchNorm2d(o), nn.ReLU())
                for i, o, kernel in sizes
            )
            self.features = nn.Sequential(nn.Flatten(), nn.Linear(4 * c * (shape.side // 8) ** 2, width), nn.ReLU())
            self.word = nn.Embedding(shape.words, width // 4)
            self.start = nn.Linear(width, width)
            self.decoder = nn.GRU(width // 4 + width, width, batch_first=True)
            self.next = nn.Linear(width, shape.words)
            self.image = nn.Linear(width, shape.embedding)
            self.sharpness = nn.Parameter(torch.tensor(2.0))  # log of the inverse temperature

    def maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Three feature maps (B, C_l, H_l, W_l)."""
        found = [images]
        for stage in self.stages:
            found.append(stage(found[-1]))
        return found[1:]

    def logits(self, features: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """(B, L, words) of the word after each of `words` (B, L)."""
        inputs = torch.cat([self.word(words), features[:, None].expand(-1, words.shape[1], -1)], dim=2)
        hidden, _ = self.decoder(inputs, torch.tanh(self.start(features))[None])
        return self.next(hidden)


def vocabulary(captions: Sequence[str]) -> list[str]:
    """The words of captions, sorted, after `END`."""
    return [END, *sorted({word for text in captions for word in text.split()} - {END})]


def as_input(images: Images) -> torch.Tensor:
    """Images (N, H, W, 3) uint8 as a network sees them."""
    return torch.from_numpy(np.ascontiguousarray(images)).movedim(-1, 1).float() / 127.5 - 1


class Examples:
    """Training examples: images (N, H, W, 3), captions, and pooled embeddings (N, E) of the captions; `loss(network, step)`."""

    def __init__(
        self,
        images: Images,
        captions: Sequence[str],
        pooled: npt.NDArray,
        words: Sequence[str],
        *,
        batch: int,
        seed: int,
    ):
        if not len(images) == len(captions) == len(pooled):
            raise InputError(
                f"there are {len(images)} images, {len(captions)} captions and {len(pooled)} embeddings of captions."
            )
        place = {word: number for number, word in enumerate(words)}
        rows = [[place[word] for word in text.split()] for text in captions]
        self.longest = max(map(len, rows)) + 1
        target = np.full((len(rows), self.longest), -100, dtype=np.int64)  # what cross_entropy leaves out
        for row, numbers in enumerate(rows):
            target[row, : len(numbers) + 1] = [*numbers, place[END]]
        self.target, self.images = torch.from_numpy(target), images
        self.pooled = torch.from_numpy(np.asarray(pooled, dtype=np.float32))
        self.batch, self.seed = batch, seed

    def loss(self, network: Network, step: int) -> torch.Tensor:
        rng, generator = draws(self.seed, step)
        rows = rng.integers(len(self.images), size=self.batch)
        images = as_input(self.images[rows])
        strength = _NOISE * torch.rand((len(rows), 1, 1, 1), generator=generator)
        images = images + strength * torch.randn(images.shape, generator=generator)
        target = self.target[rows]
        target = target[:, : int((target >= 0).sum(dim=1).max())]
        features = network.features(network.maps(images)[-1])
        before = torch.cat([torch.zeros_like(target[:, :1]), target[:, :-1].clamp_min(0)], dim=1)
        logits = network.logits(features, before)
        words = functional.cross_entropy(logits.flatten(0, 1), target.flatten())
        cosines = functional.normalize(network.image(features), dim=1) @ self.pooled[rows].T
        scaled = cosines * network.sharpness.exp().clamp_max(100)
        own = torch.arange(len(rows))
        align = (functional.cross_entropy(scaled, own) + functional.cross_entropy(scaled.T, own)) / 2
        return words + _ALIGNMENT * align


def write_captioner(folder: Path, network: Network, words: Sequence[str], longest: int, facts: dict) -> None:
    """Write model.safetensors and config.json; longest: words of a caption at most."""
    write_tensors(network.state_dict(), folder / "model.safetensors")
    facts = {"kind": "captioner", "shape": asdict(network.shape), "words": list(words), "longest": longest} | facts
    with replacing(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")


def decode(network: Network, images: Images, words: Sequence[str], longest: int, batch: int = 500) -> list[str]:
    """Captions, word by word the likeliest one."""
    texts = []
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            features = network.features(network.maps(as_input(images[start : start + batch]))[-1])
            state, word = torch.tanh(network.start(features))[None], torch.zeros((len(features), 1), dtype=torch.long)
            said, open_ = [[] for _ in features], np.ones(len(features), dtype=bool)
            for _ in range(longest):
                inputs = torch.cat([network.word(word), features[:, None]], dim=2)
                hidden, state = network.decoder(inputs, state)
                word = network.next(hidden).argmax(dim=2)
                chosen = word[:, 0].numpy()
                open_ &= chosen != 0
                if not open_.any():
                    break
                for row in np.flatnonzero(open_):
                    said[row].append(words[chosen[row]])
            texts += [" ".join(text) for text in said]
    return texts


def agreement(sets: Mapping[str, tuple[Sequence[str], Sequence[str]]]) -> pd.DataFrame:
    """How captions (second of each pair) agree with true texts: exact, and the share of a true text's words at their places."""
    rows = []
    for name, (true, said) in sets.items():
        pairs = [(a.split(), b.split()) for a, b in zip(true, said, strict=True)]
        words = [np.mean([word == other for word, other in zip_longest(a, b)][: len(a)]) for a, b in pairs]
        exact = np.mean([a == b for a, b in pairs])
        rows.append({"set": name, "images": len(pairs), "exact": float(exact), "words": float(np.mean(words))})
    return pd.DataFrame(rows)


class Captioner:
    """A trained captioner in a folder: `caption`, and what CLIPScore and LPIPS need of it; a caption can come out empty."""

    def __init__(self, folder: str | Path, batch: int = 500):
        self.folder, self.batch = Path(folder), batch
        facts = read_facts(self.folder, "captioner")
        try:
            shape, self.words, self.longest = Shape(**facts["shape"]), list(facts["words"]), int(facts["longest"])
            if len(self.words) != shape.words:
                raise KeyError("words")
        except (TypeError, KeyError) as error:
            raise InputError(f"{self.folder / 'config.json'} does not describe a captioner of this kind.") from error
        self.network, self.facts = Network(shape).eval(), facts
        label = f"{self.folder / 'model.safetensors'}"
        load_into(self.network, read_tensors(label), label)

    @property
    def digest(self) -> str:
        """sha256 over the weights, which stands for the model in a cache."""
        with open(self.folder / "model.safetensors", "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()

    def caption(self, images: Images) -> list[str]:
        """Texts of images (N, H, W, 3) uint8."""
        return decode(self.network, self._checked(images), self.words, self.longest, self.batch)

    def features(self, images: Images) -> list[npt.NDArray[np.float32]]:
        """Three feature maps (N, C_l, H_l, W_l)."""
        parts = [[one.numpy() for one in self.network.maps(batch)] for batch in self._batches(images)]
        return [np.concatenate(one) for one in zip(*parts, strict=True)]

    def embed(self, images: Images) -> npt.NDArray[np.float32]:
        """Embeddings (N, E) of length 1 in the space of the encoder's pooled ones."""
        found = [
            functional.normalize(self.network.image(self.network.features(self.network.maps(batch)[-1])), dim=1)
            for batch in self._batches(images)
        ]
        return torch.cat(found).numpy()

    def _batches(self, images: Images):
        images = self._checked(images)
        with torch.inference_mode():
            for start in range(0, len(images), self.batch):
                yield as_input(images[start : start + self.batch])

    def _checked(self, images: Images) -> Images:
        images, side = np.asarray(images), self.network.shape.side
        if images.ndim != 4 or images.shape[1:] != (side, side, 3) or images.dtype != np.uint8:
            raise InputError(
                f"the captioner in {self.folder} reads images ({side}, {side}, 3) of 8 bits, these are {images.shape[1:]} {images.dtype}."
            )
        return images
