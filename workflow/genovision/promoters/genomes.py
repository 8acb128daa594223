"""Reference genomes: FASTA and GenBank in, plain FASTA with a .fai index out, and contigs one at a time.

A contig is a uint8 array of its letters, shape (length,), in the case of the file. Only one is held at a time.
"""

import io
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyfaidx
from Bio import BiopythonWarning, SeqIO
from Bio.GenBank.Scanner import GenBankScanner
from Bio.SeqRecord import SeqRecord

from genovision.alphabet import IUPAC
from genovision.atomic import replacing
from genovision.errors import InputError
from genovision.promoters.archives import DAMAGED, members, numbered_lines

Contig = tuple[str, np.ndarray]

LINE = 60  # columns of the FASTA we write
_LETTERS = (IUPAC + IUPAC.lower()).encode("ascii")
_SPACE = b" \t\r\n"
_HEADER = 1 << 16  # bytes before a sequence within which its header line begins
_LOCUS = re.compile(rb"LOCUS\s+(\S+)\s+(\d+)\s+bp\b")


def _letters(raw: bytes | bytearray, label: str, first_line: int) -> np.ndarray:
    """The letters of FASTA lines, line ends taken out; InputError names the line of one that is no IUPAC base."""
    letters = raw.translate(None, _SPACE)
    if letters.translate(None, _LETTERS):
        place = re.search(rb"[^" + _LETTERS + _SPACE + rb"]", raw).start()
        line = first_line + raw[:place].count(b"\n")
        raise InputError(f"{label}, line {line} has {chr(raw[place])!r}, which is no IUPAC base; repair the file.")
    return np.frombuffer(letters, dtype=np.uint8)


def read_fasta(stream: BinaryIO, label: str) -> Iterator[Contig]:
    """(name, letters) of each record, in order; the name is the header's first word. Case and IUPAC codes are kept.

    Unix and Windows line ends, blank lines. Raises InputError, with the line, for text before the first header, a header without
    a name or without sequence, a name that comes twice, a letter that is no IUPAC base, a damaged or an empty file.
    """
    name, raw, header, seen = None, bytearray(), 0, set()

    def finished() -> Contig:
        letters = _letters(raw, label, header + 1)
        raw.clear()  # the caller now holds the contig, once
        if not letters.size:
            raise InputError(f"{label}, line {header}: {name} has no sequence; the file is cut short or no genome.")
        return name, letters

    for number, line in numbered_lines(stream, label):
        if not line.startswith(b">"):
            raw += line
            continue
        if name is None and raw.strip():
            break
        if name is not None:
            yield finished()
        raw, header = bytearray(), number
        words = line[1:].split()
        name = words[0].decode("ascii", "replace") if words else None
        if name is None or name in seen:
            problem = "has no name" if name is None else f"names {name}, which was there before"
            raise InputError(f"{label}, line {number} {problem}; give every contig its own name.")
        seen.add(name)
    if name is None:
        problem = "does not begin with a line `>name`; is it FASTA?" if raw.strip() else "is empty; fetch it again."
        raise InputError(f"{label} {problem}")
    yield finished()


def genbank_records(stream: BinaryIO, label: str, features: bool) -> Iterator[tuple[int, SeqRecord]]:
    """(line of its LOCUS, Biopython record) of each GenBank record; without `features` they are skipped, which is faster.

    Raises InputError for a LOCUS length that is not the sequence's, a record without sequence or without its end `//`,
    a damaged or an empty file.
    """
    lines: list[bytes] = []
    first = 1
    for number, line in numbered_lines(stream, label):
        if not lines:
            if not line.strip():
                continue
            first = number
        lines.append(line)
        if line.startswith(b"//"):
            yield first, _genbank_record(b"".join(lines), label, first, features)
            lines = []
    if lines:
        raise InputError(
            f"{label}, line {first}: the record has no end `//`; it is no GenBank or cut short: fetch it again."
        )


