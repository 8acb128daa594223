"""Tables from arrays: resampled metrics against the metrics themselves, the variation over seeds, and what each system's tables say."""

import numpy as np
import pandas as pd
import pytest
from uncertainty import miniature

from genovision.claims.ledger import check_evidence
from genovision.resampling import Draws, stream
from genovision.uncertainty import cascade_tables, diversity_tables, metrics, resampled, sirc_tables, smoothing_tables
from genovision.uncertainty.evaluation import estimate, plus_minus, wide
from genovision.uncertainty.metrics import Ranking
from genovision.uncertainty.outputs import Head, Outputs
from genovision.uncertainty.resampled import mean_over_seeds, over_seeds

SIZES = {"train": 600, "calibration": 600, "test": 700, **dict.fromkeys(miniature.OOD, 300)}


def model(width="M", alpha=0.0, seed=0):
    splits, head = miniature.outputs(width, alpha, seed, SIZES)
    splits = {
        name: Outputs(one["logits"].astype(float), one["features"].astype(float), one["labels"], name)
        for name, one in splits.items()
    }
    return splits, Head(head["weight"].astype(float), head["bias"].astype(float))


@pytest.fixture(scope="module")
def pair():
    """Confidences and correctness of ID inputs, confidences of OOD inputs, counts of both (30 samples and the data)."""
    rng = np.random.default_rng(8)
    ours, theirs = rng.normal(1, 1, 1_500), rng.normal(0, 1, 800)
    correct = rng.random(1_500) < 1 / (1 + np.exp(-2 * ours))
    draws = Draws(30, 0)
    return ours, correct, theirs, draws("test", 1_500), draws("far", 800)


def test_blocks_of_draws_are_the_draws():
    draws = Draws(40, 3)
    blocks = list(draws.blocks({"test": 300_000}))
    assert len(blocks) > 1
    assert np.array_equal(np.vstack([counts for (counts,) in blocks]), draws("test", 300_000)[1:])


def test_draws_are_the_data_first_and_the_same_for_everybody():
    one, other = Draws(5, 3)("test", 40), Draws(5, 3)("test", 40)
    assert (one[0] == 1).all() and (one.sum(axis=1) == 40).all()
    assert np.array_equal(one, other)
    assert not np.array_equal(one[1:], Draws(5, 4)("test", 40)[1:])
    assert not np.array_equal(one[1:], Draws(5, 3)("train", 40)[1:])


def tied(pair, digits):
    """The pair with confidences rounded, or as they are."""
    ours, correct, theirs, counts, drawn = pair
    return (
        (ours, correct, theirs, counts, drawn)
        if digits is None
        else (ours.round(digits), correct, theirs.round(digits), counts, drawn)
    )


def repeated(values, row):
    """A sample as rows: each as often as it was drawn."""
    return np.repeat(values, row.astype(int))


@pytest.mark.parametrize("digits", [None, 1])
def test_auroc_is_that_of_the_repeated_rows(pair, digits):
    ours, _, theirs, counts, drawn = tied(pair, digits)
    values = resampled.auroc(ours, {"far": theirs, "self": ours[:100]}, counts, {"far": drawn, "self": counts[:, :100]})
    for r in range(len(counts)):
        first = repeated(ours, counts[r])
        assert values["far"][r] == pytest.approx(metrics.auroc(first, repeated(theirs, drawn[r])), abs=1e-12)
        assert values["self"][r] == pytest.approx(
            metrics.auroc(first, repeated(ours[:100], counts[r, :100])), abs=1e-12
        )


def test_auroc_without_negatives_is_undefined():
    ones = np.ones((2, 3), dtype=np.uint16)
    assert np.isnan(resampled.auroc(np.ones(3), {"none": np.ones(0)}, ones, {"none": ones[:, :0]})["none"]).all()


