"""Load new files of the landing zone into schema `landing`, once each, in transactions."""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, groupby
from pathlib import Path

import duckdb
import pyarrow as pa

from assay.core.places import COLD
from assay.core.sql import folded, quoted
from assay.core.structure import bring_up_to_date
from assay.core.words import counted
from assay.landing.declared import DeclarationError, LandingTable, declared_tables
from assay.landing.discover import (
    FILE_CHANGED,
    LINKS,
    LandingFile,
    LandingFolderMissing,
    UnreadableFile,
    cannot_be_read,
    discover,
    discover_cold,
)
from assay.landing.formats.rows import Tally, landed_schema, line_limit, verdict_columns
from assay.landing.read import read_file
from assay.landing.schema import expected, sightings
from assay.landing.schema.acceptance import take_accepted
from assay.landing.schema.changes import Change
from assay.landing.schema.expected import Expected
from assay.landing.schema.find import find_changes, landed_rows, needs_all_rows
from assay.landing.schema.sightings import keep_sightings
from assay.landing.schema.treat import set_aside
from assay.landing.schema.values import pointer
from assay.landing.segments import Offsets, Range, segment_of

_BYTES_A_TRANSACTION = 256 << 20
_ROWS_LOOKED_AT_OF_A_BATCH = 50
_BYTES_LOOKED_AT = 128 << 20
_CHARACTERS_OF_AN_ERROR = 1000

# Path and content identify a file: the same path with other content is a new version.
# landing.signatures saves reading an unchanged file again.
_FILES = """
create schema if not exists landing;
create table if not exists landing.files (
    file_id bigint not null,
    source_name varchar not null,
    table_name varchar not null,
    source_file varchar not null,
    file_version integer not null,
    size_bytes bigint not null,
    content_sha256 varchar,
    landed_at timestamp not null,
    status varchar not null,
    error varchar,
    line_count bigint not null,
    header_line_count bigint not null,
    blank_line_count bigint not null,
    row_line_count bigint not null,
    row_count bigint not null,
    malformed_row_count bigint not null,
    unexpected_columns varchar[] not null,
    loaded_at timestamp not null,
    run_id varchar not null,
    erased_line_count bigint not null default 0,
    erased_row_count bigint not null default 0
);
create table if not exists landing.signatures (source_file varchar not null, signature varchar not null);
"""
#: SQL that creates the tables about files.
SCHEMA = _FILES + expected.SCHEMA + sightings.SCHEMA


@dataclass
class _Version:
    """A version of a file, and the outcome of loading it; `fault` says why it must not be read."""

    file: LandingFile
    content_sha256: str | None
    file_id: int
    number: int
    landed_at: datetime
    fault: str | None = None
    error: str | None = None
    status: str = "loaded"
    tally: Tally = field(default_factory=Tally)

    def fail(self, error: str, status: str = "failed") -> None:
        """Record why the version cannot be loaded; none of its lines counts."""
        if len(error) > _CHARACTERS_OF_AN_ERROR:
            error = f"{error[:_CHARACTERS_OF_AN_ERROR]}..."
        self.status, self.error, self.tally = status, error, Tally()

    def begin_anew(self) -> None:
        """Reset the outcome after a transaction that was rolled back."""
        self.status, self.error, self.tally = "loaded", None, Tally()

    @property
    def outcome(self) -> tuple[int, str, str | None]:
        return self.number, self.status, self.error


