"""Sets of generated or drawn sequences as FASTA: one line of sequence per record, ids `<set>_<k>`."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genovision.alphabet import encode
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


def read_named_sets(given: Iterable[str], taken: Collection[str], length: int) -> dict[str, npt.NDArray[np.uint8]]:
    """Codes (N, length) by name, of texts NAME=FASTA; files of one name (a species each) are put together.

    InputError names the text that is not written so, or whose name is taken, and the file with another length or letter than A, C, G, T.
    """
    found: dict[str, list[npt.NDArray[np.uint8]]] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not (name and equals and path) or name in taken:
            raise InputError(
                f"--ood {text}: write NAME=FASTA, with a name other than {', '.join(sorted(taken))}, as in shuffle=shuffle.fa."
            )
        codes = encode(read_set(path)[1])
        if codes.shape[1] != length:
            raise InputError(f"{path} has sequences of {codes.shape[1]} bases, those of --data have {length}.")
        if codes.max() > 3:
            row = int((codes > 3).any(axis=1).argmax())
            raise InputError(f"{path}: sequence {row} has a letter other than A, C, G, T; the models know these only.")
        found.setdefault(name, []).append(codes)
    return {name: np.concatenate(parts) for name, parts in found.items()}
