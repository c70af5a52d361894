"""Read JSON lines; each line is kept as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BufferedReader

import pyarrow as pa
import pyarrow.compute as pc

from assay.landing.declared import LandingTable
from assay.landing.discover import LandingFile
from assay.landing.formats.rows import (
    Tally,
    arrow_schema,
    decode,
    line_limit,
    too_long,
)

_BYTES_A_CHUNK = 1 << 20
# Some of DuckDB's JSON functions recurse at each level, and thousands of levels crash the process.
_MOST_LEVELS = 256
_TOO_DEEP = f"nested more than {_MOST_LEVELS} levels deep: send flatter documents"
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def read_jsonl(
    stream: BufferedReader, file: LandingFile, table: LandingTable, file_id: int, tally: Tally
) -> Iterator[pa.RecordBatch]:
    """Yield the lines of a file as they are; silver judges whether they are JSON.

    Raises:
        UnreadableFile: a line is too long.
    """
    schema, limit = arrow_schema(table), line_limit()
    unfinished: list[bytes] = []
    size = 0
    while chunk := stream.read(_BYTES_A_CHUNK):
        whole_lines, newline, rest = chunk.rpartition(b"\n")
        if size + (chunk.find(b"\n") if newline else len(chunk)) > limit:
            raise too_long(tally.lines + 1)
        if newline:
            yield from jsonl_batch(b"".join([*unfinished, whole_lines]), schema, file_id, tally)
            unfinished, size = [], 0
        unfinished.append(rest)
        size += len(rest)
    if last := b"".join(unfinished):
        yield from jsonl_batch(last, schema, file_id, tally)


def jsonl_batch(raw: bytes, schema: pa.Schema, file_id: int, tally: Tally) -> Iterator[pa.RecordBatch]:
    """Yield the whole lines in `raw` as one batch; nothing if all are blank."""
    # Arrow splits lines and checks UTF-8 in a fifth of the time that Python's strings take.
    try:
        lines = pc.split_pattern(pa.array([raw], pa.binary()).cast(pa.string()), "\n").flatten()
        reasons = pa.nulls(len(lines), pa.string())
    except pa.ArrowInvalid:
        decoded = [decode(line) for line in raw.split(b"\n")]
        lines = pa.array([line for line, _ in decoded], pa.string())
        reasons = pa.array([reason for _, reason in decoded], pa.string())
    if b"\r" in raw:
        lines = pc.replace_substring_regex(lines, r"\r\z", "")
    reasons = with_too_deep(lines, reasons)
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


def with_too_deep(lines: pa.Array, reasons: pa.Array) -> pa.Array:
    """Add the reason for lines that are nested too deep to the reasons why lines are malformed."""
    opening = pc.add(pc.count_substring(lines, "["), pc.count_substring(lines, "{"))
    suspects = pc.indices_nonzero(pc.greater(opening, _MOST_LEVELS)).to_pylist()
    too_deep = [index for index in suspects if _levels(lines[index].as_py()) > _MOST_LEVELS]
    if not too_deep:
        return reasons
    told = reasons.to_pylist()
    for index in too_deep:
        told[index] = told[index] or _TOO_DEEP
    return pa.array(told, pa.string())


def _levels(line: str) -> int:
    """Return how many levels a document is nested; brackets in strings do not count."""
    level = deepest = 0
    for token in _BRACKETS.finditer(line):
        level += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        deepest = max(deepest, level)
    return deepest
