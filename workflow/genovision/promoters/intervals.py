"""Interval work through bedtools (Quinlan & Hall 2010): windows clipped at contig ends, clusters of overlaps, nearest neighbours.

Intervals are 0-based half-open. bedtools gets rows sorted by the bytes of the contig's name, so no result depends on the locale; its
temporary files live in a folder of their own that is gone afterwards.
"""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pybedtools

from genovision.errors import InputError

BED = ["chrom", "start", "end", "name", "score", "strand"]


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder that pybedtools uses meanwhile; removed at the end with all in it, whatever happens."""
    if shutil.which("bedtools") is None:
        raise InputError("bedtools is not on PATH; install it (`apt-get install bedtools`, or bioconda's package).")
    before = pybedtools.get_tempdir()
    with tempfile.TemporaryDirectory(prefix="intervals-") as folder:
        pybedtools.set_tempdir(folder)
        try:
            yield Path(folder)
        finally:
            pybedtools.set_tempdir(before)


def _sites(tss: pd.DataFrame, path: Path) -> pybedtools.BedTool:
    """The TSS as one-base intervals, each named by its row number in `tss`, sorted as bedtools wants them."""
    bed = pd.DataFrame({"chrom": tss["accession"].to_numpy(dtype=object), "start": tss["position"].to_numpy() - 1})
    bed = bed.assign(
        end=bed["start"] + 1, name=np.arange(len(bed)), score=0, strand=tss["strand"].to_numpy(dtype=object)
    )
    bed.sort_values(["chrom", "start", "name"]).to_csv(path, sep="\t", header=False, index=False)
    return pybedtools.BedTool(str(path))


def _rows(result: pybedtools.BedTool, columns: list[str]) -> pd.DataFrame:
    return pd.read_csv(result.fn, sep="\t", header=None, names=columns, dtype={0: str}, keep_default_na=False)


def _slopped(tss: pd.DataFrame, lengths: Mapping[str, int], length: int, folder: Path) -> pybedtools.BedTool:
    genome = folder / "genome"
    genome.write_text("".join(f"{name}\t{size}\n" for name, size in lengths.items()))
    before = length // 2
    return _sites(tss, folder / "tss.bed").slop(g=str(genome), s=True, l=before, r=length - 1 - before)


def clipped_windows(tss: pd.DataFrame, lengths: Mapping[str, int], length: int) -> pd.DataFrame:
    """`start, end` of the window of each TSS, clipped to its contig; index and order of `tss`.

    tss: `accession, position, strand`, all on contigs of `lengths`. Windows as in `windows.bounds`.
    """
    if not len(tss):
        return pd.DataFrame({"start": [], "end": []}, dtype="int64", index=tss.index)
    with _folder() as folder:
        found = _rows(_slopped(tss, lengths, length, folder), BED).set_index("name").sort_index()
    return found[["start", "end"]].astype("int64").set_axis(tss.index)


def clusters(tss: pd.DataFrame, lengths: Mapping[str, int], length: int) -> pd.DataFrame:
    """The cluster of overlapping windows each TSS belongs to: `start, end` of the cluster; index and order of `tss`.

    Two windows overlap when they share a base, whatever their strands; a cluster is what overlaps join, directly or through
    others. Windows of different clusters share no base. Windows are clipped to the contig. Arguments as in `clipped_windows`.
    """
    if not len(tss):
        return pd.DataFrame({"start": [], "end": []}, dtype="int64", index=tss.index)
    with _folder() as folder:
        # d=-1: windows that only touch (book-ended) share no base
        joined = _slopped(tss, lengths, length, folder).sort().cluster(d=-1)
        found = _rows(joined, [*BED, "cluster"]).sort_values("name")
    extent = found.groupby("cluster").agg(start=("start", "min"), end=("end", "max"))
    return extent.loc[found["cluster"]].astype("int64").set_axis(tss.index)


def nearest(tss: pd.DataFrame, others: pd.DataFrame) -> pd.Series:
    """Signed distance from each TSS to the nearest of `others` on the same contig and strand, in bases; index of `tss`.

    Negative: the other lies upstream (5' of the TSS on its strand); 0: the same base; NaN: there is none on that contig and
    strand. Of two at the same distance the upstream one counts. Both tables have `accession, position, strand`.
    """
    if not (len(tss) and len(others)):
        return pd.Series(np.nan, index=tss.index)
    with _folder() as folder:
        pairs = _sites(tss, folder / "a.bed").closest(_sites(others, folder / "b.bed").fn, s=True, D="a", t="all")
        found = _rows(pairs, [*BED, *(f"other {column}" for column in BED), "distance"])
    found = found[found["other start"] >= 0]
    distance = found.groupby("name")["distance"].min()
    return distance.reindex(range(len(tss))).astype("float64").set_axis(tss.index)