@pytest.mark.parametrize("digits", [None, 1, 0])
@pytest.mark.parametrize("coverage", [0.05, 0.5, 0.95, 1.0])
def test_thresholds_and_shares_are_those_of_the_repeated_rows(pair, coverage, digits):
    ours, _, theirs, counts, drawn = tied(pair, digits)
    found = resampled.operating(ours, counts, coverage)
    accepted = resampled.share_at(theirs, drawn, found.threshold)
    for r in range(len(counts)):
        ours_r, theirs_r = repeated(ours, counts[r]), repeated(theirs, drawn[r])
        best = np.abs([np.mean(ours_r >= t) - coverage for t in np.unique(ours_r)]).min()
        assert abs(found.share[r] - coverage) == pytest.approx(best, abs=1e-12)
        assert found.share[r] == pytest.approx(np.mean(ours_r >= found.threshold[r]))
        assert accepted[r] == pytest.approx(np.mean(theirs_r >= found.threshold[r]))


def test_false_positives_on_the_data_are_the_metric(pair):
    ours, _, theirs, counts, drawn = pair
    at = resampled.operating(ours, counts, 0.95).threshold
    assert resampled.share_at(theirs, drawn, at)[0] == metrics.fpr_at_tpr(ours, theirs)


def test_equally_near_thresholds_give_the_first():
    confidence = np.repeat([3.0, 2.0, 1.0], [10, 980, 10])
    at = resampled.operating(confidence, Draws(20, 0)("x", 1_000), 0.5).threshold
    assert set(at) <= {2.0, 3.0}
    assert at[0] == 3.0  # 1 % is nearer to one half than 99 %, by a hair: equally near, the first


def slow_aurr(ours, correct, theirs, row, drawn, alpha, costs):
    """AURR of one sample by its definition: recall steps times the mean cost at their end, rows weighed to a share alpha of ID inputs."""
    weight = np.concatenate([alpha * row / row.sum(), (1 - alpha) * drawn / drawn.sum()])
    s, right = np.concatenate([ours, theirs]), np.append(correct, np.zeros(len(theirs), dtype=bool))
    cost = np.where(right, 0, np.repeat(costs, [len(ours), len(theirs)]))
    area = 0.0
    for t in np.unique(s[right]):
        if step := weight[right & (s == t)].sum():
            area += step * (weight * cost)[s >= t].sum() / weight[s >= t].sum()
    return area / weight[right].sum()


@pytest.mark.parametrize("digits", [None, 1])
def test_streams_are_weighed_by_definition(pair, digits):
    ours, correct, theirs, counts, drawn = tied(pair, digits)
    alphas, costs, recalls = (1.0, 0.5, 0.3), ((0.5, 0.5), (1.0, 0.0), (0.2, 0.7)), np.array([0.01, 0.6, 1.0])
    found = resampled.streams(ours, correct, {"far": theirs}, counts[:4], {"far": drawn[:4]}, alphas, costs, recalls)[
        "far"
    ]
    assert found.areas.shape == (3, 3, 4) and found.risks.shape == (4, 3)
    for r in range(4):
        for a, alpha in enumerate(alphas):
            for c, pair_of_costs in enumerate(costs):
                slow = slow_aurr(ours, correct, theirs, counts[r], drawn[r], alpha, pair_of_costs)
                assert found.areas[a, c, r] == pytest.approx(slow, rel=1e-9)
        weight, other = counts[r] / counts[r].sum(), drawn[r] / drawn[r].sum()
        for g, recall in enumerate(recalls):
            at = max(
                t
                for t in np.unique(ours)
                if weight[correct & (ours >= t)].sum() >= (recall - 1e-9) * weight[correct].sum()
            )
            bad, whole = weight[~correct & (ours >= at)].sum() + other[theirs >= at].sum(), weight[ours >= at].sum()
            whole += other[theirs >= at].sum()
            assert found.risks[r, g] == pytest.approx(bad / whole / 2)


def test_streams_equal_the_metric_where_rows_can_be_repeated(pair):
    ours, correct, theirs, counts, drawn = pair
    found = resampled.streams(ours, correct, {"far": theirs}, counts[:1], {"far": drawn[:1]}, (0.5, 1.0), ((1.0, 1.0),))
    balanced = metrics.aurr(
        np.concatenate([np.repeat(ours, 8), np.repeat(theirs, 15)]),
        np.append(np.repeat(correct, 8), np.zeros(12_000, bool)),
    )
    assert found["far"].areas[0, 0, 0] == pytest.approx(balanced, rel=1e-9)
    assert found["far"].areas[1, 0, 0] == pytest.approx(metrics.aurr(ours, correct), rel=1e-9)


