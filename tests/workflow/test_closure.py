"""The digest of a command changes with every module it imports, and with nothing else."""

import os
import shutil
import time
from pathlib import Path

import closure
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A package of four modules and a command that reaches three of them."""
    files = {
        "genovision/__init__.py": "",
        "genovision/ground.py": "X = 1\n",
        "genovision/story/__init__.py": "",
        "genovision/story/leaf.py": "import genovision.ground\n",
        "genovision/story/other.py": "",
        "scripts/story/do_it.py": "def main(args):\n    from genovision.story.leaf import x\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(closure, "HERE", tmp_path)
    return tmp_path


def digest():
    closure.code.cache_clear()
    closure.imports.cache_clear()
    return closure.code("story/do_it")


def test_the_closure_follows_imports_inside_functions_and_through_modules(tree):
    found = {path.relative_to(tree).as_posix() for path in closure.closure(tree / "scripts/story/do_it.py")}
    assert found == {
        "scripts/story/do_it.py",
        "genovision/__init__.py",
        "genovision/story/__init__.py",
        "genovision/story/leaf.py",
        "genovision/ground.py",
    }


@pytest.mark.parametrize("name", ["scripts/story/do_it.py", "genovision/ground.py", "genovision/story/__init__.py"])
def test_a_change_of_any_file_of_the_closure_changes_the_digest(tree, name):
    before = digest()
    with open(tree / name, "a") as handle:
        handle.write("Y = 2\n")
    assert digest() != before


def test_other_modules_times_and_places_do_not(tree, tmp_path_factory, monkeypatch):
    before = digest()
    (tree / "genovision/story/other.py").write_text("Z = 3\n")
    for path in tree.rglob("*.py"):
        os.utime(path, (time.time() + 100,) * 2)
    assert digest() == before
    moved = tmp_path_factory.mktemp("moved") / "tree"
    shutil.copytree(tree, moved)
    monkeypatch.setattr(closure, "HERE", moved)
    assert digest() == before


def test_a_relative_import_is_refused(tree):
    (tree / "genovision/story/leaf.py").write_text("from . import other\n")
    with pytest.raises(SyntaxError, match="full name"):
        digest()


def test_real_commands_reach_what_they_use_and_no_story_they_do_not():
    closure.imports.cache_clear()
    found = {
        path.relative_to(ROOT / "workflow").as_posix()
        for path in closure.closure(ROOT / "workflow/scripts/dna/measure_set.py")
    }
    assert "genovision/dna/motifs.py" in found
    assert "genovision/resampling.py" in found
    assert not any(path.startswith("genovision/promoters") for path in found)
