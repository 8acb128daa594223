"""The table of image sets for ImageNet's scale: what each set is, where its owner gives it away, and where it is looked for.

None of them can be redistributed, so the table is also the error message: `fetch_sentence` says what to get and where to put it.
"""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from genovision.errors import InputError

ROLES = ("train", "val", "id", "near", "far")
LAYOUTS = ("imagenet", "folder", "openood", "vim", "labelled_names")


@dataclass(frozen=True)
class ImageSet:
    """One row of resources/imagenet.tsv.

    role:   train, val (calibration), id (test), near or far (out of distribution; SIRC's groups, OpenOOD's for its own lists)
    count:  images it should have; None = not stated by its owner
    classes: class folders it must have, since a missing one would shift the labels of the others; None = no class folders
    layout: imagenet (one folder per WordNet id), folder (images anywhere below), openood or vim (an image list), labelled_names
    folder: below the folder of all sets; a folder, or a zip archive for labelled_names
    list:   the image list, below the folder of all sets; for labelled_names the pattern of the names
    resize: tile = whole image by Lanczos instead of the model's crop; empty = the model's own
    """

    set: str
    title: str
    role: str
    count: int | None
    classes: int | None
    layout: str
    folder: str
    list: str
    resize: str
    licence: str
    fetch: str
    place: str


def read_image_sets(path: str | os.PathLike) -> dict[str, ImageSet]:
    """The rows of the table by name. InputError names the line that does not fit."""
    with open(path, encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))
    columns = list(ImageSet.__dataclass_fields__)
    if not rows or rows[0] != columns:
        raise InputError(f"{path}, line 1: the columns must be {', '.join(columns)}.")
    sets = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(columns):
            raise InputError(f"{path}, line {number}: {len(row)} columns, {len(columns)} are needed.")
        told = dict(zip(columns, row, strict=True))
        for column, allowed in (("role", ROLES), ("layout", LAYOUTS), ("resize", ("", "tile"))):
            if told[column] not in allowed:
                raise InputError(
                    f"{path}, line {number}: {column} is {told[column]!r}; it must be one of {', '.join(filter(None, allowed))}."
                )
        for column in ("count", "classes"):
            if told[column] and not told[column].isdecimal():
                raise InputError(
                    f"{path}, line {number}: {column} is {told[column]!r}; it must be a whole number or empty."
                )
            told[column] = int(told[column]) if told[column] else None
        if told["set"] in sets:
            raise InputError(f"{path}, line {number}: {told['set']} stands there twice.")
        sets[told["set"]] = ImageSet(**told)
    return sets


def fetch_sentence(row: ImageSet, root: Path, what: Path) -> str:
    """What to get, from where, where to put it and under which terms, when `what` is not there."""
    return (
        f"{what} is not there: {row.title} must be fetched by you from {row.fetch}; {row.place} ({root}). "
        f"Terms: {row.licence}. The folder is the key classifiers.imagenet.folder of the configuration."
    )


def count_warning(row: ImageSet, found: int) -> str | None:
    """A sentence when a set is not as large as its owner says, else None."""
    if row.count is None or row.count == found:
        return None
    return f"{row.title} has {found:,} images here; its owner says {row.count:,}."
