"""What a command is made of: its script and every module of the package that it imports, as one digest.

Snakemake sees a change of configuration, environment or input, but not of an imported module. Each rule therefore carries
`params: code=code("<story>/<command>")`. The digest is over contents, so a `touch`, a checkout or another machine changes nothing;
imports are read from the syntax tree, so nothing is executed and nothing needs to be installed.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = "genovision"


@cache
def imports(path: Path) -> frozenset[Path]:
    """The package's files that one file imports directly, the `__init__.py` of each folder on the way included.

    Imports anywhere in the file count, also those inside functions.
    """
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise SyntaxError(f"{path}, line {node.lineno}: import the package by its full name")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(file for name in names if name.split(".")[0] == PACKAGE for file in files(name))


def files(name: str) -> list[Path]:
    """Files behind a dotted name: `genovision.dna.motifs.hits` is two `__init__.py` and `motifs.py`."""
    found, folder = [], HERE
    for part in name.split("."):
        folder = folder / part
        candidates = [folder / "__init__.py", folder.with_suffix(".py")]
        found += [candidate for candidate in candidates if candidate.is_file()]
    return found


def closure(script: Path) -> list[Path]:
    """The script and all files of the package that it needs, sorted."""
    reached, waiting = set(), {script}
    while waiting:
        path = waiting.pop()
        reached.add(path)
        waiting |= imports(path) - reached
    return sorted(reached)


@cache
def code(command: str) -> str:
    """Digest of the command `<story>/<name>`: sixteen hexadecimal digits over names and contents of its closure."""
    digest = hashlib.sha256()
    for path in closure(HERE / "scripts" / f"{command}.py"):
        digest.update(f"{path.relative_to(HERE).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def contents(folder: str) -> str:
    """Digest over the names and contents of the texts (.md, .j2) directly in a folder of the checkout."""
    digest = hashlib.sha256()
    for path in sorted(path for path in (HERE.parent / folder).iterdir() if path.suffix in {".md", ".j2"}):
        digest.update(f"{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]
