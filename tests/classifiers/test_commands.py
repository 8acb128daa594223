"""The commands, from packages to outputs and figures; a run that is killed; and what they say to bad input."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from classifiers.miniature import debian, fashion

from genovision.arrays import read_arrays
from genovision.classifiers.image_sets import ImageSet, read_set, write_set
from genovision.tables import read_table

ROOT = Path(__file__).resolve().parents[2]
SVG = '<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg"><circle cx="36" cy="36" r="{}"/></svg>'


def training(sets, out, *changes):
    options = {"train": sets / "train.npz", "calibration": sets / "calibration.npz", "name": "S/ce/seed0", "width": 4}
    options |= {"epochs": 4, "batch": 32, "learning-rate": 0.1, "save-every": 5, "out": out}
    options |= dict(zip(changes[::2], changes[1::2], strict=True))
    return [
        "classifiers/train_classifier",
        *(text for key, value in options.items() for text in (f"--{key}", str(value))),
    ]


@pytest.fixture(scope="module")
def models(launcher, sets, tmp_path_factory):
    """Folder with two trained models, 0 and 1, and their outputs in 0/outputs and 1/outputs."""
    folder = tmp_path_factory.mktemp("models")
    for seed in ("0", "1"):
        assert launcher.run(training(sets, folder / seed, "seed", seed)) == 0
        files = [str(sets / f"{name}.npz") for name in ("train", "calibration", "test", "other")]
        options = ["--model", str(folder / seed), "--out", str(folder / seed / "outputs"), "--sets", *files]
        assert launcher.run(["classifiers/write_outputs", *options]) == 0
    return folder


@pytest.fixture
def packages(tmp_path):
    (tmp_path / "f.deb").write_bytes(debian(fashion()))
    with zipfile.ZipFile(tmp_path / "o.whl", "w") as archive:
        for size in range(12):
            archive.writestr(f"openmoji/svg/1F60{size:X}.svg", SVG.format(3 * size + 1))
    options = {
        "fashion-mnist": tmp_path / "f.deb",
        "openmoji": tmp_path / "o.whl",
        "train": 100,
        "calibration": 50,
        "ood": 10,
    }
    return [text for key, value in options.items() for text in (f"--{key}", value)]


def test_image_sets_come_out_of_their_packages_the_same_every_time(command, packages, tmp_path):
    pytest.importorskip("resvg_py")
    for out in ("a", "b"):
        options = ("--held-out", 7, 8, "--out", tmp_path / out, "--table", tmp_path / out / "sets.tsv")
        code, err = command("classifiers/prepare_images", *packages, *options)
        assert code == 0, err
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)
    table = read_table(tmp_path / "a" / "sets.tsv").set_index("set")
    assert table["images"].to_dict() == {
        **{"train": 100, "calibration": 50, "test": 80, "held_out": 10, "digits": 10, "openmoji": 10},
        **{"permuted": 10, "gaussian_noise": 10, "uniform_noise": 10},
    }
    for name, row in table.iterrows():
        images = read_set(tmp_path / "a" / f"{name}.npz", 8)
        assert images.images.shape == (row["images"], 28, 28)
        assert (images.labels >= 0).all() if row["kind"] == "ID" else (images.labels == -1).all()
    official = {image.tobytes() for image in read_set(tmp_path / "a" / "test.npz").images}
    assert not official & {image.tobytes() for image in read_set(tmp_path / "a" / "calibration.npz").images}
    code, err = command("classifiers/prepare_images", *packages, *options, "--train", 111)
    assert (code, "have 160 official training images" in err) == (2, True)


def test_a_model_and_its_outputs(models, sets):
    facts = json.loads((models / "0" / "config.json").read_text())
    assert facts["name"] == "S/ce/seed0" and facts["accuracy"] > 0.8
    assert set(json.loads((models / "0" / "macs.json").read_text())) == {"macs", "parameters"}
    assert not (models / "0" / "checkpoints").exists()
    head = read_arrays(models / "0" / "outputs" / "head.npz", ["weight", "bias"])
    for name, number in (("train", 256), ("calibration", 128), ("test", 128), ("other", 64)):
        found = read_arrays(models / "0" / "outputs" / f"{name}.npz", ["logits", "features", "labels"])
        assert {key: (array.shape, str(array.dtype)) for key, array in found.items()} == {
            "logits": ((number, 3), "float32"),
            "features": ((number, 16), "float32"),
            "labels": ((number,), "int64"),
        }
        assert np.array_equal(found["labels"], read_set(sets / f"{name}.npz").labels)
        assert np.allclose(found["features"] @ head["weight"].T + head["bias"], found["logits"], atol=1e-4)
        if name == "calibration":
            accuracy = (found["logits"].argmax(axis=1) == found["labels"]).mean()
            assert accuracy == pytest.approx(facts["accuracy"])


def test_a_killed_run_ends_with_the_bytes_of_an_uninterrupted_one(sets, tmp_path, launcher):
    command = [
        sys.executable,
        str(ROOT / "workflow"),
        *training(sets, tmp_path / "cut", "epochs", 30, "save-every", 20),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    checkpoints = tmp_path / "cut" / "checkpoints"
    end = time.monotonic() + 60
    while not list(checkpoints.glob("step*.json")) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(checkpoints.glob("step*.json")) and not (tmp_path / "cut" / "model.safetensors").exists()
    assert launcher.run(training(sets, tmp_path / "cut", "epochs", 30, "save-every", 20)) == 0
    assert launcher.run(training(sets, tmp_path / "whole", "epochs", 30, "save-every", 20)) == 0
    for name in ("model.safetensors", "config.json", "curve.tsv", "macs.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


@pytest.mark.parametrize(
    ("changes", "accuracy"),
    [({"accuracy": 0.34}, "accuracy of 0.34 on 3 classes"), ({"loss": None}, "diverged in training")],
)
def test_a_model_that_learnt_nothing_is_refused_with_its_name(command, models, sets, tmp_path, changes, accuracy):
    facts = json.loads((models / "0" / "config.json").read_text()) | changes
    (tmp_path / "config.json").write_text(json.dumps(facts))
    (tmp_path / "model.safetensors").write_bytes((models / "0" / "model.safetensors").read_bytes())
    code, err = command(
        "classifiers/write_outputs", "--model", tmp_path, "--sets", sets / "test.npz", "--out", tmp_path / "o"
    )
    assert code == 2 and "model S/ce/seed0" in err and accuracy in err
    assert not (tmp_path / "o").exists()


def test_a_run_that_diverges_is_written_down_and_refused(command, launcher, sets, tmp_path):
    assert launcher.run(training(sets, tmp_path, "learning-rate", 1e30)) == 0
    code, err = command(
        "classifiers/write_outputs", "--model", tmp_path, "--sets", sets / "test.npz", "--out", tmp_path / "o"
    )
    assert code == 2 and "model S/ce/seed0 diverged" in err


def test_write_outputs_says_what_is_wrong(command, models, sets, tmp_path):
    def wrong(model, *files):
        code, err = command("classifiers/write_outputs", "--model", model, "--out", tmp_path / "o", "--sets", *files)
        assert code == 2 and not (tmp_path / "o").exists()
        return err.splitlines()[-1]

    facts = json.loads((models / "0" / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes((models / "0" / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(facts | {"network": facts["network"] | {"width": 8}}))
    assert "model.safetensors is a checkpoint of another architecture" in wrong(tmp_path, sets / "test.npz")
    (tmp_path / "config.json").write_text("{")
    assert "does not describe a network of this family" in wrong(tmp_path, sets / "test.npz")
    assert "test is the name of two outputs" in wrong(models / "0", sets / "test.npz", sets / "test.npz")
    write_set(ImageSet(np.zeros((2, 28, 28), np.uint8), np.array([0, 3])), tmp_path / "labels.npz")
    assert "label 3 of image 1 is none of 0..2" in wrong(models / "0", tmp_path / "labels.npz")
    assert "No such file" in wrong(tmp_path / "nowhere", sets / "test.npz")
    assert "--first other 5: give one of test" in wrong(models / "0", sets / "test.npz", "--first", "other", 5)


def test_the_first_images_of_a_set_are_enough_where_asked_for(command, models, sets, tmp_path):
    options = ("--model", models / "0", "--sets", sets / "train.npz", sets / "test.npz", "--first", "train", 50)
    assert command("classifiers/write_outputs", *options, "--out", tmp_path)[0] == 0
    assert len(read_arrays(tmp_path / "test.npz")["labels"]) == 128
    few, all_of_them = (read_arrays(folder / "train.npz") for folder in (tmp_path, models / "0" / "outputs"))
    assert np.allclose(few["logits"], all_of_them["logits"][:50], atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("width", 0), "--width 0 must be 1 or more"),
        (("epochs", 0), "--epochs 0.0 must be above 0"),
        (("batch", 1), "batch 1 >= 2"),
        (("schedule", "linear"), "schedule 'linear'"),
        (("label-smoothing", 1), "label smoothing 1.0 must lie in"),
        (("processes", 99), "--processes 99: this machine has"),
    ],
)
def test_train_classifier_says_what_is_wrong(command, sets, tmp_path, changes, message):
    name, *options = training(sets, tmp_path / "o", *changes)
    code, err = command(name, *options)
    assert code == 2 and message in err and not (tmp_path / "o").exists()


def test_training_refuses_images_out_of_distribution(command, sets, tmp_path):
    name, *options = training(sets, tmp_path / "o", "train", sets / "other.npz")
    code, err = command(name, *options)
    assert code == 2 and "training needs labels 0..1, there are -1..-1" in err


def test_tables_and_figures(command, models, sets, tmp_path):
    for out in ("a", "b"):
        curves = [text for seed in "01" for text in ("--curve", "S", "ce", seed, models / seed / "curve.tsv")]
        assert command("classifiers/plot_training", *curves, "--out", tmp_path / f"{out}.training.svg")[0] == 0
        files = [sets / f"{name}.npz" for name in ("test", "other")]
        assert command("classifiers/plot_sets", "--sets", *files, "--out", tmp_path / f"{out}.sets.svg")[0] == 0
    for figure in ("training", "sets"):
        found = [(tmp_path / f"{out}.{figure}.svg").read_bytes() for out in "ab"]
        assert found[0] == found[1] and found[0].startswith(b"<?xml")
    rows = [text for seed in "01" for text in ("--model", "S", "ce", seed, models / seed)]
    options = ("--out", tmp_path / "models.tsv", "--summary", tmp_path / "summary.tsv")
    assert command("classifiers/join_models", *rows, *options)[0] == 0
    assert len(read_table(tmp_path / "models.tsv")) == 2
    summary = read_table(tmp_path / "summary.tsv").iloc[0]
    assert (summary["width"], summary["models"]) == ("S", 2) and summary["accuracy"] > 0.8
    (tmp_path / "macs.json").write_text("{}")
    code, err = command("classifiers/join_models", "--model", "S", "ce", 0, tmp_path, *options)
    assert code == 2 and "macs.json does not hold macs and parameters" in err


def test_seconds_of_cascades(command, models, sets, tmp_path):
    pair = ("--pair", "S", models / "0", models / "1", models / "0" / "outputs" / "calibration.npz")
    options = ("--images", sets / "test.npz", "--repeats", 2, "--batch", 50, "--out", tmp_path / "seconds.tsv")
    assert command("classifiers/time_cascade", *pair, *options)[0] == 0
    table = read_table(tmp_path / "seconds.tsv")
    assert list(table["system"]) == 2 * ["single", "ensemble", "window", "single_threshold", "window_ood"]
    share = table.groupby("system")["share"].first()
    assert share["single"] == 0 and share["ensemble"] == 1 and 0 < share["window"] < 0.6
    assert (table["seconds"] > 0).all()
    again = ("--pair", "M", models / "1", models / "0", models / "1" / "outputs" / "calibration.npz")
    assert command("classifiers/time_cascade", *pair, *again, *options)[0] == 0
    family = read_table(tmp_path / "seconds.tsv").query("system == 'family_cascade'")
    assert list(family["pair"]) == ["S+M", "S+M"] and family["share"].between(0, 0.6).all()
    code, err = command("classifiers/time_cascade", *pair, *options, "--half-width", 0)
    assert code == 2 and "--half-width 0.0 in (0, 0.5]" in err