def load_new_files(
    connection: duckdb.DuckDBPyConnection,
    *,
    landing: Path,
    models: Iterable[Path],
    cold: Path | None = None,
    are_cold_lacking: bool = False,
    is_optional: bool = False,
    run_id: str,
    loaded_at: datetime,
    progress: Callable[[str], None] = lambda message: None,
) -> None:
    """Bring `landing.files` and the tables of rows up to date with the files under `landing`.

    A file is loaded whole or not at all. A file that cannot be read does not stop the others: it is recorded
    with its error and tried again in each run, since the remedy may lie outside the file. Rows and record
    are committed together, so a run that is killed leaves each file either loaded or still to be loaded.

    Args:
        connection: a connection to the warehouse, without an open transaction.
        landing: the landing zone's folder.
        models: the folders with the YAML files that declare landing tables.
        cold: the folder to which old files were moved; what the warehouse does not hold of them is loaded.
        are_cold_lacking: whether the warehouse is known to lack each of these, so that each is read.
        is_optional: whether a missing landing zone counts as an empty one.
        run_id: the run's id, which is written to each file's record.
        loaded_at: the time of the run (UTC).
        progress: called after each transaction with a short text about what has been loaded.

    Raises:
        LandingFolderMissing: the landing zone is missing and not optional; or the cold folder is, and the
            warehouse is new.
        DeclarationError: the declaration of a landing table, or an environment variable, is wrong.
    """
    line_limit()
    _check_links()
    bring_up_to_date(connection, SCHEMA)
    tables = declared_tables(*models)
    for table in tables.values():
        _create_table(connection, table)
    take_accepted(connection, tables, loaded_at)
    loader = _Loader(connection, tables, run_id, loaded_at)
    is_missing = is_optional and not landing.exists()
    files: Iterable[LandingFile] = () if is_missing else discover(landing)
    files = chain(loader.cold_files(cold, are_lacking=are_cold_lacking), files) if cold else files
    # Where a merge was killed, the same file may be found in a merged file and beside it.
    distinct: dict[int, _Version] = {}
    for file in files:
        if version := loader.version_to_load(file):
            distinct.setdefault(version.file_id, version)
    found = list(distinct.values())
    pending = list(loader.without_covered(found))
    loader.remember_touched()
    pending.sort(
        key=lambda version: (version.file.source, version.file.table, version.landed_at, version.file.name)
    )
    for place, versions in groupby(pending, key=lambda version: (version.file.source, version.file.table)):
        for batch in _by_size(versions):
            loader.load(tables.get(place), batch)
            progress(f"{'/'.join(place) if all(place) else 'elsewhere'}: {_in_words(batch)}")
    loader.withdraw_others([version.file_id for version in pending if version.status != "loaded"])


def _check_links() -> None:
    setting = os.environ.get(LINKS) or "refuse"
    if setting not in ("follow", "refuse"):
        raise DeclarationError(f"{LINKS} is {setting!r}; it must be follow or refuse.")


def _in_words(versions: list[_Version]) -> str:
    broken = sum(version.status != "loaded" for version in versions)
    rows = sum(version.tally.rows for version in versions)
    loaded = f"{counted(len(versions) - broken, 'file')}, {counted(rows, 'row')}"
    return loaded + f"; {broken:,} not loaded" * bool(broken)


def _by_size(versions: Iterator[_Version]) -> Iterator[list[_Version]]:
    batch: list[_Version] = []
    size = 0
    for version in versions:
        batch.append(version)
        size += version.file.size
        if size >= _BYTES_A_TRANSACTION:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _create_table(connection: duckdb.DuckDBPyConnection, table: LandingTable) -> None:
    """Create the table of rows; newly declared columns are added and filled from `other_values`."""
    wanted = landed_schema(table)
    verdicts = verdict_columns(table)
    types = {pa.int64(): "bigint", pa.string(): "varchar", pa.timestamp("us"): "timestamp"}
    packed = {"line": " using compression zstd"} if _can_pack(connection) else {}
    columns = ", ".join(
        [f"{quoted(column.name)} {types[column.type]}{packed.get(column.name, '')}" for column in wanted]
        + [f"{quoted(name)} varchar" for name in verdicts]
    )
    landed = f"landing.{quoted(table.relation)}"
    connection.execute(f"create table if not exists {landed} ({columns})")
    present = {folded(row[0]) for row in connection.execute(f"describe {landed}").fetchall()}
    for name in verdicts:
        connection.execute(f"alter table {landed} add column if not exists {quoted(name)} varchar")
    for column in [column for column in wanted if folded(column.name) not in present]:
        connection.begin()
        connection.execute(f"alter table {landed} add column {quoted(column.name)} {types[column.type]}")
        if column.name in table.columns:
            connection.execute(
                f"update {landed} set {quoted(column.name)} = json_extract_string(other_values, ?) "
                "where other_values is not null",
                [pointer((column.name,))],
            )
        connection.commit()


