"""Judging sets whose features are known: distances in closed form, classifiers, the oracle's predictions, and bad input."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from genovision.alphabet import encode
from genovision.dna import composition
from genovision.dna.features import KINDS, Basis, Features, by_species, parts_of, read_features, write_features
from genovision.dna.judgement import (
    MEASURES,
    frechet,
    histogram_divergence,
    judge,
    logistic_scores,
    separation,
    shift,
)
from genovision.dna.measures import measure
from genovision.errors import InputError
from genovision.frechet import frechet_distance, moments
from genovision.resampling import bootstrap_counts, stream
from genovision.tables import read_table, write_table
from genovision.uncertainty.metrics import auroc

NAMES = ("A_one", "B_two")
OPTIONS = {"replicates": 30, "seed": 3}


def described(name, seed, numbers=(60, 50), away=0.0, length=40, **changes):
    """Features drawn from a normal distribution whose mean is `away` in every entry; three in four are named as their species."""
    rng = np.random.default_rng(seed)
    species = np.repeat(np.arange(len(numbers)), numbers)
    number = len(species)
    logits = rng.normal(size=(number, 2, len(KINDS)))
    right = rng.random(number) < 0.75
    logits[np.arange(number), np.where(right, species, 1 - species)] += 10
    flat = logits.reshape(number, -1)
    found = Features(
        name,
        rng.integers(0, 4, (number, length)).astype(np.uint8),
        species,
        NAMES,
        fred=rng.normal(away, 1, (number, 4)),
        basis=Basis(np.zeros(6), np.eye(4, 6), 0.5),
        p_fid=rng.normal(away, 1, (number, 5)),
        classes=flat - np.logaddexp.reduce(flat, axis=1)[:, None],
        predictions=rng.normal(4 * away, 2, (number, 2)),
        outputs=NAMES,
        scores=(rng.normal(-2 * away, 1, number), rng.normal(0, 1, number)),
    )
    return replace(found, **changes)


ONE, REAL = described("mine", 1, away=1.0), described("test", 2, scores=None)


def value(tables, metric, species="A_one", column="value", name="mine"):
    table = tables.measures
    return table.loc[
        (table["metric"] == metric) & (table["species"] == species) & (table["set"] == name), column
    ].item()


@pytest.fixture(scope="module")
def tables():
    return judge(ONE, REAL, **OPTIONS)


def test_every_value_is_that_of_the_plain_function(tables):
    for label, species in enumerate(NAMES):
        one, real = ONE.of(label), REAL.of(label)
        part = np.arange(len(one.codes)) % 3
        for metric, name in (("fred", "fred"), ("p_fid", "p_fid")):
            expected = frechet_distance(*moments(getattr(one, name)), *moments(getattr(real, name)))
            assert value(tables, metric, species) == pytest.approx(expected)
        spectra = (composition.spectrum(side.codes, 3) for side in (one, real))
        assert value(tables, "js3", species) == pytest.approx(composition.jensen_shannon(*spectra))
        ours, theirs = one.scores
        parts = [auroc(theirs[part == k], ours[part == k]) for k in range(3)]
        expected = np.average(parts, weights=np.bincount(part))
        assert value(tables, "discriminator_cnn", species) == pytest.approx(expected)
        named = by_species(one.classes).argmax(axis=1) == label
        assert value(tables, "species_accuracy", species) == pytest.approx(named.mean())
        ours, theirs = one.predictions[:, label], real.predictions[:, label]
        expected = abs(ours.mean() - theirs.mean()) / theirs.std()
        assert value(tables, "integration_shift", species) == pytest.approx(expected)
    assert set(tables.measures["metric"]) == set(MEASURES)
    assert list(tables.measures) == [
        *("species", "length", "set", "motif", "metric", "value", "low", "high", "n", "convention")
    ]


def test_intervals_hold_the_value_and_the_evidence_its_replicates(tables):
    rows = tables.measures
    assert (rows["low"] <= rows["value"]).all() and (rows["value"] <= rows["high"]).all()
    assert (rows["low"] < rows["high"]).all()
    evidence = tables.evidence
    assert list(evidence) == ["system", "metric", "side", "group", "replicate", "value"]
    assert len(evidence) == len(rows) * 31
    point = evidence[(evidence["metric"] == "fred") & (evidence["group"] == "B_two") & (evidence["replicate"] == -1)]
    assert point["value"].item() == value(tables, "fred", "B_two")
    assert set(evidence["side"]) == {"mine"} and set(evidence["system"]) == {"discdiff"}


def test_a_set_farther_away_is_found_farther_away(tables):
    near = judge(described("near", 4, away=0.0), REAL, **OPTIONS)
    for metric in ("fred", "p_fid", "integration_shift", "integration_js", "discriminator_cnn"):
        assert value(tables, metric, column="low") > value(near, metric, column="high", name="near")
    assert value(near, "discriminator_cnn", column="low", name="near") < 0.5


def test_the_real_set_against_itself_is_perfect_and_brings_chance():
    own = judge(REAL, REAL, **OPTIONS)
    for column in ("value", "low", "high"):
        for metric in ("fred", "p_fid", "js3", "integration_shift", "integration_js"):
            assert value(own, metric, column=column, name="test") == 0
        for metric in ("discriminator_logistic", "discriminator_cnn"):
            assert value(own, metric, column=column, name="test") == 0.5
        assert value(own, "species_accuracy", column=column, name="chance") == 0.5
    chance = own.evidence[own.evidence["side"] == "chance"]
    assert (chance["value"] == 0.5).all() and len(chance) == 2 * 31
    assert not (judge(ONE, REAL, **OPTIONS).measures["set"] == "chance").any()


def test_resamples_are_those_of_measure_set():
    rng = np.random.default_rng(0)
    real = ["".join(rng.choice(list("ACGT"), 40)) for _ in range(60)]
    ours = ["".join(rng.choice(list("AACGT"), 40)) for _ in range(60)]
    other = measure("mine", ours, real, real, [], species="A_one", **OPTIONS)
    # one species, and as features the G+C content, whose mean is a measure of measure_set
    content = [composition.gc_content(encode(side)) for side in (ours, real)]
    one, truth = (
        described(name, 1, (60,), codes=encode(side), p_fid=np.column_stack([gc, np.zeros(60)]), scores=None)
        for name, side, gc in zip(("mine", "test"), (ours, real), content, strict=True)
    )
    found = judge(one, truth, **OPTIONS).evidence
    assert len(found[found["metric"] == "js3"]) == 31
    # the distance of a set of one letter from itself is 0 but for the resampling of the real side: pairs follow from the streams
    counts = bootstrap_counts(60, 30, stream(3, "mine"))
    gc = other.evidence.loc[other.evidence["metric"] == "gc", "value"].to_numpy()
    raw = counts @ content[0] / 60
    assert np.allclose(gc[1:] - gc[1:].mean(), raw - raw.mean())
    weights = np.vstack([np.ones(60), counts]), np.vstack([np.ones(60), bootstrap_counts(60, 30, stream(3, "test"))])
    expected = frechet(one.p_fid, truth.p_fid, weights)
    distance = found.loc[found["metric"] == "p_fid", "value"].to_numpy()
    assert distance[0] == pytest.approx(expected[0])
    assert np.corrcoef(distance[1:], expected[1:])[0, 1] > 0.9  # shifted, and clipped at 0


def test_the_same_seed_gives_the_same_tables_and_another_one_does_not(tables):
    for first, second in zip(tables, judge(ONE, REAL, **OPTIONS), strict=True):
        pd.testing.assert_frame_equal(first, second)
    other = judge(ONE, REAL, replicates=30, seed=4)
    assert value(other, "fred") == value(tables, "fred")
    assert value(other, "fred", column="low") != value(tables, "fred", column="low")


def test_a_set_may_lack_a_species_and_have_another_name():
    part = judge(ONE.of(1), REAL, name="half", **OPTIONS)
    assert set(part.measures["species"]) == {"B_two"} and set(part.measures["set"]) == {"half"}
    assert value(part, "fred", "B_two", name="half") == pytest.approx(value(judge(ONE, REAL), "fred", "B_two"))


def test_no_replicates_give_no_intervals():
    tables = judge(ONE, REAL, replicates=0)
    assert tables.measures["low"].isna().all() and (tables.evidence["replicate"] == -1).all()


def test_frechet_of_weights_is_that_of_the_repeated_rows():
    rng = np.random.default_rng(7)
    one, real = rng.normal(size=(30, 3)), rng.normal(size=(25, 3))
    weights = bootstrap_counts(30, 2, rng), bootstrap_counts(25, 2, rng)
    for found, left, right in zip(frechet(one, real, weights), *weights, strict=True):
        repeated = np.repeat(one, left.astype(int), axis=0), np.repeat(real, right.astype(int), axis=0)
        assert found == pytest.approx(
            frechet_distance(*map(np.asarray, (*moments(repeated[0]), *moments(repeated[1]))))
        )


def test_two_hundred_replicates_of_64_dimensions_take_little_time():
    rng = np.random.default_rng(7)
    one, real = rng.normal(size=(2, 500, 64))
    weights = bootstrap_counts(500, 200, rng), bootstrap_counts(500, 200, rng)
    start = time.process_time()
    frechet(one, real, weights)
    assert time.process_time() - start < 4  # about 1 on one core; threads of the linear algebra count as well


def test_separation_compares_within_parts_only():
    part = np.repeat([0, 1], 10)
    real, one = np.repeat([1.0, 101.0], 10), np.repeat([0.0, 100.0], 10)  # another offset in each part
    weights = (np.ones((1, 20)),) * 2
    assert separation(one, real, part, weights) == 1
    drawn = np.ones((1, 20))
    drawn[:, :10] = 0  # a part of which nothing was drawn is left out
    assert separation(one, real, part, (drawn, drawn)) == 1
    assert separation(real, one, part, weights) == 0
    assert separation(one, one, part, weights) == 0.5


def test_the_logistic_discriminator_finds_words_and_nothing_where_there_is_nothing():
    rng = np.random.default_rng(1)
    real, same, other = rng.integers(0, 4, (3, 200, 60)).astype(np.uint8)
    other[:, 20:26] = encode(["TATAAA"])[0]
    part = parts_of(np.zeros(200, dtype=int))
    weights = (np.ones((1, 200)),) * 2
    assert separation(*logistic_scores(other, real, part), part, weights) > 0.9
    assert separation(*logistic_scores(same, real, part), part, weights) == pytest.approx(0.5, abs=0.1)
    assert separation(*logistic_scores(real, real, part), part, weights) == 0.5


def test_parts_are_balanced_within_species():
    species = np.array([0] * 12 + [1] * 10)
    part = parts_of(species)
    assert np.bincount(part[:12]).tolist() == [4, 4, 4] and np.bincount(part[12:]).tolist() == [4, 3, 3]


def test_predictions_of_several_outputs():
    rng = np.random.default_rng(2)
    real = rng.normal(size=(5000, 2)) * [1, 10]
    weights = (np.ones((1, 5000)),) * 2
    assert shift(real + np.array([0.5, 0]), real, weights)[0] == pytest.approx(
        0.25, abs=0.01
    )  # mean over outputs, in deviations
    assert histogram_divergence(real, real[::-1], weights)[0] == 0
    assert histogram_divergence(real + 1000, real, weights)[0] == pytest.approx(np.log(2))
    assert histogram_divergence(real * 3, real, weights)[0] > 0.05  # the mean is the same
    assert np.isnan(shift(real, np.zeros((5000, 2)), weights)).all()


def test_outputs_of_no_species_are_all_judged():
    changed = {"outputs": ("accessible", "expressed")}
    one, real = replace(ONE, **changed), replace(REAL, **changed)
    found = value(judge(one, real, **OPTIONS), "integration_shift")
    sides = [side.of(0).predictions for side in (one, real)]
    distance = np.abs(sides[0].mean(axis=0) - sides[1].mean(axis=0)) / sides[1].std(axis=0)
    assert found == pytest.approx(distance.mean())


def test_an_oracle_that_answers_always_the_same_is_undefined_and_says_so():
    flat = replace(REAL, predictions=np.zeros_like(REAL.predictions))
    tables = judge(ONE, flat, **OPTIONS)
    assert np.isnan(value(tables, "integration_shift"))
    assert value(tables, "integration_shift", column="convention").startswith("undefined, the real predictions")


@pytest.mark.parametrize(
    ("one", "real", "message"),
    [
        (described("mine", 1, (59, 50)), REAL, "mine has 59 sequences of A_one and test 60: distances depend"),
        (
            described("mine", 1, (60, 5)),
            described("test", 2, (60, 5)),
            "5 sequences of B_two; the covariance of 5 features behind p_fid needs more than 5",
        ),
        (
            replace(ONE, names=("A_one", "C_three")),
            REAL,
            "mine was described for A_one, C_three and test for A_one, B_two",
        ),
        (described("mine", 1, length=48), REAL, "mine has sequences of 48 bases and test of 40"),
        (
            replace(ONE, basis=Basis(np.zeros(6), np.eye(4, 6)[::-1], 0.5)),
            REAL,
            "were not described by the same networks",
        ),
        (replace(ONE, outputs=("x", "y")), REAL, "were not described by the same networks"),
        (replace(ONE, p_fid=ONE.p_fid[:, :3]), REAL, "were not described by the same networks"),
        (ONE.of(7), REAL, "mine has no sequence"),
    ],
)
def test_what_cannot_be_compared_is_refused(one, real, message):
    with pytest.raises(InputError, match=message):
        judge(one, real, **OPTIONS)


def test_features_come_back_from_disk(tmp_path):
    for found in (ONE, REAL):
        write_features(tmp_path / "f.npz", found)
        again = read_features(tmp_path / "f.npz")
        for name, array in vars(found).items():
            if name == "basis":
                assert all(
                    np.array_equal(a, b) for a, b in zip(vars(again.basis).values(), vars(array).values(), strict=True)
                )
            else:
                assert np.array_equal(getattr(again, name), array), name


def test_damaged_features_are_refused(tmp_path):
    path = tmp_path / "f.npz"
    write_features(path, replace(ONE, p_fid=np.where(np.arange(110)[:, None] == 7, np.nan, ONE.p_fid)))
    with pytest.raises(InputError, match="p_fid of sequence 7 is not finite"):
        read_features(path)
    write_features(path, replace(ONE, fred=ONE.fred[1:]))
    with pytest.raises(InputError, match="codes has 110 rows and fred 109"):
        read_features(path)
    np.savez(path, codes=ONE.codes)
    with pytest.raises(InputError, match="has no array set, species"):
        read_features(path)


def test_the_command(command, tmp_path):
    write_features(tmp_path / "one.npz", ONE)
    write_features(tmp_path / "real.npz", REAL)
    outputs = {key: tmp_path / f"{key}.tsv" for key in ("measures", "evidence")}
    given = ["--set", tmp_path / "one.npz", "--real", tmp_path / "real.npz", "--replicates", 5]
    given += [text for key, path in outputs.items() for text in (f"--{key}", path)]
    first = None
    for _ in range(2):
        code, err = command("dna/judge_set", *given, "--name", "ours", "--system", "absorb_escape")
        assert code == 0, err
        found = [path.read_bytes() for path in outputs.values()]
        assert first in (None, found)
        first = found
    evidence = read_table(outputs["evidence"])
    assert set(evidence["side"]) == {"ours"} and set(evidence["system"]) == {"absorb_escape"}
    assert set(evidence["group"]) == set(NAMES)
    # with the measures of the real set, and of measure_set, in one table
    own = tmp_path / "own.tsv"
    options = ("--set", tmp_path / "real.npz", "--real", tmp_path / "real.npz", "--replicates", 5)
    assert command("dna/judge_set", *options, "--measures", own, "--evidence", tmp_path / "e.tsv")[0] == 0
    joined = tmp_path / "joined.tsv"
    code, err = command("dna/join_measures", "--measures", outputs["measures"], own, "--floor", "test", "--out", joined)
    assert code == 0, err
    rows = read_table(joined)
    assert (rows.loc[rows["metric"] == "fred", "floor"] == 0).all()
    code, err = command("dna/judge_set", *given, "--replicates", "-1")
    assert (code, "must not be negative" in err) == (2, True)
    write_table(pd.DataFrame({"a": [1]}), tmp_path / "no.tsv")
    code, err = command("dna/judge_set", *given, "--set", tmp_path / "no.tsv")
    assert (code, "no" in err.splitlines()[-1]) == (2, True)
