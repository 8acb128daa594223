"""Kept and held-out classes, the split, the sets from elsewhere, and how sets are read."""

import pickle

import numpy as np
import pytest

from genovision.arrays import read_arrays, write_arrays
from genovision.classifiers.image_sets import (
    ImageSet,
    digits,
    gaussian_noise,
    hold_out,
    permuted,
    read_set,
    sample,
    split,
    uniform_noise,
    write_set,
)
from genovision.errors import InputError


@pytest.fixture
def ten():
    labels = np.arange(200, dtype=np.int64) % 10
    return ImageSet(np.broadcast_to(labels.astype(np.uint8)[:, None, None], (200, 28, 28)).copy(), labels)


def test_kept_classes_are_numbered_anew_and_the_others_are_outside(ten):
    kept, held = hold_out(ten, [8, 3])
    assert set(held.labels) == {-1} and set(held.images[:, 0, 0]) == {3, 8}
    meant = {old: new for new, old in enumerate([0, 1, 2, 4, 5, 6, 7, 9])}
    assert [meant[old] for old in kept.images[:, 0, 0]] == list(kept.labels)


@pytest.mark.parametrize("classes", [[10], [-1], [3, 3], list(range(8))])
def test_impossible_held_out_classes_are_refused(ten, classes):
    with pytest.raises(InputError, match="held-out classes"):
        hold_out(ten, classes)


def test_the_split_is_disjoint_and_the_same_for_one_seed(ten):
    numbered = ImageSet(np.arange(200, dtype=np.uint8)[:, None, None], ten.labels)
    first, again = (split(numbered, {"a": 50, "b": 120}, np.random.default_rng(1)) for _ in range(2))
    ids = [set(part.images.ravel()) for part in first.values()]
    assert [len(part) for part in first.values()] == [50, 120] and not ids[0] & ids[1]
    assert all(np.array_equal(first[name].images, again[name].images) for name in first)
    with pytest.raises(InputError, match=r"150 for a and 51 for b are asked for, but .* have 200"):
        split(numbered, {"a": 150, "b": 51}, np.random.default_rng(1))


def test_permuted_images_keep_their_grey_values_and_share_one_permutation():
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    images[2] = images[0]
    found = permuted(images, np.random.default_rng(1))
    assert np.array_equal(np.sort(found.reshape(3, -1)), np.sort(images.reshape(3, -1)))
    assert not np.array_equal(found, images) and np.array_equal(found[0], found[2])


def test_noise_has_its_mean_and_spread():
    uniform = uniform_noise(200, (28, 28), np.random.default_rng(0)) / 255
    assert (uniform.mean(), uniform.std()) == pytest.approx((0.5, 12**-0.5), abs=0.005)
    spread = (gaussian_noise(400, (28, 28), np.random.default_rng(0)) / 255).std(axis=(1, 2))
    assert spread.min() < 0.01 and spread.max() > 0.45  # from flat grey to black and white


def test_digits_are_whole_images_of_full_range():
    found = digits()
    assert found.shape == (1797, 28, 28) and found.dtype == np.uint8 and found.max() == 255 and found.min() == 0


def test_a_sample_is_sorted_without_repeats_and_at_most_all():
    assert sorted(set(sample(5, 50, np.random.default_rng(0)))) == list(sample(5, 50, np.random.default_rng(0)))
    assert list(sample(9, 4, np.random.default_rng(0))) == [0, 1, 2, 3]


def test_sets_have_the_same_bytes_every_time(ten, tmp_path):
    for name in ("a", "b"):
        write_set(ten, tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert np.array_equal(read_set(tmp_path / "a.npz", 10).labels, ten.labels)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((2, 28, 28), np.uint8)}, "has no array labels; it has images"),
        ({"images": np.zeros((2, 28), np.uint8), "labels": np.zeros(2, int)}, r"uint8 of shape \(2, 28\)"),
        ({"images": np.zeros((2, 28, 28)), "labels": np.zeros(2, int)}, "images are float64"),
        ({"images": np.zeros((2, 28, 28), np.uint8), "labels": np.zeros(3, int)}, "2 images .* and 3 labels"),
        ({"images": np.zeros((2, 28, 28), np.uint8), "labels": np.array([0, 5])}, "label 5 of image 1 is none of 0..3"),
        ({"images": np.zeros((2, 28, 28), np.uint8), "labels": np.array([0, -2])}, "label -2 of image 1"),
        ({"images": np.zeros((2, 28, 28), np.uint8), "labels": np.zeros(2)}, "labels are float64"),
        ({"images": np.zeros((0, 28, 28), np.uint8), "labels": np.zeros(0, int)}, "has no image"),
    ],
)
def test_sets_that_do_not_fit_are_refused_in_a_sentence(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_set(tmp_path / "x.npz", 4)


class Trap:
    """An object whose unpickling would be noticed."""

    def __reduce__(self):
        return (pytest.fail, ("a pickled object was loaded",))


def test_pickled_objects_are_refused_and_never_loaded(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.array([Trap()], dtype=object), labels=np.zeros(1, int))
    (tmp_path / "y.npz").write_bytes(pickle.dumps(Trap()))
    for name in ("x.npz", "y.npz"):
        with pytest.raises(InputError, match="pickled objects"):
            read_arrays(tmp_path / name)
    with pytest.raises(ValueError, match="Python objects"):
        write_arrays(tmp_path / "z.npz", a=np.array([None]))
    assert not (tmp_path / "z.npz").exists()


def test_files_that_are_no_whole_npz_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.arange(1000))
    data = (tmp_path / "x.npz").read_bytes()
    np.save(tmp_path / "single.npy", np.zeros(3))
    for content in (data[:500], b"", data[: len(data) // 2] + b"\0" * 9, (tmp_path / "single.npy").read_bytes()):
        (tmp_path / "x.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"x\.npz is"):
            read_arrays(tmp_path / "x.npz")
