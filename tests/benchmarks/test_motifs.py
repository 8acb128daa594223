"""Searching 256-bp sequences with EPD's four matrices, beside Biopython's PSSM search, which must find the same hits.

Ours is timed on 100,000 sequences (aim: under a second on one core) and, for the ratio, on the 5,000 on which Biopython is timed too.
Biopython is given each sequence ready made as a Seq, and a threshold half a step below the cut-off: it sums two-decimal scores in
float32, which would lose some of those that equal the cut-off. It is also given all sequences as one, which spares it most of its
Python; its hits across two sequences are then taken out after the clock has stopped.
"""

import numpy as np
import pytest
from Bio.motifs.matrix import PositionSpecificScoringMatrix
from Bio.Seq import Seq

from genovision.alphabet import decode
from genovision.dna.motifs import EPD, hits, occurrence

MANY, FEW, LENGTH = 100_000, 5_000, 256
AIM = {"biopython": 50.0, "biopython joined": None}  # times our time, printed beside what is measured
SECONDS: dict[str, float] = {}


@pytest.fixture(scope="module")
def sequences():
    """Random sequences with A. thaliana's share of bases."""
    rng = np.random.default_rng(2)
    return decode(rng.choice(4, p=[0.31, 0.19, 0.19, 0.31], size=(MANY, LENGTH)).astype(np.uint8))


def by_us(sequences):
    return {name: occurrence(sequences, motif) for name, motif in EPD.items()}


def by_biopython(sequences):
    """Start positions of the hits of each sequence, per motif."""
    found = {}
    for name, motif in EPD.items():
        pssm = PositionSpecificScoringMatrix(
            "ACGT", {base: motif.matrix[:, i].tolist() for i, base in enumerate("ACGT")}
        )
        threshold = motif.cutoff - 0.005
        found[name] = [[place for place, _ in pssm.search(one, threshold=threshold, both=False)] for one in sequences]
    return found


def as_mask(places, motif):
    """Start positions per sequence, or of one joined sequence -> (FEW, LENGTH) hits."""
    mask = np.zeros((FEW, LENGTH), dtype=bool)
    step = LENGTH if len(places) > 1 else 0
    for row, starts in enumerate(places):
        starts = np.array(starts, dtype=int) + row * step
        starts = starts[starts % LENGTH <= LENGTH - len(motif.matrix)]
        mask.ravel()[starts + motif.reference] = True
    return mask


@pytest.mark.benchmark(group="motifs: 100,000 sequences of 256 bp, four matrices")
def test_a_hundred_thousand_sequences(sequences, benchmark):
    curves = benchmark.pedantic(by_us, args=(sequences,), rounds=5, warmup_rounds=1)
    for name, motif in EPD.items():
        np.testing.assert_allclose(curves[name], 100 * hits(sequences, motif).mean(axis=0), rtol=1e-12)
    if benchmark.stats:
        print(f"\n100,000 sequences, four matrices: {benchmark.stats.stats.median:.2f} s (aim: under 1 s)")


@pytest.mark.benchmark(group="motifs: 5,000 sequences of 256 bp, four matrices")
@pytest.mark.parametrize("searcher", ["genovision", *AIM])
def test_hits_are_biopythons(sequences, benchmark, searcher):
    few = sequences[:FEW]
    if searcher == "genovision":
        benchmark.pedantic(by_us, args=(few,), rounds=9, warmup_rounds=1)
    else:
        theirs = [Seq("".join(few))] if searcher.endswith("joined") else [Seq(one) for one in few]
        found = benchmark.pedantic(by_biopython, args=(theirs,), rounds=3)
        for name, motif in EPD.items():
            np.testing.assert_array_equal(hits(few, motif), as_mask(found[name], motif))
            assert hits(few, motif).any()
    if benchmark.stats:
        SECONDS[searcher] = benchmark.stats.stats.median
    if searcher in AIM and "genovision" in SECONDS:
        ratio = SECONDS[searcher] / SECONDS["genovision"]
        benchmark.extra_info["times our time"] = round(ratio, 1)
        print(f"\n{searcher}: {ratio:.0f} times our time" + (f" (aim: {AIM[searcher]:.0f})" if AIM[searcher] else ""))
