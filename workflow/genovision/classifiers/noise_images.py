"""Images of Gaussian noise at random resolution and contrast: the set `Noise` of SIRC (Xia & Bouganis 2022)."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from genovision.resampling import stream

SIZE = 256  # side of the finished image


def noise_image(seed: int, k: int, overflow: str = "wrap") -> npt.NDArray[np.uint8]:
    """Image k of a seed: (256, 256, 3) uint8, the same whatever the number of images.

    A square of side r ~ uniform 2..255 with pixels N(0, 1) s + 0.5 per channel, s = N(0, 1)^2 for the whole image; times 255, to bytes,
    then Lanczos to 256 x 256.

    overflow: what happens to values outside 0..255: `wrap` (modulo 256, as the authors' released code does by casting to bytes: strong
    noise becomes uniform), or `clip` (strong noise becomes black and white)
    The draws are numpy's, not torch's, so that pixels differ from the authors' while the distribution is theirs.
    """
    if overflow not in ("wrap", "clip"):
        raise ValueError(f"overflow is {overflow!r}; it must be wrap or clip")
    rng = stream(seed, f"noise image {k}")
    side = int(rng.integers(2, 256))
    spread = rng.standard_normal() ** 2
    pixels = np.trunc((rng.standard_normal((side, side, 3)) * spread + 0.5) * 255)
    pixels = np.mod(pixels, 256) if overflow == "wrap" else np.clip(pixels, 0, 255)
    image = Image.fromarray(pixels.astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    return np.asarray(image)
