import gzip

import pandas as pd
import pytest
from promoters.miniature import write_epd_miniature

from genovision.alphabet import reverse_complement
from genovision.errors import InputError
from genovision.promoters import epd
from genovision.promoters.genomes import contigs, read_genome
from genovision.promoters.tss import read_rows

# promoters, genes, plus-strand entries, contigs: counted in EPD's repository (file of 31 October 2025)
COUNTS = {
    "Hs_EPDnew_006_hg38": (29598, 16455, 15198, 24),
    "Rm_EPDnew_001_rheMac8": (9575, 9026, 4999, 21),
    "Mm_EPDnew_003_mm10": (25111, 20213, 12918, 21),
    "Rn_EPDnew_001_rn6": (12601, 12022, 6428, 22),
    "Cf_EPDnew_001_canFam3": (7545, 7321, 4100, 39),
    "Gg_EPDnew_001_galGal5": (6127, 5632, 3130, 33),
    "Dr_EPDnew_001_danRer7": (10728, 10235, 5351, 25),
    "Dm_EPDnew_005_dm6": (16972, 13400, 8430, 6),
    "Am_EPDnew_001_amel5": (6493, 5712, 3260, 16),
    "Ce_EPDnew_001_ce6": (7120, 6364, 3587, 6),
    "At_EPDnew_004_araTha1": (22703, 22703, 11351, 5),
    "Zm_EPDnew_001_zm3": (17081, 15828, 8680, 10),
    "Sc_EPDnew_002_sacCer3": (5117, 5117, 2556, 17),
    "Sp_EPDnew_002_spo2": (4802, 4802, 2383, 3),
    "Pf_EPDnew_001_pfa2": (5597, 4028, 2831, 14),
}
SGA = "NC_1.1\tTSS\t{position}\t{strand}\t1\tgene_1\n"


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    return write_epd_miniature(tmp_path_factory.mktemp("mini"), "M_niatura", "NC_90", seed=3)


@pytest.mark.data
@pytest.mark.parametrize("stem", COUNTS)
def test_counts_of_the_15_species_are_those_of_epdnew(epd_directory, stem):
    table = epd.tss_table(epd.read_sga(next(epd_directory.glob(f"{stem}.sga*"))))
    plus = int((table["strand"] == "+").sum())
    assert (len(table), table["gene"].nunique(), plus, table["accession"].nunique()) == COUNTS[stem]


def test_counts_add_up_to_the_187170_promoters_of_the_papers():
    assert sum(count[0] for count in COUNTS.values()) == 187_170
    assert sum(count[1] for count in COUNTS.values()) == 158_858


@pytest.mark.data
def test_a_thaliana_chromosome_1_has_6001_promoters_and_fly_chromosome_4_has_127(epd_directory):
    thaliana = epd.read_sga(next(epd_directory.glob("At_*.sga*")))
    fly = epd.read_sga(next(epd_directory.glob("Dm_*.sga*")))
    assert (thaliana["accession"] == "NC_003070.9").sum() == 6001
    assert (fly["accession"] == "NC_004353.4").sum() == 127


def test_sga_is_read_column_by_column(tmp_path):
    path = tmp_path / "a.sga"
    path.write_bytes(b"NC_1.1\tTSS\t959256\t-\t1\tNOC2L_1\r\nNC_2.1\tTSS\t1\t+\t1\tsu(w[a])_2\r\n")
    expected = pd.DataFrame(
        {
            "accession": ["NC_1.1", "NC_2.1"],
            "position": [959256, 1],
            "strand": ["-", "+"],
            "id": ["NOC2L_1", "su(w[a])_2"],
        }
    )
    pd.testing.assert_frame_equal(epd.read_sga(path), expected)
    packed = tmp_path / "a.sga.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    pd.testing.assert_frame_equal(epd.read_sga(packed), expected)
    assert epd.tss_table(expected)["gene"].tolist() == ["NOC2L", "su(w[a])"]


