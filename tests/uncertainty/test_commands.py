"""The commands, from cached outputs to tables, figures and evidence; and what they say to bad input."""

import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from uncertainty import miniature

from genovision.tables import read_table, write_table

ROOT = Path(__file__).resolve().parents[2]
SEEDS, SETS = range(3), ("test", *miniature.OOD)


@pytest.fixture
def command(launcher, capsys):
    """`command(name, *options)` -> (exit code, what the user reads on standard error) of a command of this story."""

    def call(name, *options):
        code = launcher.run([f"uncertainty/{name}", *map(str, options)])
        return code, capsys.readouterr().err

    return call


@pytest.fixture(scope="session")
def cached(tmp_path_factory):
    """The folder of a small family of classifiers: outputs/ and models/."""
    return miniature.write(tmp_path_factory.mktemp("classifiers"))


@pytest.fixture
def copied(cached, tmp_path):
    """The same, to be broken."""
    return Path(shutil.copytree(cached, tmp_path / "classifiers"))


def outputs(folder, width, recipe, seed, split):
    return folder / "outputs" / width / recipe / f"seed{seed}" / f"{split}.npz"


def members(folder, split, width="M", recipe="ce", before=()):
    """Options that name every seed's outputs on one split."""
    return ["--outputs", *before, split, *(outputs(folder, width, recipe, seed, split) for seed in SEEDS)]


def scoring(folder, out, seed=0):
    place = lambda split: outputs(folder, "M", "ce", seed, split)  # noqa: E731
    named = [text for split in SETS for text in ("--outputs", split, place(split))]
    options = ["--train", place("train"), *named, "--head", place("head"), "--parameters", f"{out}.tsv", "--out", out]
    return ["score_outputs", *options]


def diversity(folder, out):
    tables = [
        text
        for name in ("detection", "selective", "conditional", "evidence")
        for text in (f"--{name}", out / f"{name}.tsv")
    ]
    named = [text for split in SETS for text in members(folder, split)]
    return ["evaluate_diversity", *named, "--replicates", 10, *tables, "--summary", out / "a.tsv", out / "f.tsv"]


def cascades(folder, out):
    named = []
    for width in "SML":
        named += ["--macs", width, folder / "models" / width / "ce" / "seed0" / "macs.json"]
        named += [text for split in ("calibration", *SETS) for text in members(folder, split, width, before=(width,))]
    tables = [
        text
        for name in ("points", "windows", "sizes", "summary", "evidence")
        for text in (f"--{name}", out / f"{name}.tsv")
    ]
    return ["evaluate_cascades", *named, "--sweep", "M", "--replicates", 10, *tables]


def smoothing(folder, out, alphas=(("ce", 0), ("ls0.1", 0.1), ("ls0.4", 0.4))):
    named = [text for recipe, alpha in alphas for text in ("--alpha", recipe, alpha)]
    named += [
        text
        for recipe, _ in alphas
        for split in ("calibration", "test")
        for text in members(folder, split, "M", recipe, (recipe,))
    ]
    names = ("measures", "curves", "searched", "suppression", "summary", "evidence")
    return [
        "evaluate_smoothing",
        *named,
        "--replicates",
        10,
        *(text for name in names for text in (f"--{name}", out / f"{name}.tsv")),
    ]


def sirc(scores, out):
    tables = [
        text for name in ("separation", "aurr", "curves", "evidence") for text in (f"--{name}", out / f"{name}.tsv")
    ]
    summaries = [out / f"{name}.tsv" for name in ("a", "f", "r")]
    return ["evaluate_sirc", "--scores", *scores, "--replicates", 10, *tables, "--summary", *summaries]


def twice(command, tmp_path, name, *options, number):
    """Run a plotting command twice: the same bytes, and SVG."""
    for run in "xy":
        code, err = command(name, *options, "--out", *(tmp_path / f"{run}{k}.svg" for k in range(number)))
        plt.close("all")
        assert code == 0, err
    for k in range(number):
        text = (tmp_path / f"x{k}.svg").read_bytes()
        assert text == (tmp_path / f"y{k}.svg").read_bytes() and b"<svg" in text


def test_sirc_from_outputs_to_figures(command, cached, tmp_path):
    scores = [tmp_path / f"seed{seed}.npz" for seed in SEEDS]
    for seed, path in zip(SEEDS, scores, strict=True):
        code, err = command(*scoring(cached, path, seed))
        assert code == 0, err
    for out in ("one", "two"):
        code, err = command(*sirc(scores, tmp_path / out))
        assert code == 0, err
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
    table = read_table(tmp_path / "one" / "separation.tsv")
    assert set(table["ood"]) == {"id_wrong", "ood_mean", *miniature.OOD}
    tables = [
        text for name in ("separation", "aurr", "curves") for text in (f"--{name}", tmp_path / "one" / f"{name}.tsv")
    ]
    twice(command, tmp_path, "plot_sirc", *tables, number=3)