@pytest.mark.parametrize("digits", [None, 1])
def test_several_measures_of_one_ranking_are_the_metrics(pair, digits):
    ours, correct, _, counts, _ = tied(pair, digits)
    ranking, grid = Ranking(ours, correct), np.linspace(0.0101, 0.9991, 25)
    measures = {"aurc": metrics.aurc, "curve": lambda weighed: resampled.risk_curve(weighed, grid)}
    found = resampled.measured(ranking, counts, measures)
    for r in range(len(counts)):
        slow = metrics.aurc(repeated(ours, counts[r]), repeated(correct, counts[r]))
        assert found["aurc"][r] == pytest.approx(slow, rel=1e-12)
    for k, coverage in enumerate(grid):
        assert np.allclose(found["curve"][:, k], metrics.risk_at_coverage(ranking, coverage=coverage, weights=counts))


def test_means_are_weighed_by_counts(pair):
    ours, correct, _, counts, _ = pair
    both = resampled.weighted(np.column_stack([ours, correct]), counts)
    assert both[3] == pytest.approx([np.mean(repeated(ours, counts[3])), np.mean(repeated(correct, counts[3]))])
    assert np.allclose(resampled.weighted(ours, counts), both[:, 0])


def test_seeds_vary_by_students_t():
    values = np.array([0.2, 0.25, 0.4, 0.31])
    draws = Draws(20_000, 1)
    replicates = mean_over_seeds(np.repeat(values[:, None], 20_001, axis=1), draws, bounds=(-np.inf, np.inf))
    assert replicates[0] == values.mean()
    low, high = np.percentile(replicates[1:], [2.5, 97.5])
    half = 3.182 * values.std(ddof=1) / 2
    assert low == pytest.approx(values.mean() - half, rel=0.03)
    assert high == pytest.approx(values.mean() + half, rel=0.03)


def test_replicates_keep_to_their_bounds_and_one_seed_does_not_vary():
    draws = Draws(100, 1)
    assert over_seeds(np.full(101, 0.99), [0.9, 0.95, 1.0], draws).max() <= 1
    assert (over_seeds(np.full(101, 0.5), [0.5], draws) == 0.5).all()


def test_a_value_with_its_interval_in_words():
    assert plus_minus(0.9312, 0.925, 0.935) == "93.1 ± 0.5"
    assert plus_minus(0.9312, np.nan, np.nan) == "93.1"
    assert plus_minus(np.nan, 0, 1) == ""
    assert np.isnan(estimate(np.array([0.5]))["low"])


def test_wide_puts_the_columns_in_order():
    rows = [("a", "y", 0.1), ("a", "x", 0.2), ("b", "x", 0.3)]
    table = pd.DataFrame([{"k": k, "c": c, "value": v, "low": np.nan, "high": np.nan} for k, c, v in rows])
    shown = wide(table, ["k"], "c", ["x", "y"], {"x": "X"})
    assert shown.columns.tolist() == ["k", "X", "y"]
    assert shown.iloc[1].tolist() == ["b", "30.0", ""]


# --- the systems -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sirc():
    scored = []
    for seed in range(3):
        splits, head = model(seed=seed)
        scores, _ = sirc_tables.score_model(
            splits["train"], {name: splits[name] for name in ("test", *miniature.OOD)}, head
        )
        scored.append(sirc_tables.Scored(scores, splits["test"].correct, f"seed{seed}"))
    alphas, betas = 1 / (1 + np.linspace(0, 2, 5)), np.linspace(0, 1, 4)
    return scored, sirc_tables.evaluate(scored, Draws(20, 0), alphas, betas, "sirc_msp_residual")


