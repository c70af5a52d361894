"""Publish gold to a separate file for readers, which is replaced as a whole and never seen half written."""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from assay.core.disk import put_in_place, sync
from assay.core.encryption import is_encrypted, needs_key
from assay.core.fault import Fault, known_fault
from assay.core.moment import now
from assay.core.sql import quoted, text
from assay.core.words import listed
from assay.project.lake import is_lake
from assay.project.products import Products, kept_in_lake
from assay.project.warehouse import attach, connect, relation_named

_ONE_LENGTH = re.compile(r"\w+\[\d+\]")
# Records the build of each published table, in a schema beside gold.
_TABLES = """
create schema if not exists published.published;
create or replace table published.published.publication (
    run_id varchar not null,
    published_at timestamp not null
);
comment on table published.published.publication is 'The run that wrote this file, and when (UTC).';
create or replace table published.published.tables (
    table_name varchar not null,
    product varchar not null,
    is_current boolean not null,
    built_at timestamp,
    run_id varchar,
    why varchar
);
comment on table published.published.tables is
    'The tables of gold: the build that each comes from, and why it does not come from the last build.';
"""


@dataclass(frozen=True)
class Publication:
    """The published file, its tables and rows from this build, and its tables from earlier builds."""

    path: Path
    tables: int
    rows: int
    held_back: int = 0


@dataclass(frozen=True)
class Provenance:
    """The build that the published tables come from."""

    run_id: str
    built_at: datetime


def publish(
    warehouse: Path,
    target: Path,
    products: Products,
    provenance: Provenance | None = None,
    changed: Collection[str] | None = None,
    *,
    snapshot: int | None = None,
) -> Publication | None:
    """Write tables and views of gold to `target` as tables; the file is replaced in one step.

    Some are also written as CSV files beside it, which are replaced in the same way. A reader who has an old
    file open keeps reading that.

    Args:
        warehouse: the file to read.
        target: the file to replace.
        products: the products; the tables of those that passed are written. Other tables in schema gold are
            left over from earlier builds. Tables of stopped products stay as they are in `target`.
        provenance: the build, which is recorded beside gold.
        changed: the tables that differ from those in `target`, of which all others are kept; None for all.
        snapshot: the number of the snapshot of a lake that is read; None for the newest.

    Returns:
        The publication; None if there is nothing to publish, and then `target` is unchanged.

    Raises:
        Fault: a table or view cannot be read, or the disk is full.
        duckdb.Error, OSError: any other failure. `target` is unchanged then, and no other file is left.
    """
    if not target.parent.exists():
        target.parent.mkdir(parents=True)
        # The permissions of each file in the folder say who may read it.
        target.parent.chmod(0o755)
    csv_files = {
        relation: target.with_name(f"{name}{''.join(target.stem.partition('@')[1:])}.csv")
        for relation, name in products.csv_files.items()
        if relation in products.passed and (changed is None or relation in changed)
    }
    targets = [*csv_files.values(), target]
    remove_leftovers(targets)
    try:
        if is_encrypted(target) != needs_key(temporary(target)):
            # A key is set since, or no longer: no table can be kept as bytes.
            changed = None
        if changed is not None:
            # As bytes: the tables that did not change are neither read nor written again.
            shutil.copyfile(target, temporary(target))
        tables, rows, held_back = _write(
            warehouse, temporary(target), target, products, provenance, changed, snapshot
        )
        if not tables:
            return None
        _write_csv(temporary(target), {name: temporary(file) for name, file in csv_files.items()})
        for file in targets:
            sync(temporary(file))
        for file in targets:
            put_in_place(temporary(file), file)
        sync(target.parent)
    finally:
        remove_leftovers(targets)
    return Publication(target, tables, rows, held_back)


