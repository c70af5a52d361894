"""What the warehouse of a past moment starts from: the rows that have landed, whether or not their files remain."""

from __future__ import annotations

from pathlib import Path

import duckdb

_TABLES = "select table_name, sql from duckdb_tables() where database_name = '{}' and schema_name = 'landing'"


def copy_landing(main_warehouse: Path, warehouse: Path) -> int:
    """Copy schema landing of the main warehouse into a warehouse that has none yet, whole or not at all.

    Both files must be locked by the caller.

    Returns:
        The number of tables copied: 0 where the one has nothing landed, or the other has already.

    Raises:
        duckdb.Error: one of the files cannot be opened, or the disk is full.
    """
    if not main_warehouse.exists():
        return 0
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(f"attach '{_escaped(str(main_warehouse))}' as main_warehouse (read_only)")
        here, there = (
            dict(connection.execute(_TABLES.format(_escaped(database))).fetchall())
            for database in (_current(connection), "main_warehouse")
        )
        if "files" in here:
            return 0
        # It says which moment a warehouse is of.
        there.pop("warehouse", None)
        connection.begin()
        connection.execute("create schema if not exists landing")
        for table, definition in sorted(there.items()):
            connection.execute(definition)
            connection.execute(f'insert into landing."{table}" from main_warehouse.landing."{table}"')
        connection.commit()
    return len(there)


def _current(connection: duckdb.DuckDBPyConnection) -> str:
    return str(connection.execute("select current_database()").fetchall()[0][0])


def _escaped(text: str) -> str:
    return text.replace("'", "''")