BAD_SGA = {
    "5 columns": ("NC_1.1\tTSS\t5\t+\tgene_1\n", "line 2 has 5 columns; SGA lines have 6"),
    "another feature": ("NC_1.1\tCDS\t5\t+\t1\tg_2\n", "line 2 has the feature 'CDS'"),
    "position 0": (SGA.format(position=0, strand="+"), "line 2 has the position '0', but positions count from 1"),
    "no number": (SGA.format(position="1e3", strand="+"), "line 2 has the position '1e3'"),
    "negative": (SGA.format(position=-4, strand="+"), "line 2 has the position '-4'"),
    "unknown strand": (SGA.format(position=5, strand="0"), "line 2 has the strand '0', which is neither"),
    "same id": (SGA.format(position=9, strand="-"), "line 2 has the id gene_1 a second time"),
    "blank line": ("\nNC_1.1\tTSS\t5\t+\t1\tgene_2\n", "line 2 has 1 columns"),
    "no id": ("NC_1.1\tTSS\t5\t+\t1\t\n", "line 2 has an empty field"),
}


@pytest.mark.parametrize("kind", BAD_SGA)
def test_a_bad_line_of_sga_is_refused_with_file_and_line(tmp_path, kind):
    line, sentence = BAD_SGA[kind]
    path = tmp_path / "bad.sga"
    path.write_text(SGA.format(position=5, strand="+") + line)
    with pytest.raises(InputError, match=sentence) as error:
        epd.read_sga(path)
    assert str(error.value).startswith(f"{path}, line 2")


@pytest.mark.parametrize("missing", [1, 8, 0.5, 0.999])
def test_an_sga_that_is_cut_short_is_refused(tmp_path, missing):
    lines = [f"NC_1.1\tTSS\t{number}\t+\t1\tgene_{number}\n" for number in range(1, 5000)]
    packed = gzip.compress("".join(lines).encode())
    path = tmp_path / "cut.sga.gz"
    path.write_bytes(packed[: len(packed) - int(missing if missing >= 1 else missing * len(packed))])
    with pytest.raises(InputError, match=r"cut\.sga\.gz, line \d+: the compressed file is cut short"):
        epd.read_sga(path)


def test_bed_of_epd_and_sga_name_the_same_bases(mini):
    """In BED the chromosomes have UCSC names; everything else must agree, also where the interval is cut at the contig's start."""
    sga, bed = epd.read_sga(mini["sga"]), epd.read_bed(mini["bed"])
    pd.testing.assert_frame_equal(bed[["position", "strand", "id"]], sga[["position", "strand", "id"]])
    assert set(bed["accession"]) == {"chr1", "chr2"}


def test_the_bed_line_of_noc2l_is_its_sga_line(tmp_path):
    """NOC2L_1 of hg38: SGA position 959256 on the minus strand, BED 959245-959305."""
    for name, line in (
        ("spaces", "chr1 959245 959305 NOC2L_1 900 - 959245 959256"),
        ("tabs", "chr1\t959245\t959305\tNOC2L_1\t900\t-\t959245\t959256"),
        ("six", "chr1\t959200\t959256\tNOC2L_1\t900\t-"),
    ):
        (tmp_path / name).write_text(f"track name=x\n{line}\n")
        assert epd.read_bed(tmp_path / name).values.tolist() == [["chr1", 959256, "-", "NOC2L_1"]]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("chr1 5 9 a_1 900", "line 1 has 5 columns"),
        ("chr1 9 5 a_1 900 +", "line 1 has no interval from 9 to 5"),
        ("chr1 5 9 a_1 900 .", "line 1 has the strand '.'"),
    ],
)
def test_a_bad_line_of_bed_is_refused_with_file_and_line(tmp_path, line, sentence):
    (tmp_path / "bad.bed").write_text(line + "\n")
    with pytest.raises(InputError, match=sentence):
        epd.read_bed(tmp_path / "bad.bed")


RECORD = """ID   {id}   preliminary; single; ART.
XX
DR   GENOME; NC_1.1; NC_1; [-33358, 196859].
DR   UCSC; sacCer3 chrI + 33358
XX
SE   {se}
XX
FP   {id}:   EU:NC_1.1       1+ 133363580;     2.
XX
//
"""


