"""Drawings as small grey images: SVG files that hold shapes and nothing else, rendered by resvg.

A file is looked through before it is rendered: no document type or entity, no script, style sheet, text, image or animation, no
reference to anything outside of itself, and a bound on its size. OpenMoji 17 needs nothing of that.
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

LIMIT = 1 << 18  # bytes of one drawing; the largest of OpenMoji 17 has 34,687
_DRAWN = ("path", "circle", "ellipse", "line", "rect", "polyline", "polygon")
SHAPES = frozenset(
    ("svg", "g", *_DRAWN, "title", "desc", "defs", "clipPath", "linearGradient", "radialGradient", "stop")
)
_SVG = "{http://www.w3.org/2000/svg}"
_SKIN_TONES = frozenset({"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF"})
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


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
        root = ElementTree.fromstring(text)
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
    return text


def grey(png: bytes, label: str) -> npt.NDArray[np.float64]:
    """Luminance (H, W), 0 to 255, of a PNG whose transparent parts are white; InputError for a damaged one."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            rgba = np.asarray(image.convert("RGBA"), dtype=np.float64)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{label} is no whole PNG image ({error}).") from error
    alpha = rgba[..., 3:] / 255
    return (rgba[..., :3] * alpha + 255 * (1 - alpha)) @ _LUMA


def render(data: bytes, label: str, size: int = 28) -> npt.NDArray[np.uint8]:
    """A drawing as (size, size), bright lines on black like the images of Fashion-MNIST; the longer side fills the square."""
    import resvg_py

    text = check_drawing(data, label)
    try:
        # rendered at four times the size and averaged, so that thin lines keep their weight
        png = resvg_py.svg_to_bytes(
            svg_string=text, width=4 * size, height=4 * size, background="#ffffff", skip_system_fonts=True
        )
    except ValueError as error:
        raise InputError(f"{label} cannot be rendered ({error}).") from error
    fine = grey(bytes(png), label)
    square = np.full((4 * size, 4 * size), 255.0)
    height, width = fine.shape
    if height > 4 * size or width > 4 * size:
        raise InputError(f"{label} was rendered at {width} x {height}; {4 * size} was asked for.")
    top, left = (4 * size - height) // 2, (4 * size - width) // 2
    square[top : top + height, left : left + width] = fine
    return np.rint(255 - square.reshape(size, 4, size, 4).mean(axis=(1, 3))).astype(np.uint8)


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
