"""Detection against the plain metrics, choices on validation sets alone, evidence that the ledger can weigh, and bad tables by name."""

import numpy as np
import pandas as pd
import pytest
from translation import scored_world as world

from genovision.claims.ledger import check_evidence, read_claim, weigh
from genovision.errors import InputError
from genovision.resampling import Draws
from genovision.translation import detection
from genovision.translation.scored import SYSTEMS, read_task
from genovision.uncertainty import metrics

SEEDS = ("0", "1")


def tables(rises=world.SYSTEMS, seeds=SEEDS, **options):
    return {(seed, system): world.scored(system, int(seed), rises, **options) for seed in seeds for system in rises}


def task(rises=world.SYSTEMS, seeds=SEEDS, name="bitext", **options):
    given = tables(rises, seeds, task=name, **options)
    return read_task(name, given, world.ROLES, world.controls(options.get("sentences", 40)))


def detected(replicates=100, **options):
    return detection.Detection(task(**options), Draws(replicates, 0))


def side(table, key, column):
    return table.loc[table["set"] == key, column].to_numpy(dtype=float)


def test_values_are_the_plain_metrics_mean_over_seeds():
    found = detection.detection_table([detected()]).set_index(["system", "measure", "set", "metric"])
    each = [world.scored("laplace_top", seed) for seed in range(2)]
    for metric, plain in {
        "auroc": metrics.auroc,
        "aupr": lambda a, b: metrics.aupr(a, b, positive="ood"),
        "fpr95": metrics.fpr_at_tpr,
    }.items():
        values = {
            key: np.mean([plain(*(-side(one, k, "mutual_information") for k in ("test", key))) for one in each])
            for key in ("django", "french")
        }
        for key, value in values.items():
            row = found.loc["laplace_top", "mutual_information", key, metric]
            assert row["value"] == pytest.approx(value)
            assert row["low"] <= row["value"] <= row["high"] and row["high"] > row["low"]
            assert (row["n_id"], row["n_ood"], row["seeds"]) == (40, 40, 2)
        mean = found.loc["laplace_top", "mutual_information", "ood_mean", metric]
        assert mean["value"] == pytest.approx(np.mean(list(values.values()))) and mean["n_ood"] == 80
    assert found.loc["ensemble", "total", "django", "aupr"]["chance"] == 0.5


def test_a_replicate_is_the_metric_of_the_repeated_sentences():
    one, draws = task(seeds=("0",)), Draws(5, 3)
    values = detection.Detection(one, draws).values["ensemble", "total", "french", "auroc"]
    table = world.scored("ensemble", 0).set_index("id")["total"]
    sides = [(-table.loc[one.ids[key]].to_numpy(), detection.sentences(one, key, draws)) for key in ("test", "french")]
    for r in range(6):
        assert values[r] == pytest.approx(metrics.auroc(*(np.repeat(side, counts[r]) for side, counts in sides)))


def test_what_knows_nothing_of_disagreement_is_at_chance():
    found = detection.detection_table([detected(replicates=0)])
    flat = found[found["system"].isin(["single", "end"]) & (found["measure"] == "mutual_information")]
    assert (flat.loc[flat["metric"] == "auroc", "value"] == 0.5).all()
    assert (flat.loc[flat["metric"] == "aupr", "value"] == 0.5).all()
    assert found["low"].isna().all()


def test_systems_that_are_the_same_have_the_same_replicates():
    """Whatever is drawn for a set is the same for every system: a difference of equal systems is 0 in every replicate."""
    given = tables({"ensemble": 1.0, "dirichlet": 1.0, "laplace": 1.0, "single": None})
    for seed in SEEDS:
        given[seed, "laplace"] = given[seed, "dirichlet"].copy()
    found = detection.Detection(read_task("bitext", given, world.ROLES), Draws(50, 0))
    np.testing.assert_array_equal(found.auroc("laplace", "total"), found.auroc("dirichlet", "total"))


