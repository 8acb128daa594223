"""Choose settings on validation noise, once, for every sampler and number of evaluations; what is chosen is written down and frozen.

Peers are tried on all their settings. DEIS-SN has too many for that, so its options are searched one at a time from several starts. Both
searches see the same noise and the same measure, the root mean square error to the solution from the same noise.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from genovision.errors import InputError
from genovision.samplers.catalogue import (
    ON_OUR_GRIDS,
    OURS,
    PEERS,
    STOCHASTIC,
    Setting,
    coordinates,
    settings,
    starts,
    times_of,
)
from genovision.samplers.statistics import Trace, affine_config
from genovision.samplers.time_grids import STATE_DEGREE, polish, search

EXACT = 1e-10  # an error below it leaves nothing to improve
POLISHED = 4  # starts of `polished_family`
COLUMNS = ["nfe", "family", "name", "rmse", "evaluations", "setting"]


def candidates(level: int) -> dict[str, list[Setting]]:
    """What is tried whatever the outcome: the settings of every family that is not searched. Levels as in `catalogue.settings`."""
    return {family: settings(family, level) for family in PEERS + OURS if not coordinates(family, level)}


def coordinate_search(
    first: Sequence[Setting],
    options: Mapping[str, Sequence[Mapping[str, object]]],
    error: Callable[[Setting], float],
    sweeps: int = 3,
) -> list[tuple[Setting, float]]:
    """Improve one option at a time from each of `first`, sweep after sweep until none helps; returns all settings tried with their errors.

    options: for each name, the changes to try. Deterministic; a setting that comes up again is not run again. NaN counts as worst.
    """
    tried: dict[str, tuple[Setting, float]] = {}

    def measure(setting: Setting) -> float:
        key = setting.to_json()
        if key not in tried:
            found = error(setting)
            tried[key] = (setting, found if np.isfinite(found) else float("inf"))
        return tried[key][1]

    for setting in first:
        lowest = measure(setting)
        for _ in range(sweeps):
            before = lowest
            for changes in options.values():
                for change in changes:
                    other = setting.changed(**change)
                    found = measure(other)
                    if found < lowest:
                        setting, lowest = other, found
            if lowest >= before:
                break
    return list(tried.values())


def from_trace(trace: Trace) -> dict[str, dict]:
    """What `catalogue.run` needs of a denoiser, as fragments of DEISSNScheduler's configuration: normalisers, linear terms."""
    times = trace.times.tolist()

    def normalizer(values: np.ndarray) -> dict:
        shape = list(values.shape[1:])
        return {"normalizer": values.ravel().tolist(), "normalizer_times": times, "normalizer_shape": shape}

    return {
        "scalar": normalizer(trace.mean_abs_eps),
        "pixel": normalizer(trace.r),
        "affine": affine_config(trace),
    }


class Searched:
    """Time grids searched on stored paths (`time_grids.search`) for the options of a setting, once for all numbers of evaluations.

    The options are rounded to those that move the grid: no normaliser or the scalar one, a degree of two at most; `polished` does
    the rest. About a second for each set of options.
    """

    def __init__(self, trace: Trace, numbers: Sequence[int]) -> None:
        self.trace, self.numbers, self.found = trace, list(numbers), {}

    def __call__(self, setting: Setting, nfe: int) -> Setting:
        """The setting with its grid's times written out; a setting whose grid has a formula comes back as it is."""
        if setting.options.get("grid") != "searched" or "times" in setting.options:
            return setting
        options = setting.options
        plain = options.get("normalizer", "none") == "none" or float(options["gamma"]) < 0.5
        key = (
            options["interpolation_variable"],
            0.0 if plain else 1.0,
            bool(options.get("affine")),
            bool(options.get("first_step")),
            min(int(options["solver_order"]) - 1, STATE_DEGREE),
        )
        if key not in self.found:
            *kind, degree = key
            self.found[key] = search(self.trace.path(*kind), self.numbers, degree)
        return setting.changed(times=self.found[key][nfe])


def search_family(
    family: str,
    level: int,
    error: Callable[[Setting], float],
    resolve: Callable[[Setting], Setting] = lambda setting: setting,
) -> list[tuple[Setting, float]]:
    """All settings of a family that were tried, with their errors: the full list of a peer, a coordinate search for DEIS-SN.

    resolve: writes searched time grids out before a setting is run.
    """
    options = coordinates(family, level)
    if options:
        tried = coordinate_search(starts(family, level), options, lambda setting: error(resolve(setting)))
        return [(resolve(setting), value) for setting, value in tried]
    found = [(setting, error(setting)) for setting in map(resolve, settings(family, level))]
    return [(setting, value if np.isfinite(value) else float("inf")) for setting, value in found]


