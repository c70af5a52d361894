"""Read Parquet; values become text in the form that DuckDB writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from io import BufferedReader
from math import isfinite
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from duckdb.sqltypes import DuckDBPyType

from assay.core.sql import quoted
from assay.landing.declared import LandingTable
from assay.landing.discover import LandingFile, UnreadableFile
from assay.landing.formats.columns import ROWS_A_BATCH, batch_builder, check_header, check_names
from assay.landing.formats.json_lines import jsonl_batch
from assay.landing.formats.rows import Tally, arrow_schema, line_limit, too_long

_BYTES_A_BATCH = 64 << 20
_MEMORY = "1GB"
# The types that JSON holds exactly; values of all others become text.
_INTEGERS = ("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint")
_PLAIN = {*_INTEGERS, "boolean", "varchar", "float", "double"}
_FRACTIONS = {"float", "double", "decimal"}
_NESTED = {"struct", "map", "list", "array"}


def read_parquet(
    stream: BufferedReader, file: LandingFile, table: LandingTable, file_id: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file; each row counts as a line.

    Raises:
        UnreadableFile: the columns do not fit the table, a row is too long, or a column is of a type that
            cannot be kept exactly.
    """
    parquet = pq.ParquetFile(stream)
    header, limit = parquet.schema_arrow.names, line_limit()
    is_csv = table.format == "csv"
    if is_csv:
        header = check_header(header, "", file, table, tally)
    else:
        check_names(header)
    build = batch_builder(header, file, table, file_id, tally)
    for batch in parquet.iter_batches(_rows_a_batch(parquet.metadata)):
        first = tally.lines + 1
        try:
            texts = _as_text(batch, all_text=is_csv, decimal=table.dialect.decimal)
        except (duckdb.Error, pa.ArrowInvalid) as error:
            raise _at_fault(batch) or error from error
        if is_csv:
            records = [list(record) for record in zip(*(column.to_pylist() for column in texts), strict=True)]
            _check_lengths(first, (sum(map(len, filter(None, record))) for record in records), limit)
            tally.lines += len(records)
            tally.row_lines += len(records)
            yield build(list(range(first, first + len(records))), records, [])
        else:
            documents = [
                _document(row) for row in texts.rename_columns(header).to_pylist(maps_as_pydicts="strict")
            ]
            _check_lengths(first, map(len, documents), limit)
            yield from jsonl_batch(b"\n".join(documents), arrow_schema(table), file_id, tally)


def _rows_a_batch(metadata: pq.FileMetaData) -> int:
    """Return how many rows to read at a time: fewer if the rows are long."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    longest = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    return max(1, min(ROWS_A_BATCH, _BYTES_A_BATCH // max(longest, 1)))


def _check_lengths(first: int, lengths: Iterable[int], limit: int) -> None:
    for number, length in enumerate(lengths, first):
        if length > limit:
            raise too_long(number)


def _as_text(batch: pa.RecordBatch, *, all_text: bool, decimal: str = ".") -> pa.Table:
    """Return a batch in which values that JSON cannot hold exactly are text.

    Args:
        batch: any columns; those of the result are named column_0, column_1, ....
        all_text: whether to convert all columns to text, nested ones to JSON.
        decimal: the table's decimal sign, for numbers as text.
    """
    names = [f"column_{index}" for index in range(batch.num_columns)]
    with duckdb.connect(config={"memory_limit": _MEMORY}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.register("batch", pa.Table.from_arrays(list(map(_as_duckdb_has, batch.columns)), names))
        values = []
        for name, each in zip(names, connection.sql("from batch").types, strict=True):
            value = (
                f"{name}::{_exact_type(each)}" if each.id in _NESTED or not all_text else f"{name}::varchar"
            )
            if all_text and each.id in _FRACTIONS:
                value = f"replace({value}, '.', '{decimal}')"
            values.append(f"to_json({value})::varchar" if each.id in _NESTED and all_text else value)
        listed = ", ".join(f"{value} as {name}" for name, value in zip(names, values, strict=True))
        return connection.sql(f"select {listed} from batch").to_arrow_table()


def _exact_type(found: DuckDBPyType) -> str:
    """Return a type in which every part that JSON would round or does not know is text."""
    if found.id not in _NESTED:
        return found.id if found.id in _PLAIN else "varchar"
    inner = {name: each for name, each in found.children if isinstance(each, DuckDBPyType)}
    if found.id == "struct":
        return f"struct({', '.join(f'{quoted(name)} {_exact_type(each)}' for name, each in inner.items())})"
    if found.id == "map":
        return f"map(varchar, {_exact_type(inner['value'])})"
    return f"{_exact_type(inner['child'])}[]"


def _at_fault(batch: pa.RecordBatch) -> UnreadableFile | None:
    """Return a message that names the column that cannot be read, if one column of a batch is at fault."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            _as_text(pa.RecordBatch.from_arrays([column], [name]), all_text=True)
        except (duckdb.Error, pa.ArrowInvalid) as error:
            return UnreadableFile(
                f"The column {name} of type {column.type} cannot be read exactly ({type(error).__name__}): "
                "send it as text."
            )
    return None


def _as_duckdb_has(column: pa.Array) -> pa.Array:
    """Convert a column whose type DuckDB does not know to a type that it knows, with the same values.

    Raises:
        pyarrow.ArrowInvalid: a duration would lose nanoseconds.
    """
    if pa.types.is_duration(column.type):
        return column.cast(pa.duration("us"))
    if pa.types.is_float16(column.type):
        return column.cast(pa.float32())
    return column.cast(pa.string()) if pa.types.is_decimal256(column.type) else column


def _document(row: dict[str, Any]) -> bytes:
    try:
        return json.dumps(row, allow_nan=False).encode()
    except ValueError:
        return json.dumps(_finite(row)).encode()


def _finite(value: Any) -> Any:
    """Replace numbers that JSON does not know (infinity, not a number) in a value by text."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value
