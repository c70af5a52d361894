"""Read one landed file into Arrow batches of text, accounting for every physical line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from assay.landing.declared import LandingTable
from assay.landing.discover import LandingFile

_ROWS_A_BATCH = 50_000
_BYTES_A_CHUNK = 1 << 20
_NOT_UTF8 = "not UTF-8: send the file again in UTF-8"


class UnreadableFile(Exception):
    """A file that cannot be read whole, so none of it is loaded; the message says what to do."""


@dataclass
class Tally:
    """What became of a file's lines: `lines == header_lines + blank_lines + row_lines`."""

    lines: int = 0
    header_lines: int = 0
    blank_lines: int = 0
    row_lines: int = 0
    rows: int = 0
    malformed_rows: int = 0
    unexpected_columns: list[str] = field(default_factory=list)


def arrow_schema(table: LandingTable) -> pa.Schema:
    """Columns of a landing table: all text, as they landed.

    `row_number` is the physical line a row starts on (from 1); in Parquet, the row's position.
    """
    values = [*table.columns, "other_values", "malformed_line"] if table.format == "csv" else ["line"]
    return pa.schema(
        [
            pa.field("file_id", pa.int64()),
            pa.field("row_number", pa.int64()),
            *(pa.field(name, pa.string()) for name in values),
            pa.field("malformed_reason", pa.string()),
        ]
    )


