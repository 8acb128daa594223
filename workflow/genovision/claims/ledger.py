"""Weigh a claim against resampled evidence: an estimate, an interval and a verdict, computed and never typed.

Evidence is a table of bootstrap replicates, `system, metric, side, group, replicate, value`: replicate -1 is the point estimate,
and a replicate number means the same resample on every side of a group, so differences are paired.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from genovision.errors import InputError
from genovision.resampling import interval

EVIDENCE = ["system", "metric", "side", "group", "replicate", "value"]
LEDGER = [
    *("id", "system", "claim", "metric", "left", "right", "direction", "minimum_effect", "unit"),
    *("estimate", "low", "high", "verdict", "scale", "groups", "tables", "note"),
]


@dataclass(frozen=True)
class Claim:
    """A headline claim of a paper as data.

    left, right:    sides of the evidence; with several on the right the claim must hold against each
    direction:      greater or less (left than right), or near (left and right differ by at most `minimum_effect`)
    minimum_effect: how much greater or less at least, in units of the metric; negative allows as much worse (no worse than)
    unit:           what was resampled
    groups:         groups of the evidence to average over (species, data sets, ...); empty: all there are
    on_warning:     what a warning about the data of a group means for the claim: nothing, note, or drop (the group is left out)
    """

    id: int
    system: str
    claim: str
    metric: str
    left: str
    right: tuple[str, ...]
    direction: str
    minimum_effect: float
    unit: str
    groups: tuple[str, ...] = field(default=())
    on_warning: str = "nothing"


def read_claim(entry: dict) -> Claim:
    """A claim from its entry in the YAML list (checked against the schema before); `right` may be one side or a list."""
    sides = entry["right"]
    right = (sides,) if isinstance(sides, str) else tuple(sides)
    return Claim(**{**entry, "right": right, "groups": tuple(entry.get("groups", ()))})


def check_evidence(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """The evidence itself, or InputError naming the table and what is wrong with it."""
    missing = [column for column in EVIDENCE if column not in frame.columns]
    if missing:
        raise InputError(f"{name} has no column {', '.join(missing)}; evidence needs {', '.join(EVIDENCE)}.")
    key = ["system", "metric", "side", "group", "replicate"]
    if frame.duplicated(key).any():
        row = int(np.flatnonzero(frame.duplicated(key))[0])
        raise InputError(
            f"{name}, line {row + 2}: a second value for the same system, metric, side, group and replicate."
        )
    return frame


def margins(claim: Claim, evidence: pd.DataFrame, dropped: Collection[str] = ()) -> tuple[pd.Series, list[str]] | None:
    """How far each replicate goes in the claim's direction, averaged over groups, against the hardest of the right sides.

    A series by replicate (-1 first), positive where left is on the claimed side of right (for `near` it is left minus right), and
    the groups it averages: those that have both sides, without `dropped`. None when there is none, or one that the claim names
    is missing. A replicate that is undefined in a group is left out; an undefined point estimate of a group makes it NaN.
    """
    rows = evidence[(evidence["system"] == claim.system) & (evidence["metric"] == claim.metric)]
    sides = {claim.left, *claim.right}
    points = rows[rows["replicate"] == -1]
    there = {group for group, part in points.groupby("group") if sides <= set(part["side"])}
    wanted = (set(claim.groups) or there) - set(dropped)
    if not wanted or not wanted <= there:
        return None
    chosen = rows[rows["group"].isin(wanted) & rows["side"].isin(sides)]
    wide = chosen.pivot(index=["group", "replicate"], columns="side", values="value").astype(np.float64)
    wide = wide[(wide.index.get_level_values("replicate") == -1) | wide.notna().all(axis=1)]
    sign = -1.0 if claim.direction == "less" else 1.0
    each = pd.DataFrame({side: sign * (wide[claim.left] - wide[side]) for side in claim.right})
    counted = each.groupby(level="replicate").size()
    means = each.groupby(level="replicate").mean()[counted == len(wanted)]
    if each[each.index.get_level_values("replicate") == -1].isna().any(axis=None):
        means.loc[-1] = np.nan
    return means.min(axis=1, skipna=False), sorted(wanted)


def verdict(claim: Claim, low: float, high: float) -> str:
    """`supported`, `contradicted` or `inconclusive`: where the whole interval lies.

    greater, less: supported above `minimum_effect`, contradicted below it.
    near: supported within +-`minimum_effect`, contradicted outside.
    """
    if not np.isfinite([low, high]).all():
        return "inconclusive"
    effect = claim.minimum_effect
    if claim.direction == "near":
        inside, outside = -effect <= low and high <= effect, low > effect or high < -effect
    else:
        inside, outside = low > effect, high < effect  # a set compared with itself, 0 [0, 0], is no support
    return "supported" if inside else "contradicted" if outside else "inconclusive"


def weigh(
    claims: Sequence[Claim], evidence: dict[str, pd.DataFrame], warnings: dict[str, dict[str, str]], scale: str
) -> pd.DataFrame:
    """The ledger: one row per claim, columns `LEDGER`, in the order given.

    evidence: table's path -> rows of evidence;  warnings: system -> group -> sentence about its data
    A claim without evidence, or with none left when warned groups are dropped, is `not run`; one whose estimate is undefined is
    `inconclusive`, with a note. Missing estimates are NaN.
    """
    return pd.DataFrame(
        [_weigh_one(claim, evidence, warnings.get(claim.system, {}), scale) for claim in claims], columns=LEDGER
    )


def _weigh_one(claim: Claim, evidence: dict[str, pd.DataFrame], warnings: dict[str, str], scale: str) -> dict:
    row = {name: getattr(claim, name) for name in ("id", "system", "claim", "metric", "left", "direction")}
    row |= {"right": ", ".join(claim.right), "minimum_effect": claim.minimum_effect, "unit": claim.unit, "scale": scale}
    row |= {
        "estimate": np.nan,
        "low": np.nan,
        "high": np.nan,
        "verdict": "not run",
        "groups": "",
        "tables": "",
        "note": "",
    }
    dropped = list(warnings) if claim.on_warning == "drop" else []
    if warnings and claim.on_warning != "nothing":
        left_out = "left out, because " if dropped else ""
        row["note"] = " ".join(f"{group}: {left_out}{sentence}" for group, sentence in warnings.items())
    relevant = {
        name: frame
        for name, frame in evidence.items()
        if ((frame["system"] == claim.system) & (frame["metric"] == claim.metric)).any()
    }
    if not relevant:
        return row
    rows = pd.concat(list(relevant.values()), ignore_index=True)
    weighed = margins(claim, rows, dropped)
    if weighed is None:
        return row
    margin, groups = weighed
    row |= {"groups": ", ".join(groups), "tables": ", ".join(relevant)}
    if not np.isfinite(margin[-1]):
        row["note"] = " ".join(filter(None, [row["note"], "the estimate is undefined here."]))
        return row | {"verdict": "inconclusive"}
    replicates = margin.drop(-1)
    low, high = interval(replicates) if len(replicates) > 1 else (np.nan, np.nan)
    return row | {
        "estimate": float(margin[-1]),
        "low": float(low),
        "high": float(high),
        "verdict": verdict(claim, low, high),
    }
