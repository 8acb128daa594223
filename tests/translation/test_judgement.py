"""Rank correlations against scipy, errors and quality against single evaluations, agreement, cost."""

import numpy as np
import pandas as pd
import pytest
from sacrebleu.metrics import BLEU
from scipy.stats import spearmanr
from translation import scored_world as world

from genovision.claims.ledger import check_evidence, read_claim, weigh
from genovision.errors import InputError
from genovision.resampling import Draws
from genovision.translation import detection, judgement
from genovision.translation.prediction_rejection import prediction_rejection_ratio
from genovision.translation.scored import read_task

SEEDS = ("0", "1", "2")
RISES = {"single": None, "ensemble": 1.0, "end": None, "laplace_top": 1.5}


def task(name="bitext", rises=RISES, controls=True):
    given = {(seed, system): world.scored(system, int(seed), rises, task=name) for seed in SEEDS for system in rises}
    return read_task(name, given, world.ROLES, world.controls() if controls else None)


def references(one):
    table = world.sets()
    return table[table["set"] == "test"].set_index("id")["target"].loc[one.ids["test"]].tolist()


@pytest.mark.parametrize("levels", [3, 10_000])
def test_rank_correlation_is_scipys_on_repeated_pairs(levels):
    rng = np.random.default_rng(levels)
    x, y = rng.integers(levels, size=30), rng.integers(levels, size=30)
    counts = Draws(20, 0)("pairs", 30)
    found = judgement.spearman(x, y, counts)
    for r, row in enumerate(counts):
        assert found[r] == pytest.approx(spearmanr(np.repeat(x, row), np.repeat(y, row)).statistic)
    assert judgement.spearman(x, y)[0] == found[0]
    assert judgement.spearman(np.exp(x / levels), y, counts) == pytest.approx(found)


def test_rank_correlation_of_what_does_not_vary_is_undefined():
    assert np.isnan(judgement.spearman(np.zeros(5), np.arange(5.0))).all()
    assert judgement.spearman(np.arange(5.0), -np.arange(5.0))[0] == pytest.approx(-1)


def test_errors_are_means_over_seeds_of_the_plain_measures():
    one = task()
    table = judgement.error_table([judgement.Errors(one, Draws(50, 0))]).set_index(["system", "measure"])
    each = [world.scored("laplace_top", seed, RISES) for seed in range(3)]
    each = [part[part["set"] == "test"] for part in each]
    prr = np.mean([prediction_rejection_ratio(part["total"], part["chrf"]) for part in each])
    rho = np.mean([spearmanr(part["total"], -part["chrf"]).statistic for part in each])
    row = table.loc[("laplace_top", "total")]
    assert row["prr"] == pytest.approx(prr) and row["spearman"] == pytest.approx(rho)
    assert row["prr_low"] <= row["prr"] <= row["prr_high"]
    assert table.loc[("single", "mutual_information"), "prr"] == pytest.approx(0, abs=1e-12)
    assert np.isnan(table.loc[("single", "mutual_information"), "spearman"])
    assert table.loc[("control", "length"), "of"] == "ensemble" and table.loc[("end", "total"), "of"] == "end"
    assert table.loc[("laplace_top", "total"), "prr"] > table.loc[("control", "length"), "prr"] + 0.3
    assert set(table["quality"]) == {"chrf"}


def test_lower_nll_is_better():
    table = judgement.error_table([judgement.Errors(task("dna"), Draws(0, 0))]).set_index(["system", "measure"])
    assert table.loc[("ensemble", "total"), "prr"] == pytest.approx(1)  # nll rises with it
    assert set(table["quality"]) == {"-nll"}


def test_quality_of_translations():
    one = task()
    found = judgement.Quality(one, Draws(50, 0), references(one))
    table = judgement.quality_table([found]).set_index(["system", "metric"])
    texts = [t.set_index("id")["hypothesis"].loc[one.ids["test"]].tolist() for t in one.tables["single"]]
    plain = [BLEU().corpus_score(hypotheses, [references(one)]).score for hypotheses in texts]
    assert table.loc[("single", "bleu"), "value"] == pytest.approx(np.mean(plain))
    row = table.loc[("single", "bleu")]
    assert row["low"] < row["value"] < row["high"] and "tok:13a" in row["signature"]
    other = table.loc[("ensemble", "bleu")]
    assert row["difference"] == pytest.approx(row["value"] - other["value"])
    assert other["difference"] == other["difference_low"] == other["difference_high"] == 0
    assert row["difference_low"] < row["difference"] < row["difference_high"]


def test_bits_of_sequences():
    one = task("dna")
    table = judgement.quality_table([judgement.Quality(one, Draws(20, 0))]).set_index("system")
    nll = [part.loc[part["set"] == "test", "nll"].mean() for part in one.tables["end"]]
    assert table.loc["end", "value"] == pytest.approx(np.mean(nll) / np.log(2))
    assert set(table["metric"]) == {"bits"}


