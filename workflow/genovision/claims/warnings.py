"""Warnings about a system's data, written by its own story and repeated wherever its results are shown."""

from collections.abc import Iterable

from genovision.tables import read_table


def read_warnings(tables: Iterable[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """System -> group -> sentence, from (system, path) pairs; a table has the columns `species, text` and may be empty.

    The group is what the evidence calls so: here the species.
    """
    sentences: dict[str, dict[str, str]] = {}
    for system, path in tables:
        for row in read_table(path, ["species", "text"]).itertuples():
            sentences.setdefault(system, {})[row.species] = row.text
    return sentences
