"""Read by when, or how often, a product is to be published, as its contract promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from yaml import YAMLError

from assay.contracts.contract import FOLDER, Contract
from assay.contracts.document import SUFFIX, Document, read
from assay.core.yaml_text import read_yaml
from assay.project.paths import contract_folders

#: The service levels of the standard that tell when a product is published.
BY, EVERY, WITHIN = "timeOfAvailability", "frequency", "latency"
_TIME = re.compile(
    r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?\s*(Z|[+-](?:0\d|1[0-8]):?[0-5]\d|[A-Za-z]+/[\w/+-]+|UTC)?"
)
_UNITS = {
    unit: timedelta(seconds=seconds)
    for seconds, units in (
        (60, ("m", "min", "minute", "minutes")),
        (3600, ("h", "hr", "hour", "hours")),
        (86400, ("d", "day", "days")),
    )
    for unit in units
}
_DAY = timedelta(days=1)
_LONGEST = 3650 * _DAY
_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CRON_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_DAYS = re.compile(rf"([0-7]|{'|'.join(_CRON_DAYS)})(?:-([0-7]|{'|'.join(_CRON_DAYS)}))?")
#: The days of the week, from 0 for Monday.
ALL_DAYS = frozenset(range(7))


@dataclass(frozen=True)
class Promise:
    """By when a product is published, or how often, on some days of the week.

    `of_day` is the time of the day in `zone` by which, None where only `every`, the longest time between two
    publications, is promised. `days` are those of the week, from 0 for Monday; on others, nothing is due, and
    `every` does not elapse. With `is_latency`, `every` is by when at the latest what has landed is published.
    `said` is the promise as people write it.
    """

    product: str
    owner: str | None
    said: str
    every: timedelta
    of_day: time | None = None
    zone: tzinfo = UTC
    days: frozenset[int] = ALL_DAYS
    is_latency: bool = False

    def due_after(self, moment: datetime) -> datetime:
        """Return until when there must be another publication after one, or after a landing (times are UTC).

        A publication counts for the first time of the day that follows it.
        """
        return self._elapse(moment) if self.of_day is None else self.next_time(self.next_time(moment))

    def next_time(self, moment: datetime) -> datetime:
        """Return the next time by which the product is due, later than a moment (UTC).

        Where the clocks change, a time of the day that comes twice is the first one, and one that is left out
        is counted on from before the change, as calendars do (RFC 5545).
        """
        assert self.of_day is not None
        day = self._day_of(moment) - _DAY
        while True:
            due = self._in_utc(datetime.combine(day, self.of_day))
            if due > moment and day.weekday() in self.days:
                return due
            day += _DAY

    def _elapse(self, moment: datetime) -> datetime:
        """Return when `every` has elapsed on the days that count."""
        left = self.every
        while self.days != ALL_DAYS:
            day = self._day_of(moment)
            midnight = self._in_utc(datetime.combine(day + _DAY, time()))
            if day.weekday() in self.days:
                if moment + left <= midnight:
                    break
                left -= midnight - moment
            moment = midnight
        return moment + left

    def _day_of(self, moment: datetime) -> date:
        return moment.replace(tzinfo=UTC).astimezone(self.zone).date()

    def _in_utc(self, local: datetime) -> datetime:
        return local.replace(tzinfo=self.zone).astimezone(UTC).replace(tzinfo=None)


def read_promises() -> tuple[list[Promise], list[str]]:
    """Return what the contracts of the project in the current folder promise, and what nobody can read."""
    promises, problems = [], []
    for folder in contract_folders(FOLDER):
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            # To check a contract against the standard takes long, and this is asked every few seconds.
            if not _may_promise(path):
                continue
            document, wrong = read(path)
            if not document or wrong:
                problems += [str(each) for each in wrong]
                continue
            contract = Contract(document)
            for place, found in promises_of(contract):
                if isinstance(found, Promise):
                    promises.append(found)
                else:
                    problems.append(f"{contract.where(place)}: {found}")
    return promises, problems


def _may_promise(path: Path) -> bool:
    """Tell whether a file promises something, or is none that could be read quickly."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if not any(name in text for name in (BY, EVERY, WITHIN)):
        return False
    try:
        return any(promises_of(Contract(Document(path.name, read_yaml(text)))))
    except (YAMLError, AttributeError, LookupError, TypeError, ValueError):
        return True


