"""The simulated days, and how instants on them are written."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

DAY_MS = 86_400_000
SATURDAY = 5


@dataclass(frozen=True)
class Period:
    """Days are numbered from 0 at `start`; everything is in UTC."""

    start: date
    days: int

    def date(self, day: int) -> date:
        """The calendar date of a day number (which may lie outside the period)."""
        return self.start + timedelta(days=day)

    def at(self, day: int, hour: int = 0, minute: int = 0) -> datetime:
        """The instant of a wall clock time on a day."""
        return datetime.combine(self.date(day), time(hour, minute))

    def epoch_ms(self, day: int) -> int:
        """Milliseconds since 1970 of a day's midnight."""
        return (self.date(day) - date(1970, 1, 1)).days * DAY_MS


@cache
def clock() -> list[str]:
    """HH:MM:SS for each second of a day: a look-up costs a tenth of formatting."""
    return [f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)]


def iso_seconds(epoch_ms: int) -> str:
    """An instant as 2025-01-01T00:00:00Z."""
    return datetime.fromtimestamp(epoch_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_milliseconds(epoch_ms: int) -> str:
    """An instant as 2025-01-01T00:00:00.123Z."""
    return f"{iso_seconds(epoch_ms)[:-1]}.{epoch_ms % 1000:03d}Z"
