"""From bitext to sets: folds split by key, sets out of domain of equal size, and sources spoilt on purpose.

What a draw takes depends on the seed and the names drawn from, not on their order, and a name more or less moves no other.
"""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from genovision.errors import InputError
from genovision.resampling import stream
from genovision.tables import read_table
from genovision.translation.bitext import Pair
from genovision.translation.cleaning import comparable, different_words

COLUMNS = ("set", "role", "id", "source", "target", "tokens")
FOLDS = ("train", "valid", "test")
ROLES = (*FOLDS, "ood", "valid_ood")
SPOILT = ("permuted", "noised")
_EDITS = ("swap", "drop", "repeat", "case")


def ranked(names: Iterable[str], seed: int, purpose: str) -> list[str]:
    """Names in a random order that is a function of each name, the seed and the purpose."""
    return sorted(names, key=lambda name: (hashlib.sha256(f"{seed}\t{purpose}\t{name}".encode()).digest(), name))


def fold_by_key(
    keys: Sequence[str], eligible: Iterable[str], *, valid: int, test: int, seed: int, label: str
) -> dict[str, str]:
    """Key -> fold: `test` and `valid` keys drawn among the eligible ones, the rest for training."""
    order = ranked(eligible, seed, "folds")
    if len(order) < valid + test or len(keys) <= valid + test:
        raise InputError(
            f"{label} has {len(order)} keys for testing and validation among {len(keys)}, {test} + {valid} are asked for; "
            "ask for fewer."
        )
    folds = dict.fromkeys(keys, "train")
    folds |= dict.fromkeys(order[:test], "test")
    return folds | dict.fromkeys(order[test : test + valid], "valid")


def fit_for_testing(
    pairs: Mapping[str, Pair], matched: Mapping[str, Mapping[str, Pair]], known: set[str], words: int = 2
) -> list[str]:
    """Keys whose source has at least `words` different words and stands, as a source foreign to `known`, in every matched language.

    matched: set -> key -> pair;  known: `comparable` form of all sources of the bitext
    """
    return [
        key
        for key, pair in pairs.items()
        if different_words(pair.source) >= words
        and all(key in found and comparable(found[key].source) not in known for found in matched.values())
    ]


def identifiers(origin: str, keys: Sequence[str]) -> list[str]:
    """Short names of keys: the origin and as many digits of the key's sha256 as tell all of them apart, eight at least.

    A key that comes again is named by how often it came before, too.
    """
    counts, digests = Counter(), []
    for key in keys:
        counts[key] += 1
        again = f"\t{counts[key]}" if counts[key] > 1 else ""
        digests.append(hashlib.sha256(f"{key}{again}".encode()).hexdigest())
    digits = next(digits for digits in range(8, 65, 4) if len({one[:digits] for one in digests}) == len(digests))
    return [f"{origin}-{digest[:digits]}" for digest in digests]


