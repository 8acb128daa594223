"""Measures of sets whose answer is known, and intervals that hold what they promise."""

import numpy as np
import pandas as pd
import pytest

from genovision.alphabet import decode, encode
from genovision.dna import composition, curves, diversity
from genovision.dna.copying import nearest_identity
from genovision.dna.curves import CURVES
from genovision.dna.measures import MEASURES, join, measure, shifted
from genovision.dna.motifs import EPD, Motif, occurrence

RNG = np.random.default_rng(10)
MOTIFS = [EPD["TATA-box"], EPD["Initiator"]]


def random_set(number=60, length=80):
    return decode(RNG.integers(0, 4, size=(number, length)).astype(np.uint8))


REAL, OTHER, TRAIN = random_set(), random_set(), random_set(100)
OPTIONS = {"species": "A_one", "replicates": 40, "seed": 3}


def value(tables, metric, motif="", column="value"):
    rows = tables.measures[(tables.measures["metric"] == metric) & (tables.measures["motif"] == motif)]
    return rows[column].item()


@pytest.fixture(scope="module")
def tables():
    return measure("mine", OTHER, REAL, TRAIN, MOTIFS, **OPTIONS)


def test_every_value_is_that_of_the_plain_function(tables):
    one, real = encode(OTHER), encode(REAL)
    identity = nearest_identity(one, encode(TRAIN))
    expected = {
        ("js6", ""): composition.jensen_shannon(composition.spectrum(one, 6), composition.spectrum(real, 6)),
        ("gc", ""): sum(map("".join(OTHER).count, "GC")) / (60 * 80),
        ("composition_l1", ""): composition.composition_l1(
            composition.base_fractions(one), composition.base_fractions(real)
        ),
        ("div", ""): diversity.diversity(one),
        ("delta_div", ""): diversity.delta_diversity(one, real),
        ("nearest_identity", ""): identity.mean(),
        ("nearest_identity_max", ""): identity.max(),
    }
    for motif in MOTIFS:
        curve, real_curve = occurrence(OTHER, motif), occurrence(REAL, motif)
        expected["cor", motif.name] = curves.cor_m(curve, real_curve)
        expected["mse", motif.name] = curves.mse_m(curve, real_curve)
        expected["peak", motif.name] = curves.peak(curve, motif)
        expected["peak_position", motif.name] = curves.peak_position(curve, motif)
        expected["background", motif.name] = curves.background(curve, motif)
    assert set(zip(tables.measures["metric"], tables.measures["motif"], strict=True)) == set(expected)
    assert {metric for metric, _ in expected} == set(MEASURES)
    for (metric, motif), wanted in expected.items():
        assert value(tables, metric, motif) == pytest.approx(float(wanted), nan_ok=True), metric


def test_tables_have_the_columns_that_others_read(tables):
    assert list(tables.curves) == CURVES
    assert len(tables.curves) == 2 * 80
    assert list(tables.composition) == ["species", "length", "set", "position", *"ACGT"]
    np.testing.assert_allclose(tables.composition[list("ACGT")].sum(axis=1), 1)
    assert tables.composition["position"].tolist() == list(range(-40, 40))
    assert list(tables.evidence) == ["system", "metric", "side", "group", "replicate", "value"]
    assert (tables.measures["n"] == 60).all()
    assert not tables.evidence.duplicated(["metric", "replicate"]).any()
    replicates = tables.evidence.groupby("metric")["replicate"]
    assert (replicates.min() == -1).all()
    assert (replicates.max() == 39).all()
    assert {"cor:TATA-box", "mse:Initiator", "peak:TATA-box", "background:TATA-box", "js6", "gc", "div"} <= set(
        tables.evidence["metric"]
    )


def test_the_point_estimate_in_the_evidence_is_the_value_of_the_table(tables):
    points = tables.evidence[tables.evidence["replicate"] == -1].set_index("metric")["value"]
    assert points["js6"] == value(tables, "js6")
    assert points["peak:Initiator"] == value(tables, "peak", "Initiator")


def test_intervals_hold_the_value(tables):
    rows = tables.measures.dropna(subset=["low"])
    assert len(rows) > 8
    assert (rows["low"] <= rows["value"] + 1e-12).all()
    assert (rows["value"] <= rows["high"] + 1e-12).all()
    band = tables.curves.dropna(subset=["low"])
    assert (band["low"] <= band["percent"]).mean() > 0.99
    assert (band["window_percent"] >= band["percent"]).all()


def test_the_real_set_against_itself_is_perfect():
    own = measure("test", REAL, REAL, TRAIN, MOTIFS, **OPTIONS)
    for column in ("value", "low", "high"):
        assert value(own, "cor", "Initiator", column) == pytest.approx(1)
        for metric in ("js6", "composition_l1", "delta_div"):
            assert value(own, metric, column=column) == pytest.approx(0, abs=1e-12)


def test_replicates_of_the_real_set_are_the_same_for_every_set():
    # a set that is one letter throughout does not change when resampled: all that varies is the real side
    first = measure("first", ["A" * 80] * 60, REAL, TRAIN, [], **OPTIONS).evidence
    second = measure("second", ["A" * 80] * 60, REAL, TRAIN, [], **OPTIONS).evidence
    chosen = first["metric"].isin(["js6", "composition_l1", "delta_div"])
    np.testing.assert_array_equal(first.loc[chosen, "value"], second.loc[chosen, "value"])
    assert first.loc[first["metric"] == "composition_l1", "value"].nunique() > 30


