"""Tables of scored sentences: what all later measures of the system edd are computed from.

One table per system and seed, one row per sentence: set, id, uncertainties (higher = less sure), and how well the system did there: `chrf`
of its translation, or `nll`, the negative log-likelihood per base of a DNA sequence. Every other number that is not in `OTHERS` is an
uncertainty. Letters: S seeds, N sentences of a set.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.errors import InputError

Floats = npt.NDArray[np.float64]

SYSTEM = "edd"
SYSTEMS = (
    "single",
    "ensemble",
    "end",
    "dirichlet",
    "proxy_dirichlet",
    "laplace",
    "laplace_top",
    "gaussian",
    "gaussian_top",
)
CONTROL = "control"  # stands for scores that know no model
KEYS = ["set", "id"]
OTHERS = ["role", "hypothesis", "tokens", "chrf", "nll", "logprob"]
TOTAL, KNOWLEDGE = "total", "mutual_information"
# column that says how well a sentence went, and its sign where higher is better
QUALITIES = {"bitext": ("chrf", 1), "dna": ("nll", -1)}
TEST, VALID, OOD, VALID_OOD = "test", "valid", "ood", "valid_ood"
_ROLES = (TEST, VALID, OOD, VALID_OOD)


class Task(NamedTuple):
    """All scores of one task, as arrays.

    roles:    set -> test, valid, ood or valid_ood, in the order of the sets
    ids:      set -> names of its N sentences
    seeds:    names of the S seeds
    values:   system -> uncertainty -> set -> (S, N);  the system `control` has S = 1
    quality:  system -> (S, N) on the test set, higher = better
    tables:   system -> its S tables
    """

    name: str
    roles: dict[str, str]
    ids: dict[str, list[str]]
    seeds: list[str]
    values: dict[str, dict[str, dict[str, Floats]]]
    quality: dict[str, Floats]
    tables: dict[str, list[pd.DataFrame]]

    def of_role(self, role: str) -> list[str]:
        return [name for name, own in self.roles.items() if own == role]

    @property
    def test(self) -> str:
        return self.of_role(TEST)[0]

    @property
    def inside(self) -> str:
        """The set of role valid: choices hold their OOD sets against it, never against the test set."""
        return self.of_role(VALID)[0]

    @property
    def systems(self) -> list[str]:
        """Those that know a model."""
        return [name for name in self.values if name != CONTROL]


def read_task(
    name: str,
    tables: Mapping[tuple[str, str], pd.DataFrame],
    roles: Mapping[str, str],
    controls: pd.DataFrame | None = None,
) -> Task:
    """Tables by (seed, system), roles by set, and the controls' table (no seed, no quality) as one task.

    InputError naming seed and system for an unknown task or system, a system without one of the seeds, a missing column, a set or sentence
    that one has and another lacks, fewer than two sentences, and what is no finite number.
    """
    if name not in QUALITIES:
        raise InputError(f"there is no task {name}; the tasks are {', '.join(QUALITIES)}.")
    seeds = list(dict.fromkeys(seed for seed, _ in tables))
    systems = sorted({system for _, system in tables}, key=_place)
    if not systems:
        raise InputError(f"{name}: there is no table of scored sentences.")
    for system in systems:
        missing = [seed for seed in seeds if (seed, system) not in tables]
        if missing:
            raise InputError(f"{name}: {system} has no table of seed {missing[0]}, others have; score it there too.")
    roles = _roles(name, roles)
    labelled = {f"{name}, {system}, seed {seed}": tables[seed, system] for system in systems for seed in seeds}
    if controls is not None:
        labelled[f"{name}, {CONTROL}"] = controls
    parts = {label: _by_set(table, roles, label) for label, table in labelled.items()}
    first_label, first = next(iter(parts.items()))
    roles = {key: role for key, role in roles.items() if key in first}
    for label, part in parts.items():
        _same_sentences(first, part, first_label, label)
    ids = {key: sorted(first[key].index) for key in roles}  # so that no replicate is a matter of the order of rows
    parts = {label: {key: part[key].loc[rows] for key, rows in ids.items()} for label, part in parts.items()}
    values, quality = {}, {}
    for system in systems:
        own = [f"{name}, {system}, seed {seed}" for seed in seeds]
        values[system] = _values([parts[label] for label in own], ids, own)
        quality[system] = _quality(name, [parts[label] for label in own], ids, roles, own)
    if controls is not None:
        values[CONTROL] = _values([parts[f"{name}, {CONTROL}"]], ids, [f"{name}, {CONTROL}"])
    kept = {system: [tables[seed, system] for seed in seeds] for system in systems}
    return Task(name, roles, ids, seeds, values, quality, kept)


def _place(system: str) -> int:
    if system not in SYSTEMS:
        raise InputError(f"there is no system {system}; the systems are {', '.join(SYSTEMS)}.")
    return SYSTEMS.index(system)


def _roles(name: str, roles: Mapping[str, str]) -> dict[str, str]:
    found = {key: role for key, role in roles.items() if role in _ROLES}
    counts = {role: sum(own == role for own in found.values()) for role in _ROLES}
    for role in (TEST, VALID):
        if counts[role] != 1:
            raise InputError(
                f"{name}: one set of role {role} is needed, {counts[role]} are there, among {', '.join(roles)}."
            )
    for role in (OOD, VALID_OOD):
        if not counts[role]:
            raise InputError(f"{name}: there is no set of role {role} among {', '.join(roles)}.")
    return found


def _by_set(table: pd.DataFrame, roles: Mapping[str, str], label: str) -> dict[str, pd.DataFrame]:
    """Set -> its rows, with the ids as index."""
    missing = [column for column in KEYS if column not in table.columns]
    if missing:
        raise InputError(f"{label}: there is no column {', '.join(missing)}; every sentence needs {', '.join(KEYS)}.")
    strange = [key for key in dict.fromkeys(table["set"]) if key not in roles]
    if strange:
        raise InputError(f"{label}: nothing says which role the set {strange[0]} has.")
    found = {}
    for key, part in table.groupby("set", sort=False):
        part = part.set_index(part["id"].astype(str))
        if part.index.has_duplicates:
            raise InputError(f"{label}: sentence {part.index[part.index.duplicated()][0]} of {key} is there twice.")
        found[key] = part
    absent = [key for key, role in roles.items() if key not in found]
    if absent:
        raise InputError(f"{label}: the set {absent[0]} is missing; score its sentences too.")
    return found


def _same_sentences(one: dict, other: dict, one_label: str, label: str) -> None:
    if one.keys() != other.keys():
        key = next(iter(one.keys() ^ other.keys()))
        raise InputError(f"the set {key} is in only one of {one_label} and {label}; score its sentences in both.")
    for key, rows in one.items():
        if len(rows) != len(other[key]):
            raise InputError(f"{key} has {len(rows)} sentences in {one_label} and {len(other[key])} in {label}.")
        if len(rows) < 2:
            raise InputError(f"{one_label}: the set {key} has one sentence; two at least are needed.")
        lost = rows.index.difference(other[key].index, sort=False)
        if len(lost):
            raise InputError(f"{label}: sentence {lost[0]} of {key} is missing; {one_label} has it.")


def measures_of(table: pd.DataFrame) -> list[str]:
    """The columns that are uncertainties."""
    return [column for column in table.columns if column not in (*KEYS, *OTHERS)]


def _values(parts: list[dict[str, pd.DataFrame]], ids: dict, labels: list[str]) -> dict[str, dict[str, Floats]]:
    """Uncertainty -> set -> (S, N), of the seeds of one system."""
    names = [measures_of(next(iter(part.values()))) for part in parts]
    for own, label in zip(names, labels, strict=True):
        differ = [column for column in (*names[0], *own) if (column in names[0]) != (column in own)]
        if differ:
            raise InputError(
                f"{differ[0]} is in only one of {labels[0]} and {label}; score both with the same measures."
            )
        lacking = [column for column in (TOTAL, KNOWLEDGE) if column not in own]
        if lacking and not label.endswith(CONTROL):
            raise InputError(f"{label}: there is no column {lacking[0]}.")
        if not own:
            raise InputError(f"{label}: there is no score besides {', '.join(KEYS)}.")
    return {
        column: {key: _numbers(parts, key, column, rows, labels) for key, rows in ids.items()} for column in names[0]
    }


def _numbers(parts: list[dict[str, pd.DataFrame]], key: str, column: str, rows: list[str], labels: list[str]) -> Floats:
    found = []
    for part, label in zip(parts, labels, strict=True):
        values = pd.to_numeric(part[key][column], errors="coerce").to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            bad = rows[int(np.argmin(np.isfinite(values)))]
            raise InputError(f"{label}: {column} of sentence {bad} of {key} is no finite number.")
        found.append(values)
    return np.stack(found)


def _quality(name: str, parts: list[dict[str, pd.DataFrame]], ids: dict, roles: dict, labels: list[str]) -> Floats:
    column, sign = QUALITIES[name]
    test = next(key for key, role in roles.items() if role == TEST)
    for part, label in zip(parts, labels, strict=True):
        if column not in part[test].columns:
            raise InputError(f"{label}: there is no column {column}; {name} is judged by it.")
    return sign * _numbers(parts, test, column, ids[test], labels)
