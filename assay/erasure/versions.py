"""Remove a person's rows from versions of training sets, which are no longer whole then and say so."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from assay.console.progress import Display
from assay.core.disk import put_in_place, replace_private, sync
from assay.core.moment import now
from assay.core.parquet import write_parquet
from assay.core.places import Places
from assay.erasure.find import count_in_file, files_of, rows_of
from assay.erasure.person import Person
from assay.training.store import Version, VersionStore


def erase_from_versions(places: Places, person: Person, display: Display) -> list[str]:
    """Remove a person's rows from all versions; return the names of those that had any.

    Raises:
        Fault: the store is locked, or a version cannot be read.
        duckdb.Error: rows cannot be read or written.
        OSError: a file cannot be put in place.
    """
    store = VersionStore(places)
    if not store.folder.is_dir():
        return []
    erased = []
    with store.workshop("assay forget", display):
        for version in store.versions():
            # Of a corpus, what was read and not kept has a person's rows, too.
            files = {file: count_in_file(file, person) for file in files_of(version)}
            if rows := sum(files.values()):
                _mark(version, rows)
                for file, its_rows in files.items():
                    if its_rows:
                        _rewrite(file, person)
                erased.append(version.manifest.version)
    return erased


def _mark(version: Version, rows: int) -> None:
    """Note that rows were removed, before they are: a version may not seem whole after a kill."""
    values = {"rows": version.erased_rows + rows, "erased_at": now().isoformat()}
    replace_private(version.erased, json.dumps(values).encode())


def _rewrite(file: Path, person: Person) -> None:
    new = file.with_name(f".{file.name}")
    try:
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = true")
            rows = rows_of(file)
            columns = [row[0] for row in connection.execute(f"describe from {rows}").fetchall()]
            write_parquet(connection, f"from {rows} where not {person.condition(columns)}", new)
        sync(new)
        put_in_place(new, file)
    finally:
        new.unlink(missing_ok=True)