def polished(
    begin: Setting, nfe: int, error: Callable[[Setting], float], trials: int, config: Mapping[str, object]
) -> tuple[Setting, float]:
    """A setting with its grid, then called `polished`, improved on the error itself (`time_grids.polish`) in about `trials` runs."""
    measured: dict[tuple[float, ...], tuple[Setting, float]] = {}

    def measure(times: list[float]) -> float:
        other = begin.changed(grid="polished", times=[float(t) for t in times])
        value = error(other)
        value = value if np.isfinite(value) else float("inf")
        measured[tuple(times)] = (other, value)
        return value

    times = times_of(begin, nfe, config)
    polish(times, measure, max(1, round(trials / (2 * max(1, len(times) - 2)))))
    return min(measured.values(), key=lambda pair: pair[1])


def polished_family(
    family: str,
    tried: Sequence[tuple[Setting, float]],
    nfe: int,
    level: int,
    error: Callable[[Setting], float],
    trials: int,
    config: Mapping[str, object],
) -> list[tuple[Setting, float]]:
    """Settings of DEIS-SN on polished grids, begun from the best that was tried; at level 2 from the best of four polynomials.

    There, each start is polished, its other options are searched on the grid found, and the grid is polished again.
    """
    ranked = sorted(tried, key=lambda pair: (pair[1], pair[0].to_json()))
    if ranked[0][1] < EXACT:
        return []
    begin: dict[tuple, Setting] = {}
    for setting, _ in ranked:
        begin.setdefault((setting.options["interpolation_variable"], setting.options["solver_order"]), setting)
    if level < 2:
        return [polished(ranked[0][0], nfe, error, trials, config)]
    # a free first step has a grid of its own length
    others = {k: changes for k, changes in coordinates(family, level).items() if k not in ("grid", "first_step")}
    found: list[tuple[Setting, float]] = []
    for setting in list(begin.values())[:POLISHED]:
        best = polished(setting, nfe, error, trials, config)
        times = best[0].options["times"]
        changes = {name: [change | {"times": times} for change in options] for name, options in others.items()}
        again = coordinate_search([best[0]], changes, error, sweeps=1)
        again = min(again, key=lambda pair: (pair[1], pair[0].to_json()))
        found += [best, again, polished(again[0], nfe, error, trials, config)]
    return found


def choose(table: pd.DataFrame) -> dict[str, dict[str, dict]]:
    """{nfe: {row: setting}}: of every family the setting with the smallest error, `best-peer` and `best-ours` over all of them.

    table: columns nfe, family, rmse, setting (JSON) and any others. A tie goes to the setting whose JSON sorts first, so the order of
    rows does not matter; what failed is left out. Stochastic samplers have no error; theirs is the first setting tried. Raises
    InputError for an empty table or missing columns.
    """
    missing = [column for column in ("nfe", "family", "rmse", "setting") if column not in table.columns]
    if missing:
        raise InputError(f"the table of settings has no column {missing[0]}.")
    if table.empty:
        raise InputError("the table of settings is empty: nothing to choose from.")
    chosen: dict[str, dict[str, dict]] = {}
    for nfe, rows in table.groupby("nfe", sort=True):
        rows = rows.sort_values(["rmse", "setting"], na_position="last", kind="stable")
        found: dict[str, dict] = {}
        for family in PEERS + OURS + ON_OUR_GRIDS:
            of_family = rows[(rows.family == family) & np.isfinite(rows.rmse)]
            if family in STOCHASTIC:
                of_family = table[(table.nfe == nfe) & (table.family == family)]
            if not of_family.empty:
                found[family] = json.loads(of_family.setting.iloc[0])
        for name, families in (("best-peer", PEERS), ("best-ours", OURS)):
            ranked = rows[rows.family.isin(families) & np.isfinite(rows.rmse)]
            if not ranked.empty:
                found[name] = json.loads(ranked.setting.iloc[0])
        chosen[str(nfe)] = found
    return chosen


def chosen_settings(chosen: Mapping[str, Mapping[str, object]]) -> dict[int, dict[str, Setting]]:
    """The settings in what `choose` returned and a file gave back; InputError when it is no such thing."""
    try:
        return {
            int(nfe): {row: Setting.from_json(json.dumps(setting)) for row, setting in rows.items()}
            for nfe, rows in chosen.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("the chosen settings are no {nfe: {row: setting}}; make them with choose_settings.") from error


def as_table(rows: Iterable[tuple[int, Setting, float, int]]) -> pd.DataFrame:
    """(nfe, setting, rmse, evaluations) as the table that `choose` reads."""
    found = [
        [nfe, setting.family, setting.name, rmse, evaluations, setting.to_json()]
        for nfe, setting, rmse, evaluations in rows
    ]
    return pd.DataFrame(found, columns=COLUMNS)
