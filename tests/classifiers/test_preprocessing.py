"""From file to input: equal to torchvision's transforms and TensorFlow's crop, and what is said of damaged files."""

import numpy as np
import pytest
from classifiers.imagenet_miniature import geotiff, picture, save
from PIL import Image, TiffImagePlugin

from genovision.classifiers.preprocessing import BIT, IMAGENET, Preprocessing, normalise, read_image, tile
from genovision.errors import InputError

SIZES = [(300, 200), (200, 300), (256, 256), (500, 375), (64, 48), (225, 801), (333, 217)]


@pytest.fixture(scope="module")
def transforms():
    """torchvision.transforms: the peer, which the package itself does not use."""
    pretrained = pytest.importorskip("genovision.classifiers.pretrained")
    pretrained.import_timm()
    return pytest.importorskip("torchvision.transforms")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_resize_and_centre_crop_equal_torchvisions(transforms, size, interpolation):
    ours = Preprocessing(size=224, resize=256, interpolation=interpolation)
    mode = transforms.InterpolationMode(interpolation)
    normal = transforms.Normalize(ours.mean, ours.std)
    steps = [transforms.Resize(256, interpolation=mode), transforms.CenterCrop(224), transforms.ToTensor(), normal]
    image = picture(3, size)
    np.testing.assert_allclose(ours(image), transforms.Compose(steps)(image).numpy(), rtol=0, atol=2e-6)
    assert ours.square(image) == transforms.Compose(steps[:2])(image)


def test_squash_equals_torchvisions_resize_to_a_pair(transforms):
    image = picture(4, (300, 200))
    steps = [transforms.Resize((480, 480)), transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)]
    np.testing.assert_allclose(BIT(image), transforms.Compose(steps)(image).numpy(), rtol=0, atol=2e-6)


def test_a_tile_is_kept_whole_and_resized_by_lanczos(transforms):
    image = picture(5, (150, 150))
    steps = transforms.Resize(224, interpolation=transforms.InterpolationMode.LANCZOS)
    assert tile(IMAGENET).square(image) == steps(image)
    assert tile(IMAGENET).mean == IMAGENET.mean


def test_crop_first_takes_the_central_share_of_the_shorter_side():
    pixels = np.zeros((100, 200, 3), dtype=np.uint8)
    pixels[10:90, 60:140] = 200  # the central 80 x 80 of 100 x 200
    rule = Preprocessing(size=40, resize=50, rule="crop_first", interpolation="bicubic")
    assert (np.asarray(rule.square(Image.fromarray(pixels))) == 200).all()
    wider = Preprocessing(size=40, resize=44, rule="crop_first", interpolation="bicubic")
    assert (np.asarray(wider.square(Image.fromarray(pixels))) == 0).any()


def test_normalisation_is_exact():
    pixels = np.array([[[0, 127, 255]]], dtype=np.uint8)
    lite = normalise(pixels, (127 / 255,) * 3, (128 / 255,) * 3)
    np.testing.assert_allclose(lite[:, 0, 0], [-127 / 128, 0, 1], atol=1e-7)
    assert lite.shape == (3, 1, 1)
    assert lite.dtype == np.float32


BAD = [
    ({"rule": "fit"}, "rule 'fit' is none of"),
    ({"interpolation": "cubic"}, "interpolation 'cubic' is none of"),
    ({"resize": 200}, "resize 200 must not be below size 224"),
    ({"std": (0.2, 0.0, 0.2)}, "std positive"),
    ({"mean": (0.5,)}, "three numbers"),
]


@pytest.mark.parametrize(("change", "sentence"), BAD)
def test_a_preprocessing_that_makes_no_sense_is_refused(change, sentence):
    with pytest.raises(InputError) as caught:
        Preprocessing(**{"size": 224, "resize": 256, **change})
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("name", "keep"), [("a.png", 0.5), ("a.jpg", 0.5), ("a.png", 0.02), ("a.jpg", 0.02), ("a.tif", 0.5), ("a.png", 0)]
)
def test_a_file_cut_short_is_named(tmp_path, name, keep):
    save(tmp_path, name, picture(6, (64, 64)))
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(InputError, match=rf"{name} is (damaged or cut short|no image)"):
        read_image(tmp_path, name)


def test_a_broken_chunk_of_a_png_is_named(tmp_path):
    save(tmp_path, "a.png", picture(6, (64, 64)))
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[60:80] = b"\0" * 20
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.png is damaged"):
        read_image(tmp_path, "a.png")


def test_text_and_missing_files_are_named(tmp_path):
    (tmp_path / "a.jpg").write_text("<html>not found</html>")
    with pytest.raises(InputError, match=r"a\.jpg is no image that can be read\."):
        read_image(tmp_path, "a.jpg")
    with pytest.raises(InputError, match=r"b\.jpg is not there"):
        read_image(tmp_path, "b.jpg")


def test_three_bands_of_8_bits_are_read_and_16_bits_are_not(tmp_path):
    geotiff(tmp_path / "3band.tif", 1)
    assert read_image(tmp_path, "3band.tif").getpixel((0, 0)) == picture(1, (44, 41)).getpixel((0, 0))
    Image.fromarray(np.full((8, 8), 4000, dtype=np.uint16)).save(tmp_path / "16bit.tif")
    with pytest.raises(InputError, match=r"16bit\.tif has pixels of mode I;16; images of 8 bits"):
        read_image(tmp_path, "16bit.tif")


def test_a_satellite_image_of_eight_bands_is_refused_with_a_hint(tmp_path):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in ((256, 4), (257, 4), (258, (8,) * 8), (262, 1), (273, 400), (277, 8), (278, 4), (279, 128)):
        tags[tag] = value
    (tmp_path / "8band.tif").write_bytes(b"II*\0\x08\0\0\0" + tags.tobytes(8) + b"\0" * 600)
    with pytest.raises(
        InputError, match=r"8band\.tif is no image that can be read: of satellite images the 8-bit files of three"
    ):
        read_image(tmp_path, "8band.tif")


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "1"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    save(tmp_path, "a.tif", picture(7, mode=mode))
    image = read_image(tmp_path, "a.tif")
    assert image.mode == "RGB"
    assert IMAGENET(image).shape == (3, 224, 224)
