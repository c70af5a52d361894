"""Tell how many bytes each table of a warehouse or publication takes."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from assay.project.warehouse import bytes_of


@dataclass(frozen=True)
class TableSize:
    """A table or view as `schema.name`, and its bytes: None where they are not known, 0 for a view."""

    relation: str
    is_view: bool
    bytes: int | None


def read_sizes(connection: duckdb.DuckDBPyConnection) -> list[TableSize]:
    """Return the tables and views of a connection's current database, by name.

    Raises:
        duckdb.Error: the file cannot be read.
    """
    tables = connection.execute(
        "select database_name, schema_name, table_name, false as is_view from duckdb_tables() "
        "where database_name = current_database() and not internal union all "
        "select database_name, schema_name, view_name, true from duckdb_views() "
        "where database_name = current_database() and not internal order by all"
    ).fetchall()
    return [
        TableSize(
            f"{schema}.{name}",
            is_view,
            0 if is_view else bytes_of(connection, database, schema, name),
        )
        for database, schema, name, is_view in tables
    ]
