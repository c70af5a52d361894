"""Open one table of a published file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from assay.core.fault import MISUSED, Fault, known_fault, unknown
from assay.project.warehouse import connect_published, relation_named

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType


@dataclass(frozen=True)
class OpenedTable:
    """A table of a published file that is open: its name as SQL, and its columns with their types."""

    connection: duckdb.DuckDBPyConnection
    name: str
    relation: str
    types: dict[str, DuckDBPyType]


def open_table(file: Path, name: str) -> OpenedTable:
    """Open a published table. It stays what it is while builds publish others.

    Args:
        file: the published file.
        name: of the table.

    Raises:
        Fault: there is no such file or table.
    """
    if not file.is_file():
        raise Fault(f"Nothing is published yet in {file.parent}. To build: assay build")
    try:
        connection = connect_published(file)
    except duckdb.Error as error:
        raise known_fault(error) or error from error
    known = _find_tables(connection)
    relation = relation_named(connection, name) if name in known else None
    if relation is None:
        connection.close()
        raise Fault(unknown(f"No table {name} is published", name, known), MISUSED)
    empty = connection.sql(f"from {relation} limit 0")
    return OpenedTable(connection, name, relation, dict(zip(empty.columns, empty.types, strict=True)))


def _find_tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the names of the published tables, without those that tell of the publication."""
    return [
        name
        for (name,) in connection.execute(
            "select table_name from duckdb_tables() "
            "where database_name = current_database() and schema_name <> 'published' order by all"
        ).fetchall()
    ]
