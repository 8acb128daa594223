import pandas as pd
import pytest

from genovision.errors import InputError
from genovision.promoters.tss import COLUMNS, choose, empty_table, gene_of, read_rows
from genovision.tables import write_table


def table(source: str, name: str = "a_1") -> pd.DataFrame:
    return pd.DataFrame([[name, "c", 5, "+", source, "a"]], columns=COLUMNS)


@pytest.mark.parametrize(
    ("promoter", "gene"),
    [
        ("NOC2L_1", "NOC2L"),
        ("NOC2L_12", "NOC2L"),
        ("A_B_3", "A_B"),
        ("su(w[a])_2", "su(w[a])"),
        ("alone", "alone"),
        ("a_x", "a_x"),
    ],
)
def test_the_gene_is_the_id_without_its_number(promoter, gene):
    assert gene_of(promoter) == gene


def test_tables_come_back_as_they_went(tmp_path):
    rows = pd.concat([table("epd", name) for name in ("NA", "007", "1e5", "nan", "gene,1")], ignore_index=True)
    rows["gene"] = rows["id"]
    write_table(rows, tmp_path / "t.tsv")
    pd.testing.assert_frame_equal(
        read_rows(tmp_path / "t.tsv"), rows.astype({c: "str" for c in COLUMNS if c != "position"})
    )
    write_table(empty_table(), tmp_path / "t.tsv")
    pd.testing.assert_frame_equal(read_rows(tmp_path / "t.tsv"), empty_table())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        ("id\taccession\n", "has no column position, strand, tss_source, gene"),
        ("\t".join(COLUMNS) + "\na_1\tc\t5\t+\tepd\ta\na_2\tc\tx\t+\tepd\ta\n", "line 3 has the position 'x'"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, sentence):
    (tmp_path / "t.tsv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_rows(tmp_path / "t.tsv")


def test_epd_is_chosen_without_a_warning_and_annotation_with_one():
    chosen, warnings = choose([table("epd"), table("annotation")], "S_pombe")
    assert (chosen["tss_source"].tolist(), len(warnings)) == (["epd"], 0)
    chosen, warnings = choose([empty_table(), table("annotation")], "S_pombe")
    assert chosen["tss_source"].tolist() == ["annotation"]
    assert warnings["species"].tolist() == ["S_pombe"]
    assert "because EPDnew's could not be retrieved" in warnings["text"][0]
    _, warnings = choose([table("annotation")], "S_pombe")
    assert "because none of EPDnew are used" in warnings["text"][0]
    with pytest.raises(InputError, match="S_pombe has no transcription start site"):
        choose([empty_table(), empty_table()], "S_pombe")


def test_choose_tss_writes_both_tables(tmp_path, command, capsys):
    write_table(empty_table(), tmp_path / "epd.tsv")
    write_table(table("annotation"), tmp_path / "annotation.tsv")
    options = ["--species", "S_pombe", "--out", tmp_path / "chosen.tsv", "--warning", tmp_path / "warning.tsv"]
    both = ["--tss", tmp_path / "epd.tsv", tmp_path / "annotation.tsv"]
    assert command("promoters/choose_tss", *both, *options) == 0
    assert "warning: S_pombe" in capsys.readouterr().err
    assert read_rows(tmp_path / "chosen.tsv")["tss_source"].tolist() == ["annotation"]
    assert len(read_rows(tmp_path / "warning.tsv", ["species", "text"])) == 1
    write_table(table("epd"), tmp_path / "epd.tsv")
    assert command("promoters/choose_tss", *both, *options) == 0
    assert len(read_rows(tmp_path / "warning.tsv", ["species", "text"])) == 0
