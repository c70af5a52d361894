"""Read by when, or how often, a product is to be published, as its contract promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from yaml import YAMLError

from assay.contracts.contract import FOLDER, Contract
from assay.contracts.document import SUFFIX, Document, read
from assay.core.yaml_text import read_yaml
from assay.project.paths import contract_folders

#: The service levels of the standard that tell when a product is published.
BY, EVERY = "timeOfAvailability", "frequency"
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?\s*(Z|[+-](?:0\d|1[0-8]):?[0-5]\d)?")
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


@dataclass(frozen=True)
class Promise:
    """By when a product is published each day, or how often.

    `of_day` is the time of the day (UTC) by which, None where only `every`, the longest time between two
    publications, is promised. `said` is the promise as people write it.
    """

    product: str
    owner: str | None
    said: str
    every: timedelta
    of_day: timedelta | None = None

    def due_after(self, moment: datetime) -> datetime:
        """Return until when there must be another publication after one (times are UTC).

        A publication counts for the first time of the day that follows it.
        """
        return moment + self.every if self.of_day is None else self.next_time(moment) + _DAY

    def next_time(self, moment: datetime) -> datetime:
        """Return the next time by which the product is due, later than a moment (UTC), of each day."""
        assert self.of_day is not None
        midnight = datetime(moment.year, moment.month, moment.day)
        due = midnight + self.of_day
        return due if due > moment else due + _DAY


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
    if BY not in text and EVERY not in text:
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
        if level["property"] in (BY, EVERY):
            read_level = _by if level["property"] == BY else _every
            yield ("slaProperties", number), read_level(contract, level)


def _by(contract: Contract, level: dict[str, Any]) -> Promise | str:
    found = _TIME.fullmatch(str(level["value"]).strip())
    if not found:
        return f"{BY} is {level['value']!r}: write a time of the day, as 06:30 (UTC) or 06:30+02:00."
    hours, minutes, seconds, offset = found.groups()
    of_day = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds or 0))
    if offset and offset != "Z":
        length = timedelta(hours=int(offset[1:3]), minutes=int(offset[-2:]))
        of_day -= length if offset[0] == "+" else -length
    said = f"by {found[0].replace('Z', '')} {'' if offset and offset != 'Z' else 'UTC'}".strip()
    return Promise(contract.id, contract.owner, said, _DAY, of_day % _DAY)


def _every(contract: Contract, level: dict[str, Any]) -> Promise | str:
    value, unit = level["value"], str(level.get("unit") or "").lower()
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or value <= 0 or unit not in _UNITS:
        return (
            f"{EVERY} is {value!r} {unit or 'without unit'}: write a number above 0, and m, h or d as unit."
        )
    return Promise(contract.id, contract.owner, f"every {value:g} {unit}", value * _UNITS[unit])
