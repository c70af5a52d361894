"""Take lines out of a landed file, so that all other lines keep their numbers and read as before."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from assay.core.disk import put_in_place, sync
from assay.core.fault import Fault
from assay.landing.declared import LandingTable
from assay.landing.discover import LandingFile, UnreadableFile, file_at
from assay.landing.formats.encoding import line_encoding
from assay.landing.formats.rows import Tally
from assay.landing.read import read_file


@dataclass(frozen=True)
class Emptied:
    """A landed file without some of its rows.

    `sha256` and `size` are those of the new file, `tally` are its lines. `keeps_numbers` says whether the
    other rows have the numbers that they had.
    """

    sha256: str
    size: int
    tally: Tally
    keeps_numbers: bool


def empty_lines(
    file: LandingFile,
    table: LandingTable,
    spans: Sequence[tuple[int, int]],
    announce: Callable[[str], None],
) -> Emptied:
    """Rewrite a landed file without some of its rows.

    The lines of a text stay as empty ones, so that all others keep their numbers. Rows of a Parquet file go.

    Args:
        file: the landed file.
        table: the landing table of which it is.
        spans: of each row, its first line and the line after its last one, counted from 1; with none, the
            file stays as it is.
        announce: called with the SHA-256 of the new file before that takes the place of the old one.

    Raises:
        Fault: the file cannot be read, or would not read as before; it is as it was.
        OSError: it cannot be written.
    """
    target = file.path.resolve()
    before = target.read_bytes()
    new = target.with_name(f".{target.name}")
    try:
        wanted = list(_rows(file, table, {first for first, _ in spans}))
        is_text = ".parquet" not in [each.lower() for each in file.path.suffixes]
        content = before
        if spans:
            content = (
                _without_lines(before, file, table, spans) if is_text else _without_rows(before, file, spans)
            )
        new.write_bytes(content)
        described = file_at(new)
        tally = Tally()
        found = [row for batch in read_file(described, table, 0, tally) for row in batch.to_pylist()]
        if _told(found, is_text) != _told(wanted, is_text):
            raise Fault(_cannot(file, "its other rows would read differently."))
        if content != before:
            announce(_sha256(content))
            status = target.stat()
            # Where no folder says when the file landed, its time does.
            os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
            sync(new)
            put_in_place(new, target)
            sync(target.parent)
        return Emptied(_sha256(content), len(content), tally, is_text)
    except UnreadableFile as error:
        raise Fault(_cannot(file, str(error))) from error
    finally:
        new.unlink(missing_ok=True)


def _cannot(file: LandingFile, why: str) -> str:
    return (
        f"{file.path} cannot be rewritten without the person's lines: {why} "
        "Take the file away, and try again."
    )


def _rows(file: LandingFile, table: LandingTable, without: set[int]) -> Iterator[dict[str, object]]:
    for batch in read_file(file, table, 0, Tally()):
        yield from (row for row in batch.to_pylist() if row["row_number"] not in without)


def _told(rows: Sequence[dict[str, object]], is_text: bool) -> list[dict[str, object]]:
    return list(rows) if is_text else [row | {"row_number": None} for row in rows]


def _without_lines(
    packed: bytes, file: LandingFile, table: LandingTable, spans: Sequence[tuple[int, int]]
) -> bytes:
    """Return a text with some lines emptied; each keeps its end."""
    is_gzip = _is_gzip(file)
    plain = gzip.decompress(packed) if is_gzip else packed
    encoding = line_encoding(table)
    declared = table.dialect.encoding
    is_converted = codecs.lookup(encoding).name != codecs.lookup(declared).name
    if is_converted:
        plain = plain.decode(declared, "surrogatepass").encode("utf-8", "surrogatepass")
    lines = plain.split(b"\n")
    for first, after in spans:
        for number in range(first - 1, min(after - 1, len(lines))):
            lines[number] = b"\r" if lines[number].endswith(b"\r") else b""
    plain = b"\n".join(lines)
    if is_converted:
        plain = plain.decode("utf-8", "surrogatepass").encode(declared, "surrogatepass")
    return gzip.compress(plain, mtime=0) if is_gzip else plain


def _without_rows(packed: bytes, file: LandingFile, spans: Sequence[tuple[int, int]]) -> bytes:
    """Return a Parquet file without some rows."""
    is_gzip = _is_gzip(file)
    whole = pq.read_table(pa.BufferReader(gzip.decompress(packed) if is_gzip else packed))
    gone = {first for first, _ in spans}
    kept = whole.take(pa.array([row for row in range(whole.num_rows) if row + 1 not in gone], pa.int64()))
    sink = pa.BufferOutputStream()
    pq.write_table(kept, sink)
    plain = sink.getvalue().to_pybytes()
    return gzip.compress(plain, mtime=0) if is_gzip else plain


def _is_gzip(file: LandingFile) -> bool:
    return file.path.suffix.lower() == ".gz"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
