"""Bitext in the formats it is published in: gettext catalogues, nested JSON, plain parallel text, tables, and the SGML of WMT.

Readers take bytes or numbered lines and a label that stands for them in messages; where the bytes come from is their caller's matter.
Lines end at a line feed and nowhere else: other separators of Unicode occur inside of sentences and would shift a parallel text.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import BinaryIO, NamedTuple

from genovision.errors import InputError

LIMIT = 5000  # characters of a line of parallel text
_DEFAULT = re.compile(r'Default:\s*"(.*)"\s*$', re.DOTALL)  # where Plone keeps the English text of a key
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}  # a comment keeps its text as a catalogue writes it
_IDENTIFIER = re.compile(r"[a-z0-9]+([_.-][a-z0-9]+)+")
_DOCUMENT = re.compile(r"<doc\b([^>]*)>", re.IGNORECASE)
_SEGMENT = re.compile(r"<doc\b[^>]*>|<seg\b([^>]*)>(.*?)</seg>", re.IGNORECASE | re.DOTALL)


class Pair(NamedTuple):
    """A source, its translation ("" where there is none), and the key that joins them; nothing is cleaned yet."""

    key: str
    source: str
    target: str


def text_of(data: bytes, label: str, encoding: str = "utf-8") -> str:
    """Decoded text without a byte order mark; InputError names the line of the first undecodable byte."""
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise InputError(f"{label} declares the encoding {encoding}, which is not known.") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{label}, line {line}: byte {data[error.start]:#04x} is no {encoding}; convert the file to UTF-8."
        ) from error


def text_lines(lines: Iterable[tuple[int, bytes]], label: str) -> Iterator[tuple[int, str]]:
    """(1-based number, text without its end) of numbered lines of bytes in UTF-8; InputError names a line that is not."""
    for number, raw in lines:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{label}, line {number}: byte {raw[error.start]:#04x} is no UTF-8; convert the file."
            ) from error
        yield number, (text.removeprefix("\ufeff") if number == 1 else text).rstrip("\r\n")


def gather(
    streams: Iterable[tuple[str, BinaryIO]], language: re.Pattern, wanted: Sequence[str], label: str
) -> dict[str, list[tuple[str, bytes]]]:
    """The files of the wanted languages among (name, stream): language -> [(name, bytes)], in the order given.

    language: its group `language`, searched in a name, is the key of the language. InputError lists the languages there are.
    """
    found, known = {name: [] for name in wanted}, set()
    for name, stream in streams:
        match = language.search(name)
        if match is None:
            continue
        known.add(match["language"])
        if match["language"] in found:
            found[match["language"]].append((name, stream.read()))
    missing = [name for name in wanted if not found[name]]
    if missing:
        raise InputError(f"{label} has no language {', '.join(missing)}; it has {', '.join(sorted(known)) or 'none'}.")
    return found


def read_po(data: bytes, label: str) -> list[Pair]:
    """Pairs of a gettext catalogue (.po), untranslated, fuzzy and obsolete entries left out, singular and plural forms as two pairs.

    The source is the `Default:` text of an entry's comment, else the msgid, unless that is an identifier ("label_name"): then it is "".
    """
    import polib

    charset = re.search(rb"charset=([A-Za-z0-9_.:-]+)", data[:4096])
    text = text_of(data, label, charset[1].decode() if charset else "utf-8")
    try:
        # the line feed keeps polib from taking a text for the path of a file
        entries = polib.pofile(f"{text}\n", encoding="utf-8")
    except (OSError, ValueError, AttributeError, IndexError, UnicodeDecodeError) as error:
        raise InputError(f"{label} is no gettext catalogue ({str(error).splitlines()[0]}).") from error
    pairs = []
    for entry in entries:
        if entry.obsolete or entry.fuzzy:
            continue
        key = entry.msgid if entry.msgctxt is None else f"{entry.msgctxt}|{entry.msgid}"
        default = _DEFAULT.search(entry.comment or "")
        if default:
            source = re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), default[1])
        else:
            source = "" if _IDENTIFIER.fullmatch(entry.msgid) else entry.msgid
        pairs += _forms(key, source, entry)
    return pairs


def read_mo(data: bytes, label: str) -> list[Pair]:
    """Pairs of a compiled gettext catalogue (.mo); the source is the msgid."""
    import struct

    import polib

    try:
        entries = polib.mofile(data)
    except (OSError, ValueError, struct.error, UnicodeDecodeError, MemoryError, OverflowError) as error:
        raise InputError(f"{label} is no whole compiled gettext catalogue; fetch it again.") from error
    pairs = []
    for entry in entries:
        key = entry.msgid if entry.msgctxt is None else f"{entry.msgctxt}|{entry.msgid}"
        pairs += _forms(key, entry.msgid, entry)
    return pairs


def _forms(key: str, source: str, entry) -> list[Pair]:
    if not entry.msgid_plural:
        return [Pair(key, source, entry.msgstr)] if entry.msgstr else []
    forms = {int(number): text for number, text in entry.msgstr_plural.items()}
    found = [Pair(key, source, forms.get(0, "")), Pair(f"{key} (plural)", entry.msgid_plural, forms.get(1, ""))]
    return [pair for pair in found if pair.target]


def read_messages(data: bytes, label: str) -> dict[str, str]:
    """Key path (joined by dots) -> text of nested JSON objects; what is neither object nor text is left out."""
    text = text_of(data, label)
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{label}, line {error.lineno}: this is no JSON ({error.msg}).") from error
    except RecursionError as error:
        raise InputError(f"{label} is nested too deep; is it the right file?") from error
    if not isinstance(tree, dict):
        raise InputError(f"{label} holds no JSON object of messages.")
    found, waiting = {}, [("", tree)]
    while waiting:
        path, node = waiting.pop()
        for key, value in node.items():
            inner = f"{path}.{key}" if path else key
            if isinstance(value, dict):
                waiting.append((inner, value))
            elif isinstance(value, str):
                found.setdefault(inner, value)
    return found


def joined(sources: Sequence[Mapping[str, str]], target: Mapping[str, str]) -> list[Pair]:
    """Pairs of messages with equal key paths, sorted by key; a key's source is that of the first of `sources` that has it."""
    merged = {}
    for messages in sources:
        for key, text in messages.items():
            merged.setdefault(key, text)
    return [Pair(key, merged[key], target[key]) for key in sorted(merged.keys() & target.keys())]


