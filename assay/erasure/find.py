"""Find everything that is kept of a person, by the key: what an erasure removes, and what it cannot see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from assay.core.places import Places, landing_url
from assay.core.sql import quoted, text
from assay.core.words import counted
from assay.erasure.person import Person
from assay.ledger.retentions import cold_folders
from assay.project.conventions import CHECKED
from assay.project.warehouse import attach
from assay.training.store import VersionStore

_POSITION = {"file_id", "row_number"}


@dataclass(frozen=True)
class FileLines:
    """The rows of a person in one version of a landed file.

    `spans` are, of each row, its first line and the line after its last one, counted from 1.
    """

    file_id: int
    source_file: str
    source: str
    table: str
    content_sha256: str | None
    spans: list[tuple[int, int]]


@dataclass(frozen=True)
class Trace:
    """How many rows of a person are in one place, and what becomes of them."""

    place: str
    rows: int
    outcome: str


@dataclass
class Traces:
    """Everything that is kept of a person.

    Attributes:
        lines: of landed files.
        traces: of all places, these files among them.
        unseen: places in which nobody can look by the key, and why.
    """

    lines: list[FileLines] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows there are in all places together."""
        return sum(trace.rows for trace in self.traces)


def find_traces(places: Places, connection: duckdb.DuckDBPyConnection, person: Person) -> Traces:
    """Find everything that is kept of a person.

    Args:
        places: of the project.
        connection: to the warehouse, which is the current database.
        person: who is meant.
    """
    found = Traces(lines=find_lines(connection, person))
    found.traces += [
        Trace(f"landed file {each.source_file}", len(each.spans), "lines are emptied, the file stays")
        for each in found.lines
    ]
    landed: dict[str, int] = defaultdict(int)
    for each in found.lines:
        landed[f"{each.source}__{each.table}"] += len(each.spans)
    found.traces += [Trace(f"landing.{table}", rows, "removed") for table, rows in sorted(landed.items())]
    found.traces += [
        Trace(f"{schema}.{table}", rows, "built anew without the person")
        for schema, table, rows in _rows_of_tables(connection, person)
    ]
    for file in published_files(places):
        with duckdb.connect() as readers:
            attach(readers, file, "found")
            readers.execute("use found")
            rows = sum(count for _, _, count in _rows_of_tables(readers, person))
        found.traces += [Trace(f"published {file}", rows, "removed")] * bool(rows)
    kept = sorted((places.published.parent / "kept").glob("[!.]*"))
    found.traces += [
        Trace(f"publication {each.name}", 0, "removed: a rollback would bring the person back")
        for each in kept
    ]
    found.traces += [
        Trace(f"{file}", 0, "removed: build it again with --as-of") for file in files_as_of(places)
    ]
    for version in VersionStore(places).versions():
        if rows := count_in_parquet(version.data, person):
            found.traces.append(
                Trace(f"training set {version.manifest.version}", rows, "removed: no longer whole")
            )
    found.unseen = list(_unseen(places, connection))
    return found


def find_lines(connection: duckdb.DuckDBPyConnection, person: Person) -> list[FileLines]:
    """Find the landed rows of a person: silver has the key of each, and tells file and line."""
    rows: dict[int, set[int]] = defaultdict(set)
    for schema, table, condition in tables_with(connection, person):
        if table.endswith(CHECKED) and columns_of(connection, schema, table) >= _POSITION:
            for file_id, row in connection.execute(
                f"select file_id, row_number from {quoted(schema)}.{quoted(table)} where {condition}"
            ).fetchall():
                rows[file_id].add(row)
    found = []
    for file_id, name, source, table, content, line_count in connection.execute(
        "select file_id, source_file, source_name, table_name, content_sha256, line_count from landing.files "
        "where list_contains(?::bigint[], file_id) order by source_file, file_version",
        [list(rows)],
    ).fetchall():
        landed = f"landing.{quoted(f'{source}__{table}')}"
        spans = [
            (first, after)
            for first, after in connection.execute(
                "select row_number, coalesce(lead(row_number) over (order by row_number), $2 + 1) "
                f"from {landed} where file_id = $1 order by row_number",
                [file_id, line_count],
            ).fetchall()
            if first in rows[file_id]
        ]
        if spans:
            found.append(FileLines(file_id, name, source, table, content, spans))
    return found


