"""Queries on what is published."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.places import PUBLISHED
from assay.core.sql import quoted
from assay.project.warehouse import attach

if TYPE_CHECKING:
    import pyarrow as pa

_FOUND = "assay_found"
# They are queries to DuckDB, and yet no tables.
_DESCRIBES = re.compile(r"\s*(describe|desc|show|summarize)\b", re.IGNORECASE)


def run_query(
    published: Path, query: str, parameters: Sequence[Any] | dict[str, Any] | None = None
) -> pa.Table:
    """Run a query on the published file.

    Args:
        published: the file; in SQL its tables are `gold.<table>`.
        query: one statement that reads.
        parameters: for `?` or `$name` in it.

    Raises:
        Fault: nothing is published, the query is several statements or none, or it is wrong.
    """
    if not published.is_file():
        raise Fault(f"Nothing is published yet in {published.parent}. To build: assay build")
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        attach(connection, published, PUBLISHED)
        connection.execute(f"use {quoted(PUBLISHED)}")
        statements = _run(connection.extract_statements, query)
        if len(statements) != 1:
            raise Fault(f"A query is one statement, and this is {len(statements)}.", MISUSED)
        if statements[0].type == duckdb.StatementType.SELECT and not _DESCRIBES.match(statements[0].query):
            # DuckDB 1.5.5 repeats rows that it streams out of a history's SQL: they go to a table first.
            _run(connection.execute, f"create temp table {_FOUND} as\n{statements[0].query}", parameters)
            query, parameters = f"from temp.{_FOUND}", None
        return _run(connection.execute, query, parameters).to_arrow_table()


def _run(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except duckdb.Error as error:
        raise known_fault(error) or Fault(f"The query cannot be run: {error}", MISUSED) from error