def _can_pack(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether the warehouse's file can compress lines with Zstandard: half the size, faster to write.

    In older storage versions of the file, such lines would not be compressed at all.
    """
    [(version,)] = connection.execute(
        "select tags['storage_version'] from duckdb_databases() where database_name = current_database()"
    ).fetchall()
    found = re.match(r"v(\d+)\.(\d+)", version or "")
    return found is not None and (int(found[1]), int(found[2])) >= (1, 2)


class _Loader:
    """Loads files into the warehouse; knows which files the warehouse already holds."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        tables: dict[tuple[str, str], LandingTable],
        run_id: str,
        loaded_at: datetime,
    ) -> None:
        self._connection = connection
        self._tables = tables
        self._run_id = run_id
        self._loaded_at = loaded_at
        self._expected: dict[str, Expected] = {}
        self._are_cold_lacking = False
        self.touched: list[LandingFile] = []
        self._signatures = dict(connection.execute("from landing.signatures").fetchall())
        # The highest number among the versions of a file.
        self._latest: dict[str, int] = {}
        self._sizes: set[tuple[str, int]] = set(
            connection.execute(
                "select source_file, size_bytes from landing.files where status = 'loaded'"
            ).fetchall()
        )
        self._given: dict[tuple[str, str | None], int] = {}
        self._known: dict[str, dict[str | None, tuple[int, str, str | None]]] = {}
        for name, content, number, status, error in connection.execute(
            "select source_file, content_sha256, file_version, status, error from landing.files"
        ).fetchall():
            self._known.setdefault(name, {})[content] = (number, status, error)
            if content is not None:
                self._latest[name] = max(number, self._latest.get(name, 0))

    def cold_files(self, cold: Path, *, are_lacking: bool) -> list[LandingFile]:
        """Return the files that were moved out of the landing zone.

        A warehouse that holds rows goes without them, since they were loaded before they were moved.

        Raises:
            LandingFolderMissing: the folder is missing, and the warehouse is new.
        """
        if cold.is_dir():
            self._are_cold_lacking = are_lacking
            return discover_cold(cold)
        if self._known:
            return []
        raise LandingFolderMissing(
            f"{COLD} is {cold}, which is no folder, and this new warehouse needs the files that were moved "
            f"there: mount its disk, or unset {COLD} to build without them."
        )

    def version_to_load(self, file: LandingFile) -> _Version | None:
        """Return the version of `file` that must be loaded, or None if the warehouse holds it already."""
        if file.is_cold and not file.member:
            # Only what is loaded is moved, so that it need not be read again to be known.
            if not self._are_cold_lacking and (file.name, file.size) in self._sizes:
                return None
        elif not file.member and self._signatures.get(file.name) == file.signature:
            return None
        known = self._known.get(file.name, {})
        content = fault = None
        try:
            content = file.member.content_sha256 if file.member else _sha256(file)
        except UnreadableFile as error:
            fault = str(error)
        except OSError as error:
            fault = cannot_be_read(error)
        latest = self._latest.get(file.name, 0)
        new_number = self._given.get((file.name, content)) or (
            file.member.version if file.member else latest + 1
        )
        number, status, _ = known.get(content, (new_number, "new", None))
        self._given[file.name, content] = number
        if content is not None:
            self._latest[file.name] = max(latest, number)
        if status in ("loaded", "covered"):
            if not (file.member or file.is_cold):
                self.touched.append(file)
            return None
        landed_at = self._loaded_at
        try:
            landed_at = file.landed_at
        except UnreadableFile as error:
            fault = fault or str(error)
        return _Version(file, content, _file_id(file.name, content), number, landed_at, fault)

    def without_covered(self, found: list[_Version]) -> Iterator[_Version]:
        """Yield the versions to load: of segments, those whose messages come in no other.

        A segment is covered where the warehouse holds its messages already, because segments are merged into
        larger ones. Where one lies beside what it was merged from, the larger is loaded, unless it failed.
        """
        loaded: dict[tuple[str, ...], list[Range]] = defaultdict(list)
        for name, versions in self._known.items():
            if (segment := segment_of(name)) and any(
                status == "loaded" for _, status, _ in versions.values()
            ):
                loaded[_partition_of(name)].append((segment.first, segment.last))
        held = defaultdict(Offsets, {place: Offsets(ranges) for place, ranges in loaded.items()})
        waiting: dict[tuple[str, ...], Offsets] = defaultdict(Offsets)
        segments = []
        for version in found:
            if segment := segment_of(version.file.name):
                has_failed = version.content_sha256 in self._known.get(version.file.name, {})
                segments.append((has_failed, segment.first - segment.last, version, segment))
            else:
                yield version
        covered = []
        for _, _, version, segment in sorted(segments, key=lambda each: each[:2]):
            place, offsets = _partition_of(version.file.name), (segment.first, segment.last)
            if held[place].overlap(offsets) == offsets:
                version.fail("Its messages are loaded already: nothing is left to do.", "covered")
                covered.append(version)
            elif waiting[place].overlap(offsets) == offsets:
                continue
            else:
                if overlap := held[place].overlap(offsets) or waiting[place].overlap(offsets):
                    version.fault = version.fault or (
                        f"Its offsets {overlap[0]} to {overlap[1]} are in other segments too, which are "
                        "loaded: put those back if they are gone, take this one away, and fetch what lacks "
                        "with assay stream run."
                    )
                waiting[place].add(offsets)
                yield version
        if covered:
            self._connection.begin()
            self._record(covered)
            self._remember([version.file for version in covered])
            self._connection.commit()

    def remember_touched(self) -> None:
        """Note the new signatures of files whose content is in the warehouse already."""
        self._connection.begin()
        self._remember(self.touched)
        self._forget_unopened(self.touched)
        self._connection.commit()

    def withdraw_others(self, still_broken: list[int]) -> None:
        """Mark as withdrawn the failed files that have been corrected, replaced or removed since."""
        self._connection.execute(
            "update landing.files set status = 'withdrawn' "
            "where status in ('failed', 'unknown_table') and not list_contains(?::bigint[], file_id)",
            [still_broken],
        )

    def load(self, table: LandingTable | None, versions: list[_Version]) -> None:
        """Load the files of one landing table (None: of a folder that no table declares).

        Loads them in one transaction. If that fails, each half is loaded in a transaction of its own, and so
        on, so that in the end only the faulty file fails.
        """
        try:
            self._load_together(table, versions)
        except duckdb.InterruptException:
            raise
        except Exception as error:
            for version in versions:
                version.begin_anew()
            if table:
                self._expected.pop(table.relation, None)
            if len(versions) > 1:
                half = len(versions) // 2
                self.load(table, versions[:half])
                self.load(table, versions[half:])
            elif versions[0].fault:
                raise
            else:
                # The error's own message is not shown, because it may quote the file.
                versions[0].fault = f"Cannot be loaded ({type(error).__name__}): send the file again."
                self.load(table, versions)

    def _load_together(self, table: LandingTable | None, versions: list[_Version]) -> None:
        self._connection.begin()
        try:
            for version in versions:
                if version.fault:
                    version.fail(version.fault)
                elif table is None:
                    version.fail(_unknown_table(version.file), "unknown_table")
            if table and (readable := [version for version in versions if not version.fault]):
                self._insert(table, readable)
            self._record(versions)
            self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise

    def _insert(self, table: LandingTable, versions: list[_Version]) -> None:
        rows = _Rows(table, versions)
        self._connection.register(
            "landed_batches", pa.RecordBatchReader.from_batches(landed_schema(table), rows.batches())
        )
        try:
            self._connection.execute(
                f"insert into landing.{quoted(table.relation)} by name select * from landed_batches"
            )
        finally:
            self._connection.unregister("landed_batches")
            if rows.ended_by:
                raise rows.ended_by
        self._look_at_schema(table, versions, rows.sample)
        failed = [version.file_id for version in versions if version.status == "failed"]
        if failed:
            self._connection.execute(
                f"delete from landing.{quoted(table.relation)} where list_contains(?, file_id)", [failed]
            )

    def _look_at_schema(
        self, table: LandingTable, versions: list[_Version], sample: list[pa.RecordBatch] | None
    ) -> None:
        """Find how files differ from the declaration, treat their rows by mode, and record the changes."""
        files = {version.file_id: version for version in versions if version.status == "loaded"}
        if table.relation not in self._expected:
            self._expected[table.relation] = Expected(self._connection, table)
        expectation = self._expected[table.relation]
        if sample is None or needs_all_rows(table):
            rows = landed_rows(table, files)
        else:
            rows = "looked_at"
            looked_at = pa.Table.from_batches(sample, landed_schema(table)).combine_chunks()
            self._connection.register(rows, looked_at)
        tallies = {file_id: version.tally for file_id, version in files.items()}
        changes = find_changes(
            self._connection,
            table,
            expectation,
            tallies,
            rows,
            lambda file_id, why: files[file_id].fail(why),
        )
        for file_id, found in changes.items():
            if any(change.mode(table) == "freeze" for change in found):
                files[file_id].fail(_refusal(table, found))
        set_aside(
            self._connection,
            table,
            {
                file_id: [(change, change.mode(table)) for change in found]
                for file_id, found in changes.items()
                if files[file_id].status == "loaded"
            },
        )
        keep_sightings(self._connection, table, changes)
        expectation.keep()

    def _record(self, versions: list[_Version]) -> None:
        loaded = [version.file for version in versions if version.status == "loaded"]
        # Of the same name, another version may lie in the landing zone, whose signature is looked at.
        self._remember([file for file in loaded if not (file.member or file.is_cold)])
        self._forget_unopened([version.file for version in versions if version.content_sha256])
        changed = [version for version in versions if version.outcome != self._known_outcome(version)]
        files = [self._file_row(version) for version in changed]
        self._replace("landing.files", "file_id", files)

    def _known_outcome(self, version: _Version) -> tuple[int, str, str | None] | None:
        return self._known.get(version.file.name, {}).get(version.content_sha256)

    def _file_row(self, version: _Version) -> dict[str, object]:
        file, tally = version.file, version.tally
        return {
            "file_id": version.file_id,
            "source_name": file.source,
            "table_name": file.table,
            "source_file": file.name,
            "file_version": version.number,
            "size_bytes": file.size,
            "content_sha256": version.content_sha256,
            "landed_at": version.landed_at,
            "status": version.status,
            "error": version.error,
            "line_count": tally.lines,
            "header_line_count": tally.header_lines,
            "blank_line_count": tally.blank_lines,
            "row_line_count": tally.row_lines,
            "row_count": tally.rows,
            "malformed_row_count": tally.malformed_rows,
            "unexpected_columns": tally.unexpected_columns,
            "loaded_at": self._loaded_at,
            "run_id": self._run_id,
        }

    def _remember(self, files: list[LandingFile]) -> None:
        signatures: list[dict[str, object]] = [
            {"source_file": file.name, "signature": file.signature} for file in files
        ]
        self._replace("landing.signatures", "source_file", signatures)

    def _forget_unopened(self, files: Iterable[LandingFile]) -> None:
        """Delete the records of files that could not be opened before, but now can: they were no versions."""
        unopened = [_file_id(file.name, None) for file in files if None in self._known.get(file.name, {})]
        if unopened:
            self._connection.execute("delete from landing.files where list_contains(?, file_id)", [unopened])

    def _replace(self, relation: str, key: str, rows: list[dict[str, object]]) -> None:
        """Replace the rows that have the same keys, in two statements for any number of rows."""
        if not rows:
            return
        self._connection.register("replacement_rows", pa.Table.from_pylist(rows))
        self._connection.execute(
            f"delete from {relation} where {key} in (select {key} from replacement_rows)"
        )
        self._connection.execute(f"insert into {relation} by name select * from replacement_rows")
        self._connection.unregister("replacement_rows")