def test_sirc_separation_is_the_mean_of_the_metric_over_seeds(sirc):
    scored, tables = sirc
    rows = tables.separation.set_index(["score", "ood", "metric"])["value"]
    right = [(one.scores["test"]["energy"][one.correct], one.scores["far"]["energy"]) for one in scored]
    assert rows["energy", "far", "auroc"] == pytest.approx(np.mean([metrics.auroc(*some) for some in right]))
    assert rows["energy", "far", "fpr95"] == pytest.approx(np.mean([metrics.fpr_at_tpr(*some) for some in right]))
    wrong = [metrics.auroc(Ranking(one.scores["test"]["msp"], one.correct)) for one in scored]
    assert rows["msp", "id_wrong", "auroc"] == pytest.approx(np.mean(wrong))
    means = [rows["knn", name, "auroc"] for name in miniature.OOD]
    assert rows["knn", "ood_mean", "auroc"] == pytest.approx(np.mean(means))


def test_sirc_tables_have_every_score_with_its_floors(sirc):
    scored, tables = sirc
    assert set(tables.separation["score"]) == set(sirc_tables.SCORES) == set(tables.aurr["score"])
    assert (tables.separation["low"] <= tables.separation["high"]).all()
    auroc, _, aurr = sirc_tables.summary(tables, scored[0].oods)
    assert auroc["score"].tolist() == [*sirc_tables.SCORES, "chance"]
    assert auroc.columns.tolist() == ["kind", "score", "ID wrong", "OOD mean", *miniature.OOD]
    assert aurr["score"].tolist() == list(sirc_tables.SCORES)
    assert {0.5} < set(tables.aurr["beta"])  # put in where the grid leaves it out


def test_sirc_keeps_what_the_softmax_knows_and_gains_off_the_subspace(sirc):
    rows = sirc[1].separation.set_index(["score", "ood", "metric"])["value"]
    assert rows["sirc_msp_residual", "id_wrong", "auroc"] > rows["msp", "id_wrong", "auroc"] - 0.02
    assert rows["residual", "id_wrong", "auroc"] < rows["msp", "id_wrong", "auroc"] - 0.2
    assert rows["sirc_msp_residual", "far", "auroc"] > rows["msp", "far", "auroc"] + 0.03


def test_sirc_evidence_has_the_claims_sides(sirc):
    evidence = check_evidence(sirc[1].evidence, "sirc")
    sides = evidence.groupby("metric")["side"].agg(set)
    assert {"sirc", "msp"} <= sides["auroc_correct_ood"] and {"sirc", "msp"} <= sides["auroc_correct_wrong"]
    assert sides["aurr"] == {"best_ood_detector", "best_scod_score"}
    assert set(evidence["replicate"]) == set(range(-1, 20))


def test_knn_statistics_leave_the_bank_out():
    splits, head = model()
    small, _ = sirc_tables.score_model(splits["train"], {"test": splits["test"]}, head, bank=50)
    _, parameters = sirc_tables.score_model(splits["train"], {"test": splits["test"]}, head)
    knn = parameters[(parameters["score"] == "sirc_msp_knn")]
    assert (knn["b"] > 0).all() and len(parameters) == 9 + 9
    assert set(small["test"]) == set(sirc_tables.SCORES)


@pytest.fixture(scope="module")
def seeds():
    return [model(seed=seed)[0] for seed in range(3)]


def test_diversity_is_measured_against_a_single_models_entropy(seeds):
    logits = {name: np.stack([one[name].logits for one in seeds], axis=1) for name in ("test", *miniature.OOD)}
    tables = diversity_tables.evaluate(logits, seeds[0]["test"].labels, Draws(20, 0))
    rows = tables.detection.set_index(["system", "score", "ood", "metric"])
    ours = rows.loc[("single", "entropy", "near", "auroc")]
    each = [metrics.auroc(*(-_entropy(one[name].logits) for name in ("test", "near"))) for one in seeds]
    assert ours["value"] == pytest.approx(np.mean(each)) and ours["difference"] == 0
    mutual = rows.loc[("ensemble", "mutual_information", "near", "auroc")]
    assert mutual["difference"] == pytest.approx(mutual["value"] - ours["value"])
    assert (tables.detection["best_single"].between(0, 1)).all()
    assert {"ensemble", "single"} == set(tables.selective["system"])
    sides = check_evidence(tables.evidence, "diversity").groupby("metric")["side"].agg(set)
    assert {"single_entropy", "mutual_information", "epkl", "energy"} <= sides["auroc_ood"]
    assert sides["aurr"] == {"ensemble", "single"}
    assert diversity_tables.summary(tables)[0]["score"].tolist()[-2:] == ["best", "chance"]


