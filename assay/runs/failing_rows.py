"""Rows that fail a data test, whole: tests themselves return as little as they need."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

_ROWS_KEPT = 20
# What tests of dbt-expectations call the truth of what they claim.
_CLAIM = "expression"


def failing_rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """Return some rows that fail a test, by column; none where that can no longer be told.

    Args:
        connection: to the warehouse.
        sql: the test as dbt compiled it.
    """
    for query in (_with_whole_rows(sql), sql):
        if query:
            try:
                return _rows(connection, query)
            except duckdb.Error:
                continue
    return []


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    cursor = connection.execute(f"select * from ({query}) as failing limit {_ROWS_KEPT}")
    names = [column[0] for column in cursor.description or []]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    if len(names) > 1:
        for row in rows:
            row.pop(_CLAIM, None)
    found: list[dict[str, Any]] = json.loads(json.dumps(rows, default=str))
    return found


def _with_whole_rows(sql: str) -> str | None:
    """Return a test's query with all columns wherever it reads rows of a table; None if it cannot be read."""
    try:
        tree = sqlglot.parse_one(sql, dialect="duckdb")
    except SqlglotError:
        return None
    own = {each.alias_or_name for each in tree.find_all(exp.CTE)}
    for select in tree.find_all(exp.Select):
        if _reads_rows(select, own):
            named = [each for each in select.expressions if not isinstance(each, exp.Column | exp.Star)]
            select.set("expressions", [exp.Star(), *named])
    return tree.sql(dialect="duckdb")


def _reads_rows(select: exp.Select, own: set[str]) -> bool:
    """Whether a query reads one table, row by row."""
    read = select.args.get("from_") or select.args.get("from")
    is_summed = any(each.find(exp.AggFunc) for each in select.expressions)
    is_table = read is not None and isinstance(read.this, exp.Table) and read.this.name not in own
    return (
        is_table
        and not is_summed
        and not any(select.args.get(part) for part in ("joins", "group", "distinct"))
    )
