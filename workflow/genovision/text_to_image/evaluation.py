"""How well uncertainties tell the prompts a generator should know from the others, and whether recall and precision tell two kinds apart.

Scores are one row per prompt and noise seed (a fresh set of S generations): id, set, kind, seed, and any number of uncertainties, higher =
more uncertain; PUNC's are called <similarity>_epistemic and <similarity>_aleatoric. `kind` says what makes the prompts of a set
uncertain (`KINDS`). Prompts are resampled within their set, with all their seeds and scores; seeds enter by the jackknife
(genovision.uncertainty.resampled.over_seeds), so everything of one world is paired.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from genovision.errors import InputError
from genovision.uncertainty.evaluation import estimate, evidence, wide
from genovision.uncertainty.resampled import Array, Draws, mean_over_seeds

SYSTEM = "punc"
NORMAL = "normal"
# which uncertainty the paper expects to rise; sets of other kinds (bias, copyright) are in the applications' tables only
KINDS = {"ood": "epistemic", "vague": "aleatoric", "corrupted": "aleatoric"}
BESIDE = {"novel": "epistemic"}  # shown, and in no mean and no claim: names held out of the groups the generator knows
AXES = ("epistemic", "aleatoric")
MEANS = {"epistemic": "ood_mean", "aleatoric": "aleatoric_mean"}
KEYS = ["id", "set", "kind", "seed"]
OTHERS = ["group", "template", "concept", "text"]  # columns that may stand beside the scores
LEAST = 5  # prompts of a concept or group to speak of it
IMAGE_SPACE = ("pixel_distance", "feature_distance")
CHANCE = {"auroc": 0.5, "fpr95": 0.95}
CONVENTIONS = {
    "auroc": "chance that a prompt of the set is more uncertain than a normal one, ties count half",
    "aupr": "prompts of the set are positive, average precision",
    "fpr95": "normal prompts rejected when 95 % of the set are (nearest threshold)",
}


class Tables(NamedTuple):
    """detection: world, score, set, kind, metric (auroc, aupr, fpr95), value, low, high, chance, normal and others (prompts), seeds,
                  convention; set `ood_mean` and `aleatoric_mean` are means over the sets of these kinds
    disentanglement: world, similarity, set, kind (which axis is its own), mean_epistemic, mean_aleatoric (of the set), epistemic and
                  aleatoric (rise above normal in pooled standard deviations) and own_minus_other, each with _low and
                  _high; correlation of the two over the set's prompts; holds: yes, no or unclear (the interval of own_minus_other);
                  set `normal` has no rise
    groups:       world, set, group, score, value (mean), low, high, difference (from the mean of the set's groups), difference_low,
                  difference_high, prompts
    concepts:     world, concept, set, score, value (AUROC against normal prompts), low, high, prompts
    evidence:     for the ledger"""

    detection: pd.DataFrame
    disentanglement: pd.DataFrame
    groups: pd.DataFrame
    concepts: pd.DataFrame
    evidence: pd.DataFrame


def score_names(scores: pd.DataFrame) -> list[str]:
    """The columns that are uncertainties."""
    return [name for name in scores.columns if name not in (*KEYS, *OTHERS)]


def similarities(scores: pd.DataFrame) -> list[str]:
    """Similarities of which both uncertainties are there."""
    names = score_names(scores)
    return [
        name.removesuffix("_epistemic")
        for name in names
        if name.endswith("_epistemic") and f"{name.removesuffix('_epistemic')}_aleatoric" in names
    ]


def check_scores(scores: pd.DataFrame, label: str) -> pd.DataFrame:
    """The scores sorted by set (in their order), id and seed; InputError naming `label` and what is missing, doubled or no number."""
    missing = [name for name in KEYS if name not in scores.columns]
    if missing:
        raise InputError(f"{label} has no column {', '.join(missing)}; scores need {', '.join(KEYS)}.")
    if not similarities(scores):
        raise InputError(f"{label} has no two columns <similarity>_epistemic and <similarity>_aleatoric.")
    if not (scores["kind"] == NORMAL).any():
        raise InputError(f"{label} has no prompt of kind {NORMAL}: there is nothing to compare the others with.")
    if scores.duplicated(["id", "seed"]).any():
        row = scores[scores.duplicated(["id", "seed"])].iloc[0]
        raise InputError(f"{label}: prompt {row['id']} has two rows of seed {row['seed']}.")
    seeds = scores["seed"].nunique()
    counts = scores.groupby("id")["seed"].size()
    if (counts != seeds).any():
        name = counts.index[counts != seeds][0]
        raise InputError(f"{label}: prompt {name} has {counts[name]} of {seeds} seeds; score the missing generations.")
    names = score_names(scores)
    for name in names:
        if scores[name].dtype.kind not in "fiu" or not np.isfinite(scores[name]).all():
            raise InputError(f"{label}: column {name} holds something that is no finite number.")
    kinds = scores.groupby("set")["kind"].nunique()
    if (kinds > 1).any():
        raise InputError(f"{label}: the set {kinds.index[kinds > 1][0]} has prompts of several kinds.")
    order = {name: place for place, name in enumerate(dict.fromkeys(scores["set"]))}
    return scores.sort_values(
        ["set", "id", "seed"], key=lambda c: c.map(order) if c.name == "set" else c, kind="stable"
    )


class _World:
    """One world's scores as arrays: `values(score, set)` (seeds, prompts)."""

    def __init__(self, name: str, scores: pd.DataFrame, draws: Draws):
        self.name, self.draws = name, draws
        scores = check_scores(scores, name)
        self.seeds = scores["seed"].nunique()
        self.scores, self.similarities = score_names(scores), similarities(scores)
        self.parts = {key: part.reset_index(drop=True) for key, part in scores.groupby("set", sort=False)}
        self.kinds = {key: part["kind"].iloc[0] for key, part in self.parts.items()}
        self.normal = [key for key, kind in self.kinds.items() if kind == NORMAL]
        if len(self.normal) > 1:
            raise InputError(f"{name}: the sets {' and '.join(self.normal)} are both normal; keep one.")
        self.normal = self.normal[0]

    def of_kind(self, axis: str) -> list[str]:
        return [key for key, kind in self.kinds.items() if KINDS.get(kind) == axis]

    def shown(self, axis: str) -> list[str]:
        """Those of the kind, and behind them those that are not counted."""
        return [*self.of_kind(axis), *(key for key, kind in self.kinds.items() if BESIDE.get(kind) == axis)]

    def prompts(self, key: str) -> pd.DataFrame:
        """The first seed's rows of a set."""
        return self.parts[key].iloc[:: self.seeds].reset_index(drop=True)

    def values(self, score: str, key: str) -> Array:
        return self.parts[key][score].to_numpy(dtype=np.float64).reshape(-1, self.seeds).T

    def counts(self, key: str) -> Array:
        return self.draws(f"{self.name} {key}", len(self.parts[key]) // self.seeds)


def evaluate(worlds: Mapping[str, pd.DataFrame], draws: Draws, headline: str = "bertscore") -> Tables:
    """All tables. worlds: name -> scores; headline: the similarity that stands for PUNC in the ledger, chosen before the run.

    InputError for scores that cannot be evaluated (see `check_scores`).
    """
    found = [_World(name, scores, draws) for name, scores in worlds.items()]
    detection, rises, groups, concepts, ledger = [], [], [], [], []
    for world in found:
        if headline not in world.similarities:
            raise InputError(f"{world.name}: there is no {headline} among {', '.join(world.similarities)}.")
        separated = _separations(world)
        detection += _detection(world, separated)
        ledger += _auroc_evidence(world, separated, headline)
        rows, margins = _disentanglement(world, headline)
        rises += rows
        ledger += margins
        groups += _groups(world, headline)
        concepts += _concepts(world, headline)
    return Tables(
        pd.DataFrame(detection),
        pd.DataFrame(rises),
        pd.DataFrame(groups, columns=_GROUPS),
        pd.DataFrame(concepts, columns=_CONCEPTS),
        pd.concat(ledger, ignore_index=True) if ledger else pd.DataFrame(),
    )


# --- separation --------------------------------------------------------------------------------------------------------------------


def separation(normal: Array, others: Array, normal_counts: Array, other_counts: Array) -> dict[str, Array]:
    """metric -> replicates (R,) of one score: how well `others` (M,) lie above `normal` (N,). Counts are (R, N) and (R, M).

    The values of genovision.uncertainty.metrics (auroc; aupr, fpr_at_tpr with the set as positive) on the resampled rows, ties and all,
    from what each prompt of the set beats: three matrix products instead of a sort and sums along it for each replicate.
    """
    order = np.argsort(-others, kind="stable")
    others, other_counts = others[order], other_counts[:, order]
    above = normal[:, None] >= others
    number, size = normal_counts.sum(axis=1, keepdims=True), other_counts.sum(axis=1, keepdims=True)
    false = normal_counts @ above.astype(
        np.float64
    )  # (R, M): normal prompts at least as uncertain as each of the others
    equal = normal[:, None] == others
    halves = normal_counts @ equal.astype(np.float64) / 2 if equal.any() else 0.0
    hit = other_counts @ (others[:, None] >= others).astype(np.float64)
    found = hit + false
    precision = np.divide(hit, found, out=np.zeros_like(hit), where=found > 0)
    nearest = np.abs(hit / size - 0.95).argmin(axis=1)
    return {
        "auroc": (other_counts * (number - false + halves)).sum(axis=1) / (number * size)[:, 0],
        "aupr": (other_counts * precision).sum(axis=1) / size[:, 0],
        "fpr95": false[np.arange(len(false)), nearest] / number[:, 0],
    }


def _separations(world: _World) -> dict[tuple[str, str, str], Array]:
    """(score, set, metric) -> replicates (R + 1,) over prompts and seeds."""
    values = {}
    for score in world.scores:
        normal = world.values(score, world.normal)
        for axis in AXES:
            keys = world.of_kind(axis)
            for key in world.shown(axis):
                each = [
                    separation(a, b, world.counts(world.normal), world.counts(key))
                    for a, b in zip(normal, world.values(score, key), strict=True)
                ]
                for metric in CONVENTIONS:
                    values[score, key, metric] = mean_over_seeds([one[metric] for one in each], world.draws)
            for metric in CONVENTIONS if keys else ():
                values[score, MEANS[axis], metric] = np.mean([values[score, key, metric] for key in keys], axis=0)
    return values


def _detection(world: _World, separated: dict[tuple[str, str, str], Array]) -> list[dict]:
    rows, normal = [], len(world.prompts(world.normal))
    for (score, key, metric), values in separated.items():
        axis = next((axis for axis, name in MEANS.items() if name == key), None)
        keys = world.of_kind(axis) if axis else [key]
        sizes = [len(world.prompts(one)) for one in keys]
        chance = CHANCE.get(metric, float(np.mean([size / (size + normal) for size in sizes])))
        rows.append(
            {
                "world": world.name,
                "score": score,
                "set": key,
                "kind": axis or (KINDS | BESIDE)[world.kinds[key]],
                "metric": metric,
            }
            | estimate(values)
            | {"chance": chance, "normal": normal, "others": sum(sizes), "seeds": world.seeds}
            | {"convention": CONVENTIONS[metric]}
        )
    return rows


def _auroc_evidence(world: _World, separated: dict, headline: str) -> list[pd.DataFrame]:
    """AUROC on the sets of each kind, mean: PUNC by the uncertainty that is meant for the kind, everything else by itself."""
    ledger = []
    for axis, metric in zip(AXES, ("auroc_ood", "auroc_aleatoric"), strict=True):
        if not world.of_kind(axis):
            continue
        own = {f"{name}_{other}" for name in world.similarities for other in (*AXES, "f1")}
        sides = {"punc": f"{headline}_{axis}"} | {score: score for score in world.scores if score not in own}
        ledger += [
            evidence(SYSTEM, metric, side, world.name, separated[score, MEANS[axis], "auroc"])
            for side, score in sides.items()
        ]
    return ledger


# --- two kinds of uncertainty ------------------------------------------------------------------------------------------------------


def rise(normal: Array, others: Array, normal_counts: Array, other_counts: Array) -> Array:
    """(R,): how much higher the mean of `others` (M,) is than that of `normal` (N,), in pooled standard deviations, the root of the two
    variances' mean (Cohen's d; Cohen 1988, section 2.3). Normal prompts alone are no unit: where all are drawn right they do not vary.

    Means and variances are those of each resample; NaN where neither side varies.
    """
    (mean, variance), (other, other_variance) = (
        _moments(values - normal.mean(), counts) for values, counts in ((normal, normal_counts), (others, other_counts))
    )
    spread = np.sqrt((variance + other_variance) / 2)
    higher = other - mean
    return np.divide(higher, spread, out=np.full_like(higher, np.nan), where=spread > 1e-9)


def _moments(values: Array, counts: Array) -> tuple[Array, Array]:
    number = counts.sum(axis=1)
    mean = counts @ values / number
    variance = (counts @ values**2 / number - mean**2) * number / np.maximum(number - 1, 1)
    return mean, np.maximum(variance, 0)


def _rises(world: _World, similarity: str) -> dict[tuple[str, str], Array]:
    """(set, axis) -> replicates (R + 1,)."""
    found = {}
    for key in (*world.shown("epistemic"), *world.shown("aleatoric")):
        for axis in AXES:
            score = f"{similarity}_{axis}"
            pairs = zip(world.values(score, world.normal), world.values(score, key), strict=True)
            each = [rise(a, b, world.counts(world.normal), world.counts(key)) for a, b in pairs]
            found[key, axis] = mean_over_seeds(each, world.draws, (-np.inf, np.inf))
    return found


def _disentanglement(world: _World, headline: str) -> tuple[list[dict], list[pd.DataFrame]]:
    rows, ledger = [], []
    for similarity in world.similarities:
        rises = _rises(world, similarity)
        rows.append(_place(world, similarity, [world.normal], world.normal, NORMAL))
        own, other = {}, {}
        for axis in AXES:
            keys = world.of_kind(axis)
            across = AXES[1 - AXES.index(axis)]
            for key in world.shown(axis):
                rows.append(
                    _place(world, similarity, [key], key, axis) | _risen(rises[key, axis], rises[key, across], axis)
                )
            if keys:
                own[axis] = np.mean([rises[key, axis] for key in keys], axis=0)
                other[axis] = np.mean([rises[key, across] for key in keys], axis=0)
                rows.append(_place(world, similarity, keys, MEANS[axis], axis) | _risen(own[axis], other[axis], axis))
        if similarity == headline and len(own) == len(AXES):
            ledger = _worse_kind(world.name, own, other)
    return rows, ledger


def _worse_kind(world: str, own: dict[str, Array], other: dict[str, Array]) -> list[pd.DataFrame]:
    """Evidence that both uncertainties keep to their kind: that of the kind for which it is less sure (lower end of the interval).

    A mean over the kinds would let one make up for the other. The kind is one for all replicates: the smaller margin of each would lie
    below zero even where both margins are zero.
    """
    margins = {axis: estimate(own[axis] - other[axis]) for axis in AXES}
    lowest = {axis: np.nan_to_num(min(m["value"], m["low"]), nan=m["value"]) for axis, m in margins.items()}
    undefined = [axis for axis in AXES if np.isnan(margins[axis]["value"])]
    axis = undefined[0] if undefined else min(AXES, key=lowest.__getitem__)
    sides = {"own_kind": own[axis], "other_kind": other[axis]}
    return [evidence(SYSTEM, "disentanglement", side, world, values) for side, values in sides.items()]


def _place(world: _World, similarity: str, keys: Sequence[str], name: str, kind: str) -> dict:
    """Where a set lies: means over prompts and seeds, and the correlation of both uncertainties over its prompts (means over seeds)."""
    points = {axis: [world.values(f"{similarity}_{axis}", key).mean(axis=0) for key in keys] for axis in AXES}
    correlations = [_correlation(a, b) for a, b in zip(*points.values(), strict=True)]
    return {
        "world": world.name,
        "similarity": similarity,
        "set": name,
        "kind": kind,
        **{f"mean_{axis}": float(np.mean([one.mean() for one in points[axis]])) for axis in AXES},
        "correlation": float(np.mean(correlations)),
    }


def _correlation(first: Array, second: Array) -> float:
    if len(first) < 2 or first.std() < 1e-12 or second.std() < 1e-12:
        return np.nan
    return float(np.corrcoef(first, second)[0, 1])


def _risen(own: Array, other: Array, axis: str) -> dict:
    epistemic, aleatoric = (own, other) if axis == "epistemic" else (other, own)
    row = {}
    for name, values in (("epistemic", epistemic), ("aleatoric", aleatoric), ("own_minus_other", own - other)):
        found = estimate(values)
        row |= {name: found["value"], f"{name}_low": found["low"], f"{name}_high": found["high"]}
    holds = "yes" if row["own_minus_other_low"] > 0 else "no" if row["own_minus_other_high"] < 0 else "unclear"
    return row | {"holds": holds}


# --- applications ------------------------------------------------------------------------------------------------------------------

_GROUPS = [
    *("world", "set", "group", "score", "value", "low", "high"),
    *("difference", "difference_low", "difference_high", "prompts"),
]
_CONCEPTS = ["world", "concept", "set", "score", "value", "low", "high", "prompts"]


def _groups(world: _World, headline: str) -> list[dict]:
    """Uncertainty by group of `LEAST` prompts or more, for sets of kind bias or normal whose rows name groups."""
    rows = []
    for key, kind in world.kinds.items():
        prompts = world.prompts(key)
        if kind not in ("bias", NORMAL) or "group" not in prompts:
            continue
        sizes = prompts["group"].value_counts()
        names = [name for name in dict.fromkeys(prompts["group"].fillna("")) if name != "" and sizes[name] >= LEAST]
        if len(names) < 2:
            continue
        places = {name: np.flatnonzero(prompts["group"] == name) for name in names}
        counts = _group_counts(world, key, prompts, places)
        for axis in AXES:
            score = f"{headline}_{axis}"
            values = world.values(score, key)
            means = {
                name: mean_over_seeds(
                    [counts[name] @ one[places[name]] / counts[name].sum(axis=1) for one in values],
                    world.draws,
                    (-np.inf, np.inf),
                )
                for name in names
            }
            middle = np.mean(list(means.values()), axis=0)
            for name in names:
                apart = estimate(means[name] - middle)
                rows.append(
                    {"world": world.name, "set": key, "group": name, "score": score}
                    | estimate(means[name])
                    | {
                        "difference": apart["value"],
                        "difference_low": apart["low"],
                        "difference_high": apart["high"],
                        "prompts": len(places[name]),
                    }
                )
    return rows


def _group_counts(world: _World, key: str, prompts: pd.DataFrame, places: dict) -> dict[str, Array]:
    """Draws per group: of templates, common to all groups, where every group has each template once; else of its own prompts."""
    if "template" in prompts:
        templates = sorted(prompts["template"].dropna().unique())
        order = {name: prompts["template"].iloc[place].tolist() for name, place in places.items()}
        if all(sorted(found) == templates for found in order.values()):
            drawn = world.draws(f"{world.name} {key} templates", len(templates))
            number = {template: column for column, template in enumerate(templates)}
            return {name: drawn[:, [number[one] for one in found]] for name, found in order.items()}
    return {name: world.draws(f"{world.name} {key} group {name}", len(place)) for name, place in places.items()}


def _concepts(world: _World, headline: str) -> list[dict]:
    """AUROC of the prompts of kind ood or copyright that name one concept the generator may not know, against normal prompts."""
    scores = [f"{headline}_{axis}" for axis in AXES]
    scores += [name for name in (*IMAGE_SPACE, "nearest_training") if name in world.scores]
    rows = []
    for key, kind in world.kinds.items():
        prompts = world.prompts(key)
        if kind not in ("ood", "copyright") or "concept" not in prompts:
            continue
        numbers = prompts["concept"].fillna("").value_counts()
        for concept in sorted(name for name in numbers.index if name != "" and numbers[name] >= LEAST):
            place = np.flatnonzero(prompts["concept"] == concept)
            drawn = world.draws(f"{world.name} {key} concept {concept}", len(place))
            for score in scores:
                pairs = zip(world.values(score, world.normal), world.values(score, key)[:, place], strict=True)
                each = [separation(a, b, world.counts(world.normal), drawn)["auroc"] for a, b in pairs]
                rows.append(
                    {"world": world.name, "concept": concept, "set": key, "score": score}
                    | estimate(mean_over_seeds(each, world.draws))
                    | {"prompts": len(place)}
                )
    return rows


def unseen(prompts: pd.DataFrame, training: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Per prompt, what it names in one of `columns` that no training row has there or in a column of the same kind; "" for nothing.

    Columns that differ by a number at their end (object1, object2) are of one kind.
    """
    stem = {name: name.rstrip("0123456789") for name in columns}
    shown: dict[str, set] = {}
    for name in columns:
        shown.setdefault(stem[name], {""}).update(training[name].fillna("").unique())
    found = []
    for row in prompts[list(columns)].fillna("").to_dict("records"):
        found.append(next((str(row[name]) for name in columns if row[name] not in shown[stem[name]]), ""))
    return found


def summary(detection: pd.DataFrame, metric: str = "auroc") -> pd.DataFrame:
    """One row per world and score, one column per set, in percent with half an interval."""
    rows = detection[detection["metric"] == metric]
    sets = [*MEANS.values(), *(name for name in rows["set"].unique() if name not in MEANS.values())]
    return wide(rows, ["world", "score"], "set", sets, {"ood_mean": "OOD mean", "aleatoric_mean": "aleatoric mean"})
