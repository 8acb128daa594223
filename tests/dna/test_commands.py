"""The commands, from a data set to the joined tables and the figures; and what they say to bad input."""

import numpy as np
import pandas as pd
import pytest

from genovision.dna.fasta import read_set, write_set
from genovision.dna.motifs import EPD, read_motif
from genovision.tables import read_table, write_table

SETS = ["test", "train", "shuffle", "markov5", "position_markov3"]


@pytest.fixture
def drawn(command, dataset, tmp_path):
    """`drawn(set)`: FASTA of the set; `drawn.measured(set)`: options that read it and write its four tables."""

    class Drawn:
        def __call__(self, name, *options):
            path = tmp_path / f"{name}.fa"
            options = ("--dataset", dataset, "--species", "A_one", "--set", name, "--out", path, *options)
            assert command("dna/draw_reference", *options)[0] == 0
            return path

        def measured(self, name):
            outputs = {key: tmp_path / f"{name}.{key}.tsv" for key in ("measures", "curves", "composition", "evidence")}
            options = [
                "--set",
                tmp_path / f"{name}.fa",
                "--real",
                tmp_path / "test.fa",
                "--train",
                dataset,
                "--species",
                "A_one",
            ]
            return [*options, *(text for key, path in outputs.items() for text in (f"--{key}", path))], outputs

    return Drawn()


def test_from_data_set_to_figures(command, drawn, dataset, tmp_path):
    outputs = {}
    for name in SETS:
        assert len(read_set(drawn(name))[1]) == 60
        options, outputs[name] = drawn.measured(name)
        code, err = command("dna/measure_set", *options, "--replicates", 20, "--motifs", "TATA-box", "Initiator")
        assert code == 0, err
    measures = [outputs[name]["measures"] for name in SETS]
    evidence = [outputs[name]["evidence"] for name in SETS]
    joined = ("--out", tmp_path / "m.tsv", "--evidence-out", tmp_path / "e.tsv", "--floor", "train")
    assert command("dna/join_measures", "--measures", *measures, "--evidence", *evidence, *joined)[0] == 0
    table = read_table(tmp_path / "m.tsv")
    peaks = table[(table["metric"] == "peak") & (table["motif"] == "TATA-box")].set_index("set")["value"]
    # 40 % of the real sequences were given a TATA-box at -31
    assert peaks["test"] == pytest.approx(40, abs=3)
    assert peaks["train"] == pytest.approx(40, abs=15)
    assert peaks["markov5"] < 15
    assert peaks["shuffle"] < 15
    places = table[(table["metric"] == "peak_position") & (table["motif"] == "TATA-box")].set_index("set")["value"]
    assert places["test"] == places["train"] == -31
    assert set(read_table(tmp_path / "e.tsv")["side"]) == set(SETS)
    for plot, key in (("plot_motif_curves", "curves"), ("plot_composition", "composition")):
        paths = [outputs[name][key] for name in SETS]
        for out in ("a.svg", "b.svg"):
            options = (f"--{key}", *paths, "--name", "Aus una", "--out", tmp_path / out)
            assert command(f"dna/{plot}", *options)[0] == 0
        assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
        assert (tmp_path / "a.svg").read_text().startswith("<?xml")


def test_tables_have_the_same_bytes_every_time(command, drawn):
    for name in ("test", "shuffle"):
        drawn(name)
    options, outputs = drawn.measured("shuffle")
    first = None
    for _ in range(2):
        assert command("dna/measure_set", *options, "--replicates", 5)[0] == 0
        found = [path.read_bytes() for path in outputs.values()]
        assert first in (None, found)
        first = found


def test_sets_differ_between_seeds_and_not_within(drawn):
    first = drawn("markov5").read_text()
    assert drawn("markov5").read_text() == first
    assert drawn("markov5", "--seed", 1).read_text() != first


