"""A hit is a window whose score reaches the cut-off, wherever the scanner, a loop or Biopython looks for it."""

import numpy as np
import pytest
from Bio.motifs.matrix import PositionSpecificScoringMatrix
from hypothesis import given, settings
from hypothesis import strategies as st

from genovision.alphabet import encode, reverse_complement
from genovision.dna import motifs
from genovision.dna.motifs import EPD, Motif, from_jaspar, hits, in_windows, occurrence, read_motif
from genovision.errors import InputError

RNG = np.random.default_rng(11)


def by_loop(sequences, motif):
    """(N, L) hits by the definition: every window, summed in whole hundredths (all matrices here have two decimals)."""
    table = np.rint(100 * motif.matrix).astype(int)
    cutoff = round(100 * motif.cutoff)
    found = np.zeros((len(sequences), len(sequences[0])), dtype=bool)
    for n, sequence in enumerate(sequences):
        for start in range(len(sequence) - len(table) + 1):
            window = sequence[start : start + len(table)]
            if set(window) <= set("ACGT"):
                score = sum(table[i]["ACGT".index(letter)] for i, letter in enumerate(window))
                found[n, start + motif.reference] |= score >= cutoff
    return found


@st.composite
def searches(draw):
    """Sequences of a few letters, and a motif whose cut-off is often the very score of one of their windows."""
    length = draw(st.integers(1, 30))
    sequences = draw(st.lists(st.text("ACGTN", min_size=length, max_size=length), min_size=1, max_size=6))
    width = draw(st.integers(1, 12))
    entry = st.integers(-600, 300)
    table = np.array(draw(st.lists(st.lists(entry, min_size=4, max_size=4), min_size=width, max_size=width)))
    bases = draw(st.lists(st.integers(0, 3), min_size=width, max_size=width))
    cutoff = table[np.arange(width), bases].sum() + draw(st.sampled_from([0, 0, 0, -1, 1, -5000, 5000]))
    return sequences, Motif("random", table / 100, cutoff / 100, draw(st.integers(0, width - 1)))


@given(searches())
@settings(deadline=None, max_examples=300)
def test_hits_are_those_of_the_loop_for_any_motif(search):
    sequences, motif = search
    expected = by_loop(sequences, motif)
    np.testing.assert_array_equal(hits(sequences, motif), expected)
    np.testing.assert_allclose(occurrence(sequences, motif), 100 * expected.mean(axis=0), rtol=1e-15)


@pytest.mark.parametrize("motif", EPD.values(), ids=EPD)
def test_epd_motifs_agree_with_the_loop(motif):
    sequences = ["".join(row) for row in RNG.choice(list("ACGT"), size=(60, 200))]
    consensus = "".join("ACGT"[column] for column in motif.matrix.argmax(axis=1))
    sequences = [consensus + sequence[len(consensus) :] for sequence in sequences]
    np.testing.assert_array_equal(hits(sequences, motif), by_loop(sequences, motif))


def test_epd_matrices_have_the_published_shape():
    assert list(EPD) == ["TATA-box", "Initiator", "CCAAT-box", "GC-box"]
    widths = {name: len(motif.matrix) for name, motif in EPD.items()}
    assert widths == {"TATA-box": 15, "Initiator": 8, "CCAAT-box": 12, "GC-box": 14}
    for motif in EPD.values():
        # the highest score of a matrix of EPD is 0: every column has a 0 and nothing above
        assert motif.matrix.max(axis=1).tolist() == [0.0] * len(motif.matrix)
        # two decimals, as published
        np.testing.assert_array_equal(motif.matrix, np.round(motif.matrix, 2))
    consensus = {name: "".join("ACGT"[i] for i in motif.matrix.argmax(axis=1)) for name, motif in EPD.items()}
    assert consensus["TATA-box"].startswith("GTATAAAAGGCGGGG")
    assert "CCAAT" in consensus["CCAAT-box"]
    assert "GGGCGG" in consensus["GC-box"]
    assert consensus["Initiator"].startswith("TCA")


def test_the_reference_column_is_where_the_motif_is_said_to_lie():
    #           index 3 holds the second T of TATA in the 15-mer whose first base is the G before it
    sequence = "CCCCC" + "GTATAAAAGGCGGGG" + "CCCCC"
    curve = occurrence([sequence, "C" * 25], EPD["TATA-box"])
    assert curve.nonzero()[0].tolist() == [5 + 3]
    assert curve[8] == 50.0


