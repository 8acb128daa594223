"""The training images and the prompt sets of the scenes: which combinations are kept for asking, and what each set asks for."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.resampling import stream
from genovision.text_to_image.corruption import corrupt
from genovision.text_to_image.scenes import (
    OBJECTS,
    PARTS,
    PLACES,
    RELATIONS,
    SEEN,
    UNSEEN,
    UNSEEN_RELATIONS,
    VOCABULARY,
    Scene,
    category,
    compose,
    draw_scene,
    draw_scenes,
    held_out_pairs,
    loosened,
    palette,
)

FORMS = ("unnamed", "category")


@dataclasses.dataclass(frozen=True)
class World:
    """`images`: training and prompt sets, name -> (N, 32, 32, 3) uint8; `tables`: what they show, row by row; `prompts`: what is asked."""

    images: dict[str, npt.NDArray[np.uint8]]
    tables: dict[str, pd.DataFrame]
    prompts: pd.DataFrame


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How many images and prompts, and the shares that are drawn.

    `held_out`: of the pairs of seen objects. `vague`: of the generator's training texts that leave one slot open, so that a vague prompt is
    no new kind of text to it. `corruption`: of the letters of one word.
    """

    generator: int
    captioner: int
    prompts: int
    held_out: float = 0.15
    vague: float = 0.2
    corruption: float = 0.3
    jitter: int = 1


def scene_world(drawings: Mapping[str, npt.NDArray[np.float64]], sizes: Sizes, seed: int) -> World:
    """Training sets `train` (generator: seen objects and relations, no held-out pair) and `captioner` (everything), and the prompt sets.

    - normal: held-out pairs of seen objects; vague_unnamed, vague_category: the same scenes with one slot open
    - corrupted: the same prompts with typing errors in one word, a colour or an object
    - ood_object: one seen and one unseen object; ood_relation: held-out pairs in an unseen relation

    Of a prompt with an open slot the image shows the scene it was made from. No image of the captioner shows the scene of a prompt. Raises
    ValueError when there are not enough different scenes.
    """
    kept_apart = held_out_pairs(sizes.held_out, stream(seed, "pairs"))
    asked = _asked(kept_apart, sizes.prompts, seed)
    forbidden = {scene for scenes in asked.values() for scene in scenes}
    rng = stream(seed, "train")
    train = draw_scenes(
        sizes.generator, lambda: draw_scene(rng, list(SEEN)), lambda scene: scene.pair not in kept_apart, distinct=False
    )
    other = stream(seed, "captioner")
    everything = draw_scenes(
        sizes.captioner,
        lambda: draw_scene(other, list(OBJECTS), list(PLACES)),
        lambda scene: scene not in forbidden,
        distinct=False,
    )
    glyphs = palette(drawings)
    scenes = {"train": train, "captioner": everything, **asked}
    images, tables = {}, {}
    for name, found in scenes.items():
        places = stream(seed, f"{name} places")
        images[name] = np.stack([compose(scene, glyphs, places, sizes.jitter) for scene in found])
        tables[name] = _table(name, found)
    tables["train"] = tables["train"].assign(**_training_texts(train, sizes.vague, stream(seed, "train texts")))
    return World(images, tables, _prompts(asked, sizes, seed))


def _asked(kept_apart: set[frozenset[str]], number: int, seed: int) -> dict[str, list[Scene]]:
    """The scenes behind the prompts of each set."""
    pairs = [sorted(pair, key=list(SEEN).index) for pair in kept_apart]
    pairs.sort()

    def held_out(rng: np.random.Generator, relations: dict) -> Scene:
        pair = pairs[rng.integers(len(pairs))]
        return draw_scene(rng, pair, list(relations))

    def mixed(rng: np.random.Generator) -> Scene:
        pair = [list(SEEN)[rng.integers(len(SEEN))], list(UNSEEN)[rng.integers(len(UNSEEN))]]
        return draw_scene(rng, pair)

    def drawn(name: str, draw) -> list[Scene]:
        rng = stream(seed, name)
        return draw_scenes(number, lambda: draw(rng), lambda scene: True)

    normal = drawn("normal", lambda rng: held_out(rng, RELATIONS))
    return {
        "normal": normal,
        "vague_unnamed": normal,
        "vague_category": normal,
        "corrupted": normal,
        "ood_object": drawn("ood_object", mixed),
        "ood_relation": drawn("ood_relation", lambda rng: held_out(rng, UNSEEN_RELATIONS)),
    }


def _training_texts(scenes: list[Scene], share: float, rng: np.random.Generator) -> dict[str, list[str]]:
    """What the generator is told: the caption, or for `share` of the images one with an open slot."""
    texts, forms = [], []
    for scene in scenes:
        form, slot = FORMS[rng.integers(len(FORMS))], int(rng.integers(1, 3))
        vague = rng.random() < share
        texts.append(loosened(scene, form, slot).text if vague else scene.text)
        forms.append(form if vague else "full")
    return {"text": texts, "form": forms}


def _prompts(asked: dict[str, list[Scene]], sizes: Sizes, seed: int) -> pd.DataFrame:
    rows = []
    for name, scenes in asked.items():
        for number, scene in enumerate(scenes):
            rng = stream(seed, f"{name} prompt {number}")
            said, row = scene, {"id": identifier(name, number), "set": name, "kind": name.split("_")[0]}
            if name.startswith("vague"):
                said = loosened(scene, name.removeprefix("vague_"), int(rng.integers(1, 3)))
            text, word = said.text, ""
            if name == "corrupted":
                # a colour may stand twice in the text, then only one error would be two
                named = (scene.object1, scene.colour1, scene.object2, scene.colour2)
                words = [word for word in named if named.count(word) == 1]
                word = words[rng.integers(len(words))]
                text = corrupt(text, sizes.corruption, rng, {word}, VOCABULARY)
            rows.append({**row, "text": text, "corrupted_word": word, **_columns(said)})
    return pd.DataFrame(rows)


def identifier(name: str, number: int) -> str:
    """The id of a row of a set."""
    return f"{name}-{number:05d}"


def _columns(scene: Scene) -> dict[str, str]:
    """The parts as columns; a slot named by its category alone has no object."""
    parts = {part: getattr(scene, part) for part in PARTS}
    for slot in (1, 2):
        name = parts[f"object{slot}"]
        parts |= {f"object{slot}": name if name in OBJECTS else "", f"category{slot}": category(name)}
    return parts


def _table(name: str, scenes: list[Scene]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"id": identifier(name, number), "caption": scene.text, **_columns(scene)}
            for number, scene in enumerate(scenes)
        ]
    )
