"""Students of an ensemble of language models over few letters, where no tail of a vocabulary can drown the rest: DNA, base by base.

The members are known by their log-probabilities alone, and a student is a network that gives logits (B, L, K) of tokens (B, L) and labels
(B,), any torch module, with a second output read off one of its inner layers, of the families of genovision.translation.families.

Letters: B sequences, L positions, M members, K letters, S samples. Logarithms are natural.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from genovision.arrays import read_arrays, write_arrays
from genovision.atomic import replacing
from genovision.checkpoints import load_into, read_tensors, write_tensors
from genovision.devices import device_of
from genovision.errors import InputError
from genovision.training import seeded
from genovision.translation.dirichlet import hypothesis_measures
from genovision.translation.families import DIRICHLETS, bounds_of, loss
from genovision.translation.logit_noise import NLL, bounded_scale, heavy, raw_scale
from genovision.translation.sequence_measures import SEQUENCE, TOKEN, sequence_uncertainty

FAMILIES = ("end", *DIRICHLETS, *NLL)
MEASURES = (*TOKEN, *SEQUENCE)
NOISE = ("location_entropy", "mean_scale", "heavy_share")  # further ones of logit noise, which need no samples
FACTS, HEAD = "student.json", "head.safetensors"
SHAPE = ("family", "inner", "width", "letters")  # of a student, in its facts
TRAIN, VALIDATION = 0, 1  # folds of cached distributions
_ROWS = 16  # sequences whose samples are measured at a time: more of them leave the processor's cache


class Said(NamedTuple):
    """What a student says of every position.

    logs:   (B, L, K) log-probabilities: of the mean of a Dirichlet, else the location
    spread: (B, L, K) scales of logit noise; (B, L, 1) precision of a Dirichlet, its alpha is exp(logs) times it; None for `end`
    """

    logs: torch.Tensor
    spread: torch.Tensor | None

    @property
    def alpha(self) -> torch.Tensor:
        return self.logs.double().exp() * self.spread.double()


class BaseStudent(nn.Module):
    """A network with a second output.

    network: gives logits (B, L, K) of (tokens, labels);  inner: name of the submodule whose output (B, L, width), or the first of several,
    the second output reads, together with the logits;  start: the spread it begins with, everywhere
    (`typical_spread`; default: the middle of its bounds).
    Raises ValueError for an unknown family, a network without `inner`, and a start outside the bounds of a spread.
    """

    def __init__(
        self, network: nn.Module, family: str, *, inner: str, width: int, letters: int = 4, start: float | None = None
    ):
        super().__init__()
        if family not in FAMILIES:
            raise ValueError(f"family {family!r} is none of {', '.join(FAMILIES)}")
        try:
            network.get_submodule(inner)
        except AttributeError as error:
            raise ValueError(f"the network has no module {inner!r} for the second output to read") from error
        self.network, self.family, self.inner, self.width, self.letters = network, family, inner, width, letters
        self.bounds = bounds_of(family)
        self.head = None
        if family != "end":
            self.head = nn.Linear(width + letters, 1 if family in DIRICHLETS else letters)
            nn.init.zeros_(self.head.weight)
            begin = 0.0 if start is None else float(raw_scale(torch.tensor(start, dtype=torch.float64), *self.bounds))
            nn.init.constant_(self.head.bias, begin)

    def forward(self, tokens: torch.Tensor, labels: torch.Tensor) -> Said:
        kept: list[torch.Tensor] = []
        watched = self.network.get_submodule(self.inner)
        handle = watched.register_forward_hook(lambda *call: kept.append(call[2]))
        try:
            logs = self.network(tokens, labels).log_softmax(dim=-1)
        finally:
            handle.remove()
        if self.head is None:
            return Said(logs, None)
        hidden = kept[0] if torch.is_tensor(kept[0]) else kept[0][0]
        raw = self.head(torch.cat([hidden, logs.detach()], dim=-1))
        return Said(logs, bounded_scale(raw, *self.bounds))


# --- what students learn from ----------------------------------------------------------------------------------------------------------


class Cache(NamedTuple):
    """Sequences and what the members say of them.

    codes (N, L) uint8; labels (N,) that the members were given; logs (N, L, M, K) float16 log-probabilities; fold (N,) 0 train,
    1 validation; names (T,) of the labels below T. A student can only be asked under labels that it was taught under.
    """

    codes: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    logs: npt.NDArray[np.float16]
    fold: npt.NDArray[np.uint8]
    names: tuple[str, ...]

    def of(self, fold: int) -> "Cache":
        return self.part(np.flatnonzero(self.fold == fold))

    def part(self, rows: npt.NDArray[np.int64]) -> "Cache":
        return Cache(self.codes[rows], self.labels[rows], self.logs[rows], self.fold[rows], self.names)


def write_cache(path: str | os.PathLike, cache: Cache) -> None:
    write_arrays(path, **(cache._asdict() | {"names": np.array(cache.names)}))


def read_cache(path: str | os.PathLike) -> Cache:
    """InputError for shapes that disagree, one member, a fold without sequences, and what is no distribution (naming its place)."""
    found = read_arrays(path, Cache._fields)
    codes, logs = found["codes"], found["logs"]
    rows = codes.shape[:1]
    if (
        codes.ndim != 2
        or logs.shape[:2] != codes.shape
        or logs.ndim != 4
        or {found["labels"].shape, found["fold"].shape} != {rows}
    ):
        raise InputError(
            f"{path}: codes {codes.shape}, logs {logs.shape}, labels {found['labels'].shape} and fold {found['fold'].shape} disagree; "
            "write it with translation/cache_base_teachers."
        )
    if logs.shape[2] < 2:
        raise InputError(f"{path} has {logs.shape[2]} member; a student learns the spread of two or more.")
    for fold, name in ((TRAIN, "training"), (VALIDATION, "validation")):
        if not (found["fold"] == fold).any():
            raise InputError(f"{path} has no {name} sequence; write it with translation/cache_base_teachers.")
    if codes.max() >= logs.shape[3]:
        raise InputError(f"{path}: letter {codes.max()} is none of the {logs.shape[3]} that the members know.")
    for at in range(0, len(logs), 1024):  # a part at a time: in single precision all would be large
        odd = ~(np.abs(np.exp(logs[at : at + 1024].astype(np.float32)).sum(axis=3) - 1) < 0.02)
        if odd.any():
            row, position, member = np.argwhere(odd)[0]
            raise InputError(
                f"{path}: member {member} gives no distribution for sequence {at + row} at position {position}; write it again."
            )
    names = tuple(map(str, found["names"]))
    return Cache(codes, found["labels"].astype(np.int64), logs, found["fold"], names)


def member_logs(cached: npt.ArrayLike) -> torch.Tensor:
    """Cached log-probabilities (..., K) in single precision, normalised again."""
    return torch.from_numpy(np.asarray(cached, dtype=np.float32)).log_softmax(dim=-1)


class Lessons:
    """Training sequences of a cache; `loss(student, step)` in nats per base, for `training.train`.

    Every sequence is taken once before one is taken again; order and dropout are a matter of seed and step alone.
    """

    def __init__(self, cache: Cache, *, batch: int, seed: int, noise_weight: float = 0.25):
        if batch > len(cache.codes):
            raise InputError(
                f"a batch of {batch} is more than the {len(cache.codes)} training sequences; take a smaller one."
            )
        if not noise_weight > 0:
            raise InputError(f"the weight of the noise, {noise_weight}, must be above 0.")
        self.cache, self.batch, self.seed, self.noise_weight = cache, batch, seed, noise_weight
        self._order: tuple[int, npt.NDArray[np.int64]] | None = None

    def rows(self, step: int) -> npt.NDArray[np.int64]:
        epoch, at = divmod(step, len(self.cache.codes) // self.batch)
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, np.random.default_rng([self.seed, epoch]).permutation(len(self.cache.codes))
        return self._order[1][at * self.batch : (at + 1) * self.batch]

    def loss(self, student: BaseStudent, step: int) -> torch.Tensor:
        rows, device = self.rows(step), device_of(student)
        with seeded(self.seed, step, device):
            said = student(*_asked(self.cache, rows, device))
        return loss(student.family, *said, member_logs(self.cache.logs[rows]).to(device), self.noise_weight).mean()


@torch.inference_mode()
def held_out(student: BaseStudent, cache: Cache, noise_weight: float = 0.25, batch: int = 64) -> dict[str, float]:
    """Means per base over the sequences of a cache: loss, in nats, and bits of the bases that came, by the student and by the ensemble."""
    sums, device = dict.fromkeys(("loss", "bits", "ensemble_bits"), 0.0), device_of(student)
    for at in range(0, len(cache.codes), batch):
        rows = np.arange(at, min(at + batch, len(cache.codes)))
        tokens, labels = _asked(cache, rows, device)
        said, logs = student(tokens, labels), member_logs(cache.logs[rows]).to(device)
        mean = logs.double().exp().mean(dim=2).log()
        sums["loss"] += float(loss(student.family, *said, logs, noise_weight).double().sum())
        for name, own in (("bits", said.logs.double()), ("ensemble_bits", mean)):
            sums[name] -= float(own.gather(2, tokens[..., None]).sum()) / np.log(2)
    return {name: value / cache.codes.size for name, value in sums.items()}


def _asked(cache: Cache, rows: npt.NDArray[np.int64], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(cache.codes[rows].astype(np.int64)).to(device), torch.from_numpy(cache.labels[rows]).to(
        device
    )


# --- what students say -----------------------------------------------------------------------------------------------------------------


def ensemble_measures(logs: torch.Tensor, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
    """`MEASURES` (B,) of an ensemble's log-probabilities (B, L, M, K), and nll (B,), that of its mean per base."""
    found = sequence_uncertainty(logs, tokens)
    return found | {"nll": found["sequence_total_pe"]}