def test_dat_takes_the_position_of_the_fp_line_also_behind_a_long_id(tmp_path):
    """The DR lines count plus strands from 0; ids of 18 letters and more push the columns of FP together."""
    (tmp_path / "a.dat").write_text(RECORD.format(id="ENSCAFT00000000003_1", se="acGT"))
    table = epd.read_dat(tmp_path / "a.dat")
    assert table.columns.tolist() == ["id", "accession", "position", "strand", "se"]
    assert table.values.tolist() == [["ENSCAFT00000000003_1", "NC_1.1", 133363580, "+", "acGT"]]


def test_dat_and_sga_of_a_release_agree(mini):
    sga, dat = epd.read_sga(mini["sga"]), epd.read_dat(mini["dat"])
    columns = ["id", "accession", "position", "strand"]
    pd.testing.assert_frame_equal(dat[columns], sga[columns])
    assert (dat["se"].str.len() == 60).sum() == len(dat) - 1  # one TSS is at base 40


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("//\n", "", "line 1: the last record has no end"),
        ("SE   acGT", "SE   acGTac", "line 6: the SE of a_1 is not lower, then upper case"),
        ("FP   a_1:   EU:", "FP   a_1:   ", "line 1: the record has no id or no FP line"),
        ("ID   a_1", "GN   a_1", "line 1 should begin a record with ID"),
        ("1+ 133363580", "1+         0", "line 1 has the position '0'"),
    ],
)
def test_a_bad_record_of_dat_is_refused_with_file_and_line(tmp_path, old, new, sentence):
    text = RECORD.format(id="a_1", se="acGT")
    assert old in text
    (tmp_path / "bad.dat").write_text(text.replace(old, new))
    with pytest.raises(InputError, match=sentence):
        epd.read_dat(tmp_path / "bad.dat")


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize(
    ("se", "first", "last"),
    [
        ("a" * 49 + "C" * 11, -49, 10),
        ("a" * 49 + "C" * 2, -49, 1),  # cut after the TSS
        ("a" * 39 + "C" * 11, -39, 10),  # cut before it
        ("a" * 30, -49, -20),  # ends before the TSS: EPD cuts at the 3' end
        ("C" * 11, 0, 10),
    ],
)
def test_se_is_aligned_at_the_first_upper_case_base(se, first, last, strand):
    start, end = epd.se_bounds(se, 1001, strand)
    expected = (1000 + first, 1000 + last + 1) if strand == "+" else (1000 - last, 1000 - first + 1)
    assert (start, end) == expected


def test_se_of_the_right_genome_agrees_in_every_record(mini):
    sga = epd.read_sga(mini["sga"])
    assert epd.check_se(mini["dat"], sga, read_genome(mini["genome"])) == (len(sga), 0)


def test_records_on_other_contigs_and_empty_se_are_counted_as_not_compared(mini, tmp_path):
    sga = epd.read_sga(mini["sga"])
    lines = mini["dat"].read_text().splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if line.startswith("SE"))
    lines[first] = "SE   \n"
    (tmp_path / "a.dat").write_text("".join(lines))
    on_first = int((sga["accession"] == "NC_901.1").sum())
    one = (contig for contig in read_genome(mini["genome"]) if contig[0] == "NC_901.1")
    assert epd.check_se(tmp_path / "a.dat", sga, one) == (on_first - 1, len(sga) - on_first + 1)


def changed(mini, tmp_path, old: str, new: str):
    text = mini["dat"].read_text()
    assert old in text
    path = tmp_path / "bad.dat"
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize("record", [0, 13, 36, 59])
def test_an_se_that_disagrees_names_the_record_and_its_line(mini, tmp_path, record):
    table = epd.read_dat(mini["dat"])
    name, se = table.loc[record, ["id", "se"]]
    wrong = se[:-1] + ("A" if se[-1] != "A" else "C")
    path = changed(mini, tmp_path, se, wrong)
    line = 1 + path.read_text().splitlines().index(f"SE   {wrong}")
    with pytest.raises(InputError, match=rf"bad\.dat, line {line}: the SE of {name} is {wrong}, but the genome has"):
        epd.check_se(path, epd.read_sga(mini["sga"]), read_genome(mini["genome"]))


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_genome_shifted_by_one_base_does_not_pass(mini, shift):
    genome = [(name, letters[1:] if shift < 0 else letters[:-1]) for name, letters in read_genome(mini["genome"])]
    if shift > 0:
        genome = [(name, letters.copy()) for name, letters in genome]
        for _, letters in genome:
            letters[1:] = letters[:-1].copy()
    with pytest.raises(InputError, match="another assembly"):
        epd.check_se(mini["dat"], epd.read_sga(mini["sga"]), genome)


