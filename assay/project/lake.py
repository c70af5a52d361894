"""Open a warehouse that is a lake: tables of DuckLake in Parquet files, a catalog in SQLite or Postgres."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb

from assay.core.encryption import COMMAND, VARIABLE, find_encryption_key
from assay.core.extensions import find_extension, load_extension
from assay.core.fault import MISUSED, Fault
from assay.core.places import BUCKETS, LAKE, LAKE_ENDING, SHARED_LAKE
from assay.core.sql import quoted, text
from assay.project.shared_lake import (
    address_of,
    connect_catalog,
    has_catalog,
    is_shared,
    note_state,
    read_data_path,
    shown,
)

#: The environment variable that names the folder of a lake's Parquet files.
DATA = "ASSAY_LAKE_DATA"
# macros/schema/_lake.sql has the same, for tables that Assay's own materializations write.
_CHANGED = r"\b(U?HUGEINT|INTERVAL|TIME WITH TIME ZONE)\b"
_OTHER_VERSION = re.compile(r"catalog version is (\S+), but the extension requires version (\S+)\.")
#: Settings of a connection that is made for lakes. DuckDB hashes an extension of 35 MB each time that it is
#: loaded, an eighth of a second, to tell who signed it. They come as packages, like DuckDB's own code.
UNVERIFIED: dict[str, str | bool | int | float | list[str]] = {"allow_unsigned_extensions": True}
# Few rows could lie in the catalog. Then each table has a table of its own there, also when it is empty, and
# each of its readers loads the whole catalog as it was when that table was made.
_ROWS_IN_CATALOG = 0
# How Parquet files are written. The encodings of version 2 and this compression halve what it costs to read a
# whole table, and the files are a third smaller than DuckLake's own choice makes them.
_FORMAT = {"parquet_version": "2", "parquet_compression": "lz4_raw"}


def is_lake(warehouse: Path) -> bool:
    """Tell whether a warehouse is a lake, by its name."""
    return warehouse.suffix == LAKE_ENDING or is_shared(warehouse)


def named_in_profile(warehouse: Path) -> str:
    """Return what dbt's profile says of a lake: its file, without the address of a server."""
    return f"{SHARED_LAKE if is_shared(warehouse) else LAKE}{warehouse}"


def path_of(warehouse: Path) -> str:
    """Return the path under which DuckDB attaches a lake.

    Raises:
        Fault: its catalog is to be in Postgres, and its address is missing or has a password.
    """
    return f"{SHARED_LAKE}{address_of(warehouse)}" if is_shared(warehouse) else f"{LAKE}{warehouse}"


def data_of(catalog: Path) -> str:
    """Return the folder with the Parquet files of a lake, or its URL; each moment has one of its own.

    Raises:
        Fault: the folder that is named is of another kind, or a catalog in Postgres cannot be asked.
    """
    named = os.environ.get(DATA)
    if not named:
        if is_shared(catalog) and (found := read_data_path(catalog)):
            return found.rstrip("/")
        return str(catalog.with_suffix(".files").absolute())
    names_bucket = named.startswith(BUCKETS) and named.removeprefix(BUCKETS).strip("/")
    if "://" in named and not names_bucket:
        raise Fault(f"{DATA} is {named!r}: name a folder, or a place in a bucket ({BUCKETS}...).", MISUSED)
    within = f"{named.rstrip('/')}/{catalog.stem}"
    return within if names_bucket else str(Path(within).absolute())


def options_of(catalog: Path) -> dict[str, str | bool | int]:
    """Return the options with which a lake is attached.

    A lake whose files lie beside its catalog may be moved together with them. Where they lie elsewhere,
    DuckLake refuses a folder that is not the one the lake was made with.

    Raises:
        Fault: as of `data_of`.
    """
    data = data_of(catalog)
    settings: dict[str, str | bool | int] = {"data_path": data, "data_inlining_row_limit": _ROWS_IN_CATALOG}
    if is_shared(catalog):
        return settings | {"metadata_schema": catalog.stem}
    is_beside = not os.environ.get(DATA) and not _is_elsewhere(catalog, Path(data))
    return settings | ({"override_data_path": True} if is_beside else {})


