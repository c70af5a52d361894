"""Parquet, whose values become text as DuckDB would write them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from assay.landing.declared import LandingTable
from assay.landing.discover import LandingFile
from assay.landing.formats.columns import ROWS_A_BATCH, batch_builder, check_header
from assay.landing.formats.json_lines import jsonl_batch
from assay.landing.formats.rows import Stream, Tally, arrow_schema


def read_parquet(
    stream: Stream, file: LandingFile, table: LandingTable, file_id: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """Parquet has no lines: each row counts as one. Values become text as DuckDB would write them."""
    source = stream if file.path.suffix.lower() != ".gz" else io.BytesIO(stream.read())
    parquet = pq.ParquetFile(source)
    header = parquet.schema_arrow.names
    if table.format == "csv":
        header = check_header(header, "", file, table, tally)
    build = batch_builder(header, file, table, file_id, tally) if table.format == "csv" else None
    for batch in parquet.iter_batches(ROWS_A_BATCH):
        first = tally.lines + 1
        tally.lines += batch.num_rows
        if build:
            records = [list(record) for record in zip(*_as_text(batch), strict=True)]
            tally.row_lines += len(records)
            yield build(list(range(first, first + len(records))), records, [])
        else:
            rows = _without_nanoseconds(batch).to_pylist()
            documents = b"\n".join(json.dumps(row, default=str).encode() for row in rows)
            tally.lines = first - 1
            yield from jsonl_batch(documents, arrow_schema(table), file_id, tally)


def _without_nanoseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Make texts of times that Python's own cannot hold: whether pandas is there must make no difference."""
    return pa.RecordBatch.from_arrays(
        [
            column.cast(pa.string())
            if (pa.types.is_timestamp(column.type) or pa.types.is_time64(column.type))
            and column.type.unit == "ns"
            else column
            for column in batch.columns
        ],
        batch.schema.names,
    )


def _as_text(batch: pa.RecordBatch) -> list[list[str | None]]:
    """Return the columns of a batch as text; lists and structs become JSON."""
    names = [f"column_{index}" for index in range(batch.num_columns)]
    values = ", ".join(
        f"to_json({name})::varchar" if pa.types.is_nested(column.type) else f"{name}::varchar"
        for name, column in zip(names, batch.columns, strict=True)
    )
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.register("batch", pa.Table.from_arrays(batch.columns, names))
        text = connection.sql(f"select {values} from batch").to_arrow_table()
    return [column.to_pylist() for column in text.columns]
