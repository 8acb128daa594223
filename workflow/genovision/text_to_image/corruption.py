"""Typing errors made on purpose: letters left out, doubled, replaced by a neighbour on the keyboard or swapped with the next one."""

import math
import re
from collections.abc import Collection

import numpy as np

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_WORD = re.compile(r"[^\W\d_]+")
_ATTEMPTS = 100


def _neighbours() -> dict[str, str]:
    """The letters beside, above and below each letter of a QWERTY keyboard."""
    found = {}
    for y, row in enumerate(_ROWS):
        for x, letter in enumerate(row):
            near = [(y, x - 1), (y, x + 1), (y - 1, x), (y - 1, x + 1), (y + 1, x - 1), (y + 1, x)]
            found[letter] = "".join(_ROWS[v][u] for v, u in near if 0 <= v < 3 and 0 <= u < len(_ROWS[v]))
    return found


_NEAR = _neighbours()


def corrupt(
    text: str,
    rate: float,
    rng: np.random.Generator,
    words: Collection[str] | None = None,
    known: Collection[str] = (),
) -> str:
    """The text with `rate` of the letters (0 < rate <= 1, at least one letter) of its words mistyped.

    `words`: only these are touched (all of them when None); of one that occurs twice, each occurrence. `known`: words that no touched word
    may turn into, such as the vocabulary of the captions, so that an error cannot ask for something else. The number of mistyped letters
    is the rate times the letters, rounded up; which ones and how is drawn from `rng`. Raises ValueError when the text has no such word.
    """
    if not 0 < rate <= 1:
        raise ValueError(f"rate {rate} is not above 0 and at most 1")
    spans = [match.span() for match in _WORD.finditer(text) if words is None or match.group() in words]
    if not spans:
        raise ValueError(f"{text!r} has no word to corrupt")
    places = [(number, at) for number, (start, end) in enumerate(spans) for at in range(end - start)]
    number = math.ceil(round(rate * len(places), 9))  # 0.3 * 10 is 3 letters, whatever the last bit says
    refused = set(known) | {text[start:end] for start, end in spans}
    for _ in range(_ATTEMPTS):
        chosen = sorted(rng.choice(len(places), size=number, replace=False))
        mistyped: dict[int, list[int]] = {}
        for index in chosen:
            word, at = places[index]
            mistyped.setdefault(word, []).append(at)
        found = {word: _mistype(text[slice(*spans[word])], at, rng) for word, at in mistyped.items()}
        if not refused & set(found.values()) and all(found.values()):
            break
    else:
        raise ValueError(f"{text!r} could not be corrupted into words that are not known")
    result, last = [], 0
    for word, (start, end) in enumerate(spans):
        result += [text[last:start], found.get(word, text[start:end])]
        last = end
    return "".join(result) + text[last:]


def _mistype(word: str, at: list[int], rng: np.random.Generator) -> str:
    letters, skip = [], -1
    for place, letter in enumerate(word):
        if place == skip:
            continue
        kind = rng.integers(4) if place in at else -1
        near = _NEAR.get(letter.lower())
        if kind == 0 and len(word) > 1:
            continue
        if kind == 1 and place + 1 < len(word) and word[place + 1] != letter:
            letters += [word[place + 1], letter]
            skip = place + 1
        elif kind == 2:
            letters += [letter, letter]
        elif kind >= 0 and near:
            other = near[rng.integers(len(near))]
            letters.append(other.upper() if letter.isupper() else other)
        else:
            letters.append(letter)
    return "".join(letters)
