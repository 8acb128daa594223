"""Separation against the plain metrics, and whether recall and precision are found to keep to their kind when they do, and only then."""

import numpy as np
import pandas as pd
import pytest

from genovision.claims.ledger import check_evidence, read_claim, weigh
from genovision.errors import InputError
from genovision.tables import read_table, write_table
from genovision.text_to_image import evaluation
from genovision.uncertainty import metrics
from genovision.uncertainty.resampled import Draws

# set: (kind, how much epistemic and aleatoric uncertainty rise, in standard deviations)
APART = {
    "normal": ("normal", 0, 0),
    "ood": ("ood", 3, 0.5),
    "vague": ("vague", 0.3, 2),
    "typos": ("corrupted", 0.5, 2.5),
}
TOGETHER = {"normal": ("normal", 0, 0), "ood": ("ood", 2, 2), "vague": ("vague", 2, 2)}


def world(sets, prompts=60, seeds=3, seed=0):
    """Scores of prompts with a fixed part and some noise per seed; image distances that know a little of the OOD sets."""
    rng, rows = np.random.default_rng(seed), []
    for name, (kind, *rises) in sets.items():
        for number in range(prompts):
            own, distance = rng.normal(size=2), rng.normal()
            for noise in range(seeds):
                e, a = 0.3 + 0.1 * (np.array(rises) + own + 0.3 * rng.normal(size=2))
                rows.append(
                    {"id": f"{name}-{number}", "set": name, "kind": kind, "seed": noise}
                    | {"bertscore_epistemic": e, "bertscore_aleatoric": a, "bertscore_f1": (e + a) / 2}
                    | {"pixel_distance": distance + 0.3 * rises[0], "feature_distance": rng.normal() + 0.3 * rises[0]}
                )
    return pd.DataFrame(rows)


def evaluate(sets=APART, replicates=200, **options):
    return evaluation.evaluate({"scenes": world(sets, **options)}, Draws(replicates, 0))


def test_separation_equals_the_metrics_of_resampled_rows():
    rng = np.random.default_rng(0)
    for levels in (5, 1000):  # many ties, hardly any
        normal, others = rng.integers(levels, size=30) / levels, rng.integers(levels, size=23) / levels + 0.1
        counts = [rng.multinomial(n, np.full(n, 1 / n), size=50).astype(float) for n in (30, 23)]
        counts = [np.vstack([np.ones(c.shape[1]), c]) for c in counts]
        found = evaluation.separation(normal, others, *counts)
        ranking, weights = metrics.Ranking.separating(-normal, -others), np.hstack(counts)
        np.testing.assert_allclose(found["auroc"], metrics.auroc(ranking, weights=weights))
        np.testing.assert_allclose(found["aupr"], metrics.aupr(ranking, positive="ood", weights=weights))
        np.testing.assert_allclose(found["fpr95"], metrics.fpr_at_tpr(ranking, positive="ood", weights=weights))


def test_detection_is_the_mean_over_seeds_with_an_interval():
    scores = world(APART)
    table = evaluation.evaluate({"scenes": scores}, Draws(200, 0)).detection
    row = table[(table["score"] == "bertscore_epistemic") & (table["set"] == "ood") & (table["metric"] == "auroc")]
    each = [
        metrics.auroc(-a, -b)
        for a, b in (
            [part.loc[part["kind"] == kind, "bertscore_epistemic"].to_numpy() for kind in ("normal", "ood")]
            for _, part in scores.groupby("seed")
        )
    ]
    assert row["value"].item() == pytest.approx(np.mean(each))
    assert row["low"].item() < row["value"].item() < row["high"].item()
    assert row[["kind", "chance", "normal", "others", "seeds"]].to_numpy().tolist() == [["epistemic", 0.5, 60, 60, 3]]
    means = table[(table["set"] == "aleatoric_mean") & (table["metric"] == "fpr95")].set_index("score")["value"]
    both = table[table["set"].isin(["vague", "typos"]) & (table["metric"] == "fpr95")].groupby("score")["value"].mean()
    pd.testing.assert_series_equal(means.sort_index(), both.sort_index())
    assert set(table["metric"]) == {"auroc", "aupr", "fpr95"} and table["convention"].notna().all()


