"""Read how long landed files are kept, as the contracts of sources say."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from assay.contracts.contract import Contract
from assay.core.sql import folded

#: The service level of the standard that tells how long data is kept.
RETENTION = "retention"
_DAYS = {"d": 1, "day": 1, "days": 1}
_MONTHS = {
    **dict.fromkeys(("mo", "month", "months"), 1),
    **dict.fromkeys(("y", "yr", "year", "years"), 12),
}
_MOST_MONTHS = 1200
_MOST_DAYS = 36525


@dataclass(frozen=True)
class Retention:
    """How long the landed files of a table are kept: a number of days and of months of the calendar.

    `relation` is the table, as `landing.<source>__<table>`. `where` is file and line of the contract.
    """

    relation: str
    where: str
    said: str
    days: int = 0
    months: int = 0

    def cutoff(self, at: datetime) -> datetime:
        """Return since when files are kept: what landed before that is too old at a moment (UTC, naive)."""
        years, month = divmod(at.year * 12 + at.month - 1 - self.months, 12)
        day = min(at.day, monthrange(years, month + 1)[1])
        return at.replace(year=years, month=month + 1, day=day) - timedelta(days=self.days)


def retentions_of(contract: Contract) -> Iterator[tuple[tuple[str | int, ...], Retention | str]]:
    """Yield how long each table of a source is kept, with its place; a text says why one cannot be read.

    A level that names a table holds for it in place of one that names none. A product lands no files.
    """
    if not contract.is_of_source:
        return
    for table in contract.tables:
        levels = [each for each in contract.service_levels(table) if each[1]["property"] == RETENTION]
        named = [each for each in levels if each[1].get("element")] or levels
        if len(named) > 1:
            yield named[1][0], f"{table.name} has {len(named)} of {RETENTION}: keep one of them."
            continue
        for place, level in named:
            yield place, _read(level, table.relation, contract.where(place))


def read_retentions(contracts: Iterable[Contract]) -> tuple[dict[str, Retention], list[str]]:
    """Return how long tables are kept, by relation in lower case, and what is wrong with other levels."""
    found: dict[str, Retention] = {}
    problems: list[str] = []
    for contract in contracts:
        for place, retention in retentions_of(contract):
            if isinstance(retention, Retention):
                found[folded(retention.relation)] = retention
            else:
                problems.append(f"{contract.where(place)}: {retention}")
    return found, list(dict.fromkeys(problems))


def _read(level: dict[str, Any], relation: str, where: str) -> Retention | str:
    # Taken for the table, it would remove files by when they landed, and rows by no time at all.
    table, _, column = str(level.get("element") or "").partition(".")
    if column:
        return (
            f"{RETENTION} is of {table}.{column}, and rows are not removed by a column: landed files are, by "
            f"when they landed. Write element: {table}."
        )
    value, unit = level["value"], str(level.get("unit") or "").lower()
    days, months = _DAYS.get(unit, 0), _MONTHS.get(unit, 0)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    # A year or a month may have any length, so half of one says nothing.
    if not is_whole or not (days or months) or value <= 0:
        return (
            f"{RETENTION} is {value!r} {unit or 'without unit'}: write a whole number above 0, and d, mo or "
            "y as unit."
        )
    if value * days > _MOST_DAYS or value * months > _MOST_MONTHS:
        return f"{RETENTION} is {value} {unit}: write 100 years at most, or leave it out to keep all."
    return Retention(relation, where, f"{value} {unit}", value * days, value * months)
