"""Training by step count, for the stories whose loss is a function of network and step: AdamW, averaged weights, resumable bit for bit.

The loss of a step draws everything random from (seed, step), so a run that is killed and taken up from its newest checkpoint gives the
weights of the uninterrupted run. Kept is the exponential moving average of the weights, whose decay starts low, so that a short run does
not average its beginning.

The network stays on the device it comes on. A loss draws on the CPU and moves what it drew, so a CPU and a GPU see the same batches and the
same noise; dropout alone is drawn where the network is.
"""

import contextlib
import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from genovision import checkpoints
from genovision.atomic import replacing
from genovision.devices import device_of
from genovision.errors import InputError

_WARMUP = 100  # steps; a tenth of the run if that is less
_AVERAGE = "average."


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    learning_rate: the highest one, after a linear rise over 100 steps; from there it falls as a cosine to a fiftieth
    average:       decay of the moving average of the weights; 0 keeps the last weights
    clip:          largest norm of a gradient
    """

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.01
    average: float = 0.99
    clip: float = 1.0
    seed: int = 0

    def __post_init__(self):
        if self.steps < 1 or self.batch < 2 or not self.learning_rate > 0 or self.seed < 0:
            raise InputError(
                f"steps {self.steps} >= 1, batch {self.batch} >= 2, learning rate {self.learning_rate} > 0 "
                f"and seed {self.seed} >= 0 are needed."
            )
        if not 0 <= self.average < 1 or self.weight_decay < 0 or not self.clip > 0:
            raise InputError(
                f"average {self.average} in [0, 1), weight decay {self.weight_decay} >= 0 and clip {self.clip} > 0 are needed."
            )

    def to_json(self) -> dict:
        return asdict(self)


def learning_rate(step: int, recipe: Recipe) -> float:
    """Learning rate of a step (0-based); a function of the step alone, so there is no scheduler to resume."""
    rise = min(_WARMUP, max(1, recipe.steps // 10))
    if step < rise:
        return recipe.learning_rate * (step + 1) / rise
    share = (step - rise) / max(1, recipe.steps - rise)
    return recipe.learning_rate * (0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2)


class Draws(NamedTuple):
    """What a step draws from: the same numbers whenever it is asked for them."""

    numpy: np.random.Generator
    torch: torch.Generator


def draws(seed: int, step: int) -> Draws:
    """The random streams of a step."""
    return Draws(np.random.default_rng([seed, step]), torch.Generator().manual_seed(seed * 1_000_003 + step))


@contextlib.contextmanager
def seeded(seed: int, step: int, device: torch.device) -> Iterator[None]:
    """What is drawn inside from torch's own generators, dropout's masks, is a function of seed and step; outside they go on as if nothing
    had been drawn."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed * 1_000_003 + step)
        yield


class Point(NamedTuple):
    """A row of the training curve: mean loss of the steps since the row before, and what `measure` says of the averaged network."""

    step: int
    loss: float
    measured: float


class Trained(NamedTuple):
    """The averaged network in evaluation mode, and the curve; a last loss that is not finite means that it diverged and stopped there."""

    network: nn.Module
    curve: list[Point]


def train(
    network: nn.Module,
    loss: Callable[[nn.Module, int], torch.Tensor],
    recipe: Recipe,
    measure: Callable[[nn.Module], float],
    folder: Path,
    mark: str,
    *,
    save_every: int = 500,
    points: int = 8,
    tell: Callable[[str], None] = print,
) -> Trained:
    """Train, from the newest whole checkpoint of `folder` whose fingerprint is `mark`, or from the start.

    loss:    (network, step) -> scalar;  measure: averaged network -> a number for the curve, asked at its `points` rows
    Algorithms are deterministic; on a GPU, a step that needs one which is not there is computed with a warning.
    """
    device = device_of(network)
    if device.type != "cpu":  # where rounding is another: no checkpoint of a CPU's is taken up
        mark = f"{mark} {device.type}"
    # `to` lays out the copy of a recurrent network as its original is
    average = copy.deepcopy(network).to(device).eval()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.99)
    )
    first, curve, losses = 0, [], []
    found = checkpoints.newest(folder, mark)
    if found is not None:
        tensors, facts = found
        checkpoints.restore(network, optimizer, tensors, str(folder))
        own = {name.removeprefix(_AVERAGE): value for name, value in tensors.items() if name.startswith(_AVERAGE)}
        checkpoints.load_into(average, own, str(folder))
        first, losses = facts["step"], facts["losses"]
        curve = [Point(*point) for point in facts["curve"]]
        tell(f"taken up at step {first} of {recipe.steps}")
    seen = {max(1, round(recipe.steps * k / points)) for k in range(1, points + 1)}
    network.train()
    _be_deterministic(network, loss, first, tell)
    for step in range(first, recipe.steps):
        losses.append(_step(network, average, optimizer, loss, recipe, step))
        if not math.isfinite(losses[-1]):
            tell(f"the loss is {losses[-1]} at step {step + 1}: training stops here")
            curve.append(Point(step + 1, losses[-1], 0.0))
            break
        if step + 1 in seen:
            curve.append(Point(step + 1, float(np.mean(losses)), float(measure(average))))
            losses = []
            tell(f"step {step + 1} of {recipe.steps}: loss {curve[-1].loss:.4f}, measured {curve[-1].measured:.4f}")
        if (step + 1) % save_every == 0 and step + 1 < recipe.steps:
            tensors = checkpoints.state(network, optimizer)
            tensors |= {f"{_AVERAGE}{name}": value for name, value in average.state_dict().items()}
            facts = {"fingerprint": mark, "losses": losses, "curve": [list(point) for point in curve]}
            checkpoints.save(folder, step + 1, tensors, facts)
    return Trained(average, curve)


def _be_deterministic(network: nn.Module, loss, step: int, tell: Callable[[str], None]) -> None:
    """Ask torch for deterministic algorithms. On a GPU a step is rehearsed on a copy, and where it needs one that does not exist, torch is
    asked to warn and go on."""
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a twentieth of the time, and all memory is written to
    if device_of(network).type == "cpu":
        return
    try:
        loss(copy.deepcopy(network), step).backward()
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        torch.use_deterministic_algorithms(True, warn_only=True)
        tell(f"not deterministic on this device: {str(error).splitlines()[0]}")


def _step(network, average, optimizer, loss, recipe: Recipe, step: int) -> float:
    """One step; returns its loss."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, recipe)
    value = loss(network, step)
    optimizer.zero_grad()
    value.backward()
    nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
    optimizer.step()
    decay = min(recipe.average, step / (step + 10))
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)
        for kept, new in zip(average.buffers(), network.buffers(), strict=True):
            kept.copy_(new)
    return float(value.detach())


def write_curve(curve: list[Point], path: Path, measured: str) -> None:
    """Write the curve as TSV with the columns step, loss and `measured`."""
    with replacing(path) as temporary:
        rows = [f"{point.step}\t{point.loss:.6g}\t{point.measured:.6g}\n" for point in curve]
        temporary.write_text(f"step\tloss\t{measured}\n" + "".join(rows))
