"""Images to train denoisers on: sets on disk, CIFAR-10 in its binary version and LSUN churches.

A set is an .npz of `images` (N, H, W) or (N, H, W, 3) uint8 and `labels` (N,) int64, as the classifiers' sets are.
"""

import io
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genovision.arrays import read_arrays, write_arrays
from genovision.errors import InputError

CIFAR_ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
LSUN_ADDRESS = "http://dl.yf.io/lsun/scenes/church_outdoor_train_lmdb.zip"
_CIFAR_FILES = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
_RECORD = 1 + 3 * 32 * 32  # label, then the red, green and blue planes
_LARGEST = 100_000 * _RECORD  # bytes of a file: ten times the published ones, so that a tar bomb is not read


def write_images(path: str | os.PathLike, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> None:
    """Write a set as .npz."""
    write_arrays(path, images=images, labels=labels)


def read_images(path: str | os.PathLike) -> npt.NDArray[np.uint8]:
    """Images (N, H, W) or (N, H, W, 3) uint8 of a set; InputError for a damaged file, other arrays, or no image."""
    images = read_arrays(path, ["images"])["images"]
    colours = images.shape[3:]
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or colours not in ((), (3,)):
        raise InputError(
            f"{path}: images are {images.dtype} of shape {images.shape}; (N, H, W) or (N, H, W, 3) of uint8 is needed."
        )
    if not images.size:
        raise InputError(f"{path} has no image.")
    return images


def read_cifar10(path: str | os.PathLike) -> dict[str, tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]]:
    """`train` and `test` of CIFAR-10 (Krizhevsky 2009): (images (N, 32, 32, 3), labels (N,)), out of cifar-10-binary.tar.gz.

    The archive is read member by member and nothing is unpacked to disk. InputError for a missing or damaged archive, the pickled Python
    version, a batch that is not there or not whole, and a label that is no class.
    """
    wanted = {name for names in _CIFAR_FILES.values() for name in names}
    if not Path(path).is_file():
        raise InputError(f"{path} is missing; fetch {CIFAR_ADDRESS} and put it there.")
    try:
        with tarfile.open(path, "r:*") as archive:
            members = {Path(member.name).name: member for member in archive if member.isfile()}
            if "data_batch_1" in members:
                raise InputError(f"{path} is the Python version, whose batches are pickled; fetch {CIFAR_ADDRESS}.")
            if missing := sorted(wanted - members.keys()):
                raise InputError(f"{path} has no {missing[0]}; fetch {CIFAR_ADDRESS} again.")
            batches = {name: _cifar_batch(archive, members[name], f"{path}::{name}") for name in sorted(wanted)}
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{path} is no whole tar archive ({error}); fetch {CIFAR_ADDRESS} again.") from error
    return {
        fold: tuple(np.concatenate(parts) for parts in zip(*(batches[name] for name in names), strict=True))
        for fold, names in _CIFAR_FILES.items()
    }


def _cifar_batch(archive: tarfile.TarFile, member: tarfile.TarInfo, label: str):
    if not 0 < member.size <= _LARGEST or member.size % _RECORD:
        raise InputError(f"{label} has {member.size} bytes, which are no {_RECORD} for each image.")
    records = np.frombuffer(archive.extractfile(member).read(), dtype=np.uint8).reshape(-1, _RECORD)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        raise InputError(f"{label}: label {labels.max()} of image {labels.argmax()} is none of 0..9.")
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def read_lsun(
    path: str | os.PathLike,
    size: int = 64,
    limit: int | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> npt.NDArray[np.uint8]:
    """Images (N, size, size, 3) of an LSUN category (Yu et al. 2015), in the order of their keys: `square` of each.

    path:  folder church_outdoor_train_lmdb as unzipped, with data.mdb in it
    limit: only the first so many; their keys are digests, so the order is as good as random
    InputError for a missing or damaged data base, and for a value that is no image.
    """
    import lmdb

    if not (Path(path) / "data.mdb").is_file():
        raise InputError(f"{Path(path) / 'data.mdb'} is missing; fetch {LSUN_ADDRESS} and unzip it there.")
    try:
        # the lock file would be written beside the data, which may not be ours to write to
        with lmdb.open(str(path), readonly=True, lock=False, readahead=False, max_readers=1) as base:
            with base.begin() as transaction:
                found = transaction.stat()["entries"]
                number = found if limit is None else min(limit, found)
                if number == 0:
                    raise InputError(f"{path} has no image.")
                images = np.empty((number, size, size, 3), dtype=np.uint8)
                for row, (key, value) in zip(range(number), transaction.cursor(), strict=False):
                    images[row] = square(value, size, f"{path}, key {key[:40].decode(errors='replace')}")
                    progress(row + 1, number)
    except lmdb.Error as error:
        raise InputError(f"{path} is no whole LMDB data base ({error}); fetch {LSUN_ADDRESS} again.") from error
    return images


def square(encoded: bytes, size: int, label: str) -> npt.NDArray[np.uint8]:
    """An encoded image (WebP, JPEG, PNG, ...) as (size, size, 3): its central square, resized by Pillow's antialiasing bicubic filter."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded)) as image:
            image = image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{label}: the value is no image that Pillow can read ({error}).") from error
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    # cut out first: with `box` the filter would reach beyond the square
    cut = image.crop((left, top, left + side, top + side))
    return np.asarray(cut.resize((size, size), Image.Resampling.BICUBIC))
