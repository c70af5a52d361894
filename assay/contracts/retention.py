"""Read how long landed files and their rows are kept, as the contracts of sources say."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from assay.contracts.contract import Column, Contract, Table
from assay.contracts.landing_rules import find_landed_type, find_time_format
from assay.core.sql import folded
from assay.landing.names import name_of
from assay.landing.time_format import EPOCHS

#: The service level of the standard that tells how long data is kept.
RETENTION = "retention"
_DAYS = {"d": 1, "day": 1, "days": 1}
_MONTHS = {
    **dict.fromkeys(("mo", "month", "months"), 1),
    **dict.fromkeys(("y", "yr", "year", "years"), 12),
}
_MOST_MONTHS = 1200
_MOST_DAYS = 36525
_TIMES = ("date", "timestamp")
_CHANGE_EVENT, _CONNECTED_AT = {"op", "before", "after"}, "ts_ms"


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


@dataclass(frozen=True)
class RowRetention(Retention):
    """How long the rows of a landing table are kept, by a time of their own.

    `column` is the column or key with that time, as landing tables name it. `time_format` is how it is
    written, for strptime; None for ISO 8601. `is_date` says whether it is a day.
    """

    column: str = ""
    time_format: str | None = None
    is_date: bool = False

    def cutoff(self, at: datetime) -> datetime:
        """Return since when rows are kept: a day is too old once all of it is."""
        cutoff = super().cutoff(at)
        return datetime.combine(cutoff, time()) if self.is_date else cutoff


def retentions_of(contract: Contract) -> Iterator[tuple[tuple[str | int, ...], Retention | str]]:
    """Yield how long each table of a source is kept, with its place; a text says why one cannot be read.

    A level that names a table holds for it in place of one that names none. One that names a column is of
    rows, and stands beside these. A product lands no files.
    """
    if not contract.is_of_source:
        return
    for table in contract.tables:
        levels = [each for each in contract.service_levels(table) if each[1]["property"] == RETENTION]
        of_rows = [each for each in levels if _column_of(each[1])]
        of_files = [each for each in levels if not _column_of(each[1])]
        for named in ([each for each in of_files if each[1].get("element")] or of_files, of_rows):
            if len(named) > 1:
                yield named[1][0], f"{table.name} has {len(named)} of {RETENTION}: keep one of them."
                continue
            for place, level in named:
                read = _read(level, table.relation, contract.where(place))
                yield place, _of_rows(read, level, table) if named is of_rows else read


def read_retentions(contracts: Iterable[Contract]) -> tuple[dict[str, Retention], list[str]]:
    """Return how long files of tables are kept, by relation in lower case, and what is wrong with levels."""
    found: dict[str, Retention] = {}
    problems: list[str] = []
    for contract in contracts:
        problems += [
            f"{contract.where(place)}: {RETENTION} is of {element}, which is no table here."
            for place, name, element in contract.levels_of_no_table()
            if name == RETENTION and contract.is_of_source
        ]
        for place, retention in retentions_of(contract):
            if isinstance(retention, str):
                problems.append(f"{contract.where(place)}: {retention}")
            elif not isinstance(retention, RowRetention):
                found[folded(retention.relation)] = retention
    return found, list(dict.fromkeys(problems))


def read_row_retentions(contracts: Iterable[Contract]) -> dict[str, RowRetention]:
    """Return how long rows of tables are kept, by relation in lower case, without what cannot be read."""
    return {
        folded(retention.relation): retention
        for contract in contracts
        for _, retention in retentions_of(contract)
        if isinstance(retention, RowRetention)
    }


def _column_of(level: dict[str, Any]) -> str:
    """Return the column that a level names behind its table; an empty text if none."""
    return str(level.get("element") or "").partition(".")[2]


def _of_rows(read: Retention | str, level: dict[str, Any], table: Table) -> RowRetention | str:
    """Return how long rows are kept, or why nobody can tell how old one is."""
    if isinstance(read, str):
        return read
    wanted = _column_of(level)
    fields = [each for top in table.columns for each in top.walk() if "[]" not in each.label]
    column = next((each for each in fields if wanted in (each.label, each.raw.get("name"))), None)
    if column is None:
        times = sorted(each.label for each in fields if find_landed_type(each) in _TIMES)
        return (
            f"{RETENTION} is of {table.name}.{wanted}, which is no column there. "
            f"There is {', '.join(times) or 'no time'}."
        )
    try:
        time_format = _time_format(column, table)
    except ValueError as error:
        return f"{RETENTION} is of {table.name}.{wanted}, and {error}"
    return RowRetention(
        *(read.relation, read.where, read.said, read.days, read.months),
        name_of(column.path) if table.custom("format") == "jsonl" else column.name,
        time_format,
        find_landed_type(column) == "date",
    )


def _time_format(column: Column, table: Table) -> str | None:
    """Return how a column's times are written, for strptime; None for ISO 8601.

    Raises:
        ValueError: they are no times, or nobody can tell which; the text is the end of a sentence.
    """
    is_change_event = {each.name for each in table.columns} >= _CHANGE_EVENT
    if is_change_event and column.path == (_CONNECTED_AT,) and find_landed_type(column) == "integer":
        return EPOCHS[1]
    if find_landed_type(column) not in _TIMES:
        of_events = f", or {_CONNECTED_AT}" if is_change_event else ""
        raise ValueError(
            f"its values land as {find_landed_type(column)}: name a column of logicalType date or "
            f"timestamp{of_events}."
        )
    return find_time_format(column)


def _read(level: dict[str, Any], relation: str, where: str) -> Retention | str:
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
