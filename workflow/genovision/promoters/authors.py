"""EPD-GenDNA as its authors released it: a CSV of sequences and species, read in place of windows cut by us.

The file has no coordinates, so its split cannot keep overlapping windows together; only exact duplicates are out. Its species
are the OS lines of EPD's DAT records, such as `Homo sapiens (Human).`
"""

import csv
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from genovision.alphabet import BASES
from genovision.errors import InputError
from genovision.promoters.archives import members, numbered_lines
from genovision.promoters.dataset import COLUMNS, ROW, counts, without_duplicates
from genovision.promoters.split import FOLDS
from genovision.promoters.windows import AMBIGUOUS, OFF_CONTIG, UNKNOWN

SOURCE = "author"
_OTHER = re.compile(f"[^{BASES}]")


def check_sha256(path: str | os.PathLike, expected: str) -> None:
    """InputError when the file is not the one whose sha256 (64 hexadecimal digits) is expected."""
    with Path(path).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected.lower():
        raise InputError(
            f"{path} has the sha256 {found}, not {expected}; it is another version or damaged: fetch it again."
        )


def species_code(label: str) -> str:
    """The species code of an OS line: `Rattus Norvegicus (rat).` -> `R_norvegicus`. ValueError when it has no two words."""
    words = re.findall(r"[A-Za-z]+", label)
    if len(words) < 2:
        raise ValueError(f"{label!r} is no name of genus and species")
    return f"{words[0][0].upper()}_{words[1].lower()}"


def _rows(path: str | os.PathLike) -> Iterator[tuple[int, str, str]]:
    """(line, sequence, species label) of every row."""
    for label, stream in members(path):
        reader = csv.DictReader(line.decode("utf-8", "replace") for _, line in numbered_lines(stream, label))
        missing = [name for name in ("Sequence", "species") if name not in (reader.fieldnames or [])]
        if missing:
            raise InputError(f"{label}, line 1 names no column {' and no column '.join(missing)}; is it the right CSV?")
        for row in reader:
            if row["Sequence"] is None or row["species"] is None:
                raise InputError(f"{label}, line {reader.line_num} has fewer columns than the header; fetch it again.")
            yield reader.line_num, row["Sequence"].upper(), row["species"]


def _fate(sequence: str, length: int) -> str:
    if len(sequence) < length:
        return OFF_CONTIG  # the authors' windows that left their contig are shorter
    return UNKNOWN if "N" in sequence else AMBIGUOUS if _OTHER.search(sequence) else ""


def _table(path: str | os.PathLike, length: int) -> pd.DataFrame:
    rows = []
    for number, (line, sequence, label) in enumerate(_rows(path), 1):
        if len(sequence) > length:
            raise InputError(
                f"{path}, line {line} has {len(sequence)} bases, more than {length}; give the file's length."
            )
        try:
            species = species_code(label)
        except ValueError as error:
            raise InputError(f"{path}, line {line}: {error}.") from error
        rows.append((f"row_{number}", species, sequence, _fate(sequence, length)))
    table = pd.DataFrame(rows, columns=["id", "species", "sequence", "reason"], dtype="str")
    return table.assign(accession="", position=0, strand="+", tss_source=SOURCE, gene="")


def _folds(sequences: pd.Series, fractions: Sequence[float], seed: int) -> np.ndarray:
    """Fold of each sequence: sha256("seed TAB sequence") as a fraction of its range, cut at the cumulated fractions."""
    digests = [hashlib.sha256(f"{seed}\t{sequence}".encode()).digest()[:8] for sequence in sequences]
    place = np.array([int.from_bytes(digest, "big") for digest in digests], dtype=np.uint64) / 2.0**64
    return np.array(FOLDS)[np.searchsorted(np.cumsum(fractions)[:-1], place, side="right")]


def read_author_csv(
    path: str | os.PathLike, sha256: str, length: int, fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(data set, dropped rows, counts) from the authors' CSV, with the columns of `dataset.build_dataset`.

    path:   CSV, plain or gzip, with the columns `Sequence` and `species` (others are left alone)
    sha256: of the file
    length: of its windows

    id is `row_<k>`, k counting rows from 1; there are no coordinates: accession and gene are empty, position 0, strand `+`,
    tss_source `author`. Shorter sequences are dropped as "off the contig"; N, other letters, duplicates and conflicts as in our own
    set, species in the order of the file. The fold goes by the sequence's sha256, about `fractions` of each species.
    Raises InputError for another sha256, a missing column (its line), a longer sequence, a species without two words, no row.
    """
    check_sha256(path, sha256)
    table = _table(path, length)
    if table.empty:
        raise InputError(f"{path} has no row below its header; fetch it again.")
    dropped = table[table["reason"] != ""][[*ROW, "reason"]]
    kept, twice = without_duplicates(table[table["reason"] == ""].drop(columns="reason"))
    kept = kept.assign(fold=pd.Series(_folds(kept["sequence"], fractions, seed), index=kept.index, dtype="str"))
    dropped = pd.concat([dropped, twice[[*ROW, "reason"]]], ignore_index=True)
    return kept[COLUMNS].reset_index(drop=True), dropped, counts(kept, dropped, length)
