"""Find the rows of a person by the key: in landed files, in tables and in files of rows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from assay.core.parquet import rows_of_parquet
from assay.core.places import Places
from assay.core.sql import quoted, text
from assay.erasure.mentions import Mentions
from assay.erasure.person import Person
from assay.project.conventions import CHECKED
from assay.project.shared_lake import find_lakes_as_of, is_shared
from assay.training.store import Version, VersionStore

_POSITION = {"file_id", "row_number"}
_BETWEEN_FIELDS, _ZEROS = re.compile(r"[,;|\t\r\n]"), re.compile(r"(?<=\d)\.0+$")
# A shorter field may be a quantity, or an hour.
_LEAST_LENGTH_OF_FIELD = 4


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


def find_lines(connection: duckdb.DuckDBPyConnection, person: Person) -> list[FileLines]:
    """Find the landed rows of a person: silver has the key of each, and tells file and line.

    Malformed rows are the person's where their text names the person.
    """
    rows: dict[int, set[int]] = defaultdict(set)
    for schema, table, condition in _checked_with(connection, person):
        for file_id, row in connection.execute(
            f"select file_id, row_number from {quoted(schema)}.{quoted(table)} where {condition}"
        ).fetchall():
            rows[file_id].add(row)
    for file_id, row, is_certain in _malformed_rows(connection, person):
        if is_certain:
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


def count_doubtful(connection: duckdb.DuckDBPyConnection, person: Person) -> int:
    """Count the malformed rows with a field that may be the key, or as well any number: they stay."""
    return sum(not is_certain for *_, is_certain in _malformed_rows(connection, person))


def _checked_with(connection: duckdb.DuckDBPyConnection, person: Person) -> Iterator[tuple[str, str, str]]:
    """Yield the tables with checked rows that name people, as `tables_with` does."""
    for schema, table, condition in tables_with(connection, person):
        if table.endswith(CHECKED) and columns_of(connection, schema, table) >= _POSITION:
            yield schema, table, condition


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
    lakes = find_lakes_as_of(main) if is_shared(main) else []
    return sorted({*lakes, *main.parent.glob(f"{main.stem}@*{main.suffix}"), *published.glob("*@*.duckdb")})


def files_of_search(places: Places) -> list[Path]:
    """Return the file in which documents are searched, if there is one."""
    return [places.search] if places.search.is_file() else []


def tables_of_readers(places: Places) -> list[Path]:
    """Return the CSV files that are published."""
    return sorted(places.published.parent.glob("*.csv"))


def data_of_versions(places: Places) -> Iterator[tuple[str, Path]]:
    """Yield the name of each version of a training set with each of its files that have rows."""
    for version in VersionStore(places).versions():
        yield from ((version.manifest.version, file) for file in files_of(version))


def files_of(version: Version) -> list[Path]:
    """Return the files of a version that have rows: a corpus has one of all that was read."""
    return [file for file in (version.data, version.documents) if file.is_file()]


def count_rows(connection: duckdb.DuckDBPyConnection, person: Person) -> Iterator[tuple[str, str, int]]:
    """Yield schema and name of each table of the current database that has rows of a person, and how many."""
    for schema, table, condition in tables_with(connection, person):
        [(rows,)] = connection.execute(
            f"select count(*) from {quoted(schema)}.{quoted(table)} where {condition}"
        ).fetchall()
        if rows:
            yield schema, table, rows


def count_in_file(file: Path, person: Person) -> int:
    """Return how many rows of a file of CSV or Parquet are a person's."""
    with duckdb.connect() as connection:
        rows = rows_of(file)
        columns = [row[0] for row in connection.execute(f"describe from {rows}").fetchall()]
        condition = person.condition(columns)
        if condition is None:
            return 0
        return int(connection.execute(f"select count(*) from {rows} where {condition}").fetchall()[0][0])


def rows_of(file: Path) -> str:
    """Return SQL for the rows of a file of CSV or Parquet.

    Raises:
        Fault: it is encrypted and there is no key, or another one.
    """
    if file.suffix == ".csv":
        return f"read_csv({text(file)}, header = true, all_varchar = true)"
    return rows_of_parquet(file)


def _malformed_rows(connection: duckdb.DuckDBPyConnection, person: Person) -> Iterator[tuple[int, int, bool]]:
    """Yield file and number of the malformed rows that name the person, of whom silver has no key of them.

    What is no text of the key has it as a field, where silver's rows of the landing table have such keys;
    whether a field that is so short is the key is not certain.
    """
    mentions = Mentions(person)
    with_keys = {
        f"{source}__{name}"
        for schema, checked, _ in _checked_with(connection, person)
        for source, name in connection.execute(
            "select distinct source_name, table_name from landing.files "
            f"where file_id in (select file_id from {quoted(schema)}.{quoted(checked)})"
        ).fetchall()
    }
    for (table,) in connection.execute(
        "select table_name from duckdb_tables() "
        "where database_name = current_database() and schema_name = 'landing' order by all"
    ).fetchall():
        columns = columns_of(connection, "landing", table)
        if not columns >= _POSITION | {"malformed_reason"}:
            continue
        told = quoted("malformed_line" if "malformed_line" in columns else "line")
        has_key = " or ".join(f"contains({told}, {text(value)})" for value in mentions.spellings)
        for file_id, row, line in connection.execute(
            f"select file_id, row_number, {told} from landing.{quoted(table)} "
            f"where malformed_reason is not null and ({has_key})"
        ).fetchall():
            if mentions.count(line):
                yield file_id, row, True
            elif table in with_keys and (keys := _keys_in(line, person)):
                yield file_id, row, any(len(key) >= _LEAST_LENGTH_OF_FIELD for key in keys)


def _keys_in(line: str, person: Person) -> set[str]:
    """Return the keys of the person that are whole fields of a line, also with zeros behind a point."""
    fields = {field.strip(" \"'") for field in _BETWEEN_FIELDS.split(line)}
    return (fields | {_ZEROS.sub("", field) for field in fields}) & {*person.values}
