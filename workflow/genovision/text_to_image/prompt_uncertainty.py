"""PUNC (Franchi et al. 2025): the uncertainty of a prompt is how far what a captioner sees in the generations is from what was asked for.

A caption that misses part of the prompt (low recall) shows what the generator cannot depict: epistemic uncertainty. A caption that says
more than the prompt (low precision) shows what the prompt left open: aleatoric uncertainty.
"""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.text_to_image.encoder import check_texts

Similarity = Callable[[list[str], list[str]], tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]


class EmptyCaption(UserWarning):
    """The captioner said nothing about an image."""


def punc(
    prompts: Sequence[str], captions: Sequence[str] | Sequence[Sequence[str]], similarity: Similarity
) -> pd.DataFrame:
    """Uncertainty of N prompts from the captions of their generations: one row per prompt, in their order.

    captions:   (N,) texts, or for each prompt the texts of its S >= 1 generations; every column is the mean over them
    similarity: (references (M,), candidates (M,)) -> (precision (M,), recall (M,)), references are prompts and candidates captions:
                genovision.text_to_image.similarity
    Columns precision, recall, epistemic = 1 - recall, aleatoric = 1 - precision, and f1 (their harmonic mean per generation), float64.

    An empty caption has precision and recall 0, hence both uncertainties 1, and is reported as an `EmptyCaption` warning: 1 would be the
    precision of saying nothing wrong, and an image that cannot be described would pass as a certain one. InputError for an empty prompt or
    one with control characters; ValueError when the numbers of prompts and captions differ or a prompt has no caption.
    """
    prompts, groups = list(prompts), _groups(captions)
    check_texts(prompts)
    if len(prompts) != len(groups):
        raise ValueError(f"there are {len(prompts)} prompts and captions of {len(groups)}")
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    flat = [caption for group in groups for caption in group]
    empty = empty_captions(groups)
    if len(empty):
        first = prompts[empty["prompt"].iloc[0]]
        warnings.warn(
            f"{len(empty)} of {len(flat)} captions are empty, the first of the prompt {first!r}: their precision and recall are 0",
            EmptyCaption,
            stacklevel=2,
        )
    precision, recall = (np.zeros(len(flat)) for _ in range(2))
    said = np.array([bool(caption.strip()) for caption in flat], dtype=bool)
    if said.any():
        references = [prompts[n] for n in owner[said]]
        precision[said], recall[said] = similarity(
            references, [caption for caption, one in zip(flat, said, strict=True) if one]
        )
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    number = np.bincount(owner, minlength=len(groups))
    mean = {
        name: np.bincount(owner, values, len(groups)) / number
        for name, values in (("precision", precision), ("recall", recall), ("f1", f1))
    }
    return pd.DataFrame(
        {
            "precision": mean["precision"],
            "recall": mean["recall"],
            "epistemic": 1 - mean["recall"],
            "aleatoric": 1 - mean["precision"],
            "f1": mean["f1"],
        }
    )


def empty_captions(captions: Sequence[str] | Sequence[Sequence[str]]) -> pd.DataFrame:
    """Which captions are empty or blank: columns prompt and generation, numbers from 0; no rows when none is."""
    found = [
        (n, s) for n, group in enumerate(_groups(captions)) for s, caption in enumerate(group) if not caption.strip()
    ]
    return pd.DataFrame(found, columns=["prompt", "generation"], dtype=np.int64)


def _groups(captions: Sequence[str] | Sequence[Sequence[str]]) -> list[list[str]]:
    if isinstance(captions, str):
        raise ValueError("captions must be a list: one text per prompt, or a list of texts per prompt")
    groups = [[one] if isinstance(one, str) else list(one) for one in captions]
    for n, group in enumerate(groups):
        if not group:
            raise ValueError(f"prompt {n} has no caption")
        for caption in group:
            if not isinstance(caption, str):
                raise ValueError(f"a caption of prompt {n} is no text but {type(caption).__name__}")
    return groups
