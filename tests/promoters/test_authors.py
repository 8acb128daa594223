import gzip
import hashlib

import pytest

from genovision.errors import InputError
from genovision.promoters.authors import read_author_csv, species_code
from genovision.promoters.dataset import COLUMNS, COUNTS, ROW
from genovision.tables import read_table

HUMAN, RAT, YEAST = "Homo sapiens (Human).", "Rattus Norvegicus (rat).", "Saccharomyces cerevisiae (baking yeast)."
ROWS = [
    ("ACGTACGT", HUMAN),
    ("acgtacgg", HUMAN),
    ("ACGTACGT", HUMAN),  # duplicate of row 1
    ("ACGTACG", RAT),  # short
    ("ACGTNCGT", RAT),
    ("ACGTRCGT", RAT),
    ("CCCCCCCC", RAT),
    ("CCCCCCCC", YEAST),  # in two species
    ("GGGGGGGG", YEAST),
]


def write(path, rows=ROWS, header=",Sequence,class,species"):
    lines = [header, *(f'{number},{sequence},x,"{species}"' for number, (sequence, species) in enumerate(rows))]
    path.write_text("\n".join(lines) + "\n")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("label", "code"),
    [
        (HUMAN, "H_sapiens"),
        (RAT, "R_norvegicus"),
        ("Macaca mulatta (rhesus macaque).", "M_mulatta"),
        ("Plasmodium falciparum 3D7.", "P_falciparum"),
        ("Caenorhabditis elegans.", "C_elegans"),
        ("Canis familiaris (dog).", "C_familiaris"),
    ],
)
def test_species_labels_are_the_os_lines_of_epd(label, code):
    assert species_code(label) == code


def test_the_authors_csv_gives_a_data_set_with_every_row_accounted_for(tmp_path):
    data, dropped, counts = read_author_csv(*write(tmp_path / "sequence.csv"), length=8)
    assert data.columns.tolist() == COLUMNS
    assert dropped.columns.tolist() == [*ROW, "reason"]
    assert counts.columns.tolist() == COUNTS
    assert data["id"].tolist() == ["row_1", "row_2", "row_9"]
    assert data["sequence"].tolist() == ["ACGTACGT", "ACGTACGG", "GGGGGGGG"]
    assert set(data["tss_source"]) == {"author"}
    assert dropped.set_index("id")["reason"].to_dict() == {
        "row_3": "duplicate",
        "row_4": "off the contig",
        "row_5": "N",
        "row_6": "ambiguous base",
        "row_7": "conflict between species",
        "row_8": "conflict between species",
    }
    assert counts.set_index("species")["rows"].to_dict() == {"H_sapiens": 3, "S_cerevisiae": 2, "R_norvegicus": 4}


def test_folds_follow_the_sequence_about_80_10_10(tmp_path):
    rows = [(f"{number:012b}".replace("0", "A").replace("1", "C"), HUMAN) for number in range(4096)]
    data, _, _ = read_author_csv(*write(tmp_path / "a.csv", rows), length=12)
    share = data["fold"].value_counts(normalize=True)
    assert abs(share["train"] - 0.8) < 0.02
    assert abs(share["test"] - 0.1) < 0.02
    again, _, _ = read_author_csv(*write(tmp_path / "b.csv", rows[::-1]), length=12)
    folds = [table.set_index("sequence")["fold"].sort_index() for table in (data, again)]
    assert folds[0].equals(folds[1])
    other, _, _ = read_author_csv(*write(tmp_path / "a.csv", rows), length=12, seed=1)
    assert (other["fold"] != data["fold"]).any()


def test_gzip_is_read_too(tmp_path):
    path, _ = write(tmp_path / "a.csv")
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    data, _, _ = read_author_csv(packed, hashlib.sha256(packed.read_bytes()).hexdigest(), length=8)
    assert len(data) == 3


@pytest.mark.parametrize(
    ("rows", "header", "sentence"),
    [
        (ROWS, ",sequence,class,species", "line 1 names no column Sequence"),
        (ROWS, ",Sequence,class,organism", "line 1 names no column species"),
        ([*ROWS, ("A" * 9, HUMAN)], ",Sequence,class,species", "line 11 has 9 bases, more than 8"),
        ([*ROWS, ("A" * 8, "human")], ",Sequence,class,species", "line 11: 'human' is no name of genus and species"),
        ([], ",Sequence,class,species", "has no row below its header"),
        (ROWS, ",Sequence,class,x,species", "line 2 has fewer columns than the header"),
    ],
)
def test_another_csv_is_refused_with_the_line(tmp_path, rows, header, sentence):
    with pytest.raises(InputError, match=sentence):
        read_author_csv(*write(tmp_path / "a.csv", rows, header), length=8)


def test_the_command_writes_what_build_dataset_writes_and_refuses_another_checksum(tmp_path, command, capsys):
    path, digest = write(tmp_path / "a.csv")
    out = tmp_path / "out"
    options = ["--csv", path, "--length", 8, "--out", out / "d.parquet", "--fasta", out / "d.fa.gz"]
    options += ["--dropped-out", out / "dropped.tsv", "--counts", out / "counts.tsv", "--receipt", out / "source.json"]
    assert command("promoters/read_author_csv", *options, "--sha256", "0" * 64) == 2
    assert f"error: {path} has the sha256 {digest}, not {'0' * 64}" in capsys.readouterr().err
    assert not out.exists()
    assert command("promoters/read_author_csv", *options, "--sha256", digest) == 0
    assert len(read_table(out / "d.parquet", COLUMNS)) == 3
    tables = ["--dataset", out / "d.parquet", "--dropped", out / "dropped.tsv", "--receipts", out / "source.json"]
    assert command("promoters/write_datasheet", *tables, "--out", tmp_path / "sheet.md") == 0
    assert "windows that overlap may lie in different folds" in (tmp_path / "sheet.md").read_text()
    assert sorted(path.name for path in out.iterdir()) == [
        "counts.tsv",
        "d.fa.gz",
        "d.parquet",
        "dropped.tsv",
        "source.json",
    ]
