import gzip
import os
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genovision.alphabet import reverse_complement
from genovision.promoters import epd
from genovision.promoters.genomes import contigs, read_lengths, write_genome
from genovision.promoters.intervals import clipped_windows
from genovision.promoters.tss import read_rows
from genovision.promoters.windows import bounds, extract
from genovision.tables import read_table


def sites(*rows: tuple[str, int, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["accession", "position", "strand"])


def slow_window(genome: dict[str, str], accession: str, position: int, strand: str, length: int) -> tuple[str, str]:
    """(sequence, reason) by walking base by base from the TSS along the gene's strand."""
    if accession not in genome:
        return "", "contig not in the genome"
    contig, step = genome[accession].upper(), 1 if strand == "+" else -1
    places = [position - 1 + step * (k - length // 2) for k in range(length)]
    if min(places) < 0 or max(places) >= len(contig):
        return "", "off the contig"
    bases = [contig[place] if strand == "+" else reverse_complement(contig[place]) for place in places]
    window = "".join(bases)
    return window, "N" if "N" in window else "ambiguous base" if set(window) - set("ACGT") else ""


@pytest.mark.parametrize(
    ("length", "plus", "minus"),
    [(4, "AACG", "TACG"), (5, "AACGT", "TACGT"), (1, "C", "C"), (2, "AC", "AC")],
)
def test_the_tss_is_at_index_half_the_length_on_both_strands(fasta, length, plus, minus):
    """Written out: in ttAACGTAtt the C is base 5 of the plus strand; the C of the minus strand pairs with the G, base 6."""
    path = fasta({"c": "ttAACGTAtt"})
    kept, dropped = extract(path, sites(("c", 5, "+"), ("c", 6, "-")), length)
    assert kept["sequence"].tolist() == [plus, minus]
    assert dropped.empty
    assert {window[length // 2] for window in kept["sequence"]} == {"C"}


GENOMES = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.text("ACGTacgtNnRy", min_size=1, max_size=60), min_size=1
)
SITES = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", "z"]), st.integers(1, 70), st.sampled_from("+-")), max_size=12
)


@settings(deadline=None)
@given(
    GENOMES, SITES, st.integers(1, 12), st.sampled_from(["plain", "indexed", "gzip"]), st.sampled_from(["drop", "keep"])
)
def test_every_row_is_cut_or_dropped_as_a_walk_along_the_strand_says(
    tmp_path_factory, genome, rows, length, kind, ambiguous
):
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    write_genome(((name, np.frombuffer(letters.encode(), np.uint8)) for name, letters in genome.items()), path)
    if kind != "indexed":
        os.unlink(f"{path}.fai")
    if kind == "gzip":
        path.with_suffix(".gz").write_bytes(gzip.compress(path.read_bytes()))
        path = path.with_suffix(".gz")
    tss = sites(*rows).assign(other=np.arange(len(rows))).set_index(np.arange(len(rows)) * 10 + 3)
    kept, dropped = extract(path, tss, length, ambiguous)
    expected = [slow_window(genome, *row, length) for row in rows]
    keeps = ("", "ambiguous base") if ambiguous == "keep" else ("",)
    assert kept["sequence"].tolist() == [window for window, reason in expected if reason in keeps]
    assert dropped["reason"].tolist() == [reason for _, reason in expected if reason not in keeps]
    both = pd.concat([kept.drop(columns="sequence"), dropped.drop(columns="reason")]).sort_index()
    pd.testing.assert_frame_equal(both, tss)
    assert kept.index.is_monotonic_increasing
    assert dropped.index.is_monotonic_increasing


def test_iupac_codes_are_complemented_on_the_minus_strand(fasta):
    kept, _ = extract(fasta({"c": "RYSWKMBDHVr"}), sites(("c", 6, "-")), 11, ambiguous="keep")
    assert kept["sequence"].tolist() == ["YBDHVKMWSRY"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("change", [str.upper, str.lower, str.swapcase])
def test_case_and_line_ends_do_not_matter(fasta, end, change):
    genome = {"a": "ACGTTGCAACcaggt" * 4, "b": "GATTACAgattaca"}
    tss = sites(("a", 30, "+"), ("b", 7, "-"), ("a", 20, "-"))
    expected, _ = extract(fasta(genome), tss, 8)
    path = fasta({name: change(sequence) for name, sequence in genome.items()}, name="other.fa", end=end)
    pd.testing.assert_frame_equal(extract(path, tss, 8)[0], expected)


def test_every_reason_is_given_and_the_first_that_holds_counts(fasta):
    genome = {"a": "ACGTACGTAC" + "R" + "ACGTACGTACGT" + "N" + "ACGTRACGT"}
    tss = sites(
        ("a", 1, "+"), ("a", 11, "+"), ("a", 24, "-"), ("a", 27, "+"), ("z", 5, "+"), ("a", 6, "-"), ("a", 99, "+")
    )
    kept, dropped = extract(fasta(genome), tss, 8)
    assert kept.index.tolist() == [5]
    assert dropped["reason"].to_dict() == {
        0: "off the contig",
        1: "ambiguous base",
        2: "N",
        3: "N",  # and an ambiguous base
        4: "contig not in the genome",
        6: "off the contig",
    }


@pytest.mark.parametrize("length", [1, 2, 7, 8, 256])
def test_bounds_are_those_of_bedtools_slop(length):
    """Away from the ends the numpy windows are the stranded slop of bedtools; at the ends it clips and we drop."""
    rng = np.random.default_rng(0)
    names, strands = rng.choice(["a", "b"], 200), rng.choice(["+", "-"], 200)
    tss = pd.DataFrame({"accession": names, "position": rng.integers(1, 2001, 200), "strand": strands})
    start, end = bounds(tss["position"], tss["strand"], length)
    clipped = clipped_windows(tss, {"a": 2000, "b": 2000}, length)
    np.testing.assert_array_equal(clipped["start"], np.maximum(start, 0))
    np.testing.assert_array_equal(clipped["end"], np.minimum(end, 2000))


def test_a_sequence_is_its_own_strand_twice(fasta):
    """A window cut on one strand is the reverse complement of the window at the mirrored TSS on the other."""
    rng = np.random.default_rng(1)
    letters = "".join(rng.choice(list("ACGT"), 500))
    tss = sites(*(("c", int(p), s) for p, s in zip(rng.integers(50, 450, 40), rng.choice(["+", "-"], 40), strict=True)))
    mirrored = tss.assign(position=501 - tss["position"], strand=tss["strand"].map({"+": "-", "-": "+"}))
    here, _ = extract(fasta({"c": letters}), tss, 30)
    there, _ = extract(fasta({"c": reverse_complement(letters)}, name="other.fa"), mirrored, 30)
    assert here["sequence"].tolist() == there["sequence"].tolist()


def test_arguments_out_of_range_are_refused(fasta):
    path, tss = fasta({"c": "ACGT"}), sites(("c", 1, "+"))
    for arguments in ((tss, 0), (tss, 2, "maybe"), (tss.assign(strand="."), 2)):
        with pytest.raises(ValueError, match=r"length|strand"):
            extract(path, *arguments)


def test_an_empty_table_gives_empty_tables(fasta):
    kept, dropped = extract(fasta({"c": "ACGT"}), sites(("c", 1, "+")).iloc[:0], 2)
    assert (len(kept), len(dropped)) == (0, 0)
    assert "sequence" in kept
    assert "reason" in dropped


def test_a_folder_without_write_permission_is_as_good_as_any(fasta, tmp_path):
    """For root permissions do not bind, so an index is also made impossible by a folder of its name."""
    path, tss = fasta({"c": "ACGTACGT"}), sites(("c", 4, "+"))
    (tmp_path / "genome.fa.fai").mkdir()
    assert extract(path, tss, 4)[0]["sequence"].tolist() == ["CGTA"]
    (tmp_path / "genome.fa.fai").rmdir()
    tmp_path.chmod(0o555)
    try:
        assert extract(path, tss, 4)[0]["sequence"].tolist() == ["CGTA"]
    finally:
        tmp_path.chmod(0o755)
    assert sorted(tmp_path.iterdir()) == [path]


def test_cut_windows_writes_the_tables_of_the_flow(fasta, tmp_path, command):
    path = fasta({"NC_1.1": "ACGTTGCAAC" * 4})
    tss = pd.DataFrame(
        [["NA_1", "NC_1.1", 20, "-", "epd", "NA"], ["007_1", "NC_1.1", 2, "+", "epd", "007"]],
        columns=["id", "accession", "position", "strand", "tss_source", "gene"],
    )
    tss.to_csv(tmp_path / "tss.tsv", sep="\t", index=False)
    out, dropped = tmp_path / "windows.parquet", tmp_path / "dropped.tsv"
    options = ["--genome", path, "--tss", tmp_path / "tss.tsv", "--species", "T_esta", "--length", 8]
    assert command("promoters/cut_windows", *options, "--out", out, "--dropped", dropped) == 0
    columns = ["id", "species", "accession", "position", "strand", "tss_source", "gene"]
    kept = read_table(out)
    assert kept.columns.tolist() == [*columns, "sequence"]
    assert kept.values.tolist() == [["NA_1", "T_esta", "NC_1.1", 20, "-", "epd", "NA", "ACGTGTTG"]]
    assert read_rows(dropped, columns).values.tolist() == [
        ["007_1", "T_esta", "NC_1.1", 2, "+", "epd", "007", "off the contig"]
    ]


@pytest.mark.parametrize("text", ["", ">c\nACGTJ\n", "ACGT\n"])
def test_a_genome_that_cannot_be_read_leaves_no_output(tmp_path, command, text):
    (tmp_path / "genome.fa").write_text(text)
    (tmp_path / "tss.tsv").write_text("id\taccession\tposition\tstrand\ttss_source\tgene\na_1\tc\t2\t+\tepd\ta\n")
    out, dropped = tmp_path / "windows.parquet", tmp_path / "dropped.tsv"
    options = ["--genome", tmp_path / "genome.fa", "--tss", tmp_path / "tss.tsv", "--species", "s", "--length", 2]
    assert command("promoters/cut_windows", *options, "--out", out, "--dropped", dropped) == 2
    assert not out.exists()
    assert not dropped.exists()


# species, window length -> kept, dropped by reason
REAL = {
    ("yeast", 256): (5113, {"contig not in the genome": 4}),
    ("yeast", 2048): (5113, {"contig not in the genome": 4}),
    ("thaliana", 256): (6000, {"contig not in the genome": 16702, "N": 1}),
    ("thaliana", 2048): (5999, {"contig not in the genome": 16702, "N": 2}),
    ("fly", 256): (127, {"contig not in the genome": 16845}),
    ("fly", 2048): (127, {"contig not in the genome": 16845}),
}
STEM = {"yeast": "Sc", "thaliana": "At", "fly": "Dm"}


@pytest.mark.data
@pytest.mark.parametrize(("name", "length"), REAL)
def test_every_epdnew_promoter_on_a_real_genome_is_accounted_for(request, epd_directory, name, length):
    genome = request.getfixturevalue(f"{name}_genome")
    tss = epd.read_sga(next(epd_directory.glob(f"{STEM[name]}_*.sga*")))
    kept, dropped = extract(genome, tss, length)
    assert (len(kept), dropped["reason"].value_counts().to_dict()) == REAL[name, length]
    assert set(kept["sequence"].str.len()) == {length}
    inner = kept["sequence"].str.slice(length // 2 - 128, length // 2 + 128)
    shorter, _ = extract(genome, tss, 256)
    pd.testing.assert_series_equal(inner, shorter.loc[inner.index, "sequence"])


@pytest.mark.data
def test_real_windows_with_iupac_codes_are_those_of_a_walk_along_the_strand(thaliana_genome):
    """A. thaliana's chromosome 1 has 401 of them, most beside an N; on both strands."""
    ((name, letters),) = contigs(thaliana_genome)
    genome = {name: letters.tobytes().decode()}
    odd = np.flatnonzero(~np.isin(letters & 0xDF, list(b"ACGTN")))
    tss = sites(*((name, int(place) + 40, strand) for place in odd[::9] for strand in "+-"))
    kept, _ = extract(thaliana_genome, tss, 256, ambiguous="keep")
    expected = [slow_window(genome, *row, 256) for row in tss.itertuples(index=False, name=None)]
    assert kept["sequence"].tolist() == [window for window, reason in expected if reason == "ambiguous base"]
    assert len(odd) == 401
    assert len(kept) >= 4


@pytest.mark.data
def test_windows_of_yeast_are_those_of_bedtools_getfasta(epd_directory, yeast_genome, tmp_path):
    tss = epd.read_sga(next(epd_directory.glob("Sc_*.sga*")))
    tss = tss[tss["accession"].isin(list(read_lengths(f"{yeast_genome}.fai")))]
    kept, _ = extract(yeast_genome, tss, 2048)
    start, end = bounds(tss["position"], tss["strand"], 2048)
    bed = pd.DataFrame({"c": tss["accession"], "s": start, "e": end, "n": ".", "x": 0, "strand": tss["strand"]})
    bed.to_csv(tmp_path / "windows.bed", sep="\t", header=False, index=False)
    command = ["bedtools", "getfasta", "-s", "-tab", "-fi", yeast_genome, "-bed", tmp_path / "windows.bed"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert kept["sequence"].tolist() == [line.split("\t")[1].upper() for line in lines]