def _write(
    warehouse: Path,
    file: Path,
    before: Path,
    products: Products,
    provenance: Provenance | None,
    changed: Collection[str] | None,
    snapshot: int | None,
) -> tuple[int, int, int]:
    """Write the tables; return how many come from products that passed, their rows, and how many do not."""
    with connect(warehouse, snapshot=snapshot) as connection:
        # UTC as in dbt, because a view may cast to a local time.
        connection.execute("set TimeZone = 'UTC'")
        relations = connection.execute(
            """
            select schema_name, table_name as relation from duckdb_tables()
            where database_name = current_database() and schema_name in $1 and table_name in $2
            union all
            select schema_name, view_name from duckdb_views()
            where database_name = current_database() and schema_name in $1 and view_name in $2
            order by all
            """,
            [sorted(products.schemas), sorted(products.passed)],
        ).fetchall()
        database = connection.execute("select current_database()").fetchall()[0][0]
        attach(connection, file, "published", read_only=False)
        there = _tables(connection, "published")
        kept = {relation for relation in there if relation[1] in products.held_back}
        kept |= {
            relation for relation in relations if relation in there and relation[1] not in (changed or ())
        }
        for schema, relation in there - kept:
            connection.execute(f"drop table published.{quoted(schema)}.{quoted(relation)}")
        # Frees the room of the old tables for the new ones.
        connection.execute("checkpoint published")
        comments = find_comments(connection, database)
        for schema, relation in relations:
            if (schema, relation) not in kept:
                restored = products.restored.get(relation, {}) if is_lake(warehouse) else {}
                _copy_table(
                    connection,
                    database,
                    schema,
                    relation,
                    comments.get((schema, relation), {}).values(),
                    restored,
                )
        rows = sum(
            _count(connection, f"published.{quoted(schema)}.{quoted(relation)}")
            for schema, relation in relations
        )
        held_back = 0
        if provenance and relations:
            held_back = _record_origins(connection, before, products, provenance, kept)
        # Closing the file would do this too, but would hide a failure and leave rows in a write-ahead log.
        connection.execute("checkpoint published")
    return len(relations), rows, held_back


def _copy_table(
    connection: duckdb.DuckDBPyConnection,
    database: str,
    schema: str,
    relation: str,
    comments: Iterable[str],
    restored: Mapping[str, str] | None = None,
) -> None:
    source = f"{quoted(schema)}.{quoted(relation)}"
    connection.execute(f"create schema if not exists published.{quoted(schema)}")
    try:
        rows = _with_types(connection, f"{quoted(database)}.{source}", restored or {})
        connection.execute(f"create table published.{source} as {rows}")
    except duckdb.Error as error:
        raise known_fault(error) or Fault(f"{source} cannot be published: {error}") from error
    for comment in comments:
        connection.execute(comment)


def _with_types(connection: duckdb.DuckDBPyConnection, source: str, declared: Mapping[str, str]) -> str:
    """Return SQL of the rows of a table of a lake, in which columns have their declared types again.

    What an embedding model makes has the length of the model, which may be another than the YAML declares.
    """
    casts = []
    columns = connection.execute(f"select column_name, column_type from (describe {source})").fetchall()
    for name, kind in columns:
        if name not in declared:
            continue
        [(wanted,)] = connection.execute(f"select typeof(null::{declared[name]})").fetchall()
        is_kept_so = kept_in_lake(wanted) == kind
        if _ONE_LENGTH.fullmatch(wanted):
            lengths = connection.execute(
                f"select distinct len({quoted(name)}) from {source} where {quoted(name)} is not null limit 2"
            ).fetchall()
            if len(lengths) == 1:
                element = wanted.partition("[")[0] if is_kept_so else kind.removesuffix("[]")
                wanted = f"{element}[{lengths[0][0]}]"
        elif not is_kept_so:
            # The YAML, which is not enforced, declares another type than the column's.
            continue
        casts.append(f"{quoted(name)}::{wanted} as {quoted(name)}")
    return f"select * replace ({', '.join(casts)}) from {source}" if casts else f"from {source}"


def _record_origins(
    connection: duckdb.DuckDBPyConnection,
    before: Path,
    products: Products,
    provenance: Provenance,
    kept: Collection[tuple[str, str]],
) -> int:
    """Record the build of each table; the tables of stopped products come from the last published file.

    Returns:
        How many tables of stopped products there are.
    """
    there, known = _tables_before(connection, before, products) if before.exists() else (set(), {})
    connection.execute(_TABLES)
    connection.execute(
        "insert into published.published.publication values ($1, $2)", [provenance.run_id, now()]
    )
    names_kept = {name for _, name in kept}
    own = (provenance.built_at, provenance.run_id)
    for table in sorted(products.passed):
        built_at, run_id = known.get(table, own) if table in names_kept else own
        connection.execute(
            "insert into published.published.tables values ($1, $2, true, $3, $4, null)",
            [table, products.product_of[table], built_at, run_id],
        )
    held_back = sorted(relation for relation in there if relation[1] in products.held_back)
    comments = find_comments(connection, "old") if held_back else {}
    for schema, table in held_back:
        if (schema, table) not in kept:
            _copy_table(connection, "old", schema, table, comments.get((schema, table), {}).values())
        product = products.product_of[table]
        connection.execute(
            "insert into published.published.tables values ($1, $2, false, $3, $4, $5)",
            [table, product, *known.get(table, (None, None)), products.stopped[product]],
        )
    return len(held_back)


