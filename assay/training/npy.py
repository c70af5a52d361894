"""NPY files, as numpy reads them: the numbers of a training set as one matrix of 64-bit floats."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib import format as npy

from assay.core.fault import MISUSED, Fault

# Above this, not every whole number is one of 64-bit floats.
_LAST_WHOLE = 2**53
_FLOAT = np.dtype("<f8")


class MatrixWriter:
    """Writes the rows of tables as a matrix whose columns are the tables', in their order.

    Args:
        stream: the file, opened for writing.
        schema: the schema of the tables.

    Raises:
        Fault: a column holds something other than numbers.
    """

    def __init__(self, stream: BinaryIO, schema: pa.Schema) -> None:
        if others := [f"{field.name} ({field.type})" for field in schema if not _is_number(field.type)]:
            raise Fault(
                f"The format npy holds numbers alone, and these are none: {', '.join(others)}. "
                "Name the columns to write with --columns.",
                MISUSED,
            )
        self._stream = stream
        self._columns = len(schema)
        self._rows = 0
        self._write_header()

    def write(self, table: pa.Table) -> None:
        """Write the rows of a table.

        Raises:
            Fault: a whole number is none of 64-bit floats.
        """
        columns = [_floats(name, table[name]) for name in table.column_names]
        self._stream.write(np.column_stack(columns).astype(_FLOAT, copy=False).tobytes())
        self._rows += table.num_rows

    def finish(self) -> None:
        """Write how many rows there are; the header has room for any number."""
        self._stream.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        described = {"descr": _FLOAT.str, "fortran_order": False, "shape": (self._rows, self._columns)}
        npy.write_array_header_1_0(self._stream, described)


def _is_number(kind: pa.DataType) -> bool:
    numbers = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(is_one(kind) for is_one in numbers)


def _floats(name: str, column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Convert a column's values: NULL becomes NaN, and a decimal the float that is nearest."""
    kind = column.type
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale <= 0):
        ends = pc.min_max(column).as_py()
        if any(end is not None and abs(end) > _LAST_WHOLE for end in ends.values()):
            raise Fault(
                f"{name} has whole numbers above 2^53, which the 64-bit floats of npy cannot tell apart. "
                "Leave it out with --columns.",
                MISUSED,
            )
    if pa.types.is_decimal(kind):
        # By way of text, because Arrow's own conversion does not always give the nearest float.
        column = column.cast(pa.string())
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    return np.asarray(pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy())