def test_a_score_equal_to_the_cutoff_is_a_hit_and_a_hundredth_below_is_none():
    # 0.1 + 0.2 > 0.3 in binary: only exact arithmetic decides this
    matrix = np.array([[0.1, -1.0, 0.0, 0.0], [0.2, 0.0, 0.0, 0.0], [-0.3, -1.0, 0.0, 0.0]])
    assert hits(["AAA"], Motif("edge", matrix, 0.0, 0)).sum() == 1
    assert hits(["AAA"], Motif("edge", matrix, 0.01, 0)).sum() == 0
    tata = EPD["TATA-box"]
    scores = np.rint(100 * tata.matrix).astype(int)
    worst = [scores[i].argmin() for i in range(5)]
    window = "".join("ACGT"[i] for i in worst) + "".join("ACGT"[i] for i in tata.matrix[5:].argmax(axis=1))
    exact = scores[np.arange(5), worst].sum() / 100
    for cutoff, count in ((exact, 1), (round(exact + 0.01, 2), 0)):
        assert hits([window], Motif("edge", tata.matrix, cutoff, 3)).sum() == count


def test_hits_do_not_span_two_sequences():
    box = "GTATAAAAGGCGGGG"
    halves = [("C" * 20 + box[:7])[-20:], (box[7:] + "C" * 20)[:20]]
    assert hits(halves, EPD["TATA-box"]).sum() == 0
    assert hits(["".join(halves)], EPD["TATA-box"]).sum() == 1


def test_a_window_with_another_letter_is_no_hit():
    box = "GTATAAAAGGCGGGG"
    for place in range(len(box)):
        for letter in "NRY-":
            spoilt = box[:place] + letter + box[place + 1 :]
            assert not hits([spoilt], EPD["TATA-box"]).any()
    assert hits([box.lower()], EPD["TATA-box"]).any()


def test_sequences_shorter_than_the_motif_have_no_hit():
    assert occurrence(["ACG", "TTT"], EPD["GC-box"]).tolist() == [0.0, 0.0, 0.0]


def test_blocks_change_nothing(monkeypatch):
    sequences = ["".join(row) for row in RNG.choice(list("ACGT"), size=(100, 60))]
    whole = hits(sequences, EPD["Initiator"])
    monkeypatch.setattr(motifs, "BLOCK", 130)
    np.testing.assert_array_equal(hits(sequences, EPD["Initiator"]), whole)


def test_codes_and_strings_are_the_same_sequences():
    sequences = ["".join(row) for row in RNG.choice(list("ACGTN"), size=(50, 80))]
    np.testing.assert_array_equal(hits(encode(sequences), EPD["GC-box"]), hits(sequences, EPD["GC-box"]))


def test_the_other_strand_is_the_reverse_complement_read_backwards():
    sequences = ["".join(row) for row in RNG.choice(list("ACGT"), size=(200, 60))]
    motif = EPD["CCAAT-box"]
    turned = hits([reverse_complement(sequence) for sequence in sequences], motif)[:, ::-1]
    np.testing.assert_array_equal(hits(sequences, motif.reverse_complement()), turned)
    both = hits(sequences, motif, both_strands=True)
    np.testing.assert_array_equal(both, turned | hits(sequences, motif))
    np.testing.assert_allclose(occurrence(sequences, motif, both_strands=True), 100 * both.mean(axis=0))


def test_windows_count_sequences_with_a_hit_around_each_position():
    mask = RNG.random((30, 40)) < 0.05
    for width in (1, 2, 7, 20, 100):
        slow = np.zeros_like(mask)
        for position in range(40):
            first = position - width // 2
            slow[:, position] = mask[:, max(first, 0) : max(first + width, 0)].any(axis=1)
        np.testing.assert_array_equal(in_windows(mask, width), slow)
    sequences = ["".join(row) for row in RNG.choice(list("ACGT"), size=(50, 60))]
    found = in_windows(hits(sequences, EPD["Initiator"]), 8)
    np.testing.assert_allclose(occurrence(sequences, EPD["Initiator"], window=8), 100 * found.mean(axis=0))


def test_unequal_lengths_and_nothing_are_refused():
    with pytest.raises(ValueError, match="sequence 1 has 3 bases"):
        occurrence(["ACGT", "ACG"], EPD["Initiator"])
    with pytest.raises(ValueError, match="no sequence"):
        occurrence([], EPD["Initiator"])


def biopython(motif):
    return PositionSpecificScoringMatrix("ACGT", {base: motif.matrix[:, i].tolist() for i, base in enumerate("ACGT")})


