import gzip
import io
import json

import numpy as np
import pandas as pd
import pytest
from Bio import SeqIO
from hypothesis import given, settings
from hypothesis import strategies as st
from promoters.miniature import write_epd_miniature

from genovision.errors import InputError
from genovision.promoters.dataset import COLUMNS, COUNTS, ROW, build_dataset, without_duplicates, write_fasta
from genovision.promoters.tss import read_rows
from genovision.tables import read_table

WINDOWS = [*ROW, "sequence"]


def windows(*rows: tuple[str, str, str, int, str]) -> pd.DataFrame:
    """Rows of (id, species, accession, position, sequence)."""
    table = pd.DataFrame(rows, columns=["id", "species", "accession", "position", "sequence"])
    return table.assign(strand="+", tss_source="epd", gene=table["id"])[WINDOWS]


def test_the_first_of_equal_sequences_is_kept_and_a_sequence_of_two_species_is_not():
    table = windows(
        ("b2", "second", "c1", 9, "AAAA"),
        ("b1", "second", "c1", 5, "AAAA"),
        ("b0", "second", "c0", 99, "CCCC"),
        ("a1", "first", "c1", 5, "CCCC"),
        ("a2", "first", "c1", 7, "CCCC"),
        ("a3", "first", "c1", 8, "GGGG"),
        ("b3", "second", "c2", 1, "AAAA"),
        ("b4", "second", "c2", 2, "TTTT"),
    )
    kept, dropped = without_duplicates(table)
    assert kept["id"].tolist() == ["b1", "b4", "a3"]  # the second species came first in the table
    assert dropped.set_index("id")["reason"].to_dict() == {
        "b0": "conflict between species",
        "a1": "conflict between species",
        "a2": "conflict between species",
        "b2": "duplicate",
        "b3": "duplicate",
    }


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["s", "t", "u"]),
        st.sampled_from(["c1", "c2"]),
        st.integers(1, 9),
        st.sampled_from(["AA", "AC", "CA"]),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(ROWS, st.randoms())
def test_which_row_is_kept_is_decided_by_species_contig_and_position_alone(rows, random):
    table = windows(*((f"p{number}", *row) for number, row in enumerate(rows)))
    order = list(range(len(table)))
    random.shuffle(order)
    # within a species any order of rows; the order of the species is that of the table
    shuffled = table.iloc[order]
    rank = {species: number for number, species in enumerate(table["species"].unique())}
    shuffled = shuffled.iloc[np.argsort(shuffled["species"].map(rank).to_numpy(), kind="stable")]
    kept, dropped = without_duplicates(table)
    again, _ = without_duplicates(shuffled)
    assert kept["id"].tolist() == again["id"].tolist()
    assert len(kept) + len(dropped) == len(table)
    assert kept["sequence"].is_unique
    in_species = table.groupby("sequence")["species"].nunique()
    assert set(kept["sequence"]) == set(in_species[in_species == 1].index)


def a_dataset():
    first = windows(
        ("a1", "first", "c1", 5, "AAAA"), ("a2", "first", "c1", 7, "AAAA"), ("a3", "first", "c1", 9, "CCCC")
    )
    second = windows(("b1", "second", "c1", 5, "CCCC"), ("b2", "second", "c1", 6, "GGGG"))
    none = pd.DataFrame(columns=[*ROW, "reason"])
    dropped = windows(("a4", "first", "c9", 5, "")).drop(columns="sequence").assign(reason="contig not in the genome")
    split = pd.concat([first, second])[["species", "id", "tss_source"]].assign(
        unit="u", fold=["train"] * 3 + ["test"] * 2
    )
    return [first, second], [dropped, none], split


def test_every_row_is_counted_once():
    data, dropped, counts = build_dataset(*a_dataset())
    assert data.columns.tolist() == COLUMNS
    assert data[["id", "fold"]].values.tolist() == [["a1", "train"], ["b2", "test"]]
    assert dropped.columns.tolist() == [*ROW, "reason"]
    assert counts.columns.tolist() == COUNTS
    rows = counts.set_index("species")
    assert rows.loc["first"].tolist() == ["epd", 4, 4, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0]
    assert rows.loc["second"].tolist() == ["epd", 4, 2, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1]


