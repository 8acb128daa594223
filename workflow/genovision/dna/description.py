"""What networks see in a set of sequences: features for FReD and P-FID, classes, an oracle's predictions, a discriminator's scores.

FReD's features are the posterior means of an autoencoder other than the generator's, which would be scored in its own latent space.
A few hundred sequences give no covariance of its hundreds of dimensions, so the means are projected on the leading principal components
of the training fold's. dna.judgement measures what is found here.
"""

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import eigh
from scipy.sparse.linalg import eigsh
from torch import nn
from torch.nn import functional

from genovision.devices import device_of
from genovision.dna.embedding import FACTS, Embedding, describe, read_embedding
from genovision.dna.features import KINDS, PARTS, Basis, parts_of
from genovision.errors import InputError
from genovision.training import draws

Codes = npt.NDArray[np.uint8]

_BATCH = 256
_EXACT = 512  # dimensions up to which components are computed in double precision
_EPOCHS = 3  # of the discriminator, which starts from the embedding's weights
_RATE = 1e-3


# --- FReD ----------------------------------------------------------------------------------------------------------------------------


class Autoencoder(Protocol):
    """What FReD needs of an autoencoder: `encode(codes (N, L) uint8 tensor)` whose first part is the posterior mean (N, ...)."""

    def encode(self, codes: torch.Tensor) -> Sequence[torch.Tensor]: ...


@torch.no_grad()
def posterior_means(autoencoder: Autoencoder, codes: Codes) -> npt.NDArray[np.float64]:
    """(N, D), flattened, for codes (N, L)."""
    batches, device = torch.from_numpy(codes).split(_BATCH), device_of(autoencoder)
    parts = [autoencoder.encode(part.to(device))[0].flatten(1).cpu() for part in batches]
    return torch.cat(parts).double().numpy()


def principal_components(means: npt.NDArray[np.float64], number: int) -> Basis:
    """The leading components of means (N, D); of each, the entry that is largest in size (the first of several) is positive.

    InputError when there are fewer than `number` of them: D or N - 1.
    """
    rows, size = means.shape
    if not 1 <= number <= min(size, rows - 1):
        raise InputError(f"{rows} training sequences with {size} latent values have no {number} principal components.")
    centre = means.mean(axis=0)
    centred = means - centre
    whole = np.square(centred).sum() / (rows - 1)
    if not (np.isfinite(whole) and whole > 0):
        raise InputError("the autoencoder's means are all the same or not finite; train it again.")
    if size <= _EXACT or number >= size // 2:
        values, vectors = eigh(centred.T @ centred / (rows - 1), subset_by_index=[size - number, size - 1])
    else:  # a sixth of the time, and right to about six digits
        single = centred.astype(np.float32)
        values, vectors = eigsh(single.T @ single / np.float32(rows - 1), number, v0=np.ones(size, dtype=np.float32))
        values, vectors = values.astype(np.float64), vectors.astype(np.float64)
    components = vectors.T[::-1]
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    share = float(values.sum() / whole)
    return Basis(centre, np.ascontiguousarray(components * np.sign(largest)), share)


def projected(means: npt.NDArray[np.float64], basis: Basis, label: str) -> npt.NDArray[np.float64]:
    """Means (N, D) on the components: (N, C). InputError when the autoencoder behind them has another D."""
    if means.shape[1] != len(basis.centre):
        raise InputError(
            f"the autoencoder has {means.shape[1]} latent values and the components of {label} {len(basis.centre)}; use one."
        )
    return (means - basis.centre) @ basis.components.T


# --- oracles -------------------------------------------------------------------------------------------------------------------------


class Oracle(Protocol):
    """A model of what a sequence does, asked with it in its place: `predict(codes (N, W))` -> (N, K) for the K `outputs`.

    length: W, the bases it reads. An output that bears a species' name is judged for that species alone.
    """

    length: int
    outputs: tuple[str, ...]

    def predict(self, codes: Codes) -> npt.NDArray[np.float64]: ...