@pytest.mark.parametrize("motif", EPD.values(), ids=EPD)
def test_parity_with_biopython_and_with_float64(motif):
    sequences = ["".join(row) for row in RNG.choice(list("ACGT"), size=(300, 256))]
    pssm, width = biopython(motif), len(motif.matrix)
    codes = encode(sequences)
    windows = np.lib.stride_tricks.sliding_window_view(codes, width, axis=1)
    score = motif.matrix[np.arange(width), windows].sum(axis=2)
    theirs = np.array([pssm.calculate(sequence) for sequence in sequences])
    # Biopython sums in float32
    np.testing.assert_allclose(theirs, score, atol=1e-4)
    ours = hits(sequences, motif)[:, motif.reference : motif.reference + score.shape[1]]
    # scores are multiples of 0.01, so half a step decides ties without exact arithmetic
    np.testing.assert_array_equal(ours, score >= motif.cutoff - 0.005)
    np.testing.assert_array_equal(ours, theirs >= motif.cutoff - 0.005)
    assert ours.any() or motif.name in ("CCAAT-box", "GC-box")


def test_json_gives_the_motif_back(tmp_path):
    motif = Motif("half", [[0.123456, -1, 0, -2.5], [0, 0, -7, 1]], -0.1, 1, (-30, 4), 20)
    for one in (*EPD.values(), motif):
        again = Motif.from_json(one.to_json())
        np.testing.assert_array_equal(again.matrix, one.matrix)
        same = ("name", "cutoff", "reference", "region", "window")
        assert [getattr(again, key) for key in same] == [getattr(one, key) for key in same]
    (tmp_path / "m.json").write_text(motif.to_json())
    assert read_motif(tmp_path / "m.json").region == (-30, 4)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x"}', EPD["GC-box"].to_json().replace("6", '"a"')])
def test_a_file_that_is_no_motif_is_named(tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(InputError, match=r"m\.json is not a motif"):
        read_motif(tmp_path / "m.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"matrix": np.zeros((3, 5))}, "shape"),
        ({"matrix": np.zeros((0, 4))}, "shape"),
        ({"matrix": [[0, 0, 0, -np.inf]]}, "not finite"),
        ({"cutoff": np.nan}, "not finite"),
        ({"reference": 2}, "reference column 2"),
        ({"reference": -1}, "reference column -1"),
        ({"region": (5, -5)}, "region"),
        ({"region": (0, 5)}, "no position 0"),
        ({"window": 0}, "window 0"),
    ],
)
def test_impossible_motifs_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Motif(**{"name": "x", "matrix": np.zeros((2, 4)), "cutoff": 0.0, "reference": 0} | changes)


def test_from_jaspar_by_hand():
    counts = {"A": [8, 0], "C": [0, 4], "G": [0, 4], "T": [0, 0]}
    motif = from_jaspar("toy", counts, pseudocount=4, relative_cutoff=0.75)
    # column 1: (8 + 1, 1, 1, 1) / 12; column 2: (1, 5, 5, 1) / 12; the best base of each at 0
    expected = [[0, -np.log(9), -np.log(9), -np.log(9)], [-np.log(5), 0, 0, -np.log(5)]]
    np.testing.assert_allclose(motif.matrix, expected, atol=1e-6)
    assert motif.cutoff == pytest.approx(-0.25 * np.log(45), abs=1e-6)
    assert motif.reference == 1


def test_from_jaspar_takes_the_background_into_account():
    counts = {"A": [10], "C": [10], "G": [10], "T": [10]}
    motif = from_jaspar("flat", counts, background=(0.4, 0.1, 0.1, 0.4))
    # equal counts against an A+T-rich background speak for C and G, by ln 4 (the pseudocounts follow the background)
    expected = np.log((10 + 0.4) / 0.4) - np.log((10 + 0.1) / 0.1)
    np.testing.assert_allclose(motif.matrix, [[expected, 0, 0, expected]], atol=1e-6)


def test_relative_cutoffs_run_from_everything_to_the_best_only():
    counts = {"A": [9, 1], "C": [3, 2], "G": [1, 3], "T": [2, 9]}
    words = [a + b for a in "ACGT" for b in "ACGT"]
    assert hits(words, from_jaspar("all", counts, relative_cutoff=0.0)).any(axis=1).all()
    best = hits(words, from_jaspar("best", counts, relative_cutoff=1.0)).any(axis=1)
    assert [word for word, hit in zip(words, best, strict=True) if hit] == ["AT"]


@pytest.mark.parametrize(
    "options",
    [{"pseudocount": 0}, {"relative_cutoff": 1.5}, {"background": (1, 0, 0, 0)}, {"background": (1, 1, 1, 1)}],
)
def test_from_jaspar_refuses_what_makes_no_log_odds(options):
    with pytest.raises(ValueError, match="toy"):
        from_jaspar("toy", {base: [1.0] for base in "ACGT"}, **options)
