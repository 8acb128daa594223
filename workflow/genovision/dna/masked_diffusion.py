"""Masked discrete diffusion of bases (MDLM, Sahoo et al. 2024): bases are hidden at random, and a network says what they were.

With the log-linear schedule a base is masked at time t with probability t, and the bound of the negative log-likelihood is the mean over
t of 1 / t times the cross-entropy at the masked bases. Given how many are masked, which ones is uniform; so their number n is drawn, even
over 1 .. L, in place of t: the same bound (Ou et al. 2024), with the weight L / n, less noise and no division by a t near 0.

A sequence is drawn in rounds. What a round reveals is drawn independently given what is known already, which is wrong for neighbours: the
order `spread` therefore reveals together what is as far apart as there are rounds.
"""

import os

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from genovision.devices import device_of
from genovision.dna.base_networks import (
    MASK,
    Examples,
    check_labels,
    check_positive,
    check_tokens,
    guided,
    read_folder,
    write_folder,
)
from genovision.errors import InputError
from genovision.resampling import stream
from genovision.training import draws, seeded

KIND = "masked"
ORDERS = ("spread", "random", "independent", "confidence")
ROUNDS = 16
_BATCH = 64  # on a CPU the activations of more sequences no longer fit its caches


def turns(order: str, uniforms: npt.NDArray, rounds: int) -> npt.NDArray[np.int64]:
    """The round, 0 .. rounds - 1, in which each position is revealed: (N, L), from uniforms (N, L) that are the sequence's own.

    spread:       positions a multiple of `rounds` apart together, these combs in random order
    random:       in random order, equally many in each round; with `rounds` = L one at a time (first hitting, Zheng et al. 2024)
    independent:  each position in a round of its own, the ancestral sampler of MDLM on even times
    InputError for another order (`confidence` goes by the network, not by chance) and for more rounds than positions.
    """
    length = uniforms.shape[1]
    if not 1 <= rounds <= length:
        raise InputError(f"rounds {rounds} must lie in 1 to {length}, the number of positions.")
    if order == "spread":
        combs = _ranks(uniforms[:, :rounds])
        return combs[:, np.arange(length) % rounds]
    if order == "random":
        return _ranks(uniforms) * rounds // length
    if order == "independent":
        return np.minimum((uniforms * rounds).astype(np.int64), rounds - 1)
    raise InputError(f"order {order!r}: choose one of {', '.join(ORDERS)}.")


def _ranks(uniforms: npt.NDArray) -> npt.NDArray[np.int64]:
    """Place of each number in the order of its row."""
    return uniforms.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")


def masks(number: int, length: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """(N, L) True where masked: n random places of each sequence, n spread evenly over 1 .. L among the sequences."""
    shares = (rng.permutation(number) + rng.random(number)) / number
    masked = np.minimum((shares * length).astype(np.int64), length - 1) + 1
    return _ranks(rng.random((number, length))) < masked[:, None]


def bound(network: nn.Module, codes: torch.Tensor, labels: torch.Tensor, masked: torch.Tensor) -> torch.Tensor:
    """(B,) nats per base, whose mean over `masks` is an upper bound of the negative log-likelihood of codes (B, L) int64."""
    logits = network(torch.where(masked, MASK, codes), labels)
    nll = functional.cross_entropy(logits.movedim(-1, 1), codes, reduction="none")
    # L / n times the sum over the n masked, per base: their mean
    return (nll * masked).sum(dim=1) / masked.sum(dim=1)


class Objective:
    """What `genovision.training.train` minimises, and what it measures on sequences that training does not see."""

    def __init__(self, examples: Examples, held_out: tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]):
        self.examples, self.held_out = examples, held_out

    def loss(self, network: nn.Module, step: int) -> torch.Tensor:
        """Mean bound of a step's batch, nats per base."""
        rng, _ = draws(self.examples.seed, step)
        codes, labels = self.examples.at(step, rng)
        masked = torch.from_numpy(masks(*codes.shape, rng))
        device = device_of(network)
        with seeded(self.examples.seed, step, device):
            return bound(network, *(one.to(device) for one in (codes, labels, masked))).mean()

    def measure(self, network: nn.Module) -> float:
        """Mean bound of the held-out sequences with their labels, nats per base, at masks that stay the same."""
        return float(bits_per_base(network, *self.held_out).mean() * np.log(2))


