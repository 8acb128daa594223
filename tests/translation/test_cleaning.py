"""Cleaning of interface strings: markup, placeholders, the reason for each pair that is left out, and the account of all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genovision.translation.bitext import Pair
from genovision.translation.cleaning import Ledger, Rules, clean, clean_all, comparable, different_words, plain, unified


def cleaned(source, target="Etwas", **rules):
    return clean(Pair("k", source, target), Rules(**rules))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<b>Bold</b> and <a href='x'>link</a>", "Bold and link"),
        ("Line<br/>break <p>paragraph</p>", "Line break paragraph"),
        ("Fish &amp; chips&nbsp;&quot;here&quot;", 'Fish & chips "here"'),
        ("Say ''hello''", "Say 'hello'"),
        ("soft\u00adhyphen and\u200b zero \n width", "softhyphen and zero width"),
        ("5 < 6 and 7 > 6", "5 < 6 and 7 > 6"),
        ("Cafe\u0301", "Café"),
    ],
)
def test_markup_goes_and_text_stays(source, expected):
    assert cleaned(source)[0].source == expected


@pytest.mark.parametrize("notation", ["{name}", "${name}", "%(name)s", "{{name}}", "%s", "%d", "%1$s", "{}", "$n"])
def test_every_notation_of_a_placeholder_is_the_same_afterwards(notation):
    pair, reason = cleaned(f"Hello {notation}!", f"Hallo {notation}!")
    assert (pair.source, pair.target, reason) == ("Hello {1}!", "Hallo {1}!", "")


def test_named_placeholders_keep_their_numbers_when_a_translation_turns_them_round():
    pair, reason = cleaned("Move {file} to {folder}, then open {file}", "In {folder}: {file} ablegen, {file} öffnen")
    assert pair.source == "Move {1} to {2}, then open {1}"
    assert (pair.target, reason) == ("In {2}: {1} ablegen, {1} öffnen", "")
    assert cleaned("%1$s of %2$s", "von %2$s: %1$s")[0].target == "von {2}: {1}"


def test_percent_signs_are_no_placeholders():
    assert unified("100 %sure, 50 % done")[1] == []
    assert unified("{1} costs $5")[0] == "{1} costs $5"


@pytest.mark.parametrize(
    ("source", "target", "rules", "reason"),
    [
        ("", "Etwas", {}, "no source"),
        ("<br/>", "Etwas", {}, "no source"),
        ("Something", "<b></b>", {}, "no target"),
        ("{n, plural, one {day} other {days}}", "Tage", {}, "message format"),
        ("Open {name", "Öffne {name", {}, "message format"),
        ("{a} / {b}", "{a} / {b}", {}, "no letters"),
        ("123", "Etwas", {}, "no letters"),
        ("Delete {x}", "Löschen", {}, "other placeholders"),
        ("Delete {x}", "{x} {x} löschen", {}, "other placeholders"),
        ("A", "Ein", {}, "too short"),
        ("Long text", "x" * 121, {}, "too long"),
        ("One", "Eins", {"words": 2}, "too few words"),
        ("One one {1}", "Eins", {"words": 2, "interface": False}, "too few words"),
        ("Home Assistant", "home assistant.", {"translated": True}, "not translated"),
        ("Home Assistant", "Home Assistant", {}, ""),
        ("x" * 120, "y" * 120, {}, ""),
    ],
)
def test_each_reason(source, target, rules, reason):
    assert cleaned(source, target, **rules)[1] == reason


def test_a_source_without_a_reference_is_judged_alone():
    assert clean(Pair("k", "Open {x}", ""), Rules(translated=True)) == (Pair("k", "Open {1}", ""), "")


def test_plain_rules_leave_markup_and_braces_as_they_are():
    pair, reason = cleaned("<b>{a,b}</b>  x", "y  {c", interface=False)
    assert (pair.source, pair.target, reason) == ("<b>{a,b}</b> x", "y {c", "")


def test_texts_are_compared_by_their_words():
    assert comparable("Add  light!") == comparable("ADD LIGHT…") == "add light"
    assert comparable("Straße") == comparable("STRASSE")
    assert different_words("The the {1} end {2}") == 2


@given(st.text(max_size=40))
def test_cleaning_a_clean_text_changes_nothing(text):
    once = plain(text)
    assert plain(once) == once
    assert once == once.strip() and "  " not in once and "\n" not in once and "\t" not in once


def test_the_account_adds_up_and_the_first_of_equal_sources_is_kept():
    pairs = [
        Pair("a", "Add light", "Licht hinzufügen"),
        Pair("b", "ADD LIGHT!", "Licht dazu"),
        Pair("c", "", "x"),
        Pair("d", "Known already", "Schon bekannt"),
        Pair("e", "Open door", "Tür öffnen"),
    ]
    ledger, seen = Ledger(), {comparable("known Already")}
    kept = clean_all("app", pairs, Rules(), seen, ledger)
    assert [pair.key for pair in kept] == ["a", "e"]
    assert {"add light", "open door"} <= seen
    table = ledger.table()
    counts = dict(zip(table["outcome"], table["pairs"], strict=True))
    assert counts == {"read": 5, "no source": 1, "source known": 2, "kept": 2}
    assert counts["read"] == sum(number for outcome, number in counts.items() if outcome != "read")
    assert table["outcome"].iloc[0] == "read" and table["outcome"].iloc[-1] == "kept"
    assert table.set_index("outcome")["example"]["source known"] == "ADD LIGHT! -> Licht dazu"
