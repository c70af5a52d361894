"""What every format gives: batches of text rows, and an account of the lines they come from."""

from __future__ import annotations

import codecs
import gzip
import io
from dataclasses import dataclass, field

import pyarrow as pa

from assay.landing.declared import LandingTable

Stream = io.BufferedReader | gzip.GzipFile
NOT_UTF8 = "not UTF-8: send the file again in UTF-8"


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
    lost_columns: list[str] = field(default_factory=list)


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


def verdict_columns(table: LandingTable) -> list[str]:
    """Columns of a landing table that say what its schema's mode made of a row; NULL in most."""
    return ["schema_conflict"] if table.format == "csv" else ["line_as_declared", "schema_conflict"]


def decode(raw: bytes) -> tuple[str, str | None]:
    """Return a line as text and, where it is not UTF-8, why it is malformed."""
    try:
        return raw.decode(), None
    except UnicodeDecodeError:
        return raw.decode(errors="backslashreplace"), NOT_UTF8


def skip_byte_order_mark(stream: Stream) -> None:
    """Move a stream at its start past the mark that some editors write there."""
    if stream.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
        stream.seek(0)
