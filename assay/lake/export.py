"""Export a published table to an open format (`assay lake export`)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from assay.console.progress import Display
from assay.core.disk import make_private_folder
from assay.core.fault import MISUSED, Fault, extra_needed, known_fault, unknown
from assay.core.sql import quoted, text
from assay.core.words import counted
from assay.lake.formats import COLUMNS, EXPORT, RUN, Change, Format, NewFile
from assay.lake.place import TablePlace
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

    `place` is the table's folder, or its URL in a bucket. `rows` are those of the table; `added` and
    `removed` those that differ from the version before. A row that has changed is one of each. `is_new` is
    false where nothing has changed, and nothing was written.
    """

    table: str
    format: str
    place: str
    version: str
    rows: int
    added: int
    removed: int
    is_new: bool


def export_table(
    published: Path,
    place: TablePlace,
    format: str,
    display: Display,
    *,
    begin: Callable[[], None] = lambda: None,
) -> Exported:
    """Export a published table to its place in an open format, as one new version of the table there.

    Rows that have not changed stay in the files they are in. The same table once more makes no version. A
    version is made in one step, after its rows have been read back: a process that is killed leaves the last.

    Args:
        published: the published file.
        place: of the table, which has the table's name.
        format: `iceberg` or `delta`.
        display: told what goes on.
        begin: called when it is sure that the table can be exported there, before anything is written.

    Raises:
        Fault: there is no such table or format, the format lacks a type, the place holds something else or
            cannot be reached, or what was written is not what is published.
    """
    name = place.name
    if format not in FORMATS:
        raise Fault(unknown(f"There is no format {format}", format, FORMATS), MISUSED)
    opened = open_table(published, name)
    types = find_types(name, opened.types, format)
    if taken := [each for each in types if each.lower() in (_ROW, _ROW_ID, _FILE, _ID)]:
        raise Fault(f"{name}: a column {taken[0]} cannot be exported: rename it in the model.", MISUSED)
    with extra_needed("lake", by=f"An export to {format}"), place.lock():
        shutil.rmtree(place.work, ignore_errors=True)
        make_private_folder(place.work)
        try:
            _refuse_others(place, format)
            begin()
            return _Export(opened, types, format, place, display).run()
        except duckdb.Error as error:
            raise known_fault(error) or Fault(f"{name} cannot be exported: {error}") from error
        finally:
            opened.connection.close()
            shutil.rmtree(place.work, ignore_errors=True)


def begin_anew(place: TablePlace, format: str) -> None:
    """Let the next export of a table whose files have gone make its first version.

    Raises:
        Fault: extra `lake` is not installed.
    """
    if format == "iceberg":
        with extra_needed("lake", by="An export to iceberg"):
            from assay.lake.iceberg import drop_table
        drop_table(place)


