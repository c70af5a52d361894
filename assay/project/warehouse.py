"""Read what is built: the warehouse, or what it last published while a build keeps it closed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from assay.core.fault import LOCKED, Fault, known_fault
from assay.core.places import Places, landing_folder
from assay.core.sql import quoted, text


@contextmanager
def opened(warehouse: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a warehouse read-only under the name that dbt gives it in SQL.

    Raises:
        Fault: there is no such file, or another program writes to it and nothing is published.
    """
    if not warehouse.is_file():
        raise Fault(f"Nothing is built yet in {warehouse.parent}. To build: assay build")
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        try:
            attach(connection, warehouse, warehouse.stem)
        except duckdb.Error as error:
            fault = known_fault(error)
            published = Places(landing_folder(), warehouse).published
            if fault is None or fault.exit_code != LOCKED or not published.is_file():
                raise fault or error from error
            attach(connection, published, warehouse.stem)
        yield connection


def relation_named(
    connection: duckdb.DuckDBPyConnection, name: str, database: str | None = None
) -> str | None:
    """Return the table or view of a name as SQL, whatever its schema is called; None where there is none.

    Args:
        connection: where the database is attached.
        name: one that no two models of a project share.
        database: the name it is attached as; without it the current one.
    """
    found = connection.execute(
        "select database_name, schema_name from "
        "(select database_name, schema_name, table_name as name from duckdb_tables() "
        "union all select database_name, schema_name, view_name from duckdb_views()) as relations "
        "where database_name = coalesce($1, current_database()) and name = $2 order by all",
        [database, name],
    ).fetchone()
    return ".".join(map(quoted, (*found, name))) if found else None


def attach(connection: duckdb.DuckDBPyConnection, file: Path, name: str) -> None:
    """Attach a file read-only under a name, which SQL that dbt has compiled may know it by."""
    connection.execute(f"attach {text(file)} as {quoted(name)} (read_only)")
