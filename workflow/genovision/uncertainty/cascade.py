"""Window-based early-exit cascades: the next model runs only where it can change the decision to accept.

Xia & Bouganis 2023. An input leaves stage 1 unless its confidence lies in a window around the operating threshold tau: far above, it is
accepted anyway; far below, rejected anyway. (A cascade for accuracy would pass on everything that is unsure; `SingleThreshold` is that
rival.) Confidences are higher = accept. Windows are found on a validation split, never on the data they are then used on.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genovision.uncertainty import scores
from genovision.uncertainty.ensembles import Array, averaged_probabilities, checked, logsumexp
from genovision.uncertainty.metrics import operating_point


class Task(NamedTuple):
    """Where a task puts its threshold: at a `risk` or at a `coverage` of the in-distribution inputs, and at which level by default."""

    point: str
    level: float


# sc:   coverage at 5 % risk;  scod: risk where 80 % of the ID inputs are covered;  ood: 95 % of the ID inputs kept (FPR@95)
TASKS = {"sc": Task("risk", 0.05), "scod": Task("coverage", 0.80), "ood": Task("coverage", 0.95)}


class Window:
    """The window of one stage.

    task:  `sc`, `scod` or `ood` (see TASKS); only `sc` looks at which predictions are correct
    level: the task's risk or coverage; None = its default

    After `fit`: `tau` the operating threshold, `low` and `high` the ends (both still continue), `share` of the confidences it was last
    placed on that continue.
    """

    def __init__(self, task: str = "sc", level: float | None = None):
        if task not in TASKS:
            raise ValueError(f"task {task!r} is none of {', '.join(TASKS)}")
        self.task, self.point = task, TASKS[task].point
        self.level = TASKS[task].level if level is None else float(level)
        if not 0.0 <= self.level <= 1.0:
            raise ValueError(f"the {self.point} of a window lies in [0, 1], not at {self.level}")
        self.tau = self.low = self.high = self.share = self.half_width = None

    def fit(self, confidence: npt.ArrayLike, correct: npt.ArrayLike | None = None, half_width: float = 0.1) -> "Window":
        """Place the window on validation data, `half_width` of them (a share) on either side of tau; returns self.

        confidence: (N,) of ID validation inputs;  correct: (N,) bool, may be None where the task needs no labels
        """
        s = _confidences(confidence)
        self.tau = self._threshold(s, correct)
        self.half_width = float(half_width)
        return self._place(s)

    def _threshold(self, s: Array, correct: npt.ArrayLike | None) -> float:
        """The confidence whose risk or coverage is nearest to the level; at a risk the first 1 % of ranks is skipped (see metrics)."""
        if self.point == "coverage":
            return operating_point(s, np.ones(s.size, dtype=bool), coverage=self.level, rule="nearest").threshold
        if correct is None:
            raise ValueError("a threshold at a risk needs to know which predictions are correct")
        return operating_point(s, correct, risk=self.level, rule="nearest").threshold

    def adjust(self, confidence: npt.ArrayLike) -> "Window":
        """The adjusted window: same tau, its surroundings counted on unlabelled confidences of the stream itself; a new Window.

        Under distribution shift more or fewer inputs than intended fall into a window counted on validation data; this one holds the share.
        """
        _fitted(self)
        adjusted = Window(self.task, self.level)
        adjusted.tau, adjusted.half_width = self.tau, self.half_width
        return adjusted._place(_confidences(confidence))

    def _place(self, s: Array) -> "Window":
        if not 0.0 <= self.half_width <= 1.0:
            raise ValueError(f"half_width is a share in [0, 1], not {self.half_width}")
        if self.half_width == 0.0:  # nothing continues: the single model
            self.low, self.high = np.inf, -np.inf
        else:
            q = percentile_rank(s, self.tau)
            levels = np.clip([q - self.half_width, q + self.half_width], 0.0, 1.0)
            self.low, self.high = (float(end) for end in np.quantile(s, levels))
        self.share = float(self.passes_on(s).mean())
        return self

    def passes_on(self, confidence: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which inputs go on to the next stage: low <= confidence <= high, both ends included."""
        _fitted(self)
        s = np.asarray(confidence, dtype=np.float64)
        return (s >= self.low) & (s <= self.high)

    def expected_macs(self, macs: Sequence[float], confidence: npt.ArrayLike | None = None) -> float:
        """Mean cost per input of two stages, macs[0] + share * macs[1].

        The share is that of the data the window was placed on, or of `confidence` when given (the realised cost).
        """
        _fitted(self)
        return _expected(macs, self.share if confidence is None else float(self.passes_on(confidence).mean()))


