"""Classifiers and the four systems of uncertainty, end to end with tiny networks."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from checkouts import planned, run_workflow

pytestmark = [pytest.mark.run, pytest.mark.data]
OVERLAY = ("--configfile", "config/test_uncertainty.yaml")


@pytest.fixture(scope="module")
def finished(checkout):
    folder = checkout("uncertainty")
    run_workflow(folder, *OVERLAY)
    return folder


def test_claims_10_to_22_have_verdicts(finished):
    ledger = pd.read_csv(finished / "results/claims.tsv", sep="\t", index_col="id")
    weighed = ledger.loc[10:22]
    assert set(weighed["verdict"]) <= {"supported", "contradicted", "inconclusive"}
    assert (ledger.drop(index=[*range(10, 23), 34, 35])["verdict"] == "not run").all()
    known = weighed.dropna(subset=["estimate"])
    assert len(known) >= 10
    assert ((known["low"] <= known["estimate"] + 1e-9) & (known["estimate"] <= known["high"] + 1e-9)).all()


def test_ood_sets_are_at_least_six_with_their_counts(finished):
    sets = pd.read_csv(finished / "results/classifiers/sets/sets.tsv", sep="\t")
    files = {path.stem for path in (finished / "results/classifiers/sets").glob("*.npz")}
    assert len(files - {"train", "calibration", "test"}) >= 6
    counted = sets.set_index("set")["images"]
    for name in files - {"train", "calibration", "test"}:
        assert len(np.load(finished / f"results/classifiers/sets/{name}.npz")["images"]) == counted[name] > 0


def test_calibration_and_test_images_are_different_images(finished):
    def images(name):
        with np.load(finished / f"results/classifiers/sets/{name}.npz") as arrays:
            return {image.tobytes() for image in arrays["images"]}

    assert not images("calibration") & images("test")
    assert not images("calibration") & images("train")


def test_the_photographs_of_imagenet_are_recognised(finished):
    outputs = sorted((finished / "results/classifiers/outputs").glob("lite*/imagenet/seed0/photographs.npz"))
    assert len(outputs) == 3
    for path in outputs:
        with np.load(path) as arrays:
            right = (arrays["logits"].argmax(axis=1) == arrays["labels"]).sum()
        assert right >= 15, f"{path}: {right} of 20"


def test_every_figure_and_table_is_in_the_report(finished):
    report = (finished / "results/report.html").read_text()
    for system in ("sirc", "ensemble_diversity", "early_exit", "label_smoothing"):
        assert f'<section id="{system}">' in report
    assert report.count("data:image/svg+xml") >= 12


def test_a_deleted_model_is_trained_again_to_the_same_bytes(finished, tmp_path):
    folder = tmp_path / "clone"
    shutil.copytree(finished, folder, symlinks=True, copy_function=shutil.copy2)
    models = folder / "results/classifiers/models/S/ce/seed1"
    before = {path.name: path.read_bytes() for path in models.iterdir() if path.is_file()}
    shutil.rmtree(models)
    run_workflow(folder, "results/classifiers/models/S/ce/seed1/model.safetensors", *OVERLAY)
    assert {path.name: path.read_bytes() for path in models.iterdir() if path.is_file()} == before


def test_a_finished_run_has_nothing_to_do_and_one_score_concerns_no_training(finished, tmp_path):
    assert planned(finished, *OVERLAY) == {}
    folder = tmp_path / "clone"
    shutil.copytree(finished, folder, symlinks=True, copy_function=shutil.copy2)
    with open(folder / "workflow/genovision/uncertainty/smoothing_tables.py", "a") as handle:
        handle.write("\nREVISION = 2\n")
    assert set(planned(folder, *OVERLAY)) == {"evaluate_smoothing", "plot_smoothing", "weigh_claims", "report", "all"}


def test_steps_that_read_arrays_have_no_torch(finished):
    for rule, expected in (("evaluate_sirc", False), ("train_classifier", True)):
        log = next((finished / "logs").rglob(f"{rule}*/**/*.log"), None) or finished / "logs" / f"{rule}.log"
        interpreter = re.search(r"^interpreter: (\S.*) \(Python", log.read_text(), re.M)[1]
        site = next((finished / interpreter).parents[1].glob("lib/python3.*/site-packages"))
        assert (site / "torch").is_dir() == expected, rule


def test_a_model_at_chance_is_refused_by_name(finished, tmp_path):
    folder = tmp_path / "clone"
    shutil.copytree(finished, folder, symlinks=True, copy_function=shutil.copy2)
    config = folder / "results/classifiers/models/S/ce/seed0/config.json"
    told = json.loads(config.read_text())
    key = next(name for name in told if "accuracy" in name)
    told[key] = 0.13
    config.write_text(json.dumps(told))
    answer = run_workflow(folder, "results/classifiers/outputs/S/ce/seed0/test.npz", *OVERLAY, check=False)
    assert answer.returncode != 0
    assert re.search(r"^error: .*S/ce/seed0", answer.stdout + answer.stderr, re.M)
