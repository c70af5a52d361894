"""Find promises of contracts that are missed: a product was not published in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from assay.contracts.availability import Promise, read_promises
from assay.core.moment import now
from assay.core.places import Places
from assay.ledger.availability import (
    read_landings,
    read_promises_seen,
    read_publications,
    read_published_at,
)
from assay.ledger.rollbacks import read_rollback
from assay.ledger.runs import read_runs

#: For how long misses are counted.
WINDOW = timedelta(days=30)


@dataclass(frozen=True)
class Miss:
    """A time by which a product was due and not there; `over_at` is when it came, None until then."""

    due_at: datetime
    over_at: datetime | None

    def late(self, moment: datetime) -> timedelta:
        """Return how late the product came, or is at a moment (UTC)."""
        return (self.over_at or moment) - self.due_at


@dataclass(frozen=True)
class Availability:
    """How a promise is kept; times are UTC.

    `missed_since` is when the product was due, where it is missing now. `misses` are those of the last 30
    days, oldest first.
    """

    promise: Promise
    published_at: datetime | None
    missed_since: datetime | None
    misses: list[Miss]

    def late(self, moment: datetime) -> timedelta:
        """Return how late the product is at a moment (UTC); 0 where nothing is missed."""
        return moment - self.missed_since if self.missed_since else timedelta()

    def longest(self, moment: datetime) -> timedelta:
        """Return how late it was at most in the last 30 days."""
        return max((each.late(moment) for each in self.misses), default=timedelta())


def read_availability(places: Places, moment: datetime | None = None) -> tuple[list[Availability], list[str]]:
    """Return how each promise is kept, by product, and what is wrong with promises that nobody can read.

    What a rollback took from readers does not count as published while it stands.

    Args:
        places: of the project.
        moment: the moment to judge (UTC); now without it.

    Raises:
        Fault: another program keeps the run ledger open.
    """
    at = moment or now()
    promises, problems = read_promises()
    if not promises:
        return [], problems
    rollback = read_rollback(places.warehouse)
    until = read_published_at(places.ledger, rollback.to_run) if rollback else None
    published = read_publications(places.ledger, since=at - WINDOW)
    seen = read_promises_seen(places.ledger)
    landed = read_landings(places.ledger, since=at - WINDOW)
    found = []
    for promise in sorted(promises, key=lambda each: (each.product, each.said)):
        times = published.get(promise.product) or ([] if published else _published_by_runs(places))
        seen_at = seen.get((promise.product, promise.said), at)
        if promise.is_latency:
            misses = find_late_landings(promise, landed.get(promise.product, []), times, at)
        else:
            misses = find_misses(promise, times, seen_at, at)
        ongoing = [each.due_at for each in misses if each.over_at is None]
        if rollback and until and not ongoing and not promise.is_latency:
            # Readers have lost what was in time.
            times = [each for each in times if each <= until]
            late = [each for each in find_misses(promise, times, seen_at, at) if each.over_at is None]
            misses += [Miss(max(late[0].due_at, rollback.started_at), None)] if late else []
            ongoing = [each.due_at for each in misses if each.over_at is None]
        # What was before the promise was made is not counted, except what is missing now.
        counted = [each for each in misses if each.due_at >= max(at - WINDOW, seen_at - promise.every)]
        found.append(Availability(promise, times[-1] if times else None, min(ongoing, default=None), counted))
    return found, problems


def find_misses(
    promise: Promise, published: Sequence[datetime], seen_at: datetime, moment: datetime
) -> list[Miss]:
    """Return the times by which a product was due and not there, oldest first.

    Args:
        promise: by when it is due.
        published: when it was published, oldest first.
        seen_at: since when the promise is known; a product that was never published counts from then on.
        moment: until when to look.
    """
    misses = []
    if not published:
        is_daily = promise.of_day is not None
        first = promise.next_time(seen_at - promise.every) if is_daily else promise.due_after(seen_at)
        misses += _missed(promise, first, None, moment)
    for position, time in enumerate(published):
        following = published[position + 1] if position + 1 < len(published) else None
        misses += _missed(promise, promise.due_after(time), following, moment)
    return misses


def find_late_landings(
    promise: Promise,
    landed: Sequence[tuple[datetime, datetime]],
    published: Sequence[datetime],
    moment: datetime,
) -> list[Miss]:
    """Return the times by which what had landed was to be published, and was not, oldest first.

    Args:
        promise: within which time it is published.
        landed: when files landed, and when the run began that loaded them, oldest first.
        published: when the product was published, oldest first.
        moment: until when to look.
    """
    misses = []
    waiting: datetime | None = None
    for place, (landed_at, loaded_at) in enumerate(landed):
        waiting = min(landed_at, waiting or landed_at)
        following = landed[place + 1][1] if place + 1 < len(landed) else moment
        over_at = next((each for each in published if loaded_at <= each <= following), None)
        if over_at is None and following != moment:
            continue
        due = promise.due_after(waiting)
        if due < (over_at or moment):
            misses.append(Miss(due, over_at))
        waiting = None
    return misses


def _missed(promise: Promise, due: datetime, following: datetime | None, moment: datetime) -> list[Miss]:
    found = []
    while due < (following or moment):
        found.append(Miss(due, following))
        if promise.of_day is None:
            break
        due = promise.next_time(due)
    return found


def _published_by_runs(places: Places) -> list[datetime]:
    """Return when gold was published, by builds that did not record products yet; oldest first."""
    path = str(places.published)
    times = (run.published_at for run in read_runs(places.ledger) if run.published_path == path)
    return sorted(time for time in times if time)
