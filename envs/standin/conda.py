"""A stand-in for conda, for machines without one: answers the calls that Snakemake makes and nothing else.

`./run` puts it first on PATH where it finds no conda, and says so. `conda env create` makes a separate virtual
environment from one file envs/<step>.yaml: the Python packages by uv, exactly the pins of the file; the few native
programs that it knows from the system. Everything else it refuses. It is not conda: no solver, no channels.
"""

import contextlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # python -I leaves it out
import native  # noqa: E402

VERSION = "24.7.1"  # the oldest conda that Snakemake accepts
PLATFORMS = {("Linux", "x86_64"): "linux-64", ("Linux", "aarch64"): "linux-aarch64", ("Darwin", "arm64"): "osx-arm64"}
PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+(\s*;.+)?")
WHOLE = "standin.json"  # its presence in an environment says that it is complete; how it was made stands in it
# Snakemake swallows what `env create` prints; `conda clean`, its next call, shows these notes instead
NOTES = Path(".snakemake", "standin-notes.txt")


def stop(sentence: str, code: int = 1) -> NoReturn:
    """End with one sentence that says who speaks."""
    print(f"conda stand-in: {sentence}", file=sys.stderr)
    sys.exit(code)


def main(words: list[str]) -> None:
    """Answer one call."""
    match words:
        case ["--version"]:
            print(f"conda {VERSION} (the stand-in of genovision, not conda)")
        case ["info", "--json"]:
            # Snakemake pastes the prefix into a shell command without quotes; quoted here, a path with spaces works
            name = PLATFORMS.get((platform.system(), platform.machine()), "unknown")
            print(json.dumps({"conda_prefix": shlex.quote(str(HERE)), "platform": name, "conda_version": VERSION}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["clean", *_]:
            with contextlib.suppress(FileNotFoundError):
                print(NOTES.read_text(), end="", file=sys.stderr)
                NOTES.unlink()
        case ["env", "create", *options]:
            env_create(options)
        case ["create", *_]:
            stop("it makes environments from a yaml file only, not from a list of conda packages (pin file).")
        case _:
            stop(f"it does not know `conda {shlex.join(words)}`; install conda or mamba for that.", code=2)


def env_create(options: list[str]) -> None:
    """`conda env create [--quiet] [--no-default-packages] --file FILE --prefix PREFIX`."""
    values = {}
    words = iter(options)
    for word in words:
        if word in ("--file", "--prefix"):
            values[word] = next(words, "")
        elif word not in ("--quiet", "--no-default-packages", "--yes"):
            stop(f"it does not know the option {word} of `conda env create`.", code=2)
    if not values.get("--file") or not values.get("--prefix"):
        stop("`conda env create` needs --file and --prefix.", code=2)
    source, prefix = Path(values["--file"]), Path(values["--prefix"]).absolute()
    python, programs, pins = read_environment(source)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(prefix.parent / "standin.lock"):
        if (prefix / WHOLE).is_file():  # another process made it while this one waited
            return
        notes = make(prefix, python, programs, pins)
    lines = "".join(f"conda stand-in: {note}\n" for note in notes)
    print(lines, end="")
    if NOTES.parent.is_dir():
        with NOTES.open("a") as file:
            file.write(lines)


def read_environment(source: Path) -> tuple[str, dict[str, str], list[str]]:
    """(Python's X.Y, native programs as name -> spec, pins) of an environment file; stops at anything else in it."""
    import yaml

    try:
        content = yaml.safe_load(source.read_text())
    except (OSError, yaml.YAMLError) as error:
        stop(f"{source}: cannot be read: {' '.join(str(error).split())}.")
    if not isinstance(content, dict) or set(content) - {"channels", "dependencies"}:
        stop(f"{source}: expected the keys channels and dependencies and no others.")
    python, programs, pins = "", {}, []
    for entry in content.get("dependencies") or []:
        if isinstance(entry, dict) and list(entry) == ["pip"]:
            pins += entry["pip"]
            continue
        name, spec = re.fullmatch(r"\s*([A-Za-z0-9._-]*)\s*(.*?)\s*", str(entry), re.DOTALL).groups()
        if name == "python" and (wanted := re.fullmatch(r"==?\s*(\d+\.\d+)(\.\*)?", spec)):
            python = wanted[1]
        elif name in native.KNOWN:
            programs[name] = spec
        elif name != "pip":
            known = ", ".join(["python =X.Y", "pip", *native.KNOWN])
            stop(f"{source}: cannot provide {str(entry)!r}, only {known} and the pip list; install conda for it.")
    if not python:
        stop(f"{source}: no entry `python =X.Y`.")
    for pin in pins:
        if not isinstance(pin, str) or not PIN.fullmatch(pin):
            stop(f"{source}: {pin!r} is not an exact pin name==version; envs/lock writes such lists.")
    return python, programs, pins


@contextlib.contextmanager
def one_at_a_time(lock: Path):
    """Hold the lock file: two Snakemakes that share a folder of environments make each of them once."""
    import fcntl

    with lock.open("w") as file:
        with contextlib.suppress(OSError):  # some network file systems cannot lock
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make(prefix: Path, python: str, programs: dict[str, str], pins: list[str]) -> list[str]:
    """Make the environment under another name and rename it when it is whole; returns what a user should know of it."""
    partial = prefix.with_name(f"{prefix.name}.partial")
    for leftover in (partial, prefix):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        interpreter, notes = find_python(python)
        found = {}
        for name, spec in programs.items():
            found[name], note = native.find(name, spec)
            notes.append(note)
        install(partial, interpreter, pins)
        for program in found.values():
            (partial / "bin" / program.name).symlink_to(program)
        record = {"made_by": "the stand-in of genovision, not conda", "python": interpreter, "notes": notes}
        (partial / WHOLE).write_text(json.dumps(record, indent=1) + "\n")
        # Snakemake's own sign of a whole environment, set just before and not after the folder appears: a second
        # Snakemake that saw the folder without the sign would delete it from under the jobs of the first
        prefix.with_suffix(".env_setup_done").touch()
        partial.rename(prefix)
    except native.Missing as error:
        stop(str(error))
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return notes


def find_python(version: str) -> tuple[str, list[str]]:
    """A Python X.Y: the one Snakemake runs in, or one that uv finds; if neither, the former, with a note."""
    own, own_version = sys._base_executable, f"{sys.version_info.major}.{sys.version_info.minor}"
    if version == own_version:
        return own, []
    command = [uv(), "python", "find", "--no-project", "--no-python-downloads", version]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode == 0:
        return found.stdout.strip(), []
    return own, [f"no Python {version} is here; {own_version}, which Snakemake runs in, takes its place."]


def uv() -> str:
    """The uv beside this interpreter."""
    path = Path(sys.executable).with_name("uv")
    if not path.is_file():
        stop(f"{path} is missing; delete the environment around it and let ./run make it again.")
    return str(path)


def install(partial: Path, interpreter: str, pins: list[str]) -> None:
    """A virtual environment of exactly the pins; stops when one cannot be had or the list lacks what a pin requires."""
    import pip_settings

    options, environment = pip_settings.for_uv(pip_settings.read())

    def run(*words: str) -> None:
        completed = subprocess.run([uv(), *words], env=environment, stdout=sys.stderr)
        if completed.returncode:
            stop(f"`uv {words[0]} {words[1]}` failed for this environment; its own message is above.")

    # relocatable, because it is renamed when it is whole
    run("venv", "--quiet", "--no-project", "--relocatable", "--python", interpreter, str(partial))
    inside = ["--quiet", "--python", str(partial / "bin" / "python")]
    if pins:
        listed = partial / "requirements.txt"
        listed.write_text("\n".join(pins) + "\n")
        if not on_same_disk(partial, environment):
            options += ["--link-mode", "copy"]  # what uv falls back to, without its warning
        # compiled now, as pip and conda do: jobs may be told to write no bytecode and would compile at every start
        options += ["--compile-bytecode", "--no-deps", "--requirement", str(listed)]
        run("pip", "install", *inside, *options)
        if torch := [pin for pin in pins if pin.startswith("torch==")]:  # a build for GPUs brings its own libraries
            run("pip", "install", *inside, *[option for option in options if option != "--no-deps"][:-2], *torch)
    run("pip", "check", *inside)


def on_same_disk(folder: Path, environment: dict[str, str]) -> bool:
    """Whether uv can link files from its cache into the folder."""
    cache = Path(subprocess.run([uv(), "cache", "dir"], capture_output=True, text=True, env=environment).stdout.strip())
    existing = next(place for place in (cache, *cache.parents) if place.exists())
    return os.stat(existing).st_dev == os.stat(folder).st_dev


if __name__ == "__main__":
    main(sys.argv[1:])
