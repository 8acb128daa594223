"""Files as they are published: plain, gzip or bgzip, in a zip or a wheel, in a zip inside a wheel. Read as streams, never unpacked."""

import gzip
import io
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from genovision.errors import InputError

LIMIT = 1 << 35  # bytes a stream may unpack to (32 GiB): ten human genomes, and an end to a decompression bomb
NESTED_LIMIT = 1 << 32  # bytes of a zip inside a zip, which has to be copied to be searched
DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile)


class _Bounded(io.RawIOBase):
    """A stream that refuses to give more than `limit` bytes."""

    def __init__(self, stream: BinaryIO, label: str, limit: int):
        self.stream, self.label, self.left = stream, label, limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        # read1, so that what comes before damage is given before the damage is met, and a message can name the line
        chunk = self.stream.read1(min(len(buffer), 1 << 17))
        self.left -= len(chunk)
        if self.left < 0:
            raise InputError(f"{self.label} unpacks to more than the allowed size; is it the right file?")
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _unpacked(stream: BinaryIO, label: str, limit: int) -> io.BufferedReader:
    """The stream, gunzipped if its first two bytes say so, buffered, at most `limit` bytes long."""
    buffered = io.BufferedReader(stream, 1 << 20)
    try:
        compressed = buffered.peek(2)[:2] == b"\x1f\x8b"
    except DAMAGED as error:
        raise InputError(f"{label} is cut short or damaged; fetch it again.") from error
    source = gzip.GzipFile(fileobj=buffered) if compressed else buffered
    return io.BufferedReader(_Bounded(source, label, limit), 1 << 20)


def _matches(name: str, pattern: str) -> bool:
    """Glob on the whole name, or on the last part of it when the pattern has no slash."""
    return fnmatchcase(name if "/" in pattern else name.rsplit("/", 1)[-1], pattern)


def _chosen(archive: zipfile.ZipFile, pattern: str | None, label: str) -> list[zipfile.ZipInfo]:
    """The files of a zip that match, sorted by name; without a pattern the only file there is."""
    files = sorted((info for info in archive.infolist() if not info.is_dir()), key=lambda info: info.filename)
    chosen = [info for info in files if pattern is None or _matches(info.filename, pattern)]
    if not chosen or (pattern is None and len(chosen) > 1):
        known = ", ".join(info.filename for info in files[:8]) + (", ..." if len(files) > 8 else "")
        wanted = "needs the name of a member" if pattern is None else f"has no member {pattern}"
        raise InputError(f"{label} {wanted}; it holds {known or 'nothing'}.")
    for info in chosen:
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in parts.parts[0]:
            raise InputError(f"{label} has a member {info.filename!r}, whose name leaves the archive; do not use it.")
        if info.flag_bits & 0x1:
            raise InputError(f"{label} has an encrypted member {info.filename!r}; unpack it by hand and name the file.")
    return chosen


def _opened(file: BinaryIO, label: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise InputError(f"{label} is no whole zip archive; fetch it again.") from error


@contextmanager
def _spooled(stream: BinaryIO, label: str, limit: int) -> Iterator[BinaryIO]:
    """A seekable copy without a name, gone when the block ends."""
    with tempfile.TemporaryFile() as copy:
        try:
            shutil.copyfileobj(io.BufferedReader(_Bounded(stream, label, limit), 1 << 20), copy, 1 << 20)
        except DAMAGED as error:
            raise InputError(f"{label} is cut short or damaged; fetch it again.") from error
        copy.seek(0)
        yield copy


def _walk(file: BinaryIO, label: str, patterns: list[str], limit: int) -> Iterator[tuple[str, io.BufferedReader]]:
    with _opened(file, label) as archive:
        for info in _chosen(archive, patterns[0] if patterns else None, label):
            inner = f"{label}::{info.filename}"
            with archive.open(info) as stream:
                if len(patterns) > 1:
                    with _spooled(stream, inner, min(limit, NESTED_LIMIT)) as copy:
                        yield from _walk(copy, inner, patterns[1:], limit)
                else:
                    yield inner, _unpacked(stream, inner, limit)


def members(
    path: str | os.PathLike, member: str | None = None, limit: int = LIMIT
) -> Iterator[tuple[str, io.BufferedReader]]:
    """(label, binary stream) of each file behind `path`; the label is what an error message calls it.

    path:   a plain or gzip file (then there is one stream), or a zip or wheel
    member: glob that chooses the members of a zip; `outer.zip::chr*.gb` goes into a zip inside it. A pattern without a
            slash is compared with the last part of the names. Streams come in the order of the names, gunzipped.
    limit:  bytes a stream may unpack to

    A stream is good until the next one is asked for. Nothing is written under a name from the archive.
    Raises InputError when nothing matches, a name leads out of the archive, or the archive is damaged, encrypted or too big.
    """
    path = Path(path)
    with path.open("rb") as file:
        if file.peek(4)[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
            yield from _walk(file, str(path), member.split("::") if member else [], limit)
        elif member is not None:
            raise InputError(f"{path} is no zip archive, so it has no member {member}; leave the member out.")
        else:
            yield str(path), _unpacked(file, str(path), limit)


def numbered_lines(stream: BinaryIO, label: str) -> Iterator[tuple[int, bytes]]:
    """(1-based number, line with its end) of a stream; InputError names the line at which a damaged one breaks off."""
    number = 0
    try:
        for number, line in enumerate(stream, 1):
            yield number, line
    except DAMAGED as error:
        raise InputError(
            f"{label}, line {number + 1}: the compressed file is cut short or damaged here; fetch it again."
        ) from error


def text_lines(path: str | os.PathLike) -> Iterator[tuple[int, str]]:
    """(1-based number, line without its end) of a plain or gzip text file in UTF-8; blank lines at the end are left out.

    Unix and Windows line ends. Raises InputError for an empty, damaged or binary file.
    """
    blank, empty = [], True
    for label, stream in members(path):
        for number, raw in numbered_lines(stream, label):
            try:
                line = raw.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise InputError(f"{label}, line {number} is not text in UTF-8; is it the right file?") from error
            if not line.strip():
                blank.append((number, line))
                continue
            yield from blank
            blank, empty = [], False
            yield number, line
    if empty:
        raise InputError(f"{path} is empty; fetch it again.")
