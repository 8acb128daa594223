"""Training of classifiers: SGD on cross-entropy with label smoothing, stopped by step count, resumable bit for bit.

Everything random at a step is drawn from (seed, step) or (seed, epoch, example), so a run that is killed and taken up from its newest
checkpoint gives the weights of the uninterrupted run, and the batch size changes no augmentation. Precision and devices are accelerate's:
bf16 and several GPUs on CUDA, plain float32 on a CPU.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional

from genovision import checkpoints
from genovision.classifiers.networks import as_input
from genovision.errors import InputError

SCHEDULES = ("one_cycle", "cosine", "steps")
AUGMENTATIONS = ("none", "flip", "shift", "flip_shift")
_SHIFT = 2  # pixels at most, in both directions


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    label_smoothing: alpha; the target is (1 - alpha) onehot + alpha / K
    schedule:        one_cycle (cosine up from 1/25 over `warmup`, cosine down to 1/250,000), cosine (linear from 1 % over `warmup`, cosine
                     down to 0) or steps (linear from 1 % over `warmup`, then a tenth from each of `milestones` on)
    warmup, milestones: shares of all steps
    """

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float = 5e-4
    momentum: float = 0.9
    nesterov: bool = True
    label_smoothing: float = 0.0
    schedule: str = "one_cycle"
    warmup: float = 0.3
    milestones: tuple[float, ...] = ()
    augmentation: str = "none"
    seed: int = 0

    def __post_init__(self):
        if self.schedule not in SCHEDULES or self.augmentation not in AUGMENTATIONS:
            raise InputError(
                f"schedule {self.schedule!r} and augmentation {self.augmentation!r}: choose one of "
                f"{', '.join(SCHEDULES)} and one of {', '.join(AUGMENTATIONS)}."
            )
        if self.steps < 1 or self.batch < 2 or not self.learning_rate > 0 or not 0 <= self.warmup < 1:
            raise InputError(
                f"steps {self.steps} >= 1, batch {self.batch} >= 2, learning rate {self.learning_rate} > 0 "
                f"and warm-up {self.warmup} in [0, 1) are needed."
            )
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label smoothing {self.label_smoothing} must lie in [0, 1).")

    def to_json(self) -> dict:
        return asdict(self)


def learning_rate(step: int, recipe: Recipe) -> float:
    """Learning rate of a step (0-based); a function of the step alone, so there is no scheduler to resume."""
    rise = recipe.warmup * recipe.steps
    if recipe.schedule == "one_cycle":
        top, bottom, last = 1.0, 1 / 25, 1 / 25e4
        peak = rise - 1
        if step <= peak:
            return recipe.learning_rate * _cosine(bottom, top, step / peak if peak else 1.0)
        return recipe.learning_rate * _cosine(top, last, (step - peak) / max(1.0, recipe.steps - 1 - peak))
    if step < rise:
        return recipe.learning_rate * (0.01 + 0.99 * step / rise)
    if recipe.schedule == "cosine":
        return recipe.learning_rate * _cosine(1.0, 0.0, (step - rise) / (recipe.steps - rise))
    return recipe.learning_rate * 0.1 ** sum(step >= share * recipe.steps for share in recipe.milestones)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


class Batches(Protocol):
    """Where training examples come from: `at(step)` gives (images (B, C, H, W) of 0..1, labels (B,)), whatever was asked before."""

    def at(self, step: int) -> tuple[torch.Tensor, torch.Tensor]: ...


class InMemory:
    """Batches from arrays: one epoch after the other, each in an order of its own, with no rest left over at its end.

    images (N, H, W) or (N, C, H, W) uint8, labels (N,); the flip and the shift of an example depend on (seed, epoch, example) alone.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, recipe: Recipe):
        self.images = torch.from_numpy(images if images.ndim == 4 else images[:, None])
        self.labels = torch.from_numpy(labels)
        self.recipe = recipe
        self._epochs: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def _epoch(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """(order (N,), draws (N, 3): flip or not, shift down, shift right) of an epoch."""
        if epoch not in self._epochs:
            rng = np.random.default_rng([self.recipe.seed, epoch])
            order = rng.permutation(len(self.labels))
            draws = rng.integers([0, -_SHIFT, -_SHIFT], [2, _SHIFT + 1, _SHIFT + 1], size=(len(self.labels), 3))
            self._epochs = {old: kept for old, kept in self._epochs.items() if old == epoch - 1} | {
                epoch: (order, draws)
            }
        return self._epochs[epoch]

    def at(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        places = np.arange(step * self.recipe.batch, (step + 1) * self.recipe.batch)
        epochs, places = np.divmod(places, len(self.labels))
        rows, draws = np.empty_like(places), np.empty((len(places), 3), dtype=np.int64)
        for epoch in np.unique(epochs):
            order, drawn = self._epoch(int(epoch))
            here = epochs == epoch
            rows[here] = order[places[here]]
            draws[here] = drawn[rows[here]]
        chosen = torch.from_numpy(rows)
        images = augmented(self.images[chosen], torch.from_numpy(draws), self.recipe.augmentation)
        return images.float().div_(255), self.labels[chosen]


def augmented(images: torch.Tensor, draws: torch.Tensor, augmentation: str) -> torch.Tensor:
    """Images (B, C, H, W), flipped left to right where draws[:, 0] is 1 and shifted by draws[:, 1:] rows and columns, zeros moving in."""
    if "flip" in augmentation:
        images = torch.where(draws[:, 0, None, None, None] == 1, images.flip(-1), images)
    if "shift" in augmentation:
        height, width = images.shape[-2:]
        padded = functional.pad(images, [_SHIFT] * 4)
        rows = torch.arange(height) + _SHIFT - draws[:, 1, None]
        columns = torch.arange(width) + _SHIFT - draws[:, 2, None]
        example = torch.arange(len(images))[:, None, None]
        images = padded.movedim(1, -1)[example, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
    return images


class Point(NamedTuple):
    """A row of the training curve: mean loss of the steps since the row before; accuracy on the first calibration images, and in
    the last row on all of them."""

    step: int
    loss: float
    accuracy: float


class Trained(NamedTuple):
    """What training ends with; the last loss is not finite when it diverged, and it then stopped where that happened."""

    network: nn.Module
    curve: list[Point]


def fingerprint(network: nn.Module, recipe: Recipe, *arrays: np.ndarray) -> str:
    """What a checkpoint must share with a run to be taken up by it."""
    return checkpoints.fingerprint(network, recipe.to_json(), *arrays)


def predict(network: nn.Module, images: np.ndarray, device: torch.device | str = "cpu", batch: int = 500) -> np.ndarray:
    """Classes (N,) of images (N, H, W) uint8 in evaluation mode; the network's mode is put back."""
    training = network.training
    network.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(images), batch):
            found.append(network(as_input(images[start : start + batch]).to(device)).argmax(dim=1).cpu())
    network.train(training)
    return torch.cat(found).numpy()


