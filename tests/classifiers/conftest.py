"""The commands run in this process, and a folder of small image sets."""

from pathlib import Path

import numpy as np
import pytest
from classifiers.miniature import striped

from genovision.classifiers.image_sets import ImageSet, write_set

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def sets(tmp_path_factory):
    """Folder with train.npz (256 images), calibration.npz, test.npz (128) and an OOD set other.npz (64)."""
    folder, rng = tmp_path_factory.mktemp("sets"), np.random.default_rng(3)
    for name, number in (("train", 256), ("calibration", 128), ("test", 128)):
        write_set(striped(number, rng), folder / f"{name}.npz")
    noise = rng.integers(0, 256, (64, 28, 28), dtype=np.uint8)
    write_set(ImageSet(noise, np.full(64, -1, dtype=np.int64)), folder / "other.npz")
    return folder
