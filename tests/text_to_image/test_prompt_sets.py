"""Lists of prompts: what is refused and where, how templates expand, and the sets of the repository."""

from pathlib import Path

import pandas as pd
import pytest

from genovision.errors import InputError
from genovision.tables import read_table, write_table
from genovision.text_to_image.prompt_sets import LONGEST, chosen, corrupted, expand, read_prompts, read_words

PROMPTS = Path(__file__).resolve().parents[2] / "resources" / "prompts"
TEMPLATES = sorted(path for path in PROMPTS.glob("*.tsv") if path.name != "words.tsv")
WORDS = {"animal": ["a dog", "a cat", "an owl"], "place": ["at home", "outside"]}


def listed(tmp_path, *rows, header="id\ttext"):
    path = tmp_path / "prompts.tsv"
    path.write_bytes("\n".join([header, *rows, ""]).encode())
    return path


def templates(tmp_path, *rows, name="pets"):
    path = tmp_path / f"{name}.tsv"
    path.write_text("\n".join(["kind\ttext\tgroup", *rows, ""]))
    return path


def test_a_list_is_read_as_text(tmp_path):
    frame = read_prompts(listed(tmp_path, "01\tNA\t", "b\tein Hund, été 犬 👍🏽\tx", header="id\ttext\tset"))
    assert frame.to_dict("list") == {"id": ["01", "b"], "text": ["NA", "ein Hund, été 犬 👍🏽"], "set": ["", "x"]}
    write_table(frame, tmp_path / "p.parquet")
    assert read_prompts(tmp_path / "p.parquet").to_dict("list") == frame.to_dict("list")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("a\ta dog", "b\ta cat", "a\tan owl"), "line 4: the id a is that of line 2 too"),
        (("a\ta dog", "b\t"), "line 3: the prompt b is empty"),
        (("a\t   ",), "line 2: the prompt a is empty"),
        (("\ta dog",), "line 2: the id is empty"),
        (("a\ta dog", "", "b\ta \x07cat"), "line 4: the prompt b holds the control character U\\+0007 at place 3"),
        (("a\ta \x00dog",), "U\\+0000"),
        (("a\ta \x85dog",), "U\\+0085"),
        (('a\t"a dog\nb"', "c\t\x01"), "line 2: the prompt a holds the control character U\\+000A"),
        (("a\ta\u2028dog",), "U\\+2028"),
        (("a\x1b\ta dog",), "line 2: the id holds the control character U\\+001B"),
        ((f"a\t{'x' * (LONGEST + 1)}",), "line 2: the prompt a has 1001 characters, 1000 are allowed"),
        (("a\ta dog\tx",), "line 2: 3 fields, the header has 2"),
        ((), "has no prompt"),
        (('a\t"a dog',), "line 2: unexpected end of data"),
    ],
)
def test_a_bad_list_is_refused_with_its_line(tmp_path, rows, message):
    with pytest.raises(InputError, match=rf"prompts\.tsv.*{message}"):
        read_prompts(listed(tmp_path, *rows))


def test_a_list_of_another_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no column text; it has id, prompt"):
        read_prompts(listed(tmp_path, header="id\tprompt"))
    path = tmp_path / "latin.tsv"
    path.write_bytes(b"id\ttext\na\t\xe9t\xe9\n")
    with pytest.raises(InputError, match="no text in UTF-8"):
        read_prompts(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="has no column id, text; it has none"):
        read_prompts(path)


def test_a_parquet_list_names_the_row(tmp_path):
    write_table(pd.DataFrame({"id": ["a", "a"], "text": ["x", "y"]}), tmp_path / "p.parquet")
    with pytest.raises(InputError, match="row 2: the id a is that of row 1 too"):
        read_prompts(tmp_path / "p.parquet")


