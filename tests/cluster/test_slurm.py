"""The tiny run on a real Slurm cluster: every step a job, and the results those of the local run, byte for byte.

tests/cluster/slurm.sh starts a cluster of two nodes on one machine; on another cluster pytest's --basetemp must lie on a disk
that its nodes share.
"""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest
from checkouts import ROOT, TINY, run_workflow, skip_unless_required

pytestmark = [pytest.mark.slurm, pytest.mark.run, pytest.mark.data]

# A job takes 4 to 8 s, most of it Snakemake's two starts in it. The plugin asks after that, not sooner: after every vain
# question it waits 10 s longer. A failure is final.
HASTE = ("--slurm-init-seconds-before-status-checks", "9", "--latency-wait", "5", "--retries", "0")


@pytest.fixture(scope="session", autouse=True)  # before the local run, which would be for nothing
def controller() -> None:
    """A Slurm controller that answers."""
    try:
        answer = subprocess.run(["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True, timeout=20)
    except FileNotFoundError:
        skip_unless_required("slurm", "Slurm is not installed")
    except subprocess.TimeoutExpired:
        skip_unless_required("slurm", "no Slurm controller answers")
    if answer.returncode or not answer.stdout.strip():
        skip_unless_required("slurm", f"no Slurm controller answers: {answer.stderr.partition(chr(10))[0]}")


@pytest.fixture(scope="module")
def on_slurm(controller, checkout) -> tuple[Path, str]:
    """(a checkout in which the tiny run has been run by Slurm, what Snakemake said meanwhile)."""
    run_workflow(ROOT, "--executor", "slurm", "--version")  # makes .venv-slurm
    folder = checkout("slurm")
    (folder / ".venv-slurm").symlink_to(ROOT / ".venv-slurm")
    profile = ("--workflow-profile", "profiles/slurm", "--cores", "2", *HASTE)
    return folder, run_workflow(folder, *TINY, *profile).stderr


def digests(folder: Path) -> dict[str, str]:
    """Path -> sha256 of every result."""
    files = sorted(path for path in (folder / "results").rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_results_are_those_of_the_local_run(on_slurm, finished):
    folder, _ = on_slurm
    assert digests(folder) == digests(finished)


def test_every_step_was_a_job_of_slurm(on_slurm):
    _, said = on_slurm
    finished_rules = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)$", said, re.M)
    local = {"all", "epd_gendna", "promoters", "retrieve"}
    assert len(re.findall("submitted with SLURM jobid", said)) == sum(rule not in local for rule in finished_rules) > 20


def test_nothing_is_left_to_do_afterwards_on_slurm_or_here(on_slurm):
    folder, _ = on_slurm
    for profile in ("profiles/slurm", "profiles/default"):
        answer = run_workflow(folder, "-n", *TINY, "--workflow-profile", profile)
        assert "Nothing to be done" in answer.stdout + answer.stderr, profile