def test_the_same_seed_gives_the_same_tables_and_another_one_does_not(tables):
    again = measure("mine", OTHER, REAL, TRAIN, MOTIFS, **OPTIONS)
    for one, two in zip(tables, again, strict=True):
        pd.testing.assert_frame_equal(one, two)
    other = measure("mine", OTHER, REAL, TRAIN, MOTIFS, **(OPTIONS | {"seed": 4}))
    assert value(other, "gc") == value(tables, "gc")
    assert value(other, "gc", column="low") != value(tables, "gc", column="low")


def test_a_set_drawn_from_the_training_fold_does_not_find_itself():
    drawn = TRAIN[:60]
    assert value(measure("train", drawn, REAL, TRAIN, [], **OPTIONS), "nearest_identity_max") < 1
    assert value(measure("copies", drawn, REAL, TRAIN, [], **OPTIONS), "nearest_identity") == 1


def test_a_curve_without_a_hit_has_no_correlation_and_a_reason():
    never = Motif("never", np.full((3, 4), -1.0), 0.0, 0)
    tables = measure("mine", OTHER, REAL, TRAIN, [never], **OPTIONS)
    assert np.isnan(value(tables, "cor", "never"))
    assert np.isnan(value(tables, "cor", "never", "low"))
    assert value(tables, "cor", "never", "convention").startswith("undefined, a curve is constant")
    assert value(tables, "mse", "never") == 0


def test_sparse_curves_are_marked():
    tables = measure("mine", OTHER, REAL, TRAIN, [EPD["GC-box"], EPD["Initiator"]], **OPTIONS)
    assert "too few for a trustworthy interval" in value(tables, "cor", "GC-box", "convention")
    assert "too few" not in value(tables, "cor", "Initiator", "convention")


def test_no_replicates_give_no_intervals():
    tables = measure("mine", OTHER, REAL, TRAIN, MOTIFS, species="A_one", replicates=0)
    assert tables.measures["low"].isna().all()
    assert tables.curves["low"].isna().all()
    assert (tables.evidence["replicate"] == -1).all()


def test_unequal_numbers_or_lengths_are_refused():
    with pytest.raises(ValueError, match="59 sequences of mine against 60"):
        measure("mine", OTHER[1:], REAL, TRAIN, MOTIFS, **OPTIONS)
    with pytest.raises(ValueError, match="one length"):
        measure("mine", OTHER, REAL, ["ACGT"], MOTIFS, **OPTIONS)


def test_shifted_moves_the_mean_to_the_estimate_and_keeps_the_spread():
    values = np.concatenate([[0.9], RNG.normal(0.7, 0.02, size=500)])
    moved = shifted(values, -1, 1)
    assert moved[0] == 0.9
    assert moved[1:].mean() == pytest.approx(0.9)
    assert moved[1:].std() == pytest.approx(values[1:].std())
    assert shifted([0.99, 0.5, 0.7], -1, 1).max() == 1.0
    np.testing.assert_array_equal(shifted([0.5, np.nan, 0.4]), [0.5, np.nan, 0.5])
    assert np.isnan(shifted([np.nan, 0.1])).all()


def test_the_shifted_interval_covers_the_expected_value_and_the_raw_one_does_not():
    # two samples of one distribution: what is the expected divergence at this number of sequences?
    rng = np.random.default_rng(0)
    pool = rng.choice(4, p=[0.4, 0.3, 0.2, 0.1], size=(3000, 40)).astype(np.uint8)
    spectra = np.stack([composition.spectrum(row[None], 3) for row in pool])

    def js(weights, others, left, right):
        return composition.jensen_shannon(weights @ spectra[left], others @ spectra[right])

    one = np.ones((1, 100))
    draws = [rng.permutation(3000)[:200].reshape(2, 100) for _ in range(260)]
    expected = np.mean([js(one, one, left, right)[0] for left, right in draws[:200]])
    covered, raw = 0, 0
    for left, right in draws[200:]:
        weights, others = (np.vstack([one, rng.multinomial(100, np.full(100, 0.01), size=100)]) for _ in range(2))
        values = js(weights, others, left, right)
        low, high = np.percentile(shifted(values)[1:], [2.5, 97.5])
        covered += low <= expected <= high
        low, high = np.percentile(values[1:], [2.5, 97.5])
        raw += low <= expected <= high
    assert covered >= 54  # 90 % of 60 at least
    assert raw <= 6


def test_join_puts_the_floor_beside_every_value(tables):
    floor = measure("train", TRAIN[:60], REAL, TRAIN, MOTIFS, **OPTIONS)
    joined = join([tables.measures, floor.measures], "train")
    assert list(joined["set"].unique()) == ["mine", "train"]
    for metric, motif in (("js6", ""), ("cor", "Initiator")):
        rows = joined[(joined["metric"] == metric) & (joined["motif"] == motif)]
        assert rows["floor"].tolist() == [value(floor, metric, motif)] * 2
    assert list(joined).index("floor") == list(joined).index("high") + 1
    assert join([tables.measures], "train")["floor"].isna().all()
    with pytest.raises(ValueError, match="js6 of set mine, A_one, length 80 is there twice"):
        join([tables.measures, tables.measures], "train")
