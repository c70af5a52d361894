"""Write the warehouse anew from what cannot be built again, without the rows that go.

DuckDB keeps what was deleted in free pages of its file. So the rows that stay are copied to a new file, and
all that dbt makes is left to the next build.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import duckdb

from assay.build.publish import find_comments, remove_leftovers, temporary
from assay.core.disk import put_in_place, sync
from assay.core.encryption import is_encrypted, needs_key
from assay.core.sql import quoted
from assay.core.structure import bring_up_to_date
from assay.erasure.find import FileLines, columns_of
from assay.erasure.lines import Emptied
from assay.landing.load import SCHEMA
from assay.project.graph import Manifest
from assay.project.lake import is_lake
from assay.project.lake_copies import replaced_lake
from assay.project.warehouse import attach, connect


class Removed(Protocol):
    """Says which rows go from tables that no build makes anew."""

    def condition_in(self, schema: str, table: str, columns: Collection[str]) -> str | None:
        """Return SQL for the rows of a table that go; None where none can be."""


def rewrite_warehouse(
    warehouse: Path,
    manifest: Manifest,
    removed: Removed,
    lines: Sequence[FileLines],
    emptied: Mapping[int, Emptied],
) -> None:
    """Replace the warehouse by one that holds what landed, and snapshots, without the rows that go.

    The caller must hold the warehouse's lock.

    Args:
        warehouse: the file.
        manifest: of the project, which tells what a build makes.
        removed: says which rows of other tables go.
        lines: the landed rows that go.
        emptied: the landed files that were rewritten, by the id of the file.

    Raises:
        duckdb.Error: the warehouse cannot be opened, or the disk is full; it is as it was.
        OSError: the new file cannot be put in place.
    """
    if not is_lake(warehouse):
        # What is in the write-ahead log goes into the file, which nobody else may have open.
        with connect(warehouse, read_only=False) as connection:
            connection.execute("checkpoint")
    with replaced_lake(warehouse) if is_lake(warehouse) else replaced_database(warehouse) as connection:
        rebuilt = _built_by_dbt(manifest)
        _list_gone(connection, lines)
        _copy_tables(connection, removed, {each for each in find_tables(connection) if each not in rebuilt})
        connection.execute("use new")
        bring_up_to_date(connection, SCHEMA)
        for each in lines:
            _count_erased(connection, each, emptied.get(each.file_id))
    warehouse.with_name(f"{warehouse.name}.wal").unlink(missing_ok=True)


def rewrite_tables(file: Path, removed: Removed) -> None:
    """Replace a file of published tables by one without the rows that go.

    Raises:
        duckdb.Error: the file cannot be read, or the disk is full; it is as it was.
        OSError: the new file cannot be put in place.
    """
    with replaced_database(file) as connection:
        _list_gone(connection, [])
        _copy_tables(connection, removed, find_tables(connection))


def find_tables(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, str]]:
    """Return schema and name of the tables of the database `old`."""
    return set(
        connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'old'"
        ).fetchall()
    )


@contextmanager
def replaced_database(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Attach a file as `old` and an empty one as `new`, which takes its place when the block has ended."""
    new = temporary(file)
    # Of who is forgotten later, what a kill has left would keep the rows.
    remove_leftovers([file])
    try:
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            attach(connection, file, "old")
            [(version,)] = connection.execute(
                "select tags['storage_version'] from duckdb_databases() where database_name = 'old'"
            ).fetchall()
            # A file that becomes encrypted has a newer version than a plain one may have had.
            keeps_version = is_encrypted(file) == needs_key(new)
            options = f"storage_version '{version.rstrip('+')}'" if keeps_version else ""
            attach(connection, new, "new", read_only=False, options=options)
            yield connection
            connection.execute("checkpoint new")
        sync(new)
        put_in_place(new, file)
        sync(file.parent)
    finally:
        remove_leftovers([file])


def _built_by_dbt(manifest: Manifest) -> set[tuple[str, str]]:
    """Return schema and name of what each full build makes; snapshots grow from build to build."""
    return {
        (str(node["schema"]), str(node.get("alias") or node["name"]))
        for node in manifest.nodes.values()
        if node["resource_type"] != "snapshot"
    }


