"""The images a generator made for a list of prompts and what a captioner read in them, in the order of the prompts."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genovision.arrays import read_arrays
from genovision.errors import InputError
from genovision.tables import read_table
from genovision.text_to_image.pairs import read_image


class Generations(NamedTuple):
    """captions: S texts for each prompt and seed, seeds within prompts (P x seeds lists);  seeds: ascending;  samples: S
    rows: (P x seeds, S), the row of the table each caption stands in, and of the images
    files: the image of each row of the table, in a folder; None where the table names none"""

    captions: list[list[str]]
    seeds: list[int]
    samples: int
    rows: npt.NDArray[np.int64]
    files: list[str] | None = None

    def images(self, path: str | os.PathLike, places: npt.ArrayLike | None = None) -> npt.NDArray[np.uint8]:
        """(P x seeds, S, H, W, 3), or those at some `places`, from the array `images` of an .npz with a row per row of the table, or from a
        folder of PNG files, which the table names in its column image; InputError when it does not fit."""
        rows = self.rows if places is None else self.rows[np.asarray(places)]
        if Path(path).is_dir():
            return self._from_folder(Path(path), rows)
        images = read_arrays(path, ["images"])["images"]
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
            raise InputError(f"{path}: images are {images.dtype} {images.shape}, not uint8 (number, height, width, 3).")
        if len(images) != self.rows.size:
            raise InputError(
                f"{path} has {len(images)} images and there are {self.rows.size} captions; make them again."
            )
        return images[rows]

    def _from_folder(self, folder: Path, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        if self.files is None:
            raise InputError(f"the captions have no column image, which names the files in {folder}; caption again.")
        root, found = folder.resolve(), []
        for row in rows.ravel():
            path = (root / self.files[row]).resolve()
            if not path.is_relative_to(root) or not path.is_file():
                raise InputError(f"there is no image {self.files[row]} in {folder}; generate again.")
            found.append(read_image(path))
        if len({image.shape for image in found}) > 1:
            raise InputError(f"{folder} has images of different sizes; generate again.")
        return np.stack(found).reshape(*rows.shape, *found[0].shape)

    def empty(self) -> list[tuple[int, int]]:
        """(place in `captions`, number of the generation) of each caption that is blank."""
        return [(n, s) for n, group in enumerate(self.captions) for s, text in enumerate(group) if not text.strip()]


def read_generations(path: str | os.PathLike, prompts: list[str], label: str | os.PathLike, size: int) -> Generations:
    """Read a table id, sample, caption: a row per image, in any order, an empty caption allowed.

    prompts: ids, each of which must be there with the same samples, numbered from 0;  label: what InputError calls their table
    size:    S, images that are judged together; samples 0 to S - 1 are noise seed 0, the next S seed 1, and so on
    """
    table = read_table(path, ["id", "sample", "caption"])
    table["id"], table["caption"] = table["id"].astype(str), table["caption"].fillna("").astype(str)
    table["row"] = np.arange(len(table))
    if table.duplicated(["id", "sample"]).any():
        row = table[table.duplicated(["id", "sample"])].iloc[0]
        raise InputError(f"{path}: prompt {row['id']} has two captions of sample {row['sample']}; remove one.")
    unknown = sorted(set(table["id"]) - set(prompts))
    if unknown:
        raise InputError(f"{path} has captions of prompt {unknown[0]}, which {label} does not have.")
    samples = sorted(table["sample"].unique().tolist())
    if samples != list(range(len(samples))) or not samples or len(samples) % size:
        raise InputError(f"{path}: the samples of a prompt are not 0, 1, ... up to a multiple of {size} images a seed.")
    counts = table.groupby("id").size()
    for key in prompts:
        if counts.get(key, 0) != len(samples):
            raise InputError(
                f"{path}: prompt {key} has {counts.get(key, 0)} captions of {len(samples)}; caption again."
            )
    number = {key: place for place, key in enumerate(prompts)}
    files = table["image"].astype(str).tolist() if "image" in table else None
    table = table.assign(place=table["id"].map(number)).sort_values(["place", "sample"], kind="stable")
    texts = table["caption"].tolist()
    groups = [texts[start : start + size] for start in range(0, len(texts), size)]
    return Generations(
        groups, list(range(len(samples) // size)), size, table["row"].to_numpy().reshape(-1, size), files
    )