def _entropy(v):
    p = np.exp(v - np.logaddexp.reduce(v, axis=1, keepdims=True))
    return -(p * np.log(p)).sum(axis=1)


def test_an_ensemble_of_one_is_refused(seeds):
    with pytest.raises(ValueError, match="two seeds"):
        diversity_tables.evaluate({"test": seeds[0]["test"].logits[:, None]}, seeds[0]["test"].labels, Draws(0, 0))


@pytest.fixture(scope="module")
def cascades():
    families = {}
    for width in "LSM":  # out of order: they are put in order of cost
        splits = [model(width, seed=seed)[0] for seed in range(3)]
        names = ("calibration", "test", *miniature.OOD)
        logits = {name: [one[name].logits for one in splits] for name in names}
        families[width] = cascade_tables.Family(logits, miniature.MACS[width])
    labels = [splits[0][name].labels for name in ("calibration", "test")]
    return families, labels, cascade_tables.evaluate(families, *labels, Draws(20, 0), sweep="M")


def test_cascades_cost_between_single_and_ensemble(cascades):
    points = cascades[2].points.set_index(["task", "ood", "width", "system"]).sort_index()
    for width, macs in miniature.MACS.items():
        some = points.loc[("sc", "none", width)]
        assert some.loc["single", "macs"] == macs and some.loc["ensemble", "macs"] == 2 * macs
        assert macs < some.loc["window", "macs"] < 1.4 * macs
        assert some["units"].to_dict() == {
            "single": 3,
            "ensemble": 3,
            "window": 6,
            "single_threshold": 6,
            "adjusted_window": 6,
        }
    assert points.loc[("sc", "none", "S+M+L", "family_cascade"), "units"] == 3
    assert set(points.index.get_level_values("ood")) == {"none", *miniature.OOD, "ood_mean"}


def test_cascade_points_are_the_metrics_of_what_was_run(cascades):
    families, (_, labels), tables = cascades
    points = tables.points.set_index(["task", "ood", "width", "system"])["value"]
    logits = families["M"].logits
    msp = [1 / np.exp(v - v.max(axis=1, keepdims=True)).sum(axis=1) for v in logits["test"]]
    covered = [
        metrics.coverage_at_risk(s, v.argmax(axis=1) == labels, 0.05) for s, v in zip(msp, logits["test"], strict=True)
    ]
    assert points["sc", "none", "M", "single"] == pytest.approx(np.mean(covered))
    energy = [[np.logaddexp.reduce(v, axis=1) for v in logits[name]] for name in ("test", "far")]
    false = [metrics.fpr_at_tpr(ours, theirs) for ours, theirs in zip(*energy, strict=True)]
    assert points["ood", "far", "M", "single"] == pytest.approx(np.mean(false))


def test_a_sweep_ends_where_it_should(cascades):
    _, _, tables = cascades
    sweep = tables.sweep.set_index(["policy", "size"])
    single = tables.points.query("task == 'sc' and width == 'M' and system == 'single'").iloc[0]
    ensemble = tables.points.query("task == 'sc' and width == 'M' and system == 'ensemble'").iloc[0]
    assert sweep.loc[("window", 0.0), "accuracy"] == pytest.approx(single["accuracy"])
    assert sweep.loc[("single_threshold", 1.0), "accuracy"] == pytest.approx(ensemble["accuracy"], abs=0.005)
    assert sweep.loc[("window", 0.0), "continuing"] == 0


def test_the_price_of_a_coverage_along_a_family():
    family, macs = np.array([[0.5], [0.7], [0.8]]), [1.0, 4.0, 16.0]
    price = [cascade_tables.macs_at_coverage(np.array([c]), family, macs)[0] for c in (0.4, 0.5, 0.6, 0.75, 0.8, 0.9)]
    assert price == pytest.approx([1, 1, 2, 8, 16, 16])


def test_the_price_in_a_family_out_of_order_is_the_least():
    family, macs = np.array([[0.5], [0.8], [0.6]]), [1.0, 4.0, 16.0]
    assert cascade_tables.macs_at_coverage(np.array([0.7]), family, macs)[0] == pytest.approx(np.exp(np.log(4) * 2 / 3))
    flat = np.array([[0.5], [0.5]])
    assert cascade_tables.macs_at_coverage(np.array([0.6]), flat, [1.0, 4.0])[0] == pytest.approx(4)


