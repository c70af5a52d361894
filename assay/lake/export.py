"""Export a published table to an open format (`assay lake export`)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from assay.console.progress import Display
from assay.core.disk import sync
from assay.core.fault import LOCKED, MISUSED, Fault, extra_needed, known_fault, unknown
from assay.core.lock import hold
from assay.core.sql import quoted, text
from assay.core.words import counted
from assay.lake.formats import COLUMNS, EXPORT, RUN, Change, Format
from assay.lake.types import find_types
from assay.project.published import OpenedTable, open_table

#: What tables may be exported to.
FORMATS = ("iceberg", "delta")
_FILE_SIZE = "256MB"
# Each export adds a file or more. So many small ones are written as one, by the next export that writes.
_SMALL, _MOST_SMALL = 16 * 1024**2, 16
# So DuckDB calls the number of a row in a file and in a table, and no option gives them other names.
_ROW, _ROW_ID = "file_row_number", "rowid"
_FILE, _ID = "assay_file", "assay_row"


@dataclass(frozen=True)
class Exported:
    """What an export did.

    `rows` are those of the table; `added` and `removed` those that differ from the version before. A row that
    has changed is one of each. `is_new` is false where nothing has changed, and nothing was written.
    """

    table: str
    format: str
    folder: Path
    version: str
    rows: int
    added: int
    removed: int
    is_new: bool


def export_table(published: Path, name: str, format: str, place: Path, display: Display) -> Exported:
    """Export a published table to a folder in an open format, as one new version of the table there.

    Rows that have not changed stay in the files they are in. The same table once more makes no version. A
    version is made in one step, after its rows have been read back: a process that is killed leaves the last.

    Args:
        published: the published file.
        name: of the table.
        format: `iceberg` or `delta`.
        place: a folder for tables; the table's own folder in it has its name.
        display: told what goes on.

    Raises:
        Fault: there is no such table or format, the format lacks a type, the place holds something else, or
            what was written is not what is published.
    """
    if format not in FORMATS:
        raise Fault(unknown(f"There is no format {format}", format, FORMATS), MISUSED)
    if ":/" in str(place) or place.is_file():
        copied = "and copy the table's folder from there, _delta_log last"
        if format == "iceberg":
            # It holds the absolute paths of its files.
            copied = "where readers have it; it cannot be copied from there, as a table of Delta can"
        raise Fault(f"{place} is no folder: export to one, {copied}.", MISUSED)
    opened = open_table(published, name)
    types = find_types(name, opened.types, format)
    if taken := [each for each in types if each.lower() in (_ROW, _ROW_ID, _FILE, _ID)]:
        raise Fault(f"{name}: a column {taken[0]} cannot be exported: rename it in the model.", MISUSED)
    place = place.absolute()
    folder = place / name
    with (
        extra_needed("lake", by=f"An export to {format}"),
        hold(
            place / f".{name}.lock",
            command=f"assay lake export --table {name}",
            refuse=lambda holder: Fault(
                f"Another process exports {name} to {place}: {holder}. Try again when it is done.", LOCKED
            ),
        ),
    ):
        _refuse_others(folder, format)
        try:
            return _Export(opened, types, format, folder, display).run()
        except duckdb.Error as error:
            raise known_fault(error) or Fault(f"{name} cannot be exported: {error}") from error
        finally:
            opened.connection.close()
            shutil.rmtree(_spill(folder), ignore_errors=True)


def is_export(folder: Path, format: str) -> bool:
    """Tell whether a folder holds a table of a format, and none of another."""
    is_delta, is_iceberg = (folder / "_delta_log").is_dir(), (folder / "metadata").is_dir()
    return (is_delta, is_iceberg) == (format == "delta", format == "iceberg")


def begin_anew(folder: Path, format: str) -> None:
    """Let the next export of a table whose folder has gone make its first version.

    Raises:
        Fault: extra `lake` is not installed.
    """
    if format == "iceberg":
        with extra_needed("lake", by="An export to iceberg"):
            from assay.lake.iceberg import drop_table
        drop_table(folder)


class _Export:
    def __init__(
        self, opened: OpenedTable, types: dict[str, str], format: str, folder: Path, display: Display
    ) -> None:
        self._opened, self._types, self._display = opened, types, display
        self._connection = opened.connection
        self._folder = folder
        self._format_name = format
        self._id = uuid4().hex
        self._connection.execute("set TimeZone = 'UTC'")
        self._connection.execute(f"set temp_directory = {text(_spill(folder))}")
        self._columns = ", ".join(map(quoted, types))
        self._cast = ", ".join(
            f"{quoted(column)}::{kind} as {quoted(column)}" for column, kind in types.items()
        )
        self._schema = (
            self._run(f"select {self._cast} from {opened.relation} limit 0").to_arrow_table().schema
        )
        self._format = _open_format(format, folder, opened, self._schema)

    def run(self) -> Exported:
        says = self._format.read_says()
        self._remove_leftovers(says)
        there = self._format.list_files() if says is not None else []
        columns = json.dumps(self._types)
        replaces = says is None or says.get(COLUMNS) != columns
        self._display.say(f"Compare {self._opened.name} with what is in {self._folder}")
        self._number_rows([] if replaces else there)
        added, removed, rows = (self._count(each) for each in ("fresh", "gone", "now_rows"))
        if replaces and says is not None:
            removed = self._count_rows(there)
        elif not (added or removed or replaces):
            return self._tell(rows, 0, 0, is_new=False)
        rewritten = there if replaces else self._find_rewritten(there)
        self._display.say(f"Write {counted(added, 'row')} that are new, and files in which rows have changed")
        with self._staged() as staging:
            files = self._write(staging, [] if replaces else rewritten)
            self._check(files, rewritten)
            self._display.say("Make the new version")
            run = self._run("select run_id from published.publication").fetchall()
            self._format.commit(
                Change(files, rewritten, replaces, {EXPORT: self._id, RUN: str(run[0][0]), COLUMNS: columns})
            )
        if {*self._format.list_files()} != {*there} - {*rewritten} | {*files}:
            raise Fault(
                f"{self._folder}: another program has written to the table meanwhile. Export again, and let "
                "nobody else write there."
            )
        return self._tell(rows, added, removed, is_new=True)

    def _tell(self, rows: int, added: int, removed: int, *, is_new: bool) -> Exported:
        return Exported(
            self._opened.name,
            self._format_name,
            self._folder,
            self._format.read_version(),
            rows,
            added,
            removed,
            is_new,
        )

    def _number_rows(self, there: Sequence[Path]) -> None:
        """Find which rows are new and which are gone; rows that are equal are counted one by one."""
        self._run(
            f"create temp table now_rows as select {_ID}, hash({self._columns}) as hash "
            f"from (select {_ROW_ID} as {_ID}, {self._cast} from {self._opened.relation})"
        )
        self._run(
            "create temp table before_rows (file varchar, number bigint, hash ubigint)"
            if not there
            else f"create temp table before_rows as select {_FILE} as file, {_ROW} as number, "
            f"hash({self._columns}) as hash from {_read(there)}"
        )
        has_copies = self._run(
            "select bool_or(copies) from (select count(*) > count(distinct hash) as copies from now_rows "
            "union all select count(*) > count(distinct hash) from before_rows)"
        ).fetchall()[0][0]
        copy = "row_number() over (partition by hash)" if has_copies else "1"
        now, before = (f"(select *, {copy} as copy from {each})" for each in ("now_rows", "before_rows"))
        self._run(
            f"create temp table fresh as from {now} as now anti join {before} as before using (hash, copy)"
        )
        self._run(
            f"create temp table gone as from {before} as before anti join {now} as now using (hash, copy)"
        )

    def _find_rewritten(self, there: Sequence[Path]) -> list[Path]:
        touched = {Path(file) for (file,) in self._run("select distinct file from gone").fetchall()}
        small = [file for file in there if file.stat().st_size < _SMALL]
        return sorted(touched.union(small if len(small) > _MOST_SMALL else ()))

    def _write(self, staging: Path, rewritten: Sequence[Path]) -> list[Path]:
        """Write the rows that are new, with those that stay of files that are written anew."""
        parts = []
        if self._count("fresh") == self._count("now_rows"):
            # In the table's order, in which the values of a file lie close together.
            parts.append(f"select {self._cast} from {self._opened.relation}")
        elif self._count("fresh"):
            parts.append(
                f"select {self._cast} from {self._opened.relation} "
                f"where {_ROW_ID} in (select {_ID} from fresh)"
            )
        if rewritten:
            parts.append(
                f"select {self._columns} from {_read(rewritten)} as before where not exists "
                f"(from gone where gone.file = before.{_FILE} and gone.number = before.{_ROW})"
            )
        rows = " union all by name ".join(parts)
        if not parts or not self._run(f"select count(*) from ({rows})").fetchall()[0][0]:
            return []
        self._run(
            f"copy ({rows}) to {text(staging)} (format parquet, compression zstd, "
            f"file_size_bytes '{_FILE_SIZE}'{self._format.name_fields(self._schema)})"
        )
        files = []
        for file in sorted(staging.glob("*.parquet")):
            # DuckDB begins a new file where one is full, also if no row follows. Iceberg skips it.
            if pq.read_metadata(file).num_rows:
                sync(file)
                files.append(file)
            else:
                file.unlink()
        sync(staging)
        return files

    def _check(self, files: Sequence[Path], rewritten: Sequence[Path]) -> None:
        """Read back what the new version will have, and compare it with what is published."""
        expected = self._run(_sum_up("select hash from now_rows")).fetchall()
        stays = "select hash from before_rows"
        if rewritten:
            stays += f" where file not in ({', '.join(text(file) for file in rewritten)})"
        if files:
            stays += f" union all select hash({self._columns}) from {_read(files)}"
        found = self._run(_sum_up(stays)).fetchall()
        if found != expected:
            raise Fault(
                f"{self._opened.name}: what was written to {self._folder} is not what is published "
                f"({found[0][0]} rows, and not {expected[0][0]}, or other values). The version before stays."
            )

    @contextmanager
    def _staged(self) -> Iterator[Path]:
        """Give the folder of the new files; they are removed if no version has them."""
        staging, marker = self._data / self._id, self._marker
        staging.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(self._id)
        try:
            yield staging
        finally:
            self._remove_leftovers(self._format.read_says())

    def _remove_leftovers(self, says: dict[str, str] | None) -> None:
        """Remove the files of an export that ended before it made its version."""
        if not self._marker.is_file():
            return
        export = self._marker.read_text()
        if export and (says or {}).get(EXPORT) != export:
            shutil.rmtree(self._data / export, ignore_errors=True)
            # What is left of the first export is no table.
            for empty in (self._data, self._folder):
                with suppress(OSError):
                    empty.rmdir()
        self._marker.unlink()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _marker(self) -> Path:
        return self._folder.with_name(f".{self._folder.name}.exporting")

    def _count(self, table: str) -> int:
        return int(self._run(f"select count(*) from {table}").fetchall()[0][0])

    def _count_rows(self, files: Sequence[Path]) -> int:
        return self._count(_read(files)) if files else 0

    def _run(self, sql: str) -> duckdb.DuckDBPyConnection:
        return self._connection.execute(sql)


def _open_format(format: str, folder: Path, opened: OpenedTable, schema: pa.Schema) -> Format:
    if format == "delta":
        from assay.lake.delta import DeltaFolder

        return DeltaFolder(folder, opened.name, schema)
    from assay.lake.iceberg import IcebergFolder

    return IcebergFolder(folder, opened.name, schema, _schema_of(opened))


def _spill(folder: Path) -> Path:
    """Return the folder for what does not fit into memory."""
    return folder.with_name(f".{folder.name}.tmp")


def _schema_of(opened: OpenedTable) -> str:
    [(schema,)] = opened.connection.execute(
        "select schema_name from duckdb_tables() where database_name = current_database() "
        "and table_name = ? order by all limit 1",
        [opened.name],
    ).fetchall()
    return str(schema)


def _refuse_others(folder: Path, format: str) -> None:
    """Refuse a folder in which something else lies than a table of the format."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    is_other = (folder / "_delta_log").is_dir() or (folder / "metadata").is_dir()
    is_started = folder.with_name(f".{folder.name}.exporting").is_file()
    if not is_export(folder, format) and not (is_started and not is_other):
        raise Fault(f"{folder} holds something else than a table of {format}: name another place.", MISUSED)


def _read(files: Iterable[Path]) -> str:
    return f"read_parquet([{', '.join(text(file) for file in files)}], filename = '{_FILE}', {_ROW} = true)"


def _sum_up(hashes: str) -> str:
    """Return SQL of what rows have in common with others of the same content, in any order."""
    return f"select count(*), bit_xor(hash), sum(hash::hugeint) from ({hashes})"
