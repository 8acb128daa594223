"""Training of denoisers as in DDPM (Ho et al. 2020): mean squared error, AdamW, averaged weights, resumable bit for bit.

Everything random at a step is drawn from (seed, step) or (seed, epoch), so a run that is killed and taken up from its newest checkpoint
gives the weights of the uninterrupted run. Precision and devices are accelerate's: bf16, fp16 and several GPUs on CUDA, float32 on a CPU.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional

from genovision import checkpoints
from genovision.errors import InputError
from genovision.samplers.denoisers import encode
from genovision.samplers.schedules import make_betas

SCHEDULES = ("constant", "cosine")
PREDICTIONS = ("epsilon", "v_prediction")
TIMES = ("stratified", "independent")
PRECISIONS = ("float32", "bf16", "fp16")
_MEMORY = 0.98  # of the running mean of the training loss: about 50 steps


@dataclass(frozen=True)
class Recipe:
    """How a denoiser is trained; the defaults are those of DEIS-SN's authors but for `times`.

    prediction_type:  epsilon, the noise, or v_prediction, sqrt(a) noise - sqrt(1 - a) x_0 (Salimans & Ho 2022): near T, where an error of
                      the noise is an error of x_0 many times as large, it asks for x_0, and short training gets further with it
    schedule:         constant, or cosine down to 0; both rise linearly over the first `warmup` share of the steps
    ema_decay:        of the averaged weights, which are what is kept; with `ema_warmup` at most (1 + step) / (10 + step)
    times:            stratified (one in each of `batch` equal parts of the T times, which varies the loss less) or independent
    clip_gradient:    largest norm of a step's gradient; 0 leaves it
    training_steps, beta_start, beta_end: T and the linear betas of the noise
    """

    steps: int
    batch: int = 256
    prediction_type: str = "epsilon"
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    beta2: float = 0.999
    schedule: str = "constant"
    warmup: float = 0.0
    ema_decay: float = 0.9999
    ema_warmup: bool = True
    times: str = "stratified"
    clip_gradient: float = 0.0
    flip: bool = True
    patch: int = 1
    training_steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    seed: int = 0

    def __post_init__(self):
        for name, value, known in (
            ("schedule", self.schedule, SCHEDULES),
            ("times", self.times, TIMES),
            ("prediction", self.prediction_type, PREDICTIONS),
        ):
            if value not in known:
                raise InputError(f"{name} {value!r}: choose one of {', '.join(known)}.")
        if min(self.steps, self.batch, self.training_steps, self.patch) < 1 or self.seed < 0:
            raise InputError(
                f"steps {self.steps}, batch {self.batch}, training steps {self.training_steps} and patch {self.patch} must be 1 or more, "
                f"seed {self.seed} not negative."
            )
        if not self.learning_rate > 0 or self.weight_decay < 0 or self.clip_gradient < 0:
            raise InputError(
                f"learning rate {self.learning_rate} > 0, weight decay {self.weight_decay} >= 0 and gradient clipping "
                f"{self.clip_gradient} >= 0 are needed."
            )
        if not 0 <= self.ema_decay < 1 or not 0 <= self.warmup < 1 or not 0 <= self.beta2 < 1:
            raise InputError(
                f"EMA decay {self.ema_decay}, warm-up {self.warmup} and beta2 {self.beta2} must lie in [0, 1)."
            )
        if not 0 < self.beta_start <= self.beta_end < 1:
            raise InputError(f"betas from {self.beta_start} to {self.beta_end}: 0 < start <= end < 1 is needed.")

    def to_json(self) -> dict:
        return asdict(self)


def learning_rate(step: int, recipe: Recipe) -> float:
    """Learning rate of a step (0-based); a function of the step alone, so there is no scheduler to resume."""
    rise = recipe.warmup * recipe.steps
    if step < rise:
        return recipe.learning_rate * (step + 1) / (rise + 1)
    if recipe.schedule == "constant":
        return recipe.learning_rate
    return recipe.learning_rate * (1 + math.cos(math.pi * (step - rise) / (recipe.steps - rise))) / 2


def ema_decay(step: int, recipe: Recipe) -> float:
    """Weight of the earlier average when that of step (0-based) joins it."""
    return min(recipe.ema_decay, (1 + step) / (10 + step)) if recipe.ema_warmup else recipe.ema_decay


def alphas_bar(recipe: Recipe) -> npt.NDArray[np.float64]:
    """(T,): what is left of the image's variance after each training step."""
    return np.cumprod(1 - make_betas(recipe.training_steps, recipe.beta_start, recipe.beta_end))