def _copy_tables(
    connection: duckdb.DuckDBPyConnection, removed: Removed, tables: Collection[tuple[str, str]]
) -> None:
    """Copy tables from `old` to `new`, without the rows that go."""
    comments = find_comments(connection, "old", "new")
    definitions = connection.execute(
        "select schema_name, table_name, sql from duckdb_tables() where database_name = 'old' order by all"
    ).fetchall()
    connection.execute("use old")
    for schema, table, definition in definitions:
        if (schema, table) not in tables:
            continue
        name = f"{quoted(schema)}.{quoted(table)}"
        columns = columns_of(connection, schema, table)
        condition = removed.condition_in(schema, table, columns)
        if schema == "landing":
            # A row that is copied and then deleted would stay in the file's free pages.
            is_of_file = {"file_id", "row_number"} <= columns
            condition = "(file_id, row_number) in (from memory.gone)" if is_of_file else None
        connection.execute(f"create schema if not exists new.{quoted(schema)}")
        connection.execute(f"use new; {_packed(definition) if schema == 'landing' else definition}; use old")
        rest = f" where not ({condition})" if condition else ""
        connection.execute(f"insert into new.{name} from old.{name}{rest}")
        for comment in comments.get((schema, table), {}).values():
            connection.execute(comment)


def _packed(definition: str) -> str:
    """Return the SQL of a landing table that keeps landed lines packed, as the loader makes it."""
    return definition.replace(", line VARCHAR,", ", line VARCHAR using compression zstd,", 1)


def _list_gone(connection: duckdb.DuckDBPyConnection, lines: Sequence[FileLines]) -> None:
    """List the landed rows that go in a table of the connection's own memory."""
    connection.execute("create table memory.gone (file_id bigint, row_number bigint)")
    for each in lines:
        connection.execute(
            "insert into memory.gone select $1, unnest($2::bigint[])",
            [each.file_id, [first for first, _ in each.spans]],
        )


def _count_erased(connection: duckdb.DuckDBPyConnection, lines: FileLines, emptied: Emptied | None) -> None:
    """Count the landed rows of a file that are gone as erased, so that its lines still add up.

    Args:
        connection: a connection of which the new warehouse is the current database.
        lines: the rows that go.
        emptied: the file without them; None where it is no longer in the landing zone.
    """
    landed = f"landing.{quoted(f'{lines.source}__{lines.table}')}"
    [(malformed,)] = connection.execute(
        f"select count(malformed_reason) from old.{landed} semi join memory.gone using (file_id, row_number) "
        "where file_id = $1",
        [lines.file_id],
    ).fetchall()
    [(row_lines,)] = connection.execute(
        "select row_line_count from landing.files where file_id = $1", [lines.file_id]
    ).fetchall()
    taken = sum(after - first for first, after in lines.spans)
    left = emptied.tally.row_lines if emptied else max(row_lines - taken, 0)
    connection.execute(
        """
        update landing.files
        set
            row_line_count = $2,
            erased_line_count = erased_line_count + row_line_count - $2,
            row_count = row_count - $3,
            erased_row_count = erased_row_count + $3,
            malformed_row_count = malformed_row_count - $4,
            content_sha256 = coalesce($5, content_sha256),
            size_bytes = coalesce($6, size_bytes)
        where file_id = $1
        """,
        [
            *(lines.file_id, left, len(lines.spans), malformed),
            *((emptied.sha256, emptied.size) if emptied else (None, None)),
        ],
    )
    if emptied and not emptied.keeps_numbers:
        connection.execute(
            f"""
            update {landed} as landed
            set row_number = moved.row_number - moved.place
            from (
                select rest.row_number, numbered.place
                from (select row_number from {landed} where file_id = $1) as rest
                asof inner join (
                    select row_number, row_number() over (order by row_number) as place
                    from memory.gone
                    where file_id = $1
                ) as numbered on rest.row_number > numbered.row_number
            ) as moved
            where landed.file_id = $1 and landed.row_number = moved.row_number
            """,
            [lines.file_id],
        )
