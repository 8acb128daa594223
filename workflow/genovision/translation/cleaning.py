"""Strings of user interfaces as sentences: markup gone, placeholders alike whatever their notation, and a reason for all that is left out.

Notations differ between projects (`{name}`, `${name}`, `%(name)s`), and would tell a domain from another without a look at its language.
"""

import html
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from genovision.translation.bitext import Pair

_BLOCK = re.compile(r"</?(?:br|p|div|li|ul|ol|dl|dt|dd|tr|td|th|table|h[1-6]|hr|pre)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!--.*?-->", re.DOTALL)
_PLACEHOLDER = re.compile(
    r"%\((?P<python>\w+)\)[sdifr]"
    r"|\$\{(?P<dollar>[^{}]*)\}"
    r"|\{\{(?P<double>[^{}]*)\}\}"
    r"|\{(?P<brace>[^{},]*)\}"
    r"|\$(?P<letter>[A-Za-z])\b"
    r"|%(?P<position>\d+)\$[sd]"
    r"|%[sd](?![A-Za-z])"
)
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufeff]")  # soft hyphens, zero widths, directions


@dataclass(frozen=True)
class Rules:
    """What a cleaned pair is.

    shortest, longest: characters of a side
    interface:         strip markup and unify placeholders; else white space alone is touched
    words:             different words of a source at least
    translated:        leave out a target equal to its source: there, a missing translation shows the source
    """

    shortest: int = 2
    longest: int = 120
    words: int = 0
    interface: bool = True
    translated: bool = False


def plain(text: str) -> str:
    """White space as single spaces, canonical composition (NFC), no control or invisible characters."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
    text = "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)
    return " ".join(text.split())


def without_markup(text: str) -> str:
    """Tags removed, entities of HTML as characters, a doubled apostrophe (ICU's notation for one) as one."""
    text = _TAG.sub("", _BLOCK.sub(" ", text))
    return plain(html.unescape(text).replace("''", "'"))


def unified(text: str, names: dict[str, str] | None = None) -> tuple[str, list[str], dict[str, str]]:
    """Placeholders as `{1}`, `{2}`, ... in the order in which their names first occur; a nameless one counts by its place.

    names: numbers given before (by the source), used for the same names.  Returns the text, the numbers in order, and all names.
    """
    names, found, nameless = dict(names or {}), [], 0

    def number(match: re.Match) -> str:
        nonlocal nameless
        name = next((value for value in match.groups() if value is not None), None)
        if name is None or not name.strip():
            name, nameless = f"%{nameless + 1}", nameless + 1
        elif match["position"]:
            name = f"%{name}"
        found.append(names.setdefault(name.strip(), str(len(names) + 1)))
        return f"{{{found[-1]}}}"

    return _PLACEHOLDER.sub(number, text), found, names


def comparable(text: str) -> str:
    """What two texts share when they count as one: their words, case-folded; punctuation and spaces do not tell them apart."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def different_words(text: str) -> int:
    """Number of different words, case-folded, placeholders left out."""
    return len({word for word in re.sub(r"\{\d+\}", " ", text).casefold().split() if re.search(r"\w", word)})


def clean(pair: Pair, rules: Rules) -> tuple[Pair, str]:
    """The cleaned pair and "", or the pair as far as it got and the reason to leave it out. A pair without a target keeps none."""
    alone = not pair.target
    sides = [pair.source, pair.target]
    if rules.interface:
        source, first, names = unified(without_markup(sides[0]))
        target, second, _ = unified(without_markup(sides[1]), names)
    else:
        source, target, first, second = plain(sides[0]), plain(sides[1]), [], []
    cleaned = Pair(plain(pair.key), source, target)
    present = [source] if alone else [source, target]
    bare = [re.sub(r"\{\d+\}", "", side) for side in present] if rules.interface else present
    if not source:
        return cleaned, "no source"
    if not alone and not target:
        return cleaned, "no target"
    if rules.interface and any("{" in side or "}" in side for side in bare):
        return cleaned, "message format"
    if not all(any(character.isalpha() for character in side) for side in bare):
        return cleaned, "no letters"
    if not alone and sorted(first) != sorted(second):
        return cleaned, "other placeholders"
    if any(len(side) < rules.shortest for side in present):
        return cleaned, "too short"
    if any(len(side) > rules.longest for side in present):
        return cleaned, "too long"
    if different_words(source) < rules.words:
        return cleaned, "too few words"
    if rules.translated and comparable(source) == comparable(target):
        return cleaned, "not translated"
    return cleaned, ""


class Ledger:
    """How many pairs of each origin were read, left out for which reason, and kept, with an example of each."""

    def __init__(self):
        self._counts: dict[tuple[str, str], int] = {}
        self._examples: dict[tuple[str, str], str] = {}

    def count(self, origin: str, outcome: str, pair: Pair | None = None, number: int = 1) -> None:
        key = (origin, outcome)
        self._counts[key] = self._counts.get(key, 0) + number
        if pair is not None:
            self._examples.setdefault(key, plain(f"{pair.source} -> {pair.target}")[:200])

    def table(self) -> pd.DataFrame:
        """Columns origin, outcome, pairs, example; origins in the order of reading, `read` first and `kept` last."""
        place = {"read": 0, "kept": 2}
        origins = list(dict.fromkeys(origin for origin, _ in self._counts))
        rows = sorted(self._counts, key=lambda key: (origins.index(key[0]), place.get(key[1], 1), key[1]))
        return pd.DataFrame(
            [(origin, outcome, self._counts[origin, outcome], self._examples.get((origin, outcome), ""))
             for origin, outcome in rows],
            columns=["origin", "outcome", "pairs", "example"],
        )  # fmt: skip


def clean_all(origin: str, pairs: Iterable[Pair], rules: Rules, seen: set[str], ledger: Ledger) -> list[Pair]:
    """The clean pairs of an origin, the first of those whose sources are comparable; `seen` holds sources known before and grows."""
    kept = []
    for pair in pairs:
        ledger.count(origin, "read")
        cleaned, reason = clean(pair, rules)
        same = comparable(cleaned.source)
        if not reason and same in seen:
            reason = "source known"
        if reason:
            ledger.count(origin, reason, pair)
            continue
        seen.add(same)
        kept.append(cleaned)
        ledger.count(origin, "kept", cleaned)
    return kept
