"""Read one landed file by the format that its name tells and its table takes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import duckdb
import pyarrow as pa

from assay.landing.declared import LandingTable
from assay.landing.discover import LandingFile
from assay.landing.formats.delimited import read_csv
from assay.landing.formats.json_lines import read_jsonl
from assay.landing.formats.parquet import read_parquet
from assay.landing.formats.rows import Tally, UnreadableFile

_READERS = {
    ("csv", ".csv"): read_csv,
    ("csv", ".parquet"): read_parquet,
    ("jsonl", ".jsonl"): read_jsonl,
    ("jsonl", ".ndjson"): read_jsonl,
    ("jsonl", ".json"): read_jsonl,
    ("jsonl", ".parquet"): read_parquet,
}


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