def permuted(tokens: npt.ArrayLike, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """A random order of tokens that differs from theirs, the last one (the end) in its place; ValueError where there is none.

    Malinin & Gales 2021, appendix: BPE tokens of in-domain sources permuted.
    """
    row = np.asarray(tokens, dtype=np.int64)
    body = row[:-1]
    if len(set(body.tolist())) < 2:
        raise ValueError(f"{len(body)} equal tokens have no other order")
    while True:
        found = rng.permutation(body)
        if (found != body).any():
            return np.append(found, row[-1])


def noised(text: str, rate: float, rng: np.random.Generator) -> str:
    """Each character outside of placeholders is hit with probability `rate`: swapped with the next, dropped, repeated, or its case turned.

    At least one edit shows: texts that differ in case alone are drawn again.
    """
    if not 0 < rate <= 1:
        raise InputError(f"a noise rate of {rate} must be above 0 and at most 1.")
    for _ in range(1000):
        found = "".join(
            part if re.fullmatch(r"\{\d+\}", part) else _hit(part, rate, rng) for part in re.split(r"(\{\d+\})", text)
        )
        found = " ".join(found.split())
        if found and found.casefold() != text.casefold():
            return found
    return text[:1] + text  # hardly ever: a rate near 0


def _hit(text: str, rate: float, rng: np.random.Generator) -> str:
    found, place = [], 0
    while place < len(text):
        character = text[place]
        edit = _EDITS[rng.integers(len(_EDITS))] if rng.random() < rate else ""
        if edit == "swap" and place + 1 < len(text):
            found += [text[place + 1], character]
            place += 2
            continue
        if edit == "repeat":
            found += [character, character]
        elif edit == "case":
            found.append(character.swapcase())
        elif edit != "drop":
            found.append(character)
        place += 1
    return "".join(found)


def draw(rows: pd.DataFrame, number: int, seed: int, label: str) -> pd.DataFrame:
    """`number` rows drawn by id, in their old order."""
    if len(rows) < number:
        raise InputError(
            f"{label} has {len(rows)} sentences, {number} are needed so that all sets are of one size; ask for fewer."
        )
    chosen = set(ranked(rows["id"], seed, f"set {label}")[:number])
    return rows[rows["id"].isin(chosen)]


def make_sets(pairs: pd.DataFrame, others: pd.DataFrame, tokenizer, *, seed: int, rate: float) -> pd.DataFrame:
    """All sets as one table with the columns `COLUMNS`: the folds, then sets out of domain, then those for choices.

    Sets out of domain are of one size, that of test, or of the smallest of them where one has fewer sentences; those for choices likewise,
    with valid. InputError where that leaves fewer than two.
    pairs: id, source, target, fold;  others: set, role, id, source, target.  Matched and spoilt sentences keep the id of the pair they
    come from. `tokens` holds ids, separated by spaces, where encoding the source would not give them (permuted ones).
    """
    folds = {fold: pairs[pairs["fold"] == fold] for fold in FOLDS}
    for fold, rows in folds.items():
        if rows.empty:
            raise InputError(f"the pairs have no row of the fold {fold}; build the bitext again.")
    parts = [rows.assign(set=fold, role=fold, tokens="") for fold, rows in folds.items()]
    for role, fold, prefix in (("ood", "test", ""), ("valid_ood", "valid", "valid_")):
        foreign = others[others["role"] == role]
        there = {name: foreign[foreign["set"] == name] for name in dict.fromkeys(foreign["set"])}
        permuted_name, noised_name = f"{prefix}permuted", f"{prefix}noised"
        spoilt = {permuted_name: _with_other_orders(folds[fold], tokenizer), noised_name: folds[fold]}
        sizes = {name: len(rows) for name, rows in (there | spoilt).items()}
        smallest = min(sizes, key=sizes.get)
        if sizes[smallest] < 2:
            raise InputError(f"the set {smallest} has {sizes[smallest]} sentence; two or more are needed.")
        drawn = {name: draw(rows, sizes[smallest], seed, name) for name, rows in (there | spoilt).items()}
        parts += [drawn[name].assign(tokens="") for name in there]
        parts.append(_permuted_set(drawn[permuted_name], permuted_name, role, tokenizer, seed))
        parts.append(_noised_set(drawn[noised_name], noised_name, role, rate, seed))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def _with_other_orders(rows: pd.DataFrame, tokenizer) -> pd.DataFrame:
    """Those whose tokens, the end aside, are not all equal."""
    tokens = tokenizer.encode(rows["source"].tolist())
    return rows[[len(set(np.asarray(row[:-1]).tolist())) > 1 for row in tokens]]


def _permuted_set(rows: pd.DataFrame, name: str, role: str, tokenizer, seed: int) -> pd.DataFrame:
    tokens = tokenizer.encode(rows["source"].tolist())
    found = [permuted(row, stream(seed, f"{name} {number}")) for number, row in zip(rows["id"], tokens, strict=True)]
    texts = [tokenizer.decode(tokens) for tokens in found]
    ids = [" ".join(map(str, tokens.tolist())) for tokens in found]
    return rows.assign(set=name, role=role, source=texts, target="", tokens=ids)


def _noised_set(rows: pd.DataFrame, name: str, role: str, rate: float, seed: int) -> pd.DataFrame:
    texts = [
        noised(text, rate, stream(seed, f"{name} {number}"))
        for number, text in zip(rows["id"], rows["source"], strict=True)
    ]
    return rows.assign(set=name, role=role, source=texts, tokens="")


def read_sets(path: str | os.PathLike) -> pd.DataFrame:
    """A table of sets, every column text, "" where there is none. InputError for a role that is not known or an id twice in a set."""
    frame = read_table(path, list(COLUMNS))[list(COLUMNS)].astype(object).fillna("").astype(str)
    strange = sorted(set(frame["role"]) - set(ROLES))
    if strange:
        raise InputError(f"{path} has the role {strange[0]}; it must be one of {', '.join(ROLES)}.")
    twice = frame[frame.duplicated(["set", "id"])]
    if len(twice):
        raise InputError(f"{path} has the id {twice['id'].iloc[0]} twice in the set {twice['set'].iloc[0]}.")
    empty = frame[frame["source"] == ""]
    if len(empty):
        raise InputError(f"{path}: {empty['id'].iloc[0]} of the set {empty['set'].iloc[0]} has no source.")
    return frame


def encoded_sets(sets: pd.DataFrame, tokenizer, limit: int) -> dict[str, tuple[list, list]]:
    """Set -> (token arrays of sources, of targets); a sentence without a reference has an empty target.

    InputError for a sentence of more than `limit` tokens and for stored tokens that are not those of this tokenizer.
    """
    found = {}
    for name, rows in sets.groupby("set", sort=False):
        sources = tokenizer.encode(rows["source"].tolist())
        targets = tokenizer.encode(rows["target"].tolist())
        for place, (number, text, stored) in enumerate(zip(rows["id"], rows["source"], rows["tokens"], strict=True)):
            if stored:
                sources[place] = _stored(stored, text, tokenizer, f"{number} of the set {name}")
        targets = [row if text else row[:0] for row, text in zip(targets, rows["target"], strict=True)]
        for number, *sides in zip(rows["id"], sources, targets, strict=True):
            if max(map(len, sides)) > limit:
                raise InputError(
                    f"{number} of the set {name} has {max(map(len, sides))} tokens, {limit} are allowed; "
                    "shorten it or raise the limit."
                )
        found[str(name)] = (sources, targets)
    return found


def _stored(stored: str, text: str, tokenizer, label: str) -> npt.NDArray[np.int32]:
    try:
        tokens = np.array([int(number) for number in stored.split(" ")], dtype=np.int32)
        same = tokenizer.decode(tokens) == text
    except ValueError:
        same = False
    if not same:
        raise InputError(f"{label} holds tokens of another vocabulary; build the sets again with this tokenizer.")
    return tokens