def test_annotation_windows_come_from_their_own_table(command, drawn, dataset, tmp_path):
    windows = tmp_path / "w.parquet"
    sequences = [f"{'ACGT'[k % 4]}{'C' * 79}" for k in range(70)]
    write_table(pd.DataFrame({"species": "A_one", "sequence": sequences}), windows)
    assert set(read_set(drawn("annotation", "--windows", windows))[1]) <= set(sequences)
    for options in (("--set", "annotation"), ("--set", "train", "--windows", windows)):
        code, err = command(
            "dna/draw_reference", "--dataset", dataset, "--species", "A_one", "--out", tmp_path / "o.fa", *options
        )
        assert (code, "--windows goes with --set annotation" in err) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--species", "Z_nine", "--set", "test"], "has no sequence of Z_nine; it has A_one, B_two"),
        (["--species", "A_one", "--set", "gan"], "--set gan: choose train"),
        (["--species", "B_two", "--set", "train"], "has no test sequence of B_two"),
        (
            ["--species", "A_one", "--set", "train", "--number", "301"],
            "train needs 301 train sequences, and there are 300",
        ),
        (["--species", "A_one", "--set", "train", "--number", "-1"], "must not be negative"),
    ],
)
def test_draw_reference_says_what_is_wrong(command, dataset, tmp_path, options, message):
    code, err = command("dna/draw_reference", "--dataset", dataset, "--out", tmp_path / "o.fa", *options)
    assert code == 2
    assert message in err
    assert not (tmp_path / "o.fa").exists()


def test_measure_set_says_what_is_wrong(command, drawn, dataset, tmp_path):
    drawn("test")
    drawn("train", "--number", 50)
    options, outputs = drawn.measured("train")

    def wrong(*changes):
        code, err = command("dna/measure_set", *options, *changes)
        assert code == 2
        assert not any(path.exists() for path in outputs.values())
        return err.splitlines()[-1]

    assert "train.fa has 50 sequences and" in wrong()
    assert "--motifs TATA is none of TATA-box, Initiator" in wrong("--motifs", "TATA")
    (tmp_path / "t.json").write_text(EPD["TATA-box"].to_json())
    assert "two motifs are called TATA-box" in wrong("--motif-file", tmp_path / "t.json")
    assert "no training sequence of Z_nine" in wrong("--species", "Z_nine")
    assert "must not be negative" in wrong("--replicates", "-1")
    write_set("short", ["ACGT" * 10] * 60, tmp_path / "short.fa")
    assert "has sequences of 40 bases and" in wrong("--set", tmp_path / "short.fa")
    write_set("tiny", ["ACGT"] * 60, tmp_path / "tiny.fa")
    assert "has sequences of 4 bases; Div counts 12-mers" in wrong("--set", tmp_path / "tiny.fa")
    assert "line 1: sequence before" in wrong("--set", _garbage(tmp_path))


def _garbage(folder):
    path = folder / "garbage.fa"
    path.write_text("no FASTA\n")
    return path


def test_a_motif_file_is_measured_beside_epds(command, drawn, tmp_path):
    drawn("test")
    motif = EPD["TATA-box"].to_json().replace('"TATA-box"', '"mine"')
    (tmp_path / "mine.json").write_text(motif)
    options, outputs = drawn.measured("test")
    options += ["--motifs", "TATA-box", "--motif-file", tmp_path / "mine.json", "--replicates", 3]
    assert command("dna/measure_set", *options)[0] == 0
    curves = read_table(outputs["curves"]).pivot(index="position", columns="motif", values="percent")
    np.testing.assert_array_equal(curves["mine"], curves["TATA-box"])


def test_join_measures_says_what_is_wrong(command, drawn, tmp_path):
    drawn("test")
    options, outputs = drawn.measured("test")
    assert command("dna/measure_set", *options, "--replicates", 2)[0] == 0
    path = outputs["measures"]
    code, err = command("dna/join_measures", "--measures", path, path, "--out", tmp_path / "m.tsv")
    assert (code, "is there twice; give each table once" in err) == (2, True)
    code, err = command("dna/join_measures", "--measures", outputs["curves"], "--out", tmp_path / "m.tsv")
    assert (code, "has no column metric" in err) == (2, True)
    code, err = command("dna/join_measures", "--measures", path, "--out", tmp_path / "m.tsv", "--evidence", path)
    assert (code, "--evidence and --evidence-out go together" in err) == (2, True)


