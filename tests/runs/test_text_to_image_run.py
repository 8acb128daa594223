"""PUNC, end to end with tiny networks in both worlds, and the plan for models of the hub."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from checkouts import planned, run_workflow

pytestmark = [pytest.mark.run, pytest.mark.data]
OVERLAY = ("--configfile", "config/test_text_to_image.yaml")
PUNC = ("punc", "report", *OVERLAY)
RESULTS = "results/text_to_image"


@pytest.fixture(scope="module")
def finished(checkout):
    folder = checkout("text_to_image")
    run_workflow(folder, *PUNC)
    return folder


def table(folder, name):
    return pd.read_csv(folder / RESULTS / name, sep="\t")


def test_claims_29_and_30_have_verdicts_from_both_worlds(finished):
    ledger = pd.read_csv(finished / "results/claims.tsv", sep="\t", index_col="id")
    assert set(ledger.loc[[29, 30], "verdict"]) <= {"supported", "contradicted", "inconclusive"}
    assert (ledger.drop(index=[29, 30])["verdict"] == "not run").all()
    evidence = table(finished, "evidence.tsv")
    for metric in ("auroc_ood", "disentanglement"):
        assert set(evidence.loc[evidence["metric"] == metric, "group"]) == {"scenes", "glyphs"}


def test_every_baseline_and_the_text_alone_stand_beside_punc(finished):
    scores = set(table(finished, "detection.tsv").query("metric == 'auroc'")["score"])
    expected = {f"{name}_{side}" for name in ("rouge1", "rougel", "bertscore") for side in ("epistemic", "aleatoric")}
    expected |= {"pixel_distance", "feature_distance", "clip_score", "ddpm_ood", "lmd", "two_models", "ensemble"}
    assert expected | {"nearest_training"} <= scores


def test_the_pairs_are_a_data_set_with_images_and_licence(finished):
    for world in ("scenes", "glyphs"):
        folder = finished / RESULTS / world / "pairs"
        pairs = pd.read_parquet(folder / "pairs.parquet")
        assert len(pairs) == 4 * pairs["id"].nunique()
        assert all((folder / name).is_file() for name in pairs["image"])
        assert "CC BY-SA 4.0" in (folder / "README.md").read_text()


def test_every_figure_and_the_licence_of_the_drawings_are_in_the_report(finished):
    report = (finished / "results/report.html").read_text()
    assert '<section id="punc">' in report
    assert report.count("data:image/svg+xml") == 6
    assert "CC BY-SA 4.0" in report


def test_images_that_were_lost_are_made_again_with_the_same_bytes(finished, tmp_path):
    folder = tmp_path / "clone"
    shutil.copytree(finished, folder, symlinks=True, copy_function=shutil.copy2)
    made = folder / RESULTS / "scenes/generations/0.npz"
    with np.load(made) as arrays:
        before = arrays["images"]
    made.unlink()
    kept = sorted((folder / RESULTS / "cache").rglob("*.png"))
    for path in kept[::3]:  # as after a kill: some images are there, one is half written
        path.unlink()
    kept[1].write_bytes(kept[1].read_bytes()[:40])
    run_workflow(folder, str(made.relative_to(folder)), *OVERLAY)
    with np.load(made) as arrays:
        np.testing.assert_array_equal(arrays["images"], before)


def test_a_finished_run_has_nothing_to_do_and_one_score_concerns_no_model(finished, tmp_path):
    assert planned(finished, *PUNC) == {}
    folder = tmp_path / "clone"
    shutil.copytree(finished, folder, symlinks=True, copy_function=shutil.copy2)
    with open(folder / "workflow/genovision/text_to_image/similarity.py", "a") as handle:
        handle.write("\nREVISION = 2\n")
    concerned = {"score_generations", "evaluate_punc", "plot_punc", "weigh_claims", "report", "punc"}
    assert set(planned(folder, *PUNC)) <= concerned
    assert "score_generations" in planned(folder, *PUNC)


def test_steps_have_the_packages_of_their_kind(finished):
    for log, package, expected in (
        ("prepare_scenes/scenes.log", "torch", False),
        ("evaluate_punc.log", "torch", False),
        ("train_generator/scenes/0.log", "diffusers", True),
        ("score_generations/scenes.log", "rouge_score", True),
    ):
        interpreter = re.search(r"^interpreter: (\S.*) \(Python", (finished / "logs" / log).read_text(), re.M)[1]
        site = next((finished / interpreter).parents[1].glob("lib/python3.*/site-packages"))
        assert (site / package).is_dir() == expected, log


def test_models_of_the_hub_are_planned_without_a_world_of_the_desk(finished):
    jobs = planned(finished, "punc", "--configfile", "config/paper.yaml")
    assert jobs["prepare_prompts"] == 1
    assert jobs["generate_by_hub_model"] == jobs["caption_by_hub_model"] == jobs["score_generations"] == 3
    assert not {"train_generator", "train_captioner", "prepare_scenes"} & set(jobs)
