"""Peer libraries, imported module by module: their packages would load Lightning, torchvision or faiss, which no test needs."""

import importlib
import importlib.machinery
import importlib.util
import sys
from types import ModuleType

import pytest

_library = None  # keeps the operators' names registered


def peer(name: str) -> ModuleType:
    """The module of this dotted name, with empty stand-ins for the packages above it; skips the test where the library is not installed."""
    mend_torchvision()
    parts, path = name.split("."), None
    for depth in range(1, len(parts)):
        package = ".".join(parts[:depth])
        if package not in sys.modules:
            spec = importlib.machinery.PathFinder.find_spec(package, path)
            if spec is None or not spec.submodule_search_locations:
                pytest.skip(f"{package} is not installed")
            sys.modules[package] = importlib.util.module_from_spec(importlib.machinery.ModuleSpec(package, None))
            sys.modules[package].__path__ = list(spec.submodule_search_locations)
        path = list(sys.modules[package].__path__)
    return pytest.importorskip(name)


def mend_torchvision() -> None:
    """Where torchvision is there but its compiled part is not (it wants CUDA, torch is a CPU build), name its operators for it.

    torchmetrics, below torch-uncertainty, imports torchvision if it is installed at all.
    """
    global _library
    torch = pytest.importorskip("torch")
    try:
        importlib.import_module("torchvision")
    except ImportError:
        return
    except RuntimeError:
        for loaded in [loaded for loaded in sys.modules if loaded.split(".")[0] == "torchvision"]:
            del sys.modules[loaded]
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            _library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        importlib.import_module("torchvision")
