"""A small world to be asked for and described: scenes of two recoloured OpenMoji drawings, with the grammar of their captions.

"a red heart left of a blue dog": two objects, six colours, a relation. The drawings, the colours and the words stand in the tables below;
everything random is drawn from a given generator. A scene is an image of 32 x 32 pixels, red, green, blue, 0 to 255, on white.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from genovision.glyphs import luminance

SIDE, GLYPH = 32, 14
CATEGORIES = ("animal", "fruit", "vehicle", "plant", "garment", "symbol")
# name: (code point in OpenMoji, category)
SEEN = {
    "dog": ("1F415", "animal"),
    "fish": ("1F41F", "animal"),
    "butterfly": ("1F98B", "animal"),
    "snail": ("1F40C", "animal"),
    "apple": ("1F34E", "fruit"),
    "banana": ("1F34C", "fruit"),
    "strawberry": ("1F353", "fruit"),
    "pear": ("1F350", "fruit"),
    "car": ("1F697", "vehicle"),
    "airplane": ("2708", "vehicle"),
    "rocket": ("1F680", "vehicle"),
    "tractor": ("1F69C", "vehicle"),
    "tree": ("1F333", "plant"),
    "cactus": ("1F335", "plant"),
    "mushroom": ("1F344", "plant"),
    "palm": ("1F334", "plant"),
    "shirt": ("1F455", "garment"),
    "dress": ("1F457", "garment"),
    "sock": ("1F9E6", "garment"),
    "hat": ("1F3A9", "garment"),
    "heart": ("2764", "symbol"),
    "star": ("2B50", "symbol"),
    "moon": ("1F319", "symbol"),
    "bell": ("1F514", "symbol"),
}
# never shown to the generator: one of each category
UNSEEN = {
    "elephant": ("1F418", "animal"),
    "watermelon": ("1F349", "fruit"),
    "train": ("1F686", "vehicle"),
    "sunflower": ("1F33B", "plant"),
    "shoe": ("1F45F", "garment"),
    "anchor": ("2693", "symbol"),
}
OBJECTS = SEEN | UNSEEN
COLOURS = {
    "red": (220, 40, 40),
    "orange": (245, 140, 20),
    "yellow": (250, 215, 40),
    "green": (40, 160, 60),
    "blue": (40, 90, 220),
    "purple": (150, 60, 190),
}
# relation: (top, left) of the first and of the second object
RELATIONS = {"left of": ((9, 1), (9, 17)), "above": ((1, 9), (17, 9))}
UNSEEN_RELATIONS = {"behind": ((5, 5), (13, 13))}  # they overlap, the second one in front
PLACES = RELATIONS | UNSEEN_RELATIONS
NOTHING = "something"
VOCABULARY = frozenset({*OBJECTS, *COLOURS, *CATEGORIES, *" ".join(PLACES).split(), NOTHING, "a", "an"})
PARTS = ("object1", "colour1", "relation", "object2", "colour2")


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a caption says; an empty object is an unnamed slot, a category in its place a slot named by that alone."""

    object1: str
    colour1: str
    relation: str
    object2: str
    colour2: str

    @property
    def text(self) -> str:
        return f"{_phrase(self.object1, self.colour1)} {self.relation} {_phrase(self.object2, self.colour2)}"

    @property
    def pair(self) -> frozenset[str]:
        return frozenset((self.object1, self.object2))


def _phrase(name: str, colour: str) -> str:
    if not name:
        return NOTHING
    words = f"{colour} {name}" if colour else name
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def _pattern() -> re.Pattern[str]:
    names = "|".join((*OBJECTS, *CATEGORIES))
    slot = rf"(?:{NOTHING}|an? (?:(?P<colour{{0}}>{'|'.join(COLOURS)}) )?(?P<object{{0}}>{names}))"
    return re.compile(f"{slot.format(1)} (?P<relation>{'|'.join(PLACES)}) {slot.format(2)}")


_CAPTION = _pattern()


def read_caption(text: str) -> Scene | None:
    """The parts of a caption in the grammar, vague ones included; None for any other text."""
    found = _CAPTION.fullmatch(text)
    return Scene(**{part: found[part] or "" for part in PARTS}) if found else None


def category(name: str) -> str:
    """The category of an object; that of a category is itself, and nothing of nothing."""
    return OBJECTS[name][1] if name in OBJECTS else name


