"""Take a version of a training set from a warehouse."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb

from assay.core.fault import Fault, known_fault
from assay.core.moment import now
from assay.core.parquet import rows_of_parquet, write_parquet
from assay.core.sql import quoted
from assay.project.warehouse import connect
from assay.training.code import DeclaredSet, SetInManifest
from assay.training.content import read_content
from assay.training.source import Source
from assay.training.store import (
    DATA,
    Corpus,
    InputFile,
    Split,
    Version,
    VersionColumn,
    VersionManifest,
    name_version,
    write_version,
)


def take(name: str, source: Source, folder: Path) -> Version:
    """Write rows, manifest and list of files to `folder`; the same rows give the same hash.

    Raises:
        Fault: the training set is not built, is empty, or has a column that a version cannot hold.
    """
    declared = source.find_declared(name)
    with opened(source) as connection:
        _write_rows(connection, declared, folder / DATA)
        return describe(declared, source, connection, folder)


@contextmanager
def opened(source: Source) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a source's warehouse to read.

    Raises:
        Fault: the block raises a known error.
    """
    try:
        with connect(source.warehouse, snapshot=source.read_snapshot) as connection:
            connection.execute("set TimeZone = 'UTC'")
            yield connection
    except (duckdb.Error, OSError) as error:
        raise known_fault(error) or error from error


def describe(
    declared: SetInManifest | DeclaredSet,
    source: Source,
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    corpus: Corpus | None = None,
) -> Version:
    """Write the manifest and the list of files of the rows that stand in `folder`.

    Args:
        declared: the model that the rows are of.
        source: the warehouse that they were taken from.
        connection: to that warehouse.
        folder: of the version.
        corpus: how the rows were chosen, if the version is a corpus.

    Raises:
        Fault: there are no rows, or a column that a version cannot hold.
    """
    splits = _splits(connection, folder / DATA, of_corpus=corpus is not None)
    files = _files(connection)
    as_of = source.as_of or _known_until(connection, declared)
    content = read_content(folder / DATA)
    if not content.rows:
        raise Fault(f"{declared.name} has no rows as of {as_of}: no outcome was known by then.")
    manifest = VersionManifest(
        version=name_version(declared.name, content.hash, corpus),
        name=declared.name,
        content_hash=content.hash,
        rows=content.rows,
        primary_key=declared.primary_key,
        columns=[
            VersionColumn(each.name, each.type, declared.descriptions.get(each.name, ""), each.sha256)
            for each in content.columns
        ],
        splits=splits,
        features=declared.features,
        as_of=as_of,
        is_as_of_given=source.as_of is not None,
        code=declared.code,
        code_version=source.code_version,
        engine=f"duckdb {duckdb.__version__}, dbt {source.dbt_version}",
        run_id=source.run_id,
        input_files=len(files),
        input_rows=sum(file.row_count for file in files),
        input_hash=hashlib.sha256("\n".join(str(file.file_id) for file in files).encode()).hexdigest(),
        created_at=now(),
        corpus=corpus,
        lake_snapshot=source.lake_snapshot,
    )
    return write_version(folder, manifest, files)


def _write_rows(
    connection: duckdb.DuckDBPyConnection, declared: SetInManifest | DeclaredSet, file: Path
) -> None:
    try:
        write_parquet(connection, f"from {declared.relation} order by {quoted(*declared.primary_key)}", file)
    except duckdb.CatalogException as error:
        raise Fault(f"{declared.name} is not built yet. To build it: assay build") from error


def _splits(connection: duckdb.DuckDBPyConnection, file: Path, *, of_corpus: bool) -> list[Split]:
    rows = rows_of_parquet(file)
    columns = connection.sql(f"from {rows}").columns
    if "split" not in columns:
        return []
    # Not every outcome is a number.
    rate = "avg(try_cast(outcome as double))" if "outcome" in columns else "null"
    tokens = "sum(tokens)::bigint" if of_corpus else "null"
    found = connection.execute(
        f"select split, count(*), {rate}, {tokens} from {rows} group by split order by split"
    )
    return [Split(*row) for row in found.fetchall()]


def _files(connection: duckdb.DuckDBPyConnection) -> list[InputFile]:
    found = connection.execute(
        "select file_id, source_file, content_sha256, row_count from landing.files "
        "where status = 'loaded' order by file_id"
    )
    return [InputFile(*row) for row in found.fetchall()]


def _known_until(connection: duckdb.DuckDBPyConnection, declared: SetInManifest | DeclaredSet) -> datetime:
    """Return when the newest row of silver became available; without silver, that of the joined tables."""
    moments = [*_latest(connection, declared.silver_seen, "available_at")] or [
        *_latest(connection, declared.joined, "updated_at"),
        *_latest(connection, declared.joined, "outcome_known_at"),
    ]
    if not moments:
        raise Fault(
            f"Nothing says when the rows of {declared.name} became known: give a table that it reads a "
            "column available_at, updated_at or outcome_known_at, or say as of when (--as-of)."
        )
    return max(moments)


def _latest(connection: duckdb.DuckDBPyConnection, tables: list[str], column: str) -> Iterator[datetime]:
    for table in tables:
        if column in connection.sql(f"from {table} limit 0").columns:
            for (moment,) in connection.sql(f"select max({quoted(column)}) from {table}").fetchall():
                if moment is not None:
                    yield moment
