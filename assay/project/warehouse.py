"""Open the warehouse: all of Assay does it here, so that one place knows what a warehouse is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from assay.core.encryption import FORM_OF_NEW_FILES, attach_file, needs_key
from assay.core.fault import LOCKED, Fault, known_fault
from assay.core.optimizer import leave_out_wrong_rules
from assay.core.places import Places, landing_folder
from assay.core.sql import quoted, text
from assay.project.lake import UNVERIFIED, attach_lake, is_lake


def connect(
    warehouse: Path, *, read_only: bool = True, snapshot: int | None = None
) -> duckdb.DuckDBPyConnection:
    """Open a warehouse; it is the current database, under the name that dbt's SQL uses.

    Args:
        warehouse: the file, or the catalog of a lake.
        read_only: whether it is only read.
        snapshot: the number of the snapshot of a lake as which it is read; None for the newest.

    Raises:
        Fault: it is encrypted and the key is missing, or another one.
        duckdb.Error: there is none to read, it is no warehouse, or another program has it open.
    """
    if not (is_lake(warehouse) or needs_key(warehouse)):
        if FORM_OF_NEW_FILES and not read_only and not warehouse.exists():
            with duckdb.connect() as making:
                attach_file(making, warehouse, "made", read_only=False)
        connection = duckdb.connect(str(warehouse), read_only=read_only)
        leave_out_wrong_rules(connection)
        return connection
    # A lake, and a file with a key, can be attached only.
    settings = UNVERIFIED if is_lake(warehouse) else {}
    connection = duckdb.connect(config=settings | {"temp_directory": f"{warehouse}.tmp"})
    try:
        attach(connection, warehouse, warehouse.stem, read_only=read_only, snapshot=snapshot)
        connection.execute(f"use {quoted(warehouse.stem)}")
    except (duckdb.Error, Fault):
        connection.close()
        raise
    return connection


def connect_published(file: Path) -> duckdb.DuckDBPyConnection:
    """Open a published file to read; it is the current database.

    A build replaces the file, and by its name DuckDB would return the one that this process has open already.

    Raises:
        duckdb.Error: there is none, or it cannot be read.
    """
    connection = duckdb.connect()
    try:
        # No schema has this name: what both have would be ambiguous.
        attach(connection, file, "found")
        connection.execute("use found")
    except (duckdb.Error, Fault):
        connection.close()
        raise
    return connection


@contextmanager
def opened(warehouse: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Attach a warehouse to read under the name that dbt's SQL uses; the published file while a build has it.

    Raises:
        Fault: there is no such file, or another program writes to it and nothing is published.
    """
    if not warehouse.is_file():
        raise Fault(f"Nothing is built yet in {warehouse.parent}. To build: assay build")
    with duckdb.connect(config=UNVERIFIED if is_lake(warehouse) else {}) as connection:
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
    """Find a table or view by name in any schema and return it as SQL; None if there is none.

    Args:
        connection: a connection with the database attached.
        name: the name of a model, which is unique within a project.
        database: the name of the attached database; None for the current one.
    """
    # duckdb_tables() reads the statistics of every table of a lake.
    found = connection.execute(
        "select database_name, schema_name from "
        "(select database_name, schema_name, table_name as name from duckdb_columns() "
        "union all select database_name, schema_name, view_name from duckdb_views()) as relations "
        "where database_name = coalesce($1, current_database()) and name = $2 order by all",
        [database, name],
    ).fetchall()
    return ".".join(map(quoted, (*found[0], name))) if found else None


def bytes_of(connection: duckdb.DuckDBPyConnection, database: str, schema: str, name: str) -> int | None:
    """Return what a table takes in the file of its database; None if there is no such table.

    Of a lake, it is what the newest snapshot takes in files of Parquet.

    Args:
        connection: a connection with the database attached.
        database: its name.
        schema: of the table.
        name: of the table.
    """
    # duckdb_tables() reads the statistics of every table of a lake.
    is_table = connection.execute(
        "select 1 from duckdb_columns() where (database_name, schema_name, table_name) = ($1, $2, $3) "
        "and $3 not in (select view_name from duckdb_views() where database_name = $1 and schema_name = $2) "
        "limit 1",
        [database, schema, name],
    ).fetchall()
    if not is_table:
        return None
    if connection.execute(
        "from duckdb_databases() where (database_name, type) = ($1, 'ducklake')", [database]
    ).fetchall():
        [(of_files,)] = connection.execute(
            "select coalesce(sum(data_file_size_bytes + coalesce(delete_file_size_bytes, 0)), 0) "
            "from ducklake_list_files($1, $2, schema => $3)",
            [database, name, schema],
        ).fetchall()
        return int(of_files)
    [(blocks, block_size)] = connection.execute(
        f"""
        select
            (select count(distinct block) from (
                select unnest(list_append(coalesce(additional_block_ids, []), block_id)) as block
                from pragma_storage_info({text(".".join(map(quoted, (database, schema, name))))})
            ) where block >= 0),
            (select max(block_size) from pragma_database_size() where database_name = $1)
        """,
        [database],
    ).fetchall()
    return int(blocks * block_size)


def attach(
    connection: duckdb.DuckDBPyConnection,
    file: Path,
    name: str,
    *,
    read_only: bool = True,
    options: str = "",
    snapshot: int | None = None,
) -> None:
    """Attach a file under a name, such as the one that dbt's compiled SQL uses.

    Args:
        connection: of DuckDB.
        file: the file.
        name: without quotes.
        read_only: whether it is only read.
        options: more of DuckDB's options, as SQL.
        snapshot: as of `connect`.

    Raises:
        Fault: it is encrypted and the key is missing, or another one.
        duckdb.Error: there is none to read, it is no file of DuckDB, or another program has it open.
    """
    leave_out_wrong_rules(connection)
    if is_lake(file):
        attach_lake(connection, file, name, read_only=read_only, snapshot=snapshot)
        return
    attach_file(connection, file, name, read_only=read_only, options=options)
