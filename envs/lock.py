"""Write the pinned package lists of this folder from the dependency groups of pyproject.toml.

`envs/lock` keeps the pins that still serve; `--upgrade` takes the newest that fit together; `--check` writes nothing
and says, without a network, whether the lists are those of pyproject.toml. A package has one version in all lists, so
that the tests (test.txt, locked first) run what the steps run. A list holds for Linux and macOS and Python >= 3.11.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ENVS = Path(__file__).resolve().parent
PYPROJECT = ENVS.parent / "pyproject.toml"
sys.path.insert(0, str(ENVS / "standin"))
import pip_settings  # noqa: E402

PYTHON = "3.11"
# what each list serves; a yaml is one kind of step's environment, a txt one that ./run or ./test makes for itself
LISTS = {
    "test.txt": "./test",
    "run.txt": "./run",
    "run-slurm.txt": "./run with the executor slurm",
    "retrieve.yaml": "fetching genomes, promoters and other sources",
    "genomes.yaml": "reading genomes and annotation, cutting windows, interval work",
    "jaspar.yaml": "reading motif matrices out of JASPAR",
    "evaluate.yaml": "measuring sequences and judging the claims",
    "images.yaml": "making image sets",
    "train.yaml": "training networks and running them",
    "sample.yaml": "training diffusion models and sampling from them",
    "text.yaml": "texts and images: encoders, text-to-image models, captioners",
    "translate.yaml": "reading bitext, training translation models, their uncertainty",
    "report.yaml": "figures and the report",
}
# programs that are no Python packages, pinned as bioconda has them; envs/standin/native.py knows them too
NATIVE = {"genomes.yaml": ["bedtools =2.31.1"]}
PLATFORMS = [
    {"sys_platform": system, "platform_system": name, "os_name": "posix", "platform_machine": machine}
    for system, name, machine in [
        ("linux", "Linux", "x86_64"),
        ("linux", "Linux", "aarch64"),
        ("darwin", "Darwin", "arm64"),
        ("darwin", "Darwin", "x86_64"),
    ]
]
SUPPORTED = [
    {**system, "python_version": f"3.{minor}", "python_full_version": f"3.{minor}.0", "implementation_name": "cpython"}
    for system in PLATFORMS
    for minor in (11, 12, 13, 14)
]


def parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser("envs/lock", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions, not those pinned now")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and say which list is not current")
    return parser


def groups() -> dict[str, list[Requirement]]:
    """The dependency groups of pyproject.toml."""
    listed = tomllib.loads(PYPROJECT.read_text())["dependency-groups"]
    return {name: [Requirement(text) for text in texts] for name, texts in listed.items()}


def read_pins(path: Path) -> list[str]:
    """The pins of one list, as written."""
    lines = path.read_text().splitlines() if path.exists() else []
    if path.suffix == ".yaml":
        lines = [line.removeprefix("      - ") for line in lines if line.startswith("      - ")]
    return [line for line in lines if line and not line.startswith("#")]


def write(name: str, pins: list[str]) -> str:
    """The text of one list."""
    group = Path(name).stem
    head = f"# For {LISTS[name]}.\n# Written by envs/lock from the group `{group}` of pyproject.toml: edit that one.\n"
    if name.endswith(".txt"):
        return head + "".join(f"{pin}\n" for pin in pins)
    entries = [f"python ={PYTHON}", *NATIVE.get(name, []), "pip"]
    return (
        f"{head}channels: [conda-forge, bioconda, nodefaults]\ndependencies:\n"
        + "".join(f"  - {entry}\n" for entry in entries)
        + "  - pip:\n"
        + "".join(f"      - {pin}\n" for pin in pins)
    )


def solve(group: str, keep: list[str], agree_with: list[str]) -> list[str]:
    """The complete `==` list of a group; versions in `agree_with` are binding, those in `keep` preferred."""
    options, environment = pip_settings.for_uv(pip_settings.read())
    with tempfile.TemporaryDirectory() as folder:
        out, constraints = Path(folder, "out.txt"), Path(folder, "constraints.txt")
        out.write_text("\n".join(keep))
        constraints.write_text("\n".join(agree_with))
        command = [Path(sys.executable).with_name("uv"), "pip", "compile", "--quiet", "--universal", *options]
        command += ["--python-version", PYTHON, "--fork-strategy", "fewest", "--no-header", "--no-annotate"]
        command += ["--constraint", constraints, "--output-file", out, "--group", f"{PYPROJECT}:{group}"]
        completed = subprocess.run(command, env=environment)
        if completed.returncode:
            sys.exit(f"envs/lock: the group {group} of pyproject.toml has no solution; uv's own message is above.")
        pins = [pin for line in out.read_text().splitlines() for pin in simplify(line)]
        return list(dict.fromkeys(pin for line in pins for pin in without_build(line)))


def without_build(pin: str) -> list[str]:
    """The pin of a package that comes in builds, for any of them; no pin for the GPU libraries that a build of torch brings.

    Which build of torch there is (`+cpu`, CUDA 13, ...) is the machine's matter: whoever installs the list lets torch bring its
    own libraries behind it.
    """
    if re.match(r"(nvidia-|cuda-|triton\b)", pin):
        return []
    return [re.sub(r"^(torch(?:vision)?==[^+; ]+).*", r"\1", pin)]


def simplify(pin: str) -> list[str]:
    """The pin without its marker where that holds everywhere, no pin where it holds nowhere we support."""
    name, _, marker = pin.partition(" ; ")
    holds = [Marker(marker).evaluate(environment) for environment in SUPPORTED] if marker else [True]
    if not any(holds):
        return []
    return [name] if all(holds) else [pin]


def lock(upgrade: bool) -> None:
    """Write all lists."""
    pinned: list[str] = []
    for name in LISTS:
        keep = [] if upgrade else read_pins(ENVS / name)
        pins = solve(Path(name).stem, keep, pinned)
        pinned += [pin for pin in pins if pin not in pinned]
        (ENVS / name).write_text(write(name, pins))
        print(f"envs/{name}: {len(pins)} packages")


def complaints() -> list[str]:
    """What is not as `envs/lock` would leave it, one sentence each; asks no network."""
    found = []
    wanted = groups()
    steps = {path.name for path in ENVS.glob("*.yaml")} | {path.name for path in ENVS.glob("*.txt")}
    for name in sorted(steps ^ set(LISTS) | {f"{group}.*" for group in set(wanted) ^ {Path(n).stem for n in LISTS}}):
        found.append(f"{name}: list, entry in envs/lock.py and group of pyproject.toml do not all exist")
    versions: dict[str, dict[str, str]] = {}
    for name in LISTS:
        pins = read_pins(ENVS / name)
        if (ENVS / name).exists() and (ENVS / name).read_text() != write(name, pins):
            found.append(f"envs/{name}: edited by hand")
        requirements = {}
        for pin in pins:
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==([^ ;]+)( ; .+)?", pin)
            if not match:
                found.append(f"envs/{name}: {pin!r} is no exact pin")
                continue
            package, version = canonicalize_name(match[1]), match[2]
            requirements[package] = version
            versions.setdefault(package, {})[version] = name
        for requirement in wanted.get(Path(name).stem, []):
            version = requirements.get(canonicalize_name(requirement.name))
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                found.append(f"envs/{name}: {requirement} of pyproject.toml is met by {version or 'nothing'}")
    for package, seen in versions.items():
        if len(seen) > 1:
            found.append(f"{package}: several versions, {', '.join(f'{v} in envs/{n}' for v, n in seen.items())}")
    return found


def main(args: argparse.Namespace) -> None:
    """Lock or check."""
    if not args.check:
        lock(args.upgrade)
    elif found := complaints():
        sys.exit("\n".join([*(f"envs/lock: {complaint}." for complaint in found), "Run envs/lock."]))


if __name__ == "__main__":
    main(parser().parse_args())
