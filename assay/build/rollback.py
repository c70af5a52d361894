"""Take gold back to an earlier publication: readers and the online store, until a build publishes again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb

from assay.build.bucket import put_gold_in_bucket, put_roles_in_bucket
from assay.build.publications import Kept, count_rows, find_kept, keep, published_run, put_back
from assay.build.roles import publish_roles
from assay.build.search import publish_search
from assay.core.fault import MISUSED, Fault, known_fault
from assay.core.lock import Holder
from assay.core.moment import now
from assay.core.places import Places
from assay.ledger.details import read_run
from assay.ledger.rollbacks import (
    Rollback,
    end_rollback,
    read_rollback,
    read_rollbacks,
    whoever_asks,
    write_rollback,
)
from assay.ledger.runs import read_runs
from assay.online.ahead import Ahead
from assay.online.published import CATALOG, open_published
from assay.online.stores.open import open_store, store_url
from assay.online.stores.store import StoreUnavailable
from assay.online.sync import Synced, sync
from assay.project.lease import hold_warehouse

# A stream may write the store between a comparison and its outcome, but no more than once.
_TRIES = 3


@dataclass(frozen=True)
class Publication:
    """A publication that readers can have: its size in bytes, its tables and rows; None if it is damaged.

    `rollback` is the last one that took readers away from it, if one did.
    """

    run_id: str
    published_at: datetime
    tables: int | None
    rows: int | None
    size: int
    is_current: bool
    rollback: Rollback | None


@dataclass(frozen=True)
class Publications:
    """The publications that are kept, newest first, and the rollback that stands."""

    found: list[Publication]
    rollback: Rollback | None


@dataclass(frozen=True)
class RolledBack:
    """The outcome of a rollback; `is_new` is false where readers had the publication already."""

    rollback: Rollback
    is_new: bool
    is_newest: bool
    online: list[Synced] | None = None


def list_publications(places: Places) -> Publications:
    """Return the publications that are kept.

    Raises:
        Fault: another program keeps the ledger open.
    """
    runs = {run.run_id: run for run in read_runs(places.ledger)}
    current = published_run(places.published)
    there = find_kept(places.published)
    age = {kept.run_id: position for position, kept in enumerate(there)}
    away = {
        each.from_run: each
        for each in reversed(read_rollbacks(places.ledger, places.warehouse))
        # The way forward again takes nothing back.
        if each.from_run in age and age.get(each.to_run, len(there)) > age[each.from_run]
    }
    found = []
    for kept in there:
        run = runs.get(kept.run_id)
        tables, rows = count_rows(kept.published) or (None, None)
        # A build may remove the oldest meanwhile.
        with suppress(FileNotFoundError):
            found.append(
                Publication(
                    kept.run_id,
                    (run and run.published_at) or kept.written_at,
                    tables,
                    rows,
                    sum(file.stat().st_size for file in kept.folder.iterdir()),
                    kept.run_id == current,
                    away.get(kept.run_id),
                )
            )
    return Publications(found, read_rollback(places.warehouse))


def roll_back(
    places: Places, run_id: str, *, reason: str, wait: float, tell: Callable[[str], None]
) -> RolledBack:
    """Let readers and the online store have the publication of an earlier run.

    If it is killed, or the online store is away, the same call goes on where it stopped; a build publishes
    what the warehouse holds in either case.

    Args:
        places: of the project.
        run_id: the run, or enough of its id's beginning to be unique among those that are kept.
        reason: why, for the ledger; may be empty.
        wait: how long to wait for a build to end, in seconds.
        tell: called with messages for people.

    Raises:
        Fault: there is no such publication, a build is under way, or the disk is full.
    """

    def waiting(holder: Holder | None) -> None:
        tell(f"Waiting up to {wait:.0f} s for a build: {holder or 'it has just begun'}")

    command = f"assay published rollback {run_id}"
    with hold_warehouse(places.warehouse, command=command, wait=wait, on_wait=waiting):
        there = find_kept(places.published)
        kept = _find_named(places, there, run_id)
        current = published_run(places.published)
        before = read_rollback(places.warehouse)
        is_newest = kept.run_id == there[0].run_id
        is_whole = before is None or before.ended_at is not None
        rollback = Rollback(now(), current, kept.run_id, whoever_asks(), reason.strip())
        if kept.run_id == current and is_whole:
            return RolledBack(before or rollback, is_new=False, is_newest=is_newest)
        _check(kept)
        if before and not is_whole and before.to_run == kept.run_id:
            rollback = replace(before, reason=rollback.reason or before.reason)
        keep(places.published)
        write_rollback(places.ledger, places.warehouse, rollback)
        try:
            instead_of = next((each for each in find_kept(places.published) if each.run_id == current), None)
            put_back(kept, places.published, instead_of)
            faults = [put_gold_in_bucket(places)]
            # A store that is away does not stop search, nor a missing extra of search the store.
            try:
                online = _put_back_online(places)
            finally:
                try:
                    publish_search(places, tell=tell)
                finally:
                    # By what contracts say now: what a role may no longer read does not come back.
                    _put_back_roles(places, tell)
                    faults.append(put_roles_in_bucket(places))
            if any(faults):
                raise Fault("\n".join(filter(None, faults)))
            rollback = replace(rollback, ended_at=now())
            write_rollback(places.ledger, places.warehouse, rollback)
        except Exception as error:
            raise Fault(
                f"{known_fault(error) or error}\nThe rollback is not complete: readers have what run "
                f"{published_run(places.published)} published, the online store or search may be of another. "
                f"To go on: {command}; or build, which publishes what the warehouse holds."
            ) from error
        if is_newest:
            end_rollback(places.warehouse)
    # Imports what sends alerts, which takes longer than a list of publications.
    from assay.alerts.availability_alerts import watch_availability
    from assay.alerts.findings import find_rollback
    from assay.alerts.runbooks import Runbook
    from assay.alerts.standing import watch_changes

    problems = watch_changes(places, find_rollback(places), [Runbook.GOLD_ROLLED_BACK])
    for problem in problems + watch_availability(places):
        tell(f"Warning: {problem}")
    return RolledBack(rollback, is_new=True, is_newest=is_newest, online=online)


def find_publication(places: Places, run_id: str) -> Kept:
    """Find a publication that is kept.

    Args:
        places: of the project.
        run_id: the run, or enough of its id's beginning to be unique among those that are kept.

    Raises:
        Fault: there is none, several begin so, or its file is damaged.
    """
    kept = _find_named(places, find_kept(places.published), run_id)
    _check(kept)
    return kept


def _find_named(places: Places, there: list[Kept], run_id: str) -> Kept:
    found = [each for each in there if run_id and each.run_id.startswith(run_id)]
    if len(found) == 1:
        return found[0]
    if found:
        raise Fault(
            f"Several publications begin with {run_id}: {', '.join(each.run_id for each in found)}.", MISUSED
        )
    if not run_id:
        raise Fault("Name a run. To see them: assay published list", MISUSED)
    run = read_run(places, run_id).run
    if run.published_at is None or run.published_path != str(places.published):
        raise Fault(f"Run {run.run_id} has published nothing. To see what did: assay published list", MISUSED)
    raise Fault(
        f"What run {run.run_id} published is not kept any more: its file is not there. "
        "To see what is: assay published list",
        MISUSED,
    )


def _check(kept: Kept) -> None:
    """Check that a file is what its folder says, before readers get it."""
    if published_run(kept.published) != kept.run_id:
        raise Fault(
            f"{kept.published} is damaged, or is not what run {kept.run_id} published: readers keep what "
            "they have. Name another run. To see them: assay published list"
        )


def _put_back_online(places: Places) -> list[Synced] | None:
    """Bring the online store to what is published; the one time that it goes back in what it knows."""
    if not _has_catalog(places.published):
        return None
    store = open_store(store_url(None, places))
    for left in reversed(range(_TRIES)):
        try:
            online = sync(places.published, store)
            break
        except StoreUnavailable:
            if not left:
                raise
    with open_published(places.published) as source:
        Ahead(places.ahead).go_back(source.positions())
    return online


def _put_back_roles(places: Places, tell: Callable[[str], None]) -> None:
    """Bring files of roles to what is published; what prevents that prevents no rollback."""
    try:
        publish_roles(places)
    except (Fault, OSError, duckdb.Error) as error:
        tell(f"Warning: {known_fault(error) or error}\nTo write the files of roles: assay roles apply")


def _has_catalog(published: Path) -> bool:
    try:
        with open_published(published):
            return True
    except Fault as fault:
        if CATALOG in str(fault):
            return False
        raise
