"""Sets survive the way through a file; a broken file is told by line."""

import pytest

from genovision.dna.fasta import read_set, write_set
from genovision.errors import InputError


def test_a_set_comes_back(tmp_path):
    path = tmp_path / "deep" / "x.fa"
    write_set("position_markov3", ["ACGT", "TTTT"], path)
    assert path.read_text() == ">position_markov3_0\nACGT\n>position_markov3_1\nTTTT\n"
    assert read_set(path) == ("position_markov3", ["ACGT", "TTTT"])


def test_other_peoples_layout_is_read(tmp_path):
    path = tmp_path / "x.fa"
    path.write_bytes(b"\n>mine_1\r\nacg\r\nTN\r\n\r\n>mine_7\r\nAAAAA\r\n")
    assert read_set(path) == ("mine", ["ACGTN", "AAAAA"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no sequence"),
        ("ACGT\n>a_0\nA\n", "line 1: sequence before the first"),
        (">a_0\nAC\n>b_1\nAC\n", "line 3: id 'b_1' is not of set 'a'"),
        (">a_0\nAC\n>a_1\nACG\n", "line 3: 'a_1' has 3 bases, the first record has 2"),
        (">a_0\n>a_1\nACG\n", "line 1: record 'a_0' has no sequence"),
        (">promoter\nACG\n", "line 1: id 'promoter' is not <set>_<number>"),
        (">_0\nACG\n", "line 1: id '_0' is not <set>_<number>"),
        (">\nACG\n", "line 1: id '' is not <set>_<number>"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "x.fa"
    path.write_text(text)
    with pytest.raises(InputError, match=f"x.fa.*{message}"):
        read_set(path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "x.fa").write_bytes(b">a_0\nAC\xff\n")
    with pytest.raises(InputError, match="byte 7 is not ASCII"):
        read_set(tmp_path / "x.fa")


def test_a_failed_write_leaves_nothing(tmp_path):
    def broken():
        yield "ACGT"
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        write_set("a", broken(), tmp_path / "x.fa")
    assert list(tmp_path.iterdir()) == []
