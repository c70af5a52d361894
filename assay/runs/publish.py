"""Publish gold: a file of its own that readers open, replaced as a whole and never seen half written."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from assay.disk import sync
from assay.runs.fault import Fault, known_fault
from assay.sql import quoted, text

GOLD = "gold"
# What is published as CSV too, and under what name.
_CSV_FILES = {"srv_customer_features": "customer_features"}


@dataclass(frozen=True)
class Publication:
    """What was published: the file, and how many tables and rows are in it."""

    path: Path
    tables: int
    rows: int


def publish(warehouse: Path, target: Path, relations: set[str]) -> Publication | None:
    """Write tables and views of schema gold to `target`, as tables, and put it in place in one step.

    Some are written as CSV files beside it too, each put in place likewise. Who has an old file open
    keeps it.

    Args:
        warehouse: the file to read.
        target: the file to replace.
        relations: names of what has passed its contracts; what else lies in gold is left from other times.

    Returns:
        None where there is nothing to publish, and `target` is left as it is.

    Raises:
        Fault: a table or view cannot be read, or the disk is full.
        duckdb.Error, OSError: anything else. `target` is as it was then, and nothing else stays behind.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    csv_files = {
        relation: target.with_name(f"{target.stem.replace(GOLD, name)}.csv")
        for relation, name in _CSV_FILES.items()
        if relation in relations
    }
    targets = [*csv_files.values(), target]
    _remove_leftovers(targets)
    try:
        tables, rows = _write(warehouse, _temporary(target), relations)
        if not tables:
            return None
        _write_csv(_temporary(target), {name: _temporary(file) for name, file in csv_files.items()})
        for file in targets:
            sync(_temporary(file))
        for file in targets:
            _temporary(file).replace(file)
        sync(target.parent)
    finally:
        _remove_leftovers(targets)
    return Publication(target, tables, rows)


def _write(warehouse: Path, file: Path, wanted: set[str]) -> tuple[int, int]:
    rows = 0
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        # A view may cast to a local time: UTC here as in dbt.
        connection.execute("set TimeZone = 'UTC'")
        relations = connection.execute(
            """
            select table_name as relation, comment from duckdb_tables()
            where database_name = current_database() and schema_name = $1 and list_contains($2, table_name)
            union all
            select view_name, comment from duckdb_views()
            where database_name = current_database() and schema_name = $1 and list_contains($2, view_name)
            order by relation
            """,
            [GOLD, sorted(wanted)],
        ).fetchall()
        connection.execute(f"attach {text(file)} as published (read_write)")
        connection.execute(f"create schema published.{GOLD}")
        for relation, comment in relations:
            copy = f"published.{GOLD}.{quoted(relation)}"
            source = f"{GOLD}.{quoted(relation)}"
            try:
                rows += connection.execute(f"create table {copy} as from {source}").fetchall()[0][0]
            except duckdb.Error as error:
                raise known_fault(error) or Fault(f"{source} cannot be published: {error}") from error
            if comment:
                connection.execute(f"comment on table {copy} is {text(comment)}")
            for column, column_comment in connection.execute(
                """
                select column_name, comment from duckdb_columns()
                where
                    database_name = current_database() and schema_name = $1 and table_name = $2
                    and comment is not null
                order by column_index
                """,
                [GOLD, relation],
            ).fetchall():
                connection.execute(f"comment on column {copy}.{quoted(column)} is {text(column_comment)}")
        # Closing would do it too, but keep silent if it failed, and the rest of the file would be in a log.
        connection.execute("checkpoint published")
    return len(relations), rows


def _write_csv(published: Path, files: dict[str, Path]) -> None:
    """Write published tables as CSV: with a header, in UTF-8, ordered by their columns."""
    with duckdb.connect() as connection:
        connection.execute(f"attach {text(published)} as published (read_only)")
        for relation, file in files.items():
            rows = f"from published.{GOLD}.{quoted(relation)} order by all"
            connection.execute(f"copy ({rows}) to {text(file)} (format csv, header)")


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}")


def _remove_leftovers(targets: Iterable[Path]) -> None:
    """Remove what this or a killed run left half written; the lock of the warehouse keeps others out."""
    for target in targets:
        for leftover in target.parent.glob(f".{glob.escape(target.name)}.*"):
            leftover.unlink()
