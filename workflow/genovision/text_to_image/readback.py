"""Does the captioner find in a generated image what the prompt asked for? Only worlds whose prompts say in columns what they ask."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.errors import InputError
from genovision.text_to_image.scenes import read_caption
from genovision.uncertainty.evaluation import estimate
from genovision.uncertainty.resampled import Draws

PARTS = ("object1", "colour1", "relation", "object2", "colour2", "category1")


def asked_parts(prompts: pd.DataFrame) -> list[str]:
    """The columns of `PARTS` that say something: of scenes the grammar's parts, of single drawings name, colour and category."""
    named = [part for part in PARTS if part in prompts and (prompts[part].fillna("") != "").any()]
    # the category of a scene's object follows from the object, and no caption says it
    return [part for part in named if part != "category1"] if "relation" in named else named


def found(prompts: pd.DataFrame, captions: Sequence[Sequence[str]]) -> dict[str, npt.NDArray[np.float64]]:
    """part -> (N, S), 1 where the caption says what the prompt asks for, 0 where it does not, NaN where the prompt leaves it open.

    prompts:  N rows; captions: S of each. Of scenes a part must stand in its place ("a red heart left of a blue dog" has a blue dog, and no
    blue heart); a caption outside the grammar says nothing. Of single drawings the words of the part must stand together in the caption.
    """
    parts = asked_parts(prompts)
    if not parts:
        raise InputError(f"the prompts have none of the columns {', '.join(PARTS)} that say what is asked for.")
    asked = prompts[parts].fillna("").astype(str)
    grammar = "relation" in parts
    answer = {part: np.full((len(prompts), len(captions[0])), np.nan) for part in parts}
    for row, (wanted, said) in enumerate(zip(asked.to_dict("records"), captions, strict=True)):
        for sample, caption in enumerate(said):
            scene = read_caption(caption) if grammar else None
            for part, value in wanted.items():
                if value == "":
                    continue
                read = getattr(scene, part, "") == value if grammar else f" {value} " in f" {caption} "
                answer[part][row, sample] = read
    return answer


def readback(prompts: pd.DataFrame, captions: Sequence[Sequence[str]], draws: Draws) -> pd.DataFrame:
    """Per set: prompts, images, `all_parts` (share of images in which everything asked for is found) with low and high of the 95 %
    interval over prompts, and the share of each part (NaN where no prompt of the set asks for it)."""
    parts = found(prompts, captions)
    everything = np.nanmin(np.stack(list(parts.values())), axis=0)
    rows = []
    for name in dict.fromkeys(prompts["set"]):
        place = np.flatnonzero(prompts["set"] == name)
        share = everything[place].mean(axis=1)
        counts = draws(f"read back {name}", len(place))
        told = estimate(counts @ share / counts.sum(axis=1))
        row = {"set": name, "prompts": len(place), "images": everything[place].size, "all_parts": told["value"]}
        row |= {"low": told["low"], "high": told["high"]}
        for part, values in parts.items():
            some = values[place]
            row[part] = float(np.nanmean(some)) if np.isfinite(some).any() else np.nan
        rows.append(row)
    return pd.DataFrame(rows)
