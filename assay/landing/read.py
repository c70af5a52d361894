"""Read one landed file in the format that its name's ending and its table give."""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from tempfile import TemporaryFile
from typing import cast

import pyarrow as pa

from assay.core.fault import Fault
from assay.landing.declared import LandingTable
from assay.landing.discover import LandingFile, UnreadableFile, cannot_be_read
from assay.landing.formats.delimited import read_csv
from assay.landing.formats.encoding import splittable
from assay.landing.formats.json_lines import read_jsonl
from assay.landing.formats.messages import read_messages, without_message
from assay.landing.formats.parquet import read_parquet
from assay.landing.formats.rows import Tally
from assay.landing.formats.signatures import refuse_other_kinds
from assay.landing.segments import segment_of

Reader = Callable[[BufferedReader, LandingFile, LandingTable, int, Tally], Iterator[pa.RecordBatch]]
_READERS: dict[tuple[str, str], Reader] = {
    ("csv", ".csv"): read_csv,
    ("csv", ".tsv"): read_csv,
    ("csv", ".parquet"): read_parquet,
    ("jsonl", ".jsonl"): read_jsonl,
    ("jsonl", ".ndjson"): read_jsonl,
    ("jsonl", ".json"): read_jsonl,
    ("jsonl", ".parquet"): read_parquet,
}


def read_file(file: LandingFile, table: LandingTable, file_id: int, tally: Tally) -> Iterator[pa.RecordBatch]:
    """Yield the rows of `file` in the shape of `landed_schema(table)`, and count its lines in `tally`.

    Raises:
        UnreadableFile: the file cannot be read for any reason, such as missing columns, a wrong delimiter or
            ending, a broken archive, no permission, too little memory.
        Fault: it is encrypted and there is no key, or another one.
    """
    is_gzip, ending = _ending_of(file.path)
    is_gzip = is_gzip and not file.member
    is_segment = table.is_streamed and segment_of(file.name) is not None
    reader = read_messages if is_segment else find_reader(file.path, table)
    try:
        with (
            file.open() as stream,
            _unpacked(stream, ending, is_gzip=is_gzip, is_merged=file.member is not None) as plain,
        ):
            if reader is not read_parquet:
                refuse_other_kinds(plain)
                plain = plain if is_segment else splittable(plain, table)
            rows = reader(plain, file, table, file_id, tally)
            yield from rows if is_segment else (without_message(batch, table) for batch in rows)
    except EOFError as error:
        raise UnreadableFile("The .gz ends before its data does: send the file again, whole.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        # The text behind the colon or in brackets may quote the file, so it is cut off.
        what = str(error).partition(" (")[0]
        raise UnreadableFile(f"The .gz is damaged ({what}): send the file again.") from error
    except (UnreadableFile, Fault):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise UnreadableFile(cannot_be_read(error)) from error
        # The error's own message is not shown, because it may quote the file.
        name = type(error).__name__
        if reader is read_parquet:
            message = f"Not Parquet that can be read ({name}): send the file again, or in another format."
        else:
            message = f"Cannot be read ({name}): send the file again."
        raise UnreadableFile(message) from error


def find_reader(path: Path, table: LandingTable) -> Reader:
    """Return what reads files of a table whose names end like that of `path`.

    Raises:
        UnreadableFile: nothing does.
    """
    ending = _ending_of(path)[1]
    reader = _READERS.get((table.format, ending))
    if reader is None:
        wanted = sorted(suffix for format_, suffix in _READERS if format_ == table.format)
        raise UnreadableFile(
            f"The name ends in {ending or 'nothing'}, but {table.source}/{table.name} takes "
            f"{', '.join(wanted)} (or the same with .gz): rename the file or send it in one of these."
        )
    return reader


def _ending_of(path: Path) -> tuple[bool, str]:
    """Tell whether a file is packed, and what its name ends in without that."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    is_gzip = bool(suffixes) and suffixes[-1] == ".gz"
    return is_gzip, suffixes[-2] if is_gzip and len(suffixes) > 1 else (suffixes or [""])[-1]


@contextmanager
def _unpacked(
    stream: BufferedReader, ending: str, *, is_gzip: bool, is_merged: bool
) -> Iterator[BufferedReader]:
    """Unpack a file while it is read; Parquet, which is read from its end, goes to a temporary file."""
    if ending == ".parquet" and (is_gzip or is_merged):
        with TemporaryFile() as whole:
            if is_gzip:
                with gzip.open(stream) as unpacked:
                    shutil.copyfileobj(unpacked, whole)
            else:
                shutil.copyfileobj(stream, whole)
            whole.seek(0)
            yield cast(BufferedReader, whole)
    elif is_gzip:
        with gzip.open(stream) as packed, cast(BufferedReader, BufferedReader(packed)) as plain:
            yield plain
    else:
        yield stream
