"""Tables on disk: TSV for people, Parquet for sequences; written whole or not at all, the same bytes for the same rows."""

import os
from pathlib import Path

import pandas as pd

from genovision.atomic import replacing
from genovision.errors import InputError


def write_table(frame: pd.DataFrame, path: str | os.PathLike) -> None:
    """Write by suffix: `.parquet` (zstd, no index, no pandas metadata that varies) or `.tsv` (ten significant digits)."""
    with replacing(path) as temporary:
        if Path(path).suffix == ".parquet":
            frame.to_parquet(temporary, index=False, compression="zstd")
        else:
            frame.to_csv(temporary, sep="\t", index=False, float_format="%.10g", lineterminator="\n")


def read_table(path: str | os.PathLike, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table written by `write_table`; `columns` must be there, else InputError names the file and the column.

    In a TSV only the empty field is missing: a gene named `NA` stays a name.
    """
    try:
        if Path(path).suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""])
    except ValueError as error:
        raise InputError(f"{path} is empty or damaged ({str(error).splitlines()[0]}); make it again.") from error
    missing = [column for column in columns or [] if column not in frame.columns]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}.")
    return frame