def _wrong(text: str, label: str, number: int, limit: int) -> tuple[str, str] | None:
    """(reason, sentence) of what is wrong with a side of a pair, or None."""
    if not text.strip():
        sentence = f"{label}, line {number}: this side of the pair is empty; leave the pair out of both files."
        return "empty side", sentence
    if len(text) > limit:
        sentence = f"{label}, line {number}: {len(text)} characters, {limit} are allowed; split or leave out the pair."
        return "line over the limit", sentence
    return None


def _take(pair: Pair, wrong: Iterable[tuple[str, str] | None], pairs: list[Pair], left_out: list | None) -> None:
    """Add a pair to `pairs`, or to `left_out` with its reason when a side is wrong; InputError when nothing may be left out."""
    found = next((one for one in wrong if one), None)
    if found is None:
        pairs.append(pair)
    elif left_out is None:
        raise InputError(found[1])
    else:
        left_out.append((found[0], pair))


def read_parallel(
    source: Iterable[tuple[int, str]],
    target: Iterable[tuple[int, str]] | None,
    labels: tuple[str, str],
    limit: int = LIMIT,
    left_out: list[tuple[str, Pair]] | None = None,
) -> list[Pair]:
    """Pairs of two texts, line by line (OPUS, WMT, KFTT, Khresmoi); the key is the line's number. `target` None: sources alone.

    InputError for texts of unequal length (both counts), and for a side that is empty or longer than `limit` characters (file and
    line), unless `left_out` takes such pairs, each with its reason.
    """
    pairs, counts = [], [0, 0]
    sides = zip_longest(source, target) if target is not None else ((line, (line[0], "")) for line in source)
    for first, second in sides:
        counts = [counts[0] + (first is not None), counts[1] + (second is not None)]
        if first is None or second is None:
            continue
        checked = [(first, labels[0]), (second, labels[1])][: 1 if target is None else 2]
        wrong = (_wrong(text, label, number, limit) for (number, text), label in checked)
        _take(Pair(str(first[0]), first[1], second[1]), wrong, pairs, left_out)
    if counts[0] != counts[1]:
        raise InputError(
            f"{labels[0]} has {counts[0]} lines, {labels[1]} {counts[1]}; a parallel text needs equally many."
        )
    if not counts[0]:
        raise InputError(f"{labels[0]} holds no sentence.")
    return pairs