class _Rows:
    """Reads the rows of files, one file after the other, and collects some of them in `sample`.

    `sample` is None if it would grow too large. `ended_by` is an interrupt or exit that came while rows were
    read: DuckDB would turn it into an error of its own.
    """

    def __init__(self, table: LandingTable, versions: list[_Version]) -> None:
        self._table = table
        self._versions = versions
        self.sample: list[pa.RecordBatch] | None = []
        self._sampled = 0
        self.ended_by: BaseException | None = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows. The caller deletes the rows of a file that turns out to be unreadable."""
        for version in self._versions:
            try:
                for batch in read_file(version.file, self._table, version.file_id, version.tally):
                    self._note(batch)
                    yield batch
                if version.file.has_changed():
                    raise UnreadableFile(FILE_CHANGED)
            except UnreadableFile as error:
                version.fail(str(error))
            except (KeyboardInterrupt, SystemExit) as end:
                self.ended_by = end
                raise

    def _note(self, batch: pa.RecordBatch) -> None:
        if self.sample is None:
            return
        every = max(1, -(-batch.num_rows // _ROWS_LOOKED_AT_OF_A_BATCH))
        some = batch.take(pa.array(range(0, batch.num_rows, every))) if every > 1 else batch
        self.sample.append(some)
        self._sampled += some.nbytes
        if self._sampled > _BYTES_LOOKED_AT:
            self.sample = None


def _refusal(table: LandingTable, changes: Iterable[Change]) -> str:
    name = f"{table.source}.{table.name}"
    return (
        f"The file {'; '.join(map(str, changes))}: send it as {name} is declared, "
        f"or accept the change: assay schema accept {name}"
    )


def _unknown_table(file: LandingFile) -> str:
    if not file.table:
        return "Lies outside any <source>/<table>/ folder: move it into one."
    return (
        f"No landing table {file.source}/{file.table} is declared: "
        "declare it under sources: in models/, or move the folder away."
    )


def _partition_of(name: str) -> tuple[str, ...]:
    """Return the folders of a segment: source, table, topic and partition."""
    return tuple(name.split("/")[:-1])


def _sha256(file: LandingFile) -> str:
    with file.open() as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _file_id(name: str, content_sha256: str | None) -> int:
    """Derive a file's id from path and content, so that it does not depend on the order of loading."""
    digest = hashlib.sha256(f"{name}\0{content_sha256}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