def test_diversity_from_outputs_to_figures(command, cached, tmp_path):
    code, err = command(*diversity(cached, tmp_path))
    assert code == 0, err
    assert set(read_table(tmp_path / "evidence.tsv")["system"]) == {"ensemble_diversity"}
    options = ("--detection", tmp_path / "detection.tsv", "--conditional", tmp_path / "conditional.tsv")
    twice(command, tmp_path, "plot_diversity", *options, number=2)


def test_cascades_from_outputs_to_figures(command, cached, tmp_path):
    code, err = command(*cascades(cached, tmp_path))
    assert code == 0, err
    assert set(read_table(tmp_path / "windows.tsv")["width"]) == set("SML")
    twice(
        command,
        tmp_path,
        "plot_cascades",
        "--points",
        tmp_path / "points.tsv",
        "--sizes",
        tmp_path / "sizes.tsv",
        number=2,
    )
    lines = [
        f"{w}\t{s}\t{r}\t500\t0.2\t{b + 0.1 * r}"
        for w in "SML"
        for s, b in (("single", 1), ("window", 1.2), ("ensemble", 2))
        for r in range(3)
    ]
    (tmp_path / "seconds.tsv").write_text("\n".join(["pair\tsystem\trepeat\timages\tshare\tseconds", *lines]) + "\n")
    options = ("--out", tmp_path / "medians.tsv", "--evidence", tmp_path / "seconds_evidence.tsv")
    timed = ("--seconds", tmp_path / "seconds.tsv", "--points", tmp_path / "points.tsv")
    assert command("compare_seconds", *timed, *options)[0] == 0
    options = ("--seconds", tmp_path / "medians.tsv", "--points", tmp_path / "points.tsv")
    twice(command, tmp_path, "plot_seconds", *options, number=1)


def test_smoothing_from_outputs_to_figures(command, cached, tmp_path):
    code, err = command(*smoothing(cached, tmp_path))
    assert code == 0, err
    assert read_table(tmp_path / "summary.tsv")["recipe"].nunique() == 3
    tables = [
        text
        for name in ("measures", "curves", "suppression", "searched")
        for text in (f"--{name}", tmp_path / f"{name}.tsv")
    ]
    twice(command, tmp_path, "plot_smoothing", *tables, number=4)


