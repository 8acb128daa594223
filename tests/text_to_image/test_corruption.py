"""Typing errors: how many, where, and never into another known word."""

import difflib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genovision.text_to_image.corruption import corrupt

TEXT = "a red heart left of a blue dog"


def test_the_same_generator_gives_the_same_errors():
    found = [corrupt(TEXT, 0.3, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2] != TEXT


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.1, 0.3]))
def test_at_most_the_stated_rate_of_letters_changes_and_spaces_stay(seed, rate):
    changed = corrupt(TEXT, rate, np.random.default_rng(seed))
    letters = sum(map(str.isalpha, TEXT))
    blocks = difflib.SequenceMatcher(None, TEXT, changed, autojunk=False).get_matching_blocks()
    # a swap moves two letters
    assert len(TEXT) - sum(block.size for block in blocks) <= 2 * np.ceil(rate * letters)
    assert len(changed.split(" ")) == len(TEXT.split(" ")) and changed != TEXT


@pytest.mark.parametrize(("rate", "number"), [(1e-6, 1), (0.1, 1), (0.3, 3), (0.31, 4), (1, 10)])
def test_the_number_of_errors_is_the_rate_rounded_up(rate, number):
    # digits have no neighbours and are no letters; ten different ones of the alphabet, replaced where that is what was drawn
    seen = set()
    for seed in range(300):
        changed = corrupt("qazwsxedcr", rate, np.random.default_rng(seed))
        if len(changed) == 10:
            seen.add(sum(a != b for a, b in zip("qazwsxedcr", changed, strict=True)))
    assert max(seen) >= number and (number > 1 or seen <= {1, 2})


def test_only_the_named_words_are_touched():
    for seed in range(50):
        words = corrupt(TEXT, 0.5, np.random.default_rng(seed), {"heart"}).split()
        assert [*words[:2], *words[3:]] == ["a", "red", "left", "of", "a", "blue", "dog"] and words[2] != "heart"


def test_no_error_makes_a_known_word():
    known = {"dog", "dg", "do", "og", "ddog"}
    for seed in range(200):
        assert corrupt("dog", 0.2, np.random.default_rng(seed), known=known) not in known
    with pytest.raises(ValueError, match="could not be corrupted into words"):
        corrupt("i", 1, np.random.default_rng(0), known=set("uojkli") | {"ii"})


def test_what_cannot_be_corrupted_is_refused():
    for text, words in (("12 ...", None), (TEXT, {"cat"})):
        with pytest.raises(ValueError, match="has no word to corrupt"):
            corrupt(text, 0.3, np.random.default_rng(0), words)
    for rate in (0, -1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="rate"):
            corrupt(TEXT, rate, np.random.default_rng(0))