def test_the_other_strand_does_not_pass(mini):
    genome = list(read_genome(mini["genome"]))
    sga = epd.read_sga(mini["sga"])
    row = sga.iloc[5]
    letters = dict(genome)[row["accession"]].tobytes().decode().upper()
    start, end = epd.se_bounds("a" * 49 + "C" * 11, row["position"], row["strand"])
    se = epd.read_dat(mini["dat"])["se"].iloc[5].upper()
    here = letters[start:end]
    assert se == (here if row["strand"] == "+" else reverse_complement(here))
    assert se != (reverse_complement(here) if row["strand"] == "+" else here)


def test_dat_of_another_release_is_refused(mini):
    genome, sga = mini["genome"], epd.read_sga(mini["sga"])
    moved = sga.assign(position=sga["position"] + (sga.index == 4))
    with pytest.raises(InputError, match=rf"line \d+: {sga['id'][4]} is not at this place in the SGA file"):
        epd.check_se(mini["dat"], moved, read_genome(genome))
    more = pd.concat([sga, sga.tail(1).assign(id="extra_1")])
    with pytest.raises(InputError, match="has no record extra_1"):
        epd.check_se(mini["dat"], more, read_genome(genome))
    with pytest.raises(InputError, match=f"{sga['id'].iloc[-1]} is not at this place"):
        epd.check_se(mini["dat"], sga.iloc[:-1], read_genome(genome))


@pytest.fixture
def read_epd(mini, tmp_path, command):
    """`read_epd(sga=..., ...)`: exit code and table of the command on the miniature, or None when there is no output."""
    genome = tmp_path / "genome.fa"
    assert command("promoters/prepare_genome", "--archive", mini["genome"], "--out", genome) == 0

    def run(*options, sga=mini["sga"]):
        out = tmp_path / "out" / "epd.tsv"
        out.parent.mkdir(exist_ok=True)
        promoters = ["--sga", sga] if sga else []
        code = command("promoters/read_epd", *promoters, "--genome", genome, "--out", out, *options)
        assert [path.name for path in out.parent.iterdir()] == ([out.name] if code == 0 else [])
        return code, read_rows(out) if code == 0 else None

    return run


def test_read_epd_checks_and_writes_every_row(read_epd, mini, capsys):
    code, table = read_epd("--dat", mini["dat"])
    assert code == 0
    assert "60 records agree with the genome, 0 could not" in capsys.readouterr().err
    pd.testing.assert_frame_equal(table, epd.tss_table(epd.read_sga(mini["sga"])))


def test_a_bed_line_off_the_genome_is_named_behind_comments_too(read_epd, mini, tmp_path, capsys):
    path = tmp_path / "bad.bed"
    path.write_text("track name=x\n# y\n" + mini["bed"].read_text().replace("chr2", "chr3"))
    assert read_epd("--bed", path, "--rename", "chr1=NC_901.1", sga=None)[0] == 2
    assert f"error: {path}, line 39 is on contig chr3, which the genome lacks" in capsys.readouterr().err


def test_read_epd_reads_bed_under_other_contig_names(read_epd, mini):
    names = ["--rename", "chr1=NC_901.1", "chr2=NC_902.1"]
    _, table = read_epd("--bed", mini["bed"], *names, sga=None)
    pd.testing.assert_frame_equal(table, epd.tss_table(epd.read_sga(mini["sga"])))