def test_tables_that_do_not_belong_together_are_refused():
    tables, dropped, split = a_dataset()
    with pytest.raises(InputError, match="no fold for b2 of second"):
        build_dataset(tables, dropped, split[split["id"] != "b2"])
    with pytest.raises(InputError, match="a species comes twice"):
        build_dataset([*tables, tables[0]], dropped, split)
    with pytest.raises(InputError, match="lengths 3, 4"):
        build_dataset([tables[0], tables[1].assign(sequence="GGG")], dropped, split)
    with pytest.raises(InputError, match="no window is left"):
        build_dataset([table.iloc[:0] for table in tables], dropped, split)


def test_fasta_has_every_row_and_always_the_same_bytes(tmp_path):
    data, _, _ = build_dataset(*a_dataset())
    write_fasta(data, tmp_path / "one.fa.gz")
    write_fasta(data, tmp_path / "two.fa.gz")
    packed = (tmp_path / "one.fa.gz").read_bytes()
    assert packed == (tmp_path / "two.fa.gz").read_bytes()
    assert packed[3] == 0  # no name in the gzip header
    assert packed[4:8] == bytes(4)  # and no time
    records = list(SeqIO.parse(io.StringIO(gzip.decompress(packed).decode()), "fasta"))
    assert [record.description for record in records] == ["first|a1 c1:5:+ epd train", "second|b2 c1:6:+ epd test"]
    assert [str(record.seq) for record in records] == data["sequence"].tolist()


@pytest.fixture(scope="module")
def flow(tmp_path_factory, command):
    """Two miniature species through every command of the story, from the published files to the data sheet."""
    folder = tmp_path_factory.mktemp("flow")
    species = ["A_lpha", "B_eta"]
    for number, name in enumerate(species):
        here = folder / name
        mini = write_epd_miniature(here, name, f"NC_{number}0", seed=number)
        genome = here / "genome.fa"
        assert command("promoters/prepare_genome", "--archive", mini["genome"], "--out", genome) == 0
        source = ["--sga", mini["sga"], "--dat", mini["dat"], "--genome", genome]
        assert command("promoters/read_epd", *source, "--out", here / "epd.tsv") == 0
        chosen = ["--tss", here / "epd.tsv", "--species", name, "--out", here / "chosen.tsv"]
        assert command("promoters/choose_tss", *chosen, "--warning", here / "warning.tsv") == 0
        for length in (256, 2048):
            cut = ["--genome", genome, "--tss", here / "chosen.tsv", "--species", name, "--length", length]
            out = ["--out", here / f"{length}.parquet", "--dropped", here / f"{length}.tsv"]
            assert command("promoters/cut_windows", *cut, *out) == 0
    files = [
        "--tss",
        *(folder / s / "chosen.tsv" for s in species),
        "--fai",
        *(folder / s / "genome.fa.fai" for s in species),
    ]
    options = ["--species", *species, "--length", 2048, "--out", folder / "split.tsv"]
    assert command("promoters/split_windows", *files, *options) == 0
    for length in (256, 2048):
        cut = ["--windows", *(folder / s / f"{length}.parquet" for s in species)]
        cut += ["--dropped", *(folder / s / f"{length}.tsv" for s in species), "--split", folder / "split.tsv"]
        out = ["--out", folder / f"{length}.parquet", "--fasta", folder / f"{length}.fa.gz"]
        out += ["--dropped-out", folder / f"{length}.dropped.tsv", "--counts", folder / f"{length}.counts.tsv"]
        assert command("promoters/build_dataset", *cut, *out) == 0
    return folder


