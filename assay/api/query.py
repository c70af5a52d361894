"""Queries on what is published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from assay.core.fault import MISUSED, Fault
from assay.core.places import PUBLISHED
from assay.core.sql import quoted
from assay.project.warehouse import attach

if TYPE_CHECKING:
    import pyarrow as pa

_FOUND = "assay_found"


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
        try:
            statements = connection.extract_statements(query)
            if len(statements) != 1:
                raise Fault(f"A query is one statement, and this is {len(statements)}.", MISUSED)
            if statements[0].type != duckdb.StatementType.SELECT:
                return connection.execute(query, parameters).to_arrow_table()
            # DuckDB 1.5.5 repeats rows that it streams out of a history's SQL: they go to a table first.
            found = f"temp.{_FOUND}"
            connection.execute(f"create temp table {_FOUND} as {statements[0].query}", parameters)
            return connection.execute(f"from {found}").to_arrow_table()
        except duckdb.Error as error:
            raise Fault(f"The query cannot be run: {error}", MISUSED) from error