def test_the_ledger_weighs_quality_and_errors():
    both = [task(), task("dna")]
    draws = Draws(100, 0)
    found = [detection.Detection(one, draws) for one in both]
    qualities = [judgement.Quality(both[0], draws, references(both[0])), judgement.Quality(both[1], draws)]
    rows = pd.concat(
        [
            judgement.quality_evidence(qualities, found),
            judgement.error_evidence([judgement.Errors(one, draws) for one in both], found),
        ]
    )
    rows = check_evidence(rows, "evidence")
    common = {"system": "edd", "claim": "", "minimum_effect": 0, "unit": "sentence"}
    claims = [
        {"id": 28, "metric": "bleu", "left": "laplace", "right": "ensemble", "direction": "near", "minimum_effect": 50},
        {"id": 98, "metric": "bits", "left": "laplace", "right": "ensemble", "direction": "near", "minimum_effect": 5},
        {"id": 99, "metric": "prr", "left": "ensemble", "right": "length", "direction": "greater"},
        {"id": 100, "metric": "prr_knowledge", "left": "ensemble", "right": "single", "direction": "near"},
    ]
    weighed = weigh([read_claim(common | claim) for claim in claims], {"e.tsv": rows}, {}, "desk")
    assert weighed["groups"].tolist() == ["bitext", "dna", "bitext, dna", "bitext, dna"]
    assert weighed["verdict"].tolist()[:3] == ["supported"] * 3
    assert np.isfinite(weighed["estimate"]).all()


def test_agreement_is_with_the_ensemble_of_the_same_seed():
    one = task()
    table = judgement.agreement_table([one], Draws(30, 0)).set_index(["system", "measure", "of", "set"])
    row = table.loc[("laplace_top", "mutual_information", "mutual_information", "french")]
    each = []
    for seed in range(3):
        pair = [world.scored(name, seed, RISES) for name in ("laplace_top", "ensemble")]
        each.append(spearmanr(*(p.loc[p["set"] == "french", "mutual_information"] for p in pair)).statistic)
    assert row["value"] == pytest.approx(np.mean(each)) and row["low"] < row["value"] < row["high"]
    assert not any(place[:2] == ("single", "mutual_information") for place in table.index)
    assert {("single", "total", "total"), ("end", "total", "mutual_information")} <= {
        place[:3] for place in table.index
    }
    drawn = judgement.points([one])
    assert list(drawn.columns) == ["task", "seed", "set", "id", "ensemble", "laplace_top"]
    assert set(drawn["set"]) == {"test", "django", "french"} and set(drawn["seed"]) == {"0"}
    at = drawn[(drawn["set"] == "french") & (drawn["id"] == "french-7")]["ensemble"].item()
    own = world.scored("ensemble", 0, RISES)
    assert at == own.loc[own["id"] == "french-7", "mutual_information"].item()


def test_without_an_ensemble_there_is_nothing_to_agree_with():
    one = task(rises={"single": None, "end": None}, controls=False)
    assert judgement.agreement_table([one], Draws(0, 0)).empty and judgement.points([one]).empty
    assert judgement.Errors(one, Draws(0, 0)).judged == "single"
    assert "difference" not in judgement.quality_table([judgement.Quality(one, Draws(0, 0), references(one))])


def test_cost_is_a_mean_over_runs_with_ratios():
    given = {"single": (2.0, 4.0), "ensemble": (6.0, 6.0), "end": (3.0, 3.0)}
    rows = [world.costs(system, seconds).assign(task="bitext") for system, some in given.items() for seconds in some]
    table = judgement.cost_table(pd.concat(rows)).set_index("system")
    assert table["seconds"].tolist() == [4.5, 9.0, 4.5] and table["runs"].tolist() == [2, 2, 2]
    assert table.loc["single", ["lowest", "highest"]].tolist() == [3.0, 6.0]
    assert table["to_single"].tolist() == [1, 2, 1] and table["to_ensemble"].tolist() == [0.5, 1, 0.5]
    assert table.loc["end", "per_sentence"] == pytest.approx(4500 / 40)
    alone = judgement.cost_table(world.costs("end", 1.0).assign(task="dna"))
    assert np.isnan(alone["to_single"]).all()


def test_translations_must_be_there():
    one = task()
    one.tables["end"][1] = one.tables["end"][1].drop(columns="hypothesis")
    with pytest.raises(InputError, match="no column hypothesis"):
        judgement.Quality(one, Draws(0, 0), references(one))


def test_a_laplace_student_whose_scales_reach_one_is_told():
    given = {("0", system): world.scored(system, 0, RISES | {"laplace": 1.0}) for system in (*RISES, "laplace")}
    heavy = {"laplace": 0.25, "laplace_top": 0.0}
    for system, share in heavy.items():
        given["0", system] = given["0", system].assign(heavy_share=share)
    given["0", "end"] = given["0", "end"].assign(heavy_share=0.9)
    told = judgement.alarms([read_task("bitext", given, world.ROLES)])
    assert told["species"].tolist() == ["bitext laplace"] and told["text"].item().startswith("25.0 % of its scales")
    given["0", "laplace"] = given["0", "laplace"].assign(heavy_share=0.0)
    assert judgement.alarms([read_task("bitext", given, world.ROLES)]).empty