def test_figures_are_of_one_species_and_length(command, tmp_path):
    rows = [("A", 8, "test", -4, 0.2, 0.3, 0.3, 0.2), ("B", 8, "test", -4, 0.2, 0.3, 0.3, 0.2)]
    table = pd.DataFrame(rows, columns=["species", "length", "set", "position", *"ACGT"])
    write_table(table, tmp_path / "c.tsv")
    options = ("--composition", tmp_path / "c.tsv", "--name", "x", "--out", tmp_path / "x.svg")
    code, err = command("dna/plot_composition", *options)
    assert (code, "these tables have A at 8 bp, B at 8 bp" in err) == (2, True)


def test_read_jaspar_by_id(command, tmp_path):
    pytest.importorskip("pyjaspar")
    out = tmp_path / "tbp.json"
    options = ("--id", "MA0108.1", "--release", "JASPAR2024", "--reference", 4, "--region", -36, -20, "--out", out)
    code, err = command("dna/read_jaspar", *options)
    assert code == 0, err
    motif = read_motif(out)
    assert (motif.name, len(motif.matrix), motif.reference, motif.region) == ("TBP MA0108.1", 15, 3, (-36, -20))
    # JASPAR's TBP comes from the alignment behind EPD's TATA-box (Bucher 1990): the same consensus where it is sharp
    assert motif.matrix[1:9].argmax(axis=1).tolist() == EPD["TATA-box"].matrix[1:9].argmax(axis=1).tolist()
    for wrong, message in (
        (("--id", "MA0108.77", "--release", "JASPAR2024"), "--id MA0108.77 is no matrix of JASPAR2024"),
        (("--id", "MA0108", "--release", "JASPAR2024"), "--id MA0108 is no matrix of JASPAR2024"),
        (("--id", "MA0108.1", "--release", "JASPAR1999"), "--release JASPAR1999 is not in this pyjaspar"),
        (("--id", "MA0108.1", "--release", "JASPAR2024", "--cutoff", 2), "relative cut-off 2.0 is not in"),
        (("--id", "MA0108.1", "--release", "JASPAR2024", "--reference", 0), "reference column -1"),
    ):
        code, err = command("dna/read_jaspar", *wrong, "--out", tmp_path / "no.json")
        assert code == 2
        assert message in err
        assert not (tmp_path / "no.json").exists()


def counts(**columns):
    row = {"species": "A_one", "tss_source": "epd", "length": 256, "rows": 12, "kept": 8, "N": 3, "off the contig": 1}
    return pd.DataFrame([{**row, "train": 6, "validation": 1, "test": 1, **columns}])


def test_window_counts_show_every_number(command, tmp_path):
    write_table(counts(), tmp_path / "a.tsv")
    write_table(counts(length=2048, kept=7, train=5, **{"off the contig": 2}), tmp_path / "b.tsv")
    options = ("--counts", tmp_path / "a.tsv", tmp_path / "b.tsv")
    for out in ("x.svg", "y.svg"):
        assert command("promoters/plot_window_counts", *options, "--out", tmp_path / out)[0] == 0
    text = (tmp_path / "x.svg").read_text()
    assert text == (tmp_path / "y.svg").read_text()
    # matplotlib leaves each text as a comment beside its outlines
    for shown in ("6 + 1 + 1", "5 + 1 + 1", "epd, 12 start sites", "A. one, 2048 bp", "off the"):
        assert shown in text


def test_window_counts_without_a_row_are_refused(command, tmp_path):
    write_table(counts().iloc[:0], tmp_path / "a.tsv")
    code, err = command("promoters/plot_window_counts", "--counts", tmp_path / "a.tsv", "--out", tmp_path / "x.svg")
    assert (code, "no species is counted" in err) == (2, True)
