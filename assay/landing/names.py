"""Check and compare names of columns and keys, which come from data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from assay.core.sql import folded

#: Names of columns that Assay adds to landing tables of CSV and to bronze and silver.
RESERVED = frozenset(
    {
        "file_id",
        "row_number",
        "other_values",
        "malformed_line",
        "malformed_reason",
        "schema_conflict",
        "content_hash",
        "source_file",
        "file_version",
        "landed_at",
        "loaded_at",
        "run_id",
        "contract_rule_ids",
        "rule_ids",
    }
)
#: Names of columns that Assay adds to tables that a stream lands.
MESSAGE_NAMES = frozenset({"topic", "partition", "offset", "message_at", "message_key", "message_landed_at"})
#: The maximum length of a name, in characters; names that people give are shorter.
LONGEST = 255


def what_is_wrong(name: object, others: Iterable[str] = (), *, is_column: bool) -> str | None:
    """Return why a name cannot be declared, as the end of a sentence; None if it can be declared.

    Args:
        name: the name of a column, or of a key without the object that it is in.
        others: the other names in the same table or object.
        is_column: whether the name is for a column of a landing table, and not for a key of JSON documents.
    """
    if not isinstance(name, str):
        return f"{name!r} is no text: write it in quotes"
    shown = repr(name if len(name) <= LONGEST else name[:40] + "...")
    if not name:
        return "a name is empty"
    if len(name) > LONGEST:
        return f"{shown} is longer than {LONGEST} characters"
    if "\0" in name:
        return f"{shown} holds the character NUL, which no name may"
    if re.search(r"\{[{%#]", name):
        return f"{shown} holds the beginning of a dbt expression"
    if is_column and folded(name) in RESERVED:
        return f"{shown} is the name of a column that Assay adds"
    if other := next((each for each in others if folded(each) == folded(name)), None):
        if other == name:
            return f"{shown} is declared twice"
        return f"{shown} is declared already as {other!r}: the two differ by case alone"
    return None


def wrong_names(names: Sequence[object], *, is_column: bool) -> list[str]:
    """Return what is wrong with the names of one table or object."""
    known: list[str] = []
    found = []
    for name in names:
        if problem := what_is_wrong(name, known, is_column=is_column):
            found.append(problem)
        else:
            known.append(str(name))
    return found


def name_of(path: Sequence[str]) -> str:
    """Return the name of a key from its path: dots separate keys, and a dot within a key is written `\\.`."""
    return ".".join(re.sub(r"([.\\])", r"\\\1", key) for key in path)


def path_of(name: str) -> tuple[str, ...]:
    """Return the path of a key from its name: the keys of the objects that it is in, then its own."""
    parts = re.findall(r"(?:^|\.)((?:\\.|[^.\\]|\\$)*)", name, re.DOTALL)
    return tuple(re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in parts)


def container_of(name: str) -> str:
    """Return the name of the object that a key is in; '' is the document."""
    return name_of(path_of(name)[:1]) if len(path_of(name)) > 1 else ""