def test_the_order_of_rows_does_not_matter():
    scores = world(APART)
    mixed = pd.concat([part.sample(frac=1, random_state=1) for _, part in scores.groupby("set", sort=False)])
    first = evaluation.evaluate({"w": scores}, Draws(20, 0))
    other = evaluation.evaluate({"w": mixed}, Draws(20, 0))
    for one, two in zip(first, other, strict=True):
        pd.testing.assert_frame_equal(one, two)


def test_rise_by_hand_and_of_repeated_rows():
    normal, others = np.array([0.0, 1, 2, 5]), np.array([4.0, 6])
    expected = (5 - normal.mean()) / np.sqrt((normal.var(ddof=1) + others.var(ddof=1)) / 2)
    ones = np.ones((1, 4)), np.ones((1, 2))
    assert evaluation.rise(normal, others, *ones)[0] == pytest.approx(expected)
    drawn = evaluation.rise(normal, others, np.array([[2.0, 0, 1, 1]]), np.array([[0.0, 2]]))
    again = np.array([0.0, 0, 2, 5])
    assert drawn[0] == pytest.approx((6 - again.mean()) / np.sqrt(again.var(ddof=1) / 2))
    assert np.isfinite(evaluation.rise(np.full(3, 0.1), others, np.ones((1, 3)), np.ones((1, 2)))[0])
    assert np.isnan(evaluation.rise(np.full(3, 0.1), np.full(2, 0.2), np.ones((1, 3)), np.ones((1, 2)))[0])


def test_kinds_that_are_apart_are_found_apart():
    table = evaluate().disentanglement.set_index("set")
    assert table.loc[["ood", "vague", "typos", "ood_mean", "aleatoric_mean"], "holds"].tolist() == ["yes"] * 5
    assert table.loc["ood", "epistemic"] == pytest.approx(3, abs=0.8)
    assert table.loc["vague", "aleatoric"] == pytest.approx(2, abs=0.7)
    assert (table["own_minus_other_low"].dropna() < table["own_minus_other"].dropna()).all()
    assert np.isnan(table.loc["normal", "epistemic"])
    assert table.loc["ood", "mean_epistemic"] > table.loc["normal", "mean_epistemic"] + 0.2
    assert (table["correlation"].abs() < 0.5).all()


def test_kinds_that_rise_together_are_not():
    table = evaluate(TOGETHER).disentanglement.set_index("set")
    assert set(table.loc[["ood", "vague"], "holds"]) == {"unclear"}
    swapped = {"normal": ("normal", 0, 0), "ood": ("ood", 0, 3), "vague": ("vague", 3, 0)}
    assert set(evaluate(swapped).disentanglement.set_index("set").loc[["ood", "vague"], "holds"]) == {"no"}


CLAIMS = [
    {"id": 29, "metric": "auroc_ood", "left": "punc", "right": ["pixel_distance", "feature_distance"]},
    {"id": 30, "metric": "disentanglement", "left": "own_kind", "right": "other_kind"},
]


@pytest.mark.parametrize(
    ("sets", "verdicts"),
    [
        (APART, ["supported", "supported"]),
        (TOGETHER, ["supported", "inconclusive"]),
        # one kind that is apart does not make up for the other
        ({"normal": ("normal", 0, 0), "ood": ("ood", 5, 0), "vague": ("vague", 2, 0)}, ["supported", "contradicted"]),
    ],
)
def test_the_ledger_weighs_the_evidence(sets, verdicts):
    tables = evaluate(sets)
    rows = check_evidence(tables.evidence, "evidence")
    common = {"system": "punc", "claim": "", "direction": "greater", "minimum_effect": 0, "unit": "prompt and seed"}
    claims = [read_claim(common | claim) for claim in CLAIMS]
    found = weigh(claims, {"evidence.tsv": rows}, {}, "desk")
    assert found["verdict"].tolist() == verdicts
    assert found["groups"].tolist() == ["scenes", "scenes"]
    assert set(rows["replicate"]) == set(range(-1, 200))


def test_punc_is_read_by_the_side_that_is_meant():
    tables = evaluate()
    points = tables.evidence[tables.evidence["replicate"] == -1].set_index(["metric", "side"])["value"]
    auroc = tables.detection[tables.detection["metric"] == "auroc"].set_index(["score", "set"])["value"]
    assert points["auroc_ood", "punc"] == auroc["bertscore_epistemic", "ood_mean"]
    assert points["auroc_aleatoric", "punc"] == auroc["bertscore_aleatoric", "aleatoric_mean"]
    assert points["auroc_ood", "pixel_distance"] == auroc["pixel_distance", "ood_mean"]


