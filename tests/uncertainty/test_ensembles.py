"""Ensemble uncertainties: hand-computed values, the identities between them, and what identical or single members give."""

import numpy as np
import pytest

from genovision.uncertainty import scores
from genovision.uncertainty.ensembles import (
    CONFIDENCES,
    UNCERTAINTIES,
    averaged_logits,
    averaged_probabilities,
    averaged_score,
    decompose,
)


@pytest.fixture
def logits():
    return np.random.default_rng(3).normal(scale=4, size=(300, 5, 7))


def test_two_members_worked_by_hand():
    parts = decompose(np.log([[[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]]))
    expected = {
        "total": 0.943348,
        "average": 0.720425,
        "mutual_information": 0.222923,
        "epkl": 0.499831,
        "mkl": 0.276907,
    }
    for name, value in expected.items():
        assert parts[name] == pytest.approx(value, abs=1e-6), name
    assert parts["msp"] == pytest.approx(0.5)
    assert parts["variation_ratio"] == pytest.approx(0.5)


def test_every_key_is_named_an_uncertainty_or_a_confidence(logits):
    parts = decompose(logits)
    assert set(parts) == {*UNCERTAINTIES, *CONFIDENCES}
    assert all(values.shape == (300,) and values.dtype == np.float64 for values in parts.values())


def test_identities(logits):
    parts = decompose(logits)
    assert (parts["mutual_information"] >= 0).all()
    assert (parts["epkl"] >= parts["mutual_information"]).all()
    assert np.allclose(parts["total"], parts["average"] + parts["mutual_information"])
    assert np.allclose(parts["mkl"], parts["epkl"] - parts["mutual_information"])


def test_epkl_is_the_mean_over_ordered_pairs(logits):
    p = np.exp(logits - np.logaddexp.reduce(logits, axis=2, keepdims=True))
    pairs = [(p[:, m] * np.log(p[:, m] / p[:, n])).sum(axis=1) for m in range(5) for n in range(5)]
    assert np.allclose(decompose(logits)["epkl"], np.mean(pairs, axis=0))


def test_members_that_agree_do_not_disagree(logits):
    parts = decompose(np.repeat(logits[:, :1], 4, axis=1))
    for name in ("mutual_information", "epkl", "mkl"):
        assert np.abs(parts[name]).max() < 1e-12
    assert (parts["variation_ratio"] == 0).all()


def test_one_member_is_the_single_model_exactly(logits):
    parts = decompose(logits[:, :1])
    single = scores.logit_scores(logits[:, 0])
    for name in ("mutual_information", "epkl", "mkl"):
        assert (parts[name] == 0).all()
    assert np.allclose(-parts["total"], single["neg_entropy"])
    for name in CONFIDENCES:
        assert np.allclose(parts[name], single[name])


def test_averages_are_of_members_scores_and_not_scores_of_averages(logits):
    parts = decompose(logits)
    assert np.allclose(parts["energy"], averaged_score(scores.energy, logits))
    assert np.allclose(parts["max_logit"], averaged_score(scores.max_logit, logits))
    assert np.allclose(parts["average"], -averaged_score(scores.neg_entropy, logits))
    assert (scores.energy(averaged_logits(logits)) < parts["energy"]).all()  # log-sum-exp is convex
    assert np.allclose(averaged_probabilities(logits).max(axis=1), parts["msp"])


def test_huge_logits_give_finite_answers():
    parts = decompose(np.array([[[1e4, 0.0, -1e4], [0.0, 1e4, 0.0]]]))
    assert all(np.isfinite(values).all() for values in parts.values())
    assert parts["total"] == pytest.approx(np.log(2))


def test_a_tied_vote_counts_for_the_first_class():
    assert decompose(np.zeros((1, 3, 4)))["variation_ratio"] == 0


@pytest.mark.parametrize("shape", [(4, 3), (4, 0, 3), (4, 2, 1)])
def test_other_shapes_are_named(shape):
    with pytest.raises(ValueError, match=r"shape \(N, members >= 1, classes >= 2\)"):
        decompose(np.zeros(shape))


def test_the_first_bad_row_is_named(logits):
    logits[[7, 9], 1, 2] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"row 7 .* 1 more"):
        decompose(logits)
