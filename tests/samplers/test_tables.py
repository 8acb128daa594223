"""Tables of the samplers: point estimates by hand, pairing, floors, evidence that the ledger takes."""

import numpy as np
import pandas as pd
import pytest

from genovision.claims.ledger import check_evidence
from genovision.errors import InputError
from genovision.samplers import tables


@pytest.fixture
def errors():
    rng = np.random.default_rng(0)
    base = rng.random((1, 2, 3, 40))
    found = np.concatenate([base, 4 * base, rng.random((1, 2, 3, 40)), np.full((1, 2, 3, 40), np.nan)])
    return found, ["best-ours", "best-peer", "ddim", "ddpm"], [5, 10]


def test_rmse_and_ratio_are_those_by_hand(errors):
    table, values = tables.solver_errors(*errors, replicates=50, seed=1)
    table = table.set_index(["sampler", "nfe"])
    assert table.loc[("ddim", 10), "rmse"] == pytest.approx(np.sqrt(errors[0][2, 1].mean()))
    assert table.loc[("best-ours", 5), ["ratio", "ratio_low", "ratio_high"]].tolist() == pytest.approx([0.5] * 3)
    assert (table["rmse_low"] <= table["rmse"]).all() and (table["rmse"] <= table["rmse_high"]).all()
    assert ("ddpm", 5) not in values, "a sampler without a solution has no error"
    assert len(values["ddim", 5]) == 51


def test_distances_have_a_floor_and_see_a_shift():
    rng = np.random.default_rng(2)
    real = rng.standard_normal((400, 4))
    features = {("a", 10): rng.standard_normal((150, 4)), ("b", 10): rng.standard_normal((150, 4)) + 1}
    table, values = tables.distances(features, real, replicates=30, seed=0)
    table = table.set_index("sampler")
    assert table.loc["b", "frechet"] > 4 * 0.7 > table.loc["a", "frechet"]
    assert table.loc["b", "kid"] > 5 * abs(table.loc[tables.FLOOR, "kid"])
    assert table.loc["b", "sliced_wasserstein"] > 2 * table.loc[tables.FLOOR, "sliced_wasserstein"]
    assert (table["frechet_low"] <= table["frechet"]).all() and (table["frechet"] <= table["frechet_high"]).all()
    assert len(values["a", 10]) == 31
    with pytest.raises(InputError, match="at most half"):
        tables.distances({("a", 10): real}, real, 5, 0)
    with pytest.raises(InputError, match="same number"):
        tables.distances(features | {("c", 10): real[:20]}, real, 5, 0)


def test_evidence_is_what_the_ledger_takes(errors):
    _, values = tables.solver_errors(*errors, replicates=20, seed=1)
    frame = check_evidence(tables.evidence("images", values, {("deis-tab3", 10): np.arange(21.0)}), "evidence")
    assert set(frame["metric"]) == {"log_rmse:images", "rmse_nfe10", "frechet_nfe10"}
    best = frame[(frame["metric"] == "log_rmse:images") & (frame["group"] == "images at 5")].pivot(
        index="replicate", columns="side", values="value"
    )
    assert np.allclose(best["best_ours"] - best["best_peer"], np.log(0.5))


def test_slopes_of_a_curve_that_falls_at_the_end_only():
    times = np.linspace(0.01, 1, 100)
    curve = np.minimum(1.0, times / 0.1)
    found = tables.slopes(times, curve[:, None] * np.ones(6), 10, 0)
    assert found["end"] == pytest.approx(np.full(11, 10.0))
    assert found["middle"] == pytest.approx(np.zeros(11), abs=1e-9)
    with pytest.raises(InputError, match="both sides"):
        tables.slopes(times[50:], curve[50:, None] * np.ones(6), 10, 0)


def test_summary_names_the_best_settings():
    rows = [
        ["bed", name, 5, rmse, ratio, 0.9 * ratio, 1.1 * ratio, f"{name} setting"]
        for name, rmse, ratio in [("ddim", 3.0, 1.5), ("best-peer", 2.0, 1.0), ("best-ours", 1.0, 0.5)]
    ]
    table = pd.DataFrame(
        rows, columns=["denoiser", "sampler", "nfe", "rmse", "ratio", "ratio_low", "ratio_high", "setting"]
    )
    (row,) = tables.summary(table).to_dict("records")
    assert row["ours_over_peer"] == 0.5
    assert (row["peer"], row["ours"], row["ddim"]) == ("best-peer setting", "best-ours setting", 3.0)


def test_straightness_is_that_of_whole_paths():
    columns = ["quantity", "method", "degree", "tau", "ratio"]
    rows = [["second difference", "deis-sn", np.nan, np.nan, 0.9], ["second difference", "deis-sn", np.nan, 0.5, 7.0]]
    rows += [["final error", "deis-sn", degree, np.nan, 0.1 * degree] for degree in (1, 2, 3)]
    rows += [["final error", "deis-sn per pixel", 3, np.nan, 0.5], ["final error", "deis affine", 3, np.nan, 1.2]]
    found = tables.straightness(pd.DataFrame(rows, columns=columns))
    assert list(found.values()) == pytest.approx([0.9, 0.1, 0.2, 0.3, 0.5, 1.2])
