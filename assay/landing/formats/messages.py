"""Write and read messages of a stream, one a line: the broker's own data first, then the value as it came.

A line begins with `_offset`, `_timestamp`, `_landed_at`, `_key` and `_headers`. A value that is a JSON object
follows as its own keys, otherwise as `_value`. Bytes that are no UTF-8 are written as `{"base64": "..."}`,
headers of one name as a list.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from assay.core.sealed_content import open_content
from assay.landing.declared import LandingTable
from assay.landing.discover import LandingFile
from assay.landing.formats.columns import as_declared
from assay.landing.formats.json_lines import read_jsonl, with_too_deep
from assay.landing.formats.rows import Tally, decode, landed_schema
from assay.landing.segments import segment_of

_META = ("_offset", "_timestamp", "_landed_at", "_key", "_headers", "_value")
_TEXT = r'"(?:[^"\\]|\\.)*"'
_BYTES = rf'(?:null|{_TEXT}|\{{"base64":"[^"]*"\}})'
_LINE = (
    r'(?s)^\{"_offset":(?P<offset>\d+),"_timestamp":(?P<message_at>-?\d+|null),"_landed_at":(?P<landed_at>\d+),'
    rf'"_key":(?P<key>{_BYTES}),"_headers":(?:null|\{{(?:[^"{{}}]|{_TEXT}|{_BYTES})*\}}),?(?P<value>.*)$'
)
_PARTS = re.compile(re.sub(r"\?P<\w+>", "", _LINE).replace('"_headers":(?:', '"_headers":(').encode())
_MESSAGES_A_BATCH = 10_000
# The years 1 to 9999, in milliseconds since 1970.
_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999
_WRAPPED = '"_value":'
_NO_MESSAGE = "not a message as a stream lands it: its offset cannot be read"
_NO_OBJECT = "the message is no JSON object"


@dataclass(frozen=True)
class Message:
    """A message of a stream; times are milliseconds since 1970 (UTC).

    `landed_at` is when the broker appended the message if it keeps that, else when it was read.
    """

    offset: int
    timestamp: int | None
    landed_at: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    value: bytes | None


def line_of(message: Message) -> bytes:
    """Return the line that a message is landed as."""
    return b'{"_offset":%d,"_timestamp":%s,"_landed_at":%d,"_key":%s,"_headers":%s%s\n' % (
        message.offset,
        b"null" if message.timestamp is None else b"%d" % message.timestamp,
        message.landed_at,
        _text(message.key),
        _headers(message.headers) if message.headers else b"null",
        _value(message.value),
    )


def message_of(line: bytes) -> Message:
    """Return the message that a line of a segment holds.

    Raises:
        ValueError: no stream has written the line.
    """
    found = _PARTS.fullmatch(line.rstrip(b"\n"))
    if found is None:
        raise ValueError("The line is no message as a stream lands it.")
    offset, timestamp, landed_at, key, headers, rest = found.groups()
    value: bytes | None = b"{" + rest
    if rest.startswith(_WRAPPED.encode()):
        value = _bytes(orjson.loads(rest[len(_WRAPPED) : -1]))
    return Message(
        int(offset),
        None if timestamp == b"null" else int(timestamp),
        int(landed_at),
        _bytes(orjson.loads(key)),
        [
            (name, _bytes(each))
            for name, written in (orjson.loads(headers) or {}).items()
            for each in (written if isinstance(written, list) else [written])
        ],
        value,
    )


def read_segment(path: Path) -> Iterator[list[Message]]:
    """Yield the messages of a segment, in batches.

    Raises:
        Fault: it is encrypted and there is no key, or another one.
        OSError: it cannot be read.
        ValueError: no stream has written it.
    """
    with open_content(path) as packed, gzip.open(packed) as lines:
        # A message of a forgotten person is an empty line.
        messages = (message_of(line) for line in lines if line != b"\n")
        while batch := list(islice(messages, _MESSAGES_A_BATCH)):
            yield batch


def _bytes(written: Any) -> bytes | None:
    if isinstance(written, dict):
        return base64.b64decode(written["base64"])
    return None if written is None else str(written).encode()


def _headers(headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    by_name: dict[str, list[bytes]] = {}
    for name, value in headers:
        by_name.setdefault(name, []).append(_text(value))
    return b"{%s}" % b",".join(
        b"%s:%s" % (orjson.dumps(name), b"[%s]" % b",".join(texts) if len(texts) > 1 else texts[0])
        for name, texts in by_name.items()
    )


def _text(value: bytes | None) -> bytes:
    if value is None:
        return b"null"
    try:
        return orjson.dumps(value.decode())
    except UnicodeDecodeError:
        return b'{"base64":"%s"}' % base64.b64encode(value)


def _value(value: bytes | None) -> bytes:
    """Write the end of a line: the object's own keys, or the value as a text."""
    if value is not None and value[:1] == b"{":
        try:
            document = orjson.loads(value)
        except ValueError:
            document = None
        if document is not None and not any(name in document for name in _META):
            # Within texts, JSON has no line breaks.
            keys = value[1:].replace(b"\n", b" ").replace(b"\r", b" ")
            return b",%s" % keys if document else keys
    return b",%s%s}" % (_WRAPPED.encode(), _text(value))


