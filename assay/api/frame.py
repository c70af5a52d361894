"""Rows as Python programs take them: Arrow first, other libraries from it without a copy where they can."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from assay.core.fault import MISUSED, Fault
from assay.core.words import counted

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow as pa

_ROWS_SHOWN = 10
_LONGEST_VALUE = 60


class Frame:
    """Rows and columns, which are read when they are first asked for.

    It shows its first rows in a notebook, and goes to whatever reads Arrow by `__arrow_c_stream__`.

    Args:
        read: returns the rows.
    """

    def __init__(self, read: Callable[[], pa.Table]) -> None:
        self._read = read
        self._table: pa.Table | None = None

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table; times are UTC, without zone."""
        if self._table is None:
            self._table = self._read()
        return self._table

    def to_pandas(self, *, arrow_types: bool = False, decimals_as_floats: bool = False) -> pandas.DataFrame:
        """Return the rows as a data frame of pandas.

        Args:
            arrow_types: whether columns keep Arrow's types and memory, without a copy. Else they have
                NumPy's: whole numbers with NULLs become floating-point, decimals and days Python objects.
            decimals_as_floats: whether decimals become float64, as models take them.

        Raises:
            Fault: pandas is not installed.
        """
        pandas = import_library("pandas", by="to_pandas")
        table = _with_floats(self.to_arrow()) if decimals_as_floats else self.to_arrow()
        return table.to_pandas(types_mapper=pandas.ArrowDtype) if arrow_types else table.to_pandas()

    def to_polars(self) -> polars.DataFrame:
        """Return the rows as a data frame of Polars, in the memory of Arrow where types allow.

        Raises:
            Fault: Polars is not installed.
        """
        found: polars.DataFrame = import_library("polars", by="to_polars").from_arrow(self.to_arrow())
        return found

    def to_torch(self) -> dict[str, Any]:
        """Return a tensor for each column of numbers, booleans or times, by name.

        Whole numbers and booleans keep their type where none is NULL, but that unsigned ones become int64, or
        float64 where they have 64 bits. With NULLs, and as decimals do, they become float64, in which NaN
        stands for NULL. Times are whole microseconds, and days whole days, since 1970.
        A column without NULLs shares the memory of Arrow: copy a tensor before you write to it. Columns that
        no tensor can hold, such as texts, are left out, of which a warning tells.

        Raises:
            Fault: PyTorch is not installed.
        """
        torch = import_library("torch", by="to_torch")
        found, left_out = {}, []
        table = self.to_arrow()
        for name, column in zip(table.column_names, table.columns, strict=True):
            numbers = _numbers(column)
            if numbers is None:
                left_out.append(name)
            else:
                tensor = torch.from_dlpack(numbers)
                found[name] = tensor.bool() if _is_whole_boolean(column) else tensor
        if left_out:
            warnings.warn(f"Left out, as no tensor can hold them: {', '.join(left_out)}", stacklevel=2)
        return found

    def to_numpy(self) -> dict[str, Any]:
        """Return an array of NumPy for each column, by name.

        Numbers without NULLs keep their type and share the memory of Arrow, so that they cannot be written
        to. With NULLs they become float64, in which NaN stands for NULL; so do booleans. Decimals become
        float64 in any case. Times are datetime64, where NULL is NaT. Vectors of one length are an array of
        two dimensions. Other columns, such as texts, hold Python objects.

        Raises:
            Fault: NumPy is not installed.
        """
        import_library("numpy", by="to_numpy")
        table = self.to_arrow()
        return {
            name: _convert_to_numpy(column)
            for name, column in zip(table.column_names, table.columns, strict=True)
        }

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.to_arrow().column_names)

    def __len__(self) -> int:
        return int(self.to_arrow().num_rows)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"{self._title()}\n{self._first_rows(_ROWS_SHOWN).to_string(preview_cols=_ROWS_SHOWN)}"

    def _repr_html_(self) -> str:
        table = self._first_rows(_ROWS_SHOWN)
        head = "".join(f"<th>{escape(name)}</th>" for name in table.column_names)
        rows = zip(*(map(_shown, column) for column in table.columns), strict=True)
        body = "".join(f"<tr>{''.join(f'<td>{each}</td>' for each in row)}</tr>" for row in rows)
        return (
            f"<p>{escape(self._title())}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _first_rows(self, number: int) -> pa.Table:
        return self.to_arrow().slice(0, number)

    def _title(self) -> str:
        return f"{counted(len(self), 'row')} of {counted(len(self.columns), 'column')}"


def import_library(name: str, by: str) -> Any:
    """Import a library that Assay works with and does not bring.

    Args:
        name: of the package.
        by: what needs it.

    Raises:
        Fault: it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        raise Fault(f"{by} needs {name}, which is not installed: pip install {name}.", MISUSED) from missing


def _shown(value: Any) -> str:
    # An infinite time is none to Python.
    try:
        text = "NULL" if value.as_py() is None else str(value.as_py())
    except (ValueError, OverflowError):
        text = str(value)
    return escape(text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}...")


def _with_floats(table: pa.Table) -> pa.Table:
    """Return a table with float64 in place of decimals."""
    import pyarrow as pa

    fields = [
        field.with_type(pa.float64()) if pa.types.is_decimal(field.type) else field for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _convert_to_numpy(column: pa.ChunkedArray) -> Any:
    import pyarrow as pa

    kind, of = column.type, pa.types
    if of.is_decimal(kind) or (of.is_boolean(kind) and column.null_count):
        column = column.cast(pa.float64())
    if of.is_fixed_size_list(kind) and not column.null_count:
        values = column.combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], kind)
        numbers = _convert_to_numpy(pa.chunked_array([values.flatten()]))
        return numbers.reshape(len(column), kind.list_size)
    # To combine copies even what is one, and many chunks are copied in any case.
    return column.to_numpy() if column.num_chunks != 1 else column.chunk(0).to_numpy(zero_copy_only=False)


def _is_whole_boolean(column: pa.ChunkedArray) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_boolean(column.type) and not column.null_count)


def _numbers(column: pa.ChunkedArray) -> Any:
    """Return a column as one array of numbers without NULLs; None where it is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, of = column.type, pa.types
    if of.is_timestamp(kind):
        column = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
    elif of.is_date32(kind):
        column = column.cast(pa.int32())
    elif of.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif of.is_decimal(kind):
        column = column.cast(pa.float64())
    elif of.is_unsigned_integer(kind) and kind.bit_width > 8:
        # PyTorch before 2.3 has no such types, and later ones can do little with them.
        column = column.cast(pa.int64() if kind.bit_width < 64 else pa.float64(), safe=False)
    elif not (of.is_integer(kind) or of.is_floating(kind)):
        return None
    if column.null_count:
        column = pc.fill_null(column.cast(pa.float64(), safe=False), float("nan"))
    # To combine copies even what is one.
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
