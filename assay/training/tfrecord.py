"""TFRecord files of tf.train.Example messages, written without TensorFlow.

The framing is that of tensorflow/core/lib/io/record_writer.h: length (8 bytes, little endian), its masked
CRC-32C, the message, its masked CRC-32C. The messages are those of tensorflow/core/example/example.proto, in
the encoding of protocol buffers: each field's number and kind, the length of its content, the content.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_LENGTH_FIRST = 2
_CASTAGNOLI = 0x82F63B78


def records(table: pa.Table) -> bytes:
    """Encode each row of a table as a record, with a feature for each value that is not NULL.

    Whole numbers and booleans become int64, times microseconds and dates days since 1970. Other numbers
    become float with 32 bits, the only one that the format has; texts become bytes in UTF-8.
    """
    entries = [_entries(name, table[name]) for name in table.column_names]
    examples = [_field(1, b"".join(row)) for row in zip(*entries, strict=True)]
    lengths = [struct.pack("<Q", len(example)) for example in examples]
    framed = zip(lengths, _masked_crcs(lengths), examples, _masked_crcs(examples), strict=True)
    return b"".join(part for record in framed for part in record)


def _entries(name: str, column: pa.ChunkedArray) -> list[bytes]:
    """Return each row's entry in the map of features; empty if the row has no value."""
    key = _field(1, name.encode())
    column = column.combine_chunks()
    if pa.types.is_list(column.type):
        values = iter(_plain(column.flatten()).to_pylist())
        lengths = pc.list_value_length(column).to_pylist()
        rows = [None if length is None else [next(values) for _ in range(length)] for length in lengths]
        kind = column.type.value_type
    else:
        rows = [None if value is None else [value] for value in _plain(column).to_pylist()]
        kind = column.type
    encode = _encoder(kind)
    return [b"" if row is None else _field(1, key + _field(2, encode(row))) for row in rows]


def _plain(values: pa.Array) -> pa.Array:
    """Convert values to the numbers that are written; texts stay as they are."""
    kind = values.type
    if pa.types.is_timestamp(kind):
        return values.cast(pa.timestamp("us", kind.tz)).cast(pa.int64())
    if pa.types.is_date(kind):
        return values.cast(pa.date32()).cast(pa.int32())
    if pa.types.is_decimal(kind):
        return values.cast(pa.float64())
    return values


def _encoder(kind: pa.DataType) -> Callable[[list[Any]], bytes]:
    if pa.types.is_string(kind):
        return lambda row: _field(1, b"".join(_field(1, text.encode()) for text in row))
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return lambda row: _field(2, _field(1, _floats(row)))
    return lambda row: _field(3, _field(1, b"".join(_varint(int(number)) for number in row)))


def _floats(row: list[Any]) -> bytes:
    # Numbers that are too large for 32 bits become infinite.
    with np.errstate(over="ignore"):
        return np.asarray(row, "<f4").tobytes()


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_FIRST) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Encode a whole number, seven bits a byte, lowest first; a negative one as its 64 bits."""
    number &= 0xFFFFFFFFFFFFFFFF
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _masked_crcs(messages: Sequence[bytes]) -> list[bytes]:
    """Return the masked CRC-32C of each message: a byte of all messages at a time, since Python is slow."""
    lengths = np.array([len(message) for message in messages], np.int64)
    padded = np.zeros((lengths.max(initial=0), len(messages)), np.uint8)
    for number, message in enumerate(messages):
        padded[: len(message), number] = np.frombuffer(message, np.uint8)
    crcs = np.full(len(messages), 0xFFFFFFFF, np.uint32)
    for position, column in enumerate(padded):
        crcs = np.where(position < lengths, _TABLE[(crcs ^ column) & 0xFF] ^ (crcs >> 8), crcs)
    crcs ^= np.uint32(0xFFFFFFFF)
    masked = ((crcs >> 15) | (crcs << 17)) + np.uint32(0xA282EAD8)
    return [crc.tobytes() for crc in masked.astype("<u4")]


def _crc_table() -> npt.NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_CASTAGNOLI), table >> 1).astype(np.uint32)
    return table


_TABLE = _crc_table()
