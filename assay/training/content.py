"""Hash the content of a training set: equal hashes mean equal rows and types, by whatever program written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from assay.core.fault import Fault
from assay.core.parquet import parquet_batches, rows_of_parquet

_ROWS_A_BATCH = 1 << 16
_SCALARS = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_timestamp,
    pa.types.is_date,
    pa.types.is_string,
)


@dataclass(frozen=True)
class HashedColumn:
    """A column with its DuckDB `type` and the hash of its values in the order of the rows."""

    name: str
    type: str
    sha256: str


@dataclass(frozen=True)
class Content:
    """The columns of a file, and its number of rows."""

    rows: int
    columns: list[HashedColumn]

    @property
    def hash(self) -> str:
        """SHA-256 of the number of rows, and a line for each column: name, type and hash, between tabs."""
        lines = [str(self.rows)] + [f"{each.name}\t{each.type}\t{each.sha256}" for each in self.columns]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_content(file: Path) -> Content:
    """Hash the content of a training set's Parquet file, which is read in batches.

    Raises:
        Fault: a column is neither a number, a text, a time nor a boolean, nor a list or struct of these; or
            the file is encrypted and there is no key, or another one.
        pa.ArrowException, duckdb.Error, OSError: the file cannot be read.
    """
    with duckdb.connect() as connection:
        described = connection.execute(f"describe from {rows_of_parquet(file)}").fetchall()
    rows = 0
    with parquet_batches(file, _ROWS_A_BATCH) as batches:
        hashes = [_ColumnHash(field.name, field.type) for field in batches.schema]
        for batch in batches:
            rows += batch.num_rows
            for column_hash, array in zip(hashes, batch.columns, strict=True):
                column_hash.update(array)
    columns = [
        HashedColumn(name, data_type, column_hash.hexdigest())
        for (name, data_type, *_), column_hash in zip(described, hashes, strict=True)
    ]
    return Content(rows, columns)


class _ColumnHash:
    """Hashes which rows have a value (a byte each), lengths of texts and lists (int64), and values' bytes.

    Of a struct, the hashes of its fields follow that of which rows have one.

    Each of these is a separate stream, so the hash does not depend on the batches. Bytes are little
    endian: times are microseconds since 1970, dates days, decimals 16 bytes unscaled, texts UTF-8.
    """

    def __init__(self, name: str, data_type: pa.DataType) -> None:
        self._items = None
        self._fields: list[_ColumnHash] = []
        if pa.types.is_list(data_type):
            self._items = _ColumnHash(name, data_type.value_type)
        elif pa.types.is_struct(data_type):
            self._fields = [_ColumnHash(f"{name}.{field.name}", field.type) for field in data_type]
        elif not any(is_kind(data_type) for is_kind in _SCALARS):
            raise Fault(
                f"Column {name} is of type {data_type}: a training set holds numbers, texts, times, "
                "booleans, and lists and structs of these. Take the column apart in the model, and build "
                "again."
            )
        self._present, self._lengths, self._values = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()

    def update(self, array: pa.Array) -> None:
        self._present.update(_fixed(pc.is_valid(array)))
        values = array.drop_null()
        if self._items:
            self._lengths.update(_fixed(pc.list_value_length(values).cast(pa.int64())))
            self._items.update(values.flatten())
        elif self._fields:
            for field, inner in zip(self._fields, values.flatten(), strict=True):
                field.update(inner)
        elif pa.types.is_string(values.type):
            self._lengths.update(_fixed(pc.binary_length(values).cast(pa.int64())))
            self._values.update("".join(values.to_pylist()).encode())
        else:
            self._values.update(_fixed(values))

    def hexdigest(self) -> str:
        digests = [self._present.digest(), self._lengths.digest(), self._values.digest()]
        inner = [self._items] if self._items else self._fields
        digests += [bytes.fromhex(each.hexdigest()) for each in inner]
        return hashlib.sha256(b"".join(digests)).hexdigest()


def _fixed(values: pa.Array) -> bytes:
    """Return the bytes of values that all have the same width and are not NULL."""
    if not len(values):
        return b""
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.uint8())
    width = values.type.bit_width // 8
    start = values.offset * width
    return bytes(values.buffers()[1].slice(start, len(values) * width))
