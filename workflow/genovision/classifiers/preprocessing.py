"""From an image file to a classifier's input, by Pillow and numpy: the same arithmetic as the papers' test transforms.

Three rules bring an image to `size` x `size`:
  shorter_side  shorter side to `resize`, then the central `size` x `size` (torchvision, timm; most ImageNet models)
  crop_first    the central square of side size/resize of the shorter side, then that to `size` (TensorFlow's EfficientNet)
  squash        the whole image to `size` x `size` (BiT; and tiles, which have no border to crop)
"""

import io
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from genovision.classifiers.image_lists import read_bytes
from genovision.errors import InputError

RULES = ("shorter_side", "crop_first", "squash")
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """How a model wants its images; `mean` and `std` per channel on the scale 0..1."""

    size: int
    resize: int
    rule: str = "shorter_side"
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self):
        if self.rule not in RULES:
            raise InputError(f"preprocessing rule {self.rule!r} is none of {', '.join(RULES)}.")
        if self.interpolation not in INTERPOLATIONS:
            raise InputError(f"interpolation {self.interpolation!r} is none of {', '.join(INTERPOLATIONS)}.")
        if self.size < 1 or self.resize < self.size:
            raise InputError(f"resize {self.resize} must not be below size {self.size}, which must be positive.")
        object.__setattr__(self, "mean", tuple(map(float, self.mean)))
        object.__setattr__(self, "std", tuple(map(float, self.std)))
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise InputError(f"mean {self.mean} and std {self.std} must be three numbers each, std positive.")

    def __call__(self, image: Image.Image) -> npt.NDArray[np.float32]:
        """An RGB image as the model's input: (3, size, size) float32."""
        return normalise(np.asarray(self.square(image)), self.mean, self.std)

    def square(self, image: Image.Image) -> Image.Image:
        """The image at `size` x `size`, before normalisation."""
        width, height = image.size
        shorter = min(width, height)
        how = INTERPOLATIONS[self.interpolation]
        if self.rule == "squash":
            return image.resize((self.size, self.size), how)
        if self.rule == "crop_first":
            side = int(shorter * self.size / self.resize)
            left, top = (width - side + 1) // 2, (height - side + 1) // 2
            # crop, then resize: with `box` alone Pillow's filter would reach over the edge of the crop
            return image.crop((left, top, left + side, top + side)).resize((self.size, self.size), how)
        sides = [self.resize if side == shorter else int(self.resize * side / shorter) for side in (width, height)]
        image = image.resize(tuple(sides), how)
        left, top = (round((side - self.size) / 2) for side in sides)
        return image.crop((left, top, left + self.size, top + self.size))

    def as_dict(self) -> dict:
        """For a JSON file beside the outputs."""
        return asdict(self)


# SIRC, ensemble diversity, OpenOOD v1.5
IMAGENET = Preprocessing(size=224, resize=256)
# BiT-S-R101x1 as SIRC evaluates it (Xia & Bouganis 2022)
BIT = Preprocessing(size=480, resize=480, rule="squash", mean=(0.5,) * 3, std=(0.5,) * 3)


def tile(preprocessing: Preprocessing) -> Preprocessing:
    """The same input for tiles smaller than the crop (Colorectal, 150 x 150): the whole tile, by Lanczos, nothing cropped (SIRC)."""
    return replace(preprocessing, rule="squash", interpolation="lanczos")


def normalise(pixels: npt.NDArray[np.uint8], mean, std) -> npt.NDArray[np.float32]:
    """(H, W, 3) bytes -> (3, H, W) float32, (pixel/255 - mean) / std."""
    scaled = (pixels.astype(np.float32) / 255 - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def read_image(root: Path, name: str) -> Image.Image:
    """The image of that name below a folder or in a zip archive, as RGB. InputError names a file that is cut short or no image."""
    return decode(read_bytes(root, name), f"{root}/{name}")


def decode(data: bytes, name: str) -> Image.Image:
    """Bytes of an image file -> RGB. The format is read from the bytes, not from the suffix: ImageNet has a PNG named .JPEG.

    A file that is cut short is refused (OpenOOD's reader fills the rest with grey). Orientation tags are ignored, as the papers' readers
    do. InputError names the file.
    """
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except UnidentifiedImageError as error:
        raise InputError(
            f"{name} is no image that can be read: of satellite images the 8-bit files of three bands are needed."
            if name.lower().endswith((".tif", ".tiff"))
            else f"{name} is no image that can be read."
        ) from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} is too large: {error}.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # Pillow says SyntaxError of a broken PNG
        raise InputError(f"{name} is damaged or cut short ({error}); fetch it again.") from error
    if image.mode.startswith(("I", "F")):
        raise InputError(f"{name} has pixels of mode {image.mode}; images of 8 bits per channel are needed.")
    return image.convert("RGB")
