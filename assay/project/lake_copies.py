"""Copy, replace and remove lakes: whole ones, with catalog and Parquet files."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from assay.core.disk import put_in_place, sync
from assay.core.extensions import load_extension
from assay.core.fault import MISUSED, Fault
from assay.core.places import BUCKETS, LAKE_ENDING
from assay.core.sql import quoted, text
from assay.project.lake import DATA, UNVERIFIED, attach_lake, data_of, read_newest_snapshot
from assay.project.shared_lake import (
    address_of,
    drop_catalog,
    is_shared,
    name_replacement,
    replace_shared_catalog,
    shown,
)


def name_copy(warehouse: Path) -> str:
    """Return the name of a copy of a warehouse; that of a lake in Postgres has its catalog in a file."""
    return f"{warehouse.stem}{LAKE_ENDING}" if is_shared(warehouse) else warehouse.name


def copy_catalog(catalog: Path, copy: Path) -> None:
    """Copy a lake's catalog into one of SQLite: it stays the lake of this moment, and reads the same files.

    Args:
        catalog: of the lake, which nobody writes meanwhile.
        copy: the file to make, of the name that `name_copy` returns, in another folder.

    Raises:
        Fault: a catalog in Postgres cannot be reached, or its files lie in a bucket that no setting names.
    """
    if is_shared(catalog):
        _copy_shared(catalog, copy)
        return
    # What was written last may stand in the log beside the file alone.
    with closing(sqlite3.connect(catalog)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    if not os.environ.get(DATA):
        Path(data_of(copy)).symlink_to(data_of(catalog))


def _copy_shared(catalog: Path, copy: Path) -> None:
    """Copy a catalog of Postgres into one of SQLite, as it is in one moment."""
    data = data_of(catalog)
    if not os.environ.get(DATA):
        if data.startswith(BUCKETS):
            place = data.removesuffix(f"/{catalog.stem}")
            raise Fault(
                f"The files of the lake {shown(catalog)} lie in {data}: set {DATA} to {place}.", MISUSED
            )
        Path(data_of(copy)).symlink_to(data)
    with duckdb.connect(config=UNVERIFIED) as connection:
        # Makes the tables of a catalog as SQLite has them.
        attach_lake(connection, copy, "lake", read_only=False)
        connection.execute("detach lake")
        load_extension(connection, "postgres_scanner", extra="lake", by="A lake in Postgres")
        schema = text(catalog.stem)
        connection.execute(
            f"attach {text(address_of(catalog))} as shared (type postgres, read_only, schema {schema})"
        )
        connection.execute(f"attach {text(copy)} as copy (type sqlite)")
        tables = (
            "select table_name from duckdb_tables() where database_name = {} "
            "and starts_with(table_name, 'ducklake_')"
        )
        made = {name for (name,) in connection.execute(tables.format("'copy'")).fetchall()}
        connection.begin()
        for (name,) in connection.execute(tables.format("'shared'")).fetchall():
            source = f"shared.{quoted(catalog.stem)}.{quoted(name)}"
            target = f"copy.{quoted(name)}"
            if name in made:
                connection.execute(f"delete from {target}")
                connection.execute(f"insert into {target} by name from {source}")
            else:
                connection.execute(f"create table {target} as from {source}")
        connection.commit()


@contextmanager
def replaced_lake(catalog: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Attach a lake as `old` and an empty one as `new`, which takes its place when the block has ended.

    A snapshot, statistics in the catalog and a Parquet file with deleted rows would keep a person, so all of
    the old lake goes. The new one has files of other names in the same folder.

    Raises:
        Fault: a catalog in Postgres cannot be reached, or somebody writes to it without a lease.
    """
    new = name_replacement(catalog)
    _drop_new(new)
    snapshot = read_newest_snapshot(catalog)
    try:
        # The files of the old lake are not those of a lake that is to be made.
        with duckdb.connect(config=UNVERIFIED) as connection:
            connection.execute("set TimeZone = 'UTC'")
            attach_lake(connection, catalog, "old")
            attach_lake(connection, new, "new", read_only=False, files_of=catalog)
            yield connection
        if is_shared(catalog):
            replace_shared_catalog(new, catalog, snapshot or 0)
            _remove_orphans(catalog)
        else:
            replace_catalog(new, catalog)
    finally:
        _drop_new(new)


def _drop_new(new: Path) -> None:
    if is_shared(new):
        drop_catalog(new)
    for ending in ("", "-wal", "-shm"):
        new.with_name(new.name + ending).unlink(missing_ok=True)


def remove_lake(catalog: Path) -> None:
    """Remove a lake with all of its files; what is not there is let be.

    Raises:
        Fault: a catalog in Postgres, or a bucket, cannot be reached.
        OSError: a file cannot be removed.
    """
    data = data_of(catalog)
    if data.startswith(BUCKETS):
        # boto3 takes long to import.
        from assay.bucket.bucket import Bucket

        Bucket(data).remove_versions("")
    else:
        shutil.rmtree(data, ignore_errors=True)
    if is_shared(catalog):
        drop_catalog(catalog)
    catalog.unlink(missing_ok=True)


def replace_catalog(new: Path, catalog: Path) -> None:
    """Put a catalog in the place of a lake's, and remove the Parquet files that it does not name.

    The caller sees to it that nobody writes to either.

    Args:
        new: a catalog of SQLite in the same folder, whose Parquet files lie in the lake's folder.
        catalog: of the lake.

    Raises:
        OSError: it cannot be put in place.
        duckdb.Error: a file cannot be removed; the new catalog is in place.
    """
    for each in (new, catalog):
        with closing(sqlite3.connect(each)) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
        # SQLite would play the log of the catalog that was there into the one that takes its place.
        for ending in ("-wal", "-shm"):
            each.with_name(each.name + ending).unlink(missing_ok=True)
    sync(new)
    put_in_place(new, catalog)
    sync(catalog.parent)
    _remove_orphans(catalog)


def _remove_orphans(catalog: Path) -> None:
    """Remove the Parquet files in a lake's folder that its catalog does not name, with all versions."""
    with duckdb.connect(config=UNVERIFIED) as opened:
        attach_lake(opened, catalog, "lake", read_only=False)
        opened.execute("call ducklake_delete_orphaned_files('lake', cleanup_all => true)")
    if (data := data_of(catalog)).startswith(BUCKETS):
        # boto3 takes long to import.
        from assay.bucket.bucket import Bucket

        Bucket(data).remove_versions("", but_newest=True)
