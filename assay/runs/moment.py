"""A past moment, as given on the command line and as it is written in names and variables."""

from __future__ import annotations

from datetime import UTC, datetime

from assay.runs.fault import MISUSED, Fault


def parse_moment(text: str) -> datetime:
    """Read a time in ISO 8601 as UTC (naive): an offset is applied, a date alone is its midnight.

    Raises:
        Fault: the text is no such time, or a time to come.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Fault(
            f"--as-of {text} is not a time: write it as 2025-06-30 or 2025-06-30T12:00:00+02:00 "
            "(UTC where no offset is given).",
            MISUSED,
        ) from None
    moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    if moment > datetime.now(UTC).replace(tzinfo=None):
        raise Fault(f"--as-of {text} lies in the future, of which nothing is known yet.", MISUSED)
    return moment


def in_file_name(moment: datetime) -> str:
    """Write a moment as part of a file's name: no colons, nor dots, which DuckDB cuts catalog names at."""
    text = f"{moment:%Y-%m-%dT%H-%M-%S}"
    return f"{text}-{moment:%f}" if moment.microsecond else text


def as_variable(moment: datetime) -> str:
    """Write a moment as dbt's var `as_of` has it."""
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"
