"""Guess from names and values which new column is a lost column under another name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher

import duckdb

from assay.core.sql import quoted
from assay.landing.declared import LandingTable
from assay.landing.names import path_of
from assay.landing.schema.changes import Change
from assay.landing.schema.values import values_of

_VALUES_COMPARED = 1000
# Similarity is from 0 to 1. This is the weight of the names' similarity; the rest is that of the values.
_WEIGHT_OF_NAMES = 0.4
_LIKE_ENOUGH = 0.6
# Values that repeat more often than this are compared as they are, others by their pattern.
_SHARE_OF_DISTINCT = 0.5


def suggest_renames(
    connection: duckdb.DuckDBPyConnection,
    table: LandingTable,
    file_id: int,
    changes: list[Change],
    earlier: Sequence[tuple[int, Sequence[Change]]],
) -> list[Change]:
    """Mark pairs of a lost and a new column that are probably the same column; the most similar pairs first.

    Args:
        connection: a connection to the warehouse, which holds the file's rows.
        table: the declared table.
        file_id: the file's id.
        changes: the file's changes.
        earlier: the changes of files of the same transaction that landed before this file, by file_id.

    Returns:
        The changes in the same order; the kind of a lost column that was found again is `renamed`.
    """
    new = [change.column for change in changes if change.kind == "new"]
    lost = [change.column for change in changes if change.kind == "lost"]
    likely = []
    for old in lost if new else []:
        before = _values(connection, table, _last_file_with(connection, table, old, earlier), old)
        for name in new:
            now = _values(connection, table, file_id, name)
            alike = _WEIGHT_OF_NAMES * _alike(old, name) + (1 - _WEIGHT_OF_NAMES) * _overlap(before, now)
            if alike >= _LIKE_ENOUGH:
                likely.append((-alike, old, name))
    pairs: dict[str, str] = {}
    for _, old, name in sorted(likely):
        if old not in pairs and name not in pairs.values():
            pairs[old] = name
    origins = {name: old for old, name in pairs.items()}
    return [
        replace(change, kind="renamed", suggested_name=pairs[change.column])
        if change.kind == "lost" and change.column in pairs
        else replace(change, suggested_name=origins.get(change.column))
        for change in changes
    ]


def _last_file_with(
    connection: duckdb.DuckDBPyConnection,
    table: LandingTable,
    name: str,
    earlier: Sequence[tuple[int, Sequence[Change]]],
) -> int | None:
    """Return the last file that has values of a column, before the column was lost."""
    for file_id, changes in reversed(earlier):
        if not any(change.column == name and change.kind in ("lost", "renamed") for change in changes):
            return file_id
    rows = connection.execute(
        "select file_id from landing.files where source_name = $1 and table_name = $2 and status = 'loaded' "
        "and file_id not in (select file_id from landing.schema_sightings "
        "where column_name = $3 and kind in ('lost', 'renamed')) "
        "order by landed_at desc, source_file desc, file_version desc limit 1",
        [table.source, table.name, name],
    ).fetchall()
    return rows[0][0] if rows else None


def _values(
    connection: duckdb.DuckDBPyConnection, table: LandingTable, file_id: int | None, name: str
) -> list[str]:
    if file_id is None:
        return []
    values = values_of(table, [name])
    landed = f"(select * from landing.{quoted(table.relation)} where file_id = {file_id})"
    rows = connection.execute(
        f"select {values.text(name)} from ({values.relation(landed)}) "
        f"where {values.is_row} and {values.is_filled(name)} order by row_number limit {_VALUES_COMPARED}"
    ).fetchall()
    return [value for (value,) in rows]


def _alike(one: str, other: str) -> float:
    """Return the similarity of two names, from 0 to 1."""
    return SequenceMatcher(a=_plain(one), b=_plain(other), autojunk=False).ratio()


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", path_of(name)[-1]).casefold()


def _overlap(some: list[str], others: list[str]) -> float:
    """Return the overlap of two distributions of values, from 0 to 1."""
    if not some or not others:
        return 0.0
    if len({*some, *others}) > _SHARE_OF_DISTINCT * (len(some) + len(others)):
        some, others = [_made_of(each) for each in some], [_made_of(each) for each in others]
    one, other = Counter(some), Counter(others)
    return sum(min(one[each] / len(some), other[each] / len(others)) for each in one)


def _made_of(value: str) -> str:
    """Return the pattern of a value, such as a-99 for no-31."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d", "9", value))