class LogOdds:
    """The desk's oracle: an embedding's log-odds of real against shuffled, one output per species."""

    def __init__(self, network: Embedding):
        self.network, self.length, self.outputs = network, network.config.length, network.species

    def predict(self, codes: Codes) -> npt.NDArray[np.float64]:
        """(N, S), natural logs."""
        of_kinds = describe(self.network, codes).classes.astype(np.float64).reshape(len(codes), -1, len(KINDS))
        return of_kinds[:, :, KINDS.index("real")] - of_kinds[:, :, KINDS.index("shuffle")]


def read_oracle(path: str | os.PathLike, device: torch.device | str = "cpu") -> Oracle:
    """The oracle in a folder of train_embedding, of any length: weights as safetensors, architecture as JSON.

    InputError for anything else. Sei, Enformer and Borzoi are published as pickled or framework-specific checkpoints, which can run code
    when they are loaded. So can exported programs (TorchScript, torch.export), whose readers evaluate expressions they find in the file.
    """
    if not (Path(path) / FACTS).is_file():
        raise InputError(
            f"{path} is no oracle this can read: give a folder of dna/train_embedding (safetensors and JSON, windows of any length). "
            "Checkpoints of Sei, Enformer or Borzoi are not loaded, nor exported programs: reading them can run code. To use one, write "
            "its tensors as safetensors and add a class with length, outputs and predict to genovision.dna.description."
        )
    return LogOdds(read_embedding(path, device))


def in_flanks(codes: Codes, windows: Codes) -> Codes:
    """Sequences (N, L) in the middle of real windows (M, W), start site on start site (W // 2 and L // 2): (N, W).

    Sequence i replaces the bases of window i mod M, so that row i of every set has the same flanks. Raises ValueError when W < L or M = 0.
    """
    length, width = codes.shape[1], windows.shape[1]
    if width < length or not len(windows):
        raise ValueError(f"windows of shape {windows.shape} have no room for sequences of {length} bases")
    placed = windows[np.arange(len(codes)) % len(windows)].copy()
    start = width // 2 - length // 2
    placed[:, start : start + length] = codes
    return placed


# --- discriminator -------------------------------------------------------------------------------------------------------------------


def discriminator_scores(
    network: Embedding, one: Codes, real: Codes, species: npt.NDArray, seed: int = 0, epochs: int = _EPOCHS
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Scores (N,) and (N,) of codes (N, L) and (N, L) whose rows have the same species, higher = real, each by a network that has not
    seen its part of either set.

    The network starts from the embedding, which knows real promoters from floors, and all its weights learn: a few hundred sequences
    would not teach one from scratch. Every batch has as many rows of the set as of the real ones.
    """
    part = parts_of(species)
    sides = [torch.from_numpy(np.ascontiguousarray(codes)) for codes in (one, real)]
    scores = [np.empty(len(one)), np.empty(len(one))]
    for index in range(min(PARTS, int(part.max()) + 1)):
        fitted = _discriminator(
            network, [side[torch.from_numpy(part != index)] for side in sides], seed + index, epochs
        )
        with torch.no_grad():
            for score, side in zip(scores, sides, strict=True):
                score[part == index] = fitted(side[torch.from_numpy(part == index)])[:, 0].double().cpu().numpy()
    return scores[0], scores[1]


def _discriminator(network: Embedding, sides: list[torch.Tensor], seed: int, epochs: int) -> nn.Module:
    fitted = copy.deepcopy(network).requires_grad_(True)
    device = device_of(network)
    fitted.classes = nn.Linear(network.config.features, 1, device=device)
    nn.init.zeros_(fitted.classes.weight)
    nn.init.zeros_(fitted.classes.bias)
    optimizer = torch.optim.AdamW(fitted.parameters(), lr=_RATE, weight_decay=0.1)
    number = len(sides[0])
    for epoch in range(epochs):
        orders = [draws(seed, epoch * 2 + side).numpy.permutation(number) for side in range(2)]
        for at in range(0, number, _BATCH // 8):
            rows = [order[at : at + _BATCH // 8] for order in orders]
            codes = torch.cat([side[chosen] for side, chosen in zip(sides, rows, strict=True)])
            target = torch.arange(2).repeat_interleave(len(rows[0])).float().to(device)
            loss = functional.binary_cross_entropy_with_logits(fitted(codes)[:, 0], target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return fitted.eval()
