"""Find the whole rows that fail a data test: tests themselves return only some columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

_ROWS_KEPT = 20
# The column in which tests of dbt-expectations return whether their claim holds.
_CLAIM = "expression"
# Names that tests of dbt and dbt-expectations give to a checked column; whole rows have it by its own name.
_COPIES = ("value_field", "from_field")


def read_failing_rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """Return some rows that fail a test, by column; none if the test's query no longer runs.

    A test that compares an aggregate of many rows has no single failing row: its row holds the aggregates.

    Args:
        connection: a connection to the warehouse.
        sql: the test's SQL as dbt compiled it.
    """
    for query, copies in (_with_whole_rows(sql), (sql, [])):
        if query:
            try:
                return _rows(connection, query, copies)
            except duckdb.Error:
                continue
    return []


def _rows(connection: duckdb.DuckDBPyConnection, query: str, copies: Sequence[str]) -> list[dict[str, Any]]:
    cursor = connection.execute(f"select * from ({query}) as failing limit {_ROWS_KEPT}")
    names = [column[0] for column in cursor.description or []]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    if len(names) > 1:
        for row in rows:
            for name in copies:
                row.pop(name, None)
            if isinstance(row.get(_CLAIM), bool):
                del row[_CLAIM]
    found: list[dict[str, Any]] = json.loads(json.dumps(rows, default=str))
    return found


def _with_whole_rows(sql: str) -> tuple[str | None, list[str]]:
    """Change a test's query to return all columns of the failing rows; also return the duplicate columns.

    If a test compares an aggregate with a limit, the query returns the aggregate too. The query is None if
    the test cannot be parsed.
    """
    try:
        scopes = traverse_scope(sqlglot.parse_one(sql, dialect="duckdb"))
    except SqlglotError:
        return None, []
    if any(each.is_star for scope in scopes for each in scope.expression.find_all(exp.SetOperation)):
        # The two sides of a set operation must keep the same columns.
        return None, []
    whole: list[Scope] = []
    copies: list[str] = []
    for scope in scopes:
        select = scope.expression
        if not isinstance(select, exp.Select) or isinstance(select.parent, exp.SetOperation):
            continue
        if rows := _rows_read(scope, whole):
            copies += [each.alias for each in select.expressions if each.alias in _COPIES]
            whole.append(scope)
            select.set("expressions", [rows, *(each for each in select.expressions if _is_kept(each, rows))])
        else:
            select.set("expressions", [*select.expressions, *_figures(select)])
    return scopes[-1].expression.sql(dialect="duckdb"), copies


def _rows_read(scope: Scope, whole: Sequence[Scope]) -> exp.Expression | None:
    """Return the star for all columns of the rows that a query reads; None if it aggregates its rows."""
    select = scope.expression
    read = select.args.get("from_") or select.args.get("from")
    if read is None or any(select.args.get(part) for part in ("group", "distinct", "having")):
        return None
    name = read.this.alias_or_name
    source = scope.sources.get(name)
    is_read = isinstance(source, exp.Table) or source in whole
    is_summed = any(each.find(exp.AggFunc) and not each.find(exp.Window) for each in select.expressions)
    joins = select.args.get("joins") or []
    if not is_read or is_summed or not all(join.side == "LEFT" or join.kind == "ANTI" for join in joins):
        return None
    return exp.Column(this=exp.Star(), table=exp.to_identifier(name, quoted=True)) if joins else exp.Star()


def _is_kept(expression: exp.Expression, rows: exp.Expression) -> bool:
    """Tell whether to keep an expression beside the star, which holds the plain columns already."""
    if isinstance(expression, exp.Star):
        return False
    return not isinstance(expression, exp.Column) or expression.table not in ("", rows.text("table"))


def _figures(select: exp.Select) -> list[exp.Expr]:
    """Return the aggregates that a test's claim compares with limits, each named by its own SQL."""
    claims = [each.this.unnest() for each in select.expressions if each.alias == _CLAIM]
    figures = {
        figure.sql(dialect="duckdb", normalize_functions="lower"): figure.copy()
        for claim in claims
        if isinstance(claim, exp.Predicate | exp.Connector)
        for figure in claim.find_all(exp.AggFunc)
    }
    return [exp.alias_(figure, name, quoted=True) for name, figure in figures.items()]
