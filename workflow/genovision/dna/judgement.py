"""How far a set of sequences is from the real test set, as networks and classifiers see it; with bootstrap intervals, as tidy tables.

What networks see in a set (dna.description) is judged here without one. Columns, evidence and intervals are those of dna.measures, and so
are the samples: a set and the real one are resampled by the streams of their names, the same for every measure of either module, and
replicates are shifted to the estimate. Species are judged each for itself.

Distances fall with the number of sequences, so both sides have the same number of each species, and beside a distance belongs that of
the set `train` (real against real). Classifiers are fitted on two thirds of both sets and judged on the third they have not seen.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from genovision.dna import composition
from genovision.dna.features import Features, by_species, parts_of
from genovision.dna.measures import Measure, shifted
from genovision.errors import InputError
from genovision.frechet import frechet_distance, moments
from genovision.resampling import bootstrap_counts, stream
from genovision.uncertainty.evaluation import estimate, evidence
from genovision.uncertainty.metrics import Ranking, auroc

Floats = npt.NDArray[np.float64]

CHANCE = "chance"  # the set, and the side of the evidence, that guesses
BINS = 20  # of the oracle's predictions
_KMER = 6
_REGULARISATION = 0.01  # scikit-learn's C: a sequence has at most L of the 4096 words

_BOTH = "both sets resampled by sequence, shifted to the estimate"
_CROSS = "0.5 = cannot be told apart; cross-fitted in three parts, mean over parts, scores held fixed"
MEASURES = {
    "fred": Measure(f"FReD: Frechet distance of autoencoder means on their leading principal components; {_BOTH}", 0),
    "p_fid": Measure(f"P-FID: Frechet distance in the desk's promoter network, no S-FID; {_BOTH}", 0),
    "js3": Measure(f"Jensen-Shannon divergence of 3-mers, nats; {_BOTH}", 0, float(np.log(2))),
    "discriminator_logistic": Measure(
        f"AUROC of real against set, logistic regression on 6-mers; {_CROSS}; {_BOTH}", 0, 1
    ),
    "discriminator_cnn": Measure(f"AUROC of real against set, convolutional network; {_CROSS}; {_BOTH}", 0, 1),
    "species_accuracy": Measure(
        "share whose species the promoter network names, real or not; set resampled by sequence, shifted to the estimate",
        *(0, 1),
    ),
    "integration_shift": Measure(
        f"oracle's predictions: difference of means in standard deviations of the real set, mean over outputs; {_BOTH}",
        0,
    ),
    "integration_js": Measure(
        f"oracle's predictions: Jensen-Shannon divergence of histograms of {BINS} equally filled bins, nats, mean over outputs; {_BOTH}",
        *(0, float(np.log(2))),
    ),
}


# --- measures of one species ---------------------------------------------------------------------------------------------------------


class _Weights(NamedTuple):
    """How often each row counts in the estimate (first, all once) and each replicate: (1 + R, N) of the set and of the real one."""

    one: Floats
    real: Floats


def _weights(name: str, real_name: str, number: int, replicates: int, seed: int) -> _Weights:
    sides = []
    for side in (name, real_name):
        drawn = bootstrap_counts(number, replicates, stream(seed, side)) if replicates else np.empty((0, number))
        sides.append(np.vstack([np.ones((1, number)), drawn]))
    return _Weights(*sides)


def frechet(one: npt.ArrayLike, real: npt.ArrayLike, weights: tuple[Floats, Floats]) -> Floats:
    """Frechet distance of features (N, D) and (M, D) for each of R pairs of weightings (R, N) and (R, M): (R,)."""
    values = np.empty(len(weights[0]))
    for index, (left, right) in enumerate(zip(*weights, strict=True)):
        (mean, covariance), (other, covariances) = moments(one, left), moments(real, right)
        # rounding would leave 1e-14 of the distance of a set from itself
        same = np.array_equal(mean, other) and np.array_equal(covariance, covariances)
        values[index] = 0.0 if same else frechet_distance(mean, covariance, other, covariances)
    return values


def separation(one: npt.ArrayLike, real: npt.ArrayLike, part: npt.NDArray, weights: tuple[Floats, Floats]) -> Floats:
    """AUROC of the scores of real (N,) over those of the set (N,), within each part, mean over parts by size, for each weighting: (R,).

    Only scores of one fitted classifier are compared. A replicate that drew no row of a side of a part leaves that part out.
    """
    one, real = np.asarray(one), np.asarray(real)
    values, sizes = [], []
    for index in np.unique(part):
        rows = part == index
        drawn = np.hstack([weights[1][:, rows], weights[0][:, rows]])
        there = drawn.sum(axis=1) > 0
        found = np.full(len(drawn), np.nan)
        if there.any():
            found[there] = auroc(Ranking.separating(real[rows], one[rows]), weights=drawn[there].astype(np.int64))
        values.append(found)
        sizes.append(np.where(np.isnan(found), 0.0, rows.sum()))
    with np.errstate(invalid="ignore"):
        return (np.nan_to_num(values) * sizes).sum(axis=0) / np.sum(sizes, axis=0)


def logistic_scores(
    one: npt.NDArray[np.uint8], real: npt.NDArray[np.uint8], part: npt.NDArray
) -> tuple[Floats, Floats]:
    """Out-of-fold scores of codes (N, L) and (N, L), higher = real: logistic regression on log(1 + count) of 6-mers, for each part fitted
    on the others."""
    from sklearn.linear_model import (
        LogisticRegression,  # here: importing it takes longer than most of what this module does
    )

    sides = [_words(codes) for codes in (one, real)]
    scores = [np.empty(len(codes)) for codes in (one, real)]
    for index in np.unique(part):
        kept = part != index
        model = LogisticRegression(C=_REGULARISATION, tol=1e-3, max_iter=500)
        model.fit(sparse.vstack([side[kept] for side in sides]), np.repeat([0, 1], kept.sum()))
        for score, side in zip(scores, sides, strict=True):
            score[~kept] = model.decision_function(side[~kept])
    return scores[0], scores[1]


def _words(codes: npt.NDArray[np.uint8]) -> sparse.csr_matrix:
    found = composition.kmers(codes, _KMER)
    row = np.repeat(np.arange(len(found)), found.shape[1])
    counts = sparse.coo_matrix((np.ones(found.size), (row, found.ravel())), shape=(len(found), 4**_KMER))
    return counts.tocsr().log1p()


def shift(one: npt.ArrayLike, real: npt.ArrayLike, weights: tuple[Floats, Floats]) -> Floats:
    """|difference of means| of predictions (N, K) and (N, K), in standard deviations of the real ones, mean over outputs: (R,).

    NaN where the real predictions of an output are all the same.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (one, real)]
    means = [w @ side / w.sum(axis=1, keepdims=True) for w, side in zip(weights, sides, strict=True)]
    total = weights[1].sum(axis=1, keepdims=True)
    deviation = np.sqrt(np.maximum(weights[1] @ sides[1] ** 2 / total - means[1] ** 2, 0))
    distance = np.abs(means[0] - means[1])
    return np.divide(distance, deviation, out=np.full(distance.shape, np.nan), where=deviation > 0).mean(axis=1)