def broken(path, **changes):
    """Write the arrays of a file anew with some changed."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    np.savez(path, **arrays)


def set_row(row, value):
    def change(array):
        array[row] = value
        return array

    return change


BAD = {
    "nan": ({"logits": set_row(7, np.nan)}, "row 7 of the logits is not finite"),
    "infinite": ({"features": set_row(3, np.inf)}, "row 3 of the features is not finite"),
    "shapes": ({"labels": lambda y: y[:-1]}, "(500, 5)"),
    "empty": ({name: (lambda a: a[:0]) for name in ("logits", "features", "labels")}, "holds no input at all"),
    "labels": ({"labels": set_row(0, 5)}, "0..4"),
    "chance": ({"logits": lambda v: np.roll(v, 1, axis=0)}, "chance level"),
    "one class": ({"logits": lambda v: v[:, :1], "labels": np.zeros_like}, "1 class"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_outputs_are_named_and_nothing_is_written(command, copied, tmp_path, case):
    changes, message = BAD[case]
    path = outputs(copied, "M", "ce", 1, "test")
    broken(path, **changes)
    code, err = command(*diversity(copied, tmp_path / "out"))
    assert (code, message in err, str(path) in err) == (2, True, True), err
    assert err.count("\n") == 2  # the interpreter, and one sentence
    assert not (tmp_path / "out").exists()


def test_an_ood_set_with_labels_and_one_that_is_empty_are_refused(command, copied, tmp_path):
    path = outputs(copied, "M", "ce", 0, "far")
    broken(path, labels=set_row(0, 2))
    code, err = command(*diversity(copied, tmp_path))
    assert (code, "-1 (out of distribution)" in err) == (2, True), err
    broken(path, **{name: (lambda a: a[:0]) for name in ("logits", "features", "labels")})
    code, err = command(*diversity(copied, tmp_path))
    assert (code, "holds no input at all" in err) == (2, True), err


def test_pickled_objects_are_refused(command, copied, tmp_path):
    path = outputs(copied, "M", "ce", 2, "near")
    np.savez(path, logits=np.array([{"run": "me"}], dtype=object), features=np.ones((1, 2)), labels=np.array([-1]))
    code, err = command(*diversity(copied, tmp_path))
    assert (code, "pickled objects" in err, str(path) in err) == (2, True, True), err


def test_a_truncated_file_is_refused(command, copied, tmp_path):
    path = outputs(copied, "M", "ce", 2, "near")
    path.write_bytes(path.read_bytes()[:500])
    code, err = command(*diversity(copied, tmp_path))
    assert (code, "no whole .npz" in err) == (2, True), err


def test_models_of_different_inputs_are_not_compared(command, copied, tmp_path):
    broken(
        outputs(copied, "M", "ce", 1, "near"),
        **{name: (lambda a: a[:150]) for name in ("logits", "features", "labels")},
    )
    code, err = command(*diversity(copied, tmp_path))
    assert (code, "(150, 5)" in err, "(200, 5)" in err) == (2, True, True), err


def test_a_missing_file_is_named(command, copied, tmp_path):
    path = outputs(copied, "M", "ce", 1, "near")
    path.unlink()
    code, err = command(*diversity(copied, tmp_path))
    assert (code, f"error: {path}: No such file" in err) == (2, True), err


def test_a_head_of_another_shape_is_named(command, copied, tmp_path):
    broken(outputs(copied, "M", "ce", 0, "head"), weight=lambda w: w[:, :-1])
    code, err = command(*scoring(copied, tmp_path / "s.npz"))
    assert (code, "(5, 11)" in err, "(5, 12)" in err) == (2, True, True), err


def test_a_file_that_holds_no_scores_is_named(command, cached, tmp_path):
    path = outputs(cached, "M", "ce", 0, "test")
    code, err = command(*sirc([path], tmp_path))
    assert (code, "score_outputs" in err) == (2, True), err


def test_a_cascade_needs_two_seeds_and_a_width_that_is_there(command, cached, tmp_path):
    options = cascades(cached, tmp_path)
    code, err = command(
        *[text if text != "M" or options[k - 1] != "--sweep" else "XL" for k, text in enumerate(options)]
    )
    assert (code, "--sweep XL is none of the widths S, M, L" in err) == (2, True), err
    named = ["--macs", "M", cached / "models" / "M" / "ce" / "seed0" / "macs.json"]
    named += [
        text
        for split in ("calibration", *SETS)
        for text in ("--outputs", "M", split, outputs(cached, "M", "ce", 0, split))
    ]
    code, err = command(*options[:1], *named, *options[options.index("--sweep") :])
    assert (code, "two seeds" in err) == (2, True), err


def test_a_cost_that_is_none_is_named(command, copied, tmp_path):
    path = copied / "models" / "M" / "ce" / "seed0" / "macs.json"
    for text in ("{}", '{"macs": 0}', "no"):
        path.write_text(text)
        code, err = command(*cascades(copied, tmp_path))
        assert (code, str(path) in err) == (2, True), err


def test_smoothing_needs_a_recipe_without_and_one_with(command, cached, tmp_path):
    for alphas in ([("ce", 0)], [("ls0.1", 0.1), ("ls0.4", 0.4)]):
        code, err = command(*smoothing(cached, tmp_path, alphas))
        assert (code, "one recipe without smoothing" in err) == (2, True), err
    code, err = command(*smoothing(cached, tmp_path, [("ce", 0), ("ls0.1", "much")]))
    assert (code, "much is no number" in err) == (2, True), err


def test_two_classes_have_no_logit_normalisation(command, copied, tmp_path):
    for recipe in ("ce", "ls0.1"):
        for seed in SEEDS:
            for split in ("calibration", "test"):
                path = outputs(copied, "M", recipe, seed, split)
                broken(path, logits=lambda v: v[:, :2] + [[0, 0]], labels=np.zeros_like)
                with np.load(path) as file:
                    logits, features = file["logits"], file["features"]
                np.savez(path, logits=logits, features=features, labels=logits.argmax(axis=1))
    code, err = command(*smoothing(copied, tmp_path, [("ce", 0), ("ls0.1", 0.1)]))
    assert code == 2, err
    assert "two classes" in err or "labels differ" in err


def test_timings_without_an_ensemble_are_refused(command, tmp_path):
    (tmp_path / "s.tsv").write_text("pair\tsystem\trepeat\timages\tshare\tseconds\nM\tsingle\t0\t10\t0\t1.5\n")
    code, err = command(
        "compare_seconds",
        "--seconds",
        tmp_path / "s.tsv",
        "--points",
        tmp_path / "p.tsv",
        "--out",
        tmp_path / "o.tsv",
        "--evidence",
        tmp_path / "e.tsv",
    )
    assert (code, "no timing of ensemble, window" in err) == (2, True), err


def test_a_figure_of_a_pair_without_points_is_refused(command, tmp_path):
    names = ["pair", "system", "images", "seconds", "against_ensemble", "against_low", "against_high"]
    write_table(pd.DataFrame([["XL", "single", 10, 1.0, 0.5, 0.5, 0.5]], columns=names), tmp_path / "s.tsv")
    names = ["task", "system", "width", "value", "low", "high"]
    write_table(pd.DataFrame([["sc", "single", "M", 0.5, 0.4, 0.6]], columns=names), tmp_path / "p.tsv")
    code, err = command(
        "plot_seconds", "--seconds", tmp_path / "s.tsv", "--points", tmp_path / "p.tsv", "--out", tmp_path / "x.svg"
    )
    assert (code, "no width of" in err) == (2, True), err
