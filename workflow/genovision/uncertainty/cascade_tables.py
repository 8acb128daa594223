"""Single models, ensembles of two and their early-exit cascades: what each gives, and what it costs.

Given are coverage in selective classification (SC), false positives in OOD detection, risk in both at once (SCOD); the cost is in MACs.

Xia & Bouganis 2023. The models of a width differ by seed; an ensemble is a pair of them, a cascade an ordered pair (the first runs on
everything, the second on what the policy passes on), and every value is the mean over all of them. Windows and thresholds come from the
calibration split; the adjusted window also sees the confidences, not the labels, of the stream it works on.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.resampling import Draws, stream
from genovision.uncertainty import cascade, metrics, resampled
from genovision.uncertainty.cascade import SCORES, SingleThreshold, Window
from genovision.uncertainty.evaluation import CONVENTIONS, estimate, evidence, plus_minus
from genovision.uncertainty.metrics import Ranking
from genovision.uncertainty.resampled import FEW, Array, over_seeds

SYSTEM = "early_exit"
SCORE = {"sc": "msp", "scod": "msp", "ood": "energy"}  # what a task exits by
MEAN = "ood_mean"
COVERED = {"coverage": partial(metrics.coverage_at_risk, risk=0.05)}
METRIC = {"sc": "coverage_at_5_percent_risk", "scod": "risk_at_80_percent_coverage", "ood": "fpr95"}
OF_FEW = f"interval over seeds and {FEW} samples of the images at most"
CONVENTION = {
    "sc": f"{CONVENTIONS['coverage_at_5_percent_risk']}; exits by MSP",
    "scod": "share of accepted inputs that are wrong or OOD, ID and OOD weighing the same, at 80 % ID coverage; exits by MSP; "
    + OF_FEW,
    "ood": f"all ID inputs against OOD; {CONVENTIONS['fpr95']}; exits by energy; {OF_FEW}",
}


class Family(NamedTuple):
    """Models of one width, one per seed.

    logits: split -> one array (N, K) per seed, splits `calibration`, `test` and the OOD sets;  macs: of one model and input
    """

    logits: dict[str, list[Array]]
    macs: float


class Tables(NamedTuple):
    """points: task (sc, ood, scod), system, width, ood, metric, value, low, high, macs, macs_low, macs_high, accuracy, units, seeds,
    convention
    windows: width, task, first, second (seeds), tau, low, high, threshold (of the single-threshold rival), share of the calibration split
    sweep: policy, width, half_width or share, continuing (share of the test split), coverage_at_5_percent_risk, accuracy
    evidence: for the ledger"""

    points: pd.DataFrame
    windows: pd.DataFrame
    sweep: pd.DataFrame
    evidence: pd.DataFrame


class Result(NamedTuple):
    """Replicates (R + 1,) of a metric, of the mean cost in MACs and of the accuracy."""

    metric: Array
    macs: Array
    accuracy: Array


def evaluate(
    families: Mapping[str, Family],
    calibration: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    draws: Draws,
    half_width: float = 0.1,
    sweep: str | None = None,
) -> Tables:
    """Tables over widths, in order of cost.

    families: width -> models, all of the same number of seeds on the same inputs;  calibration, labels: classes of the calibration and
              test splits
    half_width: of the windows; the single threshold passes on as many calibration inputs as the window;  sweep: the width for which
                windows of every size are tried
    """
    families = dict(sorted(families.items(), key=lambda item: item[1].macs))
    seeds = len(next(iter(families.values())).logits["test"])
    means: dict[tuple[str, str, str, str], tuple[Result, int]] = {}
    windows = []
    for width, family in families.items():
        windows += _windows(width, family, calibration, half_width)
        for task in SCORE:
            by_set: dict[str, list[tuple[Result, int]]] = {}
            for (name, system), units in _units(task, family, calibration, labels, half_width, draws).items():
                means[task, name, width, system] = _mean(units, seeds, draws)
                by_set.setdefault(system, []).append(means[task, name, width, system])
            for system, some in by_set.items():
                if task != "sc":
                    merged = Result(
                        *(np.mean(parts, axis=0) for parts in zip(*(result for result, _ in some), strict=True))
                    )
                    means[task, MEAN, width, system] = merged, some[0][1]
    if len(families) > 1:
        units = _family_units(families, calibration, labels, draws, half_width)
        means["sc", "none", "+".join(families), "family_cascade"] = _mean(units, seeds, draws)
    points = [
        {"task": task, "system": system, "width": width, "ood": name, "metric": METRIC[task]}
        | estimate(result.metric)
        | {
            f"macs{suffix}": value
            for suffix, value in zip(("", "_low", "_high"), estimate(result.macs).values(), strict=True)
        }
        | {"accuracy": float(result.accuracy[0]), "units": number, "seeds": seeds, "convention": CONVENTION[task]}
        for (task, name, width, system), (result, number) in means.items()
    ]
    tried = _sweep(sweep, families[sweep], calibration, labels) if sweep else pd.DataFrame()
    return Tables(pd.DataFrame(points), pd.DataFrame(windows), tried, _claims(families, means))


def macs_at_coverage(coverage: Array, family: npt.ArrayLike, macs: npt.ArrayLike) -> Array:
    """The least cost at which the single models of a family reach a coverage, (R,).

    coverage: (R,) to reach;  family: (W, R), coverages of the W models;  macs: (W,), rising
    Between neighbouring models coverage is taken as linear in the logarithm of the cost. What the cheapest model reaches costs as much as
    it does; what none reaches costs as much as the dearest: a lower bound.
    """
    family, logs = np.asarray(family, dtype=np.float64), np.log(np.asarray(macs, dtype=np.float64))
    found = np.full(np.shape(coverage), logs[-1])
    for w in range(len(logs) - 2, -1, -1):
        rise = family[w + 1] - family[w]
        part = np.clip(np.divide(coverage - family[w], rise, out=np.zeros_like(found), where=rise > 0), 0, 1)
        found = np.where(family[w + 1] >= coverage, logs[w] + part * (logs[w + 1] - logs[w]), found)
        found = np.where(family[w] >= coverage, logs[w], found)
    return np.exp(found)


class _Side(NamedTuple):
    """What the ID inputs of a task give under one cascade: threshold (R,), shares accepted and accepted wrongly there, cost, accuracy; for
    selective classification the coverage at 5 % risk instead."""

    at: Array
    kept: Array
    wrong: Array
    macs: Array
    accuracy: Array


def _id_side(task: str, outcome: cascade.Outcome, cost: Array, labels: npt.NDArray[np.int64], counts: Array) -> _Side:
    s, correct = outcome.confidence, outcome.prediction == labels
    macs, accuracy = resampled.weighted(np.column_stack([cost[outcome.stage], correct]), counts).T
    if task == "sc":
        covered = resampled.measured(Ranking(s, correct), counts, COVERED)["coverage"]
        return _Side(covered, covered, covered, macs, accuracy)
    at, kept = resampled.operating(s, counts, cascade.TASKS[task].level)
    wrong = kept
    if task == "scod":
        wrong = resampled.share_at(s[~correct], counts[:, ~correct], at) * (1 - accuracy)
    return _Side(at, kept, wrong, macs, accuracy)


def _result(task: str, side: _Side, theirs: cascade.Outcome | None, cost: Array, drawn: Array | None) -> Result:
    """The metric with an OOD set beside the ID inputs, both weighing the same; without one in selective classification."""
    if theirs is None:
        return Result(side.at, side.macs, side.accuracy)
    accepted = resampled.share_at(theirs.confidence, drawn, side.at)
    value = accepted if task == "ood" else (side.wrong + accepted) / (side.kept + accepted)
    return Result(value, (side.macs + resampled.weighted(cost[theirs.stage], drawn)) / 2, side.accuracy)


def _units(
    task: str,
    family: Family,
    calibration: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    half_width: float,
    draws: Draws,
) -> dict[tuple[str, str], dict[tuple[int, ...], Result]]:
    """(OOD set, system) -> members (seeds, in running order) -> Result."""
    score, seeds = SCORE[task], range(len(family.logits["test"]))
    samples = slice(None if task == "sc" else FEW + 1)
    counts = draws("test", len(labels))[samples]
    cost = family.macs * np.arange(1, 3)

    def outcome(split: str, members: Sequence[int], policies: list) -> cascade.Outcome:
        return cascade.run([family.logits[split][m] for m in members], policies, score)

    def side(members: Sequence[int], policies: list) -> _Side:
        return _id_side(task, outcome("test", members, policies), cost, labels, counts)

    systems: dict[str, dict[tuple[int, ...], list]] = {
        "single": {(m,): [] for m in seeds},
        "ensemble": {pair: [_Always()] for pair in combinations(seeds, 2)},
    }
    for first, second in permutations(seeds, 2):
        for policy, fitted in zip(
            ("window", "single_threshold"),
            _policies(task, family.logits["calibration"][first], calibration, half_width),
            strict=True,
        ):
            systems.setdefault(policy, {})[first, second] = [fitted]
    sides = {
        (system, members): side(members, used) for system, some in systems.items() for members, used in some.items()
    }
    oods = ["none"] if task == "sc" else [name for name in family.logits if name not in ("calibration", "test")]
    units: dict[tuple[str, str], dict] = {}
    for name in oods:
        drawn = None if task == "sc" else draws(name, len(family.logits[name][0]))[samples]
        for system, some in systems.items():
            for members, used in some.items():
                theirs = None if task == "sc" else outcome(name, members, used)
                units.setdefault((name, system), {})[members] = _result(
                    task, sides[system, members], theirs, cost, drawn
                )
        for members, (window,) in systems.get("window", {}).items():
            adjusted = [window.adjust(_stream(score, family, members[0], name))]
            theirs = None if task == "sc" else outcome(name, members, adjusted)
            units.setdefault((name, "adjusted_window"), {})[members] = _result(
                task, side(members, adjusted), theirs, cost, drawn
            )
    return units


def _stream(score: str, family: Family, first: int, name: str) -> Array:
    """Confidences of the first stage on the test split, or on as many ID as OOD inputs (the first of each)."""
    seen = SCORES[score](family.logits["test"][first][:, None])
    if name == "none":
        return seen
    other = SCORES[score](family.logits[name][first][:, None])
    number = min(len(seen), len(other))
    return np.concatenate([seen[:number], other[:number]])


class _Always:
    """The policy of an ensemble: everything goes on."""

    def passes_on(self, confidence: Array) -> npt.NDArray[np.bool_]:
        return np.ones(len(confidence), dtype=bool)


def _policies(
    task: str, logits: Array, labels: npt.NDArray[np.int64], half_width: float
) -> tuple[Window, SingleThreshold]:
    """The window of a first stage and its rival of equal cost, from its logits (N, K) on the calibration split."""
    confidence = SCORES[SCORE[task]](logits[:, None])
    correct = logits.argmax(axis=1) == labels
    window = Window(task).fit(confidence, correct, half_width)
    return window, SingleThreshold().fit(confidence, share=window.share)


def _family_units(
    families: Mapping[str, Family],
    calibration: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    draws: Draws,
    half_width: float,
) -> dict[tuple[int, ...], Result]:
    """The cascade through all widths, cheapest first, with a window after each: seed -> Result in selective classification."""
    costs = np.cumsum([family.macs for family in families.values()])
    units = {}
    for seed in range(len(next(iter(families.values())).logits["test"])):
        before, now = (
            [family.logits[split][seed] for family in families.values()] for split in ("calibration", "test")
        )
        outcome = cascade.run(now, cascade.fit_windows(before, calibration, "sc", half_widths=half_width))
        side = _id_side("sc", outcome, costs, labels, draws("test", len(labels)))
        units[(seed,)] = _result("sc", side, None, costs, None)
    return units


def _mean(units: Mapping[tuple[int, ...], Result], seeds: int, draws: Draws) -> tuple[Result, int]:
    """Replicates of the mean over units, over images and seeds; and how many units there are."""
    merged = []
    for field in Result._fields:
        values = {members: getattr(result, field) for members, result in units.items()}
        left_out = [[v[0] for members, v in values.items() if seed not in members] for seed in range(seeds)]
        left_out = [np.mean(some) for some in left_out] if all(left_out) else []
        bounds = (0.0, np.inf if field == "macs" else 1.0)
        merged.append(over_seeds(np.mean(list(values.values()), axis=0), left_out, draws, bounds))
    return Result(*merged), len(units)


def _windows(width: str, family: Family, calibration: npt.NDArray[np.int64], half_width: float) -> list[dict]:
    rows = []
    for task in SCORE:
        for first, logits in enumerate(family.logits["calibration"]):
            window, rival = _policies(task, logits, calibration, half_width)
            rows.append(
                {"width": width, "task": task, "score": SCORE[task], "first": first, "half_width": half_width}
                | {
                    "tau": window.tau,
                    "low": window.low,
                    "high": window.high,
                    "threshold": rival.high,
                    "share": window.share,
                }
                | {"macs": window.expected_macs([family.macs, family.macs])}
            )
    return rows


def _sweep(
    width: str, family: Family, calibration: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]
) -> pd.DataFrame:
    """Windows from none to all and single thresholds from none to all, in selective classification; means over ordered pairs."""
    seeds = range(len(family.logits["test"]))
    found: dict[tuple[str, float], list] = {}
    for first, second in permutations(seeds, 2):
        stages = [family.logits["test"][m] for m in (first, second)]
        logits = family.logits["calibration"][first]
        confidence, correct = SCORES["msp"](logits[:, None]), logits.argmax(axis=1) == calibration
        policies = {("window", half): Window().fit(confidence, correct, half) for half in np.arange(20) / 40}
        policies |= {
            ("single_threshold", share): SingleThreshold().fit(confidence, share=share)
            for share in np.linspace(0, 1, 11)
        }
        for key, policy in policies.items():
            outcome = cascade.run(stages, [policy])
            right = outcome.prediction == labels
            covered = metrics.coverage_at_risk(outcome.confidence, right, 0.05)
            found.setdefault(key, []).append((outcome.stage.mean(), covered, right.mean()))
    columns = ["continuing", METRIC["sc"], "accuracy"]
    return pd.DataFrame(
        [
            {"width": width, "policy": policy, "size": size, **dict(zip(columns, np.mean(values, axis=0), strict=True))}
            for (policy, size), values in found.items()
        ]
    )


def _claims(families: Mapping[str, Family], means: Mapping) -> pd.DataFrame:
    """Coverage at 5 % risk of the policies, and the window cascade's cost as a share of that of a single model of equal coverage.

    The dearest width has no dearer model to be compared with and is left out of the second.
    """
    widths, rows = list(families), []
    for width in widths:
        for policy in ("window", "single_threshold", "ensemble", "single"):
            if ("sc", "none", width, policy) in means:
                rows.append(evidence(SYSTEM, METRIC["sc"], policy, width, means["sc", "none", width, policy][0].metric))
    singles = [means["sc", "none", width, "single"][0].metric for width in widths]
    costs = [families[width].macs for width in widths]
    for width in widths[:-1]:
        if ("sc", "none", width, "window") in means:
            ours = means["sc", "none", width, "window"][0]
            share = ours.macs / macs_at_coverage(ours.metric, singles, costs)
            rows.append(evidence(SYSTEM, "macs_at_coverage", "window_cascade", width, share))
            rows.append(evidence(SYSTEM, "macs_at_coverage", "single", width, np.ones_like(share)))
    return pd.concat(rows, ignore_index=True)


def summary(points: pd.DataFrame) -> pd.DataFrame:
    """One row per width and system: million MACs and percent, intervals beside; OOD and SCOD as means over the OOD sets."""
    rows = []
    for (width, system), some in points.groupby(["width", "system"], sort=False):
        row = {"width": width, "system": system}
        for task, metric, cost in (
            ("sc", "coverage at 5 % risk", "MMACs"),
            ("ood", "FPR@95", "MMACs, OOD"),
            ("scod", "risk at 80 % coverage", "MMACs, SCOD"),
        ):
            found = some[(some["task"] == task) & some["ood"].isin(["none", MEAN])]
            for one in found.itertuples():
                if task == "sc":
                    row["accuracy"] = f"{100 * one.accuracy:.1f}"
                row[metric] = plus_minus(one.value, one.low, one.high)
                row[cost] = f"{one.macs / 1e6:.3g}"
        rows.append(row)
    return pd.DataFrame(rows).fillna("")


def compare_seconds(seconds: pd.DataFrame, points: pd.DataFrame, draws: Draws) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Medians over repeats, and evidence; the systems of a pair were timed in turn, so a replicate draws the same repeats of all of them.

    seconds: pair (a width, or all of them for family_cascade), system (single, ensemble, window, single_threshold, window_ood,
             family_cascade), repeat, images, share, seconds
    points:  of `evaluate`: which coverage each width's single model and window cascade reach
    The evidence is the window cascade's time as a share of that of a single model of equal coverage, between the family's models as in
    `macs_at_coverage`; the dearest width has no dearer model to be compared with. The intervals are those of the timing alone.
    Returns (table: pair, system, images, share, seconds, low, high, against_ensemble, against_low, against_high; evidence).
    """
    rows, ledger, singles, windows = [], [], {}, {}
    for pair, some in seconds.groupby("pair", sort=False):
        taken = some.pivot(index="repeat", columns="system", values="seconds").dropna()
        drawn = stream(draws.seed, "repeats").integers(len(taken), size=(draws.replicates, len(taken)))
        drawn = np.vstack([np.arange(len(taken)), drawn])
        medians = {system: np.median(taken[system].to_numpy()[drawn], axis=1) for system in taken}
        for system in some["system"].unique():
            one = some[some["system"] == system].iloc[0]
            ratio = estimate(medians[system] / medians.get("ensemble", np.full(1 + draws.replicates, np.nan)))
            rows.append(
                {"pair": pair, "system": system, "images": int(one["images"]), "share": float(one["share"])}
                | {"seconds" if key == "value" else key: value for key, value in estimate(medians[system]).items()}
                | {"against_ensemble": ratio["value"], "against_low": ratio["low"], "against_high": ratio["high"]}
            )
        if "single" in medians:  # not the cascade through all widths, which has no ensemble of its own either
            singles[str(pair)], windows[str(pair)] = medians["single"], medians["window"]
    selective = points[points["task"] == "sc"].set_index(["system", "width"])["value"]
    widths = [width for width in singles if ("single", width) in selective.index]
    widths.sort(key=lambda width: np.median(singles[width]))
    replicates = draws.replicates
    for width in widths[:-1]:
        reached = np.full(replicates + 1, selective["window", width])
        family = np.repeat([[selective["single", other]] for other in widths], replicates + 1, axis=1)
        costs = np.array([singles[other] for other in widths])
        needed = np.array(
            [macs_at_coverage(reached[[r]], family[:, [r]], costs[:, r])[0] for r in range(replicates + 1)]
        )
        ledger.append(evidence(SYSTEM, "seconds", "window_cascade", width, windows[width] / needed))
        ledger.append(evidence(SYSTEM, "seconds", "single", width, np.ones_like(needed)))
    columns = ["system", "metric", "side", "group", "replicate", "value"]
    return pd.DataFrame(rows), pd.concat(ledger, ignore_index=True) if ledger else pd.DataFrame(columns=columns)
