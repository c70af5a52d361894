"""Write tables to files in the formats of an export; the same table always gives the same bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from assay.core.fault import extra_needed

# The compressions of JSON lines, by the ending of the file's name.
COMPRESSIONS = {"gz": "gzip", "zst": "zstd"}
Write = Callable[[pa.Table], object]
Format = Callable[[Path, pa.Schema], AbstractContextManager[Write]]


@contextmanager
def _parquet(file: Path, schema: pa.Schema) -> Iterator[Write]:
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        yield writer.write_table


@contextmanager
def _arrow(file: Path, schema: pa.Schema) -> Iterator[Write]:
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        yield writer.write_table


@contextmanager
def _csv(file: Path, schema: pa.Schema) -> Iterator[Write]:
    with pa.csv.CSVWriter(file, schema) as writer:
        yield writer.write_table


@contextmanager
def _jsonl(file: Path, schema: pa.Schema) -> Iterator[Write]:
    with _bytes_to(file) as stream:

        def write(table: pa.Table) -> None:
            names = [json.dumps(name, ensure_ascii=False) for name in table.column_names]
            texts = [_json_texts(column) for column in table.columns]
            for row in zip(*texts, strict=True):
                pairs = ", ".join(f"{name}: {value}" for name, value in zip(names, row, strict=True))
                stream.write(f"{{{pairs}}}\n".encode())

        yield write


@contextmanager
def _bytes_to(file: Path) -> Iterator[Any]:
    """Open a file to write to, compressed as its ending says."""
    # Arrow's gzip has no time in it, as Python's has, so the bytes are the same every time.
    with pa.OSFile(str(file), "wb") as sink:
        if compression := COMPRESSIONS.get(file.suffix.removeprefix(".")):
            with pa.CompressedOutputStream(sink, compression) as stream:
                yield stream
        else:
            yield sink


@contextmanager
def _tfrecord(file: Path, schema: pa.Schema) -> Iterator[Write]:
    with extra_needed("tfrecord", by="The format tfrecord"):
        from assay.training import tfrecord
    with file.open("wb") as stream:
        yield lambda table: stream.write(tfrecord.records(table))


@contextmanager
def _npy(file: Path, schema: pa.Schema) -> Iterator[Write]:
    with extra_needed("npy", by="The format npy"):
        from assay.training.npy import MatrixWriter
    with file.open("wb") as stream:
        writer = MatrixWriter(stream, schema)
        yield writer.write
        writer.finish()


FORMATS: dict[str, Format] = {
    "parquet": _parquet,
    "csv": _csv,
    "jsonl": _jsonl,
    "arrow": _arrow,
    "tfrecord": _tfrecord,
    "npy": _npy,
}


def _json_texts(column: pa.ChunkedArray) -> list[str]:
    """Write a column's values in JSON: decimals with all their digits, times in ISO 8601, no NaN."""
    kind = column.type
    if pa.types.is_decimal(kind):
        return ["null" if text is None else text for text in column.cast(pa.string()).to_pylist()]
    if pa.types.is_timestamp(kind):
        column = pc.strftime(column, format="%Y-%m-%dT%H:%M:%S" + ("Z" if kind.tz else ""))
    return [_json_text(value) for value in column.to_pylist()]


def _json_text(value: object) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    return json.dumps(value, ensure_ascii=False, default=str)
