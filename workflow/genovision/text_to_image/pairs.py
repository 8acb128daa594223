"""Prompts, the images a model made of them and the captions of those images, as a data set: a Parquet table beside PNG files.

A PNG file is named by the SHA-256 of its bytes: the same image is kept once, and a damaged one is known by its name.
"""

import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.atomic import replacing
from genovision.errors import InputError

IMAGES = "images"
COLUMNS = {
    "id": "of the prompt",
    "set": "of prompts",
    "kind": "of the set",
    "prompt": "what the generator was asked for",
    "sample": "number of the generation for this prompt, from 0",
    "seed": "of this generation's noise",
    "generator": "model that made the image",
    "image": "file, named by the SHA-256 of its bytes",
    "width": "pixels",
    "height": "pixels",
    "captioner": "model that described the image",
    "caption": "what it said",
}
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NAMED = re.compile(r"[0-9a-f]{64}\.png")


def png(image: npt.NDArray[np.uint8]) -> bytes:
    """An image (H, W, 3), red, green, blue, as PNG: the same bytes for the same pixels under one version of Pillow and zlib."""
    from PIL import Image

    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"an image is (H, W, 3) of bytes, not {image.shape} of {image.dtype}")
    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(sink, "PNG", compress_level=6)
    return sink.getvalue()


def write_image(image: npt.NDArray[np.uint8], folder: str | os.PathLike) -> str:
    """Write an image into the folder under its name, unless it is there whole, and return the name."""
    data = png(image)
    name = f"{hashlib.sha256(data).hexdigest()}.png"
    path = Path(folder) / name
    if not path.is_file() or path.read_bytes() != data:
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    return name


def read_image(path: str | os.PathLike) -> npt.NDArray[np.uint8]:
    """The pixels (H, W, 3) of a PNG; transparent parts are white.

    Raises InputError when it is no whole PNG, or when its name is a SHA-256 and not that of its bytes.
    """
    from PIL import Image

    data = Path(path).read_bytes()
    if not _ends(data):
        raise InputError(f"{path} is no whole PNG image (it breaks off or is damaged); make or fetch it again.")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            image.load()
            if image.has_transparency_data:
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).replace(str(path), "it").rstrip(".")
        raise InputError(f"{path} is no whole PNG image ({reason}); make or fetch it again.") from error
    if _NAMED.fullmatch(Path(path).name) and hashlib.sha256(data).hexdigest() != Path(path).stem:
        raise InputError(f"{path} is not the image its name stands for; it was changed, make or fetch it again.")
    return pixels


def _ends(data: bytes) -> bool:
    """Whether a PNG is there to its last chunk with every checksum right: Pillow also takes one that lacks its end."""
    place, kind = len(_SIGNATURE), b""
    if not data.startswith(_SIGNATURE):
        return False
    while kind != b"IEND":
        length, kind = int.from_bytes(data[place : place + 4]), data[place + 4 : place + 8]
        end = place + 8 + length
        if len(data) < end + 4 or zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4]):
            return False
        place = end + 4
    return True


def pair(
    prompts: pd.DataFrame, generations: pd.DataFrame, captions: pd.DataFrame, generator: str, captioner: str
) -> pd.DataFrame:
    """The table of the data set: a row for each generation, in the order of the prompts, then of the samples.

    `prompts`: id, set, kind, text, and further columns, which follow those of COLUMNS. `generations`: id, sample, seed, image, width,
    height. `captions`: id, sample, caption. Raises InputError for a row that is there twice, a prompt without a generation, a generation
    without a prompt or without a caption, and a caption without a generation.
    """
    key = ["id", "sample"]
    for what, frame, columns in (
        ("prompt", prompts, ["id"]),
        ("generation", generations, key),
        ("caption", captions, key),
    ):
        twice = frame[columns][frame.duplicated(columns)]
        if len(twice):
            raise InputError(f"the {what} {_named(twice.iloc[0])} is there twice; remove one.")
    asked, made = set(prompts["id"]), set(map(tuple, generations[key].to_numpy()))
    said = set(map(tuple, captions[key].to_numpy()))
    for lacking, message in (
        (
            {identifier for identifier, _ in made} - asked,
            "has a generation and is not among the prompts; give its list too",
        ),
        (asked - {identifier for identifier, _ in made}, "has no generation; generate again"),
        (made - said, "has no caption; caption the images again"),
        (said - made, "has a caption and no generation; caption the images again"),
    ):
        if lacking:
            first = min(lacking, key=str)
            raise InputError(f"the prompt {first if isinstance(first, str) else _named(first)} {message}.")
    rank = {identifier: place for place, identifier in enumerate(prompts["id"])}
    frame = generations.merge(captions[[*key, "caption"]], on=key, validate="one_to_one")
    frame = frame.merge(prompts.rename(columns={"text": "prompt"}), on="id", validate="many_to_one")
    frame = frame.assign(generator=generator, captioner=captioner, rank=frame["id"].map(rank))
    frame["caption"] = frame["caption"].fillna("")
    frame = frame.sort_values(["rank", "sample"], kind="stable", ignore_index=True)
    further = [column for column in prompts.columns if column not in ("id", "set", "kind", "text")]
    return frame[[*COLUMNS, *further]]


