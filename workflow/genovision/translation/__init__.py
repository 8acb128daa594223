"""From bitext to members to students to sequence uncertainty: one student with the judgement of an ensemble."""

import importlib

_MODULES = {
    "laplace_nll": "logit_noise",
    "gaussian_nll": "logit_noise",
    "sequence_uncertainty": "sequence_measures",
    "token_measures": "sequence_measures",
}
__all__ = ["gaussian_nll", "laplace_nll", "sequence_uncertainty", "token_measures"]


def __getattr__(name: str):
    # looked up when it is asked for: whoever builds the bitext needs no torch, and is not run again when a formula changes
    if name in _MODULES:
        return getattr(importlib.import_module(f"genovision.translation.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