def test_uncertainty_that_never_varies_leaves_no_rise_and_no_verdict():
    scores = world(APART)
    scores["bertscore_epistemic"] = np.where(scores["kind"] == "normal", 0.1, 0.2)
    tables = evaluation.evaluate({"w": scores}, Draws(20, 0))
    assert tables.disentanglement["epistemic"].isna().all()
    assert set(tables.disentanglement["holds"].dropna()) == {"unclear"}
    found = tables.evidence[tables.evidence["metric"] == "disentanglement"]
    sides = found.pivot(index="replicate", columns="side", values="value")
    assert len(sides) == 21 and (sides["own_kind"] - sides["other_kind"]).isna().all()


def test_normal_prompts_that_are_all_drawn_right_are_no_obstacle():
    scores = world(APART)
    scores.loc[scores["kind"] == "normal", ["bertscore_epistemic", "bertscore_aleatoric"]] = 0.0
    tables = evaluation.evaluate({"w": scores}, Draws(20, 0))
    assert tables.disentanglement.set_index("set").loc[["ood", "vague", "typos"], "own_minus_other"].notna().all()


def test_a_set_beside_is_shown_and_not_counted():
    tables = evaluate(APART | {"held_out": ("novel", 5, 0)})
    assert "held_out" in set(tables.detection["set"]) and "held_out" in set(tables.disentanglement["set"])
    plain = evaluate()
    for name in ("ood_mean", "aleatoric_mean"):
        columns = ["set", "score", "metric"]
        one, two = (t.detection.set_index(columns)["value"].xs(name) for t in (tables, plain))
        pd.testing.assert_series_equal(one, two)


def test_groups_with_the_same_templates_are_paired():
    scores = world({"normal": ("normal", 0, 0), "ood": ("ood", 2, 0), "people": ("bias", 1, 1)})
    number = scores["id"].str.extract(r"(\d+)$")[0].astype(int)
    scores["group"] = np.where(scores["kind"] == "bias", np.where(number % 2, "a man", "a woman"), "")
    scores["template"] = "template " + (number // 2).astype(str)
    # what a template adds is common to both groups
    scores["bertscore_epistemic"] += np.where(scores["kind"] == "bias", (number // 2) / 10 + 0.2 * (number % 2), 0)
    table = evaluation.evaluate({"w": scores}, Draws(200, 0)).groups
    assert set(table["group"]) == {"a man", "a woman"} and set(table["set"]) == {"people"}
    paired = table.set_index(["score", "group"]).loc[("bertscore_epistemic", "a man")]
    assert paired["difference_low"] > 0 and paired["prompts"] == 30
    assert table.groupby("score")["difference"].sum().to_numpy() == pytest.approx([0, 0])
    loose = evaluation.evaluate({"w": scores.drop(columns="template")}, Draws(200, 0)).groups
    loose = loose.set_index(["score", "group"]).loc[("bertscore_epistemic", "a man")]
    assert loose["difference"] == pytest.approx(paired["difference"])
    width = [row["difference_high"] - row["difference_low"] for row in (paired, loose)]
    assert width[0] < 0.5 * width[1]


def test_unseen_concepts():
    training = pd.DataFrame({"object1": ["dog", "cat"], "object2": ["tree", "dog"], "relation": ["above", "above"]})
    prompts = pd.DataFrame(
        {
            "object1": ["tree", "elephant", "", "dog"],
            "object2": ["cat", "dog", "dog", "cat"],
            "relation": ["above"] * 3 + ["behind"],
        }
    )
    assert evaluation.unseen(prompts, training, ["object1", "object2", "relation"]) == ["", "elephant", "", "behind"]
    scores = world(APART)
    number = scores["id"].str.extract(r"(\d+)$")[0].astype(int)
    scores["concept"] = np.where(scores["set"] == "ood", np.where(number < 4, "rare", "elephant"), "")
    table = evaluation.evaluate({"w": scores}, Draws(50, 0)).concepts
    assert set(table["concept"]) == {"elephant"}  # four prompts are too few to speak of
    row = table[table["score"] == "bertscore_epistemic"].iloc[0]
    assert row["value"] > 0.9 and row["prompts"] == 56 and row["low"] < row["value"]


def test_without_replicates_there_are_no_intervals():
    tables = evaluate(replicates=0)
    assert tables.detection["low"].isna().all() and tables.detection["value"].notna().all()
    assert set(tables.disentanglement["holds"].dropna()) == {"unclear"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="seed"), "no column seed"),
        (lambda t: t[t["kind"] != "normal"], "no prompt of kind normal"),
        (lambda t: t.iloc[1:], "has 2 of 3 seeds"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "two rows of seed 0"),
        (lambda t: t.assign(pixel_distance=np.nan), "column pixel_distance"),
        (lambda t: t.drop(columns="bertscore_aleatoric"), "no two columns"),
        (lambda t: t.rename(columns=lambda c: c.replace("bertscore", "rouge1")), "no bertscore among rouge1"),
        (lambda t: t.assign(kind=t["kind"].replace("vague", "normal")), "both normal"),
        (lambda t: t.assign(set=t["set"].replace("vague", "ood")), "several kinds"),
    ],
)
def test_scores_that_cannot_be_evaluated_are_refused(change, said):
    with pytest.raises(InputError, match=said):
        evaluation.evaluate({"scenes": change(world(APART, prompts=3))}, Draws(2, 0))


