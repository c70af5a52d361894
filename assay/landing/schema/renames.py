"""Guess which new column is a lost one under another name, from names and values."""

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
# Likeness is from 0 to 1. Of it, so much is that of the names; the rest is that of the values.
_WEIGHT_OF_NAMES = 0.4
_LIKE_ENOUGH = 0.6
# Where values repeat more than that they are compared as they are, else by what they are made of.
_SHARE_OF_DISTINCT = 0.5


def suggest_renames(
    connection: duckdb.DuckDBPyConnection,
    table: LandingTable,
    file_id: int,
    changes: list[Change],
    earlier: Sequence[tuple[int, Sequence[Change]]],
) -> list[Change]:
    """Mark what is probably one column under two names, the likest first.

    Args:
        connection: to the warehouse, where the file's rows are.
        table: what is declared.
        file_id: the file.
        changes: of the file.
        earlier: files of the same transaction that landed before it, with their changes.

    Returns:
        The changes, in their order: lost columns that were found again are `renamed`.
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
    """Return the file whose values of a column came last before it was lost."""
    for file_id, changes in reversed(earlier):
        if not any(change.column == name and change.kind in ("lost", "renamed") for change in changes):
            return file_id
    row = connection.execute(
        "select file_id from landing.files where source_name = $1 and table_name = $2 and status = 'loaded' "
        "and file_id not in (select file_id from landing.schema_sightings "
        "where column_name = $3 and kind in ('lost', 'renamed')) "
        "order by landed_at desc, source_file desc, file_version desc limit 1",
        [table.source, table.name, name],
    ).fetchone()
    return row[0] if row else None


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
    """Return how much two names have in common."""
    return SequenceMatcher(a=_plain(one), b=_plain(other), autojunk=False).ratio()


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", path_of(name)[-1]).casefold()


def _overlap(some: list[str], others: list[str]) -> float:
    """Return the share that the distributions of values have in common."""
    if not some or not others:
        return 0.0
    if len({*some, *others}) > _SHARE_OF_DISTINCT * (len(some) + len(others)):
        some, others = [_made_of(each) for each in some], [_made_of(each) for each in others]
    one, other = Counter(some), Counter(others)
    return sum(min(one[each] / len(some), other[each] / len(others)) for each in one)


def _made_of(value: str) -> str:
    """Return what a value looks like, such as a-99 for no-31."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d", "9", value))
