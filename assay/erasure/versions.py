"""Remove rows from versions of training sets, which are no longer whole then and say so."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol

import duckdb

from assay.console.progress import Display
from assay.core.disk import put_in_place, replace_private, sync
from assay.core.moment import now
from assay.core.parquet import write_parquet
from assay.core.places import Places
from assay.erasure.find import files_of, rows_of
from assay.training.store import Version, VersionStore


class Removed(Protocol):
    """Says which rows of versions go."""

    def condition_in_version(self, version: Version, columns: Collection[str]) -> str | None:
        """Return SQL for the rows that go from a version's files; None where none can be."""

    def breaks(self, version: Version) -> bool:
        """Tell whether a version cannot be made again, also where none of its rows goes."""


def erase_from_versions(places: Places, removed: Removed, display: Display) -> list[str]:
    """Remove rows from all versions; return the names of those that are no longer whole.

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
            # Of a corpus, what was read and not kept has such rows, too.
            found = dict(find_rows(version, removed))
            rows = sum(count for count, _ in found.values())
            if rows or (removed.breaks(version) and not version.erased.exists()):
                _mark(version, rows)
                for file, (_, condition) in found.items():
                    _rewrite(file, condition)
                erased.append(version.manifest.version)
    return erased


def find_rows(version: Version, removed: Removed) -> Iterator[tuple[Path, tuple[int, str]]]:
    """Yield the files of a version from which rows go, with their number and SQL for them.

    Raises:
        Fault: the file is encrypted and there is no key, or another one.
        duckdb.Error: it cannot be read.
    """
    for file in files_of(version):
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'")
            rows = rows_of(file)
            columns = [row[0] for row in connection.execute(f"describe from {rows}").fetchall()]
            condition = removed.condition_in_version(version, columns)
            if condition is None:
                continue
            [(count,)] = connection.execute(f"select count(*) from {rows} where {condition}").fetchall()
        if count:
            yield file, (count, condition)


def _mark(version: Version, rows: int) -> None:
    """Note that rows were removed, before they are: a version may not seem whole after a kill."""
    values = {"rows": version.erased_rows + rows, "erased_at": now().isoformat()}
    replace_private(version.erased, json.dumps(values).encode())


def _rewrite(file: Path, condition: str) -> None:
    new = file.with_name(f".{file.name}")
    try:
        with duckdb.connect() as connection:
            connection.execute("set TimeZone = 'UTC'; set preserve_insertion_order = true")
            write_parquet(connection, f"from {rows_of(file)} where not {condition}", new)
        sync(new)
        put_in_place(new, file)
    finally:
        new.unlink(missing_ok=True)