# --- the command -------------------------------------------------------------------------------------------------------------------

OUTPUTS = ("detection", "summary", "disentanglement", "groups", "concepts", "evidence")


def options(folder, *more):
    named = [text for name in OUTPUTS for text in (f"--{name}", folder / f"{name}.tsv")]
    return [
        "text_to_image/evaluate_punc",
        "--scores",
        "scenes",
        folder / "scores.parquet",
        "--replicates",
        20,
        *named,
        *more,
    ]


def test_the_command_writes_the_same_tables_again(command, tmp_path):
    write_table(world(APART | {"held_out": ("novel", 5, 0)}, prompts=20), tmp_path / "scores.parquet")
    contents = []
    for _ in range(2):
        code, err = command(*options(tmp_path))
        assert code == 0, err
        contents.append([(tmp_path / f"{name}.tsv").read_bytes() for name in OUTPUTS])
    assert contents[0] == contents[1]
    summary = read_table(tmp_path / "summary.tsv")
    assert list(summary.columns)[:4] == ["world", "score", "OOD mean", "aleatoric mean"] and len(summary) == 5
    assert command(*options(tmp_path, "--normal", "scenes", "held_out"))[0] == 0
    sets = set(read_table(tmp_path / "detection.tsv")["set"])
    assert "held_out" not in sets and "normal" not in sets and "ood" in sets


def test_the_command_refuses_what_is_not_there(command, tmp_path):
    write_table(world(APART, prompts=3), tmp_path / "scores.parquet")
    for more, said in (
        (["--normal", "scenes", "none"], "no such set"),
        (["--scores", "scenes", tmp_path / "scores.parquet"], "named twice"),
        (["--headline", "bleu"], "no bleu"),
        (["--seed", "-1"], "must not be negative"),
    ):
        code, err = command(*options(tmp_path, *more))
        assert (code, said in err) == (2, True), err
        assert not (tmp_path / "detection.tsv").exists()


def test_warnings_of_a_world_become_one_sentence(command, tmp_path):
    write_table(world(APART, prompts=5), tmp_path / "scores.parquet")
    rows = [("a", 0, "empty_caption", "x"), ("a", 1, "empty_caption", "x"), ("b", "", "cut_prompt", "y")]
    write_table(pd.DataFrame(rows, columns=["id", "seed", "warning", "text"]), tmp_path / "w.tsv")
    told = ["--warnings", "scenes", tmp_path / "w.tsv", "--told", tmp_path / "told.tsv"]
    assert command(*options(tmp_path, *told))[0] == 0
    row = read_table(tmp_path / "told.tsv").iloc[0]
    assert row["species"] == "scenes"
    assert row["text"].startswith(
        "2 of the captions are empty, which counts as precision and recall 0; 1 prompts are longer"
    )
    write_table(pd.DataFrame([], columns=["id", "seed", "warning", "text"]), tmp_path / "w.tsv")
    assert command(*options(tmp_path, *told))[0] == 0
    assert read_table(tmp_path / "told.tsv").empty
