"""EPDnew, the Eukaryotic Promoter Database: readers of its SGA, DAT and BED files, and the check that a genome is the one they are for.

Formats as published at https://epd.expasy.org/ftp/epdnew/: SGA is one tab-separated line per promoter (accession, `TSS`, 1-based
position, strand, count, id); DAT is an EMBL-like flat file whose SE line holds the 60 bases from -49 to +10, upper case from the
TSS on; BED holds these 60 bases, its thick part the bases from the TSS on.
"""

import os
import re
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from genovision.alphabet import reverse_complement
from genovision.errors import InputError
from genovision.promoters.archives import text_lines
from genovision.promoters.genomes import Contig
from genovision.promoters.tss import gene_of

PLACE = ["accession", "position", "strand", "id"]
UPSTREAM = 49  # bases of a whole SE before the TSS
# the columns of the FP line shift with long ids, so it is read by what surrounds the numbers
_FP = re.compile(r"\bEU:(\S+)\s+\d([+-])\s*(\d+);")
_SE = re.compile(r"([a-z]*)([A-Z]*)")


def _tss(path, number: int, accession: str, position: str, strand: str, name: str) -> tuple[str, int, str, str]:
    """One checked row; InputError names the file and line of what is wrong with it."""
    problem = None
    if not accession or not name:
        problem = "has an empty field"
    elif not re.fullmatch("[0-9]{1,12}", position) or int(position) < 1:
        problem = f"has the position {position!r}, but positions count from 1"
    elif strand not in ("+", "-"):
        problem = f"has the strand {strand!r}, which is neither + nor -"
    if problem:
        raise InputError(f"{path}, line {number} {problem}; correct the line or fetch the file again.")
    return accession, int(position), strand, name


def _numbered(rows: Iterable[tuple[int, tuple]], path, columns: list[str]) -> pd.DataFrame:
    """The rows and the `line` each was on, when their ids (the last field) differ; InputError names the second line of an id."""
    found, seen = [], set()
    for number, row in rows:
        if row[-1] in seen:
            raise InputError(f"{path}, line {number} has the id {row[-1]} a second time; every promoter needs its own.")
        seen.add(row[-1])
        found.append((*row, number))
    frame = pd.DataFrame(found, columns=[*columns, "line"])
    return frame.astype({column: "int64" if column in ("position", "line") else "str" for column in frame})


def _sga_rows(path) -> Iterator[tuple[int, tuple]]:
    for number, line in text_lines(path):
        fields = line.split("\t")
        if len(fields) != 6 or fields[1] != "TSS":
            shape = f"{len(fields)} columns" if len(fields) != 6 else f"the feature {fields[1]!r}"
            raise InputError(f"{path}, line {number} has {shape}; SGA lines have 6, and the second is TSS.")
        yield number, _tss(path, number, fields[0], fields[2], fields[3], fields[5])


def read_lines(path: str | os.PathLike, bed: bool = False) -> pd.DataFrame:
    """`read_sga` (or `read_bed`) with a column more: `line`, the 1-based line of each row."""
    return _numbered((_bed_rows if bed else _sga_rows)(path), path, PLACE)


def read_sga(path: str | os.PathLike) -> pd.DataFrame:
    """EPDnew promoters of an SGA file: `accession, position, strand, id`, one row per line, in order.

    path: plain or gzip, Unix or Windows line ends. position: 1-based, the first transcribed base.
    Raises InputError with file and line for another number of columns, another feature than TSS, a position below 1, an
    unknown strand, an id that comes twice, a damaged or an empty file.
    """
    return read_lines(path)[PLACE]


def _bed_rows(path) -> Iterator[tuple[int, tuple]]:
    for number, line in text_lines(path):
        fields = line.split()
        if not fields or fields[0] in ("track", "browser") or fields[0].startswith("#"):
            continue
        if len(fields) < 6:
            raise InputError(f"{path}, line {number} has {len(fields)} columns; a BED with strands has at least 6.")
        start, end = fields[6:8] if len(fields) in (8, 9) else fields[1:3]
        if not (start.isdecimal() and end.isdecimal() and int(start) < int(end)):
            raise InputError(f"{path}, line {number} has no interval from {start} to {end}; correct the line.")
        position = int(end) if fields[5] == "-" else int(start) + 1
        yield number, _tss(path, number, fields[0], str(position), fields[5], fields[3])


def read_bed(path: str | os.PathLike) -> pd.DataFrame:
    """TSS of a BED file, columns separated by tabs or (as EPD serves it) spaces: `accession, position, strand, id`.

    EPD's BED has 8 columns, 60-base intervals whose thick part begins at the TSS: its 5' end is taken. With any other
    number of columns (a BED of single bases or of transcripts) it is the 5' end of the interval. `accession` is the
    first column as it stands, in EPD's files a UCSC name such as chr1. Errors as in `read_sga`.
    """
    return read_lines(path, bed=True)[PLACE]


