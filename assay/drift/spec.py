"""Read which rows to compare: a period, a length of time, or a training set's split."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, timedelta

from assay.core.fault import MISUSED, Fault
from assay.core.moment import instant, length_of

_LENGTH = re.compile(r"[1-9][0-9]{0,4}[smhd]")
_PERIOD = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_SPLIT = re.compile(r"split=(\w+)")
_ALLOWED = "write 2025, 2025-03, 2025-03-01..2025-03-31, 30d, or split=train"


@dataclass(frozen=True)
class Rows:
    """Rows from a time (inclusive) to another (exclusive), or of a split; `said` is what a person wrote."""

    said: str
    start: datetime | None = None
    end: datetime | None = None
    split: str | None = None


def rows_of(spec: str, *, until: datetime | None) -> Rows:
    """Read a specification.

    Args:
        spec: `2025`, `2025-03` or `2025-03-01` (UTC), two of them or two times as `FROM..TO` (days, months
            and years include their end, times exclude it, and either may be left out), a length of time such
            as `30d`, or `split=NAME`.
        until: the end of a length of time (exclusive); None if the table has no times.

    Raises:
        Fault: the specification is invalid, or it is a length of time and the table has no times.
    """
    spec = spec.strip()
    if split := _SPLIT.fullmatch(spec):
        return Rows(spec, split=split[1])
    if _LENGTH.fullmatch(spec):
        if until is None:
            raise Fault(
                f"{spec} counts back from the newest row, and there is no row, or none with a time.", MISUSED
            )
        return Rows(spec, until - length_of(spec), until)
    if ".." in spec:
        first, _, last = spec.partition("..")
        rows = Rows(
            spec, (first and _bounds(first, spec)[0]) or None, (last and _bounds(last, spec)[1]) or None
        )
        if rows.start and rows.end and rows.start >= rows.end:
            raise Fault(f"{spec} ends before it begins.", MISUSED)
        return rows
    return Rows(spec, *_bounds(spec, spec))


def _bounds(text: str, spec: str) -> tuple[datetime, datetime]:
    found = _PERIOD.fullmatch(text.strip())
    try:
        if found:
            year, month, day = (int(part) if part else None for part in found.groups())
            assert year is not None
            start = datetime(year, month or 1, day or 1)
            days = 1 if day else monthrange(year, month)[1] if month else 366 if _is_leap(year) else 365
            return start, start + timedelta(days=days)
    except (ValueError, OverflowError):
        pass
    moment = instant(text)
    if moment is None:
        raise Fault(f"{spec} is no choice of rows: {_ALLOWED}.", MISUSED)
    return moment, moment


def _is_leap(year: int) -> bool:
    return monthrange(year, 2)[1] == 29