def promises_of(contract: Contract) -> Iterator[tuple[tuple[str | int, ...], Promise | str]]:
    """Yield the promises of a product's contract, each with its place; a text says why one cannot be read."""
    if contract.is_of_source:
        return
    for number, level in enumerate(contract.raw.get("slaProperties") or []):
        if level["property"] in (BY, EVERY, WITHIN):
            read_level = _by if level["property"] == BY else _length
            yield ("slaProperties", number), read_level(contract, level)


def _by(contract: Contract, level: dict[str, Any]) -> Promise | str:
    found = _TIME.fullmatch(str(level["value"]).strip())
    if not found:
        return (
            f"{BY} is {level['value']!r}: write a time of the day, as 06:30 (UTC), 06:30+02:00 or "
            "06:30 Europe/Berlin."
        )
    hours, minutes, seconds, name = found.groups()
    try:
        zone = _zone(name)
    except (ZoneInfoNotFoundError, ValueError):
        return (
            f"{BY} is in {name!r}, which is no time zone of this machine: write one as Europe/Berlin, or "
            "pip install tzdata."
        )
    days = _days(level)
    if isinstance(days, str):
        return days
    said = f"by {found[0]}" if zone is not UTC else f"by {found[0].removesuffix(name or '').strip()} UTC"
    of_day = time(int(hours), int(minutes), int(seconds or 0))
    return Promise(contract.id, contract.owner, said + _on(days), _DAY, of_day, zone, days)


def _zone(name: str | None) -> tzinfo:
    if name is None or name in ("Z", "UTC"):
        return UTC
    if name[0] not in "+-":
        return ZoneInfo(name)
    length = timedelta(hours=int(name[1:3]), minutes=int(name[-2:]))
    return timezone(length if name[0] == "+" else -length)


def _length(contract: Contract, level: dict[str, Any]) -> Promise | str:
    name = level["property"]
    value, unit = level["value"], str(level.get("unit") or "").lower()
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Neither .nan nor .inf of YAML is between two numbers.
    if not is_number or unit not in _UNITS or not 0 < value <= _LONGEST / _UNITS[unit]:
        return (
            f"{name} is {value!r} {unit or 'without unit'}: write a number above 0, and m, h or d as unit; "
            "ten years at most."
        )
    days = _days(level)
    if isinstance(days, str):
        return days
    said = f"{'every' if name == EVERY else 'within'} {value:g} {unit}{_on(days)}"
    length = value * _UNITS[unit]
    return Promise(contract.id, contract.owner, said, length, days=days, is_latency=name == WITHIN)


def _days(level: dict[str, Any]) -> frozenset[int] | str:
    """Return the days of the week of a schedule of cron, from 0 for Monday; other schedulers leave all."""
    schedule = level.get("schedule")
    if schedule is None or str(level.get("scheduler") or "cron").lower() != "cron":
        return ALL_DAYS
    wrong = f"the schedule of {level['property']} is {schedule!r}: write one of cron that differs by the day "
    wrong += "of the week alone, as 0 5 * * MON-FRI."
    fields = str(schedule).upper().split()
    if len(fields) != 5 or fields[2:4] != ["*", "*"]:
        return wrong
    days: set[int] = set()
    for part in fields[4].split(","):
        found = _DAYS.fullmatch(part)
        if part == "*":
            days |= ALL_DAYS
        elif found is None:
            return wrong
        else:
            # Cron counts from Sunday, which is 0 and 7.
            first, last = (
                _CRON_DAYS.index(each) if each in _CRON_DAYS else int(each) for each in found.groups(found[1])
            )
            if last < first:
                return wrong
            days |= {(day - 1) % 7 for day in range(first, last + 1)}
    return frozenset(days)


def _on(days: frozenset[int]) -> str:
    """Return the days in words, such as ` on Mon, Tue`; nothing for all."""
    return "" if days == ALL_DAYS else f" on {', '.join(_NAMES[day] for day in sorted(days))}"
