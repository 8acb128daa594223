"""Core-promoter motifs, and where they occur around the transcription start site.

A motif is a table of log-odds (one row per column of the motif), a cut-off, and the column whose place is reported. A window of
the sequence is a hit when the sum of its entries is at least the cut-off, as in OProf and FindM, the tools of the Eukaryotic
Promoter Database (EPD). Scores are sums of whole millionths, so the comparison is exact: a score equal to the cut-off is a hit.

The search is lightmotif's (Larralde & Zeller), on many sequences joined; scores near the cut-off are summed again in integers.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genovision.alphabet import BASES, CODE, encode
from genovision.errors import InputError

UNIT = 1e-6  # one step of a score; EPD's tables have two decimals
BLOCK = 1 << 18  # bases scored at a time: letters and scores stay in the processor's cache
# bytes of text in either case, or codes 0 to 3 -> the scanner's letters
_LETTER_OF_BYTE = bytes(ord(chr(byte).upper()) if chr(byte).upper() in BASES else ord("N") for byte in range(256))
_LETTER_OF_CODE = BASES.encode("ascii") + b"N" * 252


@dataclass(frozen=True, eq=False)
class Motif:
    """A position weight matrix with its threshold.

    name       what tables and figures call it
    matrix     (W, 4) log-odds, columns A, C, G, T; held as float64, read-only
    cutoff     a window is a hit when its score is >= cutoff
    reference  column, 0-based, whose place in the sequence is the place of the hit
    region     where the motif is expected, (first, last) inclusive, relative to the transcription start site: its base is +1,
               the one before it -1, and there is no 0; None when nothing is expected
    window     width in bases of the window in which EPD counts it, for curves that are not by single position

    Raises ValueError when the shapes or values cannot be.
    """

    name: str
    matrix: npt.NDArray[np.float64]
    cutoff: float
    reference: int
    region: tuple[int, int] | None = None
    window: int = 1

    def __post_init__(self):
        matrix = np.array(self.matrix, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != 4 or len(matrix) == 0:
            raise ValueError(f"the matrix of {self.name} has shape {matrix.shape}, not (columns, 4)")
        if not (np.isfinite(matrix).all() and np.isfinite(self.cutoff)):
            raise ValueError(f"{self.name} has a log-odds or a cut-off that is not finite")
        if not 0 <= self.reference < len(matrix):
            raise ValueError(f"reference column {self.reference} of {self.name} is not in 0 .. {len(matrix) - 1}")
        if self.region is not None and (0 in self.region or self.region[0] > self.region[1]):
            raise ValueError(f"region {self.region} of {self.name}: first <= last, and there is no position 0")
        if self.window < 1:
            raise ValueError(f"window {self.window} of {self.name} is not at least 1 base")
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    def reverse_complement(self) -> "Motif":
        """The motif as it reads on the other strand, with the same reference column."""
        return replace(self, matrix=self.matrix[::-1, ::-1], reference=len(self.matrix) - 1 - self.reference)

    def units(self) -> tuple[npt.NDArray[np.int64], int]:
        """The matrix and the cut-off in whole millionths."""
        return np.rint(self.matrix / UNIT).astype(np.int64), round(self.cutoff / UNIT)

    def to_json(self) -> str:
        """One JSON object; `from_json` gives an equal motif back."""
        fields = {"name": self.name, "cutoff": self.cutoff, "reference": self.reference}
        fields |= {"region": self.region and list(self.region), "window": self.window}
        return json.dumps({**fields, "matrix": self.matrix.tolist()}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Motif":
        """Read what `to_json` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        fields = json.loads(text)
        region = fields.get("region")
        region = None if region is None else (int(region[0]), int(region[1]))
        numbers = {"cutoff": float(fields["cutoff"]), "reference": int(fields["reference"])}
        return cls(str(fields["name"]), fields["matrix"], **numbers, region=region, window=int(fields.get("window", 1)))


def _epd(name: str, rows: str, **fields) -> Motif:
    return Motif(name, np.array([row.split() for row in rows.strip().splitlines()], dtype=np.float64), **fields)