class _Export:
    def __init__(
        self, opened: OpenedTable, types: dict[str, str], format: str, place: TablePlace, display: Display
    ) -> None:
        self._opened, self._types, self._display = opened, types, display
        self._connection = opened.connection
        self._place = place
        self._format_name = format
        self._id = uuid4().hex
        self._connection.execute("set TimeZone = 'UTC'")
        self._connection.execute(f"set temp_directory = {text(place.work)}")
        place.let_read(self._connection)
        self._columns = ", ".join(map(quoted, types))
        self._cast = ", ".join(
            f"{quoted(column)}::{kind} as {quoted(column)}" for column, kind in types.items()
        )
        self._schema = (
            self._run(f"select {self._cast} from {opened.relation} limit 0").to_arrow_table().schema
        )
        self._format = _open_format(format, place, opened, self._schema)

    def run(self) -> Exported:
        says = self._format.read_says()
        self._place.remove_leftovers((says or {}).get(EXPORT))
        there = self._format.list_files() if says is not None else {}
        columns = json.dumps(self._types)
        replaces = says is None or says.get(COLUMNS) != columns
        self._display.say(f"Compare {self._opened.name} with what is in {self._place.url}")
        self._number_rows([] if replaces else [*there])
        added, removed, rows = (self._count(each) for each in ("fresh", "gone", "now_rows"))
        if replaces and says is not None:
            removed = self._count_rows([*there])
        elif not (added or removed or replaces):
            return self._tell(rows, 0, 0, is_new=False)
        rewritten = [*there] if replaces else self._find_rewritten(there)
        self._display.say(
            f"Write what is new ({counted(added, 'row')}), and files in which rows have changed"
        )
        with self._noted():
            files = self._write([] if replaces else rewritten)
            self._check([file.key for file in files], rewritten)
            self._display.say("Make the new version")
            run = self._run("select run_id from published.publication").fetchall()
            self._format.commit(
                Change(files, rewritten, replaces, {EXPORT: self._id, RUN: str(run[0][0]), COLUMNS: columns})
            )
        if {*self._format.list_files()} != {*there} - {*rewritten} | {file.key for file in files}:
            raise Fault(
                f"{self._place.url}: another program has written to the table meanwhile. Export again, and "
                "let nobody else write there."
            )
        return self._tell(rows, added, removed, is_new=True)

    def _tell(self, rows: int, added: int, removed: int, *, is_new: bool) -> Exported:
        return Exported(
            self._opened.name,
            self._format_name,
            self._place.url,
            self._format.read_version(),
            rows,
            added,
            removed,
            is_new,
        )

    def _number_rows(self, there: Sequence[str]) -> None:
        """Find which rows are new and which are gone; rows that are equal are counted one by one."""
        self._run(
            f"create temp table now_rows as select {_ID}, hash({self._columns}) as hash "
            f"from (select {_ROW_ID} as {_ID}, {self._cast} from {self._opened.relation})"
        )
        self._run(
            "create temp table before_rows (file varchar, number bigint, hash ubigint)"
            if not there
            else f"create temp table before_rows as select {_FILE} as file, {_ROW} as number, "
            f"hash({self._columns}) as hash from {self._read(there)}"
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

    def _find_rewritten(self, there: Mapping[str, int]) -> list[str]:
        located = {self._place.locate(key): key for key in there}
        touched = {located[file] for (file,) in self._run("select distinct file from gone").fetchall()}
        small = [key for key, size in there.items() if size < _SMALL]
        return sorted(touched.union(small if len(small) > _MOST_SMALL else ()))

    def _write(self, rewritten: Sequence[str]) -> list[NewFile]:
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
                f"select {self._columns} from {self._read(rewritten)} as before where not exists "
                f"(from gone where gone.file = before.{_FILE} and gone.number = before.{_ROW})"
            )
        rows = " union all by name ".join(parts)
        if not parts or not self._run(f"select count(*) from ({rows})").fetchall()[0][0]:
            return []
        staging = self._place.stage(self._id)
        self._run(
            f"copy ({rows}) to {text(staging)} (format parquet, compression zstd, "
            f"file_size_bytes '{_FILE_SIZE}'{self._format.name_fields(self._schema)})"
        )
        files = []
        for file in sorted(staging.glob("*.parquet")):
            # DuckDB begins a new file where one is full, also if no row follows. Iceberg skips it.
            metadata = pq.read_metadata(file)
            if metadata.num_rows:
                size = file.stat().st_size
                files.append(NewFile(self._place.keep(self._id, file), size, metadata))
            else:
                file.unlink()
        return files

    def _check(self, files: Sequence[str], rewritten: Sequence[str]) -> None:
        """Read back what the new version will have, and compare it with what is published."""
        expected = self._run(_sum_up("select hash from now_rows")).fetchall()
        stays = "select hash from before_rows"
        if rewritten:
            stays += f" where file not in ({', '.join(text(self._place.locate(key)) for key in rewritten)})"
        if files:
            stays += f" union all select hash({self._columns}) from {self._read(files)}"
        found = self._run(_sum_up(stays)).fetchall()
        if found != expected:
            raise Fault(
                f"{self._opened.name}: what was written to {self._place.url} is not what is published "
                f"({found[0][0]} rows, and not {expected[0][0]}, or other values). The version before stays."
            )

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Note the export while the block runs; its files are removed if no version has them."""
        self._place.note(self._id)
        try:
            yield
        finally:
            self._place.end(self._id, (self._format.read_says() or {}).get(EXPORT))

    def _count(self, table: str) -> int:
        return int(self._run(f"select count(*) from {table}").fetchall()[0][0])

    def _count_rows(self, files: Sequence[str]) -> int:
        return self._count(self._read(files)) if files else 0

    def _read(self, keys: Iterable[str]) -> str:
        files = ", ".join(text(self._place.locate(key)) for key in keys)
        return f"read_parquet([{files}], filename = '{_FILE}', {_ROW} = true)"

    def _run(self, sql: str) -> duckdb.DuckDBPyConnection:
        return self._connection.execute(sql)


def _open_format(format: str, place: TablePlace, opened: OpenedTable, schema: pa.Schema) -> Format:
    if format == "delta":
        from assay.lake.delta import DeltaLake

        return DeltaLake(place, schema)
    from assay.lake.iceberg import IcebergTable

    return IcebergTable(place, schema, _schema_of(opened))


def _schema_of(opened: OpenedTable) -> str:
    [(schema,)] = opened.connection.execute(
        "select schema_name from duckdb_tables() where database_name = current_database() "
        "and table_name = ? order by all limit 1",
        [opened.name],
    ).fetchall()
    return str(schema)


def _refuse_others(place: TablePlace, format: str) -> None:
    """Refuse a place in which something else lies than a table of the format."""
    found = place.find_formats()
    if found - {format} or not (found or place.is_empty()):
        raise Fault(
            f"{place.url} holds something else than a table of {format}: name another place.", MISUSED
        )


def _sum_up(hashes: str) -> str:
    """Return SQL of what rows have in common with others of the same content, in any order."""
    return f"select count(*), bit_xor(hash), sum(hash::hugeint) from ({hashes})"
