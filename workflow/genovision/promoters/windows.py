"""Promoter windows: fixed-length sequences around transcription start sites, read 5' to 3' on the gene's strand."""

import os

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from genovision.alphabet import BASES, COMPLEMENT
from genovision.promoters.genomes import contigs

NO_CONTIG = "contig not in the genome"
OFF_CONTIG = "off the contig"
UNKNOWN = "N"
AMBIGUOUS = "ambiguous base"

_UPPER = 0xDF  # clears the bit that makes an ASCII letter lower case
_IS_BASE = np.zeros(256, dtype=bool)
_IS_BASE[list(BASES.encode("ascii"))] = True


def bounds(position: npt.ArrayLike, strand: npt.ArrayLike, length: int) -> tuple[npt.NDArray, npt.NDArray]:
    """0-based half-open [start, end) of the windows, shapes (n,); not clipped, so a start may be negative.

    position: 1-based TSS, shape (n,). strand: `+` or `-`, shape (n,). With h = length // 2 the window has h bases upstream of the
    TSS and length - h - 1 downstream of it, so the TSS is at index h on either strand: even lengths have one base less
    downstream than upstream, odd lengths as many.
    """
    tss = np.asarray(position, dtype=np.int64) - 1
    before = length // 2
    start = tss - np.where(np.asarray(strand) == "-", length - 1 - before, before)
    return start, start + length


def _touches(mask: npt.NDArray[np.bool_], start: npt.NDArray, length: int) -> npt.NDArray[np.bool_]:
    """Does [start, start + length) hold a True of `mask`? By its runs, of which there are few; shape of `start`."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    begin, end = edges[0::2], edges[1::2]
    return np.searchsorted(end, start, "right") < np.searchsorted(begin, start + length, "left")


def _gather(
    letters: npt.NDArray[np.uint8], start: npt.NDArray, minus: npt.NDArray[np.bool_], length: int
) -> npt.NDArray:
    """The windows at `start`, those of `minus` reverse-complemented: shape (n,), each element `length` raw bytes.

    One element of a view with a stride of one byte is one window, so the gather copies windows, not letters.
    """
    every = np.ndarray((letters.size - length + 1,), dtype=f"V{length}", buffer=letters, strides=(1,))
    windows = every[start]
    if minus.any():
        # turning all bytes round at once turns the order of the windows round too, which [::-1] undoes
        turned = windows[minus].tobytes().translate(COMPLEMENT.tobytes())[::-1]
        windows[minus] = np.frombuffer(turned, dtype=windows.dtype)[::-1]
    return windows


def _strings(windows: npt.NDArray, length: int, index: pd.Index) -> pd.Series:
    """Windows of `length` ASCII bytes -> a text column; the bytes become the column's buffer, no string is made."""
    ends = np.arange(windows.size + 1, dtype=np.int64) * length
    buffers = [pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(windows).view(np.uint8))]
    return pd.Series(pa.LargeStringArray.from_buffers(windows.size, *buffers), index=index, dtype="str")


def _fate(letters: npt.NDArray[np.uint8], start: npt.NDArray, length: int, ambiguous: str) -> npt.NDArray:
    """Why each window of one contig is dropped, `""` for those that are kept; shape of `start`."""
    fate = np.full(start.size, "", dtype=object)
    if ambiguous == "drop":
        fate[_touches(~_IS_BASE[letters], start, length)] = AMBIGUOUS
    fate[_touches(letters == ord("N"), start, length)] = UNKNOWN
    fate[(start < 0) | (start + length > letters.size)] = OFF_CONTIG
    return fate


def extract(
    fasta: str | os.PathLike, tss: pd.DataFrame, length: int, ambiguous: str = "drop"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cut the window of every TSS out of a genome: (kept, dropped), together the rows of `tss`, each in its order.

    fasta:  FASTA, plain, gzip or bgzip; a .fai beside it is used when it is up to date, none is written
    tss:    has `accession` (the contig's name), `position` (1-based) and `strand` (`+` or `-`); every column and the
            index are carried through
    length: of a window; the TSS is at index length // 2, see `bounds` for even and odd
    kept:   `tss` and `sequence`, `length` upper-case bases, 5' to 3' on the gene's strand, IUPAC codes complemented
    dropped: `tss` and `reason`, the first that holds of "contig not in the genome", "off the contig", "N" and "ambiguous base"
            (a letter other than A, C, G, T, N; ambiguous="keep" keeps these windows)

    Memory is bounded by the longest contig and the windows. Raises InputError for a FASTA that cannot be read, ValueError
    for a length below 1, another strand or another value of `ambiguous`.
    """
    if length < 1 or ambiguous not in ("drop", "keep"):
        raise ValueError(f"length must be positive and ambiguous drop or keep, not {length} and {ambiguous!r}")
    if not tss["strand"].isin(["+", "-"]).all():
        raise ValueError("a strand is + or -")
    start, _ = bounds(tss["position"], tss["strand"], length)
    minus = (tss["strand"] == "-").to_numpy(dtype=bool)
    fate = np.full(len(tss), NO_CONTIG, dtype=object)
    rows, windows = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=f"V{length}")]
    rows_of = {name: np.sort(found) for name, found in tss.groupby("accession", sort=False).indices.items()}
    for name, letters in contigs(fasta, rows_of):
        letters = letters & _UPPER
        here = rows_of[name]
        fate[here] = _fate(letters, start[here], length, ambiguous)
        here = here[fate[here] == ""]
        if here.size:
            rows.append(here)
            windows.append(_gather(letters, start[here], minus[here], length))
    row = np.concatenate(rows)
    cut = windows[1] if len(windows) == 2 else np.concatenate(windows)[np.argsort(row)]
    kept, dropped = tss.iloc[np.sort(row)].copy(), tss.iloc[np.flatnonzero(fate != "")].copy()
    kept["sequence"] = _strings(cut, length, kept.index)
    dropped["reason"] = pd.Series(fate[fate != ""], index=dropped.index, dtype="str")
    return kept, dropped
