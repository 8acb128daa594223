"""The tidy table of generated promoters, its means and differences, and the conditions of Absorb & Escape."""

import numpy as np
import pandas as pd
import pytest

from genovision.dna.generator_tables import (
    ORIGIN,
    TIDY,
    conditions,
    difference,
    mean_over_species,
    origins,
    summary,
    tidy,
)
from genovision.errors import InputError

ORIGINS = pd.DataFrame(
    [["train", "real", "", "", "", ""], ["discdiff", "latent", "", "dpm++2m", "10", ""]], columns=ORIGIN
)


def measures(name: str, value: float) -> pd.DataFrame:
    rows = [
        {"species": species, "length": 256, "set": name, "motif": motif, "metric": metric, "value": value + shift}
        for species, shift in (("A_thaliana", 0.0), ("S_cerevisiae", 2.0))
        for motif, metric in (("", "fred"), ("TATA-box", "cor"))
    ]
    return pd.DataFrame(rows).assign(low=0.0, high=9.0, n=5, convention="")


def evidence(name: str, values: dict[int, float], metric: str = "fred") -> pd.DataFrame:
    rows = [
        ("x", metric, name, group, k, v + shift)
        for group, shift in (("A_thaliana", 0.0), ("S_cerevisiae", 2.0))
        for k, v in values.items()
    ]
    return pd.DataFrame(rows, columns=["system", "metric", "side", "group", "replicate", "value"])


def test_every_row_has_its_floor_and_its_origin_in_the_order_of_the_sets():
    table = tidy([measures("discdiff", 5.0), measures("train", 1.0)], ORIGINS, "train")
    assert list(table.columns) == TIDY
    assert list(dict.fromkeys(table["set"])) == ["train", "discdiff"]
    own = table[(table["set"] == "discdiff") & (table["species"] == "S_cerevisiae") & (table["metric"] == "fred")].iloc[
        0
    ]
    assert own["value"] == 7.0 and own["floor"] == 3.0 and own["sampler"] == "dpm++2m"


def test_a_refinement_has_the_sampler_of_what_it_refines_and_the_threshold_it_went_by():
    sets = [
        ("dm", "dm", ""),
        ("masked", "masked", ""),
        ("ae", "natural", "dm + ar"),
        ("other", "natural", "masked + ar"),
    ]
    sets += [("like_ae", "refill", "ae"), ("shuffle", "floor", "")]
    draws = pd.DataFrame(
        [("dm", "dpm++2m", 10.0, np.nan), ("masked", np.nan, np.nan, 16.0)], columns=["set", "sampler", "nfe", "rounds"]
    )
    edits = pd.DataFrame({"set": ["ae", "other", "like_ae"], "threshold": [0.1, 0.85, np.nan]})
    found = origins(sets, draws, edits)
    assert list(found.columns) == ORIGIN
    assert found[["set", "sampler", "nfe", "threshold"]].to_numpy().tolist() == [
        ["dm", "dpm++2m", "10", ""],
        ["masked", "", "16", ""],
        ["ae", "dpm++2m", "10", "0.1"],
        ["other", "", "16", "0.85"],
        ["like_ae", "dpm++2m", "10", ""],
        ["shuffle", "", "", ""],
    ]


def test_a_set_without_origin_or_twice_is_told():
    with pytest.raises(InputError, match="masked has no origin"):
        tidy([measures("train", 1.0), measures("masked", 1.0)], ORIGINS, "train")
    with pytest.raises(InputError, match="twice"):
        tidy([measures("train", 1.0), measures("train", 1.0)], ORIGINS, "train")


def test_means_over_species_and_their_intervals_come_from_the_replicates():
    table = tidy([measures("train", 1.0), measures("discdiff", 5.0)], ORIGINS, "train")
    replicates = {-1: 5.0, **{k: 5.0 + k for k in range(101)}}
    means = mean_over_species(table, evidence("discdiff", replicates))
    assert len(means) == 1  # cor has no replicates
    row = means.iloc[0]
    assert row["value"] == 6.0 and row["floor"] == 2.0
    assert row["low"] == pytest.approx(6.0 + 2.5) and row["high"] == pytest.approx(6.0 + 97.5)
    told = summary(means, ORIGINS).set_index("set")
    assert told.loc["discdiff", "FReD"] == "6 [8.5, 104]" and told.loc["train", "FReD"] == ""


def test_a_difference_is_paired():
    noise = np.random.default_rng(0).normal(0, 100, 50)
    left = evidence("a", {-1: 3.0, **{k: 3.0 + noise[k] for k in range(50)}})
    right = evidence("b", {-1: 1.0, **{k: 1.0 + noise[k] for k in range(50)}})
    found = difference(pd.concat([left, right]), "fred", "a", "b")
    assert found == pytest.approx((2.0, 2.0, 2.0))
    assert np.isnan(difference(left, "fred", "a", "b").value)


def test_conditions_hold_fail_or_stay_unclear_by_their_interval():
    frames = [
        evidence("ar", {-1: 0.1, 0: 0.1, 1: 0.1}, "js6"),
        evidence("dm", {-1: 0.3, 0: 0.3, 1: 0.3}, "js6"),
        evidence("ar", {-1: 0.9, 0: 0.9, 1: 0.9}, "cor:TATA-box"),
        evidence("dm", {-1: 0.8, 0: 0.8, 1: 0.8}, "cor:TATA-box"),
    ]
    told = {
        "dm": {
            "calibration_error": [0.2, 0.1, 0.3],
            "error_auroc": {"decoder": [0.5, 0.4, 0.6], "posterior": [0.8, 0.7, 0.9]},
        }
    }
    edits = pd.DataFrame({"set": ["ae", "random"], "rule": ["natural", "refill"], "edit_rate": [0.001, 0.001]})
    found = conditions(pd.concat(frames), told, edits, "dm", "ar").set_index("condition")["holds"]
    assert found["the autoregressive model is better locally"] == "yes"
    assert found["the diffusion model is better globally"] == "no"
    assert found["the autoregressive model is better than counting words"] == "unclear"
    assert found["dm's decoder confidence finds wrong bases"] == "unclear"
    assert found["dm's posterior confidence finds wrong bases"] == "yes"
    assert found["dm's probabilities mean what they say"] == "no"
    assert found["ae edits at all"] == "no" and "random edits at all" not in found