# EPD's matrices (Bucher 1990, J. Mol. Biol. 212:563), every row shifted so that its best base has 0. Values are those of the files
# behind EPD's tools (pwmlib/*.wmx) and cut-offs and reference columns those of its search form. EPD's web documentation differs in
# places (TATA-box, third row, G: -4.28; cut-offs of Initiator -3.75 and CCAAT-box -4.54; a ninth column of Initiator): not used here.
# Regions are those EPD searches, the Initiator's widened to both sides of the start site; windows are the form's suggestions.
EPD: dict[str, Motif] = {
    motif.name: motif
    for motif in (
        _epd(
            "TATA-box",
            cutoff=-8.16,
            reference=3,
            region=(-36, -20),
            window=20,
            rows="""
            -1.02 -0.28  0.00 -1.68
            -3.05 -2.06 -2.74  0.00
             0.00 -5.22 -4.38 -2.28
            -4.61 -3.49 -4.61  0.00
             0.00 -5.17 -3.77 -2.34
             0.00 -4.63 -4.73 -0.52
             0.00 -4.12 -2.65 -3.65
             0.00 -3.74 -1.50 -0.37
            -0.01 -1.13  0.00 -1.40
            -0.94 -0.05  0.00 -0.97
            -0.54  0.00 -0.09 -1.40
            -0.48 -0.05  0.00 -0.82
            -0.48 -0.11  0.00 -0.66
            -0.74 -0.28  0.00 -0.54
            -0.62 -0.40  0.00 -0.61""",
        ),
        _epd(
            "Initiator",
            cutoff=-3.77,
            reference=2,
            region=(-5, 5),
            window=8,
            rows="""
            -1.14 -1.16 -0.75  0.00
            -5.26  0.00 -5.26 -5.26
             0.00 -5.21 -5.21 -2.74
            -1.51 -0.41  0.00 -0.29
            -0.65 -0.45 -4.56  0.00
            -0.55  0.00 -0.86 -0.36
            -0.91 -0.29 -0.38  0.00
            -0.82 -0.18 -0.65  0.00""",
        ),
        _epd(
            "CCAAT-box",
            cutoff=-4.53,
            reference=7,
            region=(-212, -57),
            window=50,
            rows="""
            -0.02 -0.01 -1.46  0.00
            -0.49  0.00 -0.24 -0.01
            -1.19 -0.57 -1.26  0.00
             0.00 -3.46 -0.40 -3.16
            -0.61 -2.45  0.00 -1.44
            -4.39  0.00 -4.03 -3.99
            -4.40  0.00 -4.40 -4.40
             0.00 -4.37 -4.37 -4.37
             0.00 -2.45 -1.69 -1.33
            -2.12 -4.27 -2.26  0.00
            -1.32  0.00 -0.47 -2.84
             0.00 -2.64 -0.81 -3.57""",
        ),
        _epd(
            "GC-box",
            cutoff=-4.90,
            reference=6,
            region=(-164, 1),
            window=35,
            rows="""
             0.00 -0.95 -1.16 -0.10
             0.00 -1.12 -0.38 -1.00
            -0.52 -2.26  0.00 -0.15
            -0.39 -3.25  0.00 -3.75
            -4.07 -3.80  0.00 -3.93
            -3.42 -4.23  0.00 -4.02
            -1.05  0.00 -4.58 -0.98
            -1.09 -3.67  0.00 -3.34
            -3.57 -3.05  0.00 -0.69
            -0.03 -3.52  0.00 -1.14
            -1.35 -1.90  0.00 -0.83
            -3.98  0.00 -1.83 -0.56
            -1.56 -0.42 -1.09  0.00
            -0.72 -1.45 -0.27  0.00""",
        ),
    )
}


def from_jaspar(
    name: str,
    counts: Mapping[str, Iterable[float]],
    *,
    pseudocount: float = 1.0,
    background: tuple[float, float, float, float] = (0.25, 0.25, 0.25, 0.25),
    relative_cutoff: float = 0.8,
    reference: int | None = None,
    region: tuple[int, int] | None = None,
) -> Motif:
    """Motif from the base counts of a JASPAR matrix: {"A": (W,), "C": ..., "G": ..., "T": ...}.

    Log-odds are ln((count + pseudocount * background) / (column total + pseudocount) / background), each row then shifted so that its
    best base has 0 (as in EPD's matrices) and rounded to millionths, the unit in which they are scored. The cut-off lies at
    `relative_cutoff` of the way from the lowest to the highest possible score. `reference` is the middle column, W // 2, unless given.
    Raises ValueError for a pseudocount that is not positive, a background that is no distribution, or a cut-off outside [0, 1].
    """
    table = np.array([list(counts[base]) for base in BASES], dtype=np.float64).T
    base = np.asarray(background, dtype=np.float64)
    if pseudocount <= 0 or (table < 0).any():
        raise ValueError(f"{name}: counts must not be negative and the pseudocount ({pseudocount}) must be positive")
    if base.shape != (4,) or (base <= 0).any() or not np.isclose(base.sum(), 1):
        raise ValueError(f"{name}: background {background} is not a distribution over A, C, G, T")
    if not 0 <= relative_cutoff <= 1:
        raise ValueError(f"{name}: relative cut-off {relative_cutoff} is not in [0, 1]")
    frequency = (table + pseudocount * base) / (table.sum(axis=1, keepdims=True) + pseudocount)
    log_odds = np.log(frequency / base)
    matrix = np.round(log_odds - log_odds.max(axis=1, keepdims=True), 6)
    cutoff = round(float((1 - relative_cutoff) * matrix.min(axis=1).sum()), 6)
    return Motif(name, matrix, cutoff, len(matrix) // 2 if reference is None else reference, region)


def read_motif(path: str | os.PathLike) -> Motif:
    """Motif from a JSON file written by `Motif.to_json`; InputError names the file."""
    try:
        return Motif.from_json(Path(path).read_text())
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"{path} is not a motif ({error}): write it with dna/read_jaspar.") from error


