"""Write the rows of a version to files, in shards for parallel readers (`assay training-set export`)."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from assay.console.progress import Display
from assay.core.fault import MISUSED, Fault, known_fault, unknown
from assay.core.parquet import rows_of_parquet
from assay.core.sql import quoted, text
from assay.training.card import CARD_FORMATS, write_card
from assay.training.formats import FORMATS
from assay.training.store import Version, VersionManifest

_ROWS_A_CHUNK = 1 << 14
# A name that Hugging Face does not take for a data file when it is given the folder.
_MANIFEST = "dataset_info.json"
_CARD = "README.md"
_NOT_IN_NAMES = r"[^\w.-]"
_NULLS_AND_TIMES = {
    "parquet": "types as in the version",
    "arrow": "IPC stream; types as in the version",
    "csv": 'NULL is empty, an empty text is ""; times are UTC, as 2025-01-31 10:00:00.000000',
    "jsonl": "decimals are numbers with all their digits; times are UTC, as 2025-01-31T10:00:00.000000; "
    "NaN and infinities are null",
    "tfrecord": "tf.train.Example; NULL is an absent feature; whole numbers and booleans are int64, times "
    "microseconds and dates days since 1970 (UTC), other numbers float of 32 bits, texts bytes in UTF-8",
    "npy": "a matrix of 64-bit floats, with a column for each of `columns`; NULL is NaN, true is 1",
}


@dataclass(frozen=True)
class Shard:
    """A file that was written."""

    file: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Selected:
    """What is written of a version: `parts` are the numbers of rows by split, None being all rows."""

    format: str
    shards: int
    parts: Mapping[str | None, int]
    columns: list[str]
    compression: str | None

    def files(self, name: str, split: str | None) -> Iterator[tuple[str, int]]:
        """Yield the name and the number of rows of each file of a split."""
        rows = self.parts[split]
        shards = min(self.shards, rows)
        for number in range(shards):
            size = rows * (number + 1) // shards - rows * number // shards
            yield f"{self._stem(name, split)}-{number:05}-of-{shards:05}.{self._ending}", size

    def pattern(self, name: str, split: str | None) -> str:
        """Return the pattern that the names of the split's files have."""
        return f"{self._stem(name, split)}-*.{self._ending}"

    def _stem(self, name: str, split: str | None) -> str:
        # Any text may be a split of a training set, and not every text can be in a file's name.
        return f"{name}-{re.sub(_NOT_IN_NAMES, '_', split)}" if split else name

    @property
    def _ending(self) -> str:
        return f"{self.format}.{self.compression}" if self.compression else self.format


def export(
    version: Version,
    format_name: str,
    shards: int,
    out: Path,
    split: str | None,
    display: Display,
    *,
    columns: Sequence[str] = (),
    compression: str | None = None,
    apart: bool = False,
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
        columns: what rows are to hold; all columns without any.
        compression: one of `COMPRESSIONS`, of JSON lines alone.
        apart: whether each split gets files of its own, as many as `shards` or as it has rows.

    Raises:
        Fault: the folder is not empty, there are fewer rows than shards, there is no such column, the format
            cannot hold the rows, or the disk is full.
    """
    refuse_filled(out)
    _refuse_unknown(version.manifest, format_name, columns)
    parts: dict[str | None, int] = {}
    if apart:
        parts |= {each.split: each.rows for each in version.manifest.splits}
    if not parts:
        parts[split] = _rows_of(version, split)
    if shards > (most := max(parts.values())):
        raise Fault(
            f"{most} rows cannot be divided into {shards} shards: ask for fewer with --shards.", MISUSED
        )
    selected = Selected(format_name, shards, parts, list(columns), compression)
    out.parent.mkdir(parents=True, exist_ok=True)
    # A run that was killed leaves this folder behind; the next export to the same folder removes it.
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        written = _write(version, selected, unfinished, display)
        unfinished.replace(out)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise known_fault(error) or Fault(
            f"{version.manifest.version} cannot be exported: {error}"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return written


def refuse_filled(out: Path) -> None:
    """Check that a folder is empty, or not there.

    Raises:
        Fault: it holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Fault(f"{out} is not an empty folder: name another with --out, or empty it.", MISUSED)


def _refuse_unknown(manifest: VersionManifest, format_name: str, columns: Sequence[str]) -> None:
    if format_name not in FORMATS:
        raise Fault(unknown(f"There is no format {format_name}", format_name, FORMATS), MISUSED)
    known = [each.name for each in manifest.columns]
    for number, name in enumerate(columns):
        if name not in known:
            raise Fault(unknown(f"{manifest.version} has no column {name}", name, known), MISUSED)
        if name in columns[:number]:
            raise Fault(f"Column {name} is named twice: name each once.", MISUSED)


def _rows_of(version: Version, split: str | None) -> int:
    if split is None:
        return version.manifest.rows
    rows = {each.split: each.rows for each in version.manifest.splits}
    if split not in rows:
        known = f"Its splits are {', '.join(rows)}." if rows else "It has no splits."
        raise Fault(f"{version.manifest.version} has no split {split}. {known}", MISUSED)
    return rows[split]


def _write(version: Version, selected: Selected, out: Path, display: Display) -> list[Shard]:
    manifest = version.manifest
    written: list[Shard] = []
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for split in selected.parts:
            where = f"where split = {text(split)}" if split else ""
            rows = connection.sql(
                f"select {quoted(*selected.columns) or '*'} from {rows_of_parquet(version.data)} {where} "
                f"order by md5(concat_ws('|', {quoted(*manifest.primary_key)})), "
                f"{quoted(*manifest.primary_key)}"
            )
            chunks = _Chunks(rows.to_arrow_reader(_ROWS_A_CHUNK))
            for name, size in selected.files(manifest.name, split):
                written.append(_write_shard(out / name, size, chunks, selected.format))
                display.say(f"{name}: {size:,} rows")
    of_name = {each.name: each for each in manifest.columns}
    held = [of_name[name] for name in selected.columns or of_name]
    described = {
        "version": manifest.version,
        "content_hash": manifest.content_hash,
        "split": next(iter(selected.parts)) if len(selected.parts) == 1 else list(selected.parts),
        "rows": sum(selected.parts.values()),
        "format": selected.format,
        "written": _NULLS_AND_TIMES[selected.format],
        "columns": [{"name": each.name, "type": each.type, "description": each.description} for each in held],
        "shards": [asdict(shard) for shard in written],
    }
    (out / _MANIFEST).write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n")
    if selected.format in CARD_FORMATS:
        patterns = {split: selected.pattern(manifest.name, split) for split in selected.parts}
        (out / _CARD).write_text(write_card(manifest, chunks.schema, selected.format, patterns))
    return written


def _write_shard(file: Path, rows: int, chunks: _Chunks, format_name: str) -> Shard:
    with FORMATS[format_name](file, chunks.schema) as write:
        for chunk in chunks.take(rows):
            write(chunk)
    with file.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return Shard(file.name, rows, file.stat().st_size, sha256)


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
