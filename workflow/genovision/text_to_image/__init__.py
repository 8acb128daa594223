"""From prompts to images to captions, and how uncertain a text-to-image model is about a prompt: PUNC and what it is compared with."""

import importlib

__all__ = ["punc"]


def __getattr__(name: str):
    # looked up when it is asked for: whoever trains a generator needs no pandas, and is not run again when the scores change
    if name == "punc":
        return importlib.import_module("genovision.text_to_image.prompt_uncertainty").punc
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
