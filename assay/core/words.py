"""Write numbers, times and lists for people."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from unicodedata import combining, normalize

# Letters that Unicode does not take apart, or that are written out otherwise than without their mark.
_LETTERS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe", "œ": "oe", "ł": "l", "đ": "d"}
)
_UNITS = ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"))
_LONGEST_VALUE = 400


def plain_name(text: str) -> str:
    """Write a name in small letters of ASCII, digits and underscores: `gebuehr` for `Gebühr`."""
    letters = normalize("NFC", text.lower()).translate(_LETTERS)
    bare = "".join(each for each in normalize("NFKD", letters) if not combining(each))
    return re.sub(r"\W+", "_", bare, flags=re.ASCII).strip("_")


def escaped(name: str) -> str:
    """Return a file's name, or what was typed, as UTF-8: bytes that are none are escaped."""
    return os.fsencode(name).decode(errors="backslashreplace")


def counted(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun, such as `1 row` or `2,000 rows`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def moment(when: datetime | None) -> str:
    """Write a time (UTC), to the minute; `never` for None."""
    return _together(f"{when.day} {when:%b %Y, %H:%M}") if when else "never"


def day(when: date) -> str:
    """Write a day, such as `3 Jan 2026`."""
    return _together(f"{when.day} {when:%b %Y}")


def month(when: date) -> str:
    """Write the month of a day, such as `Jan 2026`."""
    return _together(f"{when:%b %Y}")


def duration(seconds: float | None) -> str:
    """Write a length of time in the largest unit of which it has at least two; a dash for None."""
    if seconds is None:
        return "\N{EN DASH}"
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return _together(f"{seconds / size:.0f} {unit}s")
    return _together(f"{seconds:.0f} s" if seconds >= 10 or not seconds else f"{seconds:.1f} s")


def number(value: float | None, form: str = ",") -> str:
    """Write a number; a dash for None."""
    return "\N{EN DASH}" if value is None else format(value, form)


def figure(value: float | None, digits: int = 6) -> str:
    """Write a measured number in so many digits; long ones in groups of three, but a year is `1950`."""
    return number(value, f",.{digits}g" if value is not None and abs(value) >= 10_000 else f".{digits}g")


def change(now: int | None, then: int | None) -> str:
    """Write by how much a number grew or shrank; a dash if either number is not known."""
    if now is None or then is None:
        return number(None)
    return f"{now - then:+,}" if now != then else "0"


def listed(names: Sequence[str], most: int = 3) -> str:
    """Join names to a list within a sentence; beyond `most`, write the first names and count the others."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _together(text: str) -> str:
    """Replace spaces by no-break spaces, so that the text stays on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def value(found: Any) -> str:
    """Write a value of a row; a very long value is cut, and its length is told."""
    if found is None:
        return "NULL"
    text = _length(found) if isinstance(found, timedelta) else str(found)
    if len(text) <= _LONGEST_VALUE:
        return text
    return f"{text[:_LONGEST_VALUE]}\N{HORIZONTAL ELLIPSIS} ({len(text):,} characters)"


def _length(length: timedelta) -> str:
    """Write a length of time in its two largest units, such as `106 days 3 hours`, or in seconds."""
    rest, parts = abs(length).total_seconds(), []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(counted(int(count), unit))
    told = " ".join(parts[:2]) or f"{rest:.6g} s"
    return f"-{told}" if length < timedelta() else told


def timing(dbt_seconds: float | None, duckdb_seconds: float | None) -> str:
    """Write how long dbt took (wall time), and how much of that DuckDB took (the sum over its statements)."""
    dbt, in_duckdb = dbt_seconds or 0.0, duckdb_seconds or 0.0
    if in_duckdb > dbt:
        return f"dbt {dbt:.1f} s, with {in_duckdb:.1f} s of DuckDB statements side by side"
    return f"dbt {dbt:.1f} s, of which {in_duckdb:.1f} s in DuckDB"
