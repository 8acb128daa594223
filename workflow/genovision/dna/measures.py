"""All measures of one set of sequences against the real test set of its species, with bootstrap intervals, as tidy tables.

Every measure is computed for 1 + R weightings of the sequences: first all once (the estimate), then R bootstrap samples of them. Both
sides are resampled, the real one by the same samples for every set (common random numbers), so that differences between sets are paired.

Resampling both sides adds their sampling noise a second time: distances come out larger and correlations lower than the estimate. The
replicates are therefore shifted so that their mean is the estimate (and clipped to the measure's range); their spread is what is used. An
interval is thus one for the measure's expected value at this number of sequences, the number at which all sets are compared.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.alphabet import encode
from genovision.dna import composition, curves, diversity
from genovision.dna.copying import nearest_identity
from genovision.dna.curves import CURVES
from genovision.dna.motifs import Motif, hits, in_windows
from genovision.resampling import bootstrap_counts, interval, stream

LEVEL = 0.95
KMER = 6


class Tables(NamedTuple):
    """measures: species, length, set, motif, metric, value, low, high, n, convention
    curves: species, length, set, motif, position (relative to the start site), percent, low, high; and the same counted in windows of
    `window` bases, as EPD draws it: window, window_percent, window_low, window_high
    composition: species, length, set, position, A, C, G, T (fractions)
    evidence: system, metric, side, group, replicate (-1 = estimate), value"""

    measures: pd.DataFrame
    curves: pd.DataFrame
    composition: pd.DataFrame
    evidence: pd.DataFrame


class Measure(NamedTuple):
    """How a metric is defined, in the words of the table, and the range its values keep to."""

    convention: str
    low: float = -np.inf
    high: float = np.inf


_BOTH = "both sets resampled by sequence, shifted to the estimate"
_OWN = "set resampled by sequence, shifted to the estimate"
_HALF = "random halves of the sets, shifted to the estimate"
MEASURES = {
    "cor": Measure(f"CorM: Pearson of the two curves over all positions; {_BOTH}", -1, 1),
    "mse": Measure(f"MSE_M: mean squared difference of the curves, percentage points squared; {_BOTH}", 0),
    "peak": Measure(f"percent of sequences, highest position of the expected region; {_OWN}", 0, 100),
    "peak_position": Measure("position of the peak, start site 0, one base upstream -1"),
    "background": Measure(f"percent of sequences, median position outside the expected region; {_OWN}", 0, 100),
    "js6": Measure(f"Jensen-Shannon divergence of 6-mers, nats; {_BOTH}", 0, float(np.log(2))),
    "gc": Measure(f"fraction of G and C, mean over sequences; {_OWN}", 0, 1),
    "composition_l1": Measure(f"mean absolute difference of base fractions by position; {_BOTH}", 0, 0.5),
    "div": Measure(f"Div, n-grams of 10, 11, 12; {_HALF}", 0, 1),
    "delta_div": Measure(f"Div relative to the real set's, percent; {_HALF}"),
    "nearest_identity": Measure(f"1 - Hamming / L to the nearest training sequence, mean over sequences; {_OWN}", 0, 1),
    "nearest_identity_max": Measure("1 - Hamming / L to the nearest training sequence, highest of the set", 0, 1),
}


def shifted(values: npt.ArrayLike, low: float = -np.inf, high: float = np.inf) -> npt.NDArray[np.float64]:
    """(1 + R,) estimate and replicates -> the same with the replicates' mean moved to the estimate, clipped to [low, high].

    Undefined (NaN) replicates stay so; with an undefined estimate all are.
    """
    values = np.array(values, dtype=np.float64)
    replicates = values[1:]
    known = np.isfinite(replicates)
    if known.any():
        values[1:] = np.clip(replicates - replicates[known].mean() + values[0], low, high)
    return values


class _Side:
    """One of the two sets: codes, weightings (1 + R, N) and halves (1 + R, N), drawn from the stream of a name."""

    def __init__(self, name: str, sequences: Sequence[str], replicates: int, seed: int):
        self.codes = encode(sequences)
        number = len(self.codes)
        rng = stream(seed, name)
        self.weights = np.ones((1 + replicates, number))
        self.halves = np.ones((1 + replicates, number), dtype=bool)
        if replicates:
            self.weights[1:] = bootstrap_counts(number, replicates, rng)
            self.halves[1:] = diversity.half_samples(number, replicates, rng)

    def mean(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Mean over sequences of values (N,) or (N, ...), for each weighting."""
        return np.tensordot(self.weights, values, axes=1) / len(self.codes)

    def curve(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Percent of sequences at each position, for each weighting: (1 + R, L)."""
        return 100.0 * self.mean(mask.astype(np.float64))


def _motif_values(curve, real_curve, motif: Motif) -> dict[str, npt.NDArray[np.float64]]:
    return {
        "cor": curves.cor_m(curve, real_curve),
        "mse": curves.mse_m(curve, real_curve),
        "peak": curves.peak(curve, motif),
        "peak_position": np.array([curves.peak_position(curve[0], motif)]),
        "background": curves.background(curve, motif),
    }


def _with_band(curve, prefix: str = "") -> dict[str, npt.NDArray[np.float64]]:
    """Columns percent, low, high of a curve (1 + R, L): the estimate and the percentile interval at each position."""
    none = np.full(curve.shape[1], np.nan)
    low, high = interval(curve[1:], LEVEL) if len(curve) > 1 else (none, none)
    return {f"{prefix}percent": curve[0], f"{prefix}low": low, f"{prefix}high": high}


def _set_values(one: _Side, real: _Side, identity: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    div, div_real = (diversity.subset_diversity(side.codes, side.halves) for side in (one, real))
    spectra = (composition.spectrum(side.codes, KMER, side.weights) for side in (one, real))
    fractions = (composition.base_fractions(side.codes, side.weights) for side in (one, real))
    return {
        "js6": composition.jensen_shannon(*spectra),
        "gc": one.mean(composition.gc_content(one.codes)),
        "composition_l1": composition.composition_l1(*fractions),
        "div": div,
        "delta_div": 100.0 * (div - div_real) / div_real,
        "nearest_identity": one.mean(identity),
        "nearest_identity_max": identity.max(keepdims=True),
    }


def measure(
    name: str,
    sequences: Sequence[str],
    real: Sequence[str],
    train: Sequence[str],
    motifs: Sequence[Motif],
    *,
    species: str,
    real_name: str = "test",
    system: str = "epd_gendna",
    replicates: int = 200,
    seed: int = 0,
    resample_as: str | None = None,
) -> Tables:
    """Measure a set against the real one.

    name, sequences  the set; the real set itself may be measured too (name == real_name: it is then resampled as one)
    real             as many real sequences, all of one length
    train            the training fold, in which near copies are looked for. The set called `train` is drawn from it, so there an equal
                     training sequence is taken for the sequence itself and left out (the data set has no duplicates)
    resample_as      name of the stream that the set is resampled by (default: its own). Sets that share one are resampled alike, so what
                     a refinement did to each sequence of its parent shows as a paired difference
    Raises ValueError for unequal numbers or lengths.
    """
    if len(sequences) != len(real):
        raise ValueError(f"{len(sequences)} sequences of {name} against {len(real)} real ones: numbers must be equal")
    if len({len(group[0]) for group in (sequences, real, train) if group}) != 1:
        raise ValueError(f"{name}, the real and the training sequences must have one length")
    one, truth = _Side(resample_as or name, sequences, replicates, seed), _Side(real_name, real, replicates, seed)
    number, length = one.codes.shape
    identity = nearest_identity(one.codes, encode(train), exclude_equal=name == "train")

    values = {("", metric): value for metric, value in _set_values(one, truth, identity).items()}
    curve_frames, notes = [], {}
    keys = {"species": species, "length": length, "set": name}
    for motif in motifs:
        mask = hits(one.codes, motif)
        curve, windowed = one.curve(mask), one.curve(in_windows(mask, motif.window))
        real_curve = truth.curve(hits(truth.codes, motif))
        found = _motif_values(curve, real_curve, motif)
        if np.median(real_curve[0]) == 0:
            notes["cor", motif.name] = "the real set has no hit at most positions, too few for a trustworthy interval"
        values |= {(motif.name, metric): value for metric, value in found.items()}
        place = {**keys, "motif": motif.name, "position": curves.positions(length), **_with_band(curve)}
        curve_frames.append(pd.DataFrame({**place, "window": motif.window, **_with_band(windowed, "window_")}))

    values = {key: shifted(value, *MEASURES[key[1]][1:]) for key, value in values.items()}
    fractions = composition.base_fractions(one.codes)
    columns = {"position": curves.positions(length), **dict(zip("ACGT", fractions.T, strict=True))}
    return Tables(
        measures=pd.DataFrame(
            [
                {**keys, **_row(motif, metric, v, number, notes.get((metric, motif)))}
                for (motif, metric), v in values.items()
            ]
        ),
        curves=pd.concat(curve_frames, ignore_index=True) if curve_frames else pd.DataFrame(columns=CURVES),
        composition=pd.DataFrame({**keys, **columns}),
        evidence=_evidence(values, system, name, species),
    )


def _row(motif: str, metric: str, values: npt.NDArray[np.float64], number: int, note: str | None) -> dict:
    convention = MEASURES[metric].convention
    if note:
        convention = f"{convention}; {note}"
    if not np.isfinite(values[0]):
        convention = f"undefined, {_why(metric)}; {convention}"
    replicates = values[1:]
    low, high = interval(replicates, LEVEL) if np.isfinite(replicates).any() else (np.nan, np.nan)
    bounds = {"value": values[0], "low": low, "high": high}
    return {"motif": motif, "metric": metric, **bounds, "n": number, "convention": convention}


def _why(metric: str) -> str:
    reasons = {
        "cor": "a curve is constant",
        "peak": "the expected region lies outside the window",
        "peak_position": "no hit in the expected region",
        "background": "the expected region covers the window",
    }
    return reasons.get(metric, "too few sequences")


def _evidence(values: dict, system: str, name: str, species: str) -> pd.DataFrame:
    """Long table of the measures that have replicates; the others are descriptions, not evidence."""
    frames = []
    for (motif, metric), value in values.items():
        if metric in ("peak_position", "nearest_identity_max"):
            continue
        label = f"{metric}:{motif}" if motif else metric
        columns = {"system": system, "metric": label, "side": name, "group": species}
        frames.append(pd.DataFrame({**columns, "replicate": np.arange(len(value)) - 1, "value": value}))
    return pd.concat(frames, ignore_index=True)


SUMMARY = {
    "TATA-box cor": ("TATA-box", "cor"),
    "TATA-box peak (%)": ("TATA-box", "peak"),
    "Initiator cor": ("Initiator", "cor"),
    "js6 (nats)": ("", "js6"),
    "composition_l1": ("", "composition_l1"),
    "delta_div (%)": ("", "delta_div"),
    "nearest_identity": ("", "nearest_identity"),
}


def summary(measures: pd.DataFrame) -> pd.DataFrame:
    """The measures that tell sets apart, for reading: one row per species and set, cells `value [low, high]`, "" where not measured."""
    cells = {
        (row.species, row.set, row.motif, row.metric): f"{row.value:.3g} [{row.low:.3g}, {row.high:.3g}]"
        for row in measures.itertuples()
        if row.value == row.value
    }
    rows = measures.drop_duplicates(["species", "set"])[["species", "set", "n"]].reset_index(drop=True)
    for name, (motif, metric) in SUMMARY.items():
        rows[name] = [
            cells.get((species, name_of_set, motif, metric), "")
            for species, name_of_set in zip(rows["species"], rows["set"], strict=True)
        ]
    return rows


def join(tables: Sequence[pd.DataFrame], floor: str) -> pd.DataFrame:
    """Measures of many sets in one table, with the `floor` set's value of the same species, length, motif and metric in column `floor`.

    The order of the tables is kept; NaN where the floor set was not measured. Raises ValueError when a row occurs twice.
    """
    key = ["species", "length", "motif", "metric"]
    together = pd.concat(tables, ignore_index=True)
    together["motif"] = together["motif"].astype(object).fillna("")  # a column of nothing but "" comes back as numbers
    twice = together.duplicated([*key, "set"])
    if twice.any():
        row = together[twice].iloc[0]
        raise ValueError(
            f"{row['metric']} of set {row['set']}, {row['species']}, length {row['length']} is there twice"
        )
    floors = together.loc[together["set"] == floor, [*key, "value"]].rename(columns={"value": "floor"})
    joined = together.merge(floors, on=key, how="left", validate="many_to_one")
    columns = list(together.columns)
    columns.insert(columns.index("high") + 1, "floor")
    return joined[columns]
