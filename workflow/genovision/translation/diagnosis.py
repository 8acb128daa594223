"""Why a student's uncertainty is or is not a signal: where in the vocabulary its teachers disagree, and what that depends on.

Two questions are put to an ensemble at the tokens of its own hypotheses. Is the spread of the members' log-probabilities, which a student
of logits learns, higher on OOD sentences, and for which tokens: those the ensemble thinks likely, or the tail? And how does the AUROC of
mutual information change with the number of tokens kept (k and a bucket for the rest), the temperature of the members, their number, and
the label smoothing they were trained with? Levels are named before the run, and all of them are reported: nothing is chosen here.

Letters: T positions, N sentences, M members, V vocabulary, B ranges of ranks. Ranks are by the ensemble's mean probability, the most
probable token has rank 1. Natural logarithms; higher = less sure.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from genovision.resampling import Draws
from genovision.translation.logit_noise import fit_laplace
from genovision.translation.truncation import top
from genovision.uncertainty.evaluation import estimate
from genovision.uncertainty.resampled import auroc

Floats = npt.NDArray[np.float64]

TEACHERS, MEAN = "teachers", "ood_mean"
TOTAL, KNOWLEDGE, SPREAD = "total", "mutual_information", "spread"
_LEAST = -1e4  # of a logarithm: an empty bucket leaves sums finite
QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}


class Setting(NamedTuple):
    """What the members' distributions are read with: temperature, tokens kept (k; V for all), members."""

    temperature: float
    k: int
    members: int


class Chunk(NamedTuple):
    """Some positions: the sentence (T,) of each, the members' log-probabilities (T, M, V), students' scales by name, (T, V) each."""

    sentences: npt.NDArray[np.intp]
    log_probs: torch.Tensor
    scales: Mapping[str, torch.Tensor]


class Found(NamedTuple):
    """What was found on a set of N sentences.

    ranks:     source (teachers, or a student) -> (N, B): spread or scale in each range of ranks, mean over a sentence's positions
    positions: source -> (T, B): the same of every position
    heavy:     student -> (B,): share of scales that are 1 or more
    values:    (setting, measure) -> (subsets of members, N), mean over a sentence's positions
    """

    ranks: dict[str, Floats]
    positions: dict[str, Floats]
    heavy: dict[str, Floats]
    values: dict[tuple[Setting, str], Floats]


def ranges(vocabulary: int) -> list[tuple[int, int]]:
    """Ranks 1, 2-3, 4-7, ... up to V, first and last counted; the last range is the shorter one that is left."""
    starts = [2**power for power in range(vocabulary.bit_length())]
    return [(first, min(2 * first - 1, vocabulary)) for first in starts]


def settings(
    vocabulary: int, members: int, temperatures: Sequence[float] = (), tokens: Sequence[int] = ()
) -> tuple[Setting, list[Setting]]:
    """The setting of a run (temperature 1, all tokens, all members) and all that are tried: every temperature with every number of tokens,
    and every number of members besides. k beyond the vocabulary is the vocabulary."""
    base = Setting(1.0, vocabulary, members)
    temperatures = sorted({1.0, *map(float, temperatures)})
    tokens = sorted({vocabulary, *(min(k, vocabulary) for k in tokens)})
    crossed = [Setting(t, k, members) for t, k in itertools.product(temperatures, tokens)]
    return base, crossed + [base._replace(members=number) for number in range(1, members)]


def subsets(members: int, number: int) -> list[list[int]]:
    """Subsets of `number` members in which each is as often as any other: those of neighbours in a circle, or the one of all."""
    if number == members:
        return [list(range(members))]
    return [[(first + step) % members for step in range(number)] for first in range(members)]


