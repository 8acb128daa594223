"""Figures: the same bytes again, everything in them that should be, no library that their environment lacks, and the command."""

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from checkouts import ROOT
from translation import scored_world as world

from genovision.figures import save, style
from genovision.resampling import Draws
from genovision.tables import write_table
from genovision.translation import detection, diagnosis, figures, judgement
from genovision.translation.scored import read_task

RISES = {"single": None, "ensemble": 1.0, "end": None, "dirichlet": 0.8, "laplace": 0.2, "laplace_top": 1.5}


@pytest.fixture(scope="module")
def tables():
    found = {}
    draws, tasks = Draws(20, 0), []
    for name in ("bitext", "dna"):
        given = {("0", system): world.scored(system, 0, RISES, task=name) for system in RISES}
        tasks.append(read_task(name, given, world.ROLES, world.controls()))
    texts = world.sets().set_index("id")["target"]
    found["detection"] = detection.detection_table([detection.Detection(task, draws) for task in tasks])
    found["errors"] = judgement.error_table([judgement.Errors(task, draws) for task in tasks])
    references = [texts.loc[tasks[0].ids["test"]].tolist(), []]
    qualities = [judgement.Quality(task, draws, own) for task, own in zip(tasks, references, strict=True)]
    found["quality"] = judgement.quality_table(qualities)
    found["agreement"], found["points"] = judgement.agreement_table(tasks, draws), judgement.points(tasks)
    costs = [world.costs(system, 1.0 + place).assign(task="bitext") for place, system in enumerate(RISES)]
    found["cost"] = judgement.cost_table(pd.concat(costs))
    found |= diagnosed()
    return found


def diagnosed(vocabulary=40):
    """Tables of a diagnosis that never ran."""
    rng = np.random.default_rng(0)
    base, tried = diagnosis.settings(vocabulary, 3, [0.5, 2.0], [4, 16])
    bins = len(diagnosis.ranges(vocabulary))
    sources = ("teachers", "laplace_top", "laplace")
    sets = {
        key: diagnosis.Found(
            {source: rng.uniform(0.1, 2, (30, bins)) for source in sources},
            {source: rng.uniform(0.1, 2, (90, bins)) for source in sources},
            {source: rng.random(bins) for source in sources[1:]},
            {
                (setting, measure): rng.random((3 if setting.members < 3 else 1, 30))
                for setting in tried
                for measure in ("total", "mutual_information")
            },
        )
        for key in ("test", "django", "french")
    }
    draws = Draws(20, 0)
    experiment = diagnosis.experiment_table({0.1: sets, 0.0: sets}, base, 0.1, draws)
    return {"spread": diagnosis.spread_table(sets, vocabulary, draws), "experiment": experiment}


def drawn(tables):
    return {
        "auroc": lambda: figures.auroc(tables["detection"], "bitext"),
        "overview": lambda: figures.overview(tables["quality"], tables["errors"], tables["cost"], "bitext"),
        "overview dna": lambda: figures.overview(tables["quality"], tables["errors"], tables["cost"], "dna"),
        "agreement": lambda: figures.agreement(tables["points"], tables["agreement"], "bitext"),
        "scales": lambda: figures.scales(tables["spread"]),
        "diagnosis": lambda: figures.diagnosis(tables["spread"], tables["experiment"]),
    }


def test_the_same_bytes_again(tables, tmp_path):
    for name, figure_of in drawn(tables).items():
        for folder in "ab":
            with style():
                save(figure_of(), tmp_path / folder / f"{name}.svg")
        first, second = ((tmp_path / folder / f"{name}.svg").read_bytes() for folder in "ab")
        assert first == second and b"<svg" in first
    plt.close("all")


