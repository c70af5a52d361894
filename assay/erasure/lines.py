"""Take lines out of a landed file, so that all other lines keep their numbers and read as before."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, AnyStr, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assay.core.disk import make_private, put_in_place, sync
from assay.core.encryption import EncryptionKey, find_encryption_key
from assay.core.fault import Fault
from assay.core.sealed_content import create_content, find_content_key, open_content
from assay.landing.declared import LandingTable
from assay.landing.discover import LandingFile, UnreadableFile, file_at, members_of
from assay.landing.formats.encoding import line_encoding
from assay.landing.formats.rows import Tally
from assay.landing.merged import rewrite_merged
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
    new = target.with_name(f".{target.name}")
    is_text = _is_text(file)
    tally = Tally()
    try:
        if not spans:
            for _ in read_file(file, table, 0, tally):
                pass
            return Emptied(hash_of(target), target.stat().st_size, tally, is_text)
        new.unlink(missing_ok=True)
        make_private(new)
        # One that is plain is for others to read, too.
        key = find_encryption_key() if find_content_key(target) else None
        if is_text:
            _write_lines(file, new, key, table, spans)
        else:
            _write_rows(file, new, key, spans)
        # By its name, a segment of a stream is known for one.
        described = replace(file_at(new), name=file.name)
        rows = _without(read_file(file, table, 0, Tally()), [first for first, _ in spans])
        if not _are_equal(rows, read_file(described, table, 0, tally), is_text):
            raise Fault(_cannot(file, "its other rows would read differently."))
        content, size = hash_of(new), new.stat().st_size
        announce(content)
        put_with_its_time(new, target)
        return Emptied(content, size, tally, is_text)
    except (UnreadableFile, UnicodeError, pa.ArrowException) as error:
        raise Fault(_cannot(file, str(error))) from error
    finally:
        new.unlink(missing_ok=True)


def empty_members(
    merged: Path,
    wanted: Sequence[tuple[LandingFile, LandingTable, Sequence[tuple[int, int]], Callable[[str], None]]],
) -> list[Emptied]:
    """Rewrite a merged file without some rows of the landed files that it holds.

    Args:
        merged: the merged file.
        wanted: each landed file of it from which rows go, with its landing table, and spans and announce as
            for `empty_lines`.

    Returns:
        What has become of each, in the order of `wanted`.

    Raises:
        Fault: a file cannot be read, or would not read as before; the merged one is as it was.
        OSError: it cannot be written.
    """
    landing = merged.parents[3]
    new, content = merged.with_name(f".{merged.name}"), merged.with_name(".content.parquet")

    def write(file: LandingFile, table: LandingTable, spans: Sequence[tuple[int, int]]) -> Path:
        make_private(content)
        key = find_encryption_key()
        if _is_text(file):
            _write_lines(file, content, key, table, spans)
        else:
            _write_rows(file, content, key, spans)
        return content

    changes = {file.member: partial(write, file, table, spans) for file, table, spans, _ in wanted}
    try:
        before = [file.member for file in members_of(landing, merged)]
        rewrite_merged(merged, new, [changes.get(each) for each in before])
        after = dict(zip(before, members_of(landing, new), strict=True))
        found = []
        for file, table, spans, _ in wanted:
            rewritten, is_text, tally = after[file.member], _is_text(file), Tally()
            rows = _without(read_file(file, table, 0, Tally()), [first for first, _ in spans])
            if not _are_equal(rows, read_file(rewritten, table, 0, tally), is_text):
                raise Fault(_cannot(file, "its other rows would read differently."))
            assert rewritten.member
            found.append(Emptied(rewritten.member.content_sha256, rewritten.size, tally, is_text))
        for (*_, announce), each in zip(wanted, found, strict=True):
            announce(each.sha256)
        put_in_place(new, merged)
        sync(merged.parent)
        return found
    except (UnreadableFile, UnicodeError, pa.ArrowException) as error:
        raise Fault(f"{merged} cannot be rewritten without the person's lines: {error}") from error
    finally:
        new.unlink(missing_ok=True)
        content.unlink(missing_ok=True)


def read_emptied(file: LandingFile, table: LandingTable) -> Emptied:
    """Describe a landed file within a merged one, of which rows are gone already.

    Raises:
        UnreadableFile: it cannot be read.
    """
    assert file.member is not None
    tally = Tally()
    for _ in read_file(file, table, 0, tally):
        pass
    return Emptied(file.member.content_sha256, file.member.size, tally, _is_text(file))


def _is_text(file: LandingFile) -> bool:
    return ".parquet" not in [each.lower() for each in file.path.suffixes]


def put_with_its_time(new: Path, target: Path) -> None:
    """Move a rewritten landed file over the old one, and keep the time of that.

    Raises:
        OSError: it cannot be moved.
    """
    status = target.stat()
    # Where no folder says when the file landed, its time does.
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    sync(new)
    put_in_place(new, target)
    sync(target.parent)


def hash_of(file: Path) -> str:
    """Return the SHA-256 of a file's content, which is that of the file where it is not encrypted.

    Raises:
        Fault: it is encrypted and there is no key, or another one.
        OSError: it cannot be read.
    """
    with open_content(file) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _cannot(file: LandingFile, why: str) -> str:
    return (
        f"{file.path} cannot be rewritten without the person's lines: {why} "
        "Take the file away, and try again."
    )


def _without(batches: Iterable[pa.RecordBatch], gone: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """Yield the rows that stay."""
    numbers = pa.array(gone, pa.int64())
    for batch in batches:
        yield batch.filter(pc.invert(pc.is_in(batch["row_number"], value_set=numbers)))


def _are_equal(left: Iterable[pa.RecordBatch], right: Iterable[pa.RecordBatch], has_numbers: bool) -> bool:
    """Tell whether two files have the same rows, however they come in batches.

    Args:
        left: of one.
        right: of the other.
        has_numbers: whether the rows have the same numbers, too.
    """
    ones, others = iter(left), iter(right)
    one = other = None
    while True:
        one = (
            one if one is not None and one.num_rows else next((each for each in ones if each.num_rows), None)
        )
        other = (
            other
            if other is not None and other.num_rows
            else next((each for each in others if each.num_rows), None)
        )
        if one is None or other is None:
            return one is other
        rows = min(one.num_rows, other.num_rows)
        parts = [each.slice(0, rows) for each in (one, other)]
        if not has_numbers:
            parts = [each.drop_columns(["row_number"]) for each in parts]
        if not parts[0].equals(parts[1]):
            return False
        one, other = one.slice(rows), other.slice(rows)


def _write_lines(
    file: LandingFile,
    new: Path,
    key: EncryptionKey | None,
    table: LandingTable,
    spans: Sequence[tuple[int, int]],
) -> None:
    """Write a text with some lines emptied; each keeps its end."""
    declared = table.dialect.encoding
    is_converted = codecs.lookup(line_encoding(table)).name != codecs.lookup(declared).name
    gone = iter(sorted(spans))
    first, after = next(gone)
    with file.open() as packed, create_content(new, key) as stream, ExitStack() as opened:
        plain: IO[Any] = packed
        written: IO[Any] = stream
        if _is_gzip(file):
            plain = cast(IO[Any], opened.enter_context(gzip.open(packed)))
            written = cast(IO[Any], opened.enter_context(gzip.GzipFile("", "wb", fileobj=stream, mtime=0)))
        if is_converted:
            plain, written = (
                opened.enter_context(io.TextIOWrapper(each, declared, "surrogatepass", newline="\n"))
                for each in (plain, written)
            )
        for number, line in enumerate(plain, 1):
            while number >= after:
                first, after = next(gone, (sys.maxsize, sys.maxsize))
            written.write(_end_of(line) if number >= first else line)


def _end_of(line: AnyStr) -> AnyStr:
    """Return with what a line ends."""
    content = line.rstrip("\n" if isinstance(line, str) else b"\n")
    return line[len(content.removesuffix("\r" if isinstance(content, str) else b"\r")) :]


def _write_rows(
    file: LandingFile, new: Path, key: EncryptionKey | None, spans: Sequence[tuple[int, int]]
) -> None:
    """Write a Parquet file without some rows, one row group after another."""
    gone = pa.array([first for first, _ in spans], pa.int64())
    with ExitStack() as opened:
        source: IO[bytes] = opened.enter_context(file.open())
        target: IO[bytes] = opened.enter_context(create_content(new, key))
        if _is_gzip(file):
            # It is read from its end, and written before it is packed.
            packed, source = source, opened.enter_context(TemporaryFile())
            with gzip.open(packed) as plain:
                shutil.copyfileobj(plain, source)
            end, target = target, opened.enter_context(TemporaryFile())
        whole = opened.enter_context(pq.ParquetFile(source))
        with pq.ParquetWriter(target, whole.schema_arrow, compression=_compression_of(whole)) as writer:
            number = 1
            for group in range(whole.num_row_groups):
                rows = whole.read_row_group(group)
                numbers = pa.array(range(number, number + rows.num_rows), pa.int64())
                writer.write_table(rows.filter(pc.invert(pc.is_in(numbers, value_set=gone))))
                number += rows.num_rows
        if _is_gzip(file):
            target.seek(0)
            with gzip.GzipFile("", "wb", fileobj=end, mtime=0) as written:
                shutil.copyfileobj(target, written)


def _compression_of(file: pq.ParquetFile) -> str:
    """Return how the columns of a file are packed."""
    if not (file.metadata.num_row_groups and file.metadata.num_columns):
        return "snappy"
    found = file.metadata.row_group(0).column(0).compression.lower()
    return found if found in ("gzip", "zstd", "brotli") else "snappy"


def _is_gzip(file: LandingFile) -> bool:
    return not file.member and file.path.suffix.lower() == ".gz"