def spread_by_rank(values: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Mean (T, B) of values (T, V) of tokens over the ranges of ranks; order (T, V): tokens from rank 1 on."""
    ranked = values.double().gather(1, order)
    total = torch.nn.functional.pad(ranked.cumsum(dim=1), (1, 0))
    places = torch.tensor(ranges(values.shape[1]))
    return (total[:, places[:, 1]] - total[:, places[:, 0] - 1]) / (places[:, 1] - places[:, 0] + 1)


def uncertainty(log_probs: torch.Tensor, some: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Total uncertainty and mutual information, (T, subsets) each, of subsets of the members of (T, M, K)."""
    p = log_probs.exp()
    own = -(p * log_probs.clamp(min=_LEAST)).sum(dim=2)  # (T, M)
    totals, knowledge = [], []
    for members in some:
        data = own[:, list(members)].mean(dim=1)
        if len(members) == 1:
            total = data
        else:
            mean = p.mean(dim=1) if len(members) == p.shape[1] else p[:, list(members)].mean(dim=1)
            total = -torch.special.xlogy(mean, mean).sum(dim=1)
        totals.append(total)
        knowledge.append((total - data).clamp(min=0))
    return torch.stack(totals, dim=1), torch.stack(knowledge, dim=1)


def diagnose(chunks: Iterator[Chunk], sentences: int, tried: Sequence[Setting]) -> Found:
    """Everything about a set of `sentences` sentences, whose positions come in chunks.

    ValueError for a sentence without a position."""
    sums: dict = {}
    positions: dict[str, list[Floats]] = {}
    heavy: dict[str, list[Floats]] = {}
    number = np.zeros(sentences)
    for chunk in chunks:
        number += np.bincount(chunk.sentences, minlength=sentences)
        logs = chunk.log_probs.double()
        order = logs.logsumexp(dim=1).argsort(dim=1, descending=True, stable=True)
        scales = {TEACHERS: fit_laplace(logs)[1], **chunk.scales}
        for source, scale in scales.items():
            by_rank = spread_by_rank(scale, order)
            positions.setdefault(source, []).append(by_rank.float().numpy())
            _add(sums, ("ranks", source), by_rank, chunk.sentences, sentences)
            if source != TEACHERS:
                heavy.setdefault(source, []).append(spread_by_rank(scale >= 1, order).numpy())
        for temperature, some in itertools.groupby(sorted(tried), key=lambda setting: setting.temperature):
            tempered = (logs / temperature).log_softmax(dim=2)
            for (setting, measure), values in _measured(tempered, list(some)).items():
                _add(sums, (setting, measure), values, chunk.sentences, sentences)
    if not number.all():
        raise ValueError(f"sentence {int(np.argmin(number))} has no position")
    means = {key: values / number.reshape(-1, *[1] * (values.ndim - 1)) for key, values in sums.items()}
    return Found(
        {source: means["ranks", source] for source in positions},
        {source: np.concatenate(parts) for source, parts in positions.items()},
        {source: np.concatenate(parts).mean(axis=0) for source, parts in heavy.items()},
        {key: values.T for key, values in means.items() if key[0] != "ranks"},
    )


def _measured(logs: torch.Tensor, tried: Sequence[Setting]) -> dict[tuple[Setting, str], torch.Tensor]:
    """(setting, measure) -> (T, subsets), of log-probabilities (T, M, V) at one temperature."""
    members, vocabulary = logs.shape[1:]
    found, deviation = {}, fit_laplace(logs)[1]
    fewer = [setting.k for setting in tried if setting.k < vocabulary]
    tokens, kept = top(logs, max(fewer)) if fewer else (None, None)
    for setting in tried:
        support, own = logs, deviation
        if setting.k < vocabulary:  # tokens stand from the most to the least probable: what is left out joins the rest
            rest = kept[..., setting.k :].logsumexp(dim=2, keepdim=True)
            support = torch.cat([kept[..., : setting.k], rest], dim=2)
            own = deviation.gather(1, tokens[:, : setting.k])
        values = uncertainty(support, subsets(members, setting.members))
        found[setting, TOTAL], found[setting, KNOWLEDGE] = values
        if setting.members == members:
            found[setting, SPREAD] = own.mean(dim=1, keepdim=True)
    return found


def _add(sums: dict, key, values: torch.Tensor, places: npt.NDArray[np.intp], sentences: int) -> None:
    """Add values (T, columns) to the sums (N, columns) of their sentences."""
    values = values.double().numpy()
    if key not in sums:
        sums[key] = np.zeros((sentences, values.shape[1]))
    np.add.at(sums[key], places, values)


# --- tables --------------------------------------------------------------------------------------------------------------------------


def spread_table(found: Mapping[str, Found], vocabulary: int, draws: Draws) -> pd.DataFrame:
    """Spread of the teachers' log-probabilities (mean absolute deviation from the members' median, the scale that fits them best) and
    scales of students, by range of ranks.

    found: set -> what was found there, the test set first. Columns: source, set, first, last (ranks), mean (over sentences), q05 to q95 (of
    the range's mean, over positions), heavy (share of a student's scales that are 1 or more), auroc, auroc_low, auroc_high (against the
    test set), sentences, positions.
    """
    rows, test = [], next(iter(found))
    for source in found[test].ranks:
        for place, (first, last) in enumerate(ranges(vocabulary)):
            confidences = {key: -one.ranks[source][:, place] for key, one in found.items()}
            areas = _areas(confidences, test, draws)
            for key, one in found.items():
                here = one.positions[source][:, place]
                row = {"source": source, "set": key, "first": first, "last": last}
                row |= {"mean": float(one.ranks[source][:, place].mean())}
                row |= {name: float(np.quantile(here, share)) for name, share in QUANTILES.items()}
                row |= {"heavy": float(one.heavy[source][place]) if source in one.heavy else np.nan}
                value = estimate(areas[key]) if key in areas else dict.fromkeys(("value", "low", "high"), np.nan)
                row |= {"auroc": value["value"], "auroc_low": value["low"], "auroc_high": value["high"]}
                rows.append(row | {"sentences": len(one.ranks[source]), "positions": len(here)})
    return pd.DataFrame(rows)


def experiment_table(
    found: Mapping[float, Mapping[str, Found]], base: Setting, smoothing: float, draws: Draws
) -> pd.DataFrame:
    """AUROC of total uncertainty, mutual information and spread in every setting, of teachers of each label smoothing.

    found: label smoothing -> set -> what was found there, the test set first, with the hypotheses of these teachers;  base, smoothing: of
    the run. Columns: smoothing, temperature, k, members, base (yes for the run's own), measure, set (`ood_mean`: their mean), value, low,
    high (AUROC; over subsets of members the mean), difference, difference_low, difference_high (from the run's own, paired),
    mean_test (of the measure), sentences.
    """
    separated: dict[tuple, Floats] = {}
    means: dict[tuple, float] = {}
    for level, sets in found.items():
        test = next(iter(sets))
        for setting, measure in sets[test].values:
            each = [
                _areas({key: -one.values[setting, measure][number] for key, one in sets.items()}, test, draws)
                for number in range(len(sets[test].values[setting, measure]))
            ]
            for key in each[0]:
                separated[level, setting, measure, key] = np.mean([areas[key] for areas in each], axis=0)
            separated[level, setting, measure, MEAN] = np.mean(
                [separated[level, setting, measure, key] for key in each[0]], axis=0
            )
            means[level, setting, measure] = float(sets[test].values[setting, measure].mean())
    rows = []
    sizes = {key: len(next(iter(one.values.values()))[0]) for key, one in found[smoothing].items()}
    for (level, setting, measure, key), values in separated.items():
        less = estimate(values - separated[smoothing, base, measure, key])
        own = level == smoothing and setting == base
        rows.append(
            {"smoothing": level}
            | setting._asdict()
            | {"base": "yes" if own else "no", "measure": measure, "set": key}
            | estimate(values)
            | {"difference": less["value"], "difference_low": less["low"], "difference_high": less["high"]}
            | {"mean_test": means[level, setting, measure], "sentences": sizes.get(key, sum(list(sizes.values())[1:]))}
        )
    return pd.DataFrame(rows)


def settings_table(experiment: pd.DataFrame) -> pd.DataFrame:
    """What the settings are worth where choices may look: the rows of an `experiment_table` of validation sets for mutual information and
    the mean of the sets out of domain, the best first, with a column chosen (yes for it)."""
    rows = experiment[(experiment["measure"] == KNOWLEDGE) & (experiment["set"] == MEAN)]
    rows = rows.sort_values("value", ascending=False, kind="stable").reset_index(drop=True)
    rows = rows.drop(columns=["measure", "set", "mean_test"])
    rows.insert(0, "chosen", np.where(rows.index == 0, "yes", "no"))
    return rows


def _areas(confidences: Mapping[str, Floats], test: str, draws: Draws) -> dict[str, Floats]:
    """AUROC (R + 1,) of every other set; the sentences of a set are drawn alike for everything that is asked of it."""
    counts = {key: draws(key, len(values)) for key, values in confidences.items()}
    others = {key: values for key, values in confidences.items() if key != test}
    return auroc(confidences[test], others, counts[test], {key: counts[key] for key in others})