def test_choices_see_validation_sets_alone():
    found = detected(replicates=0)
    assert found.families["laplace"].chosen == "laplace_top" and found.families["dirichlet"].chosen == "proxy_dirichlet"
    assert found.measures["control"].chosen == "bigram"
    for (seed, system), table in (given := tables()).items():  # the test sets say the opposite
        at = table["set"].isin(["django", "french", "test"])
        given[seed, system] = table.assign(
            mutual_information=table["mutual_information"].where(~at, -table["mutual_information"])
        )
    turned = detection.Detection(read_task("bitext", given, world.ROLES), Draws(0, 0))
    for one in ("measures", "families"):
        chosen = {name: choice.chosen for name, choice in getattr(turned, one).items()}
        assert chosen == {name: choice.chosen for name, choice in getattr(found, one).items() if name in chosen}
    table = detection.choice_table([found]).set_index(["choice", "of"])
    assert table.loc[("system", "laplace"), "chosen"] == "laplace_top"
    assert table.loc[("system", "laplace"), "validation"] > table.loc[("system", "laplace"), "next_validation"]
    assert (table["inside"] == "valid").all()
    plain = [
        metrics.auroc(*(-side(world.scored("laplace_top", seed), key, "mutual_information") for key in ("valid", out)))
        for seed in range(2)
        for out in ("valid_spanish", "valid_noised")
    ]
    assert table.loc[("system", "laplace"), "validation"] == pytest.approx(np.mean(plain))


def test_no_choice_is_held_against_the_test_set():
    given = {key: table[table["set"] != "valid"] for key, table in tables().items()}
    with pytest.raises(InputError, match="the set valid is missing; score its sentences too"):
        read_task("bitext", given, world.ROLES)
    with pytest.raises(InputError, match="one set of role valid is needed, 0 are there"):
        read_task("bitext", given, {key: role for key, role in world.ROLES.items() if role != "valid"})
    assert task().inside == "valid"


CLAIMS = [
    {"id": 26, "metric": "auroc_ood", "left": "laplace", "right": "dirichlet"},
    {"id": 27, "metric": "auroc_ood", "left": "laplace", "right": "ensemble"},
    {"id": 99, "metric": "auroc_ood_mean", "left": "ensemble", "right": ["single", "end"], "groups": ["bitext"]},
    {"id": 100, "metric": "auroc_ood_chosen", "left": "laplace", "right": "length"},
]
STRONG = {"single": None, "ensemble": 0.5, "end": None, "dirichlet": -1.0, "laplace": -2.0, "laplace_top": 3.0}


@pytest.mark.parametrize(
    ("rises", "verdicts"),
    [
        (STRONG, ["supported", "supported", "supported", "supported"]),
        (
            STRONG | {"laplace_top": -2.0, "dirichlet": 2.0},
            ["contradicted", "contradicted", "supported", "supported"],
        ),
    ],
)
def test_the_ledger_weighs_the_evidence(rises, verdicts):
    both = [detected(rises=rises, replicates=200), detected(rises=rises, replicates=200, name="dna")]
    rows = check_evidence(detection.detection_evidence(both), "evidence")
    common = {"system": "edd", "claim": "", "direction": "greater", "minimum_effect": 0, "unit": "sentence and seed"}
    found = weigh([read_claim(common | claim) for claim in CLAIMS], {"evidence.tsv": rows}, {}, "desk")
    assert found["verdict"].tolist() == verdicts
    assert found["groups"].tolist() == ["bitext: django, bitext: french, dna: django, dna: french"] * 2 + [
        "bitext",
        "bitext: django, bitext: french, dna: django, dna: french",
    ]
    assert set(rows["replicate"]) == set(range(-1, 200))


def test_families_and_students_have_sides_of_their_own():
    found = detected(replicates=0)
    rows = detection.detection_evidence([found])
    points = rows[(rows["metric"] == "auroc_ood_mean")].set_index("side")["value"]
    assert points["laplace"] == points["laplace_top"] and points["dirichlet"] == points["proxy_dirichlet"]
    assert points["laplace_full"] == found.auroc("laplace", "mutual_information")[0]
    assert points["dirichlet_nll"] == found.auroc("dirichlet", "mutual_information")[0]
    assert points["single"] == points["end"] == 0.5
    assert {"bigram", "length"} <= set(points.index)


