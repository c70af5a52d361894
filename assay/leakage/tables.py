"""Write pieces of SQL that the checks share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import duckdb

from assay.core.sql import quoted

# The relative difference of sums that were added up in another order.
_TOLERANCE = 1e-9
_FLOATS = re.compile(r"(DOUBLE|FLOAT)\[\d*\]")


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
    """Write the condition that a column differs between `w` and `e`, ignoring the last bits of floats."""
    ours, theirs = quoted(column, of="w"), quoted(column, of="e")
    condition = f"{ours} is distinct from {theirs}"
    if type_ in ("DOUBLE", "FLOAT"):
        return f"({condition} and not coalesce({_near(ours, theirs)}, false))"
    if _FLOATS.fullmatch(type_):
        ours, theirs = f"{ours}::double[]", f"{theirs}::double[]"
        is_near = f"coalesce({_near('pair[1]', 'pair[2]')}, pair[1] is null and pair[2] is null)"
        pairs = f"list_transform(list_zip({ours}, {theirs}), lambda pair: {is_near})"
        are_near = (
            f"len({ours}) = len({theirs}) and len({pairs}) = len(list_filter({pairs}, lambda near: near))"
        )
        return f"({condition} and not coalesce({are_near}, false))"
    return f"({condition})"


def _near(left: str, right: str) -> str:
    return f"abs({left} - {right}) <= {_TOLERANCE} * greatest(abs({left}), abs({right}))"


def one_row(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    """Run a query that returns one row."""
    cursor = connection.execute(sql)
    names = [each[0] for each in cursor.description]
    [row] = cursor.fetchall()
    return dict(zip(names, row, strict=True))


def number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """Run a query that returns one whole number."""
    return int(next(iter(one_row(connection, sql).values())) or 0)
