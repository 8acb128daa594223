"""Control scores: probabilities that are ones, numbers by hand, and what they must be higher for."""

import numpy as np
import pytest

from genovision.translation.controls import NAMES, Controls

TRAIN = [[5, 6, 2], [5, 7, 2], [5, 6, 6, 2]]
TEXTS = ["open door", "open window", "open door door"]


@pytest.fixture
def controls():
    return Controls(TRAIN, TEXTS)


def test_numbers_by_hand(controls):
    found = controls([[5, 6, 2], [9, 2]], ["open door", "Tür"])
    assert tuple(found) == NAMES
    # ten tokens, four different: p(5) = 4/15, p(6) = 4/15, p(2) = 4/15, p(9) = 1/15
    assert found["unigram"][0] == pytest.approx(-np.log(4 / 15))
    assert found["unigram"][1] == pytest.approx(-(np.log(1 / 15) + np.log(4 / 15)) / 2)
    # 5 opens all three sentences, 6 follows 5 in two of three, the end follows 6 in two of three
    prior = 4 / 15
    expected = -np.mean(np.log([(3 + prior) / 4, (2 + prior) / 4, (2 + prior) / 4]))
    assert found["bigram"][0] == pytest.approx(expected)
    assert found["bigram"][1] == pytest.approx(-np.mean(np.log([(1 / 15) / 4, (4 / 15) / 1])))
    assert found["length"].tolist() == [3, 2]
    assert found["tokens_per_word"].tolist() == [1.0, 1.0]
    assert found["unknown_words"].tolist() == [0.0, 1.0]


def test_probabilities_sum_to_one_over_known_tokens_and_one_for_all_others(controls):
    known = [2, 5, 6, 7]
    assert sum(controls.token_probability(token) for token in [*known, 99]) == pytest.approx(1)
    for before in (None, 5, 6, 7, 42):
        assert sum(controls.pair_probability(before, token) for token in [*known, 99]) == pytest.approx(1)


def test_order_changes_the_bigram_and_nothing_else(controls):
    found = controls([[5, 6, 2], [6, 5, 2]], ["open door", "door open"])
    for name in NAMES:
        same = found[name][0] == pytest.approx(found[name][1], abs=1e-12)
        assert same == (name != "bigram")
    assert found["bigram"][1] > found["bigram"][0]


def test_known_pairs_count_the_start_and_the_end(controls):
    assert controls.known_pairs(TRAIN[0]) == 1.0
    assert controls.known_pairs([6, 5, 2]) == 0.0
    assert controls.known_pairs([5, 7, 7, 2]) == pytest.approx(3 / 4)


def test_what_does_not_fit_is_refused(controls):
    with pytest.raises(ValueError, match="2 encoded sources and 1 texts"):
        controls([[5], [6]], ["a"])
    with pytest.raises(ValueError, match="3 encoded sources and 1 texts"):
        Controls(TRAIN, TEXTS[:1])
    with pytest.raises(ValueError, match="sentence 0 has no token"):
        controls([[]], [""])
