"""Generators of promoters, every kind, tiny, from the data set to verdicts."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from checkouts import planned, run_workflow

pytestmark = [pytest.mark.run, pytest.mark.data]
OVERLAY = ("--configfile", "config/test_dna.yaml")
CLAIMS = [*range(1, 10), *range(38, 46), 50]
MADE = [
    *("autoregressive", "autoregressive_1", "discdiff", "onehot_diffusion", "masked_diffusion"),
    *("absorb_escape", "random_refill", "random_letters", "absorb_sampled", "absorb_threshold"),
    *("absorb_chosen", "chosen_refill", "chosen_letters", "absorb_masked"),
]


@pytest.fixture(scope="module")
def finished(checkout):
    folder = checkout("dna")
    run_workflow(folder, *OVERLAY)
    return folder


@pytest.fixture
def clone(finished, tmp_path):
    folder = tmp_path / "clone"
    shutil.copytree(finished, folder, symlinks=True, copy_function=shutil.copy2)
    return folder


def test_the_papers_configuration_plans_generators_of_fifteen_species_on_gpus(checkout):
    folder, overlay = checkout("paper_dna"), ("--configfile", "config/paper.yaml")
    jobs = planned(folder, "discdiff", "absorb_escape", *overlay)
    assert jobs["read_epd"] == jobs["prepare_genome"] == 15 and jobs["sample_generator"] == 5
    assert jobs["train_autoencoder"] == jobs["train_autoregression"] == jobs["train_base_diffusion"] == 2
    shown = run_workflow(folder, "results/dna/samples/discdiff.npz", "-n", "-p", *overlay)
    commands = [
        line for line in (shown.stdout + shown.stderr).splitlines() if " dna/train_" in line or " dna/sample_" in line
    ]
    assert len(commands) == 3 and all("--device cuda" in line for line in commands)
    (denoiser,) = (line for line in commands if "dna/train_latent_diffusion" in line)
    assert "--denoiser unet" in denoiser and "--heads 64" in denoiser and "--unscaled" in denoiser


def test_the_claims_of_both_systems_have_verdicts(finished):
    ledger = pd.read_csv(finished / "results/claims.tsv", sep="\t", index_col="id")
    assert set(ledger.loc[CLAIMS, "verdict"]) <= {"supported", "contradicted", "inconclusive"}
    assert (ledger.drop(index=CLAIMS)["verdict"] == "not run").all()


def test_every_set_has_every_measure_and_its_floor(finished):
    table = pd.read_csv(finished / "results/dna/generators/table.tsv", sep="\t", keep_default_na=False, na_values=[""])
    assert [*("test", "train", "shuffle", "markov5", "position_markov3"), *MADE, "chance"] == list(
        dict.fromkeys(table["set"])
    )
    wanted = {
        "fred",
        "p_fid",
        "js3",
        "js6",
        "cor",
        "mse",
        "div",
        "discriminator_logistic",
        "discriminator_cnn",
        "species_accuracy",
    }
    for name in MADE:
        own = table[table["set"] == name]
        assert wanted <= set(own["metric"]) and set(own["species"]) == {"A_thaliana", "S_cerevisiae"}
        assert (own["n"] == 80).all()
    assert table.loc[table["metric"] == "fred", "floor"].notna().all()
    first = table.drop_duplicates("set").set_index("set")
    chosen = json.loads((finished / "results/dna/refinement/chosen.json").read_text())["setting"]
    assert first.loc["absorb_chosen", "threshold"] == chosen["threshold"]
    assert first.loc[["discdiff", "absorb_chosen"], ["sampler", "nfe"]].notna().all(axis=None)
    assert first.loc["chosen_letters", ["threshold"]].isna().all() and first.loc["masked_diffusion", "nfe"] > 0


def test_controls_edit_as_much_as_what_they_are_compared_with(finished):
    edits = pd.read_csv(finished / "results/dna/refinement/edits.tsv", sep="\t").set_index("set")["edit_rate"]
    for name, control in [("absorb_escape", "random_refill"), ("absorb_chosen", "chosen_letters")]:
        assert edits[name] == pytest.approx(edits[control])


def test_the_chosen_setting_is_the_sweeps_best(finished):
    chosen = json.loads((finished / "results/dna/refinement/chosen.json").read_text())
    sweep = pd.read_csv(finished / "results/dna/refinement/sweep.tsv", sep="\t")
    rows = sweep[(sweep["metric"] == "fred") & (sweep["control"] == "none") & sweep["edit_rate"].notna()]
    assert chosen["value"] == pytest.approx(rows["value"].min())
    row = rows.loc[rows["value"].idxmin()]
    setting = chosen["setting"]
    assert row["confidence"] == setting["confidence"] and row["threshold"] == setting["threshold"]


def test_samples_are_of_their_sets(finished):
    with np.load(finished / "results/dna/samples/discdiff.npz", allow_pickle=False) as found:
        tokens, species = found["tokens"], found["species"]
    lines = (finished / "results/dna/sets/S_cerevisiae/discdiff.fa").read_text().splitlines()[1::2]
    assert ["".join("ACGT"[base] for base in row) for row in tokens[species == 1]] == lines


def test_every_figure_and_table_is_in_the_report(finished):
    report = (finished / "results/report.html").read_text()
    assert '<section id="discdiff">' in report and '<section id="absorb_escape">' in report
    assert report.count("data:image/svg+xml") >= 8


def test_a_finished_run_has_nothing_to_do_and_absorb_escape_concerns_no_training(finished, clone):
    assert planned(finished, *OVERLAY) == {}
    with open(clone / "workflow/genovision/dna/absorb_escape.py", "a") as handle:
        handle.write("\nREVISION = 2\n")
    found = set(planned(clone, *OVERLAY))
    assert {"refine_samples", "sweep_refinement", "measure_set", "judge_set", "join_generators"} <= found
    assert not found & {
        *(
            "train_autoregression",
            "train_latent_diffusion",
            "train_base_diffusion",
            "train_autoencoder",
            "train_embedding",
        ),
        *("sample_generator", "calibrate_generator", "score_sequences"),
    }


def test_a_threshold_reruns_its_refinement_and_what_follows(finished, clone):
    (clone / "other.yaml").write_text("dna: {refinements: {absorb_threshold: {threshold: 0.7}}}\n")
    found = planned(clone, *OVERLAY, "other.yaml")
    assert found["refine_samples"] == 1
    assert "sample_generator" not in found and "sweep_refinement" not in found


def test_the_grid_of_latent_models_runs_by_its_name(finished):
    run_workflow(finished, "latent_grid", *OVERLAY)
    grid = pd.read_csv(finished / "results/dna/grid/table.tsv", sep="\t")
    assert set(grid["betas"]) == {"linear", "angular"} and set(grid["metric"]) == {
        "fred",
        "p_fid",
        "js6",
        "cor:TATA-box",
    }
    assert (finished / "results/dna/grid/effects.svg").is_file()