class Noised(NamedTuple):
    """x (B, C, H, W) = sqrt(a) x_0 + sqrt(1 - a) noise at whole times t (B,), and what the model is to say of it."""

    x: torch.Tensor
    t: torch.Tensor
    target: torch.Tensor


class Batches:
    """Noised batches of a set of images: one epoch after the other, each in an order of its own, with no rest left over at its end.

    images: (N, H, W) or (N, H, W, 3) uint8
    """

    def __init__(self, images: npt.NDArray[np.uint8], recipe: Recipe):
        self.images, self.recipe = images, recipe
        self._alphas_bar = alphas_bar(recipe)
        self._orders: dict[int, npt.NDArray[np.int64]] = {}

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if epoch not in self._orders:
            order = np.random.default_rng([self.recipe.seed, 0, epoch]).permutation(len(self.images))
            self._orders = {old: kept for old, kept in self._orders.items() if old == epoch - 1} | {epoch: order}
        return self._orders[epoch]

    def at(self, step: int) -> Noised:
        """The batch of a step (0-based), whatever was asked before."""
        recipe, rng = self.recipe, np.random.default_rng([self.recipe.seed, 1, step])
        epochs, places = np.divmod(np.arange(step * recipe.batch, (step + 1) * recipe.batch), len(self.images))
        rows = [self._order(int(epoch))[place] for epoch, place in zip(epochs, places, strict=True)]
        images = self.images[rows]
        if recipe.flip:
            flipped = rng.integers(0, 2, recipe.batch).astype(bool)
            images[flipped] = images[flipped][:, :, ::-1]
        return noised(images, _times(recipe.batch, recipe, rng), recipe, rng, self._alphas_bar)