def student_measures(
    family: str, said: Said, tokens: torch.Tensor, drawn: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """`MEASURES` (B,) of what a student says of tokens (B, L), and nll (B,), that of the distribution it would sample from, per base.

    Dirichlets in closed form: positions are independent, so that both ways to average a hypothesis are one. Logit noise by its samples
    (`logit_noise.noise`), taken as members; also `NOISE`: entropy at the location, mean scale and the share of scales of 1 or more.
    """
    own = -said.logs.double().gather(2, tokens.unsqueeze(2)).mean(dim=(1, 2))
    if family == "end":
        return sequence_uncertainty(said.logs.unsqueeze(2), tokens) | {"nll": own}
    if family in NLL:
        sampled = [
            sequence_uncertainty(logs.unsqueeze(2) + spread.unsqueeze(2) * drawn, own_tokens)
            for logs, spread, own_tokens in zip(
                *(one.split(_ROWS) for one in (said.logs, said.spread, tokens)), strict=True
            )
        ]
        location = said.logs.double()
        more = {
            "location_entropy": -(location.exp() * location).sum(dim=2).mean(dim=1),
            "mean_scale": said.spread.double().mean(dim=(1, 2)),
            "heavy_share": heavy(said.spread).mean(dim=1),
        }
        return {name: torch.cat([part[name] for part in sampled]) for name in MEASURES} | more | {"nll": own}
    found = {name: values.mean(dim=1) for name, values in hypothesis_measures(said.alpha, tokens).items()}
    return {name: found[name] for name in MEASURES} | {"nll": own}


# --- on disk ---------------------------------------------------------------------------------------------------------------------------


def digest(network: nn.Module) -> str:
    """Of a network's weights."""
    found = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        found.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def write_student(folder: str | os.PathLike, student: BaseStudent, facts: dict) -> None:
    """Write the second output (an empty file without one), and student.json last, so that a folder with it is whole.

    The network is written by its own story.
    """
    folder = Path(folder)
    write_tensors({} if student.head is None else student.head.state_dict(), folder / HEAD)
    own = {name: getattr(student, name) for name in SHAPE} | {"network": digest(student.network)}
    with replacing(folder / FACTS) as temporary:
        temporary.write_text(json.dumps(facts | own, indent=1, sort_keys=True) + "\n")


def read_facts(folder: str | os.PathLike) -> dict:
    """student.json; InputError when it is missing or of no student."""
    path = Path(folder) / FACTS
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing; the folder is one of translation/train_base_student.") from None
    except ValueError as error:
        raise InputError(f"{path} is no whole JSON file ({error}); train the student again.") from error
    if not isinstance(facts, dict) or facts.get("family") not in FAMILIES or not set(SHAPE) <= set(facts):
        raise InputError(
            f"{path} is of no student: it needs {', '.join(SHAPE)}, the family one of {', '.join(FAMILIES)}."
        )
    return facts


def read_student(folder: str | os.PathLike, network: nn.Module) -> BaseStudent:
    """The student of a folder around its network, in evaluation mode and where the network is.

    InputError when network and student were not written together.
    """
    folder, facts = Path(folder), read_facts(folder)
    if facts.get("network") != digest(network):
        raise InputError(f"{folder} was written with another network; train the student again.")
    student = BaseStudent(network, **{name: facts[name] for name in SHAPE})
    if student.head is not None:
        load_into(student.head, read_tensors(folder / HEAD), str(folder / HEAD))
    return student.to(device_of(network)).eval().requires_grad_(False)