def _dat_records(path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line of its ID, first content of each line code) of every record."""
    record: dict[str, str] = {}
    first = 0
    for number, line in text_lines(path):
        code = line[:2]
        if code == "//":
            yield first, record
            record = {}
            continue
        if not record:
            if code != "ID":
                raise InputError(f"{path}, line {number} should begin a record with ID; is it an EPD DAT file?")
            first = number
        if code == "SE":
            record["SE line"] = str(number)
        record.setdefault(code, line[2:].strip())
    if record:
        raise InputError(f"{path}, line {first}: the last record has no end `//`; fetch the file again.")


def _dat_rows(path) -> Iterator[tuple[int, tuple]]:
    for number, record in _dat_records(path):
        words, place = record["ID"].split(), _FP.search(record.get("FP", ""))
        if not words or not place:
            raise InputError(
                f"{path}, line {number}: the record has no id or no FP line with a position; fetch it again."
            )
        accession, strand, position = place.groups()
        bases = record.get("SE", "")
        if not _SE.fullmatch(bases):
            raise InputError(f"{path}, line {record['SE line']}: the SE of {words[0]} is not lower, then upper case.")
        row = _tss(path, number, accession, position, strand, words[0])
        yield int(record.get("SE line", number)), (*row[:3], bases, words[0])


def _read_dat(path) -> pd.DataFrame:
    """`read_dat` with the `line` of each SE."""
    return _numbered(_dat_rows(path), path, ["accession", "position", "strand", "se", "id"])


def read_dat(path: str | os.PathLike) -> pd.DataFrame:
    """Records of an EPD DAT file: `id, accession, position, strand, se`, one row per record, in order.

    position: 1-based, from the FP line (the DR lines count plus strands from 0). se: the bases of the SE line as they are,
    -49..+10 on the promoter's strand, lower case before the TSS; shorter or empty in records near a contig end.
    Raises InputError with file and line for a record without id, position or end, an SE that is not lower, then upper
    case, an id that comes twice, a damaged or an empty file.
    """
    return _read_dat(path)[["id", "accession", "position", "strand", "se"]]


def se_bounds(se: str, position: int, strand: str) -> tuple[int, int]:
    """0-based half-open genome interval of an SE: its first upper-case base is the TSS; without one it begins at -49."""
    before = sum(base.islower() for base in se)
    offset = -UPSTREAM if before == len(se) else -before
    first, last = offset, offset + len(se)
    tss = position - 1
    return (tss + first, tss + last) if strand == "+" else (tss - last + 1, tss - first + 1)


def check_se(dat: str | os.PathLike, tss: pd.DataFrame, genome: Iterable[Contig]) -> tuple[int, int]:
    """Compare every SE of a DAT file with the genome: this catches a wrong assembly, strand or offset.

    tss:    rows of the SGA file of the same release, with `id, accession, position, strand`
    genome: (name, letters) of its contigs; SE of records on other contigs are left unchecked
    returns (records compared, records not compared: on other contigs or with an empty SE)

    Raises InputError that names the record: when its bases differ, or id, contig, position and strand are not those of `tss`.
    """
    records = _read_dat(dat)
    place = ["accession", "position", "strand"]
    both = records.merge(tss[["id", *place]], on="id", how="left", suffixes=("", " there"))
    differs = (both[place].to_numpy(dtype=object) != both[[f"{c} there" for c in place]].to_numpy(dtype=object)).any(1)
    if differs.any():
        row = both.iloc[int(differs.argmax())]
        raise InputError(
            f"{dat}, line {row['line']}: {row['id']} is not at this place in the SGA file; take one release."
        )
    if lacking := sorted(set(tss["id"]) - set(records["id"])):
        raise InputError(f"{dat} has no record {lacking[0]}, which the SGA file has; take both from one release.")
    compared = 0
    rows_of = both[both["se"] != ""].groupby("accession", sort=False).indices
    for name, letters in genome:
        for row in rows_of.get(name, ()):
            _compare_se(dat, both.iloc[row], letters)
            compared += 1
    return compared, len(both) - compared


def _compare_se(dat, record: pd.Series, letters: np.ndarray) -> None:
    start, end = se_bounds(record["se"], record["position"], record["strand"])
    here = letters[max(start, 0) : end].tobytes().decode("ascii").upper() if end > 0 else ""
    here = here if record["strand"] == "+" else reverse_complement(here)
    if here != record["se"].upper():
        raise InputError(
            f"{dat}, line {record['line']}: the SE of {record['id']} is {record['se']}, but the genome has {here or 'nothing'} "
            f"at {record['accession']}:{record['position']}{record['strand']}; it is another assembly than the file is for."
        )


def tss_table(promoters: pd.DataFrame) -> pd.DataFrame:
    """Rows of `read_sga` or `read_bed` as a TSS table (columns of `tss.COLUMNS`), tss_source `epd`."""
    gene = promoters["id"].map(gene_of).astype("str")
    return promoters.assign(tss_source="epd", gene=gene)[
        ["id", "accession", "position", "strand", "tss_source", "gene"]
    ]
