"""The stand-in for conda: what it answers, what it refuses, and that its environments are separate, complete and whole."""

import importlib.util
import json
import os
import re
import shlex
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
from checkouts import ROOT

STANDIN = ROOT / "envs" / "standin"
SMALL = "dependencies:\n  - python =3.11\n  - pip\n  - pip:\n"


@pytest.fixture
def conda(python, tmp_path):
    """`conda(words..., **variables)`: one call of the stand-in, in an empty folder."""

    def call(*words, **variables) -> subprocess.CompletedProcess:
        environment = os.environ | {"GENOVISION_PYTHON": str(python)} | variables
        command = [STANDIN / "bin" / "conda", *map(str, words)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    return call


@pytest.fixture
def create(conda, tmp_path):
    """`create(text, name)`: make the environment of a file with this text; returns the answer and the prefix."""

    def make(text: str, name: str = "environment", **variables) -> tuple[subprocess.CompletedProcess, Path]:
        source, prefix = tmp_path / f"{name}.yaml", tmp_path / "conda" / f"{name}_"
        source.write_text(text)
        options = ("--quiet", "--no-default-packages", "--file", source, "--prefix", prefix)
        return conda("env", "create", *options, **variables), prefix

    return make


@pytest.fixture
def bare(tmp_path) -> Path:
    """A folder to be the whole PATH: nothing of the system but what the stand-in's own first lines need."""
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "dirname").symlink_to("/usr/bin/dirname")
    return folder


def program(path: Path, *lines: str) -> None:
    """A small shell program."""
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


def left(prefix: Path) -> list[str]:
    """What stands beside or in place of an environment, locks and yaml files aside."""
    return [path.name for path in prefix.parent.glob("*") if path.suffix not in (".lock", ".yaml")]


def test_answers_what_snakemake_asks(conda):
    version = conda("--version").stdout
    assert re.findall(r"\d+\.\d+\.\d+", version) == ["24.7.1"]
    assert "stand-in" in version
    info = json.loads(conda("info", "--json").stdout)
    assert shlex.split(info["conda_prefix"]) == [str(STANDIN)]
    assert info["platform"].startswith(("linux-", "osx-"))
    priority = json.loads(conda("config", "--get", "channel_priority", "--json").stdout)
    assert priority["get"]["channel_priority"] == "strict"
    assert conda("clean", "-y", "--tarballs").returncode == 0


@pytest.mark.parametrize(
    "words", [["install", "numpy"], ["env", "remove"], ["list", "--explicit"], ["create", "--file", "x.pin.txt"], []]
)
def test_refuses_what_it_does_not_know(conda, words):
    answer = conda(*words)
    assert answer.returncode != 0
    assert answer.stderr.startswith("conda stand-in: ")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("dependencies:\n  - python =3.11\n  - samtools =1.21\n", "samtools =1.21"),
        ("dependencies:\n  - python =3.11\n  - numpy\n", "numpy"),
        ("dependencies:\n  - python >=3.11\n", "python >=3.11"),
        ("dependencies:\n  - pip\n", "python =X.Y"),
        (SMALL + "      - tabulate>=0.9\n", "tabulate>=0.9"),
        (SMALL + "      - -r list.txt\n", "-r list.txt"),
        ("name: mine\ndependencies:\n  - python =3.11\n", "channels and dependencies"),
        ("dependencies: [python =3.11\n", "cannot be read"),
    ],
)
def test_refuses_an_environment_file_that_it_cannot_provide(create, text, named):
    answer, prefix = create(text)
    assert answer.returncode == 1
    assert named in answer.stderr
    assert answer.stderr.startswith("conda stand-in: ")
    assert answer.stderr.count("\n") == 1
    assert not prefix.parent.exists()


@pytest.mark.parametrize(
    ("pin", "said"),
    [("tabulate==99.0", "tabulate==99.0"), ("jinja2==3.1.6", "markupsafe")],
    ids=["unknown", "incomplete"],
)
def test_a_pin_that_cannot_be_had_or_lacks_a_companion_leaves_nothing(create, pin, said):
    answer, prefix = create(f"{SMALL}      - {pin}\n")
    assert answer.returncode == 1
    assert said in answer.stderr.lower()
    assert left(prefix) == []


