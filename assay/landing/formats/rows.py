"""What the readers of all formats share: batches of text rows, and the count of a file's lines."""

from __future__ import annotations

import codecs
import csv
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader

import pyarrow as pa

from assay.landing.declared import DeclarationError, LandingTable
from assay.landing.dialect import Dialect
from assay.landing.discover import UnreadableFile

#: The environment variable that says how long a line may be.
LINE_MB = "ASSAY_LANDING_LINE_MB"

#: What a table that a stream lands has of each message; NULL in rows that came in other files.
MESSAGE_COLUMNS = {
    "topic": pa.string(),
    "partition": pa.int64(),
    "offset": pa.int64(),
    "message_at": pa.timestamp("us"),
    "message_key": pa.string(),
    "message_landed_at": pa.timestamp("us"),
}

# The limit of the csv module holds for the whole process. Readers use a limit of their own instead.
csv.field_size_limit((1 << 31) - 1)


@dataclass
class Tally:
    """Counts a file's lines by kind: `lines == header_lines + blank_lines + row_lines`."""

    lines: int = 0
    header_lines: int = 0
    blank_lines: int = 0
    row_lines: int = 0
    rows: int = 0
    malformed_rows: int = 0
    unexpected_columns: list[str] = field(default_factory=list)
    lost_columns: list[str] = field(default_factory=list)


def arrow_schema(table: LandingTable) -> pa.Schema:
    """Return the columns of a landing table; values are text, as they landed.

    `row_number` is the physical line on which a row starts (from 1); in Parquet, the row's position.
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


def landed_schema(table: LandingTable) -> pa.Schema:
    """Return the columns in which rows are loaded: of a stream, those of the message come last."""
    schema = arrow_schema(table)
    if table.is_streamed:
        for name, kind in MESSAGE_COLUMNS.items():
            schema = schema.append(pa.field(name, kind))
    return schema


def verdict_columns(table: LandingTable) -> list[str]:
    """Return the columns in which the schema's mode marks a row of a landing table; NULL in most rows."""
    return ["schema_conflict"] if table.format == "csv" else ["line_as_declared", "schema_conflict"]


def decode(raw: bytes, encoding: str = "utf-8") -> tuple[str, str | None]:
    """Decode a line; also return why it is malformed if it is invalid in its encoding, else None."""
    try:
        return raw.decode(encoding), None
    except UnicodeDecodeError:
        name = encoding.upper()
        return raw.decode(encoding, "backslashreplace"), f"not {name}: send the file again in {name}"


def contract_line(dialect: Dialect) -> str:
    """Return the line of a table's contract that declares a dialect, or that it needs none."""
    if not dialect.declared:
        return "take the property dialect out of the table's contract"
    declared = ", ".join(f"{name}: {json.dumps(value)}" for name, value in dialect.declared.items())
    return f"- {{property: dialect, value: {{{declared}}}}} under customProperties of the table's contract"


def csv_reader(lines: Iterable[str], delimiter: str, quote: str) -> Iterator[list[str]]:
    """Return a reader of records, which raises csv.Error at text that is not CSV.

    Args:
        lines: the lines with their line ends.
        delimiter: the character between values.
        quote: the character around values; if it is empty, each line is a record.
    """
    if quote:
        return csv.reader(lines, delimiter=delimiter, quotechar=quote, strict=True)
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)


def names_delimiter(line: str) -> bool:
    """Tell whether a line above the header tells Excel the delimiter, such as `sep=;`."""
    return re.fullmatch(r'\s*"?sep=.?"?\s*', line, re.IGNORECASE) is not None


def line_limit() -> int:
    """Return the maximum length of a line, or of a row of Parquet as text, in bytes.

    Raises:
        DeclarationError: the environment variable is not a whole number of megabytes.
    """
    megabytes = os.environ.get(LINE_MB) or "64"
    if not megabytes.isascii() or not megabytes.isdigit() or not int(megabytes):
        raise DeclarationError(f"{LINE_MB} is {megabytes!r}; it must be a whole number of megabytes, from 1.")
    return int(megabytes) << 20


def too_long(number: int) -> UnreadableFile:
    """Return the error for a line that is too long, by its number."""
    return UnreadableFile(
        f"Line {number} is longer than {line_limit() >> 20} MB: send the file in shorter lines, "
        f"or allow longer ones with {LINE_MB}."
    )


def skip_byte_order_mark(stream: BufferedReader) -> None:
    """Move a stream past the byte order mark that some editors write at the start of a file."""
    if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        stream.seek(0)