def test_cascade_evidence_has_the_claims_sides(cascades):
    evidence = check_evidence(cascades[2].evidence, "cascades")
    sides = evidence.groupby("metric")["side"].agg(set)
    assert sides["macs_at_coverage"] == {"window_cascade", "single"}
    assert {"window", "single_threshold"} <= sides["coverage_at_5_percent_risk"]
    assert set(evidence.loc[evidence["metric"] == "macs_at_coverage", "group"]) == {"S", "M"}


def timings(widths):
    """Five repeats; each slower than the one before by the same for all systems."""
    rows = [
        (width, system, r, 100, 0.2, factor * (base + 0.01 * r))
        for width, factor in widths.items()
        for system, base in (("single", 1.0), ("window", 1.2), ("ensemble", 2.0))
        for r in range(5)
    ]
    return pd.DataFrame(rows, columns=["pair", "system", "repeat", "images", "share", "seconds"])


def coverages(**by_width):
    rows = [
        ("sc", system, width, value)
        for width, pair in by_width.items()
        for system, value in zip(("single", "window"), pair, strict=True)
    ]
    return pd.DataFrame(rows, columns=["task", "system", "width", "value"])


def test_seconds_are_medians_of_repeats_timed_in_turn():
    table, evidence = cascade_tables.compare_seconds(timings({"M": 1}), coverages(M=(0.5, 0.6)), Draws(50, 0))
    found = table.set_index("system")
    assert found.loc["window", "seconds"] == pytest.approx(1.22)
    assert found.loc["window", "against_ensemble"] == pytest.approx(1.22 / 2.02)
    assert evidence.empty  # there is no dearer model to be compared with


def test_the_cascade_through_all_widths_is_timed_beside_them():
    family = [("S+M", "family_cascade", r, 100, 0.3, 2.0 + r) for r in range(5)]
    seconds = pd.concat([timings({"S": 1, "M": 4}), pd.DataFrame(family, columns=timings({}).columns)])
    points = coverages(S=(0.6, 0.7), M=(0.8, 0.9))
    table, evidence = cascade_tables.compare_seconds(seconds, points, Draws(50, 0))
    row = table.set_index("system").loc["family_cascade"]
    assert (row["pair"], row["seconds"]) == ("S+M", 4.0) and np.isnan(row["against_ensemble"])
    pd.testing.assert_frame_equal(
        evidence, cascade_tables.compare_seconds(timings({"S": 1, "M": 4}), points, Draws(50, 0))[1]
    )


def test_seconds_are_held_against_a_single_model_of_equal_coverage():
    # M costs four times S; half-way in coverage is half-way in the logarithm of the cost, so twice S
    points = coverages(S=(0.6, 0.7), M=(0.8, 0.9))
    _, evidence = cascade_tables.compare_seconds(timings({"S": 1, "M": 4}), points, Draws(50, 0))
    assert set(evidence["group"]) == {"S"}
    assert set(evidence["side"]) == {"single", "window_cascade"}
    wide_ = evidence.pivot(index="replicate", columns="side", values="value")
    assert np.allclose(wide_["single"], 1)
    assert wide_.loc[-1, "window_cascade"] == pytest.approx(1.22 / (2 * 1.02))