def recolour(drawing: npt.NDArray[np.float64], colour: Sequence[int]) -> npt.NDArray[np.float64]:
    """A drawing (H, W, 4), 0 to 1, in shades of one colour (0 to 255 each), its order of dark and light kept.

    The median luminance of what is neither transparent nor outline becomes the colour itself; darker parts go to black in proportion,
    lighter ones towards white, and stop at seven tenths of the way: a white part would have no colour left.
    """
    light, opacity = luminance(drawing[..., :3]), drawing[..., 3]
    filled = light[(opacity > 0.5) & (light > 0.15)]
    middle = float(np.median(filled)) if filled.size else 0.5
    target = np.asarray(colour, dtype=np.float64) / 255
    dark = np.minimum(light / middle, 1)[..., None] * target
    pale = np.clip((light - middle) / max(1 - middle, 1e-9), 0, 1)[..., None] * (1 - target) * 0.7
    return np.concatenate([np.clip(dark + pale, 0, 1), drawing[..., 3:]], axis=2)


def palette(drawings: Mapping[str, npt.NDArray[np.float64]]) -> dict[tuple[str, str], npt.NDArray[np.float64]]:
    """Every object in every colour: (name, colour) -> (14, 14, 4), 0 to 1, from the drawings (14, 14, 4) of each name."""
    return {
        (name, colour): recolour(drawing, rgb) for name, drawing in drawings.items() for colour, rgb in COLOURS.items()
    }


def compose(
    scene: Scene,
    glyphs: Mapping[tuple[str, str], npt.NDArray[np.float64]],
    rng: np.random.Generator,
    jitter: int = 1,
) -> npt.NDArray[np.uint8]:
    """The image (32, 32, 3) of a scene without unnamed slots; each object up to `jitter` (0 or 1) pixels off its place either way.

    `glyphs` comes from `palette`. The second object is drawn over the first.
    """
    if jitter not in (0, 1):
        raise ValueError(f"jitter {jitter}: objects that move by more than 1 pixel leave the image")
    canvas = np.ones((SIDE, SIDE, 3))
    named = ((scene.object1, scene.colour1), (scene.object2, scene.colour2))
    for (name, colour), (top, left) in zip(named, PLACES[scene.relation], strict=True):
        y, x = np.array((top, left)) + rng.integers(-jitter, jitter + 1, size=2)
        glyph = glyphs[name, colour]
        opacity = glyph[..., 3:]
        under = canvas[y : y + GLYPH, x : x + GLYPH]
        canvas[y : y + GLYPH, x : x + GLYPH] = glyph[..., :3] * opacity + under * (1 - opacity)
    return np.rint(canvas * 255).astype(np.uint8)


def held_out_pairs(share: float, rng: np.random.Generator) -> set[frozenset[str]]:
    """Pairs of seen objects that never meet in a training scene, whatever their colours: `share` of all pairs, each object in some."""
    names = list(SEEN)
    pairs = [frozenset((a, b)) for i, a in enumerate(names) for b in names[i + 1 :]]
    order = [pairs[i] for i in rng.permutation(len(pairs))]
    number, chosen, uses = round(share * len(pairs)), set(), dict.fromkeys(names, 0)
    while len(chosen) < number:
        # the pair whose objects are held out least so far, so that none is left out and none always
        pair = min((pair for pair in order if pair not in chosen), key=lambda pair: sum(uses[name] for name in pair))
        chosen.add(pair)
        for name in pair:
            uses[name] += 1
    return chosen


def draw_scene(rng: np.random.Generator, objects: Sequence[str], relations: Sequence[str] = tuple(RELATIONS)) -> Scene:
    """Two different objects, their colours and a relation, each uniform."""
    first, second = rng.choice(len(objects), size=2, replace=False)
    colours = list(COLOURS)
    return Scene(
        objects[first],
        colours[rng.integers(len(colours))],
        relations[rng.integers(len(relations))],
        objects[second],
        colours[rng.integers(len(colours))],
    )


def draw_scenes(
    number: int, draw: Callable[[], Scene], allowed: Callable[[Scene], bool], distinct: bool = True
) -> list[Scene]:
    """`number` scenes of `draw` that are allowed, each at most once when `distinct`; ValueError when there seem to be no more."""
    found: list[Scene] = []
    kept: set[Scene] = set()
    for _ in range(1000 + 100 * number):
        if len(found) == number:
            return found
        scene = draw()
        if allowed(scene) and not (distinct and scene in kept):
            found.append(scene)
            kept.add(scene)
    if len(found) < number:
        raise ValueError(f"only {len(found)} different scenes were found, {number} are asked for")
    return found


def loosened(scene: Scene, form: str, slot: int) -> Scene:
    """The scene with slot 1 or 2 `unnamed`, or named by its `category` alone, without a colour."""
    name = {"unnamed": "", "category": category(getattr(scene, f"object{slot}"))}[form]
    return dataclasses.replace(scene, **{f"object{slot}": name, f"colour{slot}": ""})
