"""The four systems on ImageNet's layouts: the papers' configuration plans, and a miniature runs from image files to verdicts."""

import csv

import numpy as np
import pandas as pd
import pytest
import yaml
from checkouts import planned, run_workflow
from classifiers.imagenet_miniature import WNIDS, save, write_text
from PIL import Image

pytestmark = pytest.mark.run
SYSTEMS = ("sirc", "ensemble_diversity", "early_exit", "label_smoothing")
RECIPE = {
    **{
        "train": "imagenet_train.kept",
        "calibration": "imagenet_train.held_out",
        "classes": 3,
        "size": 32,
        "resize": 36,
    },
    **{"epochs": 8, "batch": 16, "learning_rate": 0.05, "weight_decay": 1.0e-4, "schedule": "cosine"},
}


def coloured(seed: int, colour: int | None) -> Image.Image:
    """Noise in which one of three colours prevails, a tenth of the time another; no colour: out of distribution."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 120, (36, 40, 3), dtype=np.uint8)
    if colour is not None:
        pixels[:, :, rng.integers(3) if rng.random() < 0.1 else colour] += 90
    return Image.fromarray(pixels)


def write_images(root) -> None:
    """Three classes of colours in ImageNet's folders, and two OOD sets."""
    for split, number in (("train", 60), ("val", 30)):
        for label, wnid in enumerate(WNIDS):
            for k in range(number):
                image = coloured(1000 * len(split) + 100 * label + k, label)
                save(root, f"ILSVRC2012/{split}/{wnid}/{wnid}_{k}.JPEG", image, format="JPEG")
    for k in range(30):
        save(root, f"iNaturalist/images/{k:032x}.jpg", coloured(9000 + k, None))
        save(root, f"imagenet-o/{WNIDS[k % 3]}/{k:08d}.JPEG", coloured(9100 + k, None), format="JPEG")


def shrink(table) -> None:
    """The table of image sets, with as many classes as the miniature has and without counts."""
    rows = list(csv.DictReader(table.read_text().splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    for row in rows:
        if row["set"] != "noise":
            row["count"] = ""
        row["classes"] = "3" if row["classes"] else ""
    write_text(table, ["\t".join(rows[0]), *("\t".join(row.values()) for row in rows)])


def overlay(folder, root) -> tuple[str, str]:
    def network(smoothing=0.0, **changes):
        told = {"architecture": "test_resnet", "benchmark": "mini", "seeds": 2, "outputs": 3}
        return told | {"recipe": RECIPE | {"label_smoothing": smoothing} | changes}

    sets = {"train": "imagenet_train.sample", "calibration": "imagenet_train.held_out", "test": "imagenet_val"}
    imagenet = {
        **{"folder": str(root), "held_out": {"imagenet_train": 60}, "samples": {"imagenet_train": 90}, "cascade": []},
        "benchmarks": {"mini": sets | {"inaturalist": "inaturalist", "imagenet_o": "imagenet_o"}},
        "networks": {"small": network(), "longer": network(epochs=12), "small_ls0.2": network(0.2)},
    }
    arrays = {"sirc": "small", "ensemble_diversity": "small", "early_exit": ["small", "longer"]}
    arrays["label_smoothing"] = {"small": 0.0, "small_ls0.2": 0.2}
    short = {"bank": 32, "knn": 3, "replicates": 20, "powers": [2, 4], "ratios": [0.0, 1.0], "betas": [0.0, 1.0]}
    mine = {"scale": "paper", "systems": list(SYSTEMS), "classifiers": {"imagenet": imagenet}}
    (folder / "mine.yaml").write_text(yaml.safe_dump(mine | {"uncertainty": {**short, "arrays": arrays}}))
    return "--configfile", "mine.yaml"


def test_the_papers_configuration_plans_the_four_systems(checkout):
    jobs = planned(checkout("paper"), "--configfile", "config/paper.yaml")
    assert {"evaluate_sirc", "evaluate_diversity", "evaluate_cascades", "evaluate_smoothing", "weigh_claims"} <= set(
        jobs
    )
    assert jobs["score_outputs"] == jobs["write_imagenet200_outputs"] == 5
    assert jobs["train_imagenet"] == 5 + 5 * 2 + 2
    assert not {"train_classifier", "prepare_images", "time_cascade", "compare_seconds"} & set(jobs)


def test_a_network_that_is_not_there_is_refused_by_the_key(checkout, tmp_path):
    folder = checkout("refused")
    (folder / "mine.yaml").write_text("uncertainty: {arrays: {sirc: resnet51_200}}\n")
    answer = run_workflow(folder, "-n", "--configfile", "config/paper.yaml", "mine.yaml", check=False)
    said = answer.stdout + answer.stderr
    assert answer.returncode != 0
    assert "config key uncertainty.arrays.sirc: resnet51_200 is not defined under classifiers.imagenet.networks" in said


def test_a_miniature_imagenet_runs_from_files_to_verdicts(checkout, tmp_path):
    folder = checkout("imagenet")
    shrink(folder / "resources" / "imagenet.tsv")
    write_images(tmp_path / "images")
    arguments = overlay(folder, tmp_path / "images")
    run_workflow(folder, *arguments)
    ledger = pd.read_csv(folder / "results/claims.tsv", sep="\t", index_col="id")
    assert set(ledger["scale"]) == {"paper"}
    assert set(ledger.loc[10:21, "verdict"]) <= {"supported", "contradicted", "inconclusive"}
    assert ledger.loc[22, "verdict"] == "not run"
    assert ledger.loc[14, "groups"] == "imagenet_o, inaturalist"
    separation = pd.read_csv(folder / "results/uncertainty/sirc/separation.tsv", sep="\t")
    assert set(separation["ood"]) == {"id_wrong", "inaturalist", "imagenet_o", "ood_mean"}
    assert not (folder / "results/classifiers/sets").exists()
    assert planned(folder, *arguments) == {}
