"""Folds, draws and spoilt sources: no source crosses, equal sizes, permutations that are ones, noise that shows; the table of sets."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from translation.software import NOUNS, VERBS

from genovision.errors import InputError
from genovision.resampling import stream
from genovision.tables import write_table
from genovision.translation.bitext import Pair
from genovision.translation.cleaning import comparable
from genovision.translation.sets import (
    draw,
    encoded_sets,
    fit_for_testing,
    fold_by_key,
    identifiers,
    make_sets,
    noised,
    permuted,
    ranked,
    read_sets,
)
from genovision.translation.summary import summarize
from genovision.translation.tokenizer import train_tokenizer

KEYS = [f"k{number}" for number in range(100)]


@pytest.fixture(scope="module")
def pairs():
    rows = [
        (f"{verb} {noun}", f"{german} {ending}")
        for verb, (ending, *_) in VERBS.items()
        for noun, (german, *_) in NOUNS.items()
    ]
    folds = ["test"] * 8 + ["valid"] * 5 + ["train"] * (len(rows) - 13)
    frame = pd.DataFrame(rows, columns=["source", "target"])
    return frame.assign(id=[f"app-{place}" for place in range(len(rows))], fold=folds)


@pytest.fixture(scope="module")
def others():
    rows = [("names", "ood", f"names-{place}", f"Republic of {place}", f"Republik {place}") for place in range(20)]
    rows += [("french", "ood", f"app-{place}", f"Ajouter {place}", "Licht") for place in range(8)]
    rows += [("valid_spanish", "valid_ood", f"app-{place}", f"Añadir {place}", "") for place in range(8, 13)]
    return pd.DataFrame(rows, columns=["set", "role", "id", "source", "target"])


@pytest.fixture(scope="module")
def tokenizer(pairs):
    return train_tokenizer([*pairs["source"], *pairs["target"]], 300)


@pytest.fixture(scope="module")
def sets(pairs, others, tokenizer):
    return make_sets(pairs, others, tokenizer, seed=3, rate=0.15)


def test_a_ranking_depends_on_names_seed_and_purpose_alone():
    order = ranked(KEYS, 0, "folds")
    assert ranked(KEYS[::-1], 0, "folds") == order and sorted(order) == sorted(KEYS)
    assert order != ranked(KEYS, 1, "folds") != ranked(KEYS, 1, "set x")
    without = [name for name in order if name != "k50"]
    assert ranked([name for name in KEYS if name != "k50"], 0, "folds") == without


def test_rankings_are_even():
    first = Counter(ranked("abcde", seed, "x")[0] for seed in range(2000))
    # 400 expected, standard deviation 18
    assert all(abs(first[name] - 400) < 90 for name in "abcde")


def test_folds_take_eligible_keys_and_leave_the_rest_for_training():
    folds = fold_by_key(KEYS, KEYS[:40], valid=10, test=20, seed=0, label="app.whl")
    assert Counter(folds.values()) == {"train": 70, "valid": 10, "test": 20}
    assert all(fold == "train" for key, fold in folds.items() if key in KEYS[40:])
    with pytest.raises(InputError, match=r"app\.whl has 40 keys for testing and validation among 100, 31 \+ 10"):
        fold_by_key(KEYS, KEYS[:40], valid=10, test=31, seed=0, label="app.whl")


def test_test_keys_have_two_words_and_a_foreign_source_in_every_language():
    pairs = {key: Pair(key, source, "x") for key, source in
             (("a", "Add light"), ("b", "Light"), ("c", "light Light"), ("d", "Add scene"), ("e", "Add area"))}  # fmt: skip
    french = {key: Pair(key, f"Ajouter {key}", "x") for key in "abcd"}
    spanish = {"a": Pair("a", "Añadir", "x"), "d": Pair("d", "Add light!", "x"), "e": Pair("e", "Área", "x")}
    known = {comparable(pair.source) for pair in pairs.values()}
    # b and c have one word, d is the same text as a training source in Spanish, e has no French
    assert fit_for_testing(pairs, {"french": french, "spanish": spanish}, known) == ["a"]
    assert fit_for_testing(pairs, {}, known) == ["a", "d", "e"]


def test_identifiers_are_short_stable_and_different():
    found = identifiers("app", ["a", "b", "a"])
    assert len(set(found)) == 3 and found[:2] == identifiers("app", ["a", "b"])
    assert all(name.startswith("app-") and len(name) == 12 for name in found)
    assert len(set(identifiers("app", [str(number) for number in range(200_000)]))) == 200_000


@given(st.lists(st.integers(3, 8), min_size=2, max_size=12).filter(lambda body: len(set(body)) > 1), st.integers(0, 99))
def test_a_permutation_has_the_same_tokens_in_another_order_and_the_end_at_its_place(body, seed):
    found = permuted([*body, 2], np.random.default_rng(seed))
    assert found[-1] == 2 and sorted(found[:-1]) == sorted(body) and found[:-1].tolist() != body


def test_all_other_orders_are_equally_likely():
    rng = np.random.default_rng(0)
    found = Counter(tuple(permuted([3, 4, 5, 2], rng)[:-1].tolist()) for _ in range(5000))
    assert len(found) == 5 and (3, 4, 5) not in found
    assert all(abs(count - 1000) < 140 for count in found.values())  # five standard deviations


@pytest.mark.parametrize("body", [[], [7], [7, 7, 7]])
def test_equal_tokens_have_no_other_order(body):
    with pytest.raises(ValueError, match="no other order"):
        permuted([*body, 2], np.random.default_rng(0))


def test_noise_shows_keeps_placeholders_and_is_as_strong_as_asked():
    text = "Open the {1} window of {12} now"
    for seed in range(200):
        found = noised(text, 0.1, np.random.default_rng(seed))
        assert found.casefold() != text.casefold() and "{1}" in found and "{12}" in found
    # drops and repeats alone change the length; half of the edits are one of them and they balance
    long = "abcdefghij" * 400
    found = noised(long, 0.2, np.random.default_rng(0))
    assert abs(len(found) - len(long)) < 150
    kept = sum(1 for a, b in zip(long, found, strict=False) if a == b)
    assert kept < len(long)
    turned = sum(character.isupper() for character in found)
    assert abs(turned - 0.05 * len(long)) < 80  # a quarter of the edits
    for rate in (0, -1, 1.1):
        with pytest.raises(InputError, match="noise rate"):
            noised(text, rate, np.random.default_rng(0))


def test_a_text_that_noise_cannot_touch_is_lengthened():
    assert noised("a", 1e-9, np.random.default_rng(0)) == "aa"


def test_sets_have_their_sizes_and_roles(sets):
    sizes = sets.groupby(["role", "set"], sort=False).size().to_dict()
    assert sizes == {
        ("train", "train"): 35, ("valid", "valid"): 5, ("test", "test"): 8,
        ("ood", "names"): 8, ("ood", "french"): 8, ("ood", "permuted"): 8, ("ood", "noised"): 8,
        ("valid_ood", "valid_spanish"): 5, ("valid_ood", "valid_permuted"): 5, ("valid_ood", "valid_noised"): 5,
    }  # fmt: skip


def test_matched_and_spoilt_sentences_keep_the_id_of_theirs(sets):
    by_set = {name: rows.set_index("id") for name, rows in sets.groupby("set")}
    for name in ("french", "permuted", "noised"):
        assert set(by_set[name].index) == set(by_set["test"].index)
    for name in ("valid_spanish", "valid_permuted", "valid_noised"):
        assert set(by_set[name].index) == set(by_set["valid"].index)
    assert (by_set["noised"]["target"] == by_set["test"]["target"]).all()
    assert (by_set["permuted"]["target"] == "").all()


def test_what_is_drawn_does_not_depend_on_order_or_other_sets(pairs, others, tokenizer, sets):
    again = make_sets(pairs, others[::-1], tokenizer, seed=3, rate=0.15)
    fewer = make_sets(pairs, others[others["set"] != "french"], tokenizer, seed=3, rate=0.15)
    for found in (again, fewer):
        for name in ("names", "permuted", "noised"):
            first, second = (frame[frame["set"] == name].set_index("id") for frame in (sets, found))
            pd.testing.assert_frame_equal(first.sort_index(), second.sort_index())
    other = make_sets(pairs, others, tokenizer, seed=4, rate=0.15)
    assert not other.equals(sets)


def test_sets_out_of_domain_are_as_large_as_the_smallest(pairs, others, tokenizer):
    fewer = others[~others["id"].isin([f"names-{n}" for n in range(13)])]
    sizes = make_sets(pairs, fewer, tokenizer, seed=0, rate=0.1).groupby(["role", "set"]).size()
    assert set(sizes["ood"]) == {7} and set(sizes["valid_ood"]) == {5} and sizes["test", "test"] == 8
    # a sentence of one token has no other order, and is in no permuted set
    one = next(text for token in range(5, 200) if len(tokenizer.encode([text := tokenizer.decode([token])])[0]) == 2)
    first = pairs.index[pairs["fold"] == "test"][0]
    dull = pairs.copy()
    dull.loc[first, "source"] = one
    found = make_sets(dull, others, tokenizer, seed=0, rate=0.1)
    assert set(found.groupby(["role", "set"]).size()["ood"]) == {7}
    assert pairs.loc[first, "id"] not in set(found.loc[found["set"] == "permuted", "id"])


def test_a_set_that_is_too_small_says_how_many_there_are(pairs, others, tokenizer):
    with pytest.raises(InputError, match="the set names has 1 sentence; two or more are needed"):
        make_sets(pairs, others[~others["id"].isin([f"names-{n}" for n in range(19)])], tokenizer, seed=0, rate=0.1)
    with pytest.raises(InputError, match="no row of the fold valid"):
        make_sets(pairs[pairs["fold"] != "valid"], others, tokenizer, seed=0, rate=0.1)
    with pytest.raises(InputError, match="x has 100 sentences, 101 are needed"):
        draw(pd.DataFrame({"id": KEYS}), 101, 0, "x")


def test_permuted_ids_are_a_permutation_of_the_originals_ids(sets, tokenizer, tmp_path):
    write_table(sets, tmp_path / "sets.tsv")
    encoded = encoded_sets(read_sets(tmp_path / "sets.tsv"), tokenizer, limit=100)
    for name, other in (("test", "permuted"), ("valid", "valid_permuted")):
        for one, two in zip(encoded[name][0], encoded[other][0], strict=True):
            assert sorted(one) == sorted(two) and one[-1] == two[-1] == 2
            assert list(one) != list(two)
    # every other source is what encoding its text gives
    plain = sets[sets["tokens"] == ""]
    for name, rows in plain.groupby("set"):
        for one, two in zip(tokenizer.encode(rows["source"].tolist()), encoded[name][0], strict=True):
            assert list(one) == list(two)


def test_a_sentence_without_a_reference_has_an_empty_target(sets, tokenizer):
    encoded = encoded_sets(sets, tokenizer, limit=100)
    assert {len(row) for row in encoded["permuted"][1]} == {0}
    assert min(len(row) for row in encoded["test"][1]) > 1


def test_tokens_of_another_vocabulary_and_long_sentences_are_refused(sets, tokenizer):
    other = train_tokenizer(["nothing of the kind"] * 3, 280)
    with pytest.raises(InputError, match="of the set permuted holds tokens of another vocabulary"):
        encoded_sets(sets, other, limit=100)
    with pytest.raises(InputError, match="tokens, 3 are allowed"):
        encoded_sets(sets, tokenizer, limit=3)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"role": "other"}, "has the role other"),
        ({"id": "app-0", "set": "test"}, "has the id app-0 twice in the set test"),
        ({"source": ""}, "has no source"),
    ],
)
def test_a_table_of_sets_that_is_none_is_refused(sets, tmp_path, change, sentence):
    frame = sets.copy()
    for column, value in change.items():
        frame.loc[frame.index[-1], column] = value
    write_table(frame, tmp_path / "sets.tsv")
    with pytest.raises(InputError, match=sentence):
        read_sets(tmp_path / "sets.tsv")


def test_texts_come_back_from_the_table_as_they_are(sets, tmp_path):
    frame = sets.copy()
    frame.loc[0, "source"], frame.loc[1, "source"], frame.loc[2, "source"] = ' He said "no" ', "NA", "007"
    write_table(frame, tmp_path / "sets.tsv")
    pd.testing.assert_frame_equal(read_sets(tmp_path / "sets.tsv"), frame, check_dtype=False)


def test_the_summary_says_what_training_has_seen(sets, tokenizer):
    table = summarize(sets, tokenizer).set_index("set")
    assert list(table.index) == list(dict.fromkeys(sets["set"]))
    assert table.loc["train", "known_bigrams"] == 1.0 and table.loc["train", "known_sources"] == 1.0
    assert table.loc["test", "known_sources"] == 0.0
    assert table.loc["permuted", "tokens"] == table.loc["test", "tokens"]
    assert table.loc["permuted", "known_bigrams"] < table.loc["test", "known_bigrams"]
    assert np.isnan(table.loc["permuted", "target_tokens"])
    test = sets[sets["set"] == "test"]
    lengths = [len(row) - 1 for row in tokenizer.encode(test["source"].tolist())]
    assert table.loc["test", "tokens"] == pytest.approx(np.mean(lengths))
    assert table.loc["test", "words"] == 2.0
    assert table.loc["test", "bytes_per_token"] == pytest.approx(sum(map(len, test["source"])) / sum(lengths))


def test_streams_of_sentences_are_their_own():
    assert stream(0, "noised a").random() != stream(0, "noised b").random()
