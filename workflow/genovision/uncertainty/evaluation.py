"""What the tables of the four systems have in common: a value with its interval, evidence for the ledger, a wide table for people.

Replicates are arrays (R + 1,): the value of the data first, then of each bootstrap sample (genovision.uncertainty.resampled).
"""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from genovision.resampling import interval
from genovision.uncertainty.resampled import Array

CONVENTIONS = {
    "auroc": "ID is positive, ties count half",
    "fpr95": "share of negatives at or above the threshold that keeps 95 % of positives (nearest)",
    "aurr": "positive: correct ID; cost per accepted input; step sum over recall",
    "aurc": "risk over coverage, trapezoids from risk 0 at coverage 0 (Xia), ties share their risk",
    "accuracy": "share of ID inputs classified correctly",
    "coverage_at_5_percent_risk": "largest coverage that a threshold reaches with a risk of at most 5 %",
}
CHANCE = {"auroc": 0.5, "fpr95": 0.95}


def estimate(values: Array) -> dict[str, float]:
    """value, low, high: the data's value and the 95 % interval of the replicates (NaN without replicates)."""
    replicates = np.asarray(values)[1:]
    low, high = interval(replicates) if len(replicates) > 1 and np.isfinite(replicates).any() else (np.nan, np.nan)
    return {"value": float(values[0]), "low": float(low), "high": float(high)}


def evidence(system: str, metric: str, side: str, group: str, values: Array) -> pd.DataFrame:
    """Rows of the ledger's evidence: replicate -1 is the data's value, 0.. the bootstrap samples, paired over sides by their number."""
    columns = {"system": system, "metric": metric, "side": side, "group": group}
    return pd.DataFrame({**columns, "replicate": np.arange(-1, len(values) - 1), "value": np.asarray(values)})


def plus_minus(value: float, low: float, high: float, scale: float = 100.0, digits: int = 1) -> str:
    """`93.1 ± 0.4`: value and half the length of its interval, in percent; the value alone without an interval."""
    if not np.isfinite(value):
        return ""
    text = f"{scale * value:.{digits}f}"
    return f"{text} ± {scale * (high - low) / 2:.{digits}f}" if np.isfinite(high - low) else text


def wide(
    table: pd.DataFrame,
    rows: list[str],
    column: str,
    order: Iterable[str],
    first: Mapping[str, str] = {},
    digits: int = 1,
) -> pd.DataFrame:
    """A tidy table (value, low, high) as one row per `rows` and one column per value of `column`, cells `plus_minus` in percent.

    order: the columns, left to right;  first: how a column is called instead
    """
    cells = table.assign(
        cell=[
            plus_minus(v, lo, hi, digits=digits)
            for v, lo, hi in zip(table["value"], table["low"], table["high"], strict=True)
        ]
    )
    spread = cells.pivot(index=rows, columns=column, values="cell")
    there = [name for name in order if name in spread.columns]
    keys = table[rows].drop_duplicates()
    spread = spread.loc[[tuple(key) if len(rows) > 1 else key[0] for key in keys.to_numpy()], there]
    return spread.rename(columns=first).fillna("").reset_index()
