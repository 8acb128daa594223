"""What generators learn from and what they give: promoters as codes, with species and fold, and samples with the model's confidence.

sequences.npz  codes (N, L) uint8 of A, C, G, T; species (N,) index into names (S,); fold (N,) 0 train, 1 validation, 2 test
samples.npz    tokens (N, L) uint8; confidence (N, L) float32; species (N,), names (S,); where there is one, posterior (N, L, 4) float32,
               the model's distribution of each base given the others; of a refinement also edited (N, L) bool
"""

import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genovision.arrays import read_arrays, write_arrays
from genovision.errors import InputError

FOLDS = ("train", "validation", "test")


@dataclass(frozen=True)
class Examples:
    """Sequences of one length; `names[species[i]]` is the species of `codes[i]`."""

    codes: npt.NDArray[np.uint8]
    species: npt.NDArray[np.int64]
    fold: npt.NDArray[np.uint8]
    names: tuple[str, ...]

    @property
    def length(self) -> int:
        return self.codes.shape[1]

    def of(self, fold: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Codes and species of a fold, in the order of the file; InputError when it has none."""
        rows = self.fold == FOLDS.index(fold)
        if not rows.any():
            raise InputError(f"the {fold} fold has no sequence of {', '.join(self.names)}.")
        return self.codes[rows], self.species[rows]

    def some(self, fold: str, most: int = 400) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """At most so many of a fold, from all over it: enough for a point of a training curve."""
        codes, species = self.of(fold)
        rows = np.linspace(0, len(codes) - 1, min(most, len(codes))).astype(np.int64)
        return codes[rows], species[rows]


def write_examples(path: str | os.PathLike, examples: Examples) -> None:
    """Write sequences.npz."""
    columns = {"codes": examples.codes, "species": examples.species, "fold": examples.fold}
    write_arrays(path, **columns, names=np.array(examples.names))


def read_examples(path: str | os.PathLike) -> Examples:
    """Read sequences.npz; InputError when an array is missing, of another kind, or the rows disagree."""
    found = read_arrays(path, ["codes", "species", "fold", "names"])
    codes, species, fold, names = found["codes"], found["species"], found["fold"], found["names"]
    _check_codes(path, "codes", codes)
    if species.shape != (len(codes),) or fold.shape != (len(codes),):
        raise InputError(
            f"{path}: codes {codes.shape}, species {species.shape} and fold {fold.shape} disagree; write it with dna/encode_promoters."
        )
    _check_species(path, species, names, len(codes))
    if odd := set(fold.tolist()) - set(range(len(FOLDS))):
        raise InputError(f"{path}: fold {min(odd)} is none of 0 to {len(FOLDS) - 1} ({', '.join(FOLDS)}).")
    return Examples(codes, species.astype(np.int64), fold.astype(np.uint8), tuple(map(str, names)))


class Drawn(NamedTuple):
    """What a generator draws: tokens (N, L) uint8, and confidence (N, L) float32, its largest probability at the end or at the draw."""

    tokens: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Samples:
    """What a generator or a refinement gave, in the order of its species; see the head of this file."""

    tokens: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.float32]
    species: npt.NDArray[np.int64]
    names: tuple[str, ...]
    posterior: npt.NDArray[np.float32] | None = None
    edited: npt.NDArray[np.bool_] | None = None


def write_samples(path: str | os.PathLike, samples: Samples) -> None:
    """Write samples.npz."""
    more = {"posterior": samples.posterior, "edited": samples.edited}
    write_arrays(
        path,
        tokens=samples.tokens,
        confidence=samples.confidence,
        species=samples.species,
        names=np.array(samples.names),
        **{name: array for name, array in more.items() if array is not None},
    )


def read_samples(path: str | os.PathLike) -> Samples:
    """Read samples.npz; InputError when shapes disagree, or a confidence or posterior is no probability (with its place)."""
    found = read_arrays(path)
    if missing := {"tokens", "confidence", "species", "names"} - set(found):
        raise InputError(f"{path} has no array {', '.join(sorted(missing))}; write it with dna/sample_generator.")
    tokens, confidence = found["tokens"], found["confidence"]
    _check_codes(path, "tokens", tokens)
    shapes = {"confidence": tokens.shape, "edited": tokens.shape, "posterior": (*tokens.shape, 4)}
    for name, wanted in shapes.items():
        if name in found and found[name].shape != wanted:
            raise InputError(f"{path}: tokens have shape {tokens.shape} and {name} {found[name].shape}.")
    odd = ~((confidence >= 0) & (confidence <= 1))
    if odd.any():
        row, column = np.argwhere(odd)[0]
        raise InputError(f"{path}: the confidence of sequence {row} at position {column} is {confidence[row, column]}.")
    if "posterior" in found:
        given = found["posterior"]
        odd = ~((given >= 0).all(axis=2) & (np.abs(given.sum(axis=2) - 1) <= 1e-3))
        if odd.any():
            row, column = np.argwhere(odd)[0]
            raise InputError(
                f"{path}: the posterior of sequence {row} at position {column} is no distribution: {given[row, column].tolist()}."
            )
    _check_species(path, found["species"], found["names"], len(tokens))
    return Samples(
        tokens,
        confidence,
        found["species"].astype(np.int64),
        tuple(map(str, found["names"])),
        found.get("posterior"),
        found.get("edited"),
    )


def check_length(path: str | os.PathLike, length: int, wanted: int) -> None:
    """InputError unless a model's or set's sequences are as long as the data's."""
    if length != wanted:
        raise InputError(f"{path} has sequences of {length} bases, the data's have {wanted}.")


def check_names(folder: str | os.PathLike, names: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    """InputError unless the model's species are those of the data, in the same order."""
    if tuple(names) != tuple(wanted):
        raise InputError(
            f"{folder} is of {', '.join(names)}, the data are of {', '.join(wanted)}: labels would not fit."
        )


def _check_codes(path, name: str, codes) -> None:
    if codes.ndim != 2 or codes.dtype != np.uint8 or not codes.size:
        raise InputError(f"{path}: {name} must be (N, L) of bytes, not {codes.shape} of {codes.dtype}.")
    if codes.max() > 3:
        row, column = np.argwhere(codes > 3)[0]
        raise InputError(
            f"{path}: {name} of sequence {row} at position {column} is {codes[row, column]}; models know A, C, G, T only."
        )


def _check_species(path, species, names, number: int) -> None:
    if names.ndim != 1 or names.dtype.kind != "U" or len(set(names.tolist())) < len(names):
        raise InputError(f"{path}: names must be different strings.")
    whole = species.dtype.kind in "iu" and species.shape == (number,)
    if not whole or not 0 <= species.min() <= species.max() < len(names):
        raise InputError(f"{path}: species must be numbers from 0 to {len(names) - 1}, one per sequence.")