def _is_elsewhere(catalog: Path, beside: Path) -> bool:
    """Tell whether the Parquet files of a lake in SQLite are where it was made, not beside its catalog."""
    if beside.exists() or not catalog.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{catalog.absolute().as_uri()}?mode=ro", uri=True)) as file:
            found = file.execute("select value from ducklake_metadata where key = 'data_path'").fetchall()
    except sqlite3.DatabaseError:
        return False  # No catalog; DuckLake refuses it with what is wrong.
    return any(place.startswith(BUCKETS) or Path(place).is_dir() for (place,) in found)


def require_lake(warehouse: Path) -> None:
    """Check that what opens a lake is installed, if the warehouse is one.

    Raises:
        Fault: an extra is not installed, or is of another version of DuckDB.
    """
    if is_lake(warehouse):
        for name in _extensions(shared=is_shared(warehouse)):
            find_extension(name, extra="lake", by="A lake")


def _extensions(*, shared: bool) -> tuple[str, str]:
    return "postgres_scanner" if shared else "sqlite_scanner", "ducklake"


def load_lake(connection: duckdb.DuckDBPyConnection, data: str, *, shared: bool) -> None:
    """Let a connection open a lake; one that was made with `UNVERIFIED` loads nothing else unverified.

    Args:
        connection: of DuckDB.
        shared: whether the catalog is in Postgres.
        data: where the Parquet files lie, a folder or a place in a bucket.

    Raises:
        Fault: an extra is not installed, or there are no credentials for the bucket.
    """
    for name in _extensions(shared=shared):
        load_extension(connection, name, extra="lake", by="A lake")
    connection.execute("set allow_unsigned_extensions = false")
    if data.startswith(BUCKETS):
        # boto3 takes long to import.
        from assay.bucket.secret import open_bucket

        open_bucket(connection, data, by=f"A lake in {data}")


def attach_lake(
    connection: duckdb.DuckDBPyConnection,
    catalog: Path,
    name: str,
    *,
    read_only: bool = True,
    files_of: Path | None = None,
    snapshot: int | None = None,
) -> None:
    """Attach a lake under a name; one that may be written is made if there is none.

    Args:
        connection: of DuckDB.
        catalog: of the lake.
        name: without quotes.
        read_only: whether it is only read.
        files_of: the catalog of the lake in whose folder its Parquet files lie; None for a folder of its own.
        snapshot: the number of the snapshot that is read; None for the newest.

    Raises:
        Fault: the extra is not installed, there is no such lake to read, or its Parquet files lie elsewhere.
    """
    settings = options_of(files_of or catalog) | {"read_only": read_only}
    if is_shared(catalog):
        settings["metadata_schema"] = catalog.stem
    data = str(settings["data_path"])
    if snapshot is not None:
        settings["snapshot_version"] = str(snapshot)
    load_lake(connection, data, shared=is_shared(catalog))
    if not read_only:
        if data.startswith(BUCKETS):
            _require_bucket(data)
        make_catalog(catalog)
    options = ", ".join(
        key if value is True else f"{key} {text(str(value))}"
        for key, value in settings.items()
        if value is not False
    )
    try:
        connection.execute(f"attach {text(path_of(catalog))} as {quoted(name)} ({options})")
    except duckdb.Error as error:
        raise _cannot_be_opened(catalog, str(error)) from error
    if read_only:
        return
    if not _has_format(catalog):
        for option, value in _FORMAT.items():
            connection.execute(f"call {quoted(name)}.set_option({text(option)}, {text(value)})").fetchall()
    if is_shared(catalog):
        note_state(catalog)


def prepare_lake(catalog: Path) -> None:
    """Make a lake if there is none, and let it say how its Parquet files are written.

    Raises:
        Fault: as of `attach_lake`.
    """
    make_catalog(catalog)
    if not _has_format(catalog):
        with duckdb.connect(config=UNVERIFIED) as connection:
            attach_lake(connection, catalog, "lake", read_only=False)


