"""Find the days on which a source should have landed a file by its own rhythm, and did not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from itertools import pairwise
from statistics import median, quantiles

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_WEEKS_BEFORE, _OF_THEM = 4, 3
# From this many days between files on, weekdays tell nothing of the rhythm.
_RARE = 8
_LONGER = 1.5
#: On fewer days, files have no rhythm.
FEWEST_DAYS = 4
# Where so many days would be missing, weekdays are no rhythm.
_MOST_PAUSES = 0.1
_MUCH_LONGER = 2

Days = tuple[date, date]


def find_missing_days(files: Mapping[date, int], until: date) -> list[Days]:
    """Return the intervals without files, first and last day.

    A day should have had a file if the same weekday had one in three of the four weeks before; where files
    are rarer than weekly, a pause must not be half as long again as is usual. Where files come on any day,
    so that one in ten would be missing, a pause must not be twice as long as 19 in 20 are. Files that came
    within a week are late, and not missing.

    Args:
        files: how many files landed, by day; days without files are left out.
        until: the last day to look at, which may be later than the last file.
    """
    days = sorted(files)
    if len(days) < FEWEST_DAYS:
        return []
    step = median((later - day).days for day, later in pairwise(days))
    if step >= _RARE:
        return _pauses(days, until, _LONGER * step)
    expected = set(days)
    missing = []
    day = days[0]
    while (day := day + _DAY) <= until:
        if day not in files and _is_usual(day, expected):
            missing.append(day)
            # So that a long gap does not become the rhythm.
            expected.add(day)
    usual = median(files.values())
    runs = _runs(missing, expected)
    if len(runs) > _MOST_PAUSES * (len(days) + len(runs)):
        steps = [(later - day).days for day, later in pairwise(days)]
        return _pauses(days, until, _MUCH_LONGER * quantiles(steps, n=20, method="inclusive")[-1])
    return [run for run in runs if not _came_late(run, files, usual, expected)]


def _pauses(days: list[date], until: date, longest: float) -> list[Days]:
    """Return the pauses between days, and after the last, that are longer than so many days."""
    ends = [*days[1:], until + _DAY]
    return [
        (day + _DAY, end - _DAY) for day, end in zip(days, ends, strict=True) if (end - day).days > longest
    ]


def _runs(missing: list[date], expected: set[date]) -> list[Days]:
    """Join missing days between which no file was expected."""
    runs: list[Days] = []
    for day in missing:
        if runs and not any(runs[-1][1] < other < day for other in expected):
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return runs


def _came_late(run: Days, files: Mapping[date, int], usual: float, expected: set[date]) -> bool:
    """Tell whether the week after has as many files more than is usual as are missing."""
    owed = sum(run[0] <= day <= run[1] for day in expected) * usual
    more = (
        count - (usual if _is_usual(day, expected) else 0)
        for day, count in files.items()
        if run[1] < day <= run[1] + _WEEK
    )
    return sum(max(each, 0) for each in more) >= owed


def _is_usual(day: date, expected: set[date]) -> bool:
    """Tell whether there are files on the weekday of a day."""
    return sum(day - week * _WEEK in expected for week in range(1, _WEEKS_BEFORE + 1)) >= _OF_THEM
