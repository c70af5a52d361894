"""Look at a lake and keep it small: its snapshots, their names, and the files that they are made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from assay.core.fault import MISUSED, Fault
from assay.core.moment import instant, length_of, now
from assay.core.places import Places
from assay.core.sql import text
from assay.project.lake import data_of, is_lake, open_catalog, read_newest_snapshot
from assay.project.lake_builds import carry_build, find_builds, find_needed, forget_builds
from assay.project.lease import hold_warehouse
from assay.project.shared_lake import has_table, is_shared, note_state
from assay.project.warehouse import connect

_AGE = re.compile(r"\d{1,9}[smhd]")
# DuckLake has no names for snapshots, and leaves other tables of its catalog alone.
_TAGS = (
    "create table if not exists assay_tags (name text primary key, snapshot_id bigint not null, "
    "tagged_at text not null)"
)


#: Makes what is held around a change of the catalog.
Keeping = Callable[[Path], AbstractContextManager[None]]


@contextmanager
def _nothing(catalog: Path) -> Iterator[None]:
    yield


@dataclass(frozen=True)
class Snapshot:
    """A state of a lake: its number, when it was made (UTC), what changed, and its names.

    `run_id` is of the build that has left it and passed, so that training sets can be made as of it; None if
    it is of no such build.
    """

    number: int
    made_at: datetime
    changes: str
    tags: tuple[str, ...] = ()
    run_id: str | None = None


@dataclass(frozen=True)
class LakeTable:
    """A table of a lake: how many files of Parquet it has now, and their size in bytes."""

    name: str
    files: int
    size: int


@dataclass(frozen=True)
class LakeState:
    """What a lake is made of now: its newest snapshot, the number of all that are kept, and its tables."""

    catalog: Path
    data: str
    newest: Snapshot
    snapshots: int
    tables: list[LakeTable]


@dataclass(frozen=True)
class Compacted:
    """What became of the files of tables: how many were merged, into how many."""

    merged: int
    into: int


@dataclass(frozen=True)
class Expired:
    """How many snapshots are gone, how many files with them, and which tags kept snapshots of that age."""

    snapshots: int
    files: int
    kept: tuple[str, ...]


def require_lake(places: Places) -> Path:
    """Return the catalog of the project's lake.

    Raises:
        Fault: the warehouse is no lake, or none is built yet.
    """
    if not is_lake(places.warehouse):
        raise Fault(
            f"The warehouse {places.warehouse} is one file and no lake. To work on a lake: ASSAY_TARGET=lake",
            MISUSED,
        )
    if is_shared(places.warehouse):
        # Another machine may have made it.
        note_state(places.warehouse)
    if not places.warehouse.is_file():
        raise Fault(f"There is no lake {places.warehouse} yet. To build it: assay build", MISUSED)
    return places.warehouse


def read_snapshots(places: Places) -> list[Snapshot]:
    """Return the snapshots that are kept, newest first.

    Raises:
        Fault: the warehouse is no lake, or it cannot be opened.
    """
    catalog = require_lake(places)
    with connect(catalog) as connection:
        rows = connection.execute(
            "select snapshot_id, snapshot_time::timestamp, list_sort(map_keys(changes)) "
            f"from ducklake_snapshots({text(catalog.stem)}) order by snapshot_id desc"
        ).fetchall()
    tags: dict[int, list[str]] = {}
    for name, number in read_tags(catalog).items():
        tags.setdefault(number, []).append(name)
    builds = find_builds(catalog)
    return [
        Snapshot(
            number,
            made_at,
            ", ".join(each.replace("_", " ") for each in changes or []),
            tuple(tags.get(number, ())),
            builds.get(number),
        )
        for number, made_at, changes in rows
    ]


def read_tags(catalog: Path) -> dict[str, int]:
    """Return the numbers of the snapshots that have names, by name."""
    with open_catalog(catalog) as database:
        if not _has_tags(database, catalog):
            return {}
        return dict(database.execute("select name, snapshot_id from assay_tags order by name").fetchall())


def read_state_of_lake(places: Places) -> LakeState:
    """Return what a lake is made of now.

    Raises:
        Fault: the warehouse is no lake, or it cannot be opened.
    """
    snapshots = read_snapshots(places)
    catalog = places.warehouse
    with open_catalog(catalog) as database:
        schemas = dict(database.execute("select schema_id, schema_name from ducklake_schema").fetchall())
    with connect(catalog) as connection:
        rows = connection.execute(
            "select schema_id, table_name, file_count, file_size_bytes + delete_file_size_bytes "
            f"from ducklake_table_info({text(catalog.stem)})"
        ).fetchall()
    tables = sorted(
        (LakeTable(f"{schemas[schema]}.{name}", files, size) for schema, name, files, size in rows),
        key=lambda table: table.name,
    )
    return LakeState(catalog, data_of(catalog), snapshots[0], len(snapshots), tables)


def tag_snapshot(
    places: Places, name: str, number: int | None = None, *, wait: float = 0, keeping: Keeping = _nothing
) -> Snapshot:
    """Give a snapshot a name, so that it is kept and people find it again.

    Args:
        places: of the project.
        name: the name; one that another snapshot has is refused.
        number: of the snapshot; None for the newest.
        wait: how long to wait for a build to end, in seconds.
        keeping: is held around what is written, with the catalog.

    Raises:
        Fault: the warehouse is no lake, a build is under way, the name is empty, a number, a time or taken,
            or there is no such snapshot.
    """
    if not name.strip() or name.strip().isdigit() or instant(name):
        raise Fault(f"{name!r} cannot be the name of a snapshot: give it a word.", MISUSED)
    with _locked(places, "assay lake tag", wait, keeping) as catalog:
        numbers = [each.number for each in read_snapshots(places)]
        number = max(numbers) if number is None else number
        if number not in numbers:
            raise Fault(f"There is no snapshot {number}. To list them: assay lake snapshots", MISUSED)
        values = ", ".join((text(name), str(number), text(now().isoformat())))
        with open_catalog(catalog, read_only=False) as database:
            database.execute(_TAGS)
            database.execute(f"insert into assay_tags values ({values}) on conflict do nothing")
        taken = read_tags(catalog)[name]
    if taken != number:
        raise Fault(f"{name} is the name of snapshot {taken} already: give this one another.", MISUSED)
    return next(each for each in read_snapshots(places) if each.number == number)


def compact(places: Places, *, wait: float = 0, keeping: Keeping = _nothing) -> Compacted:
    """Merge small files of tables; no value changes, and files with deleted rows stay.

    Args:
        places: of the project.
        wait: how long to wait for a build to end, in seconds.
        keeping: is held around what is written, with the catalog.

    Raises:
        Fault: the warehouse is no lake, or a build is under way.
    """
    with (
        _locked(places, "assay lake compact", wait, keeping) as catalog,
        connect(catalog, read_only=False) as connection,
    ):
        lake = catalog.stem
        connection.execute(f"call ducklake_flush_inlined_data({text(lake)})")
        rows = connection.execute(f"call ducklake_merge_adjacent_files({text(lake)})").fetchall()
        merged, into = sum(row[2] for row in rows), sum(row[3] for row in rows)
    return Compacted(merged, into)


def expire(places: Places, older_than: timedelta, *, wait: float = 0, keeping: Keeping = _nothing) -> Expired:
    """Remove old snapshots, and files that no other snapshot has; those with a name and the newest stay.

    Files of a day ago that no snapshot ever had are removed too: killed builds leave such.

    Args:
        places: of the project.
        older_than: how old a snapshot is at least that is removed.
        wait: how long to wait for a build to end, in seconds.
        keeping: is held around what is written, with the catalog.

    Raises:
        Fault: the warehouse is no lake, or a build is under way.
    """
    until = now() - older_than
    with (
        _locked(places, "assay lake expire", wait, keeping) as catalog,
        connect(catalog, read_only=False) as connection,
    ):
        lake = catalog.stem
        snapshots = read_snapshots(places)
        old = [each for each in snapshots[1:] if each.made_at < until]
        kept = {snapshots[0].number, *(each.number for each in snapshots if each.tags)}
        kept |= find_needed(catalog, kept)
        gone = [each.number for each in old if each.number not in kept]
        if gone:
            connection.execute(f"call ducklake_expire_snapshots({text(lake)}, versions => {gone})")
        files = connection.execute(
            f"call ducklake_cleanup_old_files({text(lake)}, cleanup_all => true)"
        ).fetchall()
        # What killed builds left. Plain dbt takes no lock, and may be about to name newer ones.
        files += connection.execute(
            f"call ducklake_delete_orphaned_files({text(lake)}, older_than => now() - interval 1 day)"
        ).fetchall()
        forget_builds(catalog)
    return Expired(len(gone), len(files), tuple(sorted(tag for each in old for tag in each.tags)))


def read_age(older_than: str | timedelta) -> timedelta:
    """Return an age from a text such as `7d`.

    Raises:
        Fault: it is no such text.
    """
    if isinstance(older_than, str) and not _AGE.fullmatch(older_than):
        raise Fault(f"{older_than!r} is no age: write a whole number and s, m, h or d, such as 7d.", MISUSED)
    try:
        age = length_of(older_than) if isinstance(older_than, str) else older_than
        now() - age
    except OverflowError as error:
        raise Fault(f"{older_than} is longer than time is: write an age such as 7d.", MISUSED) from error
    return age


@contextmanager
def _locked(places: Places, command: str, wait: float, keeping: Keeping) -> Iterator[Path]:
    """Let no build begin while the block runs; yields the catalog."""
    catalog = require_lake(places)
    with hold_warehouse(catalog, command=command, wait=wait, on_wait=lambda holder: None), keeping(catalog):
        before = read_newest_snapshot(catalog)
        yield catalog
        # No value has changed.
        carry_build(catalog, before)
        if is_shared(catalog):
            note_state(catalog)


def _has_tags(database: Any, catalog: Path) -> bool:
    if is_shared(catalog):
        return has_table(database, "assay_tags")
    return bool(database.execute("select 1 from sqlite_master where name = 'assay_tags'").fetchall())
