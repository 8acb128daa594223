"""What several stories stand on: alphabet, whole files, tables, resampling."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genovision.alphabet import BASES, decode, encode, reverse_complement
from genovision.atomic import replacing
from genovision.errors import InputError
from genovision.resampling import bootstrap_counts, interval, stream
from genovision.tables import read_table, write_table


@given(st.text("ACGTRYSWKMBDHVNacgtryswkmbdhvn", max_size=50))
def test_reverse_complement_is_its_own_inverse_and_agrees_with_biopython(sequence):
    from Bio.Seq import reverse_complement as biopython

    assert reverse_complement(reverse_complement(sequence)) == sequence
    assert reverse_complement(sequence) == biopython(sequence)


@given(st.lists(st.text("ACGT", min_size=7, max_size=7), min_size=1, max_size=9))
def test_decode_undoes_encode(sequences):
    assert decode(encode(sequences)) == sequences
    assert encode([sequence.lower() for sequence in sequences]).tolist() == encode(sequences).tolist()


def test_codes_follow_the_alphabet_and_other_letters_are_255():
    assert encode([BASES + "NR-"]).tolist() == [[0, 1, 2, 3, 255, 255, 255]]
    with pytest.raises(ValueError, match="sequence 1 has 3 bases, sequence 0 has 2"):
        encode(["AC", "ACG"])
    with pytest.raises(ValueError, match="no sequence"):
        encode([])
    with pytest.raises(ValueError, match="codes run from"):
        decode([[4]])


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new folder" / "x.txt"
    with pytest.raises(RuntimeError), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    with replacing(path) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert len(list(path.parent.iterdir())) == 1


def test_a_full_disk_names_the_file(tmp_path):
    with pytest.raises(OSError, match="28") as caught, replacing(tmp_path / "x"):
        raise OSError(28, "No space left on device")
    assert caught.value.filename == str(tmp_path / "x")


@pytest.mark.parametrize("suffix", [".tsv", ".parquet"])
def test_tables_come_back_and_have_the_same_bytes(tmp_path, suffix):
    frame = pd.DataFrame({"gene": ["NA", "x", "nan"], "value": [1.5, np.nan, 0.1], "n": [1, 2, 3]})
    for name in ("a", "b"):
        write_table(frame, tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    back = read_table(tmp_path / f"a{suffix}", ["gene", "value"])
    assert back["gene"].tolist() == ["NA", "x", "nan"], "a gene may be called NA"
    assert back["value"].isna().tolist() == [False, True, False]
    with pytest.raises(InputError, match=r"has no column length; it has gene, value, n"):
        read_table(tmp_path / f"a{suffix}", ["length"])


def test_bootstrap_counts_are_a_bootstrap():
    counts = bootstrap_counts(50, 4000, np.random.default_rng(0))
    assert (counts.sum(axis=1) == 50).all()
    values = np.arange(50.0)
    means = counts @ values / 50
    assert means.mean() == pytest.approx(values.mean(), abs=4 * means.std() / np.sqrt(4000))
    assert means.std() == pytest.approx(values.std() / np.sqrt(50), rel=0.05)
    with pytest.raises(ValueError, match="no unit"):
        bootstrap_counts(0, 1, np.random.default_rng(0))


def test_the_interval_is_by_percentiles_and_leaves_out_the_undefined():
    values = np.concatenate([np.arange(1001.0), [np.nan]])
    assert interval(values) == (pytest.approx(25.0), pytest.approx(975.0))
    low, high = interval(np.stack([values, values * 2], axis=1), level=0.8)
    assert low.tolist() == pytest.approx([100, 200])
    assert high.tolist() == pytest.approx([900, 1800])


def test_named_streams_are_reproducible_and_differ():
    assert stream(0, "a").random() == stream(0, "a").random()
    assert len({stream(seed, name).random() for seed in (0, 1) for name in ("a", "b")}) == 4
