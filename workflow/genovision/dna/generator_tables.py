"""The tables of generated promoters: every measure of every set in one tidy table, evidence for the claims, and the conditions under which
Absorb & Escape is argued to work, each as a number."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from genovision.dna.measures import join
from genovision.errors import InputError
from genovision.resampling import interval

ORIGIN = ["set", "generator", "parents", "sampler", "nfe", "threshold"]
TIDY = [*ORIGIN, "species", "length", "motif", "metric", "value", "low", "high", "floor", "n", "convention"]
CONDITIONS = ["condition", "measure", "value", "low", "high", "holds", "read_as"]
SUMMARY = {
    "FReD": ("", "fred"),
    "P-FID": ("", "p_fid"),
    "CorM TATA-box": ("TATA-box", "cor"),
    "CorM Initiator": ("Initiator", "cor"),
    "js6": ("", "js6"),
    "delta_div (%)": ("", "delta_div"),
    "discriminator (6-mers)": ("", "discriminator_logistic"),
    "discriminator (CNN)": ("", "discriminator_cnn"),
    "species accuracy": ("", "species_accuracy"),
    "nearest identity": ("", "nearest_identity"),
}


def origins(sets: Sequence[tuple[str, str, str]], draws: pd.DataFrame, edits: pd.DataFrame) -> pd.DataFrame:
    """Where each set comes from, columns ORIGIN, empty for what it has not, in the order given.

    sets:  name, kind and parents, which are joined by " + ", the refined one first
    draws: of dna/sample_generator, set, sampler, nfe, rounds: what a generator was asked with; a refinement has its first parent's
    edits: of dna/refine_samples, set and threshold: what a refinement went by, chosen or given
    """
    drawn, thresholds = draws.set_index("set"), edits.set_index("set")["threshold"]
    parent = {name: parents.split(" + ")[0] for name, _, parents in sets}

    def asked(name: str) -> tuple[str, str]:
        if name in drawn.index:
            row = drawn.loc[name]
            number = row["nfe"] if pd.notna(row["nfe"]) else row["rounds"]
            return row["sampler"] if pd.notna(row["sampler"]) else "", f"{number:g}" if pd.notna(number) else ""
        return asked(parent[name]) if parent.get(name) else ("", "")

    rows = []
    for name, kind, parents in sets:
        threshold = thresholds.get(name, np.nan)
        rows.append((name, kind, parents, *asked(name), f"{threshold:g}" if pd.notna(threshold) else ""))
    return pd.DataFrame(rows, columns=ORIGIN)


def tidy(tables: Sequence[pd.DataFrame], origins: pd.DataFrame, floor: str) -> pd.DataFrame:
    """All measures with the floor set's value beside each and where the set comes from, columns TIDY.

    tables: of dna/measure_set and dna/judge_set; origins: columns ORIGIN, one row per set, whose order is kept.
    InputError for a set that has no origin.
    """
    try:
        joined = join(tables, floor)
    except ValueError as error:
        raise InputError(f"the measures contradict each other: {error}; give each table once.") from error
    order = {name: place for place, name in enumerate(origins["set"])}
    if unknown := sorted(set(joined["set"]) - set(order)):
        raise InputError(f"the set {unknown[0]} has no origin; name it with --set.")
    found = joined.merge(origins, on="set", how="left", validate="many_to_one")
    found["place"] = found["set"].map(order)
    return found.sort_values(["place", "species", "motif", "metric"], kind="stable")[TIDY].reset_index(drop=True)


def mean_over_species(table: pd.DataFrame, evidence: pd.DataFrame) -> pd.DataFrame:
    """The table's measures averaged over species, with intervals from the evidence's replicates.

    Columns set, motif, metric, value, low, high, floor. Only metrics with replicates in every species of the set.
    """
    rows = []
    labels = evidence["metric"].str.partition(":")
    parted = evidence.assign(name=labels[0], motif=labels[2])
    means = parted.groupby(["side", "name", "motif", "replicate"], sort=False)["value"].mean()
    for (name, motif, metric), part in table.groupby(["set", "motif", "metric"], sort=False):
        key = (name, metric, motif)
        if key not in means.index.droplevel("replicate"):
            continue
        values = means.loc[key]
        drawn = values[values.index >= 0].dropna()
        low, high = interval(drawn) if len(drawn) else (np.nan, np.nan)
        columns = {"set": name, "motif": motif, "metric": metric, "value": values.get(-1, np.nan)}
        rows.append(columns | {"low": low, "high": high, "floor": part["floor"].mean()})
    return pd.DataFrame(rows, columns=["set", "motif", "metric", "value", "low", "high", "floor"])


def summary(means: pd.DataFrame, origins: pd.DataFrame) -> pd.DataFrame:
    """For reading: one row per set, cells `value [low, high]`, averaged over species."""
    cells = {
        (row.set, row.motif, row.metric): f"{row.value:.3g} [{row.low:.3g}, {row.high:.3g}]"
        for row in means.itertuples()
        if row.value == row.value
    }
    found = origins[["set", "parents"]].fillna("").reset_index(drop=True)
    for title, key in SUMMARY.items():
        found[title] = [cells.get((name, *key), "") for name in found["set"]]
    return found


class Difference(NamedTuple):
    """left minus right, averaged over species, with a paired interval."""

    value: float
    low: float
    high: float


def difference(evidence: pd.DataFrame, metric: str, left: str, right: str) -> Difference:
    """Of a metric of the evidence; NaN where a side is missing."""
    rows = evidence[(evidence["metric"] == metric) & evidence["side"].isin([left, right])]
    wide = rows.pivot_table(index=["group", "replicate"], columns="side", values="value")
    if not {left, right} <= set(wide.columns):
        return Difference(np.nan, np.nan, np.nan)
    each = (wide[left] - wide[right]).groupby(level="replicate").mean()
    drawn = each[each.index >= 0].dropna()
    low, high = interval(drawn) if len(drawn) else (np.nan, np.nan)
    return Difference(float(each.get(-1, np.nan)), float(low), float(high))


def conditions(
    evidence: pd.DataFrame, calibrations: dict[str, dict], edits: pd.DataFrame, diffusion: str, autoregression: str
) -> pd.DataFrame:
    """What has to hold for Absorb & Escape to help, measured: columns CONDITIONS.

    evidence      replicates of all sets
    calibrations  of dna/calibrate_generator, by generator
    edits         what each refinement edited, of dna/refine_samples
    `holds` is yes or no where the whole interval lies on one side, else unclear.
    """
    rows = []

    def add(condition: str, measure: str, found, at: float, above: bool, read_as: str) -> None:
        value, low, high = found
        sides = (low > at, high < at) if above else (high < at, low > at)
        holds = "yes" if sides[0] else "no" if sides[1] else "unclear"
        rows.append([condition, measure, value, low, high, holds, read_as])

    add(
        "the autoregressive model is better locally",
        "js6, autoregressive - diffusion",
        difference(evidence, "js6", autoregression, diffusion),
        0,
        False,
        "below 0",
    )
    add(
        "the autoregressive model is better than counting words",
        "bits per base, autoregressive - order-5 Markov",
        difference(evidence, "bits_per_base", autoregression, "markov5"),
        -0.02,
        False,
        "below -0.02",
    )
    add(
        "the diffusion model is better globally",
        "CorM TATA-box, diffusion - autoregressive",
        difference(evidence, "cor:TATA-box", diffusion, autoregression),
        0,
        True,
        "above 0",
    )
    for name in (diffusion, autoregression):
        for kind, found in calibrations.get(name, {}).get("error_auroc", {}).items():
            add(
                f"{name}'s {kind} confidence finds wrong bases",
                "AUROC of bases replaced in real sequences",
                found,
                0.5,
                True,
                "above 0.5",
            )
        if name in calibrations:
            error = calibrations[name]["calibration_error"]
            add(
                f"{name}'s probabilities mean what they say",
                "expected calibration error on real sequences",
                error,
                0.05,
                False,
                "below 0.05",
            )
    for row in edits[edits["rule"].isin(["natural", "sampled", "threshold"])].itertuples():
        rate = row.edit_rate
        add(f"{row.set} edits at all", "share of bases written", (rate, rate, rate), 0.01, True, "above 0.01")
    return pd.DataFrame(rows, columns=CONDITIONS)
