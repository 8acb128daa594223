"""What networks saw in a set of sequences, on its way from dna/describe_set, which has them, to dna/judge_set, which needs none."""

import os
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from genovision.arrays import read_arrays, write_arrays
from genovision.errors import InputError

Floats = npt.NDArray[np.float64]

KINDS = ("real", "shuffle", "markov3")  # classes of a species: class = species x 3 + kind
PARTS = 3  # of the cross-fitting of discriminators


@dataclass(frozen=True)
class Basis:
    """Principal components of the autoencoder's means on the training fold, leading ones first, and how much of the variance they keep.

    centre (D,), components (C, D), share in (0, 1]
    """

    centre: Floats
    components: Floats
    share: float


@dataclass(frozen=True)
class Features:
    """What the networks see in a set; N rows, in the order of the set within each species, species in label order.

    set:         its name
    codes        (N, L) uint8 of A, C, G, T
    species      (N,) index into names (S,); a set may lack one
    fred         (N, C): autoencoder means on the `basis`
    p_fid        (N, F): features of the promoter network;  classes (N, S x 3): log-probabilities of its classes
    predictions  (N, K) of the oracle for its `outputs` (K,); an output that bears a species' name is of that species alone
    scores       where there is a discriminator, its out-of-fold scores of this set and of the real one, each (N,), higher = real
    """

    set: str
    codes: npt.NDArray[np.uint8]
    species: npt.NDArray[np.int64]
    names: tuple[str, ...]
    fred: Floats
    basis: Basis
    p_fid: Floats
    classes: Floats
    predictions: Floats
    outputs: tuple[str, ...]
    scores: tuple[Floats, Floats] | None = None

    def of(self, label: int) -> "Features":
        """The rows of a species."""
        rows = self.species == label
        part = {name: getattr(self, name)[rows] for name in ("codes", "species", *_TABLES)}
        scores = None if self.scores is None else tuple(side[rows] for side in self.scores)
        return replace(self, scores=scores, **part)


_TABLES = ("fred", "p_fid", "classes", "predictions")
_ARRAYS = ("set", "codes", "species", "names", *_TABLES, "centre", "components", "share", "outputs")


def write_features(path: str | os.PathLike, found: Features) -> None:
    """Write the features of a set as .npz."""
    arrays = {name: getattr(found, name) for name in _ARRAYS if hasattr(found, name)} | vars(found.basis)
    if found.scores is not None:
        arrays |= {"discriminator": found.scores[0], "discriminator_real": found.scores[1]}
    write_arrays(path, **arrays)


def read_features(path: str | os.PathLike) -> Features:
    """Read the features of a set; InputError when an array is missing, the rows disagree, or a feature is not finite (with its row)."""
    found = read_arrays(path)
    wanted = [*_ARRAYS, "discriminator_real"] if "discriminator" in found else _ARRAYS
    if missing := [name for name in wanted if name not in found]:
        raise InputError(f"{path} has no array {', '.join(missing)}; write it with dna/describe_set.")
    number = len(found["codes"])
    rows = [name for name in ("species", *_TABLES, "discriminator", "discriminator_real") if name in found]
    for name in rows:
        if len(found[name]) != number:
            raise InputError(f"{path}: codes has {number} rows and {name} {len(found[name])}; describe the set again.")
        if not np.isfinite(found[name]).all():
            row = np.argwhere(~np.isfinite(found[name]))[0][0]
            raise InputError(f"{path}: {name} of sequence {row} is not finite; its network diverged or is another one.")
    scores = None
    if "discriminator" in found:
        scores = found["discriminator"], found["discriminator_real"]
    return Features(
        str(found["set"]),
        found["codes"],
        found["species"],
        tuple(map(str, found["names"])),
        basis=Basis(found["centre"], found["components"], float(found["share"])),
        outputs=tuple(map(str, found["outputs"])),
        scores=scores,
        **{name: found[name] for name in _TABLES},
    )


def parts_of(species: npt.NDArray) -> npt.NDArray[np.int64]:
    """Which part of the cross-fitting each row belongs to, (N,): in turn within each species.

    Rows of the same number of the two sets share a part. So the parts are balanced, and a set judged against itself is never told apart.
    """
    part = np.empty(len(species), dtype=np.int64)
    for label in np.unique(species):
        rows = np.flatnonzero(species == label)
        part[rows] = np.arange(len(rows)) % PARTS
    return part


def by_species(classes: npt.ArrayLike) -> Floats:
    """Log-probabilities of the classes (N, S x 3) -> of the species (N, S), all kinds together."""
    of_kinds = np.asarray(classes, dtype=np.float64)
    return np.logaddexp.reduce(of_kinds.reshape(len(of_kinds), -1, len(KINDS)), axis=2)
