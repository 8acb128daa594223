"""The data set of one window length: windows of all species, exact duplicates taken out, each row in its fold, every drop counted."""

import gzip
import io
import os
from collections.abc import Sequence

import numpy as np
import pandas as pd

from genovision.atomic import replacing
from genovision.errors import InputError
from genovision.promoters.split import FOLDS
from genovision.promoters.windows import AMBIGUOUS, NO_CONTIG, OFF_CONTIG, UNKNOWN

DUPLICATE = "duplicate"
CONFLICT = "conflict between species"
REASONS = (NO_CONTIG, OFF_CONTIG, UNKNOWN, AMBIGUOUS, DUPLICATE, CONFLICT)

ROW = ["id", "species", "accession", "position", "strand", "tss_source", "gene"]
COLUMNS = [*ROW, "sequence", "fold"]
COUNTS = ["species", "tss_source", "length", "rows", "kept", *REASONS, *FOLDS]


def without_duplicates(windows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(kept, dropped) of windows of all species, exact sequences compared; each in the order of the species, contig and position.

    windows: columns `ROW` and `sequence`; the species in the order in which they count as first.
    A sequence that comes in two species or more says nothing about either: all its rows are dropped, "conflict between species". Of
    rows of one species with the same sequence the first by (accession, position, strand, id) is kept, the others are
    dropped, "duplicate".
    """
    rank = pd.Series({species: number for number, species in enumerate(windows["species"].unique())}, dtype="int64")
    ordered = windows.assign(rank=windows["species"].map(rank))
    ordered = ordered.sort_values(["rank", "accession", "position", "strand", "id"], kind="stable").drop(columns="rank")
    sequence = ordered.groupby("sequence", sort=False)["species"]
    conflict = (sequence.transform("nunique") > 1).to_numpy(dtype=bool)
    duplicate = ordered.duplicated("sequence").to_numpy() & ~conflict
    dropped = ordered[conflict | duplicate].drop(columns="sequence")
    reason = np.where(conflict, CONFLICT, DUPLICATE)[conflict | duplicate]
    return ordered[~(conflict | duplicate)], dropped.assign(reason=pd.Series(reason, index=dropped.index, dtype="str"))


def counts(kept: pd.DataFrame, dropped: pd.DataFrame, length: int) -> pd.DataFrame:
    """One row per species and TSS source, columns `COUNTS`: `rows` TSS came in, `kept` and one column per reason add up to them."""
    key = ["species", "tss_source"]
    both = pd.concat([kept[key], dropped[key]], ignore_index=True)
    rows = both.groupby(key, sort=False).size()
    table = pd.DataFrame({"rows": rows, "kept": kept.groupby(key).size()})
    for reason in REASONS:
        table[reason] = dropped[dropped["reason"] == reason].groupby(key).size()
    for fold in FOLDS:
        table[fold] = kept[kept["fold"] == fold].groupby(key).size()
    table = table.reindex(rows.index).fillna(0).astype("int64").reset_index().assign(length=length)[COUNTS]
    left = table["rows"] - table["kept"] - table[list(REASONS)].sum(axis=1)
    if left.any():
        raise AssertionError("a row was neither kept nor dropped for a known reason")
    return table


def build_dataset(
    windows: Sequence[pd.DataFrame], dropped: Sequence[pd.DataFrame], split: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """(data set, dropped rows, counts) of all species at one length.

    windows, dropped: what `windows.extract` gave, with a column `species`, one pair per species, in the order in which species
                      count as first (`without_duplicates`)
    split:            of `split.split_windows`

    Raises InputError when a species comes twice, sequences differ in length, or a window has no fold.
    """
    # an empty table says nothing of its column types, so it is left out where there are others
    all_windows = pd.concat([table for table in windows if len(table)] or windows[:1], ignore_index=True)
    all_dropped = pd.concat([table for table in dropped if len(table)] or dropped[:1], ignore_index=True)
    species = [name for table in windows for name in table["species"].unique()]
    if len(set(species)) < len(species):
        raise InputError(f"a species comes twice among the windows: {', '.join(species)}; give each once.")
    if all_windows.empty:
        raise InputError("no window is left in any species; see the dropped rows for the reasons.")
    lengths = all_windows["sequence"].str.len().unique()
    if len(lengths) > 1:
        raise InputError(f"the windows have lengths {', '.join(map(str, sorted(lengths)))}; a data set has one.")
    key = ["species", "id", "tss_source"]
    folds = all_windows.merge(split[[*key, "fold"]], on=key, how="left", validate="many_to_one")
    if folds["fold"].isna().any():
        row = folds[folds["fold"].isna()].iloc[0]
        raise InputError(
            f"the split has no fold for {row['id']} of {row['species']}; make the split from the same tables."
        )
    kept, twice = without_duplicates(folds)
    all_dropped = pd.concat([all_dropped, twice], ignore_index=True)[[*ROW, "reason"]]
    kept = kept[COLUMNS].reset_index(drop=True)
    return kept, all_dropped, counts(kept, all_dropped, int(lengths[0]))


def write_fasta(data: pd.DataFrame, path: str | os.PathLike) -> None:
    """The data set as gzip FASTA, one line per sequence; the same rows give the same bytes.

    Header: `>species|id accession:position:strand tss_source fold`.
    """
    with replacing(path) as temporary, temporary.open("wb") as raw:
        packed = gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0)
        with packed, io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as out:
            for row in data[COLUMNS].itertuples(index=False):
                place = f"{row.accession}:{row.position}:{row.strand}"
                out.write(f">{row.species}|{row.id} {place} {row.tss_source} {row.fold}\n{row.sequence}\n")
