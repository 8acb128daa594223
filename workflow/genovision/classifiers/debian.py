"""Files out of a Debian package without dpkg: an ar archive whose member data.tar.* is a compressed tar. Nothing is unpacked to disk."""

import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from genovision.errors import InputError

LIMIT = 1 << 30  # bytes of one file; image sets are far below, a decompression bomb above
_MAGIC = b"!<arch>\n"
_HEADER = 60
_COMPRESSIONS = {"data.tar": "r|", "data.tar.gz": "r|gz", "data.tar.xz": "r|xz", "data.tar.bz2": "r|bz2"}


class _Slice(io.RawIOBase):
    """`size` bytes of a file from where it stands."""

    def __init__(self, file: BinaryIO, size: int):
        self.file, self.left = file, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        chunk = self.file.read(min(len(buffer), self.left))
        self.left -= len(chunk)
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _data(file: BinaryIO, label: str) -> tuple[str, int]:
    """(name, size) of the member data.tar.*, with the file left at its first byte."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise InputError(f"{label} is no Debian package; it must begin with {_MAGIC.decode().strip()}.")
    while len(header := file.read(_HEADER)) == _HEADER:
        try:
            size = int(header[48:58])
        except ValueError as error:
            raise InputError(f"{label} is a damaged Debian package; fetch it again.") from error
        if header[58:] != b"`\n" or size < 0:
            raise InputError(f"{label} is a damaged Debian package; fetch it again.")
        name = header[:16].decode("ascii", "replace").rstrip(" /")
        if name.startswith("data.tar"):
            return name, size
        file.seek(size + size % 2, os.SEEK_CUR)
    raise InputError(f"{label} has no member data.tar; it is cut short or no Debian package, fetch it again.")


def _files(archive: tarfile.TarFile, wanted: set[str], label: str, limit: int) -> dict[str, bytes]:
    found = {}
    for member in archive:
        name = member.name.removeprefix("./")
        if name not in wanted:
            continue
        if not member.isreg():
            raise InputError(f"{label}: {name} is a link or a folder, not a file.")
        if member.size > limit:
            raise InputError(f"{label}: {name} has {member.size} bytes, {limit} are allowed; is it the right package?")
        found[name] = archive.extractfile(member).read()
        if len(found) == len(wanted):
            break
    return found


def read_package(path: str | os.PathLike, names: Iterable[str], limit: int = LIMIT) -> dict[str, bytes]:
    """The contents of the named files (`usr/share/...`) of a .deb.

    Raises InputError when the package is damaged or cut short, packs its data in a way that Python cannot read (zstd),
    lacks one of the files, or one of them is a link or larger than `limit` bytes.
    """
    label, wanted = str(path), set(names)
    with Path(path).open("rb") as file:
        member, size = _data(file, label)
        if member not in _COMPRESSIONS:
            raise InputError(f"{label} packs its files as {member}; only {', '.join(_COMPRESSIONS)} can be read.")
        try:
            with tarfile.open(fileobj=io.BufferedReader(_Slice(file, size)), mode=_COMPRESSIONS[member]) as archive:
                found = _files(archive, wanted, label, limit)
        except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
            raise InputError(f"{label} is cut short or damaged; fetch it again.") from error
    missing = sorted(wanted - set(found))
    if missing:
        raise InputError(f"{label} has no file {', '.join(missing)}; it may be cut short or of another version.")
    return found
