"""The samplers on two beds and a tiny network, end to end."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from checkouts import planned, run_workflow

pytestmark = [pytest.mark.run, pytest.mark.data]
OVERLAY = ("--configfile", "config/test_samplers.yaml")


@pytest.fixture(scope="module")
def finished(checkout):
    folder = checkout("samplers")
    run_workflow(folder, *OVERLAY)
    return folder


@pytest.fixture
def clone(finished, tmp_path):
    folder = tmp_path / "clone"
    shutil.copytree(finished, folder, symlinks=True, copy_function=shutil.copy2)
    return folder


def test_claims_23_to_25_36_and_37_have_verdicts(finished):
    ledger = pd.read_csv(finished / "results/claims.tsv", sep="\t", index_col="id")
    assert set(ledger.loc[[23, 24, 25, 36, 37], "verdict"]) <= {"supported", "contradicted", "inconclusive"}
    assert (ledger.drop(index=[23, 24, 25, 36, 37])["verdict"] == "not run").all()


def test_no_sampler_uses_more_evaluations_than_its_row_says(finished):
    table = pd.read_csv(finished / "results/samplers/table.tsv", sep="\t")
    assert set(table["denoiser"]) == {"isotropic", "mixture", "fashion_mnist"}
    assert (table["evaluations"] <= table["nfe"]).all()
    assert {"ddim", "ddpm", "unipc-3", "dpm++2m", "deis-3", "deis-sn-tab3", "best-peer", "best-ours"} <= set(
        table["sampler"]
    )


def test_the_isotropic_bed_is_solved_by_score_normalisation_as_far_as_the_table_of_r_reaches(finished):
    table = pd.read_csv(finished / "results/samplers/table.tsv", sep="\t").set_index(["denoiser", "sampler", "nfe"])
    assert table.loc[("isotropic", "deis-sn-tab3", 5), "rmse"] < table.loc[("isotropic", "deis-tab3", 5), "rmse"]


def test_images_have_distances_with_a_floor(finished):
    table = pd.read_csv(finished / "results/samplers/fashion_mnist/table.tsv", sep="\t")
    assert table["frechet"].notna().all() and (table["frechet"] > 0).all()
    reference = pd.read_csv(finished / "results/samplers/fashion_mnist/reference.tsv", sep="\t").set_index("sampler")
    assert reference.loc["real images", "frechet"] < table["frechet"].min()


def test_the_normaliser_is_a_fragment_of_the_schedulers_configuration(finished):
    from genovision.samplers import DEISSNScheduler

    told = json.loads((finished / "results/samplers/fashion_mnist/normalizer.json").read_text())
    scheduler = DEISSNScheduler(**told["config"])
    scheduler.set_timesteps(10)
    assert np.isfinite(scheduler.timesteps.numpy()).all()


def test_every_figure_and_table_is_in_the_report(finished):
    report = (finished / "results/report.html").read_text()
    assert '<section id="deis_sn">' in report
    assert report.count("data:image/svg+xml") >= 6


def test_a_finished_run_has_nothing_to_do_and_a_table_concerns_no_sampling(finished, clone):
    assert planned(finished, *OVERLAY) == {}
    with open(clone / "workflow/genovision/samplers/tables.py", "a") as handle:
        handle.write("\nREVISION = 2\n")
    found = set(planned(clone, *OVERLAY))
    assert "measure_samples" in found
    assert not found & {
        "train_denoiser",
        "collect_normalizer",
        "choose_settings",
        "sample_denoiser",
        "describe_samples",
    }


def test_a_deleted_network_is_trained_again_to_the_same_bytes(clone):
    network = clone / "results/samplers/denoisers/fashion_mnist"
    before = {path.name: path.read_bytes() for path in network.rglob("*.safetensors")}
    assert before
    shutil.rmtree(network)
    run_workflow(clone, "results/samplers/denoisers/fashion_mnist/unet/diffusion_pytorch_model.safetensors", *OVERLAY)
    assert {path.name: path.read_bytes() for path in network.rglob("*.safetensors")} == before
