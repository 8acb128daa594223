"""The commands that evaluate and draw: every table, the same bytes again, and one sentence about bad input."""

import pytest
from translation import scored_world as world

from genovision.tables import read_table, write_table

RISES = {"single": None, "ensemble": 1.0, "end": None, "dirichlet": 0.8, "laplace_top": 1.5}
TABLES = ("detection", "summary", "errors", "quality", "agreement", "points", "cost", "choice", "evidence")


@pytest.fixture
def given(tmp_path):
    """Options of evaluate_edd for two tasks, two seeds and all tables."""
    options = []
    for task in ("bitext", "dna"):
        folder = tmp_path / task
        for seed in (0, 1):
            for system in RISES:
                path = folder / f"{seed}" / f"{system}.tsv"
                write_table(world.scored(system, seed, RISES, task=task), path)
                options += ["--scored", task, seed, system, path]
                write_table(world.costs(system, 1.0 + seed), path.with_suffix(".cost.tsv"))
                options += ["--costs", task, path.with_suffix(".cost.tsv")]
        write_table(world.controls(), folder / "controls.tsv")
        write_table(world.sets(), folder / "sets.tsv")
        options += ["--controls", task, folder / "controls.tsv", "--sets", task, folder / "sets.tsv"]
    return options


def outputs(folder):
    return [part for name in TABLES for part in (f"--{name}", folder / f"{name}.tsv")]


def test_every_table_is_written_the_same_again(command, given, tmp_path):
    for name in ("first", "second"):
        code, told = command(
            "translation/evaluate_edd",
            *given,
            "--replicates",
            20,
            "--seed",
            3,
            *outputs(tmp_path / name),
            "--told",
            tmp_path / name / "told.tsv",
        )
        assert code == 0, told
    assert (tmp_path / "first" / "told.tsv").read_text() == "species\ttext\n"
    for name in TABLES:
        first, second = ((tmp_path / folder / f"{name}.tsv").read_bytes() for folder in ("first", "second"))
        assert first == second and first.count(b"\n") > 2
    for name in ("detection", "summary", "errors", "quality", "agreement", "points", "cost", "choice"):
        assert set(read_table(tmp_path / "first" / f"{name}.tsv")["task"]) == {"bitext", "dna"}
    evidence = read_table(tmp_path / "first" / "evidence.tsv")
    assert set(evidence["system"]) == {"edd"}
    assert {"auroc_ood", "auroc_ood_mean", "auroc_ood_chosen", "prr", "prr_knowledge", "bleu", "chrf", "bits"} <= set(
        evidence["metric"]
    )
    assert set(evidence.loc[evidence["metric"] == "bleu", "group"]) == {"bitext"}


def swapped(options, path):
    """The options with another table of bitext's single, seed 0."""
    return [path if str(one).endswith("bitext/0/single.tsv") else one for one in options]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda o, f: [*o, "--replicates", -1], "must not be negative"),
        (lambda o, f: [*o, "--scored", "bitext", 0, "end", o[4]], "--scored bitext 0 end: the table is named twice"),
        (lambda o, f: [*o, "--scored", "dna", 0, "snapshot", o[4]], "there is no system snapshot"),
        (lambda o, f: [*o, "--controls", "rna", o[4]], "--controls rna: no --scored is of this task"),
        (lambda o, f: [*o, "--sets", "dna", o[-1]], "--sets dna: the task is named twice"),
        (lambda o, f: o[:-3], "--scored dna: no --sets says which role"),
        (lambda o, f: swapped(o, f / "bitext/controls.tsv"), "there is no column total"),
        (lambda o, f: swapped(o, f / "none.tsv"), "none.tsv"),
        (lambda o, f: swapped(o, f / "dna/0/single.tsv"), "there is no column chrf"),
    ],
)
def test_bad_input_is_one_sentence_and_no_table(command, given, tmp_path, change, sentence):
    code, told = command("translation/evaluate_edd", *change(given, tmp_path), *outputs(tmp_path / "out"))
    assert code == 2 and sentence in told.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_references_must_be_there(command, given, tmp_path):
    table = world.sets()
    write_table(table[table["id"] != "test-7"], tmp_path / "bitext" / "sets.tsv")
    code, told = command("translation/evaluate_edd", *given, "--replicates", 0, *outputs(tmp_path / "out"))
    assert code == 2 and "sentence test-7 of test is missing" in told
    write_table(table[["set", "role"]], tmp_path / "bitext" / "sets.tsv")
    code, told = command("translation/evaluate_edd", *given, "--replicates", 0, *outputs(tmp_path / "out"))
    assert code == 2 and "no column target" in told
