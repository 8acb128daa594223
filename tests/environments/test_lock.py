"""The pinned lists: current with pyproject.toml, exact, of one version each; and that the check would notice if not."""

import re
import shutil
import subprocess

import pytest
import yaml
from checkouts import ROOT

YAMLS = sorted((ROOT / "envs").glob("*.yaml"))
LISTS = [*YAMLS, *sorted((ROOT / "envs").glob("*.txt"))]


@pytest.fixture
def copy(python, tmp_path):
    """A copy of envs/ and pyproject.toml that can be changed, sharing this checkout's .venv."""
    shutil.copytree(ROOT / "envs", tmp_path / "envs")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path


def check(folder) -> subprocess.CompletedProcess:
    """`envs/lock --check` there."""
    return subprocess.run([folder / "envs" / "lock", "--check"], capture_output=True, text=True)


def test_lists_are_current(python):
    answer = check(ROOT)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    ("file", "pattern", "replacement", "complaint"),
    [
        ("envs/report.yaml", r"numpy==\S+", "numpy==2.0.0", "numpy: several versions"),
        ("envs/report.yaml", r"      - matplotlib==.*\n", "", "matplotlib of pyproject.toml is met by nothing"),
        ("envs/report.yaml", r"numpy==", "numpy>=", "is no exact pin"),
        ("envs/report.yaml", r", nodefaults", "", "envs/report.yaml: edited by hand"),
        ("envs/genomes.yaml", r"bedtools =\S+", "bedtools", "envs/genomes.yaml: edited by hand"),
        ("pyproject.toml", r"jaspar = \[", 'jaspar = ["polars>=1", ', "polars>=1 of pyproject.toml is met by nothing"),
        (
            "pyproject.toml",
            r"report = \[",
            "another = []\nreport = [",
            "another.*: list, entry in envs/lock.py and group",
        ),
    ],
)
def test_check_notices(copy, file, pattern, replacement, complaint):
    text, count = re.subn(pattern, replacement, (copy / file).read_text(), count=1)
    assert count == 1
    (copy / file).write_text(text)
    answer = check(copy)
    assert answer.returncode == 1
    assert complaint in answer.stderr


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_environment_files_have_conda_s_channels_and_exact_entries(path):
    text = path.read_text()
    content = yaml.safe_load(text)
    assert text.startswith("# For ")
    assert "Written by envs/lock" in text
    assert content["channels"] == ["conda-forge", "bioconda", "nodefaults"]
    *packages, pips = content["dependencies"]
    assert packages[0] == "python =3.11"
    assert packages[-1] == "pip"
    assert all(re.fullmatch(r"[a-z0-9-]+ =\d+\.\d+\.\d+", package) for package in packages[1:-1])
    assert all(re.fullmatch(r"[a-z0-9._-]+==[^ ;]+( ; .+)?", pin) for pin in pips["pip"])


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name)
def test_lists_name_no_place(path):
    assert not re.search(r"://|file:|@ |--|/(opt|root|home|work)/", path.read_text())
