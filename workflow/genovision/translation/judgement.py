"""Does uncertainty say how good a sentence went, and does a student judge sentences as the ensemble does?

Of every bootstrap sample, drawn by counts (R, N) as in genovision.translation.detection, so that values are paired with those there.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.errors import InputError
from genovision.resampling import Draws
from genovision.translation import quality
from genovision.translation.detection import Detection, sentences, sides
from genovision.translation.prediction_rejection import prediction_rejection_ratio
from genovision.translation.scored import CONTROL, KNOWLEDGE, OOD, QUALITIES, SYSTEM, TOTAL, Floats, Task
from genovision.uncertainty.evaluation import estimate, evidence
from genovision.uncertainty.resampled import FEW, mean_over_seeds

ENSEMBLE = "ensemble"
CONVENTIONS = {
    "prr": "prediction rejection ratio: 1 rejects the worst sentences first, 0 is random",
    "spearman": "rank correlation of uncertainty with minus the quality, ties share their rank",
}
# measure of the student and measure of the ensemble that it is held against
PAIRS = ((KNOWLEDGE, KNOWLEDGE), (TOTAL, TOTAL), (TOTAL, KNOWLEDGE))
_ALL = (-np.inf, np.inf)


def spearman(x: npt.ArrayLike, y: npt.ArrayLike, counts: npt.ArrayLike | None = None) -> Floats:
    """Rank correlation (R,) of the pairs x, y (N,) drawn `counts` (R, N) times each; without counts of the pairs themselves, (1,).

    Ties share the mean of their ranks, repeated rows too. NaN where one side does not vary.
    """
    counts = np.ones((1, len(np.asarray(x)))) if counts is None else np.asarray(counts, dtype=np.float64)
    number = counts.sum(axis=1, keepdims=True)
    a, b = (_ranks(np.asarray(values), counts) - number / 2 for values in (x, y))
    spread = np.sqrt((counts * a**2).sum(axis=1) * (counts * b**2).sum(axis=1))
    return np.divide((counts * a * b).sum(axis=1), spread, out=np.full(len(counts), np.nan), where=spread > 0)


def _ranks(values: npt.NDArray, counts: Floats) -> Floats:
    """Rank (R, N) of each value in each sample, less one half: how many are below, and half of those at it."""
    order = np.argsort(values, kind="stable")
    ranked = values[order]
    first = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))  # of each group of equals
    drawn = np.add.reduceat(counts[:, order], first, axis=1)
    middle = np.cumsum(drawn, axis=1) - drawn / 2
    ranks = np.empty_like(counts)
    ranks[:, order] = np.repeat(middle, np.diff(np.append(first, len(values))), axis=1)
    return ranks


# --- errors --------------------------------------------------------------------------------------------------------------------------


class Errors:
    """How well each uncertainty finds the test set's bad sentences. values: (system, measure, metric prr or spearman) -> (R + 1,),
    fewer replicates for what weighs no claim.

    A control is held against the quality of `judged`, the ensemble where there is one.
    """

    def __init__(self, task: Task, draws: Draws):
        self.task = task
        self.judged = ENSEMBLE if ENSEMBLE in task.quality else task.systems[0]
        self.values: dict[tuple[str, str, str], Floats] = {}
        counts = sentences(task, task.test, draws)
        for system, own in task.values.items():
            good = task.quality[self.judged if system == CONTROL else system]
            for measure, sets in own.items():
                unsure = np.broadcast_to(sets[task.test], good.shape)
                pairs = list(zip(unsure, good, strict=True))
                every = counts if measure in (TOTAL, KNOWLEDGE) or system == CONTROL else counts[: FEW + 1]
                each = {
                    "prr": [prediction_rejection_ratio(u, q, every) for u, q in pairs],
                    "spearman": [spearman(u, -q, counts[: FEW + 1]) for u, q in pairs],
                }
                for metric, values in each.items():
                    self.values[system, measure, metric] = mean_over_seeds(values, draws, (-1, 1))


def error_table(found: Sequence[Errors]) -> pd.DataFrame:
    """task, system, measure, prr, prr_low, prr_high, spearman, spearman_low, spearman_high, quality (chrf, or minus nll), of (whose),
    sentences, seeds, convention."""
    rows = []
    for one in found:
        task, done = one.task, set()
        column, sign = QUALITIES[task.name]
        for system, measure, _ in one.values:
            if (system, measure) in done:
                continue
            done.add((system, measure))
            row = {"task": task.name, "system": system, "measure": measure}
            for metric in CONVENTIONS:
                value = estimate(one.values[system, measure, metric])
                row |= {metric: value["value"], f"{metric}_low": value["low"], f"{metric}_high": value["high"]}
            row |= {"quality": column if sign > 0 else f"-{column}", "of": one.judged if system == CONTROL else system}
            rows.append(row | {"sentences": len(task.ids[task.test]), "seeds": len(task.seeds)})
    return pd.DataFrame(rows).assign(convention="; ".join(CONVENTIONS.values()))


def error_evidence(found: Sequence[Errors], detections: Sequence[Detection]) -> pd.DataFrame:
    """Rows of evidence: `prr` by total uncertainty, `prr_knowledge` by mutual information; sides as for OOD sets, groups are tasks."""
    frames = []
    for one, detection in zip(found, detections, strict=True):
        for metric, measure in (("prr", TOTAL), ("prr_knowledge", KNOWLEDGE)):
            places = {side: (system, measure) for side, system in sides(detection).items()}
            places |= {name: (CONTROL, name) for name in one.task.values.get(CONTROL, {})}
            for side, place in places.items():
                frames.append(evidence(SYSTEM, metric, side, one.task.name, one.values[*place, "prr"]))
    return pd.concat(frames, ignore_index=True)


# --- agreement -----------------------------------------------------------------------------------------------------------------------


def agreement_table(tasks: Sequence[Task], draws: Draws) -> pd.DataFrame:
    """Rank correlation of a student's uncertainty with the ensemble's of the same seed over the sentences of a set, each on its own
    hypothesis: task, system, measure (the student's), of (the ensemble's), set, value, low, high, sentences, seeds.

    A student without knowledge has no correlation of it, and no row."""
    rows = []
    for task in tasks:
        if ENSEMBLE not in task.values:
            continue
        for system in task.systems:
            if system == ENSEMBLE:
                continue
            for ours, theirs in PAIRS:
                for key in (task.test, *task.of_role(OOD)):
                    counts = sentences(task, key, draws)[: FEW + 1]
                    pairs = zip(task.values[system][ours][key], task.values[ENSEMBLE][theirs][key], strict=True)
                    values = mean_over_seeds([spearman(a, b, counts) for a, b in pairs], draws, (-1, 1))
                    if np.isfinite(values[0]):
                        rows.append(
                            {"task": task.name, "system": system, "measure": ours, "of": theirs, "set": key}
                            | estimate(values)
                            | {"sentences": len(task.ids[key]), "seeds": len(task.seeds)}
                        )
    columns = ["task", "system", "measure", "of", "set", "value", "low", "high", "sentences", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def points(tasks: Sequence[Task]) -> pd.DataFrame:
    """Mutual information of every sentence of the test set and the OOD sets, of the first seed: task, seed, set, id, ensemble, and a
    column per student that has any."""
    frames = []
    for task in tasks:
        if ENSEMBLE not in task.values:
            continue
        for key in (task.test, *task.of_role(OOD)):
            known = {system: task.values[system][KNOWLEDGE][key][0] for system in (ENSEMBLE, *task.systems)}
            frame = pd.DataFrame({"task": task.name, "seed": task.seeds[0], "set": key, "id": task.ids[key], **known})
            frames.append(frame.drop(columns=[name for name in known if not known[name].any()]))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["task", "seed", "set", "id"])


# --- alarms --------------------------------------------------------------------------------------------------------------------------

HEAVY, FEW_HEAVY = "heavy_share", 0.001  # fewer of its scales than this are no alarm


def alarms(tasks: Sequence[Task]) -> pd.DataFrame:
    """A sentence for each Laplace student whose scales reach 1 on the test set: species (task and system, as all warnings name what they
    are about) and text."""
    rows = []
    for task in tasks:
        for system in task.systems:
            shares = task.values[system].get(HEAVY)
            share = 0.0 if shares is None else float(shares[task.test].mean())
            if system.startswith("laplace") and share >= FEW_HEAVY:
                rows.append(
                    (
                        f"{task.name} {system}",
                        f"{100 * share:.1f} % of its scales on the test set are 1 or more, where the softmax of Laplace noise has no mean: "
                        "its mutual information is a matter of single draws.",
                    )
                )
    return pd.DataFrame(rows, columns=["species", "text"])


# --- quality -------------------------------------------------------------------------------------------------------------------------


class Quality:
    """What systems achieve on the test set. values: (system, metric) -> (R + 1,): `bleu` and `chrf` of translations, 0 to 100, or `bits`
    per base of DNA sequences; signatures: metric -> how it was measured."""

    def __init__(self, task: Task, draws: Draws, references: Sequence[str] = ()):
        """references: of the test set's sentences, in the order of `task.ids`, where systems translate."""
        self.task = task
        self.values: dict[tuple[str, str], Floats] = {}
        self.signatures = {"bits": "mean over sequences of -log2 p per base"}
        counts = sentences(task, task.test, draws)
        for system in task.systems:
            if task.name == "dna":
                each = {"bits": [counts @ -values / counts.sum(axis=1) / np.log(2) for values in task.quality[system]]}
            else:
                each = {"bleu": [], "chrf": []}
                for table in task.tables[system]:
                    found = quality.statistics(_hypotheses(task, table), references)
                    self.signatures |= found.signatures
                    each["bleu"].append(quality.corpus_bleu(found, counts))
                    each["chrf"].append(quality.corpus_chrf(found, counts))
            for metric, values in each.items():
                bounds = (0, np.inf) if metric == "bits" else (0, 100)
                self.values[system, metric] = mean_over_seeds(values, draws, bounds)