def unread_files(connection: duckdb.DuckDBPyConnection) -> int:
    """Count the loaded files that silver has not read yet, of the landing tables that it reads."""
    checked = [
        f"select distinct file_id from {quoted(schema)}.{quoted(table)}"
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = current_database()"
        ).fetchall()
        if table.endswith(CHECKED) and columns_of(connection, schema, table) >= _POSITION
    ]
    if not checked:
        return 0
    [(count,)] = connection.execute(
        f"""
        with read as ({" union ".join(checked)}),
        tables as (
            select distinct source_name, table_name from landing.files where file_id in (from read)
        )
        select count(*) from landing.files
        where
            status = 'loaded'
            and row_count > 0
            and (source_name, table_name) in (from tables)
            and file_id not in (from read)
        """
    ).fetchall()
    return int(count)


def tables_with(connection: duckdb.DuckDBPyConnection, person: Person) -> Iterator[tuple[str, str, str]]:
    """Yield schema and name of each table in which a column names a person, and SQL for the person's rows."""
    for schema, table in connection.execute(
        "select schema_name, table_name from duckdb_tables() "
        "where database_name = current_database() and not internal order by all"
    ).fetchall():
        if condition := person.condition(columns_of(connection, schema, table)):
            yield schema, table, condition


def columns_of(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> set[str]:
    """Return the columns of a table of the current database."""
    return {
        str(name)
        for (name,) in connection.execute(
            "select column_name from duckdb_columns() "
            "where database_name = current_database() and schema_name = $1 and table_name = $2",
            [schema, table],
        ).fetchall()
    }


def published_files(places: Places) -> list[Path]:
    """Return the files that readers have now: what is published, and what each role may read of it."""
    roles = sorted(places.roles.glob(f"*/{places.published.name}"))
    return [file for file in (places.published, *roles) if file.is_file()]


def files_as_of(places: Places) -> list[Path]:
    """Return the warehouses as of earlier moments, and what is published of them."""
    main = places.main_warehouse
    published = places.published.parent
    return sorted([*main.parent.glob(f"{main.stem}@*{main.suffix}"), *published.glob("*@*.duckdb")])


def count_in_parquet(file: Path, person: Person) -> int:
    """Return how many rows of a Parquet file are a person's."""
    with duckdb.connect() as connection:
        rows = f"read_parquet({text(file)})"
        columns = [row[0] for row in connection.execute(f"describe from {rows}").fetchall()]
        condition = person.condition(columns)
        if condition is None:
            return 0
        return int(connection.execute(f"select count(*) from {rows} where {condition}").fetchall()[0][0])


def _rows_of_tables(connection: duckdb.DuckDBPyConnection, person: Person) -> Iterator[tuple[str, str, int]]:
    for schema, table, condition in tables_with(connection, person):
        [(rows,)] = connection.execute(
            f"select count(*) from {quoted(schema)}.{quoted(table)} where {condition}"
        ).fetchall()
        if rows:
            yield schema, table, rows


def _unseen(places: Places, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    [(malformed,)] = connection.execute(
        "select coalesce(sum(malformed_row_count), 0)::bigint from landing.files"
    ).fetchall()
    if malformed:
        yield f"{counted(malformed, 'malformed row')} of landed files: nobody can read a key in them"
    if landing_url():
        yield f"{landing_url()}: remove the person there, or the files come back from it"
    for cold in cold_folders(places.ledger):
        yield f"{cold}: landed files that assay retain has moved"
    for folder, why in (
        (places.serving, "the server's log of who read what"),
        (Path("logs"), "dbt's log"),
        (places.embeddings, "vectors of texts, without a key"),
    ):
        if folder.exists():
            yield f"{folder}: {why}"
    yield "files that people have exported, and backups"