def test_two_files_make_two_environments_that_share_nothing(create):
    for name, pin in (("one", "tabulate==0.9.0"), ("two", "six==1.17.0")):
        answer, prefix = create(f"{SMALL}      - {pin}\n", name)
        assert answer.returncode == 0, answer.stderr
        job = "import sys, importlib.util as u; print(sys.prefix, *(bool(u.find_spec(m)) for m in ('tabulate', 'six', 'yaml')))"
        activated = (
            f"set -euo pipefail; source {STANDIN}/bin/activate '{prefix}'; python -c \"{job}\"; echo $CONDA_PREFIX"
        )
        shown = subprocess.run(["bash", "-c", activated], capture_output=True, text=True, check=True).stdout.split()
        assert shown == [str(prefix), str(name == "one"), str(name == "two"), "False", str(prefix)]


def test_an_environment_that_is_missing_ends_the_job(tmp_path):
    script = f"source {STANDIN}/bin/activate '{tmp_path}/none'; echo went on"
    answer = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert answer.returncode != 0
    assert answer.stdout == ""


@pytest.mark.parametrize("step", sorted(path.stem for path in (ROOT / "envs").glob("*.yaml")))
def test_the_list_of_every_step_is_complete(create, step):
    answer, prefix = create((ROOT / "envs" / f"{step}.yaml").read_text(), step)
    assert answer.returncode == 0, answer.stderr
    assert (prefix / "standin.json").is_file()
    assert prefix.with_suffix(".env_setup_done").is_file()


def test_killed_creation_is_not_taken_for_whole_and_is_done_again(python, create, tmp_path):
    source, prefix = tmp_path / "k.yaml", tmp_path / "conda" / "k_"
    source.write_text((ROOT / "envs" / "report.yaml").read_text())
    command = [STANDIN / "bin" / "conda", "env", "create", "--file", source, "--prefix", prefix]
    with subprocess.Popen(
        command, env=os.environ | {"GENOVISION_PYTHON": str(python)}, start_new_session=True
    ) as process:
        partial = prefix.with_name("k_.partial")
        deadline = time.monotonic() + 30
        while not partial.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert partial.exists()
    assert not prefix.exists()
    assert not prefix.with_suffix(".env_setup_done").exists()
    answer, again = create(f"{SMALL}      - six==1.17.0\n", "k")
    assert answer.returncode == 0, answer.stderr
    assert again == prefix
    assert sorted(left(prefix)) == ["k_", "k_.env_setup_done"]


