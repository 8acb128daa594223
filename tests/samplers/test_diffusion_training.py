"""Training of denoisers: batches, times, schedules, averages, resuming bit for bit, and the command."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peers import mend_torchvision

from genovision import checkpoints
from genovision.errors import InputError
from genovision.samplers.denoisers import build, encode, read_denoiser, unet_config
from genovision.samplers.diffusion_training import (
    Batches,
    HeldOut,
    Recipe,
    alphas_bar,
    ema_decay,
    learning_rate,
    train,
)
from genovision.samplers.image_sources import write_images
from genovision.tables import read_table

mend_torchvision()  # diffusers imports transformers where it is installed, and that imports torchvision

ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import os, runpy, signal, sys
sys.modules["transformers"] = sys.modules["torchvision"] = None  # envs/sample.yaml has neither
from genovision import checkpoints
save = checkpoints.save
def save_and_die(folder, step, *rest):
    save(folder, step, *rest)
    if step == 12:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoints.save = save_and_die
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""
CONFIG = unet_config((4, 4, 4), [8, 8], layers=1, groups=4, dropout=0.2)
RECIPE = Recipe(
    steps=12, batch=8, learning_rate=3e-3, schedule="cosine", warmup=0.2, clip_gradient=1.0, patch=2, seed=4
)


def squares(number: int, size: int = 8, seed: int = 0) -> np.ndarray:
    """Images with a bright rectangle on black."""
    rng = np.random.default_rng(seed)
    images = np.zeros((number, size, size), dtype=np.uint8)
    for image, (top, left) in zip(images, rng.integers(0, size // 2, (number, 2)), strict=True):
        image[top : top + size // 2, left : left + size // 2] = 230
    return images


def run(folder, recipe=RECIPE, batches=None, **options):
    torch.set_num_threads(1)
    images, network = squares(20), build(CONFIG, recipe.seed)
    mark = checkpoints.fingerprint(network, recipe.to_json(), images)
    options = {"save_every": 5, "points": 4, "cpu": True, "tell": lambda _: None} | options
    batches = batches or Batches(images, recipe)
    return train(network, batches, recipe, HeldOut(squares(12, seed=1), recipe), folder, mark, **options)


def same(a, b) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return run(tmp_path_factory.mktemp("trained"))


def test_noise_follows_the_schedule_of_diffusers_and_undoes_to_the_images():
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    scheduler = DDPMScheduler(beta_start=RECIPE.beta_start, beta_end=RECIPE.beta_end)
    np.testing.assert_allclose(alphas_bar(RECIPE), scheduler.alphas_cumprod, rtol=2e-6)
    images = squares(8)
    recipe = replace(RECIPE, flip=False)
    x, t, noise = Batches(images, recipe).at(0)
    velocity = Batches(images, replace(recipe, prediction_type="v_prediction")).at(0)
    rows = np.random.default_rng([recipe.seed, 0, 0]).permutation(8)
    clean = encode(images[rows], 2)
    torch.testing.assert_close(x, scheduler.add_noise(clean, noise, t), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(velocity.target, scheduler.get_velocity(clean, noise, t), rtol=1e-5, atol=1e-5)
    assert torch.equal(velocity.x, x)


def test_an_epoch_holds_every_image_once_and_batches_depend_on_the_step_alone():
    images = np.arange(20, dtype=np.uint8)[:, None, None].repeat(4, 1).repeat(4, 2)
    recipe = replace(RECIPE, beta_start=1e-9, beta_end=1e-9, patch=1)  # next to no noise
    batches, seen = Batches(images, recipe), []
    for step in range(5):  # two epochs of 20 in batches of 8
        x = batches.at(step).x
        seen += torch.round((x.mean(dim=(1, 2, 3)) + 1) * 127.5).int().tolist()
    assert sorted(seen[:20]) == sorted(seen[20:]) == list(range(20)) and seen[:20] != seen[20:]
    again = Batches(images, recipe).at(3)
    assert all(torch.equal(a, b) for a, b in zip(batches.at(3), again, strict=True))
    assert not torch.equal(batches.at(3).target, batches.at(4).target)
    other = Batches(images, replace(recipe, seed=5)).at(3)
    assert not torch.equal(other.target, again.target)


def test_flips_mirror_about_half_of_the_images_left_to_right():
    images = np.zeros((200, 4, 4), dtype=np.uint8)
    images[:, 0, 0] = 255
    recipe = replace(RECIPE, batch=200, beta_start=1e-9, beta_end=1e-9, patch=1)
    x = Batches(images, recipe).at(0).x
    flipped = x[:, 0, 0, 3] > 0
    assert torch.equal(x[:, 0, 0, 0] > 0, ~flipped) and 70 < int(flipped.sum()) < 130
    assert (images[:, 0, 0] == 255).all()  # the set itself is left alone


def test_stratified_times_have_one_in_each_part():
    recipe = replace(RECIPE, batch=50)
    times = Batches(squares(50), recipe).at(0).t
    assert sorted((times // 20).tolist()) == list(range(50)) and times.tolist() != sorted(times.tolist())
    free = Batches(squares(50), replace(recipe, times="independent")).at(0).t
    assert free.min() >= 0 and free.max() < 1000 and len(set((free // 20).tolist())) < 45


def test_the_learning_rate_rises_and_falls_and_the_average_warms_up():
    recipe = Recipe(steps=100, learning_rate=1.0, schedule="cosine", warmup=0.1)
    rates = [learning_rate(step, recipe) for step in range(100)]
    assert (
        0 < rates[0] < rates[5] < rates[9] < 1
        and rates[10] == 1
        and rates == rates[:10] + sorted(rates[10:], reverse=True)
    )
    assert 0 < rates[-1] < 1e-3
    assert {learning_rate(step, replace(recipe, schedule="constant", warmup=0.0)) for step in range(100)} == {1.0}
    assert ema_decay(0, recipe) == 0.1 and ema_decay(10**9, recipe) == 0.9999
    assert ema_decay(0, replace(recipe, ema_warmup=False)) == 0.9999


def test_the_loss_falls(tmp_path):
    steps = replace(RECIPE, steps=100, batch=8, ema_decay=0.9)
    curve = run(tmp_path, steps, save_every=1000).curve
    assert [point.step for point in curve] == [25, 50, 75, 100]
    assert curve[-1].held_out < 0.8 * curve[0].held_out < 0.8 and curve[-1].loss < curve[0].loss


def test_a_run_taken_up_from_a_checkpoint_ends_with_the_same_weights(trained, tmp_path):
    class Interrupted(Batches):
        def at(self, step):
            if step == 8:
                raise KeyboardInterrupt
            return super().at(step)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, batches=Interrupted(squares(20), RECIPE))
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    told = []
    torch.manual_seed(99)  # whatever happened before
    again = run(tmp_path, tell=told.append)
    assert told[0] == "taken up at step 5 of 12"
    assert same(again.network, trained.network) and again.curve == trained.curve


def test_another_recipe_does_not_take_up_the_checkpoint(trained, tmp_path):
    first = run(tmp_path, replace(RECIPE, steps=6))
    told = []
    run(tmp_path, replace(RECIPE, steps=6, learning_rate=1e-3), tell=told.append)
    assert "taken up" not in told[0] and first.curve[-1].step == 6


def test_the_seed_decides(trained, tmp_path):
    assert same(run(tmp_path / "a").network, trained.network)
    assert not same(run(tmp_path / "b", replace(RECIPE, seed=5)).network, trained.network)


def test_a_loss_that_is_not_finite_ends_training(tmp_path):
    told = []
    ended = run(tmp_path, replace(RECIPE, learning_rate=1e30, warmup=0.0, clip_gradient=0.0), tell=told.append)
    assert not math.isfinite(ended.curve[-1].loss) and "training stops here" in told[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schedule": "steps"}, "schedule 'steps': choose one of constant, cosine"),
        ({"times": "late"}, "times 'late'"),
        ({"prediction_type": "sample"}, "prediction 'sample'"),
        ({"steps": 0}, "steps 0, .* must be 1 or more"),
        ({"learning_rate": 0.0}, "learning rate 0.0 > 0"),
        ({"ema_decay": 1.0}, "EMA decay 1.0"),
        ({"beta_start": 0.03}, "betas from 0.03 to 0.02"),
    ],
)
def test_recipes_that_cannot_be_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        replace(RECIPE, **change)


@pytest.mark.skipif(torch.cuda.is_available(), reason="half precision is refused without CUDA only")
def test_half_precision_needs_cuda(tmp_path):
    with pytest.raises(InputError, match="precision 'bf16': float32, or bf16 or fp16 on a machine with CUDA"):
        run(tmp_path, precision="bf16")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    write_images(folder / "train.npz", squares(40), np.zeros(40, dtype=np.int64))
    write_images(folder / "held_out.npz", squares(10, seed=1), np.zeros(10, dtype=np.int64))
    colour = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    write_images(folder / "colour.npz", colour, np.zeros(6, dtype=np.int64))
    return folder


def options(sets, out, **changes):
    given = {
        "train": sets / "train.npz",
        "held-out": sets / "held_out.npz",
        "name": "squares",
        "patch": 2,
        "channels": "8 8",
    }
    given |= {"layers": 1, "groups": 4, "steps": 30, "batch": 8, "learning-rate": 1e-3, "save-every": 4, "out": out}
    given |= {name.replace("_", "-"): value for name, value in changes.items()}
    return [text for name, value in given.items() for text in (f"--{name}", *str(value).split())]


def test_the_command_writes_a_denoiser_and_a_killed_one_goes_on_to_the_same_bytes(command, sets, tmp_path):
    code, err = command("samplers/train_denoiser", *options(sets, tmp_path / "whole"))
    assert code == 0, err
    model, curve = read_denoiser(tmp_path / "whole"), read_table(tmp_path / "whole" / "curve.tsv")
    assert model.shape == (4, 4, 4) and model.decode(torch.zeros(1, 4, 4, 4)).shape == (1, 8, 8)
    assert list(curve.columns) == ["step", "loss", "held_out"] and curve["step"].tolist() == list(range(3, 31, 3))
    facts = json.loads((tmp_path / "whole" / "denoiser.json").read_text())
    assert facts["image_size"] == [8, 8] and facts["training_images"] == 40 and facts["recipe"]["steps"] == 30
    assert not (tmp_path / "whole" / "checkpoints").exists()
    line = [str(ROOT / "workflow"), "samplers/train_denoiser", *options(sets, tmp_path / "cut")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "workflow")}
    answer = subprocess.run([sys.executable, "-c", KILLED, *line], env=environment, capture_output=True, text=True)
    assert answer.returncode == -signal.SIGKILL, answer.stderr
    assert len(list((tmp_path / "cut" / "checkpoints").glob("step*.json"))) == 2
    assert not (tmp_path / "cut" / "model_index.json").exists()
    assert command("samplers/train_denoiser", *options(sets, tmp_path / "cut"))[0] == 0
    files = sorted(path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file())
    assert all((tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes() for file in files)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch": 3}, "--patch 3 does not divide images of 8 x 8"),
        ({"steps": 0}, "steps 0"),
        ({"threads": 0}, "--threads 0 must be 1 or more"),
        ({"processes": 99}, "--processes 99: this machine has"),
        ({"channels": "8 8 8 8"}, "4 levels need a size that 8 divides"),
        ({"learning_rate": 1e30}, "squares: the loss is .*lower --learning-rate"),
    ],
)
def test_the_command_says_what_is_wrong_and_leaves_no_model(command, sets, tmp_path, changes, message):
    code, err = command("samplers/train_denoiser", *options(sets, tmp_path / "out", **changes))
    assert code == 2

    assert re.search(message, err)
    assert not (tmp_path / "out" / "model_index.json").exists()


def test_the_command_wants_images_of_one_kind(command, sets, tmp_path):
    code, err = command("samplers/train_denoiser", *options(sets, tmp_path / "out", train=sets / "colour.npz"))
    assert code == 2 and "has images of (8, 8, 3)" in err
