"""The commands that score systems and diagnose their teachers, on networks with random weights: tables, the same again, bad input."""

import numpy as np
import pandas as pd
import pytest
from translation.tiny import network

from genovision.tables import read_table, write_table
from genovision.translation.batches import make_corpus, write_corpora
from genovision.translation.controls import NAMES as CONTROLS
from genovision.translation.families import PRECISIONS
from genovision.translation.network import write_network
from genovision.translation.scored import read_task
from genovision.translation.sequence_measures import SEQUENCE, TOKEN
from genovision.translation.sets import encoded_sets, read_sets
from genovision.translation.students import Student, write_student
from genovision.translation.tokenizer import read_tokenizer, train_tokenizer, write_tokenizer

WORDS = ["file", "not", "found", "open", "the", "door", "lamp", "light", "on", "off", "Übersicht", '"quoted"', "a\\b"]
ROLES = {"train": "train", "valid": "valid", "test": "test", "far": "ood", "near": "ood", "valid_far": "valid_ood"}
FAMILIES = ("end", "dirichlet", "laplace", "laplace_top")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of sets, a tokenizer, two ensembles and students."""
    folder = tmp_path_factory.mktemp("translation")
    rng = np.random.default_rng(0)
    rows = []
    for key, role in ROLES.items():
        for number in range(5):
            source, target = (" ".join(rng.choice(WORDS, rng.integers(2, 5))) for _ in range(2))
            rows.append((key, role, f"{key}-{number}", source, "" if "ood" in role else target, ""))
    sets = pd.DataFrame(rows, columns=["set", "role", "id", "source", "target", "tokens"])
    write_table(sets, folder / "sets.tsv")
    write_tokenizer(train_tokenizer(sets["source"].tolist(), 280), folder / "tokenizer.json")
    tokenizer = read_tokenizer(folder / "tokenizer.json")
    encoded = encoded_sets(read_sets(folder / "sets.tsv"), tokenizer, 64)
    corpora = {name: make_corpus(*sides, size=tokenizer.size) for name, sides in encoded.items()}
    write_corpora(folder / "encoded.npz", corpora, tokenizer.digest)
    size = {"vocabulary": tokenizer.size, "sharp": 3.0}
    for seed in range(4):
        smoothing = {"label_smoothing": 0.1 if seed < 2 else 0.0}
        write_network(folder / f"members/{seed}", network(seed, **size), tokenizer.digest, smoothing)
    for family in FAMILIES:
        head = {"end": None, "dirichlet": "precision"}.get(family, "scale")
        bounds = PRECISIONS if head == "precision" else (1e-3, 10.0)
        one = Student(network(9, head, **size), family, 6 if family == "laplace_top" else tokenizer.size, 1.0, bounds)
        write_student(folder / family, one, tokenizer.digest, {})
    return folder


def options(made, **changes):
    given = {"tokenizer": made / "tokenizer.json", "encoded": made / "encoded.npz", "sets": made / "sets.tsv"} | changes
    return [part for name, value in given.items() for part in (f"--{name}", value)]


def models(made, system):
    folders = {"single": [0, 1], "ensemble": [0, 1], "control": None}.get(system, system)
    if folders is None:
        return []
    return ["--models", *([made / folders] if isinstance(folders, str) else [made / f"members/{n}" for n in folders])]


SCORED = ("single", "ensemble", *FAMILIES, "control")


@pytest.fixture(scope="module")
def scored(made, launcher):
    for system in SCORED:
        given = ["translation/score_system", "--system", system, *models(made, system), *options(made)]
        given += ["--samples", 4, "--out", made / f"{system}.tsv", "--cost", made / f"{system}.cost.tsv"]
        assert launcher.run(list(map(str, given))) == 0
    return {system: read_table(made / f"{system}.tsv") for system in SCORED}


def test_every_sentence_has_a_row_with_every_measure(scored):
    for system, table in scored.items():
        assert len(table) == 25 and "train" not in set(table["set"])
        own = set(CONTROLS) if system == "control" else {*TOKEN, *SEQUENCE}
        own |= {"location_entropy", "mean_scale", "heavy_share"} if system.startswith("laplace") else set()
        others = set() if system == "control" else {"hypothesis", "tokens", "logprob", "chrf"}
        assert set(table.columns) == {"set", "role", "id"} | own | others
        assert np.isfinite(table[sorted(own)]).all(axis=None)
    assert (scored["single"]["mutual_information"] == 0).all() and (scored["end"]["epkl"] == 0).all()
    assert (scored["ensemble"]["mutual_information"] > 0).all()
    assert scored["ensemble"].loc[scored["ensemble"]["role"].isin(["test", "valid"]), "chrf"].between(0, 100).all()
    assert scored["ensemble"].loc[scored["ensemble"]["role"].isin(["ood", "valid_ood"]), "chrf"].isna().all()


def test_the_tables_are_those_that_are_evaluated(scored):
    given = {("0", system): table for system, table in scored.items() if system != "control"}
    task = read_task("bitext", given, ROLES, scored["control"])
    assert task.inside == "valid" and task.of_role("ood") == ["far", "near"]
    assert set(task.values["control"]) == set(CONTROLS)


def test_cost_is_one_row(made, scored):
    table = pd.concat([read_table(made / f"{system}.cost.tsv") for system in SCORED]).set_index("system")
    assert (table["sentences"] == 25).all() and (table["padding_waste"] <= 0.15).all()
    assert table.loc["control", "passes"] == 0 and table.loc["single", "passes"] > 0
    assert table.loc["ensemble", "tokens"] == scored["ensemble"]["tokens"].sum()


def test_the_same_bytes_again(made, scored, command, tmp_path):
    for system in ("ensemble", "laplace_top"):
        given = ["--system", system, *models(made, system), *options(made), "--samples", 4]
        code, told = command("translation/score_system", *given, "--out", tmp_path / "again.tsv")
        assert code == 0, told
        assert (tmp_path / "again.tsv").read_bytes() == (made / f"{system}.tsv").read_bytes()


def test_several_hypotheses_of_a_beam(made, command, scored, tmp_path):
    given = ["--system", "ensemble", *models(made, "ensemble"), *options(made), "--beam", 3, "--hypotheses", 2]
    code, told = command("translation/score_system", *given, "--out", tmp_path / "beam.tsv")
    assert code == 0, told
    assert not np.allclose(read_table(tmp_path / "beam.tsv")["total"], scored["ensemble"]["total"])


def diagnosed(made, **changes):
    found = ["--members", made / "members/0", made / "members/1", *options(made)]
    for name in ("laplace", "laplace_top"):
        found += ["--students", name, made / name]
    given = {"replicates": 5, "sentences": 3} | changes
    return found + [part for name, value in given.items() for part in (f"--{name}", value)]


def test_the_diagnosis_has_every_source_and_setting(made, command, tmp_path):
    given = [*diagnosed(made), "--others", made / "members/2", made / "members/3", "--k", 4, 16, "--temperatures", 2]
    for folder in ("first", "second"):
        out = ["--spread", tmp_path / folder / "spread.tsv", "--experiment", tmp_path / folder / "experiment.tsv"]
        out += ["--settings", tmp_path / folder / "settings.tsv"]
        code, told = command("translation/diagnose_teachers", *given, *out)
        assert code == 0, told
    for name in ("spread.tsv", "experiment.tsv", "settings.tsv"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    spread = read_table(tmp_path / "first" / "spread.tsv")
    assert set(spread["source"]) == {"teachers", "laplace", "laplace_top"} and set(spread["set"]) == {
        "test",
        "far",
        "near",
    }
    assert spread["last"].max() == 280 and (spread["sentences"] == 3).all()
    experiment = read_table(tmp_path / "first" / "experiment.tsv")
    assert set(experiment["smoothing"]) == {0.0, 0.1} and set(experiment["k"]) == {4, 16, 280}
    assert set(experiment["members"]) == {1, 2} and set(experiment["temperature"]) == {1.0, 2.0}
    assert set(experiment.loc[experiment["base"] == "yes", "measure"]) == {"total", "mutual_information", "spread"}
    settings = read_table(tmp_path / "first" / "settings.tsv")
    assert settings["chosen"].tolist() == ["yes"] + ["no"] * (len(settings) - 1)
    assert settings["value"].is_monotonic_decreasing and (settings["base"] == "yes").sum() == 1
    known = experiment[(experiment["measure"] == "mutual_information") & (experiment["set"] == "ood_mean")]
    assert len(settings) == len(known)


def placed(made, change):
    """Options in which @ stands for the folder of models."""
    return [made / part[1:] if part.startswith("@") else part for part in change]


@pytest.mark.parametrize(
    ("system", "change", "sentence"),
    [
        ("ensemble", ["--models", "@members/0"], "an ensemble has two members or more"),
        ("end", ["--models", "@members/0"], "student.json is missing"),
        ("end", ["--models", "@dirichlet"], "is a student of the family dirichlet"),
        ("end", ["--models", "@end", "@dirichlet"], "--models names 2 folders; a student has one"),
        ("single", [], "name its folder with --models"),
        ("control", ["--models", "@members/0"], "it knows no model"),
        ("single", ["--models", "@members/0", "--samples", "0"], "--samples 0 must be 1 or more"),
        ("single", ["--models", "@members/0", "--hypotheses", "2"], "--hypotheses 2 are more than --beam 1 keeps"),
        ("single", ["--models", "@members/0", "--temperature", "0"], "--temperature 0.0 must be above 0"),
        ("single", ["--models", "@nowhere"], "nowhere/config.json"),
    ],
)
def test_bad_input_of_scoring_is_one_sentence(made, command, tmp_path, system, change, sentence):
    code, told = command(
        "translation/score_system",
        "--system",
        system,
        *options(made),
        *placed(made, change),
        "--out",
        tmp_path / "o.tsv",
    )
    assert code == 2 and sentence in told.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_sets_and_their_encoding_must_agree(made, command, tmp_path):
    table = read_sets(made / "sets.tsv")
    write_table(table[table["id"] != "far-2"], tmp_path / "sets.tsv")
    given = ["--system", "single", *models(made, "single"), *options(made, sets=tmp_path / "sets.tsv")]
    code, told = command("translation/score_system", *given, "--out", tmp_path / "out.tsv")
    assert code == 2 and "has 5 sentences of far, the table of sets 4" in told
    write_tokenizer(train_tokenizer(["another text"], 262), tmp_path / "tokenizer.json")
    given = ["--system", "single", *models(made, "single"), *options(made, tokenizer=tmp_path / "tokenizer.json")]
    code, told = command("translation/score_system", *given, "--out", tmp_path / "out.tsv")
    assert code == 2 and "vocabulary" in told and not (tmp_path / "out.tsv").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["--members", "@members/0"], "2 or more members, 1 given"),
        (["--others", "@members/0", "@members/1"], "another ensemble was trained with label smoothing 0.1"),
        (["--others", "@members/2"], "--others: as many members as --members has, 2"),
        (["--others", "@members/0", "@members/2"], "must share one"),
        (["--students", "laplace", "@laplace_top"], "--students: a system is named twice"),
        (["--students", "end", "@end"], "students with a scale for each logit are asked for"),
        (["--k", "0"], "--k must be 1 or more"),
        (["--temperatures", "0"], "--temperatures above 0"),
        (["--replicates", "-1"], "--replicates -1 must not be negative"),
        (["--sentences", "1"], "has 1 sentences; two at least are needed"),
    ],
)
def test_bad_input_of_the_diagnosis_is_one_sentence(made, command, tmp_path, change, sentence):
    out = ["--spread", tmp_path / "spread.tsv", "--experiment", tmp_path / "experiment.tsv"]
    out += ["--settings", tmp_path / "settings.tsv"]
    code, told = command("translation/diagnose_teachers", *diagnosed(made), *placed(made, change), *out)
    assert code == 2 and sentence in told.splitlines()[-1]
    assert not list(tmp_path.iterdir())
