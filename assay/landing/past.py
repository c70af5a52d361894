"""What the warehouse of a past moment starts from: the rows that have landed, though files may be gone."""

from __future__ import annotations

from pathlib import Path

import duckdb

from assay.core.sql import text


def has_landing(warehouse: Path) -> bool:
    """Whether files were ever landed in `warehouse`, or copied into it.

    Raises:
        duckdb.Error: the file cannot be opened.
    """
    if not warehouse.exists():
        return False
    with duckdb.connect(str(warehouse)) as connection:
        found = connection.execute(
            "from duckdb_tables() where database_name = current_database() "
            "and schema_name = 'landing' and table_name = 'files'"
        ).fetchall()
    return bool(found)


def copy_landing(main_warehouse: Path, warehouse: Path) -> int:
    """Copy schema landing of the main warehouse into a warehouse that has none, whole or not at all.

    Both files must be locked by the caller.

    Returns:
        The number of tables copied: 0 where nothing has landed in the main warehouse.

    Raises:
        duckdb.Error: one of the files cannot be opened, or the disk is full.
    """
    if not main_warehouse.exists():
        return 0
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(f"attach {text(main_warehouse)} as main_warehouse (read_only)")
        # landing.warehouse says which moment a warehouse is of.
        tables = connection.execute(
            "select table_name, sql from duckdb_tables() where database_name = 'main_warehouse' "
            "and schema_name = 'landing' and table_name <> 'warehouse' order by table_name"
        ).fetchall()
        connection.begin()
        connection.execute("create schema if not exists landing")
        for table, definition in tables:
            connection.execute(definition)
            connection.execute(f'insert into landing."{table}" from main_warehouse.landing."{table}"')
        connection.commit()
    return len(tables)
