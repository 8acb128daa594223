"""The table of transcription start sites that every step of the story passes on, and where its rows come from.

Columns: id (unique within a species), accession (contig), position (1-based), strand (+ or -), tss_source, gene. Positions count
as in EPD: the TSS is the first transcribed base.
`tss_source` is `epd` (promoters of EPDnew) or `annotation` (5' ends of annotated mRNAs). The two differ by dozens of bases, so
they are never mixed within a species.
"""

import os
import re
from collections.abc import Mapping, Sequence

import pandas as pd

from genovision.errors import InputError

COLUMNS = ["id", "accession", "position", "strand", "tss_source", "gene"]
SOURCES = ("epd", "annotation")


def read_rows(path: str | os.PathLike, columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """Read a TSV of this story: text stays text (a gene may be called `007` or `NA`), `position` is an int64.

    Raises InputError when one of `columns` is missing, or a position (with its line) is no whole number.
    """
    try:
        frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path} is empty; make it again.") from error
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}.")
    if "position" in frame:
        odd = ~frame["position"].str.fullmatch("[0-9]{1,12}").astype(bool)
        if odd.any():
            row = int(odd.to_numpy().argmax())
            raise InputError(
                f"{path}, line {row + 2} has the position {frame['position'].iloc[row]!r}; it is no number."
            )
        frame["position"] = frame["position"].astype("int64")
    if "strand" in columns:
        odd = ~frame["strand"].isin(["+", "-", ""])
        if odd.any():
            row = int(odd.to_numpy().argmax())
            raise InputError(
                f"{path}, line {row + 2} has the strand {frame['strand'].iloc[row]!r}, which is neither + nor -."
            )
    return frame


def empty_table() -> pd.DataFrame:
    """A TSS table without rows."""
    return pd.DataFrame({column: pd.Series(dtype="int64" if column == "position" else str) for column in COLUMNS})


def gene_of(promoter: str) -> str:
    """The gene of an EPDnew id: `NOC2L_1` -> `NOC2L`; an id without a number is its own gene."""
    return re.sub(r"_\d+$", "", promoter)


def check_contigs(
    tss: pd.DataFrame, lengths: Mapping[str, int], absent: Sequence[str], path: str | os.PathLike, lines: Sequence[int]
) -> None:
    """InputError names the file and line of the first row that cannot lie on the genome.

    lengths: contig -> length. absent: contigs the genome is known to lack. lines: the line of each row, shape (n,).
    """
    size = tss["accession"].map(lengths)
    unknown = size.isna() & ~tss["accession"].isin(list(absent))
    beyond = tss["position"] > size.fillna(float("inf"))
    for row in (unknown | beyond).to_numpy().nonzero()[0][:1]:
        name, position = tss["accession"].iloc[row], tss["position"].iloc[row]
        problem = (
            f"is on contig {name}, which the genome lacks; use the assembly the file is for, or list {name} as absent."
            if unknown.iloc[row]
            else f"has position {position}, past the end of {name} ({lengths[name]} bp); use the assembly the file is for."
        )
        raise InputError(f"{path}, line {lines[row]} {problem}")


def choose(tables: Sequence[pd.DataFrame], species: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The first table with rows, and what to warn of: a table (species, text) that is empty when EPDnew was used.

    Raises InputError when no table has a row.
    """
    chosen = next((table for table in tables if len(table)), None)
    if chosen is None:
        raise InputError(
            f"{species} has no transcription start site: no source gave a row; give EPD's files or an annotation."
        )
    warnings = []
    if sorted(chosen["tss_source"].unique()) != ["epd"]:
        missing = "EPDnew's could not be retrieved" if tables[0] is not chosen else "none of EPDnew are used"
        warnings.append(
            f"the start sites are annotated 5' ends, because {missing}. They lie dozens of bases off, so motif positions are "
            "blurred; read claims about motif position with that in mind."
        )
    return chosen, pd.DataFrame({"species": pd.Series([species] * len(warnings), dtype=str), "text": warnings})
