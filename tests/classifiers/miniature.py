"""Small image sets that can be learnt in a second, and Debian packages and idx files in the real formats."""

import gzip
import io
import struct
import tarfile

import numpy as np

from genovision.classifiers.image_sets import ImageSet


def striped(number: int, rng: np.random.Generator, classes: int = 3) -> ImageSet:
    """Images of 28 x 28 whose class is the place of a bright band, under noise."""
    labels = rng.integers(0, classes, number)
    images = rng.integers(0, 120, (number, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 + 8 * label : 9 + 8 * label] += 100
    return ImageSet(images, labels.astype(np.int64))


def idx(array: np.ndarray) -> bytes:
    """An array of bytes as a gzip idx file."""
    header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def debian(files: dict[str, bytes], member: str = "data.tar.xz") -> bytes:
    """A .deb with these files, as dpkg-deb makes it: debian-binary, control.tar.xz (empty here), data.tar.*."""
    packed = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": _tar({}, "xz"),
        member: _tar(files, member.rsplit(".", 1)[1]),
    }
    found = b"!<arch>\n"
    for name, data in packed.items():
        found += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return found


def _tar(files: dict[str, bytes], compression: str) -> bytes:
    sink = io.BytesIO()
    mode = f"w:{compression}" if compression in ("xz", "gz", "bz2") else "w"
    with tarfile.open(fileobj=sink, mode=mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def fashion(train: int = 200, test: int = 100) -> dict[str, bytes]:
    """The four files of the package dataset-fashion-mnist with random images, every class in turn."""
    rng, files = np.random.default_rng(7), {}
    for stem, number in (("train", train), ("t10k", test)):
        folder = f"usr/share/datasets/fashion-mnist/{stem}"
        files[f"{folder}-images-idx3-ubyte.gz"] = idx(rng.integers(0, 256, (number, 28, 28)))
        files[f"{folder}-labels-idx1-ubyte.gz"] = idx(np.arange(number) % 10)
    return files
