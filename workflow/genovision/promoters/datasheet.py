"""The data sheet of the promoter data set (after Gebru et al. 2021): what is in it, what is not, and where it comes from."""

from collections.abc import Iterable, Sequence

import pandas as pd

from genovision.promoters.dataset import REASONS
from genovision.promoters.dataset import counts as count
from genovision.promoters.split import FOLDS
from genovision.promoters.windows import NO_CONTIG

SOURCES = ["source", "file", "version", "state", "sha256", "licence"]

_INTRODUCTION = """# Data sheet: promoter windows

Windows of genomic DNA around transcription start sites (TSS), cut from reference genomes. A window of length L is read 5' to 3'
on the gene's strand, in upper case, with the TSS at index L // 2.
"""

_SPLIT = """## Split

A cluster of windows that overlap at the largest length, on either strand, is never divided; clusters go to train, validation
and test by chromosome, by block or one by one. No two windows of different folds share a base, and no sequence comes twice.
Similarity beyond that, such as gene families and orthologous promoters of related species, is not looked for unless the
configuration groups the species. The fold of every row is in the column `fold`.
"""

_AUTHORS = """## Split

This is the authors' release, which has no coordinates: the fold goes by a hash of the sequence. No sequence comes twice, but
windows that overlap may lie in different folds.
"""

_DROPS = """Every row of the TSS table is kept or dropped for one reason. *Duplicate*: the same sequence earlier in the species; the
first by contig and position is kept. *Conflict between species*: the same sequence in two species; all are dropped. *N* and
*ambiguous base*: a letter other than A, C, G, T in the window.
"""


def markdown_table(frame: pd.DataFrame) -> str:
    """A pipe table: numbers to the right, integers with thousands separators, other numbers with three decimals."""
    numeric = [pd.api.types.is_numeric_dtype(frame[column]) for column in frame]

    def cell(value) -> str:
        if pd.isna(value):
            return ""
        if isinstance(value, float):
            return f"{value:.3f}"
        return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")

    lines = [
        "| " + " | ".join(frame.columns) + " |",
        "|" + "|".join("--:" if right else "--" for right in numeric) + "|",
    ]
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in frame.astype(object).itertuples(index=False)]
    return "\n".join(lines)


def gc_content(data: pd.DataFrame) -> pd.DataFrame:
    """Share of G and C by species and fold, and over all folds: columns species, the folds, all."""
    bases = data["sequence"].str.len()
    strong = data["sequence"].str.count("[GC]")
    table = data[["species", "fold"]].assign(bases=bases, strong=strong)
    by_fold = table.groupby(["species", "fold"], sort=False)[["strong", "bases"]].sum()
    share = (by_fold["strong"] / by_fold["bases"]).unstack().reindex(columns=list(FOLDS))
    total = table.groupby("species", sort=False)[["strong", "bases"]].sum()
    share = share.reindex(total.index)
    return share.assign(all=total["strong"] / total["bases"]).reset_index()


def _length_section(data: pd.DataFrame, dropped: pd.DataFrame) -> str:
    length = len(data["sequence"].iloc[0])
    table = count(data, dropped, length)
    used = [reason for reason in REASONS if table[reason].any()]
    total = table.drop(columns=["species", "tss_source"]).sum().to_dict() | {"species": "all", "tss_source": ""}
    table = pd.concat([table, pd.DataFrame([total])], ignore_index=True)
    return "\n\n".join(
        [
            f"## Windows of {length:,} bp",
            markdown_table(table[["species", "tss_source", "rows", "kept", *FOLDS]]),
            "Dropped rows:",
            markdown_table(table[["species", *used]]) if used else "none.",
            "GC content:",
            markdown_table(gc_content(data)),
        ]
    )


def _split_section(data: pd.DataFrame, split: pd.DataFrame | None) -> str:
    if set(data["tss_source"]) == {"author"}:
        return _AUTHORS.strip()
    if split is None:
        return _SPLIT.strip()
    promoters = split.groupby(["species", "fold"], sort=False).size().unstack(fill_value=0)
    promoters = promoters.reindex(index=split["species"].unique(), columns=list(FOLDS), fill_value=0)
    promoters["units"] = split.groupby("species", sort=False)["unit"].nunique()
    promoters["for example"] = split.groupby("species", sort=False)["unit"].first()
    table = markdown_table(promoters.rename_axis("species").reset_index())
    return f"{_SPLIT.strip()}\n\nPromoters before duplicates are taken out, and the units they come in:\n\n{table}"


def _tss_section(table: pd.DataFrame, warnings: Iterable[str], comparison: pd.DataFrame) -> str:
    on_genome = (table["rows"] - table[NO_CONTIG]).rename("TSS on the genome")
    parts = [
        "## Transcription start sites",
        "`epd`: promoters of EPDnew. `annotation`: 5' ends of protein-coding mRNAs of the genome annotation, one per gene and "
        "position. The two are never mixed within a species.",
        markdown_table(pd.concat([table[["species", "tss_source"]], on_genome], axis=1)),
    ]
    parts += [f"**Warning.** {text}" for text in warnings]
    if len(comparison):
        parts += [
            "Nearest annotated 5' end of each EPDnew TSS, on the same strand (distance in bp, negative = upstream):"
        ]
        parts += [markdown_table(comparison)]
    return "\n\n".join(parts)


def _sources_section(sources: pd.DataFrame) -> str:
    shown = sources.assign(sha256=sources["sha256"].map(lambda digest: f"`{digest[:12]}`" if digest else ""))
    return "\n\n".join(
        [
            "## Sources and licences",
            "Of each sha256 the first twelve digits. `checked`: it is the one expected; `recorded`: none was known beforehand; "
            "`unreachable`: the file could not be had and was not used.",
            markdown_table(shown[SOURCES]),
        ]
    )


def write(
    datasets: Sequence[pd.DataFrame],
    dropped: Sequence[pd.DataFrame],
    sources: pd.DataFrame,
    warnings: Iterable[str] = (),
    comparison: pd.DataFrame | None = None,
    split: pd.DataFrame | None = None,
) -> str:
    """The data sheet in Markdown; the same tables give the same text.

    datasets, dropped: of `dataset.build_dataset` (or `authors.read_author_csv`), one pair per length
    sources:           one row per file that was used, columns `SOURCES`; state is checked, recorded or unreachable
    warnings:          texts of `tss.choose`
    comparison:        rows of `comparison.compare`
    split:             of `split.split_windows`, for its units
    """
    first = count(datasets[0], dropped[0], len(datasets[0]["sequence"].iloc[0]))
    parts = [_INTRODUCTION.strip()]
    parts += [_length_section(*pair) for pair in zip(datasets, dropped, strict=True)]
    parts += [_DROPS.strip(), _split_section(datasets[0], split)]
    parts += [_tss_section(first, warnings, pd.DataFrame() if comparison is None else comparison)]
    parts += [_sources_section(sources)]
    return "\n\n".join(parts) + "\n"
