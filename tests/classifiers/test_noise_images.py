"""The set Noise: reproducible image by image, with the authors' two steps out of range."""

import numpy as np
import pytest
from classifiers.imagenet_miniature import run_command
from PIL import Image

from genovision.classifiers.noise_images import noise_image
from genovision.resampling import stream


def spread(seed, k):
    """The standard deviation that image k is drawn with, and its side before resizing."""
    rng = stream(seed, f"noise image {k}")
    return int(rng.integers(2, 256)), rng.standard_normal() ** 2


def test_an_image_depends_on_seed_and_number_alone():
    image = noise_image(0, 5)
    assert image.shape == (256, 256, 3)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, noise_image(0, 5))
    assert (image != noise_image(0, 6)).any()
    assert (image != noise_image(1, 5)).any()


def test_weak_noise_is_grey_of_the_drawn_spread():
    sides = [(k, *spread(0, k)) for k in range(400)]
    k, _, s = next((k, side, s) for k, side, s in sides if side > 200 and 0.02 < s < 0.1)
    image = noise_image(0, k).astype(float)
    assert image.mean() == pytest.approx(127, abs=1)
    assert 0.5 * 255 * s < image.std() < 1.1 * 255 * s  # resizing averages a little


def test_strong_noise_wraps_to_uniform_or_clips_to_black_and_white():
    k = next(k for k in range(400) if spread(0, k)[0] > 230 and spread(0, k)[1] > 3)
    wrapped, clipped = noise_image(0, k, "wrap").astype(float), noise_image(0, k, "clip").astype(float)
    assert wrapped.std() < 80  # a uniform byte has 73.9
    assert clipped.std() > 90
    with pytest.raises(ValueError, match="wrap or clip"):
        noise_image(0, k, "fold")


def test_sides_and_spreads_follow_the_papers_generator():
    drawn = [spread(0, k) for k in range(3000)]
    sides, spreads = (np.array(values) for values in zip(*drawn, strict=True))
    assert sides.min() == 2
    assert sides.max() == 255
    assert sides.mean() == pytest.approx(128.5, abs=4)
    assert spreads.mean() == pytest.approx(1, abs=0.1)  # of N(0, 1)^2


def test_the_command_writes_the_folder_whole_and_more_images_change_no_earlier_one(tmp_path):
    assert run_command("classifiers/write_noise_images", "--number", 3, "--out", tmp_path / "noise") == 0
    first = {path.name: path.read_bytes() for path in (tmp_path / "noise").iterdir()}
    assert set(first) == {"img_0.jpg", "img_1.jpg", "img_2.jpg"}
    assert Image.open(tmp_path / "noise" / "img_0.jpg").size == (256, 256)
    assert run_command("classifiers/write_noise_images", "--number", 5, "--out", tmp_path / "noise") == 0
    assert {name: (tmp_path / "noise" / name).read_bytes() for name in first} == first
    assert len(list((tmp_path / "noise").iterdir())) == 5
    assert run_command("classifiers/write_noise_images", "--number", 0, "--out", tmp_path / "none") == 2
    assert not (tmp_path / "none").exists()
