"""The bases: A, C, G, T in that order, as codes 0 to 3; the IUPAC complement."""

import numpy as np
import numpy.typing as npt

BASES = "ACGT"
IUPAC = "ACGTRYSWKMBDHVN"
_COMPLEMENT = "TGCAYRSWMKVHDBN"

# byte -> byte; lower case stays lower case, a byte that is no IUPAC letter stays itself
COMPLEMENT = np.arange(256, dtype=np.uint8)
for _base, _paired in zip(IUPAC + IUPAC.lower(), _COMPLEMENT + _COMPLEMENT.lower(), strict=True):
    COMPLEMENT[ord(_base)] = ord(_paired)

# byte -> code 0..3 of either case; 255 for everything else
CODE = np.full(256, 255, dtype=np.uint8)
for _index, _base in enumerate(BASES):
    CODE[ord(_base)] = CODE[ord(_base.lower())] = _index


def reverse_complement(sequence: str) -> str:
    """The other strand, 5' to 3'; IUPAC letters are complemented too (R <-> Y, K <-> M, ...), case is kept."""
    letters = np.frombuffer(sequence.encode("ascii"), dtype=np.uint8)
    return COMPLEMENT[letters][::-1].tobytes().decode("ascii")


def encode(sequences) -> npt.NDArray[np.uint8]:
    """Equal-length sequences -> codes, shape (N, L): A 0, C 1, G 2, T 3, any other letter 255.

    Raises ValueError when lengths differ or there is no sequence.
    """
    sequences = list(sequences)
    if not sequences:
        raise ValueError("there is no sequence to encode")
    length = len(sequences[0])
    odd = next((i for i, sequence in enumerate(sequences) if len(sequence) != length), None)
    if odd is not None:
        raise ValueError(
            f"sequence {odd} has {len(sequences[odd])} bases, sequence 0 has {length}: lengths must be equal"
        )
    letters = np.frombuffer("".join(sequences).encode("ascii"), dtype=np.uint8)
    return CODE[letters].reshape(len(sequences), length)


def decode(codes: npt.ArrayLike) -> list[str]:
    """Codes 0 to 3, shape (N, L) -> N strings of A, C, G, T. Raises ValueError for any other code."""
    codes = np.asarray(codes)
    if codes.size and (codes.min() < 0 or codes.max() > 3):
        raise ValueError("codes run from 0 (A) to 3 (T)")
    letters = np.frombuffer(BASES.encode("ascii"), dtype=np.uint8)[codes]
    return [row.tobytes().decode("ascii") for row in letters]
