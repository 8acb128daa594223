"""Single models against their ensemble in OOD detection, score by score: does the members' disagreement help?

Xia & Bouganis 2022. ID inputs (right or wrong) are positive. A single model's value is the mean over the training seeds, the ensemble has
all of them as members.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.resampling import Draws
from genovision.uncertainty import metrics, resampled
from genovision.uncertainty.ensembles import averaged_probabilities, decompose
from genovision.uncertainty.evaluation import CHANCE, CONVENTIONS, estimate, evidence, plus_minus, wide
from genovision.uncertainty.metrics import Ranking
from genovision.uncertainty.resampled import Array, mean_over_seeds, over_seeds

SYSTEM = "ensemble_diversity"
# score -> key of `decompose` and the sign that makes it a confidence
SINGLE = {"msp": ("msp", 1), "entropy": ("total", -1), "max_logit": ("max_logit", 1), "energy": ("energy", 1)}
ENSEMBLE = {
    "msp": ("msp", 1),
    "entropy": ("total", -1),
    "average_entropy": ("average", -1),
    "max_logit": ("max_logit", 1),
    "energy": ("energy", 1),
    "mutual_information": ("mutual_information", -1),
    "epkl": ("epkl", -1),
    "variation_ratio": ("variation_ratio", -1),
}
MEAN = "ood_mean"


class Tables(NamedTuple):
    """detection: system (single, ensemble), score, ood, metric (auroc, fpr95), value, low, high, and against a single model's entropy:
               difference, difference_low, difference_high; best_single, chance; positives, negatives, seeds, convention
    selective: system, ood (none, or the set mixed in), metric (accuracy, aurc, coverage_at_5_percent_risk, aurr), value, low, high,
               seeds, convention
    conditional: set, bin, average_entropy, mutual_information (means in the bin), inputs
    evidence: for the ledger"""

    detection: pd.DataFrame
    selective: pd.DataFrame
    conditional: pd.DataFrame
    evidence: pd.DataFrame


def evaluate(logits: Mapping[str, Array], labels: npt.NDArray[np.int64], draws: Draws) -> Tables:
    """Tables of one family of models that differ by seed.

    logits: split -> (N, M, K), `test` and the OOD sets, M >= 2;  labels: (N,) of the test split
    """
    members = logits["test"].shape[1]
    if members < 2:
        raise ValueError(f"an ensemble needs models of two seeds at least, there are {members}")
    single = [_confidences({name: v[:, [m]] for name, v in logits.items()}, SINGLE) for m in range(members)]
    whole = _confidences(logits, ENSEMBLE)
    without = [
        _confidences({name: np.delete(v, m, axis=1) for name, v in logits.items()}, ENSEMBLE) for m in _dropped(members)
    ]
    values = _detected(single, whole, without, draws)
    oods = [name for name in logits if name != "test"]
    detection, ledger = _detection(values, single, logits, oods, draws), _claims(values, oods)
    selective, more = _selective(logits, labels, oods, draws)
    return Tables(detection, selective, _conditional(logits), pd.concat([*ledger, *more], ignore_index=True))


def _dropped(members: int) -> range:
    """Members to leave out, one at a time, for the variation over seeds: none of two, because one alone is no ensemble."""
    return range(members if members > 2 else 0)


def _confidences(logits: Mapping[str, Array], scores: Mapping[str, tuple[str, int]]) -> dict[str, dict[str, Array]]:
    """split -> score -> confidences (N,)."""
    parts = {name: decompose(v) for name, v in logits.items()}
    return {name: {score: sign * part[key] for score, (key, sign) in scores.items()} for name, part in parts.items()}


def _metrics(scores: Mapping[str, Mapping[str, Array]], score: str, draws: Draws) -> dict[tuple[str, str], Array]:
    """(metric, OOD set) -> replicates, for one model or ensemble."""
    ours = scores["test"][score]
    counts = draws("test", len(ours))
    at = resampled.operating(ours, counts, 0.95).threshold
    theirs = {name: some[score] for name, some in scores.items() if name != "test"}
    drawn = {name: draws(name, len(values)) for name, values in theirs.items()}
    found = {("auroc", name): values for name, values in resampled.auroc(ours, theirs, counts, drawn).items()}
    found |= {("fpr95", name): resampled.share_at(theirs[name], drawn[name], at) for name in theirs}
    for metric in ("auroc", "fpr95"):
        found[metric, MEAN] = np.mean([found[key] for key in list(found) if key[0] == metric], axis=0)
    return found


def _detected(
    single: Sequence[dict], whole: dict, without: Sequence[dict], draws: Draws
) -> dict[tuple[str, str, str, str], Array]:
    """(system, score, metric, OOD set) -> replicates over images and seeds."""
    values = {}
    for score in SINGLE:
        each = [_metrics(one, score, draws) for one in single]
        for metric, name in each[0]:
            values["single", score, metric, name] = mean_over_seeds([one[metric, name] for one in each], draws)
    data = Draws(0, draws.seed)
    for score in ENSEMBLE:
        full = _metrics(whole, score, draws)
        less = [_metrics(one, score, data) for one in without]
        for metric, name in full:
            left_out = [one[metric, name][0] for one in less]
            values["ensemble", score, metric, name] = over_seeds(full[metric, name], left_out, draws)
    return values


def _detection(
    values: dict, single: Sequence[dict], logits: Mapping[str, Array], oods: list[str], draws: Draws
) -> pd.DataFrame:
    data = Draws(0, draws.seed)
    best: dict[tuple[str, str], float] = {}
    for one in single:
        for score in SINGLE:
            for key, found in _metrics(one, score, data).items():
                better = max if key[0] == "auroc" else min
                best[key] = better(best.get(key, found[0]), found[0])
    rows = []
    for (system, score, metric, name), replicates in values.items():
        difference = estimate(replicates - values["single", "entropy", metric, name])
        rows.append(
            {"system": system, "score": score, "ood": name, "metric": metric}
            | estimate(replicates)
            | {
                "difference": difference["value"],
                "difference_low": difference["low"],
                "difference_high": difference["high"],
            }
            | {"best_single": best[metric, name], "chance": CHANCE[metric], "positives": len(logits["test"])}
            | {"negatives": sum(len(logits[one]) for one in oods if name in (one, MEAN)), "seeds": len(single)}
            | {
                "convention": f"all ID inputs against OOD; {CONVENTIONS[metric]}; best_single: best seed and score, chosen on these inputs"
            }
        )
    return pd.DataFrame(rows)


def _claims(values: dict, oods: list[str]) -> list[pd.DataFrame]:
    sides = {"single_entropy": ("single", "entropy"), **{score: ("ensemble", score) for score in ENSEMBLE}}
    return [
        evidence(SYSTEM, "auroc_ood", side, name, values[(*key, "auroc", name)])
        for side, key in sides.items()
        for name in oods
    ]


def _selective(
    logits: Mapping[str, Array], labels: npt.NDArray[np.int64], oods: list[str], draws: Draws
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """MSP of single models and of the ensemble in selective classification, without OOD inputs and with as many of a set as of the ID."""
    members = logits["test"].shape[1]
    groups = {"single": [[m] for m in range(members)], "ensemble": [list(range(members))]}
    left = [[n for n in range(members) if n != m] for m in _dropped(members)]
    found = {system: [_of_msp(logits, labels, some, oods, draws) for some in groups[system]] for system in groups}
    less = [_of_msp(logits, labels, some, oods, Draws(0, draws.seed)) for some in left]
    rows, ledger = [], []
    for key in found["single"][0]:
        metric, name = key
        replicates = {
            "single": mean_over_seeds([one[key] for one in found["single"]], draws),
            "ensemble": over_seeds(found["ensemble"][0][key], [one[key][0] for one in less], draws),
        }
        for system, values in replicates.items():
            rows.append(
                {"system": system, "ood": name, "metric": metric}
                | estimate(values)
                | {
                    "seeds": members,
                    "convention": f"{CONVENTIONS[metric]}; MSP; alpha 1/2, costs 1/2"
                    if name != "none"
                    else f"{CONVENTIONS[metric]}; MSP",
                }
            )
            if metric == "aurr":
                ledger.append(evidence(SYSTEM, metric, system, name, values))
    return pd.DataFrame(rows), ledger


def _of_msp(
    logits: Mapping[str, Array], labels: npt.NDArray[np.int64], members: list[int], oods: list[str], draws: Draws
) -> dict[tuple[str, str], Array]:
    v = logits["test"][:, members]
    ours = decompose(v)["msp"]
    correct = averaged_probabilities(v).argmax(axis=1) == labels
    counts = draws("test", len(ours))
    measures = {"aurc": metrics.aurc, "coverage_at_5_percent_risk": partial(metrics.coverage_at_risk, risk=0.05)}
    found = {("accuracy", "none"): resampled.weighted(correct.astype(np.float64), counts)}
    found |= {(k, "none"): v for k, v in resampled.measured(Ranking(ours, correct), counts, measures).items()}
    theirs = {name: decompose(logits[name][:, members])["msp"] for name in oods}
    drawn = {name: draws(name, len(values)) for name, values in theirs.items()}
    for name, one in resampled.streams(ours, correct, theirs, counts, drawn).items():
        found["aurr", name] = one.areas[0, 0]
    return found


def _conditional(logits: Mapping[str, Array], number: int = 12) -> pd.DataFrame:
    """Mean mutual information of each split among inputs of like average entropy: `number` equal bins from 0 to ln K."""
    rows = []
    for name, v in logits.items():
        parts = decompose(v)
        place = np.minimum((parts["average"] / np.log(v.shape[2]) * number).astype(int), number - 1)
        for k in np.unique(place):
            inside = place == k
            means = {
                key: parts[source][inside].mean()
                for key, source in (("average_entropy", "average"), ("mutual_information",) * 2)
            }
            rows.append({"set": name, "bin": int(k), **means, "inputs": int(inside.sum())})
    return pd.DataFrame(rows)


def summary(tables: Tables) -> tuple[pd.DataFrame, pd.DataFrame]:
    """AUROC and FPR@95 in percent with intervals, one row per system and score; `against entropy` is the mean difference to a single
    model's entropy over the OOD sets. The last rows are floors: the best single model and score of each set (chosen on it), and chance."""
    found = []
    for metric in ("auroc", "fpr95"):
        rows = tables.detection[tables.detection["metric"] == metric]
        order = [MEAN, *(name for name in rows["ood"].unique() if name != MEAN)]
        table = wide(rows, ["system", "score"], "ood", order, {MEAN: "OOD mean"})
        means = rows[rows["ood"] == MEAN]
        parts = means[["difference", "difference_low", "difference_high"]].to_numpy()
        table.insert(2, "against entropy", [plus_minus(*part) for part in parts])
        floors = []
        for name, column in (("best", "best_single"), ("chance", "chance")):
            values = rows.drop_duplicates("ood").set_index("ood")[column]
            cells = {{MEAN: "OOD mean"}.get(ood, ood): f"{100 * values[ood]:.1f}" for ood in order}
            floors.append({"system": "floor", "score": name, "against entropy": "", **cells})
        found.append(pd.concat([table, pd.DataFrame(floors)], ignore_index=True))
    return tuple(found)