class SingleThreshold:
    """The rival, as cascades for accuracy do it: everything up to a threshold continues, the `share` of least confident inputs."""

    def __init__(self) -> None:
        self.high = self.share = None

    def fit(
        self, confidence: npt.ArrayLike, correct: npt.ArrayLike | None = None, share: float = 0.2
    ) -> "SingleThreshold":
        """The threshold is the `share` quantile of validation confidences; `correct` is not looked at. Returns self."""
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share lies in [0, 1], not at {share}")
        s = _confidences(confidence)
        self.high = float(np.quantile(s, share)) if share else -np.inf
        self.share = float(self.passes_on(s).mean())
        return self

    def passes_on(self, confidence: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which inputs go on to the next stage: confidence <= high."""
        _fitted(self)
        return np.asarray(confidence, dtype=np.float64) <= self.high

    def expected_macs(self, macs: Sequence[float], confidence: npt.ArrayLike | None = None) -> float:
        """As for `Window`."""
        _fitted(self)
        return _expected(macs, self.share if confidence is None else float(self.passes_on(confidence).mean()))


def _fitted(policy: Window | SingleThreshold) -> None:
    if policy.high is None:
        raise ValueError(f"the {type(policy).__name__} has no place yet: call fit with validation data first")


def percentile_rank(values: Array, at: float) -> float:
    """Share of values below `at`, tied ones counted in the middle (scipy's percentileofscore, kind "rank"), in [0, 1]."""
    below, up_to = np.count_nonzero(values < at), np.count_nonzero(values <= at)
    return (below + up_to + (up_to > below)) / (2 * values.size)


class Outcome(NamedTuple):
    """What a cascade did with N inputs: the confidence (N,) of the stage that each left at, one ranking over all stages without
    recalibration; the prediction (N,); the stage (N,), from 0."""

    confidence: Array
    prediction: npt.NDArray[np.int64]
    stage: npt.NDArray[np.int64]


def msp_of_ensemble(logits: Array) -> Array:
    """MSP of the averaged probabilities, for SC and SCOD; logits (N, M, K) -> (N,). One member: `scores.msp` to the last bit."""
    return scores.msp(logits[:, 0]) if logits.shape[1] == 1 else averaged_probabilities(logits).max(axis=1)


def energy_of_ensemble(logits: Array) -> Array:
    """The members' energies averaged, for OOD detection; logits (N, M, K) -> (N,). One member: `scores.energy` to the last bit."""
    return scores.energy(logits[:, 0]) if logits.shape[1] == 1 else logsumexp(logits).mean(axis=1)


SCORES: dict[str, Callable[[Array], Array]] = {"msp": msp_of_ensemble, "energy": energy_of_ensemble}


def run(
    stages: Sequence[npt.ArrayLike],
    policies: Sequence[Window | SingleThreshold],
    score: str = "msp",
    ensemble: bool = True,
) -> Outcome:
    """A cascade of S stages. An input that reaches stage s is judged by the ensemble of stages 1..s (or by stage s alone).

    stages:   S arrays of logits (N, K), in the order in which they run
    policies: S - 1 fitted policies; policy s decides on the confidences of stage s
    score:    `msp` (of averaged probabilities) or `energy` (averaged over members)
    ensemble: False for exits of one network, which are not averaged

    Predictions are the argmax of averaged probabilities. An input's outcome depends on no other input.
    """
    if len(policies) != len(stages) - 1:
        raise ValueError(f"a cascade of {len(stages)} stages needs {len(stages) - 1} policies, not {len(policies)}")
    v = stacked(stages)
    rows = v.shape[0]
    confidence, prediction, stage = np.empty(rows), np.empty(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    active = np.arange(rows)
    for s in range(v.shape[1]):
        members = v[active, : s + 1] if ensemble else v[active, s : s + 1]
        confidence[active] = SCORES[score](members)
        prediction[active] = averaged_probabilities(members).argmax(axis=1)
        stage[active] = s
        if s < len(policies):
            active = active[policies[s].passes_on(confidence[active])]
    return Outcome(confidence, prediction, stage)


def fit_windows(
    stages: Sequence[npt.ArrayLike],
    labels: npt.ArrayLike,
    task: str = "sc",
    level: float | None = None,
    half_widths: Sequence[float] | float = 0.1,
    score: str = "msp",
    ensemble: bool = True,
) -> list[Window]:
    """The windows of a cascade of S stages, each fitted on all validation inputs as that stage judges them.

    stages: S arrays of validation logits (N, K);  labels: (N,);  half_widths: one for all, or S - 1
    """
    v, labels = stacked(stages), np.asarray(labels)
    widths = [half_widths] * (len(stages) - 1) if np.isscalar(half_widths) else list(half_widths)
    windows = []
    for s, width in enumerate(widths):
        members = v[:, : s + 1] if ensemble else v[:, s : s + 1]
        prediction = averaged_probabilities(members).argmax(axis=1)
        windows.append(Window(task, level).fit(SCORES[score](members), prediction == labels, width))
    return windows


def mean_macs(stage: npt.ArrayLike, macs: Sequence[float]) -> float:
    """Mean cost per input: who left at stage s has paid macs[0] + ... + macs[s]. stage: (N,) from `run`."""
    return float(np.cumsum(np.asarray(macs, dtype=np.float64))[np.asarray(stage)].mean())


def stacked(stages: Sequence[npt.ArrayLike]) -> Array:
    """S arrays (N, K) as one (N, S, K), or a ValueError with both shapes."""
    arrays = [np.asarray(one, dtype=np.float64) for one in stages]
    for number, one in enumerate(arrays):
        if one.shape != arrays[0].shape:
            raise ValueError(f"stage 1 has logits of shape {arrays[0].shape}, stage {number + 1} of shape {one.shape}")
    return checked(np.stack(arrays, axis=1))


def _confidences(values: npt.ArrayLike) -> Array:
    s = np.asarray(values, dtype=np.float64)
    if s.ndim != 1 or s.size == 0:
        raise ValueError(f"confidences have shape (N,) with N >= 1, these have {s.shape}")
    if np.isnan(s).any():
        raise ValueError(f"row {int(np.flatnonzero(np.isnan(s))[0])} of the confidences is not a number")
    return s


def _expected(macs: Sequence[float], share: float) -> float:
    if len(macs) != 2:
        raise ValueError(f"expected_macs is of two stages; {len(macs)} costs were given (mean_macs takes any number)")
    return float(macs[0] + share * macs[1])
