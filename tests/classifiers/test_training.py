"""Training: the schedule, the batches, resuming bit for bit, and runs that diverge."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from classifiers.miniature import striped

from genovision import checkpoints
from genovision.classifiers.networks import ResNet, Shape, as_input
from genovision.classifiers.training import (
    InMemory,
    Recipe,
    augmented,
    fingerprint,
    learning_rate,
    share,
    train,
)
from genovision.errors import InputError

SHAPE = Shape(4, 3, 0.3, 0.2)
RECIPE = Recipe(steps=24, batch=32, learning_rate=0.1, augmentation="flip_shift", label_smoothing=0.1, seed=4)


@pytest.fixture(scope="module")
def images():
    return striped(150, np.random.default_rng(0))


def run(images, folder, recipe=RECIPE, **options):
    torch.set_num_threads(1)
    network = ResNet(SHAPE, recipe.seed)
    mark = fingerprint(network, recipe, images.images)
    options = {"save_every": 7, "points": 4, "glance": 20, "cpu": True, "tell": lambda _: None} | options
    batches = InMemory(images.images, images.labels, recipe)
    return train(network, batches, recipe, (images.images, images.labels), folder, mark, **options)


def same(a, b) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_one_cycle_is_torchs():
    recipe = Recipe(steps=50, batch=8, learning_rate=0.3, warmup=0.3)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=50, pct_start=0.3)
    for step in range(50):
        assert learning_rate(step, recipe) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        if step < 49:
            scheduler.step()


def test_the_papers_schedules():
    steps = Recipe(steps=90, batch=8, learning_rate=0.1, schedule="steps", warmup=0, milestones=(30 / 90, 60 / 90))
    assert [round(learning_rate(step, steps), 9) for step in (0, 29, 30, 59, 60, 89)] == [
        0.1,
        0.1,
        0.01,
        0.01,
        0.001,
        0.001,
    ]
    cosine = Recipe(steps=250, batch=8, learning_rate=0.2, schedule="cosine", warmup=5 / 250)
    assert learning_rate(0, cosine) == pytest.approx(0.002)
    assert learning_rate(5, cosine) == pytest.approx(0.2)
    assert learning_rate(5 + 245 // 2, cosine) == pytest.approx(0.1, rel=0.02)
    assert 0 < learning_rate(249, cosine) < 1e-4


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch": 1},
        {"learning_rate": 0},
        {"label_smoothing": 1},
        {"schedule": "x"},
        {"augmentation": "x"},
        {"warmup": 1},
    ],
)
def test_impossible_recipes_are_refused(wrong):
    with pytest.raises(InputError):
        Recipe(**({"steps": 5, "batch": 4, "learning_rate": 0.1} | wrong))


def test_every_epoch_sees_every_example_once_in_an_order_of_its_own():
    numbers = np.arange(50, dtype=np.uint8)
    batches = InMemory(numbers[:, None, None], numbers.astype(np.int64), Recipe(steps=9, batch=20, learning_rate=1))
    seen = torch.cat([batches.at(step)[1] for step in range(5)]).numpy()  # 100 = two epochs
    assert sorted(seen[:50]) == sorted(seen[50:]) == list(range(50)) and list(seen[:50]) != list(seen[50:])
    images, labels = batches.at(2)  # asked again, across two epochs
    assert np.array_equal(labels.numpy(), seen[40:60])
    assert torch.equal(torch.round(images[:, 0, 0, 0] * 255).long(), labels)


def test_augmentation_of_an_example_does_not_depend_on_the_batch(images):
    def seen(batch):
        batches = InMemory(images.images, np.arange(150), Recipe(9, batch, 1.0, augmentation="flip_shift"))
        parts = [batches.at(step) for step in range(150 // batch)]
        order = torch.cat([labels for _, labels in parts]).argsort()
        return torch.cat([part for part, _ in parts])[order]

    assert torch.equal(seen(10), seen(75))


def test_flip_and_shift_move_pixels_as_drawn():
    image = torch.zeros(1, 1, 6, 6, dtype=torch.uint8)
    image[0, 0, 1, 2] = 9
    draws = torch.tensor([[1, 2, -1]])
    assert augmented(image, draws, "none") is image
    assert augmented(image, draws, "flip")[0, 0, 1, 3] == 9
    assert augmented(image, draws, "shift")[0, 0, 3, 1] == 9
    assert augmented(image, draws, "flip_shift")[0, 0, 3, 2] == 9


def test_shares_of_several_processes_make_up_the_batch():
    parts = [share(torch.arange(10), process, 2) for process in range(2)]
    assert sorted(torch.cat(parts).tolist()) == list(range(10)) and {len(part) for part in parts} == {5}


def test_training_learns_and_is_the_same_every_time(images, tmp_path):
    first = run(images, tmp_path / "a")
    again = run(images, tmp_path / "b")
    assert same(first.network, again.network) and first.curve == again.curve
    assert [point.step for point in first.curve] == [6, 12, 18, 24]
    assert first.curve[-1].accuracy > 0.8 and first.curve[-1].loss < first.curve[0].loss


@pytest.mark.parametrize("last", [8, 14, 20])
def test_an_interrupted_run_ends_with_the_same_weights_and_curve(images, tmp_path, last):
    whole = run(images, tmp_path / "whole")

    class Interrupted(InMemory):
        def at(self, step):
            if step == last:
                raise KeyboardInterrupt
            return super().at(step)

    network = ResNet(SHAPE, RECIPE.seed)
    mark = fingerprint(network, RECIPE, images.images)
    batches = Interrupted(images.images, images.labels, RECIPE)
    with pytest.raises(KeyboardInterrupt):
        train(
            network,
            batches,
            RECIPE,
            (images.images, images.labels),
            tmp_path / "cut",
            mark,
            save_every=7,
            points=4,
            glance=20,
            cpu=True,
        )
    told = []
    resumed = run(images, tmp_path / "cut", tell=told.append)
    assert told[0] == f"taken up at step {last // 7 * 7} of 24"
    assert same(whole.network, resumed.network) and whole.curve == resumed.curve


def test_a_checkpoint_of_another_recipe_or_other_data_is_not_taken_up(images, tmp_path):
    run(images, tmp_path)
    told = []
    run(images, tmp_path, Recipe(**(RECIPE.to_json() | {"learning_rate": 0.05, "steps": 10})), tell=told.append)
    assert not any("taken up" in line for line in told)


def test_a_diverged_run_stops_and_says_so(images, tmp_path):
    told = []
    trained = run(
        images, tmp_path, Recipe(steps=24, batch=32, learning_rate=1e30, warmup=0, schedule="cosine"), tell=told.append
    )
    assert "training stops here" in told[-1]
    assert not np.isfinite(trained.curve[-1].loss) and trained.curve[-1].step < 24


def test_label_smoothing_moves_the_best_logit_gap(images, tmp_path):
    recipe = Recipe(steps=150, batch=75, learning_rate=0.1, label_smoothing=0.3, weight_decay=0.0)
    network = run(images, tmp_path, recipe, save_every=1000).network.eval()
    with torch.inference_mode():
        top = network(as_input(images.images)).sort(dim=1, descending=True).values
    # optimum: log((1 - a + a/K) / (a/K)) = log(0.8 / 0.1) at a = 0.3, K = 3
    assert float((top[:, 0] - top[:, 1:].mean(dim=1)).median()) == pytest.approx(np.log(8), rel=0.1)


def test_checkpoints_hold_no_pickle(images, tmp_path):
    run(images, tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    tensors = checkpoints.read_tensors(sorted(tmp_path.glob("*.safetensors"))[-1])
    assert "optimizer.head.weight.momentum_buffer" in tensors


def test_two_processes_share_every_batch_and_end_with_the_same_weights(tmp_path):
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": f"{root / 'workflow'}:{root / 'tests'}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(root / "tests" / "classifiers" / "two_processes.py"), str(tmp_path)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    first, second = (checkpoints.read_tensors(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first if "running" not in name)
    assert answer.stdout.count("step 24 of 24") == 1  # told by one of them
    accuracy = float(answer.stdout.rsplit("accuracy ", 1)[1].split()[0])
    assert accuracy > 0.8