def _has_format(catalog: Path) -> bool:
    """Tell whether a lake is made and says how its Parquet files are written, Assay's way or another."""
    with open_catalog(catalog) as database:
        if is_shared(catalog):
            is_made = has_catalog(database)
        else:
            is_made = database.execute(
                "select 1 from sqlite_master where name = 'ducklake_metadata'"
            ).fetchall()
        asked = "select 1 from ducklake_metadata where key = 'parquet_version'"
        return bool(is_made and database.execute(asked).fetchall())


def _require_bucket(data: str) -> None:
    """Check that a bucket is there and can be listed, before half of a build is done."""
    from assay.bucket.bucket import Bucket

    next(Bucket(data).list(), None)


def _cannot_be_opened(catalog: Path, why: str) -> Fault:
    lake = shown(catalog) if is_shared(catalog) else str(catalog)
    if "DATA_PATH" in why:
        return Fault(
            f"The lake {lake} has its Parquet files in another place than {data_of(catalog)}: "
            f"name that place in {DATA}, or none where they lie beside the catalog.",
            MISUSED,
        )
    if found := _OTHER_VERSION.search(why):
        return Fault(
            f"The catalog of the lake {lake} is of version {found[1]}, and DuckDB {duckdb.__version__} has "
            f"version {found[2]}: install the same DuckDB wherever the lake is used. To bring an older "
            "catalog up to date, save it, and attach it once with the option automatic_migration."
        )
    if not catalog.exists() or "creating a new DuckLake is explicitly disabled" in why:
        return Fault(f"There is no lake {lake}. To build it: assay build", MISUSED)
    return Fault(
        f"The lake {lake} cannot be opened: {why.splitlines()[0]}\n"
        "If it is no catalog of DuckLake, move it away, or name another in ASSAY_LAKE_CATALOG."
    )


def find_changed_types(
    connection: duckdb.DuckDBPyConnection, tables: Collection[tuple[str, str]]
) -> list[str]:
    """Return the columns of tables of the current database, a lake, of whose type Parquet changes the values.

    Args:
        connection: of DuckDB.
        tables: schema and name of those that count. What is left of earlier models need not be mended.
    """
    found = connection.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        "inner join duckdb_tables() using (database_name, schema_name, table_name) "
        "where database_name = current_database() and regexp_matches(data_type, $1) order by all",
        [_CHANGED],
    ).fetchall()
    return [
        f"{schema}.{table}: column {column} of {data_type}"
        for schema, table, column, data_type in found
        if (schema, table) in tables
    ]


@contextmanager
def open_catalog(catalog: Path, *, read_only: bool = True) -> Iterator[Any]:
    """Open the database of a lake's catalog itself, where it is made; the block is one transaction.

    Yields:
        A connection of SQLite or Postgres, in which names without a schema are of this lake.

    Raises:
        Fault: a server cannot be reached, or the file is no catalog.
    """
    if is_shared(catalog):
        with connect_catalog(catalog) as connection:
            yield connection
        return
    mode = "?mode=ro" if read_only else ""
    try:
        with closing(sqlite3.connect(f"{catalog.absolute().as_uri()}{mode}", uri=True)) as file, file:
            yield file
    except sqlite3.Error as error:
        raise _cannot_be_opened(catalog, str(error)) from error


def read_newest_snapshot(warehouse: Path) -> int | None:
    """Return the number of a lake's newest snapshot; None if the warehouse is no lake, or not made.

    Raises:
        Fault: a catalog in Postgres cannot be asked.
    """
    if not is_lake(warehouse) or not (is_shared(warehouse) or warehouse.is_file()):
        return None
    with open_catalog(warehouse) as database:
        if is_shared(warehouse) and not has_catalog(database):
            return None
        [(number,)] = database.execute("select max(snapshot_id) from ducklake_snapshot").fetchall()
    return int(number)


def make_catalog(catalog: Path) -> None:
    """Make the file of a lake's catalog, in the mode in which readers and a writer do not wait for another.

    DuckLake itself makes a catalog in Postgres.

    Raises:
        Fault: the file is there and is no lake, it cannot be written, or there is a key for encryption.
    """
    if find_encryption_key():
        raise Fault(
            f"{catalog} is a lake, which is not encrypted, and {VARIABLE} or {COMMAND} is set: "
            "unset it, or build into a file.",
            MISUSED,
        )
    if is_shared(catalog):
        return
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
