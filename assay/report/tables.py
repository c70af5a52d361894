"""Read tables that may not be there, or not as they are now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb

from assay.core.fault import Fault
from assay.core.places import Places
from assay.core.sql import quoted
from assay.project.warehouse import opened

Row = dict[str, Any]


class Absent(Exception):
    """What a section tells of is not there; the message says so to the reader of the page."""


class Tables:
    """The tables and views of one catalog.

    `note` says where they are from, if not from the warehouse; it goes into what is said of those absent.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, catalog: str, note: str = "") -> None:
        self.note = note
        self._connection = connection
        self._catalog = catalog
        self._schemas: dict[str, str] = {}
        self._columns: dict[str, list[str]] = {}
        for schema, name, column in connection.execute(
            "select schema_name, table_name, column_name from duckdb_columns() where database_name = ? "
            "order by schema_name, table_name, column_index",
            [catalog],
        ).fetchall():
            if self._schemas.setdefault(name, schema) == schema:
                self._columns.setdefault(name, []).append(column)

    def named(self, ending: str) -> list[str]:
        """Return the tables whose names end so, as schema.name."""
        return sorted(name for name in self._columns if name.endswith(ending))

    def has(self, table: str) -> bool:
        """Tell whether a table or view is there."""
        return table in self._columns

    def relation(self, table: str, columns: Sequence[str] = ()) -> str:
        """Return a table as SQL.

        Args:
            table: its name, which no two models share: its schema is the project's to say.
            columns: that must be there.

        Raises:
            Absent: the table or a column is not there.
        """
        if table not in self._columns:
            raise Absent(f"There is no {table} here. {self.note}".strip())
        missing = [name for name in columns if name not in self._columns[table]]
        if missing:
            raise Absent(
                f"{table} has no column {', '.join(missing)}: another version of Assay built it. "
                "To rebuild it: assay build --full-refresh"
            )
        return ".".join(map(quoted, (self._catalog, self._schemas[table], table)))

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query.

        Raises:
            Absent: it cannot be answered, such as of a view whose tables are gone.
        """
        try:
            cursor = self._connection.execute(sql, list(parameters))
        except duckdb.Error as error:
            raise Absent(f"It cannot be read: {error}") from error
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def rows(self, table: str, *columns: str) -> list[Row]:
        """Return these columns of all rows, in their order.

        Raises:
            Absent: the table or a column is not there.
        """
        return self.fetch(f"select {quoted(*columns)} from {self.relation(table, columns)} order by all")


@contextmanager
def opened_tables(places: Places) -> Iterator[Tables]:
    """Open what is built; where nothing can be opened, every table is absent, and it is said why."""
    with ExitStack() as stack:
        catalog, note = places.warehouse.stem, ""
        try:
            connection = stack.enter_context(opened(places.warehouse))
            [(file,)] = connection.execute(
                "select path from duckdb_databases() where database_name = ?", [catalog]
            ).fetchall()
            if Path(file).resolve() == places.published.resolve():
                note = "A build has the warehouse, so this is what was last published."
        except (Fault, duckdb.Error) as error:
            connection = stack.enter_context(duckdb.connect())
            catalog, note = "", str(error)
        yield Tables(connection, catalog, note)