def test_templates_combine_each_word_with_each_and_keep_a_text_once(tmp_path):
    found = expand(templates(tmp_path, "normal\t{animal} {place}\t", "normal\t{animal} outside\t"), WORDS)
    assert len(found) == 6 and found["text"].is_unique and set(found["set"]) == {"pets"}
    bias = expand(templates(tmp_path, "bias\t{animal} {place}\tanimal"), WORDS)
    assert set(bias["template"]) == {"{animal} at home", "{animal} outside"} and set(bias["group"]) == set(
        WORDS["animal"]
    )
    other = expand(templates(tmp_path, "copyright\t{animal} {place}\tanimal"), WORDS)
    assert set(other["concept"]) == set(WORDS["animal"]) and set(other["group"]) == {""}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("normal\t{animl}\t", "line 2: there are no words for the slot animl"),
        ("normal\t{animal\t", "no words for the slot in its braces"),
        ("normal\t{animal}\tplace", "line 2: the group place is no slot"),
        ("normal\t\t", "line 2: the template is empty"),
    ],
)
def test_a_bad_template_is_refused_with_its_line(tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        expand(templates(tmp_path, row), WORDS)


def test_words_are_there_once(tmp_path):
    path = tmp_path / "words.tsv"
    path.write_text("slot\tword\nanimal\ta dog\nanimal\ta dog\n")
    with pytest.raises(InputError, match="line 3: 'a dog' is a word of animal twice"):
        read_words(path)


def test_a_choice_takes_turns_among_templates_and_never_splits_groups(tmp_path):
    found = expand(templates(tmp_path, "normal\t{animal}\t", "normal\t{animal} {place}\t"), WORDS)
    some = chosen(found, 4, seed=0)
    assert list(some["template"].value_counts()) == [2, 2] and list(some["id"]) == [f"pets-0000{i}" for i in range(4)]
    assert some.equals(chosen(found, 4, seed=0)) and len(chosen(found, 99, seed=0)) == len(found)
    bias = expand(templates(tmp_path, "bias\t{animal} {place}\tanimal"), WORDS)
    for number, expected in ((1, 3), (3, 3), (4, 6), (99, 6)):
        some = chosen(bias, number, seed=0)
        assert len(some) == expected and (some.groupby("template")["group"].nunique() == 3).all()


def test_a_corrupted_prompt_does_not_depend_on_the_others(tmp_path):
    normal = chosen(expand(templates(tmp_path, "normal\t{animal} {place}\t"), WORDS), 6, seed=0)
    found = corrupted(normal, 0.2, seed=3)
    assert set(found["set"]) == {"corrupted_20"} and list(found["source"]) == list(normal["id"])
    assert not set(found["text"]) & set(normal["text"])
    assert list(corrupted(normal[3:], 0.2, seed=3)["text"]) == list(found["text"][3:])


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_set_of_the_repository_has_two_hundred_prompts(path):
    found = expand(path, read_words(PROMPTS / "words.tsv"))
    assert len(found) >= 200 and found["text"].is_unique and found["kind"].nunique() == 1
    assert not found["text"].str.contains(r"\ba [aeiou](?!ne |uro)|\ban [^aeiouAEIOU]|  |[{}]", regex=True).any()
    sheet = (PROMPTS / "README.md").read_text()
    assert f"| {path.stem} | {found['kind'].iloc[0]} | {len(found)} |" in sheet
    grouped = (found["group"] + found["concept"] != "").any()
    assert grouped == (found["kind"].iloc[0] in ("bias", "copyright"))


def prepare(command, out, *options):
    files = ("--templates", *TEMPLATES, "--words", PROMPTS / "words.tsv")
    return command("text_to_image/prepare_prompts", *files, "--corruption", 0.1, 0.3, "--out", out, *options)


def test_the_command_writes_a_list_that_reads_back(command, tmp_path):
    for name in ("a", "b"):
        code, err = prepare(command, tmp_path / f"{name}.tsv", "--table", tmp_path / f"{name}_sets.tsv")
        assert code == 0, err
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()
    prompts = read_prompts(tmp_path / "a.tsv")
    sizes = read_table(tmp_path / "a_sets.tsv").set_index("set")["prompts"]
    assert set(sizes.index) == {*(path.stem for path in TEMPLATES), "corrupted_10", "corrupted_30"}
    assert (sizes >= 200).all() and sizes.sum() == len(prompts)
    own = listed(tmp_path, "x1\tmine\tnormal\ta blue door", header="id\tset\tkind\ttext")
    code, err = command("text_to_image/prepare_prompts", "--lists", own, "--out", tmp_path / "c.tsv")
    assert code == 0 and read_prompts(tmp_path / "c.tsv")["text"].tolist() == ["a blue door"], err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--number", 0), "--number 0 must be 1 or more"),
        (("--corruption", 2), "--corruption 2.0 must lie above 0"),
        (("--corruption", 0.1, 0.101), "two rates are the same number of percent"),
        (("--templates",), "there is nothing to write"),
        (("--lists", "own.tsv"), "prompts.tsv has no column set, kind"),
        (("--lists", "other.tsv"), "the id normal-00000 is in two of the files"),
    ],
)
def test_bad_options_are_one_sentence_and_no_file(command, tmp_path, options, message):
    if options[-1] == "own.tsv":
        options = ("--lists", listed(tmp_path, "a\ta dog"))
    if options[-1] == "other.tsv":
        options = ("--lists", listed(tmp_path, "normal-00000\tx\tnormal\ta dog", header="id\tset\tkind\ttext"))
    code, err = prepare(command, tmp_path / "out.tsv", *options)
    assert code == 2 and message in err and not (tmp_path / "out.tsv").exists()