def _genbank_record(text: bytes, label: str, line: int, features: bool) -> SeqRecord:
    locus = _LOCUS.match(text)
    if not locus:
        raise InputError(f"{label}, line {line} is no LOCUS line with a length in bp; is it GenBank?")
    handle = io.StringIO(text.decode("utf-8", "replace"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BiopythonWarning)  # what they say is checked below, or is about columns
        try:
            if features:
                record = SeqIO.read(handle, "genbank")
            else:
                record = next(GenBankScanner().parse_records(handle, do_features=False))
            length = len(bytes(record.seq))
        except Exception as error:
            raise InputError(f"{label}, line {line}: the record cannot be read as GenBank ({error}).") from error
    if length != int(locus[2]):
        raise InputError(
            f"{label}, line {line} says {int(locus[2])} bp, but {record.id} has {length}; fetch the file again."
        )
    return record


def read_genbank(stream: BinaryIO, label: str) -> Iterator[Contig]:
    """(VERSION, letters) of each GenBank record; errors as in `genbank_records`, and a letter that is no IUPAC base."""
    seen = set()
    for line, record in genbank_records(stream, label, features=False):
        if record.id in seen:
            raise InputError(f"{label}, line {line} is a second record {record.id}; give every contig its own name.")
        seen.add(record.id)
        yield record.id, _letters(bytes(record.seq), label, line)
    if not seen:
        raise InputError(f"{label} is empty; fetch it again.")


def read_genome(path: str | os.PathLike, member: str | None = None) -> Iterator[Contig]:
    """Contigs of FASTA or GenBank files (told apart by their first letter), plain, gzip or in a zip: see `archives.members`."""
    for label, stream in members(path, member):
        try:
            genbank = stream.peek(1)[:1] == b"L"
        except DAMAGED:
            genbank = False  # the reader below meets the damage again and names the line
        yield from (read_genbank if genbank else read_fasta)(stream, label)


def renamed(
    contigs: Iterable[Contig], names: Mapping[str, str], lengths: Mapping[str, int], label: str
) -> Iterator[Contig]:
    """The contigs under their new names; `names` maps old to new, `lengths` maps new names to what their lengths must be.

    Raises InputError when a length differs, two contigs get one name, or a contig of `names` or `lengths` does not come.
    """
    seen: set[str] = set()
    missing_names, missing_lengths = set(names), set(lengths)
    for old, letters in contigs:
        new = names.get(old, old)
        called = new if new == old else f"{old} ({new})"
        if new in seen:
            raise InputError(f"{label} has two contigs {new}; give every contig its own name.")
        if new in lengths and letters.size != lengths[new]:
            raise InputError(
                f"{label}: {called} has {letters.size} bp, not {lengths[new]}; it is another contig or another assembly."
            )
        seen.add(new)
        missing_names.discard(old)
        missing_lengths.discard(new)
        yield new, letters
    if missing_names or missing_lengths:
        raise InputError(
            f"{label} has no contig {', '.join(sorted(missing_names | missing_lengths))}; correct the names."
        )


def name_pair(text: str) -> tuple[str, str]:
    """`old=new` -> (old, new), as an option gives it; ValueError for anything else."""
    old, equals, new = text.partition("=")
    if not (old and equals and new) or "=" in new:
        raise ValueError(f"{text!r} is not of the form old=new")
    return old, new


def _write_wrapped(out: BinaryIO, letters: np.ndarray) -> None:
    """Write lines of 60 letters, each with its line end, without a second copy of them."""
    full = letters.size // LINE
    lines = np.full((full, LINE + 1), ord("\n"), dtype=np.uint8)
    lines[:, :LINE] = letters[: full * LINE].reshape(full, LINE)
    out.write(lines)
    if rest := letters[full * LINE :].tobytes():
        out.write(rest + b"\n")


def write_genome(contigs: Iterable[Contig], path: str | os.PathLike) -> None:
    """Write `path` (FASTA of 60 columns) and `path`.fai, the index made by pyfaidx; both whole or not at all."""
    index = f"{os.fspath(path)}.fai"
    with replacing(path) as fasta, replacing(index) as fai:
        with fasta.open("wb") as out:
            for name, letters in contigs:
                out.write(b">" + name.encode("ascii") + b"\n")
                _write_wrapped(out, letters)
        pyfaidx.Faidx(fasta, indexname=fai).close()
        # the index has to be the younger of the two, or it counts as out of date
        stamp = fai.stat()
        os.utime(fasta, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


def read_lengths(fai: str | os.PathLike) -> dict[str, int]:
    """Contig -> length, in the order of the .fai index. Raises InputError with the line of a row that is none."""
    lengths = {}
    for number, line in enumerate(Path(fai).read_text().splitlines(), 1):
        fields = line.split("\t")
        if len(fields) < 2 or not fields[1].isdecimal():
            raise InputError(f"{fai}, line {number} is no row of a .fai index; make the index again.")
        lengths[fields[0]] = int(fields[1])
    if not lengths:
        raise InputError(f"{fai} is empty; make the index again.")
    return lengths


def _fresh_index(path: Path) -> Mapping | None:
    """pyfaidx's records by contig when `path`.fai is there and not older than the FASTA; it is never written here."""
    fai = Path(f"{path}.fai")
    try:
        if fai.stat().st_mtime_ns < path.stat().st_mtime_ns:
            return None
        with pyfaidx.Faidx(path, rebuild=False, build_index=False) as faidx:
            return dict(faidx.index)
    except (OSError, ValueError, pyfaidx.FastaIndexingError):
        return None


def _indexed(file: BinaryIO, name: str, record, label: str) -> np.ndarray:
    """The letters of one contig, read at the index's offset; InputError when the index does not fit the file."""
    full = max(record.rlen - 1, 0) // record.lenc  # lines before the last one
    size = full * record.lenb + record.rlen - full * record.lenc
    start = max(record.offset - _HEADER, 0)
    file.seek(start)
    header = file.read(record.offset - start).rstrip(b"\r\n").rsplit(b"\n", 1)[-1]
    raw = np.frombuffer(file.read(size), dtype=np.uint8)
    lines = raw[: full * record.lenb].reshape(-1, record.lenb)
    fits = raw.size == size and header.split()[:1] == [b">" + name.encode()] and (lines[:, record.lenc :] < 32).all()
    following = file.read(2).lstrip(
        b"\r\n"
    )  # the contig ends where the index says: a header or the end of the file is next
    fits = fits and following[:1] in (b"", b">") and (file.peek(1)[:1] in (b"", b">") or following[:1] == b">")
    if not fits:
        raise InputError(f"{label}.fai does not fit {label}; delete the index.")
    letters = np.empty(record.rlen, dtype=np.uint8)
    letters[: full * record.lenc].reshape(full, record.lenc)[:] = lines[:, : record.lenc]
    letters[full * record.lenc :] = raw[full * record.lenb :]
    if (letters < ord("A")).any():
        raise InputError(f"{label}.fai does not fit {label}; delete the index.")
    return letters


def contigs(fasta: str | os.PathLike, names: Iterable[str] | None = None) -> Iterator[Contig]:
    """(name, letters) of the contigs of a FASTA file, or of those in `names`, in the order of the file.

    A plain file with an up-to-date .fai is read at the offsets of the index; without one, and with gzip or bgzip, it is
    streamed. Nothing is ever written beside the file, so a folder without write permission is as good as any.
    Raises InputError as `read_fasta` does, and when the index does not fit the file.
    """
    path = Path(fasta)
    wanted = None if names is None else set(names)
    with path.open("rb") as file:
        plain = file.peek(2)[:2] != b"\x1f\x8b"
        index = _fresh_index(path) if plain else None
        if index is not None:
            for name, record in index.items():
                if wanted is None or name in wanted:
                    yield name, _indexed(file, name, record, str(path))
            return
    for label, stream in members(path):
        for name, letters in read_fasta(stream, label):
            if wanted is None or name in wanted:
                yield name, letters