def _texts(sequences) -> tuple[int, int, Iterable[bytes]]:
    """Number N and length L of the sequences, and their letters joined, A, C, G, T or N, BLOCK bases or so at a time."""
    if isinstance(sequences, np.ndarray) and sequences.dtype == np.uint8 and sequences.ndim == 2:
        number, length = sequences.shape
        join, letter = np.ndarray.tobytes, _LETTER_OF_CODE
    else:
        sequences = list(sequences)
        if len(set(map(len, sequences))) != 1:
            encode(sequences)  # says which
        number, length = len(sequences), len(sequences[0])
        join, letter = (lambda block: "".join(block).encode("ascii")), _LETTER_OF_BYTE
    step = max(1, BLOCK // max(1, length))
    return number, length, (join(sequences[first : first + step]).translate(letter) for first in range(0, number, step))


def _find(text: bytes, motif: Motif, scoring) -> npt.NDArray[np.int64]:
    """Start of every window that is a hit, in no order: lightmotif scores in float32, what comes near the cut-off is scored again."""
    import lightmotif  # not above: the environment of the figures reads this file and has no scanner

    width = len(motif.matrix)
    scores = np.asarray(memoryview(scoring.calculate(lightmotif.stripe(text.decode("ascii"))))).T
    # scores[column, lane] belongs to the window that starts at lane * columns + column; behind the last window there is padding
    columns, lanes = scores.shape
    slack = 1e-6 * width * np.abs(motif.matrix).max(axis=1).sum() + 1e-5
    place = np.flatnonzero(scores >= np.float32(motif.cutoff - slack))
    near = scores.ravel()[place] < np.float32(motif.cutoff + slack)
    starts = (place % lanes) * columns + place // lanes
    inside = starts <= len(text) - width
    starts, near = starts[inside], near[inside]
    doubtful = np.flatnonzero(near)
    units, cutoff = motif.units()
    codes = CODE[np.frombuffer(text, dtype=np.uint8)[starts[doubtful, None] + np.arange(width)]]
    exact = units[np.arange(width), codes & 3].sum(axis=1)
    return np.delete(starts, doubtful[(exact < cutoff) | (codes > 3).any(axis=1)])


def _places(sequences, motif: Motif) -> tuple[int, int, npt.NDArray[np.int64]]:
    """N, L and the flat position (sequence * L + column) of the reference column of every hit on the given strand, in no order."""
    import lightmotif

    number, length, texts = _texts(sequences)
    width = len(motif.matrix)
    if width > length:
        return number, length, np.empty(0, dtype=np.int64)
    # the scanner's fifth letter: one of it sinks every window
    entries = {base: motif.matrix[:, i].tolist() for i, base in enumerate(BASES)}
    entries["N"] = [-4 * (np.abs(motif.matrix).max(axis=1).sum() + abs(motif.cutoff)) - 1] * width
    scoring = lightmotif.ScoringMatrix(entries)
    found, offset = [], motif.reference
    for text in texts:
        starts = _find(text, motif, scoring)
        # the others span two sequences
        found.append(starts[starts % length <= length - width] + offset)
        offset += len(text)
    return number, length, np.concatenate(found)


def hits(sequences, motif: Motif, both_strands: bool = False) -> npt.NDArray[np.bool_]:
    """Where the motif lies: (N, L), True at the reference column of a hit.

    sequences     N strings of equal length L, or their codes (N, L) uint8 (genovision.alphabet.encode)
    both_strands  also read the other strand; TATA-box and Initiator are oriented, EPD reads them forward only

    A window with a letter other than A, C, G, T is no hit. Raises ValueError for unequal lengths or no sequence.
    """
    number, length, places = _places(sequences, motif)
    mask = np.zeros(number * length, dtype=bool)
    mask[places] = True
    if both_strands:
        mask[_places(sequences, motif.reverse_complement())[2]] = True
    return mask.reshape(number, length)


def in_windows(mask: npt.NDArray[np.bool_], width: int) -> npt.NDArray[np.bool_]:
    """(N, L) hits -> (N, L): is there one in the window around each position p?

    The window has `width` bases, the first at p - width // 2; at the ends of the sequence it is cut.
    """
    length = mask.shape[1]
    running = np.zeros((len(mask), length + 1), dtype=np.int32)
    np.cumsum(mask, axis=1, out=running[:, 1:])
    first = np.arange(length) - width // 2
    return running[:, np.minimum(first + width, length)] > running[:, np.maximum(first, 0)]


def occurrence(sequences, motif: Motif, both_strands: bool = False, window: int = 1) -> npt.NDArray[np.float64]:
    """Motif-position curve f_M: (L,) percent of sequences with a hit whose reference column lies at each position.

    Arguments as in `hits`. The ends, where the motif does not fit, are 0. With a window: percent of sequences with at least one hit in
    the window around each position (`in_windows`), as EPD's OProf counts.
    """
    if window > 1 or both_strands:
        return 100.0 * in_windows(hits(sequences, motif, both_strands), window).mean(axis=0)
    number, length, places = _places(sequences, motif)
    return 100.0 * np.bincount(places % length, minlength=length) / number
