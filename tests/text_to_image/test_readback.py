"""What captions say of what was asked for."""

import numpy as np
import pandas as pd
import pytest

from genovision.errors import InputError
from genovision.text_to_image.readback import found, readback
from genovision.uncertainty.resampled import Draws

SCENES = pd.DataFrame(
    [
        ("a", "normal", "heart", "red", "left of", "dog", "blue", "symbol"),
        ("b", "vague", "", "", "above", "dog", "green", ""),
    ],
    columns=["id", "set", "object1", "colour1", "relation", "object2", "colour2", "category1"],
)


def test_parts_of_a_scene_count_in_their_place_alone():
    parts = found(SCENES, [["a red heart left of a blue dog", "a blue heart left of a red dog"]] * 2)
    assert list(parts) == ["object1", "colour1", "relation", "object2", "colour2"]
    assert parts["colour1"][0].tolist() == [1, 0]
    assert parts["object1"][0].tolist() == [1, 1]
    assert np.isnan(parts["object1"][1]).all()
    assert parts["relation"][1].tolist() == [0, 0]


def test_a_caption_outside_the_grammar_says_nothing():
    parts = found(SCENES.head(1), [["red heart blue dog", ""]])
    assert all((values == 0).all() for values in parts.values())


def test_words_of_a_name_must_stand_together():
    drawings = pd.DataFrame({"id": ["a"], "set": ["normal"], "object1": ["winking face"], "colour1": ["yellow"]})
    parts = found(drawings, [["yellow winking face smiling", "yellow face winking", "yellow winking faces"]])
    assert parts["object1"][0].tolist() == [1, 0, 0]
    assert parts["colour1"][0].tolist() == [1, 1, 1]


def test_the_table_counts_images_that_show_everything():
    captions = [
        ["a red heart left of a blue dog", "a red heart above a blue dog"],
        ["a red fish above a green dog"] * 2,
    ]
    table = readback(SCENES, captions, Draws(20, 0)).set_index("set")
    assert table.loc["normal", "all_parts"] == 0.5
    assert table.loc["vague", "all_parts"] == 1.0  # what was left open cannot be wrong
    assert table.loc["normal", "images"] == 2
    assert table.loc["normal", "relation"] == 0.5
    assert np.isnan(table.loc["vague", "object1"])


def test_prompts_that_say_nothing_of_what_they_ask_are_refused():
    with pytest.raises(InputError, match="none of the columns"):
        found(pd.DataFrame({"id": ["a"], "set": ["normal"]}), [["a dog"]])
