"""Lists of images as others publish them: OpenOOD's and ViM's text files, and our own table of the two columns name and label.

A list only names files; `root` is the folder, or the zip archive, that they lie in. Labels are class indices of the classifier, -1 for
an image of no class of it (out of distribution).
"""

import ast
import os
import zipfile
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from genovision.errors import InputError
from genovision.tables import read_table


@dataclass(frozen=True)
class ImageList:
    """Images of one set, in a fixed order.

    root:   folder or zip archive
    names:  N paths below root, with forward slashes
    labels: (N,) int64, -1 = no class of the classifier
    origin: what names them in messages: the list's path, or the folder
    lines:  line of `origin` that named each image; () when it is no text file
    """

    root: Path
    names: tuple[str, ...]
    labels: npt.NDArray[np.int64] = field(repr=False)
    origin: str
    lines: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def place(self, k: int) -> str:
        """Where image k was named, for messages: `list.txt, line 7`, or the file itself."""
        return f"{self.origin}, line {self.lines[k]}" if self.lines else f"{self.root}/{self.names[k]}"


def read_openood_list(path: str | os.PathLike, root: str | os.PathLike) -> ImageList:
    """An image list of OpenOOD v1.5 (Zhang et al. 2023): `relpath label` on each line, split at the first space.

    The label is a whole number, -1 for out of distribution, or a Python dictionary with the key `label`, which OpenOOD's own reader
    takes too. InputError names the line that does not fit.
    """
    names, labels, lines = [], [], []
    for number, line in _lines(path):
        name, _, extra = line.partition(" ")
        if not extra.strip():
            raise InputError(f"{path}, line {number}: no label behind {name!r}; OpenOOD's lines are `relpath label`.")
        names.append(_below(name, path, number))
        labels.append(_openood_label(extra.strip(), path, number))
        lines.append(number)
    return _image_list(root, names, labels, path, lines)


def read_vim_list(path: str | os.PathLike, root: str | os.PathLike) -> ImageList:
    """An image list of ViM (Wang et al. 2022), such as Openimage-O's: one name per line, and behind the last blank a label or nothing.

    A last word that is no whole number belongs to the name. Without a label the image is -1 (ViM's own reader says 0, the first class).
    """
    names, labels, lines = [], [], []
    for number, line in _lines(path):
        name, *label = line.strip().rsplit(maxsplit=1)
        if label and _is_whole(label[0]):
            label = int(label[0])
        else:
            name, label = line.strip(), -1
        names.append(_below(name, path, number))
        labels.append(label)
        lines.append(number)
    return _image_list(root, names, labels, path, lines)


def read_image_table(path: str | os.PathLike, root: str | os.PathLike) -> ImageList:
    """A table written by `classifiers/prepare_image_list` (TSV: name, label)."""
    frame = read_table(path, ["name", "label"])
    names = [_below(str(name), path, number) for number, name in enumerate(frame["name"], start=2)]
    try:
        labels = frame["label"].to_numpy(dtype=np.int64)
    except ValueError as error:
        raise InputError(f"{path}: the column label must hold whole numbers ({error}).") from error
    return _image_list(root, names, labels, path, range(2, len(names) + 2))


def check_files(images: ImageList) -> None:
    """InputError with list and line when a named file is not below root, and with the number of all that are missing."""
    if zipfile.is_zipfile(images.root):
        there = set(_archive(str(images.root)).namelist())
        missing = [k for k, name in enumerate(images.names) if name not in there]
    else:
        missing = [k for k, name in enumerate(images.names) if not (images.root / name).is_file()]
    if missing:
        first = missing[0]
        more = f" ({len(missing)} of {len(images)} are missing)" if len(missing) > 1 else ""
        raise InputError(f"{images.place(first)}: {images.names[first]} is not below {images.root}{more}.")


def read_bytes(root: Path, name: str) -> bytes:
    """Contents of an image file below a folder or in a zip archive. InputError when it is not there or the archive is damaged."""
    try:
        if root.is_file():
            return _archive(str(root)).read(name)
        return (root / name).read_bytes()
    except (FileNotFoundError, NotADirectoryError, KeyError) as error:
        raise InputError(f"{root}/{name} is not there.") from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{root} is damaged or no zip archive ({error}); fetch it again.") from error


def without_labels(images: ImageList) -> ImageList:
    """The same images, all out of distribution: a list of another task carries labels that are no classes of ours."""
    return replace(images, labels=np.full(len(images), -1, dtype=np.int64))


def chosen(images: ImageList, indices: npt.ArrayLike) -> ImageList:
    """The images at these indices, in that order."""
    indices = np.asarray(indices, dtype=np.int64)
    lines = tuple(images.lines[k] for k in indices) if images.lines else ()
    names = tuple(images.names[k] for k in indices)
    return replace(images, names=names, labels=images.labels[indices], lines=lines)


def subset(images: ImageList, number: int, rng: np.random.Generator) -> ImageList:
    """`number` images drawn without replacement, in the list's order; all when there are no more."""
    if number >= len(images):
        return images
    return chosen(images, np.sort(rng.choice(len(images), size=number, replace=False)))


def divided(images: ImageList, number: int, rng: np.random.Generator) -> dict[str, ImageList]:
    """`held_out`: `number` images drawn without replacement; `kept`: the others. Both in the list's order."""
    held = np.zeros(len(images), dtype=bool)
    held[rng.choice(len(images), size=number, replace=False)] = True
    return {"held_out": chosen(images, np.flatnonzero(held)), "kept": chosen(images, np.flatnonzero(~held))}


@lru_cache(maxsize=8)
def _archive(path: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _lines(path: str | os.PathLike):
    """(number, line) of the lines that are not blank."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no list of images: it is not text in UTF-8 ({error.reason}).") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield number, line


def _below(name: str, path: str | os.PathLike, number: int) -> str:
    if not name or name.startswith(("/", "\\")) or ".." in PurePosixPath(name).parts:
        raise InputError(f"{path}, line {number}: {name!r} must be a path below the folder of the images.")
    return name


def _is_whole(word: str) -> bool:
    return word.removeprefix("-").isdecimal()


def _openood_label(extra: str, path: str | os.PathLike, number: int) -> int:
    if _is_whole(extra):
        return int(extra)
    try:
        label = ast.literal_eval(extra)
        label = label["label"] if isinstance(label, dict) else label
    except (ValueError, SyntaxError, KeyError):
        label = None
    if not isinstance(label, int) or isinstance(label, bool):
        raise InputError(f"{path}, line {number}: the label {extra!r} is no whole number (-1 is out of distribution).")
    return label


def _image_list(root, names, labels, path, lines) -> ImageList:
    if not names:
        raise InputError(f"{path} names no image.")
    labels = np.asarray(labels, dtype=np.int64)
    if labels.min() < -1:
        k = int(labels.argmin())
        raise InputError(f"{path}, line {lines[k]}: the label {labels[k]} is below -1, which is out of distribution.")
    return ImageList(Path(root), tuple(names), labels, str(path), tuple(lines))
