"""Lists of prompts: read and checked, and made from templates with slots.

A list has one prompt a row, with an id. A file of templates has one a row: its kind, its text with slots in braces, and the slot whose
words are compared, if there is one. The words of every slot stand in one table, an article with them where one is needed.
"""

import csv
import itertools
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from genovision.errors import InputError
from genovision.resampling import stream
from genovision.tables import read_table
from genovision.text_to_image.corruption import corrupt

LONGEST = 1000  # characters; what a text encoder takes is far less, and it says itself where it cuts
COLUMNS = ("id", "set", "kind", "text", "template", "group", "concept", "source")
_SLOT = re.compile(r"\{([a-z_]+)\}")


def read_prompts(path: str | os.PathLike) -> pd.DataFrame:
    """A list of prompts, TSV or Parquet: columns id and text, and whatever else is there, all as text, empty where nothing stands.

    Raises InputError, with the line (of a Parquet file the row), for an id that is empty or there twice, and for a text that is empty,
    holds control characters or has more than LONGEST characters.
    """
    if Path(path).suffix == ".parquet":
        frame = read_table(path, ["id", "text"]).fillna("").astype(str)
        places = [f"row {number}" for number in range(1, len(frame) + 1)]
    else:
        frame, places = _lines(path, ["id", "text"])
    if not len(frame):
        raise InputError(f"{path} has no prompt; give it one row for each.")
    first: dict[str, str] = {}
    for identifier, text, place in zip(frame["id"], frame["text"], places, strict=True):
        if not identifier.strip():
            raise InputError(f"{path}, {place}: the id is empty; give every prompt one of its own.")
        _refuse_unreadable(identifier, f"{path}, {place}: the id")
        if identifier in first:
            raise InputError(f"{path}, {place}: the id {identifier} is that of {first[identifier]} too; rename one.")
        first[identifier] = place
        check_text(text, f"{path}, {place}: the prompt {identifier}")
    return frame


def check_text(text: str, label: str) -> None:
    """InputError, beginning with the label, for a text that is empty, too long or holds control characters."""
    if not text.strip():
        raise InputError(f"{label} is empty; write what is to be shown, or leave it out.")
    _refuse_unreadable(text, label)
    if len(text) > LONGEST:
        raise InputError(f"{label} has {len(text)} characters, {LONGEST} are allowed; shorten it.")


def _refuse_unreadable(text: str, label: str) -> None:
    for place, letter in enumerate(text, 1):
        if unicodedata.category(letter) in ("Cc", "Cs", "Co", "Cn") or letter in "\u2028\u2029":
            raise InputError(f"{label} holds the control character U+{ord(letter):04X} at place {place}; remove it.")


def _lines(path: str | os.PathLike, columns: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """The rows of a TSV as text, and the line on which each begins."""
    rows, places, header = [], [], None
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.reader(file, delimiter="\t", strict=True)
            begins = 1
            for row in reader:
                if header is None:
                    header = row
                elif row:
                    if len(row) != len(header):
                        raise InputError(
                            f"{path}, line {begins}: {len(row)} fields, the header has {len(header)}; separate them by tabs."
                        )
                    rows.append(row)
                    places.append(f"line {begins}")
                begins = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8; save it as such.") from error
    except csv.Error as error:
        raise InputError(f"{path}, line {begins}: {error}; write it as tab-separated values.") from error
    missing = [column for column in columns if column not in (header or [])]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}; it has {', '.join(header or []) or 'none'}.")
    return pd.DataFrame(rows, columns=header, dtype=object), places


def read_words(path: str | os.PathLike) -> dict[str, list[str]]:
    """The words of every slot, in the order of the file (columns slot, word); InputError for a word that is there twice or unreadable."""
    frame, places = _lines(path, ["slot", "word"])
    words: dict[str, list[str]] = {}
    for slot, word, place in zip(frame["slot"], frame["word"], places, strict=True):
        check_text(word, f"{path}, {place}: the word of {slot or 'no slot'}")
        if word in words.setdefault(slot, []):
            raise InputError(f"{path}, {place}: {word!r} is a word of {slot} twice; remove one.")
        words[slot].append(word)
    return words


