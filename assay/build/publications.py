"""Keep the last publications, so that readers can go back to one of them.

Each lies in `published/kept/<run>/`, as hard links to the files that the run published: they take room only
once readers have newer ones.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from assay.core.disk import make_private_folder, put_in_place, sync
from assay.core.fault import MISUSED, Fault
from assay.project.variables import declared_variable
from assay.project.warehouse import attach

_VARIABLE, _NUMBER = "keep_publications", 7


@dataclass(frozen=True)
class Kept:
    """A publication that is kept: its run, its files, and when it was written (UTC)."""

    run_id: str
    folder: Path
    published: Path
    written_at: datetime


def how_many() -> int:
    """Return how many publications are kept, as the project's variable `keep_publications` says.

    Raises:
        Fault: it is no whole number, or less than 1.
    """
    found = declared_variable(_VARIABLE)
    number = _NUMBER if found is None else found
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise Fault(
            f"dbt_project.yml: {_VARIABLE} is {number!r}: write a whole number of publications, 1 or more.",
            MISUSED,
        )
    return number


def published_run(published: Path) -> str | None:
    """Return the run that wrote a published file; None if there is none, or nobody can tell."""
    if not published.is_file():
        return None
    try:
        with duckdb.connect() as connection:
            attach(connection, published, "published")
            rows = connection.execute("select run_id from published.published.publication").fetchall()
    except duckdb.Error:
        return None
    return next((str(run_id) for (run_id,) in rows), None)


def count_rows(published: Path) -> tuple[int, int] | None:
    """Return how many tables a published file has, and their rows; None if it cannot be read.

    Tables of products that a build did not publish anew are among them: readers have them all the same.
    """
    try:
        with duckdb.connect() as connection:
            attach(connection, published, "published")
            # Nothing is ever deleted from such a file, so that DuckDB knows the number of rows.
            [(tables, rows)] = connection.execute(
                "select count(*), coalesce(sum(estimated_size), 0)::bigint from duckdb_tables() "
                "where database_name = 'published' and schema_name <> 'published'"
            ).fetchall()
    except duckdb.Error:
        return None
    return int(tables), int(rows)


def find_kept(published: Path) -> list[Kept]:
    """Return the publications whose files are there, newest first."""
    found = []
    for folder in _folder(published).glob("[!.]*"):
        file = folder / published.name
        with suppress(OSError):
            written_at = datetime.fromtimestamp(file.stat().st_mtime, UTC).replace(tzinfo=None)
            found.append(Kept(folder.name, folder, file, written_at))
    return sorted(found, key=lambda each: (each.written_at, each.run_id), reverse=True)


def keep(published: Path) -> None:
    """Keep what is published now: the file, and the CSV files beside it.

    Raises:
        OSError: it cannot be kept.
    """
    run_id = published_run(published)
    if run_id is None:
        return
    folder = _folder(published) / run_id
    if (folder / published.name).exists():
        return
    make_private_folder(folder.parent)
    new = folder.with_name(f".{run_id}.{os.getpid()}")
    try:
        new.mkdir(mode=0o700)
        # A publication of an earlier moment has that moment in its files' names, after an @.
        for file in (published, *published.parent.glob("[!.]*.csv")):
            if "@" not in file.name:
                _link(file, new / file.name)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def put_back(kept: Kept, published: Path, instead_of: Kept | None) -> None:
    """Let readers have a publication that is kept. Whoever has the file open keeps reading what it was.

    Args:
        kept: the publication.
        published: the published file, which is replaced in one step.
        instead_of: what is published now, of which CSV files are removed that the other does not have.

    Raises:
        OSError: a file cannot be put in place.
    """
    files = sorted(kept.folder.iterdir(), key=lambda file: file.name == published.name)
    for file in files:
        target = published.with_name(file.name)
        if target.exists() and target.samefile(file):
            continue
        new = published.with_name(f".{file.name}.{os.getpid()}")
        new.unlink(missing_ok=True)
        try:
            _link(file, new)
            put_in_place(new, target)
        finally:
            new.unlink(missing_ok=True)
    if instead_of and instead_of.folder.is_dir():
        for gone in {each.name for each in instead_of.folder.iterdir()} - {file.name for file in files}:
            published.with_name(gone).unlink(missing_ok=True)
    sync(published.parent)


def prune(published: Path, number: int) -> None:
    """Remove the publications that are no longer kept, and what a killed process left half kept.

    Args:
        published: the published file; what it is of is kept.
        number: how many are kept: the last ones, and the last one of each of as many days.
    """
    for leftover in _folder(published).glob(".*"):
        shutil.rmtree(leftover, ignore_errors=True)
    there = find_kept(published)
    current = published_run(published)
    wanted = to_keep([(each.run_id, each.written_at) for each in there], number)
    for each in there:
        if each.run_id not in wanted and each.run_id != current:
            shutil.rmtree(each.folder, ignore_errors=True)


def to_keep(there: Sequence[tuple[str, datetime]], number: int) -> set[str]:
    """Return which publications are kept: the last ones, and the last one of each of as many days.

    Where something is published every minute, the last ones alone would not reach back to yesterday.

    Args:
        there: their runs, and when they were written (UTC); newest first.
        number: how many.
    """
    last_of_day: dict[object, str] = {}
    for run_id, written_at in there:
        last_of_day.setdefault(written_at.date(), run_id)
    return {run_id for run_id, _ in there[:number]} | set(list(last_of_day.values())[:number])


def _folder(published: Path) -> Path:
    return published.parent / "kept"


def _link(file: Path, link: Path) -> None:
    try:
        os.link(file, link)
    except OSError:
        # Some file systems have no hard links; a full disk fails the copy too.
        shutil.copy2(file, link)
