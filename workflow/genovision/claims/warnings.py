"""Warnings about a system's data, written by its own story and repeated wherever its results are shown."""

from collections.abc import Iterable

from genovision.tables import read_table


def read_warnings(tables: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """System -> its sentences, from (system, path) pairs; a table has the columns `species, text` and may be empty."""
    sentences: dict[str, list[str]] = {}
    for system, path in tables:
        frame = read_table(path, ["species", "text"])
        sentences.setdefault(system, []).extend(f"{row.species}: {row.text}" for row in frame.itertuples())
    return sentences
