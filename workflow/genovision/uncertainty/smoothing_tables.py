"""Cross entropy against label smoothing in selective classification, before and after logit normalisation.

Xia et al. 2025. A recipe is named by the configuration and has a smoothing alpha; alpha 0 is cross entropy. Models of a recipe differ by
seed.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.resampling import Draws
from genovision.uncertainty import metrics, resampled
from genovision.uncertainty.ensembles import averaged_probabilities
from genovision.uncertainty.evaluation import CONVENTIONS, estimate, evidence, wide
from genovision.uncertainty.metrics import Ranking, optimal_aurc
from genovision.uncertainty.resampled import Array, mean_over_seeds
from genovision.uncertainty.scores import logit_norm, max_logit, msp
from genovision.uncertainty.smoothing import POWERS, bins, centred_max_logit, choose_power, max_logit_pressure

SYSTEM = "label_smoothing"
SCORES = ("msp", "max_logit", "logit_norm")
BINS = 10
COVERAGES = np.linspace(0.01, 1, 100)
MEASURES = {
    "aurc": metrics.aurc,
    "risk_at_10_percent_coverage": partial(metrics.risk_at_coverage, coverage=0.10),
    "coverage_at_5_percent_risk": partial(metrics.coverage_at_risk, risk=0.05),
    "risks": partial(resampled.risk_curve, coverages=COVERAGES),
}


class Model(NamedTuple):
    """One model: logits (N, K) of the calibration and the test split."""

    calibration: Array
    test: Array


class Tables(NamedTuple):
    """measures: recipe, alpha, score, metric (accuracy, aurc, risk_at_10_percent_coverage, coverage_at_5_percent_risk), value, low, high,
              chance (of a random ranking), perfect (of a perfect ranking), p, seeds, convention
    curves: recipe, alpha, score, coverage, risk, low, high
    powers: recipe, alpha, seed, score, p, aurc (on the calibration split), chosen
    suppression: recipe, alpha, bin (0 = surest), error (estimated probability of error), wrong (share), max_logit (centred),
                 cross_entropy (the same of the CE model), suppression (1 - ratio), low, high, pressure (mean extra gradient of smoothing
                 at alpha), inputs, classes
    evidence: for the ledger"""

    measures: pd.DataFrame
    curves: pd.DataFrame
    powers: pd.DataFrame
    suppression: pd.DataFrame
    evidence: pd.DataFrame


def evaluate(
    models: Mapping[str, Sequence[Model]],
    alphas: Mapping[str, float],
    calibration: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    draws: Draws,
    powers: Sequence[float] = POWERS,
) -> Tables:
    """Tables over recipes.

    models: recipe -> models, one per seed, all on the same inputs;  alphas: recipe -> smoothing, exactly one of them 0
    calibration, labels: classes of the two splits;  powers: p among which logit normalisation chooses on the calibration split, per model
    """
    plain = [recipe for recipe in models if alphas[recipe] == 0]
    if len(plain) != 1:
        raise ValueError(f"one recipe is trained without smoothing and compared with the others, not {len(plain)}")
    measures, curves, searched, values = [], [], [], {}
    for recipe, seeds in models.items():
        place = {"recipe": recipe, "alpha": alphas[recipe]}
        chosen = []
        for seed, model in enumerate(seeds):
            p, table = choose_power(model.calibration, model.calibration.argmax(axis=1) == calibration, powers)
            chosen.append(p)
            searched.append(table.assign(**place, seed=seed, chosen=table["p"] == p))
        for score in SCORES:
            confidences = [_confidence(model.test, score, p) for model, p in zip(seeds, chosen, strict=True)]
            correct = [model.test.argmax(axis=1) == labels for model in seeds]
            found = _measured(confidences, correct, draws)
            curves.append(_curve(place | {"score": score}, found.pop("risks")))
            used = " ".join(f"{p:g}" for p in chosen) if score == "logit_norm" else ""
            values |= {(recipe, score, metric): replicates for metric, replicates in found.items()}
            measures += _rows(place | {"score": score}, found, used, len(seeds))
    suppression, pressed = _suppression(models, alphas, plain[0], labels, draws)
    columns = ["recipe", "alpha", "seed", "score", "p", "aurc", "chosen"]
    return Tables(
        pd.DataFrame(measures),
        pd.concat(curves, ignore_index=True),
        pd.concat(searched, ignore_index=True)[columns],
        suppression,
        pd.concat(
            [*_claims(values, [one for one in models if one != plain[0]], plain[0]), *pressed], ignore_index=True
        ),
    )


def _confidence(logits: Array, score: str, p: float) -> Array:
    return {"msp": msp, "max_logit": max_logit, "logit_norm": lambda v: logit_norm(v, p=p)}[score](logits)


def _measured(confidences: Sequence[Array], correct: Sequence[npt.NDArray[np.bool_]], draws: Draws) -> dict[str, Array]:
    """metric -> replicates over seeds and images; `risks` (R + 1, G), the risk at each of COVERAGES."""
    counts = draws("test", len(correct[0]))
    each: dict[str, list[Array]] = {}
    for s, right in zip(confidences, correct, strict=True):
        found = {"accuracy": resampled.weighted(right.astype(np.float64), counts)}
        for metric, values in (found | resampled.measured(Ranking(s, right), counts, MEASURES)).items():
            each.setdefault(metric, []).append(values)
    return {metric: mean_over_seeds(values, draws) for metric, values in each.items()}


def _rows(place: dict, found: Mapping[str, Array], used: str, seeds: int) -> list[dict]:
    error = 1 - float(found["accuracy"][0])
    floors = {
        "aurc": (error, metrics.optimal_aurc(error)),
        "risk_at_10_percent_coverage": (error, max(0.0, (error - 0.9) / 0.1)),
    }
    rows = []
    for metric, replicates in found.items():
        chance, best = floors.get(metric, (np.nan, np.nan))
        words = CONVENTIONS.get(metric, "risk at the attainable coverage nearest to 10 %")
        rows.append(
            {**place, "metric": metric, **estimate(replicates), "chance": chance, "perfect": best}
            | {"p": used, "seeds": seeds, "convention": words}
        )
    return rows


def _curve(place: dict, risks: Array) -> pd.DataFrame:
    frame = pd.DataFrame([estimate(risks[:, k]) for k in range(len(COVERAGES))]).rename(columns={"value": "risk"})
    return pd.DataFrame({**place, "coverage": COVERAGES}).join(frame)


def _suppression(
    models: Mapping[str, Sequence[Model]],
    alphas: Mapping[str, float],
    plain: str,
    labels: npt.NDArray[np.int64],
    draws: Draws,
) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """How much smaller the centred max logit of smoothed models is than that of CE models, by probability of error.

    The probability of error of an input is 1 - the largest probability averaged over the CE models of the other seeds, so that the models
    compared do not sort the inputs themselves. Suppression is relative, 1 - mean(LS) / mean(CE) within a bin: dividing all logits by a
    temperature, which changes no ranking, suppresses all bins alike. Claim: more in the surest third than in the least sure third.
    """
    base = models[plain]
    errors = []
    for seed in range(len(base)):
        others = [model.test for k, model in enumerate(base) if k != seed] or [base[0].test]
        errors.append(1 - averaged_probabilities(np.stack(others, axis=1)).max(axis=1))
    counts = draws("test", len(labels))
    rows, ledger = [], []
    for recipe in (recipe for recipe in models if recipe != plain):
        pairs = list(zip(models[recipe], base, errors, strict=False))
        for number, sides in ((BINS, None), (3, {0: "low_error", 2: "high_error"})):
            for k in range(number):
                inside = [bins(error, number) == k for _, _, error in pairs]
                ratio = [
                    1 - _mean_of(smooth.test, mask, counts) / _mean_of(ce.test, mask, counts)
                    for (smooth, ce, _), mask in zip(pairs, inside, strict=True)
                ]
                replicates = mean_over_seeds(ratio, draws, bounds=(-np.inf, 1.0))
                if sides:
                    if k in sides:
                        ledger.append(evidence(SYSTEM, "max_logit_suppression", sides[k], recipe, replicates))
                    continue
                rows.append(_bin(recipe, alphas[recipe], k, pairs, inside, labels) | estimate(replicates))
    return pd.DataFrame(rows).rename(columns={"value": "suppression"}), ledger


def _mean_of(logits: Array, mask: npt.NDArray[np.bool_], counts: Array) -> Array:
    return resampled.weighted(centred_max_logit(logits[mask]), counts[:, mask])


def _bin(recipe: str, alpha: float, k: int, pairs: list, inside: list, labels: npt.NDArray[np.int64]) -> dict:
    """Means over seeds of what is in a bin."""
    each = []
    for (smooth, ce, error), mask in zip(pairs, inside, strict=True):
        right = ce.test.argmax(axis=1)[mask] == labels[mask]
        pressure = max_logit_pressure(right, alpha, ce.test.shape[1]).mean()
        logits = [centred_max_logit(one.test[mask]).mean() for one in (smooth, ce)]
        each.append((error[mask].mean(), 1 - right.mean(), *logits, pressure))
    names = ("error", "wrong", "max_logit", "cross_entropy", "pressure")
    inputs = int(np.mean([mask.sum() for mask in inside]))
    return {
        "recipe": recipe,
        "alpha": alpha,
        "bin": k,
        "inputs": inputs,
        "classes": pairs[0][1].test.shape[1],
        **dict(zip(names, np.mean(each, axis=0), strict=True)),
    }


def _claims(values: Mapping, smoothed: list[str], plain: str) -> list[pd.DataFrame]:
    """AURC of every smoothed recipe beside that of cross entropy, with and without logit normalisation; group = recipe."""
    ce, ce_norm = values[plain, "msp", "aurc"], values[plain, "logit_norm", "aurc"]
    rows = [
        evidence(SYSTEM, "aurc_relative", "cross_entropy", plain, np.ones_like(ce)),
        evidence(SYSTEM, "aurc_relative", "cross_entropy_logit_norm", plain, ce_norm / ce),
    ]
    for recipe in smoothed:
        sides = {
            "cross_entropy": ce,
            "label_smoothing": values[recipe, "msp", "aurc"],
            "label_smoothing_logit_norm": values[recipe, "logit_norm", "aurc"],
        }
        rows += [evidence(SYSTEM, "aurc", side, recipe, replicates) for side, replicates in sides.items()]
        # at equal accuracy: what is above the AURC of a perfect ranking with as many errors
        for side, one in (("cross_entropy", plain), ("label_smoothing", recipe)):
            excess = sides[side] - optimal_aurc(1 - values[one, "msp", "accuracy"])
            rows.append(evidence(SYSTEM, "excess_aurc", side, recipe, excess))
    return rows


def summary(measures: pd.DataFrame) -> pd.DataFrame:
    """One row per recipe and score, in percent with intervals; the AURC of a random and of a perfect ranking beside it."""
    order = ["accuracy", "aurc", "risk_at_10_percent_coverage", "coverage_at_5_percent_risk"]
    named = {
        "aurc": "AURC",
        "risk_at_10_percent_coverage": "risk at 10 % coverage",
        "coverage_at_5_percent_risk": "coverage at 5 % risk",
    }
    table = wide(measures, ["recipe", "alpha", "score", "p"], "metric", order, named, digits=2)
    floors = measures[measures["metric"] == "aurc"].set_index(["recipe", "score"])
    keys = list(zip(table["recipe"], table["score"], strict=True))
    for column, source in (("AURC random", "chance"), ("AURC perfect", "perfect")):
        table[column] = [f"{100 * floors.loc[key, source]:.2f}" for key in keys]
    return table