def bits_per_base(
    network: nn.Module,
    codes: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    seed: int = 0,
    repeats: int = 1,
    batch: int = 128,
) -> npt.NDArray[np.float64]:
    """Upper bound of -log2 p(sequence) / L of each sequence (N,), an estimate from `repeats` masks; its mean over many is accurate."""
    check_positive(repeats=repeats, batch=batch)
    rng, total = stream(seed, "masks of the bound"), np.zeros(len(codes))
    with torch.inference_mode():
        for _ in range(repeats):
            masked = torch.from_numpy(masks(*codes.shape, rng))
            for at in range(0, len(codes), batch):
                rows = slice(at, at + batch)
                part = torch.from_numpy(codes[rows].astype(np.int64)), torch.from_numpy(labels[rows]), masked[rows]
                found = bound(network, *(one.to(device_of(network)) for one in part))
                total[rows] += found.double().cpu().numpy()
    return total / repeats / np.log(2)


class MaskedDiffusion:
    """A trained model. network: (tokens (B, L) with 4 where masked, labels (B,)) -> logits (B, L, 4)."""

    kind = KIND

    def __init__(self, network: nn.Module, names: tuple[str, ...], length: int, device: torch.device | str = "cpu"):
        self.network, self.names, self.length = network, tuple(names), length
        self.device = torch.device(device)

    def draw(
        self,
        labels: npt.ArrayLike,
        seed: int,
        *,
        rounds: int = ROUNDS,
        order: str = "spread",
        temperature: float = 1.0,
        guidance: float = 1.0,
        batch: int = _BATCH,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        """Sequences of labels (N,) in so many calls of the network each: tokens (N, L), and the probability of each base when it was drawn.

        order:       one of ORDERS, see `turns`; `confidence` reveals equally many in each round, those of the largest probabilities
        temperature: of every distribution that is drawn from
        guidance:    1 without; more pushes away from what the model says of any species, at twice the calls
        A sequence depends on the seed and its place among the labels, not on `batch`. InputError for options outside their ranges.
        """
        labels = check_labels(labels, self.names)
        self._check(temperature, guidance, batch)
        uniforms = stream(seed, "order of positions").random((len(labels), self.length), dtype=np.float32)
        told = stream(seed, "bases").random((len(labels), self.length), dtype=np.float32)
        when = turns("random" if order == "confidence" else order, uniforms, rounds)
        tokens = np.empty((len(labels), self.length), dtype=np.uint8)
        confidence = np.empty((len(labels), self.length), dtype=np.float32)
        for at in range(0, len(labels), batch):
            rows = slice(at, at + batch)
            tokens[rows], confidence[rows] = self._drawn(
                torch.from_numpy(labels[rows]).to(self.device),
                None if order == "confidence" else torch.from_numpy(when[rows]).to(self.device),
                torch.from_numpy(told[rows]).to(self.device),
                rounds,
                temperature,
                guidance,
            )
        return tokens, confidence

    @torch.inference_mode()
    def _drawn(self, labels, when, uniforms, rounds: int, temperature: float, guidance: float):
        tokens = torch.full(uniforms.shape, MASK, dtype=torch.int64, device=self.device)
        confidence = torch.zeros(uniforms.shape, device=self.device)
        for turn in range(rounds):
            if when is not None and not (when == turn).any():
                continue
            probabilities = self._probabilities(tokens, labels, temperature, guidance)
            if when is None:
                count = self.length * (turn + 1) // rounds - self.length * turn // rounds
                largest = probabilities.amax(dim=-1).masked_fill(tokens != MASK, -1)
                now = torch.zeros(tokens.shape, dtype=torch.bool, device=self.device)
                now.scatter_(1, largest.topk(count, dim=1).indices, True)
            else:
                now = when == turn
            # the inverse of the distribution function: as many partial sums as do not exceed the uniform
            drawn = (probabilities[..., :3].cumsum(dim=-1) <= uniforms[..., None]).sum(dim=-1)
            tokens = torch.where(now, drawn, tokens)
            confidence = torch.where(now, probabilities.gather(-1, drawn[..., None])[..., 0], confidence)
        return tokens.to(torch.uint8).cpu().numpy(), confidence.cpu().numpy()

    def posterior(
        self,
        tokens: npt.ArrayLike,
        labels: npt.ArrayLike,
        seed: int,
        *,
        rounds: int = ROUNDS,
        repeats: int = 1,
        order: str = "spread",
        temperature: float = 1.0,
        guidance: float = 1.0,
        batch: int = _BATCH,
    ) -> npt.NDArray[np.float32]:
        """The model's distribution of each base given the others: (N, L, 4) float32, rows sum to 1.

        A partition hides L / rounds positions at a time, each position once; the mean over `repeats` partitions. With rounds = L it is
        the conditional of every base given all the others. `order` says how a partition is made (`spread` knows only one), as in `turns`.
        """
        labels = check_labels(labels, self.names)
        tokens = check_tokens(tokens, labels, self.length)
        self._check(temperature, guidance, batch)
        check_positive(repeats=repeats)
        if order not in ("spread", "random"):
            raise InputError(f"order {order!r} makes no partition: choose spread or random.")
        repeats = 1 if order == "spread" else repeats
        rng, found = stream(seed, "partitions"), np.zeros((*tokens.shape, 4), dtype=np.float32)
        for _ in range(repeats):
            when = turns(order, rng.random(tokens.shape, dtype=np.float32), rounds)
            for at in range(0, len(labels), batch):
                rows = slice(at, at + batch)
                found[rows] += self._given_others(tokens[rows], labels[rows], when[rows], rounds, temperature, guidance)
        return found / repeats

    @torch.inference_mode()
    def _given_others(self, tokens, labels, when, rounds: int, temperature: float, guidance: float) -> npt.NDArray:
        tokens, labels, when = (torch.from_numpy(a).to(self.device) for a in (tokens.astype(np.int64), labels, when))
        found = torch.empty((*tokens.shape, 4), device=self.device)
        for turn in range(rounds):
            hidden = when == turn
            probabilities = self._probabilities(torch.where(hidden, MASK, tokens), labels, temperature, guidance)
            found[hidden] = probabilities[hidden]
        return found.cpu().numpy()

    def _probabilities(self, tokens, labels, temperature: float, guidance: float) -> torch.Tensor:
        logits = guided(lambda asked: self.network(tokens, asked), labels, len(self.names), guidance)
        return (logits / temperature).softmax(dim=-1).float()

    @staticmethod
    def _check(temperature: float, guidance: float, batch: int) -> None:
        check_positive(temperature=temperature, batch=batch)
        if not guidance >= 0:
            raise InputError(f"guidance {guidance} must not be negative.")


def write_masked_diffusion(folder: str | os.PathLike, network: nn.Module, facts: dict) -> None:
    """Write a BaseNetwork; facts: species (names in label order), length, and whatever training left."""
    write_folder(folder, network, facts | {"kind": KIND})


def read_masked_diffusion(folder: str | os.PathLike, device: torch.device | str = "cpu") -> MaskedDiffusion:
    """A model from its folder; InputError as in `base_networks.read_folder`."""
    network, facts = read_folder(folder, KIND)
    return MaskedDiffusion(network.to(device), tuple(facts["species"]), facts["length"], device)