def _named(key: Iterable) -> str:
    identifier, *sample = key
    return f"{identifier}, sample {sample[0]}" if sample else str(identifier)


def remove_others(folder: str | os.PathLike, names: Iterable[str]) -> int:
    """Remove images named by their SHA-256 that the data set no longer has; other files stay. Returns how many were removed."""
    kept = set(names)
    stale = [path for path in Path(folder).glob("*.png") if _NAMED.fullmatch(path.name) and path.name not in kept]
    for path in stale:
        path.unlink()
    return len(stale)


def counts(pairs: pd.DataFrame) -> pd.DataFrame:
    """Per set: kind, prompts, images, how many of the images and of the captions differ, and empty captions."""
    table = pairs.groupby("set", sort=False).agg(
        kind=("kind", "first"),
        prompts=("id", "nunique"),
        images=("image", "size"),
        different_images=("image", "nunique"),
        different_captions=("caption", "nunique"),
        empty_captions=("caption", lambda captions: int((captions.str.strip() == "").sum())),
    )
    return table.reset_index()


def data_sheet(pairs: pd.DataFrame, sources: Sequence[dict[str, str]]) -> str:
    """The data sheet, Markdown. `sources`: source, version, licence, sha256 of what the images and models were made from."""
    seeds = sorted(set(map(int, pairs["seed"])))
    listed = f"{seeds[0]} to {seeds[-1]}, {len(seeds)} of them" if len(seeds) > 8 else ", ".join(map(str, seeds))
    sizes = ", ".join(sorted({f"{w} x {h}" for w, h in zip(pairs["width"], pairs["height"], strict=True)}))
    further = {column: "of the prompt, as in its list" for column in pairs.columns if column not in COLUMNS}
    samples = pairs.groupby("id").size()
    per_prompt = str(samples.min()) if samples.min() == samples.max() else f"{samples.min()} to {samples.max()}"
    parts = [
        "# Prompts, generations and captions",
        "For every prompt the images that a text-to-image model made of it, and what an image-to-text model said of each image, "
        "to study when an image does not follow from its prompt. "
        "One row of `pairs.parquet` is one generation; the images lie in `images/`.",
        "## Counts",
        _table(counts(pairs)),
        f"{per_prompt} generations for each prompt; images of {sizes} pixels.",
        "## Models and seeds",
        f"- Generator: {', '.join(pairs['generator'].unique())}\n- Captioner: {', '.join(pairs['captioner'].unique())}\n- Seeds: {listed}",
        "## Columns",
        "\n".join(f"- `{name}`: {meaning}" for name, meaning in (COLUMNS | further).items()),
        "## Sources and licences",
        _table(pd.DataFrame(list(sources))) if sources else "No source was named.",
        *_licences(sources),
        "## What it is not",
        "- Captions are a model's words, not checked by people; an error may be the captioner's and not the generator's.\n"
        "- The prompts are written by rule and by us: they cover what the sets name, and are no sample of what people ask for.\n"
        "- Groups named in bias prompts are words in a prompt. What a model shows for them says something about the model only.",
    ]
    return "\n\n".join(parts) + "\n"


def _licences(sources: Sequence[dict[str, str]]) -> list[str]:
    found = ["The prompts are part of this repository and under its licence."]
    if any("openmoji" in source.get("source", "").lower() for source in sources):
        found.append(
            "Drawings: all emojis designed by OpenMoji, the open-source emoji and icon project (openmoji.org), under CC BY-SA 4.0 "
            "(creativecommons.org/licenses/by-sa/4.0). They were recoloured, scaled and composed, and models were trained on the results. "
            "The images of this data set are passed on under the same licence, with this attribution."
        )
    else:
        found.append(
            "The images stand under the terms of the generator named above; read them before passing images on."
        )
    return found


def _table(frame: pd.DataFrame) -> str:
    def cell(value: object) -> str:
        return str(value).replace("|", "\\|").replace("\n", " ")

    rows = [list(frame.columns), ["---"] * len(frame.columns), *frame.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(cell, row))} |" for row in rows)
