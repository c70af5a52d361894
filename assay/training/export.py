"""Write the rows of a version to files, in shards for parallel readers (`assay training-set export`)."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from assay.console.progress import Display
from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.sql import quoted, text
from assay.training.card import CARD_FORMATS, write_card
from assay.training.formats import FORMATS
from assay.training.store import Version

_ROWS_A_CHUNK = 1 << 14
# A name that Hugging Face does not take for a data file when it is given the folder.
_MANIFEST = "dataset_info.json"
_CARD = "README.md"
_NULLS_AND_TIMES = {
    "parquet": "types as in the version",
    "arrow": "IPC stream; types as in the version",
    "csv": 'NULL is empty, an empty text is ""; times are UTC, as 2025-01-31 10:00:00.000000',
    "jsonl": "decimals are numbers with all their digits; times are UTC, as 2025-01-31T10:00:00.000000; "
    "NaN and infinities are null",
    "tfrecord": "tf.train.Example; NULL is an absent feature; whole numbers and booleans are int64, times "
    "microseconds and dates days since 1970 (UTC), other numbers float of 32 bits, texts bytes in UTF-8",
}


@dataclass(frozen=True)
class Shard:
    """A file that was written."""

    file: str
    rows: int
    bytes: int
    sha256: str


def export(
    version: Version, format_name: str, shards: int, out: Path, split: str | None, display: Display
) -> list[Shard]:
    """Write a version to a new or empty folder, whole or not at all.

    dataset_info.json describes the export, and Hugging Face `datasets` loads it by the card README.md.

    Rows are ordered by the MD5 of their key and cut into shards whose sizes differ by one row at most. So
    each shard is a random sample, and the same version always gives the same bytes.

    Args:
        version: the version to export.
        format_name: one of `FORMATS`.
        shards: the number of files to write.
        out: the folder to write to.
        split: the value of column `split` to export; None for all rows.
        display: shows the progress.

    Raises:
        Fault: the folder is not empty, there are fewer rows than shards, the format cannot hold the rows, or
            the disk is full.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Fault(f"{out} is not an empty folder: name another with --out, or empty it.", MISUSED)
    rows = _rows_of(version, split)
    if shards > rows:
        raise Fault(
            f"{rows} rows cannot be divided into {shards} shards: ask for fewer with --shards.", MISUSED
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    # A run that was killed leaves this folder behind; the next export to the same folder removes it.
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        written = _write(version, format_name, shards, unfinished, split, rows, display)
        unfinished.replace(out)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise known_fault(error) or Fault(
            f"{version.manifest.version} cannot be exported: {error}"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return written


def _rows_of(version: Version, split: str | None) -> int:
    if split is None:
        return version.manifest.rows
    rows = {each.split: each.rows for each in version.manifest.splits}
    if split not in rows:
        known = f"Its splits are {', '.join(rows)}." if rows else "It has no splits."
        raise Fault(f"{version.manifest.version} has no split {split}. {known}", MISUSED)
    return rows[split]


def _write(
    version: Version, format_name: str, shards: int, out: Path, split: str | None, rows: int, display: Display
) -> list[Shard]:
    manifest = version.manifest
    stem = f"{manifest.name}-{split}" if split else manifest.name
    sizes = [rows * (number + 1) // shards - rows * number // shards for number in range(shards)]
    written = []
    where = f"where split = {text(split)}" if split else ""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        selected = connection.sql(
            f"from read_parquet({text(version.data)}) {where} "
            f"order by md5(concat_ws('|', {quoted(*manifest.primary_key)})), {quoted(*manifest.primary_key)}"
        )
        chunks = _Chunks(selected.to_arrow_reader(_ROWS_A_CHUNK))
        for number, size in enumerate(sizes):
            file = out / f"{stem}-{number:05}-of-{shards:05}.{format_name}"
            with FORMATS[format_name](file, chunks.schema) as write:
                for chunk in chunks.take(size):
                    write(chunk)
            with file.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            written.append(Shard(file.name, size, file.stat().st_size, sha256))
            display.say(f"{file.name}: {size:,} rows")
    described = {
        "version": manifest.version,
        "content_hash": manifest.content_hash,
        "split": split,
        "rows": rows,
        "format": format_name,
        "written": _NULLS_AND_TIMES[format_name],
        "columns": [
            {"name": each.name, "type": each.type, "description": each.description}
            for each in manifest.columns
        ],
        "shards": [asdict(shard) for shard in written],
    }
    (out / _MANIFEST).write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n")
    if format_name in CARD_FORMATS:
        (out / _CARD).write_text(write_card(manifest, chunks.schema, format_name, split))
    return written


class _Chunks:
    """Cuts the batches of a reader into chunks whose sizes do not depend on the batches."""

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self.schema = reader.schema
        self._reader = reader
        self._rest = self.schema.empty_table()

    def take(self, rows: int) -> Iterator[pa.Table]:
        """Return the next `rows` rows."""
        while rows:
            wanted = min(rows, _ROWS_A_CHUNK)
            while self._rest.num_rows < wanted:
                batch = self._reader.read_next_batch()
                self._rest = pa.concat_tables([self._rest, pa.Table.from_batches([batch])])
            yield self._rest.slice(0, wanted).combine_chunks()
            self._rest = self._rest.slice(wanted)
            rows -= wanted