def texts(figure):
    labels = [text.get_text() for ax in figure.axes for text in ax.get_yticklabels()]
    labels += [ax.get_title(loc="left") for ax in figure.axes]
    return labels + [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_auroc_shows_every_system_and_control_beside_chance(tables):
    with style():
        figure = figures.auroc(tables["detection"], "bitext")
    shown = texts(figure)
    for name in (
        "single model",
        "ensemble",
        "EnD (the mean)",
        "Laplace, top k",
        "bigram surprisal",
        "OOD mean",
        "django",
    ):
        assert name in shown
    assert len(figure.axes) == 3
    ax = figure.axes[0]
    places = ax.get_yticks().tolist()
    at = places[[label.get_text() for label in ax.get_yticklabels()].index("single model")]
    own = [line for line in ax.lines if line.get_marker() == "o" and abs(line.get_ydata()[0] - at) < 0.5]
    assert len(own) == 1 and own[0].get_markerfacecolor() == "white"  # total uncertainty alone
    assert any(list(line.get_xdata()) == [50, 50] for line in ax.lines)
    plt.close(figure)


def test_agreement_shows_every_student_that_knows_something(tables):
    with style():
        figure = figures.agreement(tables["points"], tables["agreement"], "bitext")
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert [title.split("\n")[0] for title in titles] == ["Dirichlet", "Laplace, all logits", "Laplace, top k"]
    row = tables["agreement"].query(
        "task == 'bitext' and system == 'dirichlet' and set == 'test' and measure == of == 'mutual_information'"
    )
    assert f"ρ = {row['value'].item():.2f}" in titles[0]
    plt.close(figure)


def test_without_a_student_the_figure_says_so(tables):
    points = tables["points"].drop(columns=["dirichlet", "laplace", "laplace_top"])
    with style():
        figure = figures.agreement(points, tables["agreement"], "bitext")
    assert "no student" in figure.axes[0].texts[0].get_text()
    plt.close(figure)


def test_a_factor_is_drawn_with_all_else_as_in_the_run(tables):
    experiment = tables["experiment"]
    rows = figures.along(experiment, "temperature")
    assert list(dict.fromkeys(rows["temperature"])) == [0.5, 1.0, 2.0]
    assert set(rows["k"]) == {40} and set(rows["members"]) == {3} and set(rows["smoothing"]) == {0.1}
    assert list(dict.fromkeys(figures.along(experiment, "members")["members"])) == [1, 2, 3]
    assert list(dict.fromkeys(figures.along(experiment, "k")["k"])) == [4, 16, 40]


def test_plots_need_no_torch_and_no_scipy():
    """The environment of the figures has neither."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'scipy', 'sacrebleu', 'transformers']));"
        "sys.path.insert(0, 'workflow'); import importlib.util as u;"
        "s = u.spec_from_file_location('plot', 'workflow/scripts/translation/plot_edd.py');"
        "m = u.module_from_spec(s); s.loader.exec_module(m); m.parser()"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


@pytest.fixture
def options(tables, tmp_path):
    found = ["--tasks", "bitext", "dna"]
    for name, table in tables.items():
        write_table(table, tmp_path / f"{name}.tsv")
        found += [f"--{name}", tmp_path / f"{name}.tsv"]
    for name in ("auroc", "overview", "agreement"):
        found += [f"--{name}-figures", *(tmp_path / "out" / f"{name}_{task}.svg" for task in ("bitext", "dna"))]
    return found


def test_the_command_draws_all(command, options, tmp_path):
    more = [part for name in ("scales", "diagnosis") for part in (f"--{name}-figure", tmp_path / "out" / f"{name}.svg")]
    code, told = command("translation/plot_edd", *options, *more)
    assert code == 0, told
    assert len(list((tmp_path / "out").glob("*.svg"))) == 8


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda o: [*o, "--tasks", "bitext"], "--auroc-figures: one file per task"),
        (lambda o: [*o, "--tasks", "bitext", "rna"], "has no task rna"),
        (lambda o: [*o, "--diagnosis-figure", "x.svg", "--experiment", ""], "--diagnosis-figure needs --experiment"),
        (lambda o: [*o, "--detection", o[-1].parent.parent / "cost.tsv"], "cost.tsv has no column measure, set"),
    ],
)
def test_bad_input_is_one_sentence_and_no_figure(command, options, tmp_path, change, sentence):
    code, told = command("translation/plot_edd", *change(options))
    assert code == 2 and sentence in told.splitlines()[-1]
    assert not (tmp_path / "out").exists()
