"""Transcription start sites from genome annotation: the 5' ends of protein-coding mRNAs in GFF3, GTF and GenBank.

One row per gene and position: transcripts of a gene that begin at the same base are one TSS. Taken are
    GFF3     features `mRNA`, named by their Parent, the gene
    GTF      features `transcript` whose biotype is mRNA or protein_coding
    GenBank  features `mRNA`
of genes whose stated biotype is protein_coding, and that are no pseudogene. Partial ends (`<`, `start_range`) count as they stand: in
yeast, whose annotation has no UTRs, the 5' end of an mRNA is its ATG.
The gene is called by its symbol (`gene`, `gene_name`, in a GFF3 of Ensembl `Name`), without one by its locus tag or id. Ids are
`<gene>_<k>`, k counting the TSS of that name along the contigs.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, dropwhile, islice
from typing import NamedTuple
from urllib.parse import unquote

import pandas as pd

from genovision.errors import InputError
from genovision.promoters.archives import DAMAGED, members, numbered_lines
from genovision.promoters.genomes import genbank_records
from genovision.promoters.tss import COLUMNS, check_contigs

CODING = {"mRNA", "protein_coding"}
_GTF = re.compile(r'(\w+) "([^"]*)"')


class Transcript(NamedTuple):
    """The 5' end of an mRNA; position is 1-based, `file` and `line` say where it was read."""

    gene: str
    accession: str
    position: int
    strand: str
    file: str
    line: int


class Feature(NamedTuple):
    """One line of GFF3 or GTF: 1-based closed interval, attributes decoded; `line` is its number."""

    line: int
    accession: str
    kind: str
    start: int
    end: int
    strand: str
    attributes: dict[str, str]


def _gff3_attributes(text: str) -> dict[str, str]:
    pairs = (field.partition("=") for field in text.split(";") if "=" in field)
    return {key.strip(): unquote(value) for key, _, value in pairs}


def _gtf_attributes(text: str) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for key, value in _GTF.findall(text):
        attributes.setdefault(key, value)
    return attributes


def _features(lines: Iterator[tuple[int, bytes]], label: str, kinds: set[str], attributes) -> Iterator[Feature]:
    """The features of `kinds`, up to the sequence part of a GFF3; InputError names the line of one that is malformed."""
    for number, raw in lines:
        if raw.startswith(b"##FASTA"):
            return
        if raw.startswith(b"#") or not raw.strip():
            continue
        fields = raw.decode("utf-8", "replace").rstrip("\r\n").split("\t")
        if len(fields) != 9:
            raise InputError(f"{label}, line {number} has {len(fields)} columns; GFF3 and GTF have 9, between tabs.")
        if fields[2] not in kinds:
            continue
        if not (fields[3].isdecimal() and fields[4].isdecimal() and 1 <= int(fields[3]) <= int(fields[4])):
            raise InputError(
                f"{label}, line {number} has no interval from {fields[3]} to {fields[4]}; correct the line."
            )
        if fields[6] not in ("+", "-"):
            raise InputError(f"{label}, line {number} has the strand {fields[6]!r}, which is neither + nor -.")
        yield Feature(number, fields[0], fields[2], int(fields[3]), int(fields[4]), fields[6], attributes(fields[8]))


def _end5(feature: Feature) -> int:
    return feature.start if feature.strand == "+" else feature.end


def _is_coding(gene: Mapping[str, str], transcript: Mapping[str, str], unstated: str) -> bool:
    """Do the biotypes of a gene and its transcript say protein-coding? A gene that states none is; a transcript is `unstated`."""
    of_gene = (gene[key] for key in ("gene_biotype", "gene_type", "biotype") if key in gene)
    of_transcript = (
        transcript[key] for key in ("transcript_biotype", "transcript_type", "biotype") if key in transcript
    )
    coding = next(of_gene, "protein_coding") in CODING and next(of_transcript, unstated) in CODING
    return coding and "pseudo" not in gene and "pseudo" not in transcript


def _gene_name(gene: Mapping[str, str], transcript: Mapping[str, str], default: str) -> str:
    symbols = [gene.get(key) for key in ("gene", "gene_name", "Name", "locus_tag")]
    return next(filter(None, [*symbols, transcript.get("gene"), transcript.get("locus_tag")]), default)


def _read_gff3(lines: Iterator[tuple[int, bytes]], label: str) -> Iterator[Transcript]:
    genes, transcripts = {}, []
    for feature in _features(lines, label, {"gene", "pseudogene", "mRNA"}, _gff3_attributes):
        if feature.kind != "mRNA":
            pseudo = {"pseudo": "true"} if feature.kind == "pseudogene" else {}
            genes[feature.attributes.get("ID")] = feature.attributes | pseudo
        elif "Parent" not in feature.attributes:
            raise InputError(f"{label}, line {feature.line} is an mRNA without Parent, so of no gene; add its gene.")
        else:
            transcripts.append(feature)
    for feature in transcripts:
        parent = feature.attributes["Parent"]
        gene = genes.get(parent, {})
        if _is_coding(gene, feature.attributes, unstated="mRNA"):
            name = _gene_name(gene, feature.attributes, re.sub("^gene[-:]", "", parent))
            yield Transcript(name, feature.accession, _end5(feature), feature.strand, label, feature.line)


