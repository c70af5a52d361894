"""Numbers and times as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

_UNITS = ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"))
_LONGEST_VALUE = 400


def counted(count: int, one: str, many: str = "") -> str:
    """Say how many there are of something."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def moment(when: datetime | None) -> str:
    """Say a time (UTC), to the minute."""
    return _together(f"{when.day} {when:%b %Y, %H:%M}") if when else "never"


def day(when: date) -> str:
    """Say a day."""
    return _together(f"{when.day} {when:%b %Y}")


def month(when: date) -> str:
    """Say the month of a day."""
    return _together(f"{when:%b %Y}")


def duration(seconds: float | None) -> str:
    """Say a length of time in the largest unit of which there are two."""
    if seconds is None:
        return "\N{EN DASH}"
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return _together(f"{seconds / size:.0f} {unit}s")
    return _together(f"{seconds:.0f} s" if seconds >= 10 or not seconds else f"{seconds:.1f} s")


def number(value: float | None, form: str = ",") -> str:
    """Write a number; a dash stands for none."""
    return "\N{EN DASH}" if value is None else format(value, form)


def change(now: int | None, then: int | None) -> str:
    """Say by how much a number grew or shrank; a dash stands for what is not known."""
    if now is None or then is None:
        return number(None)
    return f"{now - then:+,}" if now != then else "0"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Join names as a sentence does; of many the first."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _together(text: str) -> str:
    """Keep a text on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def value(found: Any) -> str:
    """Write a value of a row; of a very long one the beginning."""
    if found is None:
        return "NULL"
    text = str(found)
    if len(text) <= _LONGEST_VALUE:
        return text
    return f"{text[:_LONGEST_VALUE]}\N{HORIZONTAL ELLIPSIS} ({len(text):,} characters)"


def timing(dbt_seconds: float | None, duckdb_seconds: float | None) -> str:
    """Say how long dbt took (wall time), and how much of it DuckDB (the sum over its statements)."""
    dbt, in_duckdb = dbt_seconds or 0.0, duckdb_seconds or 0.0
    if in_duckdb > dbt:
        return f"dbt {dbt:.1f} s, with {in_duckdb:.1f} s of DuckDB statements side by side"
    return f"dbt {dbt:.1f} s, of which {in_duckdb:.1f} s in DuckDB"
