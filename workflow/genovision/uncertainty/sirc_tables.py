"""SIRC against softmax and OOD scores: scores of one model, and tables over models that differ by seed.

Xia & Bouganis 2022. Populations: ID correct, ID wrong, OOD. Each OOD set is held against the correct ID inputs alone (accepting a wrong
one costs as much as accepting an OOD one, so wrong ID inputs are not to be kept); `id_wrong` is misclassification detection without OOD.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.resampling import Draws, stream
from genovision.uncertainty import resampled
from genovision.uncertainty.evaluation import CHANCE, CONVENTIONS, estimate, evidence, wide
from genovision.uncertainty.features import KNN, GradNorm, Mahalanobis, RelativeMahalanobis, Residual, ViM
from genovision.uncertainty.outputs import Head, Outputs
from genovision.uncertainty.resampled import FEW, Array, mean_over_seeds
from genovision.uncertainty.scores import feature_norm, logit_scores
from genovision.uncertainty.sirc import SIRC

SYSTEM = "sirc"
SOFTMAX = {"msp": 1.0, "doctor": 1.0, "neg_entropy": 0.0}  # S1 and its maximum
SECONDARY = ("l1_norm", "residual", "knn")  # S2
DETECTORS = ("max_logit", "energy", *SECONDARY, "vim", "mahalanobis", "relative_mahalanobis", "gradnorm")
FITTED = {
    "residual": Residual,
    "vim": ViM,
    "mahalanobis": Mahalanobis,
    "relative_mahalanobis": RelativeMahalanobis,
    "gradnorm": GradNorm,
}
PAIRS = {f"sirc_{s1}_{s2}": (s1, (s2,)) for s1 in SOFTMAX for s2 in SECONDARY}
PLUS = {f"sirc_plus_{s1}": (s1, SECONDARY) for s1 in SOFTMAX}
COMBINED = {**PAIRS, **PLUS}
SCORES = (*SOFTMAX, *DETECTORS, *COMBINED)
COMPARED = (*SOFTMAX, "energy", "knn", "vim")  # what the claims compare the headline with
WRONG, MEAN = "id_wrong", "ood_mean"
RECALLS = np.linspace(0.01, 1, 100)


def kind(score: str) -> str:
    """softmax, ood, sirc or sirc_plus: what sort of score it is."""
    if score in SOFTMAX:
        return "softmax"
    return "ood" if score in DETECTORS else "sirc" if score in PAIRS else "sirc_plus"


class Scored(NamedTuple):
    """Scores of one model: scores[split][score] (N,), splits `test` and the OOD sets; correct (N,) of the test split; path they came
    from."""

    scores: dict[str, dict[str, Array]]
    correct: npt.NDArray[np.bool_]
    path: str

    @property
    def oods(self) -> list[str]:
        return [name for name in self.scores if name != "test"]


class Tables(NamedTuple):
    """separation: score, kind, ood, metric (auroc, fpr95), value, low, high, chance, positives, negatives, seeds, convention
    aurr: score, kind, ood, alpha, beta, value, low, high, seeds, convention
    curves: score, kind, ood, recall, risk (mean over seeds), low, high
    evidence: for the ledger"""

    separation: pd.DataFrame
    aurr: pd.DataFrame
    curves: pd.DataFrame
    evidence: pd.DataFrame


def score_model(
    train: Outputs, splits: Mapping[str, Outputs], head: Head, bank: int = 12_500, neighbours: int = 10, seed: int = 0
) -> tuple[dict[str, dict[str, Array]], pd.DataFrame]:
    """Every score of one model on every split, and what SIRC learned from the training split.

    train:  ID training outputs, by the test transform;  splits: `test` and the OOD sets by name
    bank:   features of KNN, drawn from the training split, at most half of it; SIRC's statistics of KNN come from the other inputs, because
            an input of the bank is its own nearest neighbour
    Returns ({split: {score: (N,)}}, table: score, s1, s2, s1_max, a, b). Scores are confidences, higher = accept.
    """
    order = stream(seed, "knn bank").permutation(len(train.labels))
    size = min(bank, len(order) // 2)
    given = {"weight": head.weight, "bias": head.bias, "logits": train.logits}
    detectors = {name: make().fit(train.features, train.labels, **given) for name, make in FITTED.items()}
    detectors["knn"] = KNN(neighbours, bank=None).fit(train.features[order[:size]])
    train_s2 = {
        "l1_norm": feature_norm(train.features),
        "residual": detectors["residual"].score(train.features),
        "knn": detectors["knn"].score(train.features[order[size:]]),
    }
    fitted, rows = {}, []
    single = {name: SIRC().fit(values) for name, values in train_s2.items()}
    for name, (s1, s2) in COMBINED.items():
        a, b = (np.array([getattr(single[one], letter) for one in s2], dtype=np.float64) for letter in "ab")
        fitted[name] = SIRC(SOFTMAX[s1], a=a, b=b)
        rows += [
            {"score": name, "s1": s1, "s2": one, "s1_max": SOFTMAX[s1], "a": a[j], "b": b[j]}
            for j, one in enumerate(s2)
        ]
    scores = {}
    for split, outputs in splits.items():
        known = logit_scores(outputs.logits) | {"l1_norm": feature_norm(outputs.features)}
        known |= {name: detector.score(outputs.features, outputs.logits) for name, detector in detectors.items()}
        known |= {
            name: fitted[name].score(known[s1], np.column_stack([known[one] for one in s2]))
            for name, (s1, s2) in COMBINED.items()
        }
        scores[split] = {name: known[name] for name in SCORES}
    return scores, pd.DataFrame(rows)


def evaluate(models: Sequence[Scored], draws: Draws, alphas: Array, betas: Array, headline: str) -> Tables:
    """Tables over seeds. models: one per training seed, on the same inputs; headline: the SIRC score that the claims are about.

    AURR is for every alpha at beta 1/2 and every beta at alpha 1/2, where beta and 1 - beta are the costs of ID errors and OOD inputs.
    """
    if headline not in COMBINED:
        raise ValueError(f"headline {headline!r} is none of {', '.join(COMBINED)}")
    betas = np.unique(np.append(betas, 0.5))
    separation, aurr, curves, ledger = [], [], [], []
    for score in SCORES:
        for metric, by_set in _separated(models, score, draws).items():
            for name, replicates in by_set.items():
                separation.append(_described(score, name, metric, models) | estimate(replicates))
                if metric == "auroc" and name != MEAN:
                    claim, group = ("auroc_correct_wrong", "test") if name == WRONG else ("auroc_correct_ood", name)
                    sides = [side for side in COMPARED if side == score] + ["sirc"] * (score == headline)
                    ledger += [evidence(SYSTEM, claim, side, group, replicates) for side in sides]
        rows, risks = _over_streams(models, score, alphas, betas, draws)
        aurr += rows
        curves += risks
    ledger += _best_of_both(models, draws)
    order = [
        "score",
        "kind",
        "ood",
        "metric",
        "value",
        "low",
        "high",
        "chance",
        "positives",
        "negatives",
        "seeds",
        "convention",
    ]
    return Tables(
        pd.DataFrame(separation)[order],
        pd.DataFrame(aurr),
        pd.concat(curves, ignore_index=True),
        pd.concat(ledger, ignore_index=True),
    )


def _separated(models: Sequence[Scored], score: str, draws: Draws) -> dict[str, dict[str, Array]]:
    """metric -> set -> replicates over seeds; positive are the correct ID inputs."""
    values: dict[str, dict[str, list[Array]]] = {"auroc": {}, "fpr95": {}}
    for one in models:
        ours, right = one.scores["test"][score], one.correct
        counts = draws("test", len(ours))
        kept, wrong = counts[:, right], counts[:, ~right]
        at = resampled.operating(ours[right], kept, 0.95).threshold
        against = {WRONG: ours[~right]} | {name: one.scores[name][score] for name in one.oods}
        drawn = {WRONG: wrong} | {name: draws(name, len(against[name])) for name in one.oods}
        for name, found in resampled.auroc(ours[right], against, kept, drawn).items():
            values["auroc"].setdefault(name, []).append(found)
            values["fpr95"].setdefault(name, []).append(resampled.share_at(against[name], drawn[name], at))
    for by_set in values.values():
        by_set[MEAN] = list(np.mean([by_set[name] for name in models[0].oods], axis=0))
    return {
        metric: {name: mean_over_seeds(seeds, draws) for name, seeds in by_set.items()}
        for metric, by_set in values.items()
    }


def _described(score: str, name: str, metric: str, models: Sequence[Scored]) -> dict:
    """The columns of `separation` that are no estimate."""
    right = round(float(np.mean([one.correct.sum() for one in models])))
    if name == WRONG:
        negatives = len(models[0].correct) - right
    else:
        negatives = sum(len(models[0].scores[one]["msp"]) for one in models[0].oods if name in (one, MEAN))
    return {
        "score": score,
        "kind": kind(score),
        "ood": name,
        "metric": metric,
        "chance": CHANCE[metric],
        "positives": right,
        "negatives": negatives,
        "seeds": len(models),
        "convention": f"correct ID inputs against {'wrong ones' if name == WRONG else 'OOD'}; {CONVENTIONS[metric]}",
    }


def _over_streams(
    models: Sequence[Scored], score: str, alphas: Array, betas: Array, draws: Draws
) -> tuple[list[dict], list[pd.DataFrame]]:
    """AURR rows of one score for every OOD set and every alpha and beta, and the risk at each recall with alpha and beta 1/2."""
    oods = models[0].oods
    whole, along, risks = ({name: [] for name in oods} for _ in range(3))
    for one in models:
        ours, theirs = one.scores["test"][score], {name: one.scores[name][score] for name in oods}
        counts, drawn = draws("test", len(ours)), {name: draws(name, len(theirs[name])) for name in oods}
        some = {name: of[: FEW + 1] for name, of in drawn.items()}
        even = resampled.streams(ours, one.correct, theirs, counts, drawn, costs=((1.0, 0.0), (0.0, 1.0)))
        grid = resampled.streams(ours, one.correct, theirs, counts[: FEW + 1], some, alphas, recalls=RECALLS)
        for name in oods:
            whole[name].append(even[name].areas[0])  # the area is linear in the costs, so this is every beta
            along[name].append(grid[name].areas[:, 0].T)
            risks[name].append(grid[name].risks)
    rows, curves = [], []
    for name in oods:
        place = {"score": score, "kind": kind(score), "ood": name}
        over_alpha, samples = mean_over_seeds(along[name], draws), min(FEW, draws.replicates)
        cells = [({"alpha": at, "beta": 0.5}, over_alpha[:, k], samples) for k, at in enumerate(alphas)]
        for beta in betas:
            values = [beta * from_id + (1 - beta) * from_ood for from_id, from_ood in whole[name]]
            cells.append(({"alpha": 0.5, "beta": beta}, mean_over_seeds(values, draws), draws.replicates))
        for cell, replicates, number in cells:
            words = (
                f"{CONVENTIONS['aurr']}; costs beta, 1 - beta; interval over seeds and {number} samples of the images"
            )
            rows.append(place | cell | estimate(replicates) | {"seeds": len(models), "convention": words})
        replicates = mean_over_seeds(risks[name], draws)
        points = pd.DataFrame([estimate(replicates[:, k]) for k in range(len(RECALLS))]).rename(
            columns={"value": "risk"}
        )
        curves.append(pd.DataFrame({**place, "recall": RECALLS}).join(points))
    return rows, curves


def _best_of_both(models: Sequence[Scored], draws: Draws) -> list[pd.DataFrame]:
    """AURR of the score that is best at telling ID from OOD, and of the one that is best at SCOD, over all OOD sets. Candidates for the
    first are softmax scores and OOD detectors, for the second all scores.

    A score chosen and measured on the same inputs would flatter the choice, so each is chosen on one half of the inputs of every split
    and measured on the other, both ways round; every replicate resamples both halves and chooses anew.
    """
    oods = models[0].oods
    sizes = {name: len(models[0].scores[name]["msp"]) for name in ["test", *oods]}
    first = {name: stream(draws.seed, f"halves of {name}").permutation(size) % 2 == 0 for name, size in sizes.items()}
    halves = [first, {name: ~mask for name, mask in first.items()}]
    risks = [_by_score(models, half, draws, "aurr", SCORES) for half in halves]  # each (scores, OOD sets, seeds, 1 + R)
    separations = [_by_score(models, half, draws, "auroc", (*SOFTMAX, *DETECTORS)) for half in halves]
    candidates = [SCORES.index(score) for score in (*SOFTMAX, *DETECTORS)]
    rows = []
    for side in ("best_ood_detector", "best_scod_score"):
        measured = []
        for here, there in ((0, 1), (1, 0)):
            if side == "best_ood_detector":
                chosen = np.asarray(candidates)[separations[there].mean(axis=(1, 2)).argmax(axis=0)]
            else:
                chosen = risks[there].mean(axis=(1, 2)).argmin(axis=0)
            measured.append(risks[here][chosen, :, :, np.arange(len(chosen))])  # (1 + R, OOD sets, seeds)
        values = np.mean(measured, axis=0)
        for k, name in enumerate(oods):
            rows.append(evidence(SYSTEM, "aurr", side, name, mean_over_seeds(list(values[:, k].T), draws)))
    return rows


def _by_score(
    models: Sequence[Scored],
    half: Mapping[str, npt.NDArray[np.bool_]],
    draws: Draws,
    metric: str,
    scores: Sequence[str],
) -> Array:
    """AUROC (ID against OOD) or AURR of every score on these inputs: (scores, OOD sets, seeds, 1 + R)."""
    oods = models[0].oods
    drawn = {name: draws(name, len(mask))[:, mask] for name, mask in half.items()}
    values = np.empty((len(scores), len(oods), len(models), draws.replicates + 1))
    for k, score in enumerate(scores):
        for m, one in enumerate(models):
            ours = one.scores["test"][score][half["test"]]
            theirs = {name: one.scores[name][score][half[name]] for name in oods}
            if metric == "auroc":
                found = resampled.auroc(ours, theirs, drawn["test"], drawn)
            else:
                areas = resampled.streams(ours, one.correct[half["test"]], theirs, drawn["test"], drawn)
                found = {name: of.areas[0, 0] for name, of in areas.items()}
            values[k, :, m] = [found[name] for name in oods]
    return values


def summary(tables: Tables, oods: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """AUROC, FPR@95 and AURR (alpha and beta 1/2) in percent with intervals: one row per score and one for chance, one column per set."""
    order, named = [WRONG, MEAN, *oods], {WRONG: "ID wrong", MEAN: "OOD mean"}
    found = []
    for metric in ("auroc", "fpr95"):
        table = wide(tables.separation[tables.separation["metric"] == metric], ["kind", "score"], "ood", order, named)
        chance = {"kind": "floor", "score": "chance", **dict.fromkeys(table.columns[2:], f"{100 * CHANCE[metric]:.1f}")}
        found.append(pd.concat([table, pd.DataFrame([chance])], ignore_index=True))
    even = tables.aurr[np.isclose(tables.aurr["alpha"], 0.5) & np.isclose(tables.aurr["beta"], 0.5)]
    even = even.drop_duplicates(["score", "ood"], keep="last")  # of the beta grid, whose interval has all samples
    found.append(
        wide(even, ["kind", "score"], "ood", order, named) if len(even) else pd.DataFrame(columns=["kind", "score"])
    )
    return tuple(found)
