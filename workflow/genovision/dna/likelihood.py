"""How sure autoregressive models are of a sequence, and whether that tells promoters of their species from other sequences.

Each base is predicted from those before it. From the distributions of an ensemble's members at all positions come the scores of a sequence,
means over its positions, given the true bases before each (Malinin & Gales 2021; members are averaged at each position, their "product of
expectations"). All logarithms are natural; scores are per base and uncertainties:
higher = less sure. As confidences (higher = accept) they are taken with the opposite sign.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.dna import composition, markov
from genovision.resampling import Draws
from genovision.uncertainty.ensembles import decompose
from genovision.uncertainty.evaluation import estimate, evidence
from genovision.uncertainty.metrics import Ranking, aupr, auroc, fpr_at_tpr
from genovision.uncertainty.resampled import measured

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]
Member = Callable[
    [Codes, npt.NDArray[np.int64]], npt.ArrayLike
]  # codes (N, L), labels (N,) -> log-probabilities (N, L, 4)

SINGLE = ("nll", "total")  # of one member already; for it, `average` is `total` and the others are 0
SCORES = (*SINGLE, "average", "mutual_information", "epkl")
CONTROLS = ("gc", "markov5_nll", "kmer_surprisal")
ORDER, KMER = 5, 6  # of the controls
COLUMNS = ["system", "ood", "score", "metric", "value", "low", "high", "n_id", "n_ood"]
# ID is positive in all of them; aupr is average precision, fpr95 the share of OOD kept by the threshold whose TPR is nearest to 95 %
METRICS: dict[str, Callable[[Ranking], npt.ArrayLike]] = {"auroc": auroc, "aupr": aupr, "fpr95": fpr_at_tpr}
CONTROL = "control"  # system of the controls in the table: they know no model
_BATCH = 64  # sequences at a time: the distributions of all members stay small
_LEAST = -70.0  # of a log-probability: a base that a member excludes leaves everything finite


# --- scores of sequences -------------------------------------------------------------------------------------------------------------


def sequence_scores(log_probabilities: npt.ArrayLike, codes: Codes) -> dict[str, Floats]:
    """Scores (N,) of sequences from the members' log-probabilities (M, N, L, 4) and the bases (N, L) that came.

      nll                 -ln of the averaged probability of the base that came, mean over positions
      total               entropy of the averaged distribution
      average             entropy of a member's distribution, averaged over members
      mutual_information  total - average >= 0: how much the members disagree
      epkl                Kullback-Leibler divergence of two members, averaged over all ordered pairs (a member with itself included)

    Raises ValueError for shapes that disagree, bases that are none of 0 to 3, and what is no distribution (naming member, row, position).
    """
    logs, codes = np.asarray(log_probabilities, dtype=np.float64), np.asarray(codes)
    if logs.ndim != 4 or logs.shape[1:] != (*codes.shape, 4) or not len(logs):
        raise ValueError(
            f"log-probabilities of shape {logs.shape} do not fit codes of shape {codes.shape}: (M, N, L, 4) and (N, L)"
        )
    if codes.size and codes.max() > 3:
        raise ValueError("a sequence has a letter other than A, C, G, T")
    wrong = ~(np.abs(np.exp(logs).sum(axis=-1) - 1) < 1e-3)
    if wrong.any():
        member, row, position = np.argwhere(wrong)[0]
        raise ValueError(f"member {member} gives no distribution for sequence {row} at position {position}")
    members, number, length = logs.shape[:3]
    logs = np.maximum(logs, _LEAST)
    # every position is an input of the ensemble
    found = decompose(logs.reshape(members, -1, 4).swapaxes(0, 1))
    scores = {name: found[name].reshape(number, length).mean(axis=1) for name in SCORES if name != "nll"}
    came = np.take_along_axis(logs, codes[None, :, :, None].astype(np.intp), axis=3)[..., 0]
    nll = np.log(members) - np.logaddexp.reduce(came, axis=0)
    return {"nll": nll.mean(axis=1), **scores}


def scored(
    members: Sequence[Member], codes: Codes, labels: npt.NDArray[np.int64], batch: int = _BATCH
) -> dict[str, Floats]:
    """`sequence_scores` of codes (N, L) under labels (N,), a few sequences at a time; of one member `SINGLE` alone."""
    parts = []
    for at in range(0, len(codes), batch):
        rows = slice(at, at + batch)
        logs = np.stack([np.asarray(member(codes[rows], labels[rows])) for member in members])
        parts.append(sequence_scores(logs, codes[rows]))
    kept = SCORES if len(members) > 1 else SINGLE
    return {name: np.concatenate([part[name] for part in parts]) for name in kept}


class Controls:
    """What a sequence looks like without a network, learned from training sequences (N, L) of A, C, G, T; higher = less like them.

    gc              distance of the G+C content from the training sequences' mean
    markov5_nll     -ln of the probability under a Markov chain of order 5, per base
    kmer_surprisal  -ln of how frequent a 6-mer is in the training sequences (each counted once more than found), mean over the sequence
    """

    def __init__(self, training: Codes):
        self._gc = float(composition.gc_content(training).mean())
        self._chain = markov.fit(training, ORDER)
        counts = composition.spectrum(training, KMER) + 1
        self._surprisal = -np.log(counts / counts.sum())

    def __call__(self, codes: Codes) -> dict[str, Floats]:
        """Scores (N,) by the names of `CONTROLS`."""
        return {
            "gc": np.abs(composition.gc_content(codes) - self._gc),
            "markov5_nll": -self._chain.log_probabilities(codes).mean(axis=1),
            "kmer_surprisal": self._surprisal[composition.kmers(codes, KMER)].mean(axis=1),
        }


# --- tables --------------------------------------------------------------------------------------------------------------------------


def detection(
    inside: Mapping[str, npt.ArrayLike],
    outside: Mapping[str, Mapping[str, npt.ArrayLike]],
    *,
    system: str = "discdiff",
    replicates: int = 200,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How well each score separates each OOD set: table of `COLUMNS`, and evidence (side: score, group: OOD set).

    inside: score -> (N,);  outside: OOD set -> score -> (M,). ID is positive, -score is the confidence. In the table controls are of the
    system `control`; in the evidence all scores are sides of one system, so that a claim can compare them.
    ID sequences are resampled alike for every score and set, those of an OOD set alike for every score, so differences are paired.
    """
    draws = Draws(replicates, seed)
    rows, frames = [], []
    for ood, scores in outside.items():
        for score, values in scores.items():
            confidence = -np.asarray(inside[score]), -np.asarray(values)
            sizes = [len(side) for side in confidence]
            counts = np.hstack([draws(f"sequences of {name}", n) for name, n in zip(("ID", ood), sizes, strict=True)])
            for metric, found in measured(Ranking.separating(*confidence), counts, METRICS).items():
                keys = {
                    "system": CONTROL if score in CONTROLS else system,
                    "ood": ood,
                    "score": score,
                    "metric": metric,
                }
                rows.append({**keys, **estimate(found), "n_id": sizes[0], "n_ood": sizes[1]})
                frames.append(evidence(system, metric, score, ood, found))
    return pd.DataFrame(rows, columns=COLUMNS), pd.concat(frames, ignore_index=True)


def sequence_table(found: Mapping[str, Mapping[str, npt.ArrayLike]]) -> pd.DataFrame:
    """Scores of every sequence: set, sequence (its number in the set), and a column per score."""
    frames = [pd.DataFrame(dict(scores)) for scores in found.values()]
    table = pd.concat(frames, keys=found, names=["set", "sequence"])
    return table.reset_index()
