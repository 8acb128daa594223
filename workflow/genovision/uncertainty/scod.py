"""Selective classification with out-of-distribution data (SCOD): accept the right ones, reject the wrong ones and all OOD, at stated costs.

Xia & Bouganis 2022 (SIRC) and 2023 (window cascades). Confidence is higher = accept. The mixture is stated too: alpha is the share of
in-distribution rows in it, and the counts that make it up are part of the result.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from genovision.uncertainty import metrics
from genovision.uncertainty.metrics import Convention, Ranking


class Counts(NamedTuple):
    """Rows in the mixture."""

    id_correct: int
    id_wrong: int
    ood: int


def sirc2022(beta: float = 0.5) -> dict[str, float]:
    """Costs of the SIRC paper: beta for a wrong in-distribution row, 1 - beta for an OOD row; at 0.5 all risks are half the error rates."""
    if not 0 <= beta <= 1:
        raise ValueError(f"beta must lie in [0, 1], not {beta}")
    return {"cost_id": beta, "cost_ood": 1 - beta}


def window2023(beta: float = 1.0) -> dict[str, float]:
    """Costs of the window-cascade paper: 1 for a wrong in-distribution row, beta for an OOD row."""
    if not 0 <= beta < np.inf:
        raise ValueError(f"beta must be finite and not negative, not {beta}")
    return {"cost_id": 1.0, "cost_ood": beta}


class Evaluation:
    """One confidence on a mixture of in-distribution and OOD rows: `Evaluation(s, correct, s_ood, alpha=0.5, **sirc2022(beta=0.5))`.

    id_confidence, id_correct: (N,); ood_confidence: (M,). alpha in (0, 1]: rows are drawn without replacement by `seed` so that N / (N + M)
    is alpha as nearly as whole rows allow: all ID rows with floor(N (1 - alpha) / alpha) of the OOD rows, or, if these are too few, all OOD
    rows with as many ID rows as fit. alpha=None takes everything. The rows drawn depend on N, M, alpha and seed alone, so that scores
    compared with each other are compared on the same rows: `id_rows`, `ood_rows` are their numbers (sorted).

    Attributes: counts, alpha (as realised), cost_id, cost_ood, ranking (all rows: ID first, then OOD; strata 0 and 1), id_ranking.
    Raises ValueError for shapes that disagree, for NaN, and for an empty set: an OOD set may only be left out by alpha=1.
    """

    def __init__(
        self,
        id_confidence: npt.ArrayLike,
        id_correct: npt.ArrayLike,
        ood_confidence: npt.ArrayLike,
        *,
        alpha: float | None = None,
        cost_id: float = 1.0,
        cost_ood: float = 1.0,
        seed: int = 0,
    ):
        inside = Ranking(id_confidence, id_correct, cost_id)
        Ranking.separating(inside.confidence, ood_confidence)  # both sets are there and free of NaN
        outside = np.asarray(ood_confidence, dtype=np.float64)
        self.id_rows, self.ood_rows = mixture_rows(len(inside), len(outside), alpha, seed)
        confidence, correct = inside.confidence[self.id_rows], inside.correct[self.id_rows]
        outside = outside[self.ood_rows]
        self.cost_id, self.cost_ood = float(cost_id), float(cost_ood)
        self.counts = Counts(int(correct.sum()), int((~correct).sum()), len(outside))
        self.alpha = len(correct) / (len(correct) + len(outside))
        self.id_ranking = Ranking(confidence, correct, self.cost_id)
        second = np.repeat([0, 1], [len(correct), len(outside)])
        self.ranking = Ranking(
            np.concatenate([confidence, outside]),
            np.concatenate([correct, np.zeros(len(outside), dtype=bool)]),
            np.where(second == 1, self.cost_ood, self.cost_id),
            strata=second,
        )

    def aurc(self, convention: Convention = "xia", weights: npt.ArrayLike | None = None) -> Any:
        """Area under the risk-coverage curve of the mixture, see `metrics.aurc`."""
        return metrics.aurc(self.ranking, convention=convention, weights=weights)

    def aurr(self, weights: npt.ArrayLike | None = None) -> Any:
        """Area under the risk-recall curve of the mixture; recall is that of right in-distribution rows, see `metrics.aurr`."""
        return metrics.aurr(self.ranking, weights=weights)

    def risk_at_recall(
        self,
        recall: float = 0.95,
        rule: Literal["nearest", "at_least"] = "nearest",
        weights: npt.ArrayLike | None = None,
    ) -> Any:
        """Risk of the mixture at a recall of right in-distribution rows, see `metrics.risk_at_recall`."""
        return metrics.risk_at_recall(self.ranking, recall=recall, rule=rule, weights=weights)

    def coverage_at_risk(
        self,
        risk: float = 0.05,
        rule: Literal["max", "nearest"] = "max",
        skip: int | None = None,
        weights: npt.ArrayLike | None = None,
    ) -> Any:
        """Coverage of the mixture at a risk, see `metrics.coverage_at_risk`."""
        return metrics.coverage_at_risk(self.ranking, risk=risk, rule=rule, skip=skip, weights=weights)

    def risk_at_coverage(self, coverage: float = 0.8, threshold_on: Literal["id", "all"] = "id") -> float:
        """Risk of the mixture at a coverage (nearest threshold): of the mixture ("all"), or of the in-distribution rows ("id", as in the
        window-cascade paper: the threshold is set on ID data and the OOD rows come on top)."""
        if threshold_on == "all":
            return metrics.risk_at_coverage(self.ranking, coverage=coverage)
        if threshold_on != "id":
            raise ValueError(f"threshold_on must be 'id' or 'all', not {threshold_on!r}")
        return self.risk_at_threshold(metrics.operating_point(self.id_ranking, coverage=coverage).threshold)

    def risk_at_threshold(self, threshold: float) -> float:
        """Mean cost of the rows of the mixture with confidence >= threshold; 0 if there are none."""
        accepted = int((self.ranking.confidence >= threshold).sum())
        wrong = (self.id_ranking.confidence >= threshold) & ~self.id_ranking.correct
        inside = int((self.id_ranking.confidence >= threshold).sum())
        cost = self.cost_id * int(wrong.sum()) + self.cost_ood * (accepted - inside)
        return cost / accepted if accepted else 0.0


def mixture_rows(
    inside: int, outside: int, alpha: float | None, seed: int = 0
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Which of `inside` ID and `outside` OOD rows make a mixture with share alpha of ID: two sorted arrays; see `Evaluation`."""
    everything = np.arange(inside), np.arange(outside)
    if alpha is None:
        return everything
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha must lie in (0, 1], not {alpha}")
    rng = np.random.default_rng(seed)
    ratio = (1 - alpha) / alpha
    wanted = int(ratio * inside + 1e-6)  # a whole number that rounding left just below itself counts as whole
    if wanted <= outside:
        return everything[0], np.sort(rng.permutation(outside)[:wanted])
    kept = int(outside / ratio + 1e-6)
    if not kept:
        raise ValueError(f"{outside} OOD rows are too few for a mixture with alpha {alpha}")
    return np.sort(rng.permutation(inside)[:kept]), everything[1]


def correct_against_ood(
    id_confidence: npt.ArrayLike, id_correct: npt.ArrayLike, ood_confidence: npt.ArrayLike
) -> Ranking:
    """Right in-distribution rows against OOD, wrong ones left out: the columns of the SIRC tables, for auroc and fpr_at_tpr.

    Their column "ID x", right against wrong rows, is `Ranking(id_confidence, id_correct)`. Rows, and so weights, are those of the right
    ID rows, then OOD. Raises ValueError if no ID row is right or the OOD set is empty.
    """
    inside = Ranking(id_confidence, id_correct)
    return Ranking.separating(inside.confidence[inside.correct], ood_confidence)
