"""How well uncertainties tell in-distribution sentences from others: tables, choices on validation sets, and evidence for the ledger.

Sentences are resampled within their set, alike for all systems, measures and seeds; training seeds enter by the jackknife
(genovision.uncertainty.resampled.over_seeds), so all differences are paired. Choices (which measure of a system, which student of a
family) are made by AUROC on the sets of role valid_ood alone, against the set of role valid, and are the same in every replicate: intervals
leave out that another draw might have chosen otherwise.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from genovision.resampling import Draws
from genovision.translation.scored import CONTROL, KNOWLEDGE, OOD, SYSTEM, TOTAL, VALID_OOD, Floats, Task
from genovision.uncertainty.evaluation import estimate, evidence, wide
from genovision.uncertainty.metrics import Ranking, aupr, fpr_at_tpr
from genovision.uncertainty.resampled import FEW, auroc, mean_over_seeds, measured

MEAN = "ood_mean"
CONVENTIONS = {
    "auroc": "chance that a sentence of the set is more uncertain than one of the test set, ties count half",
    "aupr": "sentences of the set are positive, average precision",
    "fpr95": "share of the set at or below the uncertainty that keeps 95 % of the test set (nearest threshold)",
}
CHANCE = {"auroc": 0.5, "fpr95": 0.95}
# what the ledger calls by one name: the one among them that is best on the validation sets by its mutual information
FAMILIES = {
    "dirichlet": ("dirichlet", "proxy_dirichlet"),
    "laplace": ("laplace", "laplace_top", "gaussian", "gaussian_top"),
}
# a student whose name is that of its family stands in the ledger under another one
OWN = {"dirichlet": "dirichlet_nll", "laplace": "laplace_full"}


class Choice(NamedTuple):
    """The measure or system with the highest AUROC on validation sets (the first of equals). scores: of all candidates."""

    chosen: str
    scores: dict[str, float]


class Detection:
    """AUROC, AUPR and FPR@95 of every system and measure of a task on every OOD set, with replicates.

    values:   (system, measure, set, metric) -> (R + 1,); fewer replicates for metrics that weigh no claim; set `ood_mean` is the mean
    measures: system -> its best measure on the validation sets;  families: family -> its best student there, by mutual information
    """

    def __init__(self, task: Task, draws: Draws):
        self.task, self.draws = task, draws
        self.values: dict[tuple[str, str, str, str], Floats] = {}
        for system, own in task.values.items():
            for measure, sets in own.items():
                self._separate(system, measure, sets)
        validated = {
            system: {measure: _on_validation(task, sets) for measure, sets in own.items()}
            for system, own in task.values.items()
        }
        self.measures = {system: _best(scores) for system, scores in validated.items()}
        self.families = {}
        for family, students in FAMILIES.items():
            scores = {student: validated[student][KNOWLEDGE] for student in students if student in validated}
            if scores:
                self.families[family] = _best(scores)

    def _separate(self, system: str, measure: str, sets: dict[str, Floats]) -> None:
        task, draws = self.task, self.draws
        inside, outside = sets[task.test], task.of_role(OOD)
        counts = {key: sentences(task, key, draws) for key in (task.test, *outside)}
        found: dict[tuple[str, str], list[Floats]] = {}
        for seed, confidence in enumerate(-inside):
            others = {key: -sets[key][seed] for key in outside}
            areas = auroc(confidence, others, counts[task.test], {key: counts[key] for key in outside})
            for key in outside:
                both = np.hstack([counts[task.test][: FEW + 1], counts[key][: FEW + 1]])
                ranking = Ranking.separating(confidence, others[key])
                each = {"auroc": areas[key]} | measured(ranking, both, {"aupr": _aupr, "fpr95": fpr_at_tpr})
                for metric, values in each.items():
                    found.setdefault((key, metric), []).append(values)
        means = {place: mean_over_seeds(values, draws) for place, values in found.items()}
        for metric in CONVENTIONS:
            means[MEAN, metric] = np.mean([means[key, metric] for key in outside], axis=0)
        self.values |= {(system, measure, *place): values for place, values in means.items()}

    def auroc(self, system: str, measure: str, key: str = MEAN) -> Floats:
        return self.values[system, measure, key, "auroc"]


def sentences(task: Task, key: str, draws: Draws) -> np.ndarray:
    """Bootstrap counts (R + 1, N) of a set, the same for everyone who asks."""
    return draws(f"{task.name} {key}", len(task.ids[key]))


def _aupr(ranking: Ranking) -> Floats:
    return aupr(ranking, positive="ood")


def _on_validation(task: Task, sets: dict[str, Floats]) -> float:
    """Mean AUROC over seeds and validation OOD sets."""
    keys = task.of_role(VALID_OOD)
    once = {key: np.ones((1, len(task.ids[key])), dtype=np.int64) for key in (task.inside, *keys)}
    areas = [
        auroc(-inside, {key: -sets[key][seed] for key in keys}, once[task.inside], {key: once[key] for key in keys})
        for seed, inside in enumerate(sets[task.inside])
    ]
    return float(np.mean([list(area.values()) for area in areas]))


def _best(scores: dict[str, float]) -> Choice:
    return Choice(max(scores, key=scores.__getitem__), scores)


# --- tables --------------------------------------------------------------------------------------------------------------------------


def detection_table(found: Sequence[Detection]) -> pd.DataFrame:
    """task, system, measure, set, metric (auroc, aupr, fpr95), value, low, high, chance, n_id, n_ood, seeds, chosen (yes for the measure
    of a system that is best on the validation sets), convention. The system `control` are scores that know no model."""
    rows = []
    for one in found:
        task = one.task
        inside = len(task.ids[task.test])
        for (system, measure, key, metric), values in one.values.items():
            sizes = [len(task.ids[name]) for name in (task.of_role(OOD) if key == MEAN else [key])]
            chance = CHANCE.get(metric, float(np.mean([size / (size + inside) for size in sizes])))
            rows.append(
                {"task": task.name, "system": system, "measure": measure, "set": key, "metric": metric}
                | estimate(values)
                | {"chance": chance, "n_id": inside, "n_ood": sum(sizes)}
                | {"seeds": len(task.values[system][measure][task.test])}
                | {"chosen": "yes" if measure == one.measures[system].chosen else "no"}
                | {"convention": CONVENTIONS[metric]}
            )
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """AUROC of `detection_table` for people, in percent with half an interval: one row per task, system and measure, one column per set.

    Of a system there are total uncertainty, mutual information and the measure chosen on the validation sets; of the controls all.
    """
    rows = table[table["metric"] == "auroc"]
    chosen = rows["chosen"] == "yes"
    rows = rows[chosen | rows["measure"].isin([TOTAL, KNOWLEDGE]) | (rows["system"] == CONTROL)]
    sets = [MEAN, *(name for name in dict.fromkeys(rows["set"]) if name != MEAN)]
    return wide(rows, ["task", "system", "measure", "chosen"], "set", sets, {MEAN: "OOD mean"})


def choice_table(found: Sequence[Detection]) -> pd.DataFrame:
    """What was chosen on the validation sets, and what it gives on the test sets: task, choice (measure of a system, or system of a family
    by its mutual information), of, chosen, validation (its mean AUROC there), candidates, next, next_validation (the best of the others),
    inside (the set that validation OOD sets were held against), value, low, high (AUROC on the test's OOD sets, mean)."""
    rows = []
    for one in found:
        chosen = [("measure", system, choice, (system, choice.chosen)) for system, choice in one.measures.items()]
        chosen += [("system", family, choice, (choice.chosen, KNOWLEDGE)) for family, choice in one.families.items()]
        for kind, of, choice, place in chosen:
            others = {name: score for name, score in choice.scores.items() if name != choice.chosen}
            following = max(others, key=others.__getitem__) if others else ""
            rows.append(
                {"task": one.task.name, "choice": kind, "of": of, "chosen": choice.chosen}
                | {"validation": choice.scores[choice.chosen], "candidates": len(choice.scores)}
                | {"next": following, "next_validation": others.get(following, np.nan), "inside": one.task.inside}
                | estimate(one.auroc(*place))
            )
    return pd.DataFrame(rows)


# --- evidence ------------------------------------------------------------------------------------------------------------------------


def sides(found: Detection) -> dict[str, str]:
    """Side of the ledger -> system: every system under its name, or the one in `OWN`, and every family for its chosen student."""
    own = {OWN.get(system, system): system for system in found.task.systems}
    return {family: choice.chosen for family, choice in found.families.items()} | own


def detection_evidence(found: Sequence[Detection]) -> pd.DataFrame:
    """Rows of evidence, of every task.

    auroc_ood         by mutual information; sides: systems and families (see `sides`), controls by their names; groups `<task>: <set>`
    auroc_ood_chosen  likewise, by the measure of each system that is best on the validation sets
    auroc_ood_mean    auroc_ood, mean over the sets of a task; groups are tasks
    auroc_ood_chosen_mean
    A single model and a student of the mean know nothing of disagreement: their mutual information is 0 and auroc_ood 1/2.
    """
    frames = []
    for one in found:
        places = {"auroc_ood": {}, "auroc_ood_chosen": {}}
        for side, system in sides(one).items():
            places["auroc_ood"][side] = system, KNOWLEDGE
            places["auroc_ood_chosen"][side] = system, one.measures[system].chosen
        for metric, of_metric in places.items():
            controls = {name: (CONTROL, name) for name in one.task.values.get(CONTROL, {})}
            for side, place in (of_metric | controls).items():
                for key in one.task.of_role(OOD):
                    group = f"{one.task.name}: {key}"
                    frames.append(evidence(SYSTEM, metric, side, group, one.auroc(*place, key)))
                frames.append(evidence(SYSTEM, f"{metric}_mean", side, one.task.name, one.auroc(*place)))
    return pd.concat(frames, ignore_index=True)
