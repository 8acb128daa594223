"""Native programs for environments made without conda: the system's, installed by apt where that is allowed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Missing(Exception):
    """A program that cannot be provided; the message is one sentence that says how to get it."""


class Native(NamedTuple):
    """Debian's package, its program, the argument that makes it tell its version, the oldest version that serves."""

    package: str
    program: str
    version_argument: str
    oldest: str


# By conda's name. The system's version differs from the one conda would bring; `oldest` is the first major.minor on
# which this project's tests have passed.
KNOWN = {"bedtools": Native("bedtools", "bedtools", "--version", "2.30")}


def find(name: str, spec: str) -> tuple[Path, str]:
    """(the system's program, a note on how it differs from conda's `name spec`); raises Missing."""
    tool = KNOWN[name]
    program, installed = which(tool.program), ""
    if program is None and apt_install(tool.package):
        program, installed = which(tool.program), ", installed by apt-get just now"
    if program is None:
        raise Missing(f"{name} is not installed: `apt-get install {tool.package}` as root, or install conda or mamba.")
    answer = subprocess.run([program, tool.version_argument], capture_output=True, text=True).stdout
    version = re.search(r"\d+(?:\.\d+)+", answer)
    if version is None:
        raise Missing(f"`{program} {tool.version_argument}` prints no version but {answer.strip()!r}.")
    if numbers(version[0])[:2] < numbers(tool.oldest):
        raise Missing(f"{program} is {version[0]}, older than {tool.oldest}: update it, or install conda or mamba.")
    note = f"{name} is this system's {version[0]} ({program}{installed}); conda would bring {spec or 'the newest'}."
    return program, note


def numbers(version: str) -> list[int]:
    """2.30.0 -> [2, 30, 0]."""
    return [int(part) for part in version.split(".")]


def which(program: str) -> Path | None:
    """The system's program of that name: not one of an active virtual environment, nor of the one we run in."""
    own = {os.path.dirname(sys.executable), os.path.join(os.environ.get("VIRTUAL_ENV", "/nowhere"), "bin")}
    folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder and folder not in own]
    found = shutil.which(program, path=os.pathsep.join(folders))
    return Path(found).absolute() if found else None


def apt_install(package: str) -> bool:
    """Install the package where that needs no question asked, as root with apt-get, and say whether that went well."""
    apt = which("apt-get")
    if apt is None or os.geteuid() != 0:
        return False
    command = [apt, "-q", "-o", "DPkg::Lock::Timeout=120"]
    install = [*command, "install", "--yes", "--no-install-recommends", package]
    for step in (install, [*command, "update"], install):  # the lists of packages may be missing or old
        done = subprocess.run(
            step,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if step is install and done.returncode == 0:
            return True
    print(done.stdout, file=sys.stderr)
    return False