def histogram_divergence(one: npt.ArrayLike, real: npt.ArrayLike, weights: tuple[Floats, Floats]) -> Floats:
    """Jensen-Shannon divergence of the predictions' histograms, mean over outputs: (R,). Bins are equally filled by both sets together."""
    sides = [np.asarray(side, dtype=np.float64) for side in (one, real)]
    values = []
    for output in range(sides[0].shape[1]):
        together = np.concatenate([side[:, output] for side in sides])
        edges = np.quantile(together, np.arange(1, BINS) / BINS)
        bins = [np.searchsorted(edges, side[:, output], side="right") for side in sides]
        spectra = [w @ (found[:, None] == np.arange(BINS)) for w, found in zip(weights, bins, strict=True)]
        values.append(composition.jensen_shannon(*spectra))
    return np.mean(values, axis=0)


def _values(one: Features, real: Features, label: int, weights: _Weights) -> dict[str, Floats]:
    part = parts_of(one.species)
    own = [k for k, name in enumerate(one.outputs) if name == one.names[label]]
    outputs = own or [k for k, name in enumerate(one.outputs) if name not in one.names]
    predictions = [side.predictions[:, outputs] for side in (one, real)]
    spectra = (composition.spectrum(side.codes, 3, w) for side, w in zip((one, real), weights, strict=True))
    recognised = weights.one @ (by_species(one.classes).argmax(axis=1) == label) / len(one.codes)
    values = {
        "fred": frechet(one.fred, real.fred, weights),
        "p_fid": frechet(one.p_fid, real.p_fid, weights),
        "js3": composition.jensen_shannon(*spectra),
        "discriminator_logistic": separation(*logistic_scores(one.codes, real.codes, part), part, weights),
    }
    scores = one.scores
    if scores is None and one.set == real.set and np.array_equal(one.codes, real.codes):
        scores = (np.zeros(len(one.codes)),) * 2  # the same sequences: whatever is fitted gives them the same score
    if scores is not None:
        values["discriminator_cnn"] = separation(*scores, part, weights)
    values["species_accuracy"] = recognised
    if outputs:
        values |= {"integration_shift": shift(*predictions, weights)}
        values |= {"integration_js": histogram_divergence(*predictions, weights)}
    return values


