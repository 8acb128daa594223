"""Verdicts follow from intervals; intervals from paired replicates."""

import numpy as np
import pandas as pd
import pytest

from genovision.claims.ledger import Claim, check_evidence, margins, read_claim, verdict, weigh
from genovision.errors import InputError


def claim(**changes):
    entry = {
        "id": 1, "system": "s", "claim": "a beats b", "metric": "m", "left": "a", "right": "b",
        "direction": "greater", "minimum_effect": 0.0, "unit": "sequence",
    }  # fmt: skip
    return read_claim(entry | changes)


def evidence(means, noise=0.0, groups=("g",), replicates=200, seed=0):
    """Sides with given means and common noise per replicate, plus `noise` of their own."""
    rng = np.random.default_rng(seed)
    rows = []
    for group in groups:
        common = np.concatenate([[0.0], rng.normal(size=replicates)])
        for side, mean in means.items():
            own = np.concatenate([[0.0], noise * rng.normal(size=replicates)])
            rows += [("s", "m", side, group, r - 1, mean + common[r] + own[r]) for r in range(replicates + 1)]
    return pd.DataFrame(rows, columns=["system", "metric", "side", "group", "replicate", "value"])


def weighed(one, frame, warnings=None):
    return weigh([one], {"t.tsv": frame}, {"s": warnings or {}}, "desk").iloc[0]


def test_pairing_removes_common_noise():
    row = weighed(claim(), evidence({"a": 1.0, "b": 0.9}))
    assert row["estimate"] == pytest.approx(0.1)
    assert row["low"] == pytest.approx(0.1)
    assert row["high"] == pytest.approx(0.1)
    assert row["verdict"] == "supported"
    assert row["tables"] == "t.tsv"


def test_the_interval_is_the_percentile_interval_of_the_differences():
    frame = evidence({"a": 0.0, "b": 0.0}, noise=1.0)
    row = weighed(claim(), frame)
    wide = frame[frame["replicate"] >= 0].pivot(index="replicate", columns="side", values="value")
    low, high = np.percentile(wide["a"] - wide["b"], [2.5, 97.5])
    assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))
    assert row["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    ("direction", "effect", "low", "high", "expected"),
    [
        ("greater", 0.0, 0.1, 0.2, "supported"),
        ("greater", 0.0, -0.1, 0.2, "inconclusive"),
        ("greater", 0.0, -0.2, -0.1, "contradicted"),
        ("greater", 0.5, 0.1, 0.2, "contradicted"),
        ("greater", -0.1, -0.05, 0.2, "supported"),
        ("less", 0.0, 0.1, 0.2, "supported"),
        ("less", 0.0, 0.0, 0.0, "inconclusive"),
        ("greater", 0.0, 0.0, 0.2, "inconclusive"),
        ("near", 0.1, -0.05, 0.05, "supported"),
        ("near", 0.1, -0.05, 0.15, "inconclusive"),
        ("near", 0.1, 0.11, 0.15, "contradicted"),
        ("near", 0.1, -0.3, -0.2, "contradicted"),
        ("greater", 0.0, np.nan, 0.2, "inconclusive"),
    ],
)
def test_verdicts(direction, effect, low, high, expected):
    assert verdict(claim(direction=direction, minimum_effect=effect), low, high) == expected


def test_less_turns_the_sign_and_near_does_not():
    frame = evidence({"a": 1.0, "b": 3.0})
    assert weighed(claim(direction="less"), frame)["estimate"] == pytest.approx(2.0)
    assert weighed(claim(direction="near", minimum_effect=3), frame)["estimate"] == pytest.approx(-2.0)


def test_several_right_sides_must_all_be_beaten():
    frame = evidence({"a": 2.0, "b": 1.0, "c": 3.0})
    assert weighed(claim(right=["b"]), frame)["verdict"] == "supported"
    row = weighed(claim(right=["b", "c"]), frame)
    assert row["estimate"] == pytest.approx(-1.0)
    assert row["verdict"] == "contradicted"


