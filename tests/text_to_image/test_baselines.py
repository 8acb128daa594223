"""What PUNC is compared with, on images made by hand and with stubs in place of a diffusion model."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from text_to_image import tiny_encoder

from genovision.arrays import write_arrays
from genovision.tables import read_table, write_table
from genovision.text_to_image import baselines
from genovision.text_to_image.baselines import FeatureDistance, squared_error


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 4, 8, 8, 3), dtype=np.uint8)


def features(images):
    """Two maps of different size, some of their vectors zero."""
    one = np.moveaxis(images, 3, 1) / 255
    return [np.maximum(one - 0.3, 0), one[:, :, ::2, ::2] - 0.5]


def test_squared_error_is_of_values_from_0_to_1():
    black, white = np.zeros((1, 2, 2, 3), np.uint8), np.full((1, 2, 2, 3), 255, np.uint8)
    assert squared_error(black, white).tolist() == [1] and squared_error(white, white).tolist() == [0]


def test_map_distance_by_hand():
    first = [np.array([3.0, 4.0]).reshape(1, 2, 1, 1)]
    second = [np.array([0.0, 2.0]).reshape(1, 2, 1, 1)]
    assert baselines.map_distance(first, second)[0] == pytest.approx(0.6**2 + 0.2**2)
    assert baselines.map_distance(first, second, [[2.0, 0.0]])[0] == pytest.approx(2 * 0.6**2)
    half = [np.concatenate([first[0], second[0]], axis=3)]
    assert baselines.map_distance(half, [np.repeat(second[0], 2, axis=3)])[0] == pytest.approx((0.6**2 + 0.2**2) / 2)
    twice = baselines.map_distance(first * 2, second * 2)
    assert twice[0] == pytest.approx(2 * (0.6**2 + 0.2**2))
    with pytest.raises(ValueError, match="1 and 2 maps"):
        baselines.map_distance(first, second * 2)


def test_map_distance_minds_no_scale_and_no_zero():
    maps = [np.zeros((1, 3, 2, 2))]
    assert baselines.map_distance(maps, maps).tolist() == [0]
    other = [np.random.default_rng(0).normal(size=(1, 3, 2, 2))]
    assert baselines.map_distance(other, [7 * other[0]])[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("distance", [squared_error, FeatureDistance(features)])
def test_pairwise_is_the_mean_over_pairs(images, distance):
    pairs = [distance(images[:, a], images[:, b]) for a, b in combinations(range(4), 2)]
    np.testing.assert_allclose(baselines.pairwise(images, distance), np.mean(pairs, axis=0), rtol=1e-12)
    again = baselines.pairwise(images[:, ::-1], distance)
    np.testing.assert_allclose(again, baselines.pairwise(images, distance), rtol=1e-12)
    same = np.repeat(images[:, :1], 3, axis=1)
    assert baselines.pairwise(same, distance).tolist() == [0] * 5


def test_batches_change_nothing(images, monkeypatch):
    whole = baselines.pairwise(images), baselines.ensemble([images, images[:, ::-1]])
    monkeypatch.setattr(baselines, "_BATCH", 2)
    assert np.array_equal(whole, (baselines.pairwise(images), baselines.ensemble([images, images[:, ::-1]])))


def test_one_generation_and_images_of_another_kind_are_refused(images):
    with pytest.raises(ValueError, match="2 generations of each prompt are needed"):
        baselines.pairwise(images[:, :1])
    with pytest.raises(ValueError, match="float64"):
        baselines.pairwise(images / 255)
    with pytest.raises(ValueError, match="5 prompts, the second of 4"):
        baselines.two_models(images, images[:4])
    with pytest.raises(ValueError, match="two generators"):
        baselines.ensemble([images])


def test_two_models_are_compared_over_all_pairs(images):
    other = images[::-1, :2]
    every = [squared_error(images[:, s], other[:, t]) for s in range(4) for t in range(2)]
    np.testing.assert_allclose(baselines.two_models(images, other), np.mean(every, axis=0))


def test_an_ensemble_leaves_out_what_the_noise_does(images):
    assert baselines.ensemble([images, images, images]).tolist() == [0] * 5
    assert (baselines.two_models(images, images) > 0).all()
    darker = images // 2
    np.testing.assert_allclose(
        baselines.ensemble([images, darker]), np.mean([squared_error(images[:, s], darker[:, s]) for s in range(4)], 0)
    )


def test_clip_score():
    image = np.array([[[1.0, 0], [0, 2]], [[-1, 0], [-1, 0]]])
    text = np.array([[3.0, 0], [1, 0]])
    assert baselines.clip_score(image, text).tolist() == [-50, 0]
    with pytest.raises(ValueError, match="not of the same prompts"):
        baselines.clip_score(image, text[:1])


def test_the_control_that_sees_no_image(monkeypatch):
    training = np.array([[1.0, 0], [0, 5]])
    found = baselines.nearest_training([[2, 0], [0, 1], [1, 1], [-1, -1]], training)
    np.testing.assert_allclose(found, [0, 0, 1 - np.sqrt(0.5), 1 + np.sqrt(0.5)], atol=1e-12)
    monkeypatch.setattr(baselines, "_BATCH", 1)
    np.testing.assert_allclose(baselines.nearest_training([[2, 0], [1, 1]], training), found[[0, 2]])
    with pytest.raises(ValueError, match="no training text"):
        baselines.nearest_training([[1.0]], np.empty((0, 1)))


def known(images):
    """What a generator that knows only dark images makes of one."""
    return np.minimum(images, 100)


def reconstruct(images, prompts, level):
    """The stub forgets the share `level` of an image, and fills in what it knows."""
    assert len(images) == len(prompts)
    return np.rint(images * (1 - level) + known(images) * level).astype(np.uint8)


def test_ddpm_ood_finds_what_cannot_be_reconstructed():
    rng = np.random.default_rng(0)
    dark = rng.integers(0, 140, (40, 2, 8, 8, 3), dtype=np.uint8)
    bright = rng.integers(150, 256, (6, 2, 8, 8, 3), dtype=np.uint8)
    levels, distances = (0.2, 0.5, 1.0), (squared_error, FeatureDistance(features))
    errors = [
        baselines.reconstruction_errors(one, ["a"] * len(one), reconstruct, levels, distances)
        for one in (dark[:30], dark[30:], bright)
    ]
    assert errors[0].shape == (30, 2, 6)
    inside, outside = baselines.ddpm_ood(errors[1], errors[0]), baselines.ddpm_ood(errors[2], errors[0])
    assert inside.max() < outside.min()
    assert abs(baselines.ddpm_ood(errors[0], errors[0]).mean()) < 1e-9


def test_ddpm_ood_leaves_out_an_error_without_spread():
    reference = np.random.default_rng(0).random((10, 1, 2))
    reference[..., 1] = 3
    found = baselines.ddpm_ood(reference, reference)
    np.testing.assert_allclose(found, baselines.ddpm_ood(reference[..., :1], reference[..., :1]))
    with pytest.raises(ValueError, match="no scale"):
        baselines.ddpm_ood(reference[..., 1:], reference[..., 1:])
    with pytest.raises(ValueError, match="1 columns, the reference 2"):
        baselines.ddpm_ood(reference[..., 1:], reference)


def test_checkerboard():
    assert baselines.checkerboard(4, 4, 2).astype(int).tolist() == [[0, 0, 1, 1]] * 2 + [[1, 1, 0, 0]] * 2
    assert baselines.checkerboard(32, 32, 8).mean() == 0.5


def test_lmd_hides_every_pixel_once_and_takes_the_median(images):
    seen = []

    def inpaint(batch, prompts, mask):
        seen.append((mask, list(prompts)))
        made = batch.copy()
        made[:, mask] = known(batch)[:, mask]
        return made

    found = baselines.lmd(images, list("abcde"), inpaint, cells=4, repeats=2)
    assert len(seen) == 4 and (seen[0][0] ^ seen[1][0]).all()
    assert seen[0][1] == [letter for letter in "abcde" for _ in range(4)]
    flat = images.reshape(-1, 8, 8, 3)
    each = [squared_error(flat, np.where(mask[..., None], known(flat), flat)) for mask, _ in seen]
    np.testing.assert_allclose(found, np.median(each, axis=0).reshape(5, 4).mean(axis=1))
    assert baselines.lmd(known(images), list("abcde"), inpaint).tolist() == [0] * 5
    with pytest.raises(ValueError, match="1 prompts and images of 5"):
        baselines.lmd(images, ["a"], inpaint)


# --- the command -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """An encoder, a captioner and a generator that nobody trained."""
    torch = pytest.importorskip("torch")
    root = tmp_path_factory.mktemp("models")
    (root / "encoder").mkdir()
    tiny_encoder.write(root / "encoder")
    from genovision.text_to_image import captioner, encoder, generator

    found = encoder.Encoder(root / "encoder")
    network = captioner.Network(captioner.Shape(side=8, words=2, embedding=found.width, channels=2, width=8))
    captioner.write_captioner(root / "captioner", network, ["<end>", "dog"], 3, {"loss": 1.0})
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    shape = generator.Shape(side=8, embedding=found.width, components=8, width=16, blocks=1, text=8, queries=2)
    torch.manual_seed(0)
    facts = {"loss": 1.0, "layer": -1, "encoder": found.digest}
    generator.write_generator(root / "generator", generator.Denoiser(shape), generator.components(images, 8), facts)
    write_arrays(root / "train.npz", images=images)
    write_table(pd.DataFrame({"text": ["a red dog", "a blue tree"] * 15}), root / "train.tsv")
    return root


@pytest.fixture
def measuring(models, tmp_path):
    """Options of the command for three prompts, two seeds of two images each."""
    write_table(pd.DataFrame({"id": list("abc"), "text": ["a dog", "a tree", "a red moon"]}), tmp_path / "prompts.tsv")
    rows = [(key, sample, "a dog") for key in "abc" for sample in range(4)]
    write_table(pd.DataFrame(rows, columns=["id", "sample", "caption"]), tmp_path / "captions.tsv")
    rng = np.random.default_rng(1)
    for name in ("images", "other"):
        write_arrays(tmp_path / f"{name}.npz", images=rng.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8))
    files = {"prompts": "prompts.tsv", "captions": "captions.tsv", "images": "images.npz", "members": "other.npz"}
    named = [text for name, file in files.items() for text in (f"--{name}", tmp_path / file)]
    named += [text for name in ("encoder", "captioner", "generator") for text in (f"--{name}", models / name)]
    return [
        *("text_to_image/measure_generations", *named, "--training", models / "train.tsv", models / "train.npz"),
        *("--references", 10, "--size", 2, "--cells", 4, "--out", tmp_path / "measured.tsv"),
    ]


def test_measuring_with_the_networks(command, measuring, tmp_path):
    code, err = command(*measuring)
    assert code == 0, err
    table = read_table(tmp_path / "measured.tsv")
    assert table[["id", "seed"]].to_numpy().tolist() == [[key, seed] for key in "abc" for seed in range(2)]
    names = ["feature_distance", "clip_score", "two_models_features", "ensemble_features", "ddpm_ood", "lmd"]
    assert list(table.columns[2:]) == names
    assert np.isfinite(table[names]).all(axis=None) and (table["clip_score"] <= 0).all()
    assert (table[names].drop(columns="clip_score").std() > 0).all()


def test_what_the_command_refuses(command, measuring, models, tmp_path):
    for more, said in (
        (["--levels", 0, 0.5], "must lie in (0, 1]"),
        (["--judged", 0], "--judged 0"),
        (["--captioner", models / "generator"], "a captioner is needed"),
        (["--training", models / "train.tsv", tmp_path / "images.npz"], "a row for each"),
    ):
        code, err = command(*measuring, *more)
        assert (code, said in err) == (2, True), err
        assert not (tmp_path / "measured.tsv").exists()
    without = measuring.index("--training")
    code, err = command(*measuring[:without], *measuring[without + 3 :])
    assert (code, "--training is needed" in err) == (2, True), err
