"""SIRC against softmax and OOD scores: scores of one model, and tables over models that differ by seed.

Xia & Bouganis 2022. Populations: ID correct, ID wrong, OOD. Each OOD set is held against the correct ID inputs alone (accepting a wrong
one costs as much as accepting an OOD one, so wrong ID inputs are not to be kept); `id_wrong` is misclassification detection without OOD.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t as student_t

from genovision.resampling import stream
from genovision.uncertainty import resampled
from genovision.uncertainty.evaluation import CHANCE, CONVENTIONS, estimate, evidence, wide
from genovision.uncertainty.features import KNN, GradNorm, Mahalanobis, RelativeMahalanobis, Residual, ViM
from genovision.uncertainty.outputs import Head, Outputs
from genovision.uncertainty.resampled import Array, Draws, mean_over_seeds
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
    curves: score, kind, ood, recall, risk (means over seeds)
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
        for name in models[0].oods:
            aurr += _over_stream(models, score, name, alphas, betas, draws)
            curves.append(_risk_recall(models, score, name))
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
        at = resampled.thresholds(ours[right], kept, 0.95)
        against = {WRONG: (ours[~right], wrong)}
        for name in one.oods:
            theirs = one.scores[name][score]
            against[name] = theirs, draws(name, len(theirs))
        for name, (theirs, drawn) in against.items():
            values["auroc"].setdefault(name, []).append(resampled.auroc(ours[right], theirs, kept, drawn))
            values["fpr95"].setdefault(name, []).append(resampled.share_at(theirs, drawn, at))
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


def _over_stream(
    models: Sequence[Scored], score: str, name: str, alphas: Array, betas: Array, draws: Draws
) -> list[dict]:
    """AURR rows of one score and OOD set, for every alpha and every beta."""
    alpha_values, beta_values, resampled_values = [], [], []
    for one in models:
        ours, theirs = one.scores["test"][score], one.scores[name][score]
        ones = [np.ones((1, len(scores))) for scores in (ours, theirs)]
        # the area is linear in the costs: that of ID errors alone and that of OOD inputs alone, for every alpha and for 1/2
        from_id, from_ood = (
            resampled.aurr(ours, one.correct, theirs, *ones, np.append(alphas, 0.5), costs)
            for costs in ((1.0, 0.0), (0.0, 1.0))
        )
        alpha_values.append((from_id + from_ood)[:-1] / 2)
        counts = draws("test", len(ours)), draws(name, len(theirs))
        resampled_values.append(resampled.aurr(ours, one.correct, theirs, *counts))
        beta_values.append(betas * from_id[-1] + (1 - betas) * from_ood[-1])
    rows = []
    for values, grid, fixed in ((alpha_values, alphas, "beta"), (beta_values, betas, "alpha")):
        for k, at in enumerate(grid):
            seeds = np.repeat(np.array([one[k] for one in values])[:, None], draws.replicates + 1, axis=1)
            place = {"alpha": at, "beta": 0.5} if fixed == "beta" else {"alpha": 0.5, "beta": at}
            both = fixed == "alpha" and at == 0.5  # the cell of the table: images are resampled too
            rows.append(
                {"score": score, "kind": kind(score), "ood": name, **place}
                | estimate(mean_over_seeds(np.array(resampled_values) if both else seeds, draws))
                | {
                    "seeds": len(models),
                    "convention": f"{CONVENTIONS['aurr']}; costs beta, 1 - beta; interval over seeds{' and images' if both else ''}",
                }
            )
    return rows


def _risk_recall(models: Sequence[Scored], score: str, name: str) -> pd.DataFrame:
    """Mean over seeds of the risk at each recall, alpha and beta 1/2, with a 95 % interval (Student's t) over seeds."""
    grid = np.linspace(0.01, 1, 100)
    risks = []
    for one in models:
        ours, theirs = one.scores["test"][score], one.scores[name][score]
        ones = [np.ones((1, len(scores))) for scores in (ours, theirs)]
        ranking = resampled.stream_ranking(ours, one.correct, theirs, (0.5, 0.5))
        steps = ranking.steps(resampled.mixture(*ones))
        at = np.searchsorted(steps.right[0], (grid - 1e-9) * steps.right[0, -1])
        risks.append(steps.risk[0, np.minimum(at, steps.right.shape[1] - 1)])
    columns = {"score": score, "kind": kind(score), "ood": name}
    mean = np.mean(risks, axis=0)
    half = (
        student_t.ppf(0.975, len(risks) - 1) * np.std(risks, axis=0, ddof=1) / np.sqrt(len(risks))
        if len(risks) > 1
        else np.nan
    )
    bounds = {"low": np.maximum(mean - half, 0), "high": mean + half}
    return pd.DataFrame({**columns, "recall": grid, "risk": mean, **bounds})


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
    drawn = {name: draws(name, len(mask))[:, mask].astype(np.float64) for name, mask in half.items()}
    values = []
    for score in scores:
        for name in oods:
            for one in models:
                ours, theirs = one.scores["test"][score][half["test"]], one.scores[name][score][half[name]]
                if metric == "auroc":
                    values.append(resampled.auroc(ours, theirs, drawn["test"], drawn[name]))
                else:
                    right = one.correct[half["test"]]
                    values.append(resampled.aurr(ours, right, theirs, drawn["test"], drawn[name]))
    return np.reshape(values, (len(scores), len(oods), len(models), -1))


def summary(tables: Tables, oods: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """AUROC, FPR@95 and AURR (alpha and beta 1/2) in percent with intervals: one row per score and one for chance, one column per set."""
    order, named = [WRONG, MEAN, *oods], {WRONG: "ID wrong", MEAN: "OOD mean"}
    found = []
    for metric in ("auroc", "fpr95"):
        table = wide(tables.separation[tables.separation["metric"] == metric], ["kind", "score"], "ood", order, named)
        chance = {"kind": "floor", "score": "chance", **dict.fromkeys(table.columns[2:], f"{100 * CHANCE[metric]:.1f}")}
        found.append(pd.concat([table, pd.DataFrame([chance])], ignore_index=True))
    even = tables.aurr[np.isclose(tables.aurr["alpha"], 0.5) & np.isclose(tables.aurr["beta"], 0.5)]
    even = even.drop_duplicates(["score", "ood"], keep="last")  # of the beta grid, whose interval is over images too
    found.append(
        wide(even, ["kind", "score"], "ood", order, named) if len(even) else pd.DataFrame(columns=["kind", "score"])
    )
    return tuple(found)