def test_the_best_scores_are_chosen_on_the_other_half_anew_in_every_replicate(sirc):
    one, draws = sirc[0][0], Draws(6, 5)
    found = pd.concat(sirc_tables._best_of_both([one], draws)).set_index(["side", "group", "replicate"])["value"]
    sizes = {name: len(one.scores[name]["msp"]) for name in ("test", *one.oods)}
    first = {name: stream(5, f"halves of {name}").permutation(size) % 2 == 0 for name, size in sizes.items()}
    second = {name: ~mask for name, mask in first.items()}

    def measured(half, r, score, name, metric):
        ours, theirs = one.scores["test"][score][half["test"]], one.scores[name][score][half[name]]
        counts = [draws(split, sizes[split])[[r]][:, half[split]] for split in ("test", name)]
        if metric == "auroc":
            return metrics.auroc(Ranking.separating(ours, theirs), weights=np.hstack(counts))[0]
        return slow_aurr(ours, one.correct[half["test"]], theirs, counts[0][0], counts[1][0], 0.5, (0.5, 0.5))

    detectors = (*sirc_tables.SOFTMAX, *sirc_tables.DETECTORS)
    for r in range(7):
        for side, scores, metric, sign in (
            ("best_ood_detector", detectors, "auroc", -1),
            ("best_scod_score", sirc_tables.SCORES, "aurr", 1),
        ):
            expected = dict.fromkeys(one.oods, 0.0)
            for here, there in ((first, second), (second, first)):
                chosen = min(scores, key=lambda s: sign * sum(measured(there, r, s, name, metric) for name in one.oods))
                for name in one.oods:
                    expected[name] += measured(here, r, chosen, name, "aurr") / 2
            for name in one.oods:
                assert found[side, name, r - 1] == pytest.approx(expected[name]), (side, name, r)


@pytest.fixture(scope="module")
def smoothing():
    recipes = {"ce": 0.0, "ls0.4": 0.4}
    splits = {recipe: [model(alpha=alpha, seed=seed)[0] for seed in range(3)] for recipe, alpha in recipes.items()}
    models = {
        recipe: [smoothing_tables.Model(one["calibration"].logits, one["test"].logits) for one in some]
        for recipe, some in splits.items()
    }
    labels = [splits["ce"][0][name].labels for name in ("calibration", "test")]
    return models, labels, smoothing_tables.evaluate(models, recipes, *labels, Draws(20, 0))


def test_smoothing_measures_are_the_metrics(smoothing):
    models, (_, labels), tables = smoothing
    rows = tables.measures.set_index(["recipe", "score", "metric"])
    for recipe, some in models.items():
        found = rows.loc[(recipe, "msp", "aurc")]
        each = []
        for one in some:
            s = 1 / np.exp(one.test - one.test.max(axis=1, keepdims=True)).sum(axis=1)
            each.append(metrics.aurc(s, one.test.argmax(axis=1) == labels))
        assert found["value"] == pytest.approx(np.mean(each))
        assert found["perfect"] < found["value"] < found["chance"]
    assert rows.loc[("ls0.4", "logit_norm", "aurc"), "p"].count(" ") == 2
    assert smoothing_tables.summary(tables.measures).columns[-2:].tolist() == ["AURC random", "AURC perfect"]


def test_the_miniature_suppresses_the_surest_most(smoothing):
    table = smoothing[2].suppression.sort_values("bin")
    assert table["suppression"].iloc[0] > table["suppression"].iloc[-1]
    assert (np.diff(table["error"]) > 0).all()
    assert table["pressure"].iloc[0] == pytest.approx(0.4 * (1 - table["wrong"].iloc[0] - 1 / 5))


def test_smoothing_evidence_has_the_claims_sides(smoothing):
    evidence = check_evidence(smoothing[2].evidence, "smoothing")
    sides = evidence.groupby("metric")["side"].agg(set)
    assert sides["aurc"] == {"cross_entropy", "label_smoothing", "label_smoothing_logit_norm"}
    assert sides["aurc_relative"] == {"cross_entropy", "cross_entropy_logit_norm"}
    assert sides["max_logit_suppression"] == {"low_error", "high_error"}


def test_temperature_suppresses_all_bins_alike(smoothing):
    models, labels, _ = smoothing
    cooled = {
        "ce": models["ce"],
        "half": [smoothing_tables.Model(one.calibration / 2, one.test / 2) for one in models["ce"]],
    }
    tables = smoothing_tables.evaluate(cooled, {"ce": 0.0, "half": 0.1}, *labels, Draws(5, 0))
    assert np.allclose(tables.suppression["suppression"], 0.5)


def test_two_recipes_without_smoothing_are_refused(smoothing):
    models, labels, _ = smoothing
    with pytest.raises(ValueError, match="not 2"):
        smoothing_tables.evaluate(models, {"ce": 0.0, "ls0.4": 0.0}, *labels, Draws(0, 0))