def test_two_processes_that_want_one_environment_make_it_once(python, tmp_path):
    source, prefix = tmp_path / "c.yaml", tmp_path / "conda" / "c_"
    source.write_text("dependencies:\n  - python =3.0\n  - pip:\n      - six==1.17.0\n")
    command = [STANDIN / "bin" / "conda", "env", "create", "--file", source, "--prefix", prefix]
    environment = os.environ | {"GENOVISION_PYTHON": str(python)}
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    notes = [process.communicate()[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sorted(note.count("\n") for note in notes) == [
        0,
        1,
    ]  # the one that made it notes that there is no Python 3.0
    assert (prefix / "standin.json").is_file()


def test_without_the_wanted_python_it_takes_its_own_and_says_so_once_it_is_asked_to_clean(create, conda, tmp_path):
    (tmp_path / ".snakemake").mkdir()
    answer, prefix = create("dependencies:\n  - python =3.0\n")
    assert answer.returncode == 0, answer.stderr
    assert "no Python 3.0" in json.loads((prefix / "standin.json").read_text())["notes"][0]
    assert "no Python 3.0" in conda("clean", "-y", "--tarballs").stderr
    assert conda("clean", "-y", "--tarballs").stderr == ""


def test_a_native_program_comes_from_the_system_with_a_note(create, bare):
    program(bare / "bedtools", "echo bedtools v2.30.0")
    answer, prefix = create("dependencies:\n  - python =3.11\n  - bedtools =2.31.1\n", PATH=str(bare))
    assert answer.returncode == 0, answer.stderr
    assert "2.30.0" in answer.stdout
    assert "=2.31.1" in answer.stdout
    assert (prefix / "bin" / "bedtools").resolve() == bare / "bedtools"


def test_a_native_program_that_is_too_old_is_refused(create, bare):
    program(bare / "bedtools", "echo bedtools v2.27.1")
    answer, prefix = create("dependencies:\n  - python =3.11\n  - bedtools =2.31.1\n", PATH=str(bare))
    assert answer.returncode == 1
    assert "2.27.1, older than 2.30" in answer.stderr
    assert left(prefix) == []


def test_a_native_program_that_is_missing_is_told_in_one_sentence(create, bare):
    answer, prefix = create("dependencies:\n  - python =3.11\n  - bedtools =2.31.1\n", PATH=str(bare))
    assert answer.returncode == 1
    assert answer.stderr == (
        "conda stand-in: bedtools is not installed: `apt-get install bedtools` as root, or install conda or mamba.\n"
    )
    assert left(prefix) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="apt-get installs for root only")
def test_root_gets_a_missing_native_program_by_apt(create, bare):
    calls = bare / "calls.txt"
    installs = f"[ -e {bare}/listed ] && printf '#!/bin/sh\\necho v2.30.0\\n' > {bare}/bedtools && /bin/chmod +x {bare}/bedtools"
    program(
        bare / "apt-get",
        f'echo "$*" >> {calls}',
        f'case "$*" in *update*) : > {bare}/listed ;; *install*) {installs} ;; esac',
    )
    answer, prefix = create("dependencies:\n  - python =3.11\n  - bedtools =2.31.1\n", PATH=str(bare))
    assert answer.returncode == 0, answer.stderr
    assert "installed by apt-get just now" in answer.stdout
    assert (prefix / "bin" / "bedtools").exists()
    assert [re.search("install|update", line)[0] for line in calls.read_text().splitlines()] == [
        "install",
        "update",
        "install",
    ]


def test_pip_settings_reach_uv(create, tmp_path):
    wheels = tmp_path / "folder of wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "genovision_probe-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("genovision_probe.py", "")
        information = "genovision_probe-1.0.dist-info"
        wheel.writestr(f"{information}/METADATA", "Metadata-Version: 2.1\nName: genovision-probe\nVersion: 1.0\n")
        wheel.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{information}/RECORD", "")
    link = tmp_path / "wheels"  # pip's list of places is split at spaces
    link.symlink_to(wheels)
    text = f"{SMALL}      - genovision-probe==1.0\n"
    assert create(text, "without", PIP_NO_INDEX="1")[0].returncode == 1
    answer, _ = create(text, "with", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(link))
    assert answer.returncode == 0, answer.stderr


def test_pip_settings_are_merged_as_pip_merges_them(monkeypatch):
    specification = importlib.util.spec_from_file_location("pip_settings", STANDIN / "pip_settings.py")
    pip_settings = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(pip_settings)
    listed = """:env:.timeout='7'
global.cert='/a.pem'
global.constraint='/c.txt'
global.extra-index-url='https://one.example/simple\\nhttps://two.example/simple'
global.find-links='/wheels'
global.timeout='5'
install.find-links='/w1 /w2'
freeze.timeout='9'
"""
    for name in ("SSL_CERT_FILE", "UV_HTTP_TIMEOUT"):
        monkeypatch.delenv(name, raising=False)
    options, environment = pip_settings.for_uv(pip_settings.parse(listed))
    assert options == [
        *("--find-links", "/w1", "--find-links", "/w2"),
        *("--index", "https://one.example/simple", "--index", "https://two.example/simple"),
        *("--index-strategy", "unsafe-best-match"),
    ]
    assert (environment["SSL_CERT_FILE"], environment["UV_HTTP_TIMEOUT"]) == ("/a.pem", "7")
    assert environment["UV_PYTHON_DOWNLOADS"] == "never"
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "70")
    assert pip_settings.for_uv(pip_settings.parse(listed))[1]["UV_HTTP_TIMEOUT"] == "70"
