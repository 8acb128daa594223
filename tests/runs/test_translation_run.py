"""edd, end to end with tiny networks: both tasks, every kind of student, two ensembles."""

import re
import shutil

import pandas as pd
import pytest
from checkouts import planned, run_workflow

pytestmark = [pytest.mark.run, pytest.mark.data]
OVERLAY = ("--configfile", "config/test_translation.yaml")
EDD = ("edd", "report", *OVERLAY)
RESULTS = "results/translation"
STUDENTS = {"end", "dirichlet", "proxy_dirichlet", "laplace", "gaussian"}
OOD = {"bitext": {"django", "pycountry", "french", "permuted", "noised"}, "dna": {"D_melanogaster", "shuffle"}}


@pytest.fixture(scope="module")
def finished(checkout):
    folder = checkout("translation")
    run_workflow(folder, *EDD)
    return folder


def table(folder, name):
    return pd.read_csv(folder / RESULTS / name, sep="\t")


def test_the_claims_have_verdicts(finished):
    ledger = pd.read_csv(finished / "results/claims.tsv", sep="\t", index_col="id")
    own = ledger["system"] == "edd"
    assert own.sum() >= 7
    assert set(ledger.loc[own, "verdict"]) <= {"supported", "contradicted", "inconclusive"}
    assert (ledger.loc[~own, "verdict"] == "not run").all()


def test_every_system_is_measured_on_every_set_of_both_tasks_beside_the_controls(finished):
    auroc = table(finished, "detection.tsv").query("metric == 'auroc'")
    for task, sets in OOD.items():
        rows = auroc[auroc["task"] == task]
        extra = {"laplace_top", "gaussian_top"} if task == "bitext" else set()
        assert set(rows["system"]) == STUDENTS | extra | {"single", "ensemble", "control"}
        for _, part in rows.groupby("system"):
            assert sets | {"ood_mean"} == set(part["set"])
        assert rows["value"].between(0, 1).all()
        assert set(rows["seeds"]) == (
            {1, 2} if task == "bitext" else {1}
        )  # controls have one; the ensemble of promoters is one


def test_sets_of_validation_are_in_no_result(finished):
    for name in ("detection.tsv", "evidence.tsv", "agreement.tsv"):
        assert "valid_" not in (finished / RESULTS / name).read_text(), name


def test_out_of_domain_sets_have_as_many_sentences_as_the_test_set(finished):
    sets = table(finished, "sets.tsv")
    numbers = sets.groupby(["role", "set"]).size()
    assert set(numbers["ood"]) == {numbers["test", "test"]} == {20}
    assert set(numbers["valid_ood"]) == {numbers["valid", "valid"]}


def test_quality_is_that_of_sacrebleu_and_the_report_shows_the_figures(finished):
    quality = table(finished, "quality.tsv")
    assert quality["signature"].dropna().str.contains("version:").any()
    report = (finished / "results/report.html").read_text()
    assert '<section id="edd">' in report
    assert report.count("data:image/svg+xml") == 8


def test_a_finished_run_has_nothing_to_do_and_a_measure_concerns_no_training(finished, tmp_path):
    assert planned(finished, *EDD) == {}
    folder = tmp_path / "clone"
    shutil.copytree(finished, folder, symlinks=True, copy_function=shutil.copy2)
    with open(folder / "workflow/genovision/translation/quality.py", "a") as handle:
        handle.write("\nREVISION = 2\n")
    jobs = set(planned(folder, *EDD))
    assert "evaluate_edd" in jobs and "score_base_system" not in jobs
    assert not {"train_member", "cache_teachers", "train_student", "train_base_student"} & jobs


def test_a_change_of_one_student_trains_that_student_alone(finished, tmp_path):
    folder = tmp_path / "clone"
    shutil.copytree(finished, folder, symlinks=True, copy_function=shutil.copy2)
    overlay = folder / "config/test_translation.yaml"
    overlay.write_text(overlay.read_text() + "  students:\n    laplace_top: {weight: 0.5}\n")
    jobs = planned(folder, *EDD)
    assert jobs["train_student"] == jobs["score_system"] == 2  # one of each ensemble
    assert not {"train_member", "cache_teachers", "train_base_student", "score_base_system"} & set(jobs)


def test_a_deleted_member_is_trained_again_to_the_same_bytes(finished, tmp_path):
    folder = tmp_path / "clone"
    shutil.copytree(finished, folder, symlinks=True, copy_function=shutil.copy2)
    weights = folder / RESULTS / "members/0/0/model.safetensors"
    before = weights.read_bytes()
    weights.unlink()
    run_workflow(folder, str(weights.relative_to(folder)), *OVERLAY)
    assert weights.read_bytes() == before


def test_steps_have_the_packages_of_their_kind(finished):
    for log, package, expected in (
        ("build_bitext.log", "sacrebleu", True),
        ("train_member/0/0.log", "transformers", True),
        ("plot_edd.log", "torch", False),
    ):
        interpreter = re.search(r"^interpreter: (\S.*) \(Python", (finished / "logs" / log).read_text(), re.M)[1]
        site = next((finished / interpreter).parents[1].glob("lib/python3.*/site-packages"))
        assert (site / package).is_dir() == expected, log
