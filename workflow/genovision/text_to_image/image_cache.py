"""Generated images kept by what they were made from: model, prompt, seed and settings. What is there is not made again."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from genovision.atomic import replacing
from genovision.errors import InputError
from genovision.text_to_image.pairs import png, read_image

Images = npt.NDArray[np.uint8]


class TextToImage(Protocol):
    """What the desk's generator and hub models have in common."""

    def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> Images: ...


def image_seed(seed: int, prompt: str, sample: int) -> int:
    """Seed of the noise of one image, 0 to 2^48 - 1: of the run's seed, the prompt's id and the number of the sample, of nothing else."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{prompt}\n{sample}".encode()).digest()[:6], "big")


class ImageCache:
    """A folder of PNG files. `made_from`: what all its images have in common, the model's digest and the settings (JSON)."""

    def __init__(self, folder: str | Path, made_from: dict):
        self.folder = Path(folder)
        self._common = json.dumps(made_from, sort_keys=True)

    def name(self, prompt: str, seed: int) -> str:
        """Path below the folder; the name is no sha256 of the file, hence shorter."""
        key = hashlib.sha256(json.dumps([self._common, prompt, seed]).encode()).hexdigest()[:40]
        return f"{key[:2]}/{key}.png"

    def get(self, name: str) -> Images | None:
        """The image, or None when it is not there or damaged (then it is made again)."""
        try:
            return read_image(self.folder / name)
        except (FileNotFoundError, InputError):
            return None

    def put(self, name: str, image: Images) -> None:
        """Keep an image, whole or not at all."""
        with replacing(self.folder / name) as temporary:
            temporary.write_bytes(png(image))


def generate(
    model: TextToImage,
    prompts: Sequence[str],
    seeds: Sequence[int],
    cache: ImageCache,
    batch: int,
    tell: Callable[[int, int], None] = lambda made, done: None,
) -> Iterator[tuple[str, Images]]:
    """(name in the cache, image) of every prompt and seed, in order; what the cache lacks is made and kept.

    Prompts are taken `batch` at a time, and a batch that lacks one image is made as a whole: a matrix product of other rows may round
    otherwise, and an image must have the same bytes after an interruption.
    tell: called after each batch with the number of images made in it and the number of images done
    """
    names = [cache.name(prompt, seed) for prompt, seed in zip(prompts, seeds, strict=True)]
    for start in range(0, len(names), batch):
        rows = slice(start, start + batch)
        found = [cache.get(name) for name in names[rows]]
        missing = [place for place, image in enumerate(found) if image is None]
        if missing:
            made = model.generate(list(prompts[rows]), list(seeds[rows]))
            for place in missing:
                cache.put(names[start + place], made[place])
                found[place] = made[place]
        tell(len(missing), min(start + batch, len(names)))
        yield from zip(names[rows], found, strict=True)