def _hypotheses(task: Task, table: pd.DataFrame) -> list[str]:
    if "hypothesis" not in table.columns:
        raise InputError(
            f"{task.name}: a table of scored sentences has no column hypothesis; score the sentences again."
        )
    rows = table[table["set"] == task.test]
    texts = rows.set_index(rows["id"].astype(str))["hypothesis"].fillna("").astype(str)
    return texts.loc[task.ids[task.test]].tolist()


def quality_table(found: Sequence[Quality]) -> pd.DataFrame:
    """task, system, metric (bleu, chrf, bits), value, low, high, difference, difference_low, difference_high (from the ensemble, paired),
    sentences, seeds, signature."""
    rows = []
    for one in found:
        for (system, metric), values in one.values.items():
            row = {"task": one.task.name, "system": system, "metric": metric} | estimate(values)
            if (ENSEMBLE, metric) in one.values:
                less = estimate(values - one.values[ENSEMBLE, metric])
                row |= {"difference": less["value"], "difference_low": less["low"], "difference_high": less["high"]}
            row |= {"sentences": len(one.task.ids[one.task.test]), "seeds": len(one.task.seeds)}
            rows.append(row | {"signature": one.signatures[metric]})
    return pd.DataFrame(rows)


def quality_evidence(found: Sequence[Quality], detections: Sequence[Detection]) -> pd.DataFrame:
    """Rows of evidence: bleu, chrf, bits; sides as for OOD sets, groups are tasks."""
    frames = []
    for one, detection in zip(found, detections, strict=True):
        metrics = dict.fromkeys(metric for _, metric in one.values)
        for side, system in sides(detection).items():
            for metric in metrics:
                frames.append(evidence(SYSTEM, metric, side, one.task.name, one.values[system, metric]))
    return pd.concat(frames, ignore_index=True)


# --- cost ----------------------------------------------------------------------------------------------------------------------------

COST = ["system", "sentences", "tokens", "seconds_decode", "seconds_score", "passes", "padding_waste"]


def cost_table(costs: pd.DataFrame) -> pd.DataFrame:
    """Mean over runs of what decoding and scoring cost: task, system, runs, columns of `COST`, seconds (both), per_sentence (milliseconds),
    lowest and highest (seconds of a run), to_single and to_ensemble (ratios of the means; NaN where that system is not there).

    costs: one row per run: task and `COST`; seconds are of the processor, not of the clock.
    """
    costs = costs.assign(seconds=costs["seconds_decode"] + costs["seconds_score"])
    groups = costs.groupby(["task", "system"], sort=False)
    table = groups[[*COST[1:], "seconds"]].mean()
    table.insert(0, "runs", groups.size())
    table["lowest"], table["highest"] = groups["seconds"].min(), groups["seconds"].max()
    table = table.reset_index()
    table["per_sentence"] = 1000 * table["seconds"] / table["sentences"]
    for system in ("single", ENSEMBLE):
        of = table[table["system"] == system].set_index("task")["per_sentence"]
        table[f"to_{system}"] = table["per_sentence"] / table["task"].map(of)
    return table