def test_groups_are_averaged_and_named_groups_chosen():
    frame = pd.concat(
        [evidence({"a": 3.0, "b": 1.0}, groups=["x"]), evidence({"a": 1.0, "b": 1.0}, groups=["y"], seed=1)]
    )
    assert weighed(claim(), frame)["estimate"] == pytest.approx(1.0)
    assert weighed(claim(groups=["x"]), frame)["estimate"] == pytest.approx(2.0)
    assert weighed(claim(groups=["x", "z"]), frame)["verdict"] == "not run"


def test_no_evidence_is_not_run_and_a_warned_group_can_be_dropped():
    row = weighed(claim(metric="other"), evidence({"a": 1.0, "b": 0.0}))
    assert row["verdict"] == "not run"
    assert np.isnan(row["estimate"])
    assert weighed(claim(left="missing"), evidence({"a": 1.0, "b": 0.0}))["verdict"] == "not run"
    frame = pd.concat(
        [evidence({"a": 3.0, "b": 1.0}, groups=["x"]), evidence({"a": 1.0, "b": 1.0}, groups=["y"], seed=1)]
    )
    for on_warning, estimate, groups in [("nothing", 1.0, "x, y"), ("note", 1.0, "x, y"), ("drop", 2.0, "x")]:
        row = weighed(claim(on_warning=on_warning), frame, {"y": "careful."})
        assert (row["estimate"], row["groups"]) == (pytest.approx(estimate), groups)
        assert (
            row["note"] == {"nothing": "", "note": "y: careful.", "drop": "y: left out, because careful."}[on_warning]
        )
    row = weighed(claim(on_warning="drop"), frame, {"x": "careful.", "y": "careful."})
    assert row["verdict"] == "not run"


def test_an_undefined_estimate_is_inconclusive_and_says_so():
    frame = pd.concat(
        [evidence({"a": 3.0, "b": 1.0}, groups=["x"]), evidence({"a": 1.0, "b": 1.0}, groups=["y"], seed=1)]
    )
    frame.loc[(frame["group"] == "y") & (frame["side"] == "a"), "value"] = np.nan
    row = weighed(claim(), frame)
    assert (row["verdict"], row["groups"], row["note"]) == ("inconclusive", "x, y", "the estimate is undefined here.")
    assert weighed(claim(groups=["x"]), frame)["verdict"] == "supported"


def test_groups_without_one_of_the_sides_do_not_count():
    frame = pd.concat([evidence({"a": 3.0, "b": 1.0}, groups=["x"]), evidence({"a": 1.0}, groups=["y"], seed=1)])
    row = weighed(claim(), frame)
    assert (row["estimate"], row["groups"]) == (pytest.approx(2.0), "x")


def test_rows_of_another_system_do_not_count():
    frame = evidence({"a": 1.0, "b": 0.0})
    frame["system"] = "another"
    assert weighed(claim(), frame)["verdict"] == "not run"


def test_undefined_replicates_are_left_out_of_pairs():
    frame = evidence({"a": 1.0, "b": 0.0})
    frame.loc[(frame["side"] == "a") & (frame["replicate"] == 5), "value"] = np.nan
    margin, groups = margins(claim(), frame)
    assert groups == ["g"]
    assert 5 not in margin.index
    assert len(margin) == 200


def test_bad_evidence_is_named():
    with pytest.raises(InputError, match=r"t.tsv has no column value"):
        check_evidence(pd.DataFrame(columns=["system", "metric", "side", "group", "replicate"]), "t.tsv")
    frame = evidence({"a": 1.0, "b": 0.0})
    with pytest.raises(InputError, match=r"t.tsv, line 404: a second value"):
        check_evidence(pd.concat([frame, frame.head(1)], ignore_index=True), "t.tsv")


def test_a_claim_is_frozen_data():
    assert isinstance(claim(), Claim)
    assert claim(right=["b", "c"]).right == ("b", "c")
