"""Moments and lengths of time, as people, files and YAML write them. Moments are UTC, without zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from assay.core.fault import MISUSED, Fault

#: `valid_to` of what still holds, as the macro end_of_time has it; and the same as SQL.
END_OF_TIME = datetime(9999, 12, 31)
END_OF_TIME_SQL = f"timestamp '{END_OF_TIME:%Y-%m-%d}'"

_LARGEST_OFFSET = timedelta(hours=18)
_UNITS = {
    "us": "microseconds",
    "ms": "milliseconds",
    "s": "seconds",
    "m": "minutes",
    "h": "hours",
    "d": "days",
}


def now() -> datetime:
    """Return the current time (UTC, without zone)."""
    return datetime.now(UTC).replace(tzinfo=None)


def instant(text: str) -> datetime | None:
    """Read a time in ISO 8601 as UTC: an offset is applied, a date alone is its midnight.

    Return None if the text is no time. An offset of more than 18 hours is refused, as in silver: no place
    on Earth has one.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        offset = moment.utcoffset()
        if offset is None:
            return moment
        return moment.astimezone(UTC).replace(tzinfo=None) if abs(offset) <= _LARGEST_OFFSET else None
    except (ValueError, OverflowError):
        return None


def length_of(text: str) -> timedelta:
    """Read a length of time such as 0s, 250ms, 24h or 365d: a number and its unit (us, ms, s, m, h or d)."""
    number = text.rstrip("usmhd")
    return timedelta(**{_UNITS[text[len(number) :]]: float(number)})


def parse_moment(text: str) -> datetime:
    """Read the value of the option --as-of.

    Raises:
        Fault: the text is no time in ISO 8601, or lies in the future.
    """
    moment = instant(text)
    if moment is None:
        raise Fault(
            f"--as-of {text} is not a time: write it as 2025-06-30 or 2025-06-30T12:00:00+02:00 "
            "(UTC where no offset is given).",
            MISUSED,
        )
    if moment > now():
        raise Fault(f"--as-of {text} lies in the future, of which nothing is known yet.", MISUSED)
    return moment


def read_moment(when: datetime | str) -> datetime:
    """Read a moment of the past: UTC where it has no offset.

    Raises:
        Fault: it is no time, or one to come.
    """
    return parse_moment(when.isoformat() if isinstance(when, datetime) else when)


def read_day(text: str, option: str) -> date:
    """Read a day that an option names.

    Raises:
        Fault: the text is no day in ISO 8601.
    """
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise Fault(f"{option} {text!r} is no day: write it as 2025-06-30.", MISUSED) from error


def in_file_name(moment: datetime) -> str:
    """Write a moment for a file's name: no colons, and no dots, at which DuckDB cuts catalog names."""
    text = f"{moment:%Y-%m-%dT%H-%M-%S}"
    return f"{text}-{moment:%f}" if moment.microsecond else text


def as_variable(moment: datetime) -> str:
    """Write a moment as the value of dbt's variable `as_of`."""
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"