def read_columns(
    lines: Iterable[tuple[int, str]],
    label: str,
    limit: int = LIMIT,
    left_out: list[tuple[str, Pair]] | None = None,
) -> list[Pair]:
    """Pairs of a table: source and target, or (MTNT, Michel & Neubig 2018) a number, source and target, separated by tabs."""
    pairs, rows = [], 0
    for number, line in lines:
        rows, fields = rows + 1, line.split("\t")
        if len(fields) < 2:
            raise InputError(f"{label}, line {number}: one column; source and target must be separated by a tab.")
        source, target = fields if len(fields) == 2 else fields[1:3]
        wrong = (_wrong(text, label, number, limit) for text in (source, target))
        _take(Pair(str(number), source, target), wrong, pairs, left_out)
    if not rows:
        raise InputError(f"{label} holds no pair.")
    return pairs


def read_segments(data: bytes, label: str) -> dict[str, tuple[int, str]]:
    """`document/segment` -> (line, text) of a source or reference set of WMT (.sgm), the first translation of a segment.

    The files are not well-formed XML (bare ampersands), so segments are searched for, as NIST's scorer does. No entity is resolved but
    the characters of HTML; a file that declares its own is refused.
    """
    text = text_of(data, label)
    if re.search(r"<!\s*ENTITY|<!DOCTYPE[^>]*\[", text, re.IGNORECASE):
        raise InputError(f"{label} declares entities of its own; such a file is not read.")
    found, document, places = {}, "", {}
    line, done = 1, 0
    for match in _SEGMENT.finditer(text):
        line, done = line + text.count("\n", done, match.start()), match.start()
        if match[2] is None:
            name = re.search(r"docid\s*=\s*[\"']?([^\"'\s>]+)", _DOCUMENT.match(match[0])[1], re.IGNORECASE)
            document = name[1] if name else str(len(places) + 1)
            places[document] = 0
            continue
        places[document] = places.get(document, 0) + 1
        name = re.search(r"\bid\s*=\s*[\"']?([^\"'\s>]+)", match[1], re.IGNORECASE)
        key = f"{document}/{name[1] if name else places[document]}"
        found.setdefault(key, (line, html.unescape(" ".join(match[2].split()))))
    if not found:
        raise InputError(f"{label} holds no segment (<seg id=...>); is it the right file?")
    return found


def read_sgml(
    source: bytes,
    target: bytes | None,
    labels: tuple[str, str],
    limit: int = LIMIT,
    left_out: list[tuple[str, Pair]] | None = None,
) -> list[Pair]:
    """Pairs of a source set and a reference set of WMT, joined by document and segment. InputError as in `read_parallel`."""
    first = read_segments(source, labels[0])
    second = read_segments(target, labels[1]) if target is not None else {}
    if target is not None and first.keys() != second.keys():
        lacking = sorted(first.keys() ^ second.keys())[0]
        raise InputError(
            f"{labels[0]} has {len(first)} segments, {labels[1]} {len(second)}, and segment {lacking} is in one of them only."
        )
    ordered = [first.values(), [second[key] for key in first] if target is not None else None]
    pairs = read_parallel(ordered[0], ordered[1], labels, limit, left_out)
    names = {str(line): key for key, (line, _) in first.items()}
    # two segments of one line have one number; then the numbers stay
    return [pair._replace(key=names[pair.key]) for pair in pairs] if len(names) == len(first) else pairs
