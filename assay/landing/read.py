"""Read one landed file into Arrow batches of text, accounting for every physical line."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assay.landing.declared import LandingTable
from assay.landing.discover import LandingFile

_Stream = io.BufferedReader | gzip.GzipFile
_ROWS_A_BATCH = 50_000
_CHARACTERS_A_BATCH = 64 << 20
_BYTES_A_CHUNK = 1 << 20
_CHARACTERS_IN_QUOTES = 1 << 20
_NOT_UTF8 = "not UTF-8: send the file again in UTF-8"
_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}

# The limit is the whole process's, and others set it: _Lines has one of its own.
csv.field_size_limit((1 << 31) - 1)


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
        UnreadableFile: missing columns, a wrong delimiter or ending, a broken archive, no permission.
    """
    suffixes = [suffix.lower() for suffix in file.path.suffixes]
    is_gzip = bool(suffixes) and suffixes[-1] == ".gz"
    ending = suffixes[-2] if is_gzip and len(suffixes) > 1 else (suffixes or [""])[-1]
    reader = _READERS.get((table.format, ending))
    if reader is None:
        wanted = sorted(suffix for format_, suffix in _READERS if format_ == table.format)
        raise UnreadableFile(
            f"The name ends in {ending or 'nothing'}, but {table.source}/{table.name} takes "
            f"{', '.join(wanted)} (or the same with .gz): rename the file or send it in one of these."
        )
    try:
        with gzip.open(file.path) if is_gzip else file.path.open("rb") as stream:
            yield from reader(stream, file, table, file_id, tally)
    except EOFError as error:
        raise UnreadableFile("The .gz ends before its data does: send the file again, whole.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFile(f"The .gz is damaged ({error}): send the file again.") from error
    except (pa.ArrowException, duckdb.Error, ValueError) as error:
        raise UnreadableFile(f"Not Parquet that can be read ({error}): send the file again.") from error
    except OSError as error:
        raise UnreadableFile(
            f"Cannot be read ({error.strerror or error}): check its permissions and the disk."
        ) from error


def _read_jsonl(
    stream: _Stream, file: LandingFile, table: LandingTable, file_id: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """Keep each line as it is; whether it is JSON is for silver to judge."""
    schema = arrow_schema(table)
    _skip_byte_order_mark(stream)
    unfinished: list[bytes] = []
    while chunk := stream.read(_BYTES_A_CHUNK):
        whole_lines, newline, rest = chunk.rpartition(b"\n")
        if newline:
            yield from _jsonl_batch(b"".join([*unfinished, whole_lines]), schema, file_id, tally)
            unfinished = []
        unfinished.append(rest)
    if last := b"".join(unfinished):
        yield from _jsonl_batch(last, schema, file_id, tally)


def _skip_byte_order_mark(stream: _Stream) -> None:
    if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        stream.seek(0)


def _jsonl_batch(raw: bytes, schema: pa.Schema, file_id: int, tally: Tally) -> Iterator[pa.RecordBatch]:
    # Arrow splits, and checks that it is UTF-8, in a fifth of the time that strings take.
    try:
        lines = pc.split_pattern(pa.array([raw], pa.binary()).cast(pa.string()), "\n").flatten()
        reasons = pa.nulls(len(lines), pa.string())
    except pa.ArrowInvalid:
        decoded = [_decode(line) for line in raw.split(b"\n")]
        lines = pa.array([line for line, _ in decoded], pa.string())
        reasons = pa.array([reason for _, reason in decoded], pa.string())
    if b"\r" in raw:
        lines = pc.replace_substring_regex(lines, r"\r\z", "")
    filled = pc.indices_nonzero(pc.binary_length(lines)).cast(pa.int64())
    first = tally.lines + 1
    tally.lines += len(lines)
    tally.blank_lines += len(lines) - len(filled)
    if len(filled) < len(lines):
        lines, reasons = lines.take(filled), reasons.take(filled)
    tally.rows += len(lines)
    tally.row_lines += len(lines)
    tally.malformed_rows += len(lines) - reasons.null_count
    if len(lines):
        file_ids = pa.repeat(pa.scalar(file_id, pa.int64()), len(lines))
        yield pa.record_batch([file_ids, pc.add(filled, first), lines, reasons], schema=schema)


def _decode(raw: bytes) -> tuple[str, str | None]:
    """Return a line as text and, where it is not UTF-8, why it is malformed."""
    try:
        return raw.decode(), None
    except UnicodeDecodeError:
        return raw.decode(errors="backslashreplace"), _NOT_UTF8


class _Lines:
    """Lines for csv.reader, which remember those the present record took, and can be given back."""

    def __init__(self, stream: _Stream) -> None:
        #: Characters read of the file so far.
        self.characters = 0
        self._swallowed = 0
        self._stream = stream
        self._pending: deque[tuple[str, str | None]] = deque()
        self.taken: list[tuple[str, str | None]] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if not self.taken:
            self._swallowed = 0
        else:
            # Or each stray quote would have the rest of the file read once more.
            self._swallowed += len(self.taken[-1][0])
            if self._swallowed > _CHARACTERS_IN_QUOTES:
                raise csv.Error("a quote is not closed")
        if self._pending:
            line = self._pending.popleft()
        else:
            line = _decode(next(self._stream))
            self.characters += len(line[0])
        self.taken.append(line)
        return line[0]

    def give_back_all_but_first(self) -> None:
        self._pending.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def _read_csv(
    stream: _Stream, file: LandingFile, table: LandingTable, file_id: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    _skip_byte_order_mark(stream)
    lines = _Lines(stream)
    header = _read_header(lines, table, tally)
    if not header:
        return
    _check_header(header, lines.taken[0][0], file, table)
    build = _batch_builder(header, file, table, file_id, tally)

    reader = csv.reader(lines, strict=True)
    numbers: list[int] = []
    records: list[list[str]] = []
    malformed: list[tuple[int, str, str]] = []
    batch_ends = _CHARACTERS_A_BATCH
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
            # A stray quote swallows the lines after it: only the first is at fault, the others are reread.
            lines.give_back_all_but_first()
            reason = reason or f"{len(record)} fields where the header has {len(header)}"
            malformed.append((start, lines.taken[0][0].removesuffix("\n").removesuffix("\r"), reason))
        else:
            numbers.append(start)
            records.append(record)
            tally.row_lines += len(lines.taken)
        tally.lines += len(lines.taken)
        if len(records) + len(malformed) >= _ROWS_A_BATCH or lines.characters >= batch_ends:
            yield build(numbers, records, malformed)
            batch_ends = lines.characters + _CHARACTERS_A_BATCH
            numbers, records, malformed = [], [], []
    if records or malformed:
        yield build(numbers, records, malformed)


def _read_header(lines: _Lines, table: LandingTable, tally: Tally) -> list[str]:
    """Return the names of the first line that is not blank; none where there is no such line."""
    try:
        for header in csv.reader(lines, strict=True):
            tally.lines += len(lines.taken)
            if header:
                tally.header_lines = len(lines.taken)
                break
            tally.blank_lines += len(lines.taken)
            lines.taken.clear()
        else:
            return []
    except csv.Error as error:
        _check_delimiter([], lines.taken[0][0], table)
        raise UnreadableFile(f"The header is not CSV ({error}): send the file again.") from error
    if undecodable := next((reason for _, reason in lines.taken if reason), None):
        raise UnreadableFile(f"The header is {undecodable}.")
    return [name.strip() for name in header]


def _check_header(header: list[str], line: str, file: LandingFile, table: LandingTable) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UnreadableFile(
            f"The header names {', '.join(name or 'an empty name' for name in twice)} twice: "
            "send the file with each column once."
        )
    missing = [
        name
        for name in table.columns
        if name not in header and name not in table.optional and name not in file.folders
    ]
    if not missing:
        return
    _check_delimiter(header, line, table)
    raise UnreadableFile(
        f"The header lacks {', '.join(missing)} (it has {', '.join(header)}): "
        "send the file with these columns, or name them under landing.optional where the source is declared."
    )


def _check_delimiter(header: list[str], line: str, table: LandingTable) -> None:
    """Say so where another delimiter than the comma would make more of the header's line."""
    for delimiter, plural in _DELIMITERS.items():
        names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
        if len(set(names) & set(table.columns)) > len(set(header) & set(table.columns)) or (
            len(header) == 1 and len(names) > 1
        ):
            raise UnreadableFile(f"The file is delimited by {plural}: send it again delimited by commas.")


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

        def text(column: Sequence[str] | None) -> pa.Array:
            return pa.array([*(column or repeat(None, good)), *repeat(None, bad)], pa.string())

        def declared(name: str) -> Sequence[str] | None:
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
    stream: _Stream, file: LandingFile, table: LandingTable, file_id: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """Parquet has no lines: each row counts as one. Values become text as DuckDB would write them."""
    source = stream if file.path.suffix.lower() != ".gz" else io.BytesIO(stream.read())
    parquet = pq.ParquetFile(source)
    header = parquet.schema_arrow.names
    if table.format == "csv":
        _check_header(header, "", file, table)
    build = _batch_builder(header, file, table, file_id, tally) if table.format == "csv" else None
    for batch in parquet.iter_batches(_ROWS_A_BATCH):
        first = tally.lines + 1
        tally.lines += batch.num_rows
        if build:
            records = [list(record) for record in zip(*_as_text(batch), strict=True)]
            tally.row_lines += len(records)
            yield build(list(range(first, first + len(records))), records, [])
        else:
            documents = b"\n".join(json.dumps(row, default=str).encode() for row in batch.to_pylist())
            tally.lines = first - 1
            yield from _jsonl_batch(documents, arrow_schema(table), file_id, tally)


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


_READERS = {
    ("csv", ".csv"): _read_csv,
    ("csv", ".parquet"): _read_parquet,
    ("jsonl", ".jsonl"): _read_jsonl,
    ("jsonl", ".ndjson"): _read_jsonl,
    ("jsonl", ".json"): _read_jsonl,
    ("jsonl", ".parquet"): _read_parquet,
}
