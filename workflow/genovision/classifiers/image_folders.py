"""Image sets that are folders: one folder per class (ImageNet), or images of no class anywhere below one folder."""

import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from genovision.classifiers.image_lists import ImageList, check_files, read_openood_list, read_vim_list, without_labels
from genovision.classifiers.imagenet_sets import ImageSet, fetch_sentence
from genovision.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
WNID = re.compile(r"n\d{8}")


def read_class_folders(
    root: str | os.PathLike, classes: Sequence[str] | None = None, expected: int | None = None
) -> ImageList:
    """One folder per class; the label is the folder's rank among the sorted names, or its place in `classes`.

    The 1,000 WordNet ids of ILSVRC2012 in sorted order are the labels of every model trained on it. `classes` is needed where only some
    of the folders are there (a subset of ImageNet under the labels of the whole); else `expected` is the number that must be there.
    InputError names an empty class folder and a folder that is no class.
    """
    root = Path(root)
    folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    if not folders:
        raise InputError(
            f"{root} has no class folder: one folder per class is needed (the validation archive must be sorted into classes)."
        )
    if expected is not None and classes is None and len(folders) != expected:
        raise InputError(
            f"{root} has {len(folders)} class folders, {expected} are needed: without the others the labels would be shifted."
        )
    order = {name: label for label, name in enumerate(classes if classes is not None else folders)}
    names, labels = [], []
    for folder in folders:
        if folder not in order:
            raise InputError(f"{root / folder} is none of the {len(order)} classes.")
        files = _images(root / folder)
        if not files:
            raise InputError(f"{root / folder} holds no image; a class without images would be lost unseen.")
        names += [f"{folder}/{file}" for file in files]
        labels += [order[folder]] * len(files)
    return ImageList(root, tuple(names), np.asarray(labels, dtype=np.int64), str(root))


def read_imagenet(
    root: str | os.PathLike, classes: Sequence[str] | None = None, expected: int | None = None
) -> ImageList:
    """`read_class_folders` of a folder of ImageNet: every folder is a WordNet id such as n01440764."""
    images = read_class_folders(root, classes, expected)
    for folder in dict.fromkeys(name.split("/")[0] for name in images.names):
        if not WNID.fullmatch(folder):
            raise InputError(
                f"{images.root / folder} is no WordNet id such as n01440764, so this is no folder of ImageNet."
            )
    return images


def read_images_below(root: str | os.PathLike) -> ImageList:
    """All images anywhere below a folder, sorted by path, out of distribution (-1). Hidden files are left out."""
    names = _images(Path(root))
    if not names:
        raise InputError(f"{root} holds no image ({', '.join(SUFFIXES)}).")
    return ImageList(Path(root), tuple(names), np.full(len(names), -1, dtype=np.int64), str(root))


def read_labelled_names(root: str | os.PathLike, pattern: str) -> ImageList:
    """Images of a folder or zip archive whose names end in their label, such as foolbox's `imagenet_00_243.jpg`, sorted by name.

    pattern: regular expression for the path below root; its one group is the label
    """
    root = Path(root)
    if root.is_file():
        try:
            with zipfile.ZipFile(root) as archive:
                names = archive.namelist()
        except zipfile.BadZipFile as error:
            raise InputError(f"{root} is damaged or no zip archive; fetch it again.") from error
    else:
        names = _images(root)
    found = sorted((name, int(match[1])) for name in names if (match := re.fullmatch(pattern, name)))
    if not found:
        raise InputError(f"{root} holds no image named like {pattern}.")
    names, labels = zip(*found, strict=True)
    return ImageList(root, names, np.asarray(labels, dtype=np.int64), str(root))


def find_images(row: ImageSet, root: str | os.PathLike, classes: Sequence[str] | None = None) -> ImageList:
    """The images of one row of resources/imagenet.tsv below the folder of all sets; all files that a list names are there.

    Sets out of distribution (near, far) are labelled -1 whatever their list says. `classes`: see `read_class_folders`.
    InputError says what to fetch and where to put it when the folder or the list is not there.
    """
    root = Path(root)
    place, listed = root / row.folder, root / row.list
    for what in (place, listed) if row.layout in ("openood", "vim") else (place,):
        if not what.exists():
            raise InputError(fetch_sentence(row, root, what))
    if row.layout == "imagenet":
        images = read_imagenet(place, classes, row.classes)
    elif row.layout == "folder":
        images = read_images_below(place)
    elif row.layout == "labelled_names":
        images = read_labelled_names(place, row.list)
    else:
        images = {"openood": read_openood_list, "vim": read_vim_list}[row.layout](listed, place)
        check_files(images)
    return without_labels(images) if row.role in ("near", "far") else images


def _images(folder: Path) -> list[str]:
    """Paths of the images below a folder, with forward slashes, sorted; links to folders are followed."""
    found = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = PurePosixPath(Path(place).relative_to(folder).as_posix())
        # macOS leaves `._x.jpg` beside x.jpg in archives; it is no image
        found += [str(below / name) for name in files if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
    return sorted(found)
