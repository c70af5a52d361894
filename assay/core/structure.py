"""Give Assay's own tables the structure that this version declares."""

from __future__ import annotations

from functools import cache
from typing import Any

import duckdb

from assay.core.sql import quoted

_COLUMNS = """
select schema_name, table_name, column_name, data_type, is_nullable
from duckdb_columns()
inner join duckdb_tables() using (database_name, schema_name, table_name)
where not duckdb_columns.internal and database_name = current_database()
order by schema_name, table_name, column_index
"""
# The value that existing rows get in a new column that may not be NULL.
_INSTEAD_OF_NULL = {"VARCHAR": "''", "BIGINT": "0", "INTEGER": "0", "BOOLEAN": "false", "JSON": "'[]'"}


@cache
def _declared_columns(script: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as scratch:
        scratch.execute(script)
        return scratch.execute(_COLUMNS).fetchall()


def bring_up_to_date(connection: duckdb.DuckDBPyConnection, script: str) -> list[str]:
    """Create the tables that a script of `create table if not exists` declares, and add columns they lack.

    Returns:
        The columns that were added, each as `schema.table.column`.
    """
    there = {row[:3] for row in connection.execute(_COLUMNS).fetchall()}
    tables = {row[:2] for row in there}
    added = []
    for schema, table, column, data_type, is_nullable in _declared_columns(script):
        if (schema, table) not in tables or (schema, table, column) in there:
            continue
        default = "" if is_nullable else f" default {_INSTEAD_OF_NULL.get(data_type, '[]')}"
        connection.execute(
            f"alter table {quoted(schema)}.{quoted(table)} add column {quoted(column)} {data_type}{default}"
        )
        added.append(f"{schema}.{table}.{column}")
    # Runs after the columns are added, because views may read them.
    connection.execute(script)
    return added
