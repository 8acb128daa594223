"""Reference sets beside which a generator is judged: real sequences of a fold, and floors made from the training fold.

train, validation, test   real sequences, drawn without replacement, in the order of the data set
annotation                the same from windows at annotated 5' ends, which are no part of the data set
shuffle                   real training sequences, each with its dinucleotides shuffled
markov<k>                 drawn from a Markov chain of order k fitted on the training fold
position_markov<k>        the same with a table per position, counted over the 13 positions around it (6 on each side)
"""

import re

import numpy as np
import numpy.typing as npt

from genovision.alphabet import decode, encode
from genovision.dna import markov
from genovision.dna.shuffle import dinucleotide_shuffle

FOLDS = ("train", "validation", "test")
REAL = (*FOLDS, "annotation")
HALF_WINDOW = 6
_CHAIN = re.compile(r"(position_)?markov([0-8])")


def is_reference(name: str) -> bool:
    """Is this a set `reference_set` can make?"""
    return name in REAL or name == "shuffle" or _CHAIN.fullmatch(name) is not None


def _draw(sequences: list[str], number: int, rng: np.random.Generator) -> list[str]:
    chosen = np.sort(rng.permutation(len(sequences))[:number])
    return [sequences[index] for index in chosen]


def reference_set(name: str, folds: dict[str, list[str]], number: int, rng: np.random.Generator) -> list[str]:
    """`number` sequences of the set `name`; folds maps the names of REAL to their sequences.

    Floors are made from training sequences of A, C, G, T only. Raises ValueError for an unknown name, and when a fold has
    fewer sequences than are to be drawn from it.
    """
    if not is_reference(name):
        raise ValueError(
            f"no reference set {name!r}: {', '.join(REAL)}, shuffle, markov<k>, position_markov<k>, k <= 8"
        )
    fold = name if name in REAL else "train"
    sequences = folds.get(fold, [])
    if name not in REAL:
        sequences = [sequence for sequence in sequences if not set(sequence) - set("ACGT")]
    chain = _CHAIN.fullmatch(name)
    needed = 1 if chain else number
    if len(sequences) < needed:
        raise ValueError(f"{name} needs {needed} {fold} sequences, and there are {len(sequences)}")
    if name in REAL:
        return _draw(sequences, number, rng)
    if name == "shuffle":
        return decode(dinucleotide_shuffle(encode(_draw(sequences, number, rng)), rng))
    codes: npt.NDArray[np.uint8] = encode(sequences)
    model = markov.fit(codes, int(chain[2]), HALF_WINDOW if chain[1] else None)
    return decode(model.sample(number, codes.shape[1], rng))
