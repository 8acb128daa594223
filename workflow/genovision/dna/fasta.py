"""Sets of generated or drawn sequences as FASTA: one line of sequence per record, ids `<set>_<k>`."""

import os
from collections.abc import Iterable
from pathlib import Path

from genovision.atomic import replacing
from genovision.errors import InputError


def write_set(name: str, sequences: Iterable[str], path: str | os.PathLike) -> None:
    """Write the set: record k = 0, 1, ... is called `<name>_<k>`."""
    with replacing(path) as temporary:
        with open(temporary, "w", encoding="ascii", newline="\n") as file:
            for k, sequence in enumerate(sequences):
                file.write(f">{name}_{k}\n{sequence}\n")


def read_set(path: str | os.PathLike) -> tuple[str, list[str]]:
    """Name and sequences of a set, upper case.

    InputError names file and line for text before the first header, an id that is not `<set>_<k>` or of another set, an empty record,
    or sequences of unequal length; and the file when it holds no sequence.
    """
    records: list[tuple[int, str, list[str]]] = []
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a FASTA file of plain text: byte {error.start} is not ASCII.") from error
    for number, line in enumerate(lines, start=1):
        if line.startswith(">"):
            records.append((number, line[1:].strip(), []))
        elif not records and line.strip():
            raise InputError(f"{path}, line {number}: sequence before the first '>' header; is this a FASTA file?")
        elif line.strip():
            records[-1][2].append(line.strip().upper())
    if not records:
        raise InputError(f"{path} holds no sequence; write it with dna/draw_reference.")
    name = records[0][1].rpartition("_")[0]
    sequences = ["".join(parts) for _, _, parts in records]
    for (number, title, _), sequence in zip(records, sequences, strict=True):
        stem, _, k = title.rpartition("_")
        if not stem or not k.isdigit():
            raise InputError(f"{path}, line {number}: id {title!r} is not <set>_<number>, as in test_0.")
        if stem != name:
            raise InputError(f"{path}, line {number}: id {title!r} is not of set {name!r}; keep one set per file.")
        if not sequence:
            raise InputError(f"{path}, line {number}: record {title!r} has no sequence; remove it.")
        if len(sequence) != len(sequences[0]):
            raise InputError(
                f"{path}, line {number}: {title!r} has {len(sequence)} bases, the first record has {len(sequences[0])}; "
                "all sequences of a set need one length."
            )
    return name, sequences