def read_messages(
    stream: BufferedReader, file: LandingFile, table: LandingTable, file_id: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """Yield the messages of a segment as rows in the shape of `landed_schema(table)`.

    Raises:
        UnreadableFile: a line is too long.
    """
    segment = segment_of(file.name)
    assert segment is not None
    schema = landed_schema(table)
    lost = set(table.columns) - table.optional
    for batch in read_jsonl(stream, file, replace(table, format="jsonl"), file_id, tally):
        found = pc.extract_regex(batch.column("line"), _LINE)
        values, reasons = _values(batch, found)
        if table.format == "csv":
            columns, reasons = _as_columns(values, reasons, table, tally)
            lost -= {name for name in lost if columns[name].null_count < len(batch)}
        else:
            columns = {"line": values}
        tally.malformed_rows += batch.column("malformed_reason").null_count - reasons.null_count
        columns |= {
            "file_id": batch.column("file_id"),
            "row_number": batch.column("row_number"),
            "malformed_reason": reasons,
            "topic": pa.repeat(pa.scalar(segment.topic), len(values)),
            "partition": pa.repeat(pa.scalar(segment.partition, pa.int64()), len(values)),
            "offset": _part(found, "offset").cast(pa.int64()),
            "message_at": _time(found, "message_at"),
            "message_key": _keys(_part(found, "key")),
            "message_landed_at": _time(found, "landed_at"),
        }
        yield pa.record_batch([columns[name] for name in schema.names], schema=schema)
    tally.lost_columns = [name for name in table.columns if tally.rows and name in lost]


def without_message(batch: pa.RecordBatch, table: LandingTable) -> pa.RecordBatch:
    """Return rows of a file that no stream landed in the shape of `landed_schema(table)`."""
    schema = landed_schema(table)
    nulls = [pa.nulls(len(batch), field.type) for field in list(schema)[batch.num_columns :]]
    return pa.record_batch([*batch.columns, *nulls], schema=schema)


def _part(found: pa.StructArray, name: str) -> pa.Array:
    return pc.struct_field(found, name)


def _time(found: pa.StructArray, name: str) -> pa.Array:
    text = _part(found, name)
    milliseconds = pc.if_else(pc.equal(text, "null"), None, text).cast(pa.int64())
    # A sender that counts nanoseconds says nothing of when it sent.
    is_time = pc.and_(pc.greater_equal(milliseconds, _FIRST), pc.less_equal(milliseconds, _LAST))
    milliseconds = pc.if_else(is_time, milliseconds, None)
    return milliseconds.cast(pa.timestamp("ms")).cast(pa.timestamp("us"))


def _values(batch: pa.RecordBatch, found: pa.StructArray) -> tuple[pa.Array, pa.Array]:
    """Return the messages' values as they came, and why those that cannot be read are malformed."""
    rest, reasons = _part(found, "value"), batch.column("malformed_reason")
    values = pc.binary_join_element_wise("{", rest, "")
    others = pc.or_kleene(pc.is_null(rest), pc.starts_with(rest, _WRAPPED))
    others = pc.indices_nonzero(pc.fill_null(others, True)).to_pylist()
    if not others:
        return values, reasons
    texts, why = values.to_pylist(), reasons.to_pylist()
    for index in others:
        wrapped, line = rest[index].as_py(), batch.column("line")[index].as_py()
        texts[index], reason = (
            (line, _NO_MESSAGE) if wrapped is None else _unwrapped(wrapped.removeprefix(_WRAPPED)[:-1])
        )
        why[index] = why[index] or reason
    unwrapped = pa.array(texts, pa.string())
    # Brackets within a text did not count when the line was looked at.
    return unwrapped, with_too_deep(unwrapped, pa.array(why, pa.string()))


def _unwrapped(written: str) -> tuple[str, str | None]:
    try:
        value = orjson.loads(written)
    except ValueError:
        return written, _NO_MESSAGE
    if isinstance(value, dict):
        return decode(base64.b64decode(value["base64"]))
    return "null" if value is None else value, None


def _keys(written: pa.Array) -> pa.Array:
    """Return the keys as texts; a key that is no UTF-8 stays in Base64."""
    plain = pc.utf8_slice_codeunits(written, 1, -1)
    others = pc.or_(pc.invert(pc.starts_with(written, '"')), pc.match_substring(written, "\\"))
    others = pc.indices_nonzero(pc.fill_null(others, False)).to_pylist()
    if not others:
        return plain
    texts = plain.to_pylist()
    for index in others:
        value = orjson.loads(written[index].as_py())
        texts[index] = value["base64"] if isinstance(value, dict) else value
    return pa.array(texts, pa.string())


def _as_columns(
    values: pa.Array, reasons: pa.Array, table: LandingTable, tally: Tally
) -> tuple[dict[str, pa.Array], pa.Array]:
    """Return the columns of a table of CSV from messages that are JSON objects; numbers stay as written."""
    rows: list[dict[str, str | None]] = []
    why, malformed = reasons.to_pylist(), []
    for index, value in enumerate(values.to_pylist()):
        row = None if why[index] else _row(value)
        if row is None:
            why[index] = why[index] or _NO_OBJECT
        malformed.append(value if row is None else None)
        rows.append(row or {})
    names: dict[tuple[str, ...], dict[str, str]] = {}
    columns: dict[str, list[str | None]] = {name: [] for name in (*table.columns, "other_values")}
    for row in rows:
        sent = tuple(row)
        if sent not in names:
            names[sent] = dict(zip(as_declared(list(sent), table), sent, strict=True))
            new = [
                name for name in names[sent] if name not in columns and name not in tally.unexpected_columns
            ]
            tally.unexpected_columns = [*tally.unexpected_columns, *new]
        sent_as = names[sent]
        for name in table.columns:
            columns[name].append(row[sent_as[name]] if name in sent_as else None)
        others = {name: row[each] for name, each in sent_as.items() if name not in columns}
        columns["other_values"].append(json.dumps(others, ensure_ascii=False) if others else None)
    columns["malformed_line"] = malformed
    texts = {name: pa.array(column, pa.string()) for name, column in columns.items()}
    return texts, pa.array(why, pa.string())


def _row(value: str) -> dict[str, str | None] | None:
    """Return a JSON object's values as texts; None if it is no object."""
    try:
        document = json.loads(value, parse_float=str, parse_int=str, parse_constant=str)
        if not isinstance(document, dict):
            return None
        if any(isinstance(each, dict | list) for each in document.values()):
            nested = json.loads(value)
            document = {
                name: json.dumps(nested[name], ensure_ascii=False) if isinstance(each, dict | list) else each
                for name, each in document.items()
            }
    except (ValueError, RecursionError):
        return None
    words = {True: "true", False: "false"}
    return {name: words[each] if isinstance(each, bool) else each for name, each in document.items()}
