"""./run before Snakemake begins: how it sets itself up, which environment it starts from, and what it hands on."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from checkouts import ROOT

BASH = shutil.which("bash")


def program(path: Path, *lines: str) -> None:
    """A small bash program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([f"#!{BASH}", *lines, ""]))
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path) -> Path:
    """A folder with the system's programs that ./run uses, to be the PATH: no Python, no conda."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("bash", "cat", "cmp", "cp", "dirname", "env", "flock", "rm", "sed", "uname"):
        (folder / name).symlink_to(shutil.which(name))
    return folder


@pytest.fixture
def clone(tmp_path) -> Path:
    """./run with environments that only tell what they were given: their python prints folder, PATH and arguments."""
    folder = tmp_path / "my clone"
    folder.mkdir()
    shutil.copy(ROOT / "run", folder)
    for name in ("envs", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    for environment, lock in ((".venv", "run.txt"), (".venv-slurm", "run-slurm.txt")):
        program(folder / environment / "bin" / "python", 'printf "%s\\n" "$0" "$PWD" "${PATH%%:*}" "$@"')
        shutil.copy(ROOT / "envs" / lock, folder / environment / "lock.txt")
    return folder


@pytest.fixture
def start(clone, tools, tmp_path):
    """`start(arguments..., folder=..., **variables)`: ./run, called from another directory; returns the completed process."""

    def call(*arguments: str, folder: Path = clone, **variables: str) -> subprocess.CompletedProcess:
        environment = {"PATH": str(tools), "HOME": str(tmp_path)} | variables
        command = [folder / "run", *arguments]
        return subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=300)

    return call


def test_arguments_and_folder_arrive_unharmed(start, clone):
    arguments = ["-n", "a target", "", "--config", "x='a \"b\" $HOME *'", "--", "--odd"]
    answer = start(*arguments)
    assert answer.returncode == 0, answer.stderr
    python, folder, _, *handed = answer.stdout.splitlines()
    assert python == f"{clone}/.venv/bin/python"
    assert folder == str(clone)
    assert handed == ["-P", "-m", "snakemake", *arguments]


@pytest.fixture
def straight(clone, tmp_path) -> Path:
    """The same clone under a path without spaces, which Slurm's plugin asks for."""
    folder = tmp_path / "clone"
    clone.rename(folder)
    program(folder / "profiles" / "queue" / "config.yaml", 'executor: "slurm"')
    program(folder / "other" / "slurm.yaml", "jobs: 3", "executor:   slurm   # ours")
    program(tmp_path / ".config" / "snakemake" / "site" / "config.v8+.yaml", "executor: slurm")
    return folder


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["-n"], ".venv"),
        (["--executor", "local"], ".venv"),
        (["--executor", "slurm"], ".venv-slurm"),
        (["--executor=slurm", "-n"], ".venv-slurm"),
        (["-e", "slurm"], ".venv-slurm"),
        (["-n", "--workflow-profile", "profiles/slurm"], ".venv-slurm"),
        (["--workflow-profile=slurm"], ".venv-slurm"),
        (["--workflow-profile", "queue"], ".venv-slurm"),
        (["--workflow-profile", "other/slurm.yaml"], ".venv-slurm"),
        (["--workflow-profile", "none"], ".venv"),
        (["--workflow-profile", "profiles/slurm", "--executor", "local"], ".venv"),
        (["--profile", "site"], ".venv-slurm"),
        (["--profile", "none"], ".venv"),
        (["--", "--executor", "slurm"], ".venv"),
        (["--workflow-profile"], ".venv"),
    ],
)
def test_slurm_has_an_environment_of_its_own(start, straight, arguments, environment):
    answer = start(*arguments, folder=straight)
    assert answer.stdout.splitlines()[0] == f"{straight}/{environment}/bin/python", answer.stderr


def test_slurm_in_a_path_with_spaces_is_refused_in_one_sentence(start):
    answer = start("--workflow-profile", "profiles/slurm")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.startswith("run: Slurm's plugin cannot start jobs from a path with spaces")
    assert answer.stderr.count("\n") == 1


