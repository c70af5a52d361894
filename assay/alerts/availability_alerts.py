"""Tell people of promises that are missed, once when that begins and once when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby

import duckdb

from assay.alerts.availability import Availability, read_availability
from assay.alerts.availability_metrics import write_availability
from assay.alerts.config import Config, read_config
from assay.alerts.lock import alerts_lock
from assay.alerts.runbooks import Runbook
from assay.alerts.states import Alert, Change
from assay.contracts.availability import read_promises
from assay.core.fault import Fault, known_fault
from assay.core.moment import now
from assay.core.places import Places
from assay.core.words import duration
from assay.core.words import moment as at_minute
from assay.ledger.availability import PROMISES, Outage, read_outages, read_promises_seen, record_outages

_SECONDS_BETWEEN_LOOKS = 30.0


@dataclass(frozen=True)
class Checked:
    """How promises are kept, the alerts that were sent because of it, and what went wrong."""

    found: list[Availability]
    alerts: list[Alert] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check_availability(places: Places) -> Checked:
    """Look which promises are missed now, tell people of what has changed, and write the metrics.

    Several processes may look at the same time: each change is told by one of them.

    Args:
        places: of the project.

    Raises:
        Fault: another program keeps the run ledger open, or the disk is full.
    """
    if not places.ledger.exists():
        promises, problems = read_promises()
        nothing = "Nothing is built yet, so nobody can tell which products are late. To build: assay build"
        return Checked([], problems=[*problems, *[nothing] * bool(promises)])
    config = _read_config()
    with alerts_lock(places):
        moment = now()
        found, problems = read_availability(places, moment)
        seen = read_promises_seen(places.ledger)
        new = [each.promise for each in found if (each.promise.product, each.promise.said) not in seen]
        PROMISES.write(
            places.ledger,
            [{"product": each.product, "promise": each.said, "seen_at": moment} for each in new],
            over=False,
        )
        known = read_outages(places.ledger)
        alerts, outages = find_changes(found, known, seen, moment)
        if not problems:
            # A promise that nobody can read just now may be made all the same.
            withdrawn, over = find_withdrawn(found, known, moment)
            alerts, outages = alerts + withdrawn, outages + over
        is_told, wrong = config.tell(alerts)
        if is_told:
            # What nobody could be told of is told the next time.
            record_outages(places.ledger, outages)
        write_availability(places, found, moment)
    return Checked(found, alerts if is_told else [], [*problems, *wrong])


def watch_availability(places: Places) -> list[str]:
    """Do the same beside something else, which it does not fail; return what went wrong."""
    try:
        return check_availability(places).problems
    except (Fault, duckdb.Error, OSError) as error:
        return [f"Nobody could look which service levels are missed: {known_fault(error) or error}"]


class AvailabilityWatch:
    """Looks every half minute, beside something that runs for long.

    Args:
        places: of the project.
        tell: called with what goes wrong, once for each time that it begins.
    """

    def __init__(self, places: Places, tell: Callable[[str], None]) -> None:
        self._places, self._tell = places, tell
        self._looked = -_SECONDS_BETWEEN_LOOKS
        self._told: list[str] = []

    def look(self) -> None:
        """Look, if the last time is long enough ago."""
        if time.monotonic() - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        problems = watch_availability(self._places)
        for problem in problems:
            if problem not in self._told:
                self._tell(problem)
        self._told = problems


def find_changes(
    found: Sequence[Availability],
    known: Sequence[Outage],
    seen: dict[tuple[str, str], datetime],
    moment: datetime,
) -> tuple[list[Alert], list[Outage]]:
    """Return what people are to be told, and the outages to record then.

    Args:
        found: how promises are kept.
        known: the outages that people know of.
        seen: since when each promise is known.
        moment: now (UTC).
    """
    alerts: list[Alert] = []
    outages: list[Outage] = []
    for each in found:
        product, said = each.promise.product, each.promise.said
        own = [outage for outage in known if (outage.product, outage.promise) == (product, said)]
        ongoing = next((outage for outage in own if outage.over_at is None), None)
        # A rollback may move the beginning of the same outage back.
        is_same = ongoing and each.missed_since and each.missed_since <= ongoing.since
        if ongoing and not is_same:
            over_at = _end(each, ongoing.since) or moment
            outages.append(Outage(product, said, ongoing.since, over_at))
            alerts.append(_over(each, ongoing.since, over_at))
        over = [miss for miss in each.misses if miss.over_at]
        for over_at, misses in groupby(over, lambda miss: miss.over_at):
            since = next(misses).due_at
            is_told = any(
                outage.over_at and over_at and outage.since <= since and over_at <= outage.over_at
                for outage in [*own, *outages]
                if (outage.product, outage.promise) == (product, said)
            )
            # Of an outage that began and ended between two looks people are told once.
            if over_at and not is_told and since >= seen.get((product, said), moment):
                outages.append(Outage(product, said, since, over_at))
                alerts.append(_over(each, since, over_at))
        if each.missed_since and not is_same:
            outages.append(Outage(product, said, each.missed_since))
            alerts.append(make_missed_alert(each, each.missed_since))
    return alerts, outages


def find_withdrawn(
    found: Sequence[Availability], known: Sequence[Outage], moment: datetime
) -> tuple[list[Alert], list[Outage]]:
    """Return the same of outages whose promise no contract makes any more: they are over.

    Args:
        found: how promises are kept.
        known: the outages that people know of.
        moment: now (UTC).
    """
    made = {(each.promise.product, each.promise.said) for each in found}
    gone = [each for each in known if each.over_at is None and (each.product, each.promise) not in made]
    said = "no contract promises it any more"
    alerts = [_alert("recovered", each.product, each.promise, None, said) for each in gone]
    return alerts, [replace(each, over_at=moment) for each in gone]


def _end(availability: Availability, since: datetime) -> datetime | None:
    """Return when an outage was over; one that a rollback began, with the last publication."""
    ends = (miss.over_at for miss in availability.misses if miss.due_at == since)
    return next(ends, None) or availability.published_at


def make_missed_alert(availability: Availability, since: datetime) -> Alert:
    """Return the alert that a product is late, since it was due (UTC)."""
    promise, published = availability.promise, at_minute(availability.published_at)
    said = f"it was due {at_minute(since)} UTC, and was last published {published}"
    return _alert("broken", promise.product, promise.said, promise.owner, said)


def _over(availability: Availability, since: datetime, over_at: datetime) -> Alert:
    promise, late = availability.promise, duration((over_at - since) / timedelta(seconds=1))
    said = f"it was due {at_minute(since)} UTC, and was published {late} later"
    return _alert("recovered", promise.product, promise.said, promise.owner, said)


def _alert(change: Change, product: str, promise: str, owner: str | None, said: str) -> Alert:
    about = (f"{product} {promise}", "service level", product)
    # No-break spaces of times and lengths are for tables.
    return Alert(Runbook.PRODUCT_LATE, change, *about, owner, "error", " ".join(said.split()))


def _read_config() -> Config:
    try:
        return read_config()
    except Fault as fault:
        return Config([], problems=[f"No alerts could be sent: {fault}"])