def _read_gtf(lines: Iterator[tuple[int, bytes]], label: str) -> Iterator[Transcript]:
    genes, transcripts = {}, []
    for feature in _features(lines, label, {"gene", "transcript"}, _gtf_attributes):
        if not feature.attributes.get("gene_id"):
            raise InputError(f"{label}, line {feature.line} has no gene_id; is it GTF?")
        if feature.kind == "gene":
            genes[feature.attributes["gene_id"]] = feature.attributes
        else:
            transcripts.append(feature)
    for feature in transcripts:
        gene = genes.get(feature.attributes["gene_id"], feature.attributes)
        if _is_coding(gene, feature.attributes, unstated="unknown"):
            name = _gene_name(gene, feature.attributes, feature.attributes["gene_id"])
            yield Transcript(name, feature.accession, _end5(feature), feature.strand, label, feature.line)


def _read_genbank(stream, label: str) -> Iterator[Transcript]:
    """The `line` of a transcript is that of its record's LOCUS."""
    for line, record in genbank_records(stream, label, features=True):
        for feature in record.features:
            if feature.type != "mRNA" or {"pseudo", "pseudogene"} & feature.qualifiers.keys():
                continue
            names = (feature.qualifiers.get(key) for key in ("gene", "locus_tag"))
            name = next((values[0] for values in names if values), None)
            if name is None:
                place = f"{record.id}:{int(feature.location.start) + 1}..{int(feature.location.end)}"
                raise InputError(
                    f"{label}, line {line}: the mRNA at {place} has neither gene nor locus_tag; name its gene."
                )
            minus = feature.location.strand == -1
            position = int(feature.location.end) if minus else int(feature.location.start) + 1
            yield Transcript(name, record.id, position, "-" if minus else "+", label, line)


def _transcripts(path, member: str | None) -> Iterator[Transcript]:
    """mRNAs of GenBank (it begins with L), GTF or GFF3 (`key "value"` or `key=value` in the first line that has a column 9)."""
    for label, stream in members(path, member):
        try:
            first = stream.peek(1)[:1]
        except DAMAGED:
            first = b""
        if first == b"L":
            yield from _read_genbank(stream, label)
            continue
        lines = numbered_lines(stream, label)
        rest = dropwhile(lambda numbered: numbered[1].startswith(b"#") or not numbered[1].strip(), lines)
        head = list(islice(rest, 1))
        if not head:
            raise InputError(f"{label} is empty; fetch it again.")
        last_column = head[0][1].decode("utf-8", "replace").split("\t")[-1]
        yield from (_read_gtf if _GTF.search(last_column) else _read_gff3)(chain(head, rest), label)


def read_annotation(
    path: str | os.PathLike,
    lengths: Mapping[str, int],
    member: str | None = None,
    names: Mapping[str, str] | None = None,
    absent: Sequence[str] = (),
) -> pd.DataFrame:
    """TSS table (columns of `tss.COLUMNS`, tss_source `annotation`) of an annotation file, sorted by contig and position.

    path, member: GFF3, GTF or GenBank, told apart by their content; plain, gzip or in a zip, see `archives.members`
    lengths:      contig -> length of the genome, in its order, under the names after renaming
    names:        contig renamings, old -> new
    absent:       contigs the genome is known to lack; their rows stay in the table

    Raises InputError with file and line for an mRNA without Parent, a malformed line, a position past its contig's end, a contig
    the genome lacks; and for a file without any protein-coding mRNA.
    """
    found = pd.DataFrame(_transcripts(path, member), columns=Transcript._fields)
    if found.empty:
        raise InputError(f"{path} has no protein-coding mRNA; give another annotation.")
    found["accession"] = found["accession"].map(lambda name: (names or {}).get(name, name))
    for file, rows in found.groupby("file", sort=False):
        check_contigs(rows, lengths, absent, file, rows["line"].tolist())
    order = {name: place for place, name in enumerate(lengths)}
    found["place"] = found["accession"].map(order).fillna(len(order)).astype(int)
    key = ["accession", "position", "strand", "gene"]
    found = found.sort_values(["place", *key]).drop_duplicates(key)
    number = (found.groupby("gene").cumcount() + 1).astype(str)
    found = found.assign(id=found["gene"] + "_" + number, tss_source="annotation")
    text = [column for column in COLUMNS if column != "position"]
    return found[COLUMNS].astype(dict.fromkeys(text, "str") | {"position": "int64"}).reset_index(drop=True)