@pytest.mark.parametrize(
    ("length", "reasons"),
    [
        (256, {"off the contig": 1, "duplicate": 1}),
        (2048, {"off the contig": 1, "duplicate": 1, "N": 1, "ambiguous base": 1}),
    ],
)
def test_a_miniature_runs_through_and_every_built_in_drop_is_found(flow, length, reasons):
    counts = read_table(flow / f"{length}.counts.tsv").set_index("species")
    for _, row in counts.iterrows():
        assert row["rows"] == 60
        assert row["kept"] == 60 - sum(reasons.values()) == row["train"] + row["validation"] + row["test"]
        assert {reason: row[reason] for reason in reasons} == reasons
    data = read_table(flow / f"{length}.parquet")
    assert len(data) == counts["kept"].sum()
    assert set(data["sequence"].str.len()) == {length}
    dropped = read_rows(flow / f"{length}.dropped.tsv", [*ROW, "reason"])
    assert len(data) + len(dropped) == 120
    before = data["sequence"].str.slice(length // 2 - 31, length // 2 - 23)
    assert (before == "TATAAAAG").mean() > 0.25  # the TATA boxes stand at -31 on the gene's strand


def test_the_same_input_gives_the_same_bytes(flow, tmp_path, command):
    species = ["A_lpha", "B_eta"]
    cut = [
        "--windows",
        *(flow / s / "256.parquet" for s in species),
        "--dropped",
        *(flow / s / "256.tsv" for s in species),
    ]
    out = ["--out", tmp_path / "256.parquet", "--fasta", tmp_path / "256.fa.gz"]
    out += ["--dropped-out", tmp_path / "256.dropped.tsv", "--counts", tmp_path / "256.counts.tsv"]
    assert command("promoters/build_dataset", *cut, "--split", flow / "split.tsv", *out) == 0
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (flow / path.name).read_bytes()


def test_the_data_sheet_tells_what_the_tables_tell(flow, tmp_path, command):
    epd = {
        "source": "epd_A",
        "file": "Al.sga",
        "version": "EPDnew 001",
        "licence": "see the | site",
        "status": "retrieved",
    }
    receipts = {
        "known": epd | {"sha256": "ab" * 32, "checked": True, "origin": "/somewhere/else/Al.sga"},
        "new": {**epd, "file": "Al.dat", "sha256": "cd" * 32, "checked": False},
        "none": {**epd, "file": "Be.sga", "status": "unreachable", "reason": "no answer"},
    }
    for name, receipt in receipts.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(receipt))
    (tmp_path / "warning.tsv").write_text("species\ttext\nB_eta\tthe TSS are blurred.\n")
    inputs = ["--dataset", flow / "256.parquet", flow / "2048.parquet", "--split", flow / "split.tsv"]
    inputs += ["--dropped", flow / "256.dropped.tsv", flow / "2048.dropped.tsv"]
    inputs += ["--receipts", *(tmp_path / f"{name}.json" for name in receipts)]
    inputs += ["--warning", tmp_path / "warning.tsv", "--out", tmp_path / "sheet.md"]
    assert command("promoters/write_datasheet", *inputs) == 0
    text = (tmp_path / "sheet.md").read_text()
    counts = read_table(flow / "2048.counts.tsv").set_index("species").loc["A_lpha"]
    folds = " | ".join(str(counts[fold]) for fold in ("train", "validation", "test"))
    assert f"| A_lpha | epd | 60 | 56 | {folds} |" in text
    assert "| A_lpha | 1 | 1 | 1 | 1 |" in text
    assert "**Warning.** B_eta: the TSS are blurred." in text
    assert f"| epd_A | Al.sga | EPDnew 001 | checked | `{'ab' * 6}` | see the \\| site |" in text
    assert f"| epd_A | Al.dat | EPDnew 001 | recorded | `{'cd' * 6}` | see the \\| site |" in text
    assert "| epd_A | Be.sga | EPDnew 001 | unreachable |  | see the \\| site |" in text
    assert "/somewhere/else" not in text
    data = read_table(flow / "256.parquet")
    letters = "".join(data[data["species"] == "B_eta"]["sequence"])
    assert f" {(letters.count('G') + letters.count('C')) / len(letters):.3f} |" in text
    assert str(flow) not in text
    (tmp_path / "known.json").write_text("[]")
    (tmp_path / "sheet.md").unlink()
    assert command("promoters/write_datasheet", *inputs) == 2
    assert not (tmp_path / "sheet.md").exists()
