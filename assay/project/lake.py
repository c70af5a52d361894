"""Open a warehouse that is a lake: tables of DuckLake in Parquet files, and a catalog in a file of SQLite."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb

from assay.core.encryption import COMMAND, VARIABLE, find_encryption_key
from assay.core.extensions import load_extension
from assay.core.fault import MISUSED, Fault
from assay.core.places import BUCKETS, LAKE, LAKE_ENDING
from assay.core.sql import quoted, text

#: The environment variable that names the folder of a lake's Parquet files.
DATA = "ASSAY_LAKE_DATA"
# macros/schema/_lake.sql has the same, for tables that Assay's own materializations write.
_CHANGED = r"\b(U?HUGEINT|INTERVAL|TIME WITH TIME ZONE)\b"
_EXTENSIONS = ("sqlite_scanner", "ducklake")


def is_lake(warehouse: Path) -> bool:
    """Tell whether a warehouse is a lake, by its name."""
    return warehouse.suffix == LAKE_ENDING


def data_of(catalog: Path) -> str:
    """Return the folder with the Parquet files of a lake, or its URL; each moment has one of its own.

    Raises:
        Fault: the folder that is named is of another kind.
    """
    named = os.environ.get(DATA)
    if not named:
        return str(catalog.with_suffix(".files").absolute())
    if "://" in named and not named.startswith(BUCKETS):
        raise Fault(f"{DATA} is {named!r}: name a folder, or a place in a bucket ({BUCKETS}...).", MISUSED)
    within = f"{named.rstrip('/')}/{catalog.stem}"
    return within if named.startswith(BUCKETS) else str(Path(within).absolute())


def options_of(catalog: Path) -> dict[str, str | bool]:
    """Return the options with which a lake is attached.

    A lake whose files lie beside its catalog may be moved together with them. Where they lie elsewhere,
    DuckLake refuses a folder that is not the one the lake was made with.
    """
    beside = {} if os.environ.get(DATA) else {"override_data_path": True}
    return {"data_path": data_of(catalog), **beside}


def load_lake(connection: duckdb.DuckDBPyConnection) -> None:
    """Let a connection open lakes.

    Raises:
        Fault: the extra is not installed.
    """
    for name in _EXTENSIONS:
        load_extension(connection, name, extra="lake", by="A lake")


def attach_lake(
    connection: duckdb.DuckDBPyConnection, catalog: Path, name: str, *, read_only: bool = True
) -> None:
    """Attach a lake under a name; one that may be written is made if there is none.

    Raises:
        Fault: the extra is not installed, there is no such lake to read, or its Parquet files lie elsewhere.
    """
    load_lake(connection)
    if not read_only:
        make_catalog(catalog)
    settings = options_of(catalog) | {"read_only": read_only}
    options = ", ".join(
        key if value is True else f"{key} {text(value)}" for key, value in settings.items() if value
    )
    try:
        connection.execute(f"attach {text(f'{LAKE}{catalog}')} as {quoted(name)} ({options})")
    except duckdb.Error as error:
        raise _cannot_be_opened(catalog, str(error)) from error


def _cannot_be_opened(catalog: Path, why: str) -> Fault:
    if "DATA_PATH" in why:
        return Fault(
            f"The lake {catalog} has its Parquet files in another place than {data_of(catalog)}: "
            f"name that place in {DATA}, or none where they lie beside the catalog.",
            MISUSED,
        )
    if not catalog.exists():
        return Fault(f"There is no lake {catalog}. To build it: assay build", MISUSED)
    return Fault(
        f"The lake {catalog} cannot be opened: {why.splitlines()[0]}\n"
        "If it is no catalog of DuckLake, move it away, or name another in ASSAY_LAKE_CATALOG."
    )


def refuse_changed_types(connection: duckdb.DuckDBPyConnection) -> None:
    """Check that no table of the current database, a lake, has a type of which Parquet changes the values.

    Raises:
        Fault: a column has such a type.
    """
    found = connection.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        "inner join duckdb_tables() using (database_name, schema_name, table_name) "
        "where database_name = current_database() and regexp_matches(data_type, $1) order by all limit 1",
        [_CHANGED],
    ).fetchone()
    if found:
        schema, table, column, data_type = found
        raise Fault(
            f"{schema}.{table} has a column {column} of {data_type}, whose values a lake changes: cast it to "
            "another type, such as bigint or decimal(38, 0). What was published stays as it was."
        )


def make_catalog(catalog: Path) -> None:
    """Make the file of a lake's catalog, in the mode in which readers and a writer do not wait for another.

    Raises:
        Fault: the file is there and is no lake, it cannot be written, or there is a key for encryption.
    """
    if find_encryption_key():
        raise Fault(
            f"{catalog} is a lake, which is not encrypted, and {VARIABLE} or {COMMAND} is set: "
            "unset it, or build into a file.",
            MISUSED,
        )
    try:
        catalog.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(catalog)) as connection:
            tables = {name for (name,) in connection.execute("select name from sqlite_master")}
            if tables and "ducklake_metadata" not in tables:
                raise Fault(
                    f"{catalog} is a database of SQLite, but no lake: name another in ASSAY_LAKE_CATALOG.",
                    MISUSED,
                )
            connection.execute("pragma journal_mode = wal")
    except (sqlite3.Error, OSError) as error:
        raise Fault(f"{catalog} cannot be the catalog of a lake ({error}): name another place.") from error
