"""Small pieces of SQL that the checks share."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import duckdb

from assay.core.sql import quoted

# Between values that were added up in another order, relative to their size.
_TOLERANCE = 1e-9


def columns_of(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Return the columns of a relation with their types, in order."""
    rows = connection.execute(f"describe select * from {relation}").fetchall()
    return {name: type_ for name, type_, *_ in rows}


def same(names: Iterable[str], left: str, right: str) -> str:
    """Write the condition that two tables have the same keys."""
    return " and ".join(f'{left}."{name}" = {right}."{name}"' for name in names)


def literal(at: datetime) -> str:
    """Write an instant as SQL."""
    return f"timestamp '{at}'"


def differs(column: str, type_: str) -> str:
    """Write the condition that a column of `w` differs from that of `e`, but for the last bits of floats."""
    ours, theirs = quoted(column, of="w"), quoted(column, of="e")
    condition = f"{ours} is distinct from {theirs}"
    if type_ in ("DOUBLE", "FLOAT"):
        near = f"abs({ours} - {theirs}) <= {_TOLERANCE} * greatest(abs({ours}), abs({theirs}))"
        return f"({condition} and not coalesce({near}, false))"
    return f"({condition})"


def one_row(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    """Run a query that returns one row."""
    cursor = connection.execute(sql)
    row = cursor.fetchone()
    assert row is not None
    return dict(zip([each[0] for each in cursor.description], row, strict=True))


def number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """Run a query that returns one whole number."""
    return int(next(iter(one_row(connection, sql).values())) or 0)