# --- tables --------------------------------------------------------------------------------------------------------------------------


class Tables(NamedTuple):
    """measures: species, length, set, motif (""), metric, value, low, high, n, convention
    evidence: system, metric, side, group, replicate (-1 = estimate), value"""

    measures: pd.DataFrame
    evidence: pd.DataFrame


def judge(
    one: Features,
    real: Features,
    *,
    name: str | None = None,
    system: str = "discdiff",
    replicates: int = 200,
    seed: int = 0,
    resample_as: str | None = None,
) -> Tables:
    """Judge a set against the real one, species by species; species that the set lacks are left out.

    name: what the set is called in the tables (default: its own name)
    resample_as: as of `measures.measure`
    The real set judged against itself also brings the rows of the set `chance`: the species accuracy of a guess. So sets put together
    with the real one have them once.
    InputError for other species, networks or components, for unequal numbers, and for too few sequences for a covariance.
    """
    name = name or one.set
    _check(one, real, name)
    rows, frames = [], []
    for label in np.unique(one.species):
        species, number = one.names[label], int((one.species == label).sum())
        weights = _weights(resample_as or one.set, real.set, number, replicates, seed)
        values = {
            (name, metric): shifted(value, *MEASURES[metric][1:])
            for metric, value in _values(one.of(label), real.of(label), label, weights).items()
        }
        if one.set == real.set:
            values[CHANCE, "species_accuracy"] = np.full(1 + replicates, 1 / len(one.names))
        for (side, metric), value in values.items():
            keys = {"species": species, "length": one.codes.shape[1], "set": side, "motif": "", "metric": metric}
            convention = MEASURES[metric].convention
            if side == CHANCE:
                convention = f"a guess among {len(one.names)} species"
            elif not np.isfinite(value[0]):
                convention = f"undefined, the real predictions are all the same; {convention}"
            rows.append({**keys, **estimate(value), "n": number, "convention": convention})
            frames.append(evidence(system, metric, side, species, value))
    return Tables(pd.DataFrame(rows), pd.concat(frames, ignore_index=True))


def _check(one: Features, real: Features, name: str) -> None:
    if one.names != real.names:
        raise InputError(
            f"{name} was described for {', '.join(one.names)} and {real.set} for {', '.join(real.names)}; use one embedding."
        )
    if not len(one.codes):
        raise InputError(f"{name} has no sequence.")
    if one.codes.shape[1] != real.codes.shape[1]:
        raise InputError(f"{name} has sequences of {one.codes.shape[1]} bases and {real.set} of {real.codes.shape[1]}.")
    same = one.basis.components.shape == real.basis.components.shape and one.p_fid.shape[1:] == real.p_fid.shape[1:]
    if not same or not np.array_equal(one.basis.components, real.basis.components) or one.outputs != real.outputs:
        raise InputError(f"{name} and {real.set} were not described by the same networks; describe {name} with --real.")
    for label in np.unique(one.species):
        number, wanted = (int((side.species == label).sum()) for side in (one, real))
        if number != wanted:
            raise InputError(
                f"{name} has {number} sequences of {one.names[label]} and {real.set} {wanted}: distances depend on the number, "
                "so draw as many."
            )
        for metric, features in (("fred", one.fred), ("p_fid", one.p_fid)):
            if number <= features.shape[1]:
                raise InputError(
                    f"{name} has {number} sequences of {one.names[label]}; the covariance of {features.shape[1]} features behind {metric} "
                    f"needs more than {features.shape[1]}: draw more, or describe with fewer components and features."
                )