def test_an_unreachable_server_gives_an_empty_table(read_epd, tmp_path):
    (tmp_path / "epd.json").write_text('{"status": "unreachable"}')
    code, table = read_epd("--receipt", tmp_path / "epd.json", sga=tmp_path / "not there")
    assert (code, len(table)) == (0, 0)
    (tmp_path / "epd.json").write_text('{"status": "retrieved"}')
    assert read_epd("--receipt", tmp_path / "epd.json")[0] == 0


def test_a_dat_file_that_was_out_of_reach_is_not_compared_but_an_empty_one_is_refused(read_epd, tmp_path, capsys):
    (tmp_path / "empty.dat").touch()
    (tmp_path / "dat.json").write_text('{"status": "unreachable"}')
    assert read_epd("--dat", tmp_path / "empty.dat", "--dat-receipt", tmp_path / "dat.json")[0] == 0
    assert "not compared" in capsys.readouterr().err
    (tmp_path / "out" / "epd.tsv").unlink()
    assert read_epd("--dat", tmp_path / "empty.dat")[0] == 2
    assert "empty.dat is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("NC_001224.1\tTSS\t5\t+\t1\tmito_1\n", "line 61 is on contig NC_001224.1, which the genome lacks"),
        ("NC_902.1\tTSS\t125001\t+\t1\tend_1\n", "line 61 has position 125001, past the end of NC_902.1 (125000 bp)"),
    ],
)
def test_a_row_that_cannot_lie_on_the_genome_stops_with_its_line(read_epd, mini, tmp_path, capsys, line, sentence):
    path = tmp_path / "bad.sga"
    path.write_text(mini["sga"].read_text() + line)
    assert read_epd(sga=path)[0] == 2
    assert f"error: {path}, {sentence}" in capsys.readouterr().err


def test_a_contig_that_is_known_to_lack_is_kept_in_the_table(read_epd, mini, tmp_path):
    path = tmp_path / "mito.sga"
    path.write_text(mini["sga"].read_text() + "NC_001224.1\tTSS\t5\t+\t1\tmito_1\n")
    code, table = read_epd("--absent", "NC_001224.1", sga=path)
    assert (code, len(table), table["id"].iloc[-1]) == (0, 61, "mito_1")


def test_a_wrong_se_stops_with_the_record_and_leaves_nothing(read_epd, mini, tmp_path, capsys):
    name, se = epd.read_dat(mini["dat"]).loc[20, ["id", "se"]]
    assert read_epd("--dat", changed(mini, tmp_path, se, "c" * 49 + "G" * 11))[0] == 2
    assert f"the SE of {name} is" in capsys.readouterr().err


@pytest.mark.data
def test_all_yeast_promoters_but_4_on_the_mitochondrion_lie_on_the_genome(
    epd_directory, yeast_genome, tmp_path, command
):
    sga = next(epd_directory.glob("Sc_*.sga*"))
    options = ["--sga", sga, "--genome", yeast_genome, "--out", tmp_path / "epd.tsv"]
    assert command("promoters/read_epd", *options) == 2
    assert command("promoters/read_epd", *options, "--absent", "NC_001224.1") == 0
    table = read_rows(tmp_path / "epd.tsv")
    assert (len(table), (table["accession"] == "NC_001224.1").sum()) == (5117, 4)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "se"),
    [
        ("YAL065C_1", "tacggtctatccaacatggaggccacagactacgaatgaagagtctgtcAGCTCTAAAAT"),
        ("BDH2_1", "tgtgtttgtggttctcttcattcttgaaccttgtcattggtaaaagaccATCGTCAAGAT"),
    ],
)
def test_se_lines_of_epd_are_the_yeast_genome(epd_directory, yeast_genome, name, se):
    """Two SE lines of Sc_EPDnew_002_sacCer3.dat, one per strand: they hold only if names, strands and offsets are right."""
    row = epd.read_sga(next(epd_directory.glob("Sc_*.sga*"))).set_index("id").loc[name]
    ((_, letters),) = contigs(yeast_genome, [row["accession"]])
    start, end = epd.se_bounds(se, row["position"], row["strand"])
    here = letters[start:end].tobytes().decode().upper()
    assert (here if row["strand"] == "+" else reverse_complement(here)) == se.upper()
