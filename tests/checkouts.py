"""How the tests run the workflow: in copies of this checkout, with environments and data that all of them share."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REQUIRED = set(filter(None, os.environ.get("GENOVISION_REQUIRE", "").split(",")))
CACHE = Path(os.environ.get("GENOVISION_TEST_CACHE", ROOT / ".venv-test-cache"))
TINY = ("--configfile", "config/test.yaml")


def skip_unless_required(kind: str, reason: str) -> None:
    """Skip with the reason, or fail where GENOVISION_REQUIRE names the kind: CI may not skip what it promised to run."""
    if kind in REQUIRED:
        pytest.fail(f"{kind} is required here, but {reason}")
    pytest.skip(reason)


def run_workflow(folder: Path, *arguments: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess:
    """`./run` in a checkout, with the environments that all tests share."""
    environment = os.environ | {"SNAKEMAKE_CONDA_PREFIX": str(CACHE / "conda")} | variables
    answer = subprocess.run(
        [str(folder / "run"), *arguments], cwd=folder, env=environment, text=True, capture_output=True, timeout=1500
    )
    if check and answer.returncode:
        raise AssertionError(
            f"./run {' '.join(arguments)} left with {answer.returncode}\n{answer.stdout}\n{answer.stderr}"
        )
    return answer


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """Rule -> number of jobs that `./run -n` would run; empty when there is nothing to do."""
    answer = run_workflow(folder, *arguments, "-n", "--quiet", "rules")
    lines = iter(answer.stdout.splitlines() + answer.stderr.splitlines())
    jobs = {}
    for line in lines:
        if line.startswith("---") and not jobs:
            for row in lines:
                name, _, count = row.rpartition(" ")
                if not count.isdigit() or name.strip() == "total":
                    break
                jobs[name.strip()] = int(count)
    return jobs