def expand(path: str | os.PathLike, words: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Every prompt of a file of templates: set (the file's name), kind, text, template, group, concept; each text once.

    The words of a template's slots are combined each with each. Where a row names a group, its prompts' `template` leaves only that slot
    open, and the word in it stands in `group` for the kind bias and in `concept` for any other kind: what is compared, or may be unknown.
    Raises InputError for a slot without words, a group that is no slot of the template, and an unreadable text.
    """
    frame, places = _lines(path, ["kind", "text", "group"])
    rows = []
    for kind, template, named, place in zip(frame["kind"], frame["text"], frame["group"], places, strict=True):
        check_text(template, f"{path}, {place}: the template")
        slots = list(dict.fromkeys(_SLOT.findall(template)))
        unknown = [slot for slot in slots if not words.get(slot)]
        rest = _SLOT.sub("", template)
        if unknown or "{" in rest or "}" in rest:
            slot = unknown[0] if unknown else "in its braces"
            raise InputError(f"{path}, {place}: there are no words for the slot {slot}; add them or correct it.")
        if named and named not in slots:
            raise InputError(f"{path}, {place}: the group {named} is no slot of the template; name one, or none.")
        for chosen_words in itertools.product(*(words[slot] for slot in slots)):
            filled = dict(zip(slots, chosen_words, strict=True))
            open_slot = {named: f"{{{named}}}"} if named else {slot: f"{{{slot}}}" for slot in slots}
            word = filled.get(named, "")
            group, concept = (word, "") if kind == "bias" else ("", word)
            rows.append(
                (Path(path).stem, kind, _fill(template, filled), _fill(template, filled | open_slot), group, concept)
            )
    found = pd.DataFrame(rows, columns=["set", "kind", "text", "template", "group", "concept"], dtype=object)
    if not len(found):
        raise InputError(f"{path} has no template; give it one row for each.")
    return found.drop_duplicates("text", ignore_index=True)


def _fill(template: str, words: Mapping[str, str]) -> str:
    return _SLOT.sub(lambda match: words[match[1]], template)


def chosen(prompts: pd.DataFrame, number: int, seed: int) -> pd.DataFrame:
    """About `number` prompts of one expanded set, with ids, in an order that is drawn.

    Without groups or concepts exactly that many, in turn from each template. With them whole templates, each with all its words, as many as
    reach the number: groups are compared on the same templates.
    """
    name = prompts["set"].iloc[0]
    mixed = prompts.iloc[stream(seed, f"choice of {name}").permutation(len(prompts))]
    if (mixed["group"] + mixed["concept"] != "").any():
        templates = mixed.groupby("template", sort=False).size().cumsum()
        kept = templates.index[: int(np.searchsorted(templates.to_numpy(), number)) + 1]
        taken = mixed[mixed["template"].isin(kept)]
    else:
        turn = mixed.groupby("template").cumcount()
        taken = mixed.assign(turn=turn).sort_values("turn", kind="stable").head(number).drop(columns="turn")
    taken = taken.assign(id=[f"{name}-{place:05d}" for place in range(len(taken))], source="")
    return taken.reset_index(drop=True)[list(COLUMNS)]


def corrupted(normal: pd.DataFrame, rate: float, seed: int) -> pd.DataFrame:
    """The same prompts with `rate` of their letters mistyped, as the set `corrupted_<percent>`; source: the id of the prompt it was.

    What is mistyped depends on the seed, the rate and the id of the prompt, not on the other prompts.
    """
    name = f"corrupted_{round(100 * rate):02d}"
    texts = [
        corrupt(text, rate, stream(seed, f"{name} {identifier}"))
        for identifier, text in zip(normal["id"], normal["text"], strict=True)
    ]
    frame = pd.DataFrame({"text": texts, "source": list(normal["id"])}).drop_duplicates("text", ignore_index=True)
    ids = [f"{name}-{place:05d}" for place in range(len(frame))]
    frame = frame.assign(id=ids, set=name, kind="corrupted", template="", group="", concept="")
    return frame[list(COLUMNS)]


def lengths(prompts: pd.DataFrame) -> pd.DataFrame:
    """Per set: kind, prompts, and the mean number of words."""
    counted = prompts.assign(words=prompts["text"].str.split().str.len())
    table = counted.groupby("set", sort=False).agg(
        kind=("kind", "first"), prompts=("id", "size"), words=("words", "mean")
    )
    return table.reset_index()