def _times(number: int, recipe: Recipe, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    if recipe.times == "independent":
        return rng.integers(0, recipe.training_steps, number)
    shares = (rng.permutation(number) + rng.random(number)) / number
    return np.minimum((shares * recipe.training_steps).astype(np.int64), recipe.training_steps - 1)


def noised(
    images: npt.NDArray[np.uint8],
    times: npt.NDArray[np.int64],
    recipe: Recipe,
    rng: np.random.Generator,
    alphas: npt.NDArray[np.float64],
) -> Noised:
    """Images (B, ...) uint8 at whole times (B,), with noise from `rng`; alphas: of `alphas_bar`."""
    clean = encode(images, recipe.patch)
    noise = torch.from_numpy(rng.standard_normal(tuple(clean.shape), dtype=np.float32))
    kept = torch.from_numpy(alphas[times])[:, None, None, None]
    signal, spread = kept.sqrt().float(), (1 - kept).sqrt().float()
    target = noise if recipe.prediction_type == "epsilon" else signal * noise - spread * clean
    return Noised(signal * clean + spread * noise, torch.from_numpy(times), target)


class HeldOut:
    """Loss on images that training does not see, at noise and times that stay the same: comparable between steps and between recipes.

    images: (N, ...) uint8; the times of the N are spread evenly over all T, whatever the recipe's `times`
    """

    def __init__(self, images: npt.NDArray[np.uint8], recipe: Recipe, batch: int = 128):
        rng = np.random.default_rng(20231102)
        times = ((rng.permutation(len(images)) + 0.5) / len(images) * recipe.training_steps).astype(np.int64)
        parts = [slice(at, at + batch) for at in range(0, len(images), batch)]
        self.batches = [noised(images[part], times[part], recipe, rng, alphas_bar(recipe)) for part in parts]

    @torch.no_grad()
    def loss(self, network: nn.Module) -> float:
        """Mean squared error per number of the target, of a network in evaluation mode."""
        device, total, count = next(network.parameters()).device, 0.0, 0
        for x, t, target in self.batches:
            found = network(x.to(device, memory_format=torch.channels_last), t.to(device)).sample
            total += float((found.float().cpu() - target).double().square().sum())
            count += target.numel()
        return total / count


class Point(NamedTuple):
    """A row of the training curve: running mean of the training loss, and loss of the averaged weights on held-out images."""

    step: int
    loss: float
    held_out: float


class Trained(NamedTuple):
    """The averaged weights, and the curve; the last loss is not finite when training diverged, and it stopped where that happened."""

    network: nn.Module
    curve: list[Point]


def train(
    network: nn.Module,
    batches: Batches,
    recipe: Recipe,
    held_out: HeldOut,
    folder: Path,
    mark: str,
    *,
    precision: str = "float32",
    save_every: int = 500,
    points: int = 10,
    cpu: bool = False,
    tell: Callable[[str], None] = print,
) -> Trained:
    """Train a UNet2DModel from the newest whole checkpoint of `folder` whose fingerprint is `mark`, or from the start.

    mark:       see `checkpoints.fingerprint`
    precision:  float32, or bf16 or fp16 where there is CUDA (InputError elsewhere)
    save_every: steps between checkpoints; points: rows of the curve
    With several processes each takes its share of every batch; batches must divide among them.
    """
    torch.use_deterministic_algorithms(True)
    cpu = cpu or not torch.cuda.is_available()
    if precision not in PRECISIONS or (cpu and precision != "float32"):
        raise InputError(f"precision {precision!r}: float32, or bf16 or fp16 on a machine with CUDA.")
    accelerator = Accelerator(cpu=cpu, mixed_precision="no" if precision == "float32" else precision)
    if recipe.batch % accelerator.num_processes:
        raise InputError(
            f"a batch of {recipe.batch} cannot be shared by {accelerator.num_processes} processes equally."
        )
    network = network.to(accelerator.device, memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(
        network.parameters(),
        lr=recipe.learning_rate,
        betas=(0.9, recipe.beta2),
        weight_decay=recipe.weight_decay,
    )
    wrapped, optimizer = accelerator.prepare(network, optimizer)
    network, plain = accelerator.unwrap_model(wrapped), getattr(optimizer, "optimizer", optimizer)
    main = accelerator.is_main_process
    tell = tell if main else lambda _: None
    first, curve, running = 0, [], None
    if (found := checkpoints.newest(folder, mark)) is not None:
        first, curve, running = _taken_up(*found, network, average, plain, accelerator, folder)
        tell(f"taken up at step {first} of {recipe.steps}")
    seen = {max(1, round(recipe.steps * k / points)) for k in range(1, points + 1)}
    wrapped.train()
    for step in range(first, recipe.steps):
        loss = _step(step, wrapped, optimizer, plain, batches, recipe, accelerator)
        running = loss if running is None else _MEMORY * running + (1 - _MEMORY) * loss
        if not math.isfinite(loss):
            tell(f"the loss is {loss} at step {step + 1}: training stops here")
            curve.append(Point(step + 1, loss, math.nan))
            break
        weights = list(average.parameters())
        torch._foreach_lerp_(weights, [p.detach() for p in network.parameters()], 1 - ema_decay(step, recipe))
        if step + 1 in seen and main:
            curve.append(Point(step + 1, running, held_out.loss(average)))
            tell(f"step {step + 1} of {recipe.steps}: loss {running:.4f}, held-out {curve[-1].held_out:.4f}")
        if (step + 1) % save_every == 0 and step + 1 < recipe.steps and main:
            facts = {"fingerprint": mark, "running": running, "curve": [list(point) for point in curve]}
            if accelerator.scaler is not None:
                facts["scaler"] = accelerator.scaler.state_dict()
            tensors = {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
            checkpoints.save(folder, step + 1, checkpoints.state(network, plain) | tensors, facts)
    accelerator.wait_for_everyone()
    return Trained(average, curve)


def _taken_up(
    tensors: dict[str, torch.Tensor],
    facts: dict,
    network: nn.Module,
    average: nn.Module,
    plain: torch.optim.Optimizer,
    accelerator: Accelerator,
    folder: Path,
) -> tuple[int, list[Point], float]:
    """Put a checkpoint's state back; returns the steps done, the curve and the running loss."""
    checkpoints.restore(network, plain, tensors, str(folder))
    own = {name.removeprefix("average."): t for name, t in tensors.items() if name.startswith("average.")}
    checkpoints.load_into(average, own, str(folder))
    if accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(facts["scaler"])
    return facts["step"], [Point(*point) for point in facts["curve"]], facts["running"]


def _step(
    step: int,
    wrapped: nn.Module,
    optimizer,
    plain: torch.optim.Optimizer,
    batches: Batches,
    recipe: Recipe,
    accelerator: Accelerator,
) -> float:
    """One step on this process's share of the batch; returns the loss averaged over processes."""
    process, processes = accelerator.process_index, accelerator.num_processes
    torch.manual_seed((recipe.seed * 1_000_003 + step) * processes + process)  # for dropout
    for group in plain.param_groups:
        group["lr"] = learning_rate(step, recipe)
    x, t, target = (part[process::processes].to(accelerator.device) for part in batches.at(step))
    with accelerator.autocast():
        found = wrapped(x.contiguous(memory_format=torch.channels_last), t).sample
    loss = functional.mse_loss(found.float(), target)
    optimizer.zero_grad()
    accelerator.backward(loss)
    if recipe.clip_gradient:
        accelerator.clip_grad_norm_(wrapped.parameters(), recipe.clip_gradient)
    optimizer.step()
    return float(accelerator.reduce(loss.detach(), reduction="mean"))