def _tables_before(
    connection: duckdb.DuckDBPyConnection, before: Path, products: Products
) -> tuple[set[tuple[str, str]], dict[str, tuple[datetime | None, str | None]]]:
    """Attach the last published file as `old`; return its tables, and the build that each comes from.

    A file that is damaged counts as empty, unless tables of stopped products would be lost with it.
    """
    try:
        attach(connection, before, "old")
        there = _tables(connection, "old")
        if ("published", "tables") not in _tables(connection, "old", own=True):
            return there, {}
        origins = connection.execute(
            "select table_name, built_at, run_id from old.published.tables"
        ).fetchall()
    except duckdb.Error as error:
        if not products.stopped:
            return set(), {}
        stopped = listed(sorted(products.stopped))
        raise known_fault(error) or Fault(
            f"{before} is damaged, and holds tables that this build does not replace, of {stopped}: {error}\n"
            "Mend what failed, or move the file away to publish without them; then build again."
        ) from error
    return there, {table: (built_at, run_id) for table, built_at, run_id in origins}


def _tables(
    connection: duckdb.DuckDBPyConnection, database: str, *, own: bool = False
) -> set[tuple[str, str]]:
    """Return schema and name of the tables of a database: those of gold, or Assay's own beside it."""
    rows = connection.execute(
        "select schema_name, table_name from duckdb_tables() "
        "where database_name = $1 and (schema_name = 'published') = $2",
        [database, own],
    ).fetchall()
    return {(schema, table) for schema, table in rows}


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    return int(connection.execute(f"select count(*) from {table}").fetchall()[0][0])


def find_comments(
    connection: duckdb.DuckDBPyConnection, database: str, target: str = "published"
) -> dict[tuple[str, str], dict[str | None, str]]:
    """Return for each relation of a database the statements that comment on its copy in another.

    They are found by column; that of the relation itself by None.
    """
    found: dict[tuple[str, str], dict[str | None, str]] = {}
    for schema, relation, column, comment in connection.execute(
        """
        select schema_name, table_name, null as column_name, comment from duckdb_tables()
        where database_name = $1 and comment is not null
        union all
        select schema_name, view_name, null, comment from duckdb_views()
        where database_name = $1 and comment is not null
        union all
        select schema_name, table_name, column_name, comment from duckdb_columns()
        where database_name = $1 and comment is not null
        """,
        [database],
    ).fetchall():
        copy = f"{target}.{quoted(schema)}.{quoted(relation)}"
        about = f"column {copy}.{quoted(column)}" if column else f"table {copy}"
        found.setdefault((schema, relation), {})[column] = f"comment on {about} is {text(comment)}"
    return found


def _write_csv(published: Path, files: dict[str, Path]) -> None:
    """Write published tables as CSV in UTF-8, with a header, ordered by all columns."""
    with duckdb.connect() as connection:
        attach(connection, published, "published")
        for relation, file in files.items():
            rows = f"from {relation_named(connection, relation, 'published')} order by all"
            connection.execute(f"copy ({rows}) to {text(file)} (format csv, header)")


def temporary(target: Path) -> Path:
    """Return the file that is written first and then moved over a target; it lies beside it."""
    return target.with_name(f".{target.name}.{os.getpid()}")


def remove_leftovers(targets: Iterable[Path]) -> None:
    """Remove files that this or a killed run left half written; the warehouse's lock excludes other runs."""
    for target in targets:
        for leftover in target.parent.glob(f".{glob.escape(target.name)}.*"):
            # What DuckDB spills while it writes a file is a folder beside it.
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()
