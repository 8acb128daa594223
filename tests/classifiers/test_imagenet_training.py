"""Training from image files: crops as published, the same batches for any number of threads and processes, and taking up again."""

import json

import numpy as np
import pytest
from classifiers.imagenet_miniature import picture, run_command, save, write_text
from PIL import Image

from genovision.classifiers.image_lists import read_image_table
from genovision.uncertainty.outputs import read_outputs

torch = pytest.importorskip("torch")
training = pytest.importorskip("genovision.classifiers.training")
pretrained = pytest.importorskip("genovision.classifiers.pretrained")
imagenet_training = pytest.importorskip("genovision.classifiers.imagenet_training")


def recipe(**changes):
    return training.Recipe(**{"steps": 6, "batch": 4, "learning_rate": 0.1, "seed": 3, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """36 pictures of 3 colours and their lists: train (30) and calibration (6)."""
    folder = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    lines = []
    for k in range(36):
        pixels = rng.integers(0, 90, (24, 32, 3), dtype=np.uint8)
        pixels[:, :, k % 3] += 150
        save(folder, f"{k}.png", Image.fromarray(pixels))
        lines.append(f"{k}.png\t{k % 3}")
    write_text(folder / "train.tsv", ["name\tlabel", *lines[:30]])
    write_text(folder / "calibration.tsv", ["name\tlabel", *lines[30:]])
    return folder


def batches(folder, threads=1, **changes):
    return imagenet_training.FileBatches(
        read_image_table(folder / "train.tsv", folder), recipe(**changes), 16, threads=threads
    )


def test_boxes_have_the_published_areas_and_ratios():
    rng = np.random.default_rng(1)
    pretrained.import_timm()
    boxes = np.array([imagenet_training.random_box(400, 300, rng) for _ in range(4000)])
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    areas, ratios = widths * heights / 120_000, widths / heights
    assert boxes.min() >= 0
    assert boxes[:, 2].max() <= 400
    assert boxes[:, 3].max() <= 300
    assert 0.078 < areas.min() < 0.09
    assert areas.max() > 0.9
    assert ratios.min() == pytest.approx(3 / 4, abs=0.02)
    assert ratios.max() == pytest.approx(4 / 3, abs=0.03)
    torchvision = pytest.importorskip("torchvision.transforms")
    torch.manual_seed(0)
    peer = torchvision.RandomResizedCrop(8)
    theirs = np.array([peer.get_params(picture(0, (400, 300)), peer.scale, peer.ratio)[2:] for _ in range(4000)])
    for share in (10, 50, 90):
        assert np.percentile(areas, share) == pytest.approx(
            np.percentile(theirs.prod(axis=1) / 120_000, share), abs=0.02
        )
        assert np.percentile(widths, share) == pytest.approx(np.percentile(theirs[:, 1], share), abs=8)


def test_a_very_long_image_is_cropped_in_its_middle():
    box = imagenet_training.random_box(2000, 10, np.random.default_rng(0))
    assert box == (993, 0, 1006, 10)


def test_an_example_is_its_own_whatever_threads_shares_and_batches(folder):
    one, two = batches(folder), batches(folder, threads=3)
    whole = [one.at(step)[0][0::1] for step in range(6)]
    for step in (0, 1, 2, 5):
        images, labels = two.at(step)
        for process in (0, 1):
            assert torch.equal(images[process::2], whole[step][process::2])
            assert torch.equal(labels, one.at(step)[1])
    larger = batches(folder, batch=8, steps=3)
    assert torch.equal(larger.at(1)[0][0::1], torch.cat([whole[2], whole[3]]))


def test_every_epoch_sees_every_example_once_in_another_order(folder):
    source = batches(folder, batch=5, steps=12)
    rows = [pair for step in range(12) for pair in source.rows(step)]
    orders = [[row for epoch, row in rows if epoch == number] for number in (0, 1)]
    assert all(sorted(order) == list(range(30)) for order in orders)
    assert orders[0] != orders[1]


def test_half_of_the_pictures_are_mirrored():
    image = Image.fromarray(np.tile(np.arange(0, 200, 5, dtype=np.uint8)[None, :, None], (40, 1, 3)))
    rising = [imagenet_training.augmented(image, 8, "bilinear", np.random.default_rng(k))[0, 4] for k in range(400)]
    share = np.mean([row[-1] > row[0] for row in rising])
    assert 0.4 < share < 0.6


def test_normalisation_inside_the_network_equals_that_of_the_preprocessing():
    preprocessing = imagenet_training.Preprocessing(32, 36)
    wrapped = imagenet_training.Normalised(torch.nn.Identity(), preprocessing)
    square = preprocessing.square(picture(1))
    ours = wrapped(torch.from_numpy(np.array(square)).permute(2, 0, 1)[None].float() / 255)[0]
    np.testing.assert_allclose(ours.numpy(), preprocessing(picture(1)), atol=1e-6)
    assert list(wrapped.state_dict()) == []


@pytest.fixture
def options(folder, tmp_path):
    def made(out, *more):
        common = [
            "classifiers/train_imagenet",
            "--architecture",
            "test_efficientnet",
            "--classes",
            3,
            "--name",
            "tiny/seed0",
        ]
        common += ["--train", folder / "train.tsv", folder, "--calibration", folder / "calibration.tsv", folder]
        common += ["--size", 32, "--resize", 36, "--batch", 10, "--learning-rate", 0.1, "--weight-decay", "1e-4"]
        return [*common, "--out", tmp_path / out, *more]

    return made


def test_a_network_learns_colours_and_its_outputs_are_written(options, folder, tmp_path):
    assert run_command(*options("model", "--epochs", 8, "--warmup-epochs", 1, "--label-smoothing", 0.1)) == 0
    told = json.loads((tmp_path / "model" / "config.json").read_text())
    assert told["accuracy"] > 0.6
    assert told["recipe"]["steps"] == 24
    assert told["recipe"]["warmup"] == 0.125
    assert not (tmp_path / "model" / "checkpoints").exists()
    outputs = ["classifiers/write_pretrained_outputs", "--architecture", "test_efficientnet", "--outputs", 3]
    outputs += [
        "--checkpoint",
        tmp_path / "model" / "model.safetensors",
        "--training",
        tmp_path / "model" / "config.json",
    ]
    outputs += ["--set", folder / "calibration.tsv", folder, tmp_path / "test.npz", "--head", tmp_path / "head.npz"]
    outputs += ["--macs", tmp_path / "macs.json", "--config", tmp_path / "config.json"]
    assert run_command(*outputs) == 0
    assert read_outputs(tmp_path / "test.npz").correct.mean() == pytest.approx(told["accuracy"])
    assert json.loads((tmp_path / "macs.json").read_text()) == json.loads(
        (tmp_path / "model" / "macs.json").read_text()
    )


def test_a_training_that_failed_is_refused_by_name(options, folder, tmp_path, capsys):
    assert run_command(*options("model", "--epochs", 1)) == 0
    told = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps(told | {"accuracy": 0.3}))
    outputs = ["classifiers/write_pretrained_outputs", "--architecture", "test_efficientnet", "--outputs", 3]
    outputs += [
        "--checkpoint",
        tmp_path / "model" / "model.safetensors",
        "--training",
        tmp_path / "model" / "config.json",
    ]
    outputs += ["--set", folder / "calibration.tsv", folder, tmp_path / "test.npz", "--head", tmp_path / "head.npz"]
    assert run_command(*outputs, "--macs", tmp_path / "m.json", "--config", tmp_path / "c.json") == 2
    assert "model tiny/seed0 has an accuracy of 0.3" in capsys.readouterr().err


def test_a_killed_training_is_taken_up_and_ends_with_the_same_weights(options, tmp_path, monkeypatch):
    recipe = ("--epochs", 3, "--save-every", 2, "--threads", 1)
    assert run_command(*options("whole", *recipe)) == 0
    take = imagenet_training.FileBatches.take

    def killed(self, step, part):
        if step == 5:
            raise KeyboardInterrupt
        return take(self, step, part)

    monkeypatch.setattr(imagenet_training.FileBatches, "take", killed)
    with pytest.raises(KeyboardInterrupt):
        run_command(*options("halves", *recipe))
    monkeypatch.undo()
    assert not (tmp_path / "halves" / "model.safetensors").exists()
    assert run_command(*options("halves", *recipe)) == 0
    for name in ("model.safetensors", "curve.tsv", "config.json"):
        assert (tmp_path / "halves" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--epochs", 1, "--classes", 2), "training of 2 classes needs labels 0..1, there are 0..2"),
        (("--epochs", 0), "--epochs 0.0 must be above 0"),
        (("--epochs", 1, "--processes", 64), "this machine has"),
        (("--epochs", 1, "--resize", 20), "resize 20 must not be below size 32"),
    ],
)
def test_bad_options_end_in_one_sentence_and_2(options, capsys, more, sentence):
    assert run_command(*options("none", *more)) == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]
