"""A published table, as programs take it: whole, in batches, or as a lazy frame of Polars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import duckdb
import pyarrow as pa

from assay.api.frame import Frame, import_library
from assay.core.fault import MISUSED, Fault, known_fault, unknown
from assay.core.nested_types import find_kinds, replace_kinds
from assay.core.sql import quoted
from assay.project.published import open_table

if TYPE_CHECKING:
    import polars

_ROWS_AT_A_TIME = 61_440
# Arrow has no such types, or DuckDB writes other values into those that it takes for them.
_NOT_IN_ARROW = {"bignum", "bit", "time with time zone", "variant"}
_NOT_IN_POLARS = {"interval", "union"}
# Whole numbers of Arrow have up to 64 bits. A decimal has 38 digits, and DuckDB also writes 39 into it, or a
# negative number for them; its own cast refuses these.
_IN_ARROW = {"hugeint": "DECIMAL(38, 0)", "uhugeint": "DECIMAL(38, 0)"}


class PublishedTable(Frame):
    """A table of one publication. It stays what it is while builds publish others.

    Nothing is kept of what is read: each call reads the file. The file stays open, and keeps its room on the
    disk, as long as this object or a lazy frame of it exists.

    Args:
        file: the published file.
        name: of the table.
        columns: which of its columns, in this order; all without them.

    Raises:
        Fault: there is no such file, table or column.
    """

    def __init__(self, file: Path, name: str, columns: Sequence[str] | None = None) -> None:
        super().__init__(self.to_arrow)
        self.name = name
        self._opened = open_table(file, name)
        self._types = self._opened.types
        self._columns = list(self._types) if columns is None else _check_columns(name, columns, self._types)

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table; times are UTC, without zone.

        HUGEINT becomes decimal128(38, 0), UUID and JSON become strings.

        Raises:
            Fault: a column has a type that Arrow lacks, or a whole number of more than 38 digits.
        """
        return pa.Table.from_batches(self._read_batches(self._columns), self._schema)

    def to_batches(self, rows: int = _ROWS_AT_A_TIME) -> pa.RecordBatchReader:
        """Return a reader of the rows in batches of Arrow, which holds one batch in memory at a time.

        Args:
            rows: how many a batch has at most.

        Raises:
            Fault: as `to_arrow` does; for numbers of too many digits, once the reader comes to them.
        """
        if rows < 1:
            raise Fault(f"A batch has 1 row or more, and not {rows}.", MISUSED)
        return pa.RecordBatchReader.from_batches(
            self._schema, self._read_batches(self._columns, rows_at_a_time=rows)
        )

    @overload
    def to_polars(self, *, lazy: Literal[False] = False) -> polars.DataFrame: ...

    @overload
    def to_polars(self, *, lazy: Literal[True]) -> polars.LazyFrame: ...

    def to_polars(self, *, lazy: bool = False) -> polars.DataFrame | polars.LazyFrame:
        """Return the rows as a frame of Polars.

        A lazy frame reads when it is collected: the columns that are needed, batch by batch, of which each
        keeps the rows that pass the filters. So a table may be larger than memory.

        Args:
            lazy: whether nothing is read yet.

        Raises:
            Fault: Polars is not installed, or a column has a type or values that Polars lacks.
        """
        library = import_library("polars", by="to_polars")
        self._refuse(_NOT_IN_POLARS, by="Polars")
        if not lazy:
            return _convert(self.to_arrow())
        found: polars.LazyFrame = import_library("polars.io.plugins", by="to_polars").register_io_source(
            self._scan, schema=library.from_arrow(self._schema.empty_table()).schema, is_pure=True
        )
        return found

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self._columns)

    def __len__(self) -> int:
        return int(self._run(f"select count(*) from {self._opened.relation}").fetchall()[0][0])

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_batches().__arrow_c_stream__(requested_schema)

    def _first_rows(self, number: int) -> pa.Table:
        return pa.Table.from_batches(self._read_batches(self._columns, limit=number), self._schema)

    def _title(self) -> str:
        return f"{self.name}: {super()._title()}"

    @cached_property
    def _schema(self) -> pa.Schema:
        self._refuse(_NOT_IN_ARROW, by="Arrow")
        return self._run(f"{self._write_select(self._columns)} limit 0").to_arrow_table().schema

    def _scan(
        self,
        with_columns: list[str] | None,
        predicate: polars.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[polars.DataFrame]:
        """Yield what a lazy frame asks for; its arguments are those of Polars."""
        # Of no column, as a count of rows asks, batches would have no rows.
        columns = self._columns[:1] if with_columns == [] else with_columns or self._columns
        # Rows are filtered after they are cut off.
        for batch in self._read_batches(columns, rows_at_a_time=batch_size, limit=n_rows):
            yield _convert(_filter(pa.Table.from_batches([batch]), predicate))

    def _read_batches(
        self, columns: Sequence[str], *, rows_at_a_time: int | None = None, limit: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        sql = self._write_select(columns) + ("" if limit is None else f" limit {limit}")
        try:
            yield from self._run(sql).to_arrow_reader(rows_at_a_time or _ROWS_AT_A_TIME)
        except duckdb.Error as error:
            raise self._explain(error) from error

    def _run(self, sql: str) -> duckdb.DuckDBPyConnection:
        # Each has its own: a batch of one reader would end another's.
        cursor = self._opened.connection.cursor()
        cursor.execute("set TimeZone = 'UTC'")
        try:
            return cursor.execute(sql)
        except duckdb.Error as error:
            raise self._explain(error) from error

    def _write_select(self, columns: Sequence[str]) -> str:
        written = ", ".join(
            f"{quoted(name)}::{replace_kinds(self._types[name], _IN_ARROW)} as {quoted(name)}"
            if find_kinds(self._types[name]) & _IN_ARROW.keys()
            else quoted(name)
            for name in columns
        )
        return f"select {written} from {self._opened.relation}"

    def _refuse(self, kinds: Set[str], by: str) -> None:
        found = [
            f"{name} ({self._types[name]})" for name in self._columns if find_kinds(self._types[name]) & kinds
        ]
        if found:
            raise Fault(
                f"{self.name}: {by} has no type for {', '.join(found)}. Name the columns to take, as in "
                f"project.table({self.name!r}, [...]), or cast them: project.sql(...).",
                MISUSED,
            )

    def _explain(self, error: duckdb.Error) -> Exception:
        if isinstance(error, duckdb.ConversionException):
            return Fault(
                f"{self.name}: a number has more than the 38 digits that Arrow's decimals have: {error}. "
                "Leave its column out, or cast it to text: project.sql(...)."
            )
        return known_fault(error) or error


def _check_columns(table: str, asked: Sequence[str], known: Iterable[str]) -> list[str]:
    if isinstance(asked, str) or not asked:
        raise Fault(f"The columns of {table} are a list of one name or more, and not {asked!r}.", MISUSED)
    for name in asked:
        if name not in known:
            raise Fault(unknown(f"{table} has no column {name}", name, known), MISUSED)
        if list(asked).count(name) > 1:
            raise Fault(f"The column {name} of {table} is asked for twice.", MISUSED)
    return list(asked)


def _filter(table: pa.Table, predicate: polars.Expr | None) -> pa.Table:
    """Return the rows that pass a filter.

    Arrow copies them. Polars would keep the texts of all rows in memory with those of a few.
    """
    if predicate is None:
        return table
    names = predicate.meta.root_names()
    if not names:
        # One value for all rows.
        return (
            table if import_library("polars", by="to_polars").select(predicate).item() else table.slice(0, 0)
        )
    return table.filter(_convert(table.select(names)).select(predicate).to_series().to_arrow())


def _convert(table: pa.Table) -> polars.DataFrame:
    """Return rows as a frame of Polars.

    Raises:
        Fault: Polars would have NULL in place of a value, as of the time 24:00.
    """
    frame: polars.DataFrame = import_library("polars", by="to_polars").from_arrow(table)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if frame[name].null_count() != column.null_count:
            raise Fault(f"Polars has no value for some of the column {name} ({column.type}).")
    return frame