def test_the_summary_is_for_people():
    found = detection.summary(detection.detection_table([detected(), detected(name="dna")]))
    assert list(found.columns) == ["task", "system", "measure", "chosen", "OOD mean", "django", "french"]
    rows = found[(found["task"] == "bitext") & (found["system"] == "control")]
    assert rows["measure"].tolist() == ["length", "bigram"] and rows["chosen"].tolist() == ["no", "yes"]
    assert found["django"].str.contains("±").all()
    assert "epkl" not in set(found.loc[found["chosen"] == "no", "measure"])


def test_the_order_of_rows_does_not_matter():
    given = tables()
    mixed = {key: table.sample(frac=1, random_state=len(key[1])) for key, table in given.items()}
    first, other = (
        detection.detection_table([detection.Detection(read_task("bitext", some, world.ROLES), Draws(20, 0))])
        for some in (given, mixed)
    )
    keys = ["system", "measure", "set", "metric"]
    pd.testing.assert_frame_equal(
        first.sort_values(keys, ignore_index=True), other.sort_values(keys, ignore_index=True)
    )


def changed(table, **columns):
    return table.assign(**columns)


def without(table, key):
    return table[table["set"] != key]


BAD = {
    "unequal rows": (lambda t: t.drop(t.index[t["set"] == "django"][0]), "django has 40 sentences .* and 39"),
    "another sentence": (
        lambda t: changed(t, id=t["id"].replace("test-3", "test-x")),
        "sentence test-3 of test is missing",
    ),
    "a sentence twice": (lambda t: changed(t, id=t["id"].replace("test-3", "test-4")), "test-4 of test is there twice"),
    "no measure": (lambda t: t.drop(columns="mutual_information"), "mutual_information"),
    "no set": (lambda t: without(t, "french"), "the set french is missing"),
    "no valid set": (lambda t: without(t, "valid"), "the set valid is missing"),
    "a set without role": (lambda t: changed(t, set=t["set"].replace("french", "latin")), "role the set latin has"),
    "no number": (
        lambda t: changed(t, total=t["total"].where(t["id"] != "django-2")),
        "total of sentence django-2 of django",
    ),
    "text": (lambda t: changed(t, total="much"), "total of sentence .* is no finite number"),
    "no quality": (lambda t: t.drop(columns="chrf"), "no column chrf"),
    "quality missing": (
        lambda t: changed(t, chrf=t["chrf"].where(t["id"] != "test-5")),
        "chrf of sentence test-5 of test",
    ),
    "no id": (lambda t: t.drop(columns="id"), "no column id"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_tables_are_named(kind):
    change, sentence = BAD[kind]
    given = tables(seeds=("0",))
    given["0", "ensemble"] = change(given["0", "ensemble"])
    with pytest.raises(InputError, match=sentence) as told:
        read_task("bitext", given, world.ROLES)
    assert str(told.value).endswith(".") and "\n" not in str(told.value)


def test_other_bad_input_is_named():
    given = tables()
    with pytest.raises(InputError, match=r"no task rna; the tasks are bitext, dna\."):
        read_task("rna", given, world.ROLES)
    with pytest.raises(InputError, match=f"no system laplas; the systems are {', '.join(SYSTEMS)}"):
        read_task("bitext", given | {("0", "laplas"): given["0", "laplace"]}, world.ROLES)
    with pytest.raises(InputError, match="laplace has no table of seed 1"):
        read_task("bitext", {key: table for key, table in given.items() if key != ("1", "laplace")}, world.ROLES)
    with pytest.raises(InputError, match="no set of role ood"):
        read_task("bitext", given, {key: role for key, role in world.ROLES.items() if role != "ood"})
    with pytest.raises(InputError, match="one set of role test"):
        read_task("bitext", given, world.ROLES | {"django": "test"})
    single = {key: table.groupby("set").head(1) for key, table in given.items()}
    with pytest.raises(InputError, match="has one sentence"):
        read_task("bitext", single, world.ROLES)
    given["1", "laplace"] = given["1", "laplace"].drop(columns="mean_scale")
    with pytest.raises(
        InputError, match="mean_scale is in only one of bitext, laplace, seed 0 and bitext, laplace, seed 1"
    ):
        read_task("bitext", given, world.ROLES)
    with pytest.raises(InputError, match="no table"):
        read_task("bitext", {}, world.ROLES)
    with pytest.raises(InputError, match="control: there is no score"):
        read_task("bitext", tables(), world.ROLES, world.controls()[["set", "id"]])