def read_file(file: LandingFile, table: LandingTable, file_id: int, tally: Tally) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `file` in the shape of `arrow_schema(table)`, filling in `tally` on the way.

    Raises:
        UnreadableFile: missing columns, a wrong delimiter, an unknown ending, a broken archive, no permission.
    """
    suffixes = [suffix.lower() for suffix in file.path.suffixes]
    is_gzip = bool(suffixes) and suffixes[-1] == ".gz"
    ending = suffixes[-2] if is_gzip and len(suffixes) > 1 else (suffixes or [""])[-1]
    reader = _READERS.get((table.format, ending))
    if reader is None:
        wanted = sorted(suffix for format_, suffix in _READERS if format_ == table.format)
        raise UnreadableFile(
            f"{file.path.name} ends in {ending or 'nothing'}, but {table.source}/{table.name} takes "
            f"{', '.join(wanted)} (or the same with .gz): rename it or send it in one of these."
        )
    try:
        with gzip.open(file.path) if is_gzip else file.path.open("rb") as stream:
            yield from reader(stream, file, table, file_id, tally)
    except EOFError as error:
        raise UnreadableFile("The .gz ends before its data does: send the file again, whole.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFile(f"The .gz is damaged ({error}): send the file again.") from error
    except pa.ArrowInvalid as error:
        raise UnreadableFile(f"Not a whole Parquet file ({error}): send the file again.") from error
    except OSError as error:
        raise UnreadableFile(
            f"Cannot be read ({error.strerror or error}): check its permissions and the disk."
        ) from error


def _read_jsonl(
    stream: IO[bytes], file: LandingFile, table: LandingTable, file_id: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """Keep each line as it is; whether it is JSON is for silver to judge."""
    schema = arrow_schema(table)
    rest = b""
    while chunk := stream.read(_BYTES_A_CHUNK):
        *raw_lines, rest = (rest + chunk).split(b"\n")
        yield from _jsonl_batch(raw_lines, schema, file_id, tally)
    if rest:
        yield from _jsonl_batch([rest], schema, file_id, tally)


def _jsonl_batch(
    raw_lines: list[bytes], schema: pa.Schema, file_id: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    first = tally.lines + 1
    tally.lines += len(raw_lines)
    reasons: list[str | None] | None = None
    try:
        # One decode for the whole batch costs a tenth of one a line.
        lines = b"\n".join(raw_lines).decode().split("\n") if raw_lines else []
    except UnicodeDecodeError:
        lines, reasons = [], []
        for raw in raw_lines:
            line, reason = _decode(raw)
            lines.append(line)
            reasons.append(reason)
    numbers: Sequence[int] = range(first, first + len(lines))
    if any(raw.endswith(b"\r") for raw in raw_lines[:1]):
        lines = [line.removesuffix("\r") for line in lines]
    if "" in lines:
        kept = [index for index, line in enumerate(lines) if line]
        tally.blank_lines += len(lines) - len(kept)
        lines = [lines[index] for index in kept]
        reasons = [reasons[index] for index in kept] if reasons else None
        numbers = [first + index for index in kept]
    tally.rows += len(lines)
    tally.row_lines += len(lines)
    tally.malformed_rows += len(lines) - reasons.count(None) if reasons else 0
    if lines:
        yield pa.record_batch(
            [
                pa.repeat(pa.scalar(file_id, pa.int64()), len(lines)),
                pa.array(numbers, pa.int64()),
                pa.array(lines, pa.string()),
                pa.array(reasons, pa.string()) if reasons else pa.nulls(len(lines), pa.string()),
            ],
            schema=schema,
        )


def _decode(raw: bytes) -> tuple[str, str | None]:
    """Return a line as text and, where it is not UTF-8, why it is malformed."""
    try:
        return raw.decode(), None
    except UnicodeDecodeError:
        return raw.decode(errors="backslashreplace"), _NOT_UTF8


class _Lines:
    """Lines for csv.reader, which remember those the present record took, and can be given back."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._pending: deque[tuple[str, str | None]] = deque()
        self.taken: list[tuple[str, str | None]] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._pending.popleft() if self._pending else _decode(next(self._stream))
        self.taken.append(line)
        return line[0]

    def give_back_all_but_first(self) -> None:
        self._pending.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def _read_csv(
    stream: IO[bytes], file: LandingFile, table: LandingTable, file_id: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    lines = _Lines(stream)
    header_reader = csv.reader(lines, strict=True)
    try:
        header = next(header_reader, None)
    except csv.Error as error:
        raise UnreadableFile(f"The header is not CSV ({error}): send the file again.") from error
    if header is None:
        return
    tally.lines = tally.header_lines = len(lines.taken)
    header = [name.strip() for name in header]
    header[0] = header[0].removeprefix("\ufeff")
    _check_header(header, lines.taken[0][1], file, table)
    build = _batch_builder(header, file, table, file_id, tally)

    reader = csv.reader(lines, strict=True)
    numbers: list[int] = []
    records: list[list[str]] = []
    malformed: list[tuple[int, str, str]] = []
    while True:
        lines.taken.clear()
        reason = None
        try:
            record = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            reason, record = f"not CSV ({error})", []
            reader = csv.reader(lines, strict=True)
        reason = reason or next((why for _, why in lines.taken if why), None)
        start = tally.lines + 1
        if not reason and not record:
            tally.blank_lines += 1
        elif reason or len(record) != len(header):
            # A stray quote swallows the lines after it: only the first is at fault, the others are read again.
            lines.give_back_all_but_first()
            reason = reason or f"{len(record)} fields where the header has {len(header)}"
            malformed.append((start, lines.taken[0][0].rstrip("\r\n"), reason))
        else:
            numbers.append(start)
            records.append(record)
            tally.row_lines += len(lines.taken)
        tally.lines += len(lines.taken)
        if len(records) + len(malformed) >= _ROWS_A_BATCH:
            yield build(numbers, records, malformed)
            numbers, records, malformed = [], [], []
    if records or malformed:
        yield build(numbers, records, malformed)


def _check_header(header: list[str], undecodable: str | None, file: LandingFile, table: LandingTable) -> None:
    if undecodable:
        raise UnreadableFile(f"The header is {undecodable}.")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UnreadableFile(f"The header names {', '.join(twice)} twice: send the file with each column once.")
    missing = [
        name
        for name in table.columns
        if name not in header and name not in table.optional and name not in file.folders
    ]
    if not missing:
        return
    for delimiter, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and delimiter in header[0]:
            raise UnreadableFile(f"The file is delimited by {name}: send it again delimited by commas.")
    raise UnreadableFile(
        f"The header lacks {', '.join(missing)} (it has {', '.join(header)}): "
        "send the file with these columns, or name them under landing.optional where the source is declared."
    )


def _batch_builder(
    header: list[str], file: LandingFile, table: LandingTable, file_id: int, tally: Tally
) -> Callable[[list[int], list[list[str]], list[tuple[int, str, str]]], pa.RecordBatch]:
    """Return what turns parsed records into a batch; malformed lines stand after the well-formed ones."""
    schema = arrow_schema(table)
    position = {name: index for index, name in enumerate(header)}
    unexpected = [name for name in header if name not in table.columns]
    tally.unexpected_columns = unexpected

    def build(
        numbers: list[int], records: list[list[str]], malformed: list[tuple[int, str, str]]
    ) -> pa.RecordBatch:
        good, bad = len(records), len(malformed)
        values = list(zip(*records, strict=True)) if records else [()] * len(header)

        def text(column: list[str] | tuple[str, ...] | None) -> pa.Array:
            return pa.array([*(column or [None] * good), *([None] * bad)], pa.string())

        def declared(name: str) -> list[str] | tuple[str, ...] | None:
            if name in position:
                return values[position[name]]
            return [file.folders[name]] * good if name in file.folders else None

        others = None
        if unexpected:
            others = [
                json.dumps({name: record[position[name]] for name in unexpected}, ensure_ascii=False)
                for record in records
            ]
        tally.rows += good + bad
        tally.row_lines += bad
        tally.malformed_rows += bad
        return pa.record_batch(
            [
                pa.repeat(pa.scalar(file_id, pa.int64()), good + bad),
                pa.array([*numbers, *(number for number, _, _ in malformed)], pa.int64()),
                *(text(declared(name)) for name in table.columns),
                text(others),
                pa.array([None] * good + [line for _, line, _ in malformed], pa.string()),
                pa.array([None] * good + [reason for _, _, reason in malformed], pa.string()),
            ],
            schema=schema,
        )

    return build


def _read_parquet(
    stream: IO[bytes], file: LandingFile, table: LandingTable, file_id: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """Parquet has no lines: each row counts as one. Values become text as DuckDB would write them."""
    source = stream if file.path.suffix.lower() != ".gz" else io.BytesIO(stream.read())
    parquet = pq.ParquetFile(source)
    header = parquet.schema_arrow.names
    if table.format == "csv":
        _check_header(header, None, file, table)
    build = _batch_builder(header, file, table, file_id, tally) if table.format == "csv" else None
    for batch in parquet.iter_batches(_ROWS_A_BATCH):
        first = tally.lines + 1
        tally.lines += batch.num_rows
        if build:
            columns = [[_as_text(value) for value in column.to_pylist()] for column in batch.columns]
            records = [list(record) for record in zip(*columns, strict=True)]
            tally.row_lines += len(records)
            yield build(list(range(first, first + len(records))), records, [])
        else:
            documents = [json.dumps(row, default=str).encode() for row in batch.to_pylist()]
            tally.lines = first - 1
            yield from _jsonl_batch(documents, arrow_schema(table), file_id, tally)


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, default=str) if isinstance(value, (dict, list)) else str(value)


_READERS = {
    ("csv", ".csv"): _read_csv,
    ("csv", ".parquet"): _read_parquet,
    ("jsonl", ".jsonl"): _read_jsonl,
    ("jsonl", ".ndjson"): _read_jsonl,
    ("jsonl", ".json"): _read_jsonl,
    ("jsonl", ".parquet"): _read_parquet,
}
