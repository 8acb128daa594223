"""What the tests of ./run and of the environments share."""

import subprocess

import pytest
from checkouts import ROOT


@pytest.fixture(scope="session")
def python():
    """The Python of .venv, made by ./run if it is not there; the stand-in for conda works with it."""
    subprocess.run([ROOT / "run", "--version"], check=True, capture_output=True)
    return ROOT / ".venv" / "bin" / "python"