def train(
    network: nn.Module,
    batches: Batches,
    recipe: Recipe,
    calibration: tuple[np.ndarray, np.ndarray],
    folder: Path,
    mark: str,
    *,
    precision: str = "float32",
    save_every: int = 200,
    points: int = 8,
    glance: int = 1000,
    cpu: bool = False,
    tell: Callable[[str], None] = print,
) -> Trained:
    """Train a network in place, from the newest whole checkpoint of `folder` whose fingerprint is `mark`, or from the start.

    calibration: (images, labels); the curve has `points` rows, on the first `glance` of them but for the last row, which is on all
    precision:   `float32` (`no` to accelerate) or `bf16` (CUDA)
    save_every:  steps between checkpoints
    With several processes each takes its share of every batch; batches must divide among them.
    """
    torch.use_deterministic_algorithms(True)
    mixed = "no" if precision == "float32" else precision
    accelerator = Accelerator(cpu=cpu or not torch.cuda.is_available(), mixed_precision=mixed)
    if recipe.batch % accelerator.num_processes:
        raise InputError(
            f"a batch of {recipe.batch} cannot be shared by {accelerator.num_processes} processes equally."
        )
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )
    wrapped, optimizer = accelerator.prepare(network, optimizer)
    network, plain = accelerator.unwrap_model(wrapped), getattr(optimizer, "optimizer", optimizer)
    main = accelerator.is_main_process
    tell = tell if main else lambda _: None
    first, curve, losses = 0, [], []
    found = checkpoints.newest(folder, mark)
    if found is not None:
        tensors, facts = found
        checkpoints.restore(network, plain, tensors, str(folder))
        first, losses = facts["step"], facts["losses"]
        curve = [Point(*point) for point in facts["curve"]]
        tell(f"taken up at step {first} of {recipe.steps}")
    seen = {max(1, round(recipe.steps * k / points)) for k in range(1, points + 1)}
    wrapped.train()
    for step in range(first, recipe.steps):
        losses.append(_step(step, wrapped, optimizer, plain, batches, recipe, accelerator))
        if not math.isfinite(losses[-1]):
            tell(f"the loss is {losses[-1]} at step {step + 1}: training stops here")
            curve.append(Point(step + 1, losses[-1], 0.0))
            break
        if step + 1 in seen and main:
            rows = slice(None if step + 1 == recipe.steps else glance)
            images, labels = (array[rows] for array in calibration)
            accuracy = float((predict(network, images, accelerator.device) == labels).mean())
            curve.append(Point(step + 1, float(np.mean(losses)), accuracy))
            losses = []
            tell(f"step {step + 1} of {recipe.steps}: loss {curve[-1].loss:.4f}, accuracy {accuracy:.4f}")
        if (step + 1) % save_every == 0 and step + 1 < recipe.steps and main:
            facts = {"fingerprint": mark, "losses": losses, "curve": [list(point) for point in curve]}
            checkpoints.save(folder, step + 1, checkpoints.state(network, plain), facts)
    accelerator.wait_for_everyone()
    return Trained(network, curve)


def _step(
    step: int,
    wrapped: nn.Module,
    optimizer,
    plain: torch.optim.Optimizer,
    batches: Batches,
    recipe: Recipe,
    accelerator: Accelerator,
) -> float:
    """One step of SGD on this process's share of the batch; returns the loss averaged over processes."""
    torch.manual_seed(recipe.seed * 1_000_003 + step)  # for networks with dropout
    for group in plain.param_groups:
        group["lr"] = learning_rate(step, recipe)
    images, labels = (share(part, accelerator.process_index, accelerator.num_processes) for part in batches.at(step))
    images = images.to(accelerator.device, memory_format=torch.channels_last)
    with accelerator.autocast():
        logits = wrapped(images)
    loss = functional.cross_entropy(
        logits.float(), labels.to(accelerator.device), label_smoothing=recipe.label_smoothing
    )
    optimizer.zero_grad()
    accelerator.backward(loss)
    optimizer.step()
    return float(accelerator.reduce(loss.detach(), reduction="mean"))


def share(batch: Sequence, process: int, processes: int):
    """The part of a batch that one of several processes takes: every `processes`-th example."""
    return batch[process::processes]
