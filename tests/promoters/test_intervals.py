import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pybedtools
import pytest
from checkouts import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from genovision.errors import InputError
from genovision.promoters import intervals
from genovision.promoters.comparison import compare
from genovision.promoters.windows import bounds

LENGTHS = {"b": 60, "a": 40, "B": 30}
SITE = st.sampled_from(list(LENGTHS)).flatmap(
    lambda name: st.tuples(st.just(name), st.integers(1, LENGTHS[name]), st.sampled_from("+-"))
)


def sites(rows) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["accession", "position", "strand"])
    return table.set_index(np.arange(len(table))[::-1] * 7)


def slow_clusters(tss: pd.DataFrame, length: int) -> list[set[int]]:
    """Sets of row numbers, joined while two of them hold overlapping windows."""
    start, end = bounds(tss["position"], tss["strand"], length)
    groups = [{row} for row in range(len(tss))]

    def meet(one: set[int], other: set[int]) -> bool:
        return any(
            tss["accession"].iloc[i] == tss["accession"].iloc[j] and start[i] < end[j] and start[j] < end[i]
            for i in one
            for j in other
        )

    joined = True
    while joined:
        joined = False
        for group in groups:
            if other := next((other for other in groups if other is not group and meet(group, other)), None):
                group |= other
                groups.remove(other)
                joined = True
                break
    return groups


@settings(max_examples=25, deadline=None)
@given(st.lists(SITE, min_size=1, max_size=14), st.integers(1, 9))
def test_clusters_are_what_overlaps_join(rows, length):
    tss = sites(rows)
    found = intervals.clusters(tss, LENGTHS, length)
    pd.testing.assert_index_equal(found.index, tss.index)
    keys = list(zip(tss["accession"], found["start"], found["end"], strict=True))
    ours = [{row for row, other in enumerate(keys) if other == key} for key in set(keys)]
    assert sorted(map(sorted, ours)) == sorted(map(sorted, slow_clusters(tss, length)))
    start, end = bounds(tss["position"], tss["strand"], length)
    size = tss["accession"].map(LENGTHS).to_numpy()
    for group in ours:
        rows_of = list(group)
        assert found["start"].iloc[rows_of[0]] == max(start[rows_of].min(), 0)
        assert found["end"].iloc[rows_of[0]] == min(end[rows_of].max(), size[rows_of[0]])


def test_windows_that_only_touch_are_two_clusters():
    tss = sites([("b", 10, "+"), ("b", 14, "+"), ("b", 16, "-")])
    found = intervals.clusters(tss, LENGTHS, 4)
    assert found.values.tolist() == [[7, 11], [11, 18], [11, 18]]


@settings(max_examples=25, deadline=None)
@given(st.lists(SITE, min_size=1, max_size=10), st.lists(SITE, min_size=1, max_size=10))
def test_nearest_is_the_smallest_distance_and_upstream_at_a_tie(rows, others):
    tss, others = sites(rows), sites(others)
    expected = []
    for name, position, strand in tss.itertuples(index=False, name=None):
        there = others[(others["accession"] == name) & (others["strand"] == strand)]["position"]
        signed = [(other - position) * (1 if strand == "+" else -1) for other in there]
        expected.append(min(signed, key=lambda distance: (abs(distance), distance), default=np.nan))
    found = intervals.nearest(tss, others)
    np.testing.assert_array_equal(found.to_numpy(), np.array(expected, dtype=float))
    pd.testing.assert_index_equal(found.index, tss.index)


def test_compare_counts_from_the_tss_on_the_strand_of_the_gene():
    epd = sites([("b", 10, "+"), ("b", 20, "-"), ("b", 50, "+"), ("a", 5, "+")])
    annotation = sites([("b", 8, "+"), ("b", 26, "-"), ("b", 50, "+"), ("B", 5, "+")])
    row = compare(epd, annotation, "T_esta").iloc[0]
    assert row.to_dict() == {"species": "T_esta", "n": 3, "exact": 1 / 3, "within_50": 1.0, "median_distance": -2.0}
    assert compare(epd.iloc[:0], annotation, "T_esta").empty
    with pytest.raises(InputError, match="no EPDnew site of T_esta shares a contig"):
        compare(epd.tail(1), annotation, "T_esta")


def test_temporary_files_are_gone_and_the_callers_folder_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine = tmp_path / "mine"
    mine.mkdir()
    before = pybedtools.get_tempdir()
    pybedtools.set_tempdir(str(mine))
    try:
        kept = pybedtools.BedTool("a\t1\t2\n", from_string=True)
        intervals.clusters(sites([("a", 3, "+"), ("b", 4, "-")]), LENGTHS, 4)
        assert pybedtools.get_tempdir() == str(mine)
        assert [path.name for path in tmp_path.iterdir()] == ["mine"]
        assert Path(kept.fn).is_file()
    finally:
        pybedtools.set_tempdir(before)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "de_DE.UTF-8", "tr_TR.UTF-8"])
def test_results_do_not_depend_on_the_locale(locale):
    code = """
import pandas as pd
from genovision.promoters import intervals
tss = pd.DataFrame({"accession": ["b", "B", "a", "b", "_c"], "position": [5, 6, 7, 9, 3], "strand": list("+-+-+")})
lengths = {"b": 60, "a": 40, "B": 30, "_c": 9}
print(intervals.clusters(tss, lengths, 8).values.tolist(), intervals.nearest(tss, tss).tolist())
"""
    environment = os.environ | {"LC_ALL": locale, "LANG": locale, "PYTHONPATH": str(ROOT / "workflow")}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[[0, 13], [2, 10], [2, 10], [0, 13], [0, 6]] [0.0, 0.0, 0.0, 0.0, 0.0]"


def test_without_bedtools_one_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="apt-get install bedtools"):
        intervals.clusters(sites([("a", 3, "+")]), LENGTHS, 4)
