"""Copy landed rows to another warehouse, of a past moment or of a review, because their files may be gone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb

from assay.core.sql import quoted
from assay.project.warehouse import attach, connect


def has_landing(warehouse: Path) -> bool:
    """Tell whether `warehouse` holds landed files, loaded or copied.

    Raises:
        duckdb.Error: the file cannot be opened.
    """
    if not warehouse.exists():
        return False
    with connect(warehouse, read_only=False) as connection:
        found = connection.execute(
            "from duckdb_tables() where database_name = current_database() "
            "and schema_name = 'landing' and table_name = 'files'"
        ).fetchall()
    return bool(found)


def copy_landing(main_warehouse: Path, warehouse: Path, others: Iterable[tuple[str, str]] = ()) -> int:
    """Copy schema landing of the main warehouse into a warehouse without one, whole or not at all.

    The caller must hold the locks of both files.

    Args:
        main_warehouse: the file with the landed rows.
        warehouse: the file to copy to.
        others: schema and name of source tables that landing does not fill; they are copied if they exist.

    Returns:
        The number of copied tables of landing: 0 if nothing has landed in the main warehouse.

    Raises:
        duckdb.Error: one of the files cannot be opened, or the disk is full.
    """
    if not main_warehouse.exists():
        return 0
    with connect(warehouse, read_only=False) as connection:
        attach(connection, main_warehouse, "main_warehouse")
        # landing.warehouse holds the warehouse's own moment, so it is not copied.
        tables = connection.execute(
            "select table_name, sql from duckdb_tables() where database_name = 'main_warehouse' "
            "and schema_name = 'landing' and table_name <> 'warehouse' order by table_name"
        ).fetchall()
        connection.begin()
        connection.execute("create schema if not exists landing")
        for table, definition in tables:
            name = f"landing.{quoted(table)}"
            connection.execute(definition)
            connection.execute(f"insert into {name} from main_warehouse.{name}")
        _copy_others(connection, others)
        connection.commit()
    return len(tables)


def _copy_others(connection: duckdb.DuckDBPyConnection, others: Iterable[tuple[str, str]]) -> None:
    there = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = 'main_warehouse'"
    ).fetchall()
    for schema, table in sorted({*there}.intersection(others)):
        connection.execute(f"create schema if not exists {quoted(schema)}")
        name = f"{quoted(schema)}.{quoted(table)}"
        connection.execute(f"create table {name} as from main_warehouse.{name}")