def test_without_conda_the_stand_in_comes_first_and_says_so(start, clone):
    answer = start("-n")
    assert answer.stdout.splitlines()[2] == f"{clone}/envs/standin/bin"
    assert "stand-in" in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("version", "used"), [("24.7.1", True), ("26.10.0", True), ("24.7.0", False), ("4.8.3", False)]
)
def test_a_conda_new_enough_is_used(start, clone, tools, version, used):
    program(tools / "conda", f"echo conda {version}")
    answer = start("-n")
    assert answer.stdout.splitlines()[2] == (str(tools) if used else f"{clone}/envs/standin/bin")
    assert ("stand-in" in answer.stderr) != used
    assert ("older than 24.7.1" in answer.stderr) != used


def test_the_conda_beside_mamba_or_named_by_conda_s_own_variable_is_used(start, tools, tmp_path):
    installation = tmp_path / "miniforge"
    program(installation / "condabin" / "conda", "echo conda 25.1.0")
    program(installation / "bin" / "mamba")
    assert start(CONDA_EXE=f"{installation}/condabin/conda").stdout.splitlines()[2] == f"{installation}/condabin"
    answer = start(PATH=f"{tools}:{installation}/bin")
    assert answer.stdout.splitlines()[2] == f"{installation}/condabin"
    assert answer.stderr == ""
    assert "stand-in" in start(PATH=f"{tools}:{installation}/bin", GENOVISION_CONDA="standin").stderr


def test_a_start_within_a_start_is_silent(start, clone, tools):
    answer = start(PATH=f"{clone}/envs/standin/bin:{tools}")
    assert answer.stderr == ""


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ([], "run: no Python >= 3.11 found"),
        (["exit 1"], "run: no Python >= 3.11 found"),
        (['case "$3" in *ensurepip*) exit 1 ;; esac'], "run: python3 has no venv module"),
    ],
    ids=["none", "too old", "without venv"],
)
def test_a_machine_without_a_suitable_python_is_told_so(start, clone, tools, python, sentence):
    (clone / ".venv" / "lock.txt").unlink()
    if python:
        program(tools / "python3", *python)
    answer = start()
    assert answer.returncode == 1
    assert answer.stderr.startswith(sentence)
    assert answer.stderr.count("\n") == 1


def test_an_environment_is_made_once_and_again_when_it_is_not_whole(tmp_path):
    shutil.copytree(ROOT / "envs", tmp_path / "envs")
    script = "source envs/bootstrap.sh; make_environment .e lock.txt && .e/bin/python -c 'import six; print(six.__version__)'"

    def make(lock: str) -> subprocess.CompletedProcess:
        (tmp_path / "lock.txt").write_text(lock)
        environment = os.environ | {"HOME": str(tmp_path)}
        return subprocess.run([BASH, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)

    first = make("six==1.17.0\n")
    assert first.stdout == "1.17.0\n", first.stderr
    assert "making .e" in first.stderr
    assert make("six==1.17.0\n").stderr == ""
    (tmp_path / ".e" / "lock.txt").unlink()  # as if killed before the end
    again = make("six==1.17.0\n")
    assert again.stdout == "1.17.0\n"
    assert "making .e" in again.stderr
    failed = make("six==99.0\n")
    assert failed.returncode == 1
    assert "could not install lock.txt" in failed.stderr
    assert not (tmp_path / ".e").exists()


def test_first_and_second_start_with_an_empty_home_in_a_path_with_spaces(start, clone, tmp_path, capsys):
    shutil.rmtree(clone / ".venv")
    (clone / "Snakefile").write_text("rule all:\n    default_target: True\n")
    (tmp_path / "home").mkdir()
    own = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "UV_"))}
    seconds = []
    for _ in range(2):
        begin = time.monotonic()
        answer = start("--version", **own, HOME=str(tmp_path / "home"), PATH=os.environ["PATH"])
        seconds.append(time.monotonic() - begin)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout == "9.27.1\n"
    assert "making .venv" not in answer.stderr
    with capsys.disabled():
        print(f" [first start {seconds[0]:.1f} s, second {seconds[1]:.2f} s, to Snakemake's version] ", end="")
    assert start("-n", **own, HOME=str(tmp_path / "home"), PATH=os.environ["PATH"]).returncode == 0
