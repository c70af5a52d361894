"""Tell who has read what, by the log of the feature server and the versions of training sets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from assay.training.store import Version

_NOBODY = "without a key"


@dataclass
class Reads:
    """Who has read a table, and when each of them did last (UTC)."""

    last_of: dict[str, datetime] = field(default_factory=dict)

    def note(self, reader: str, at: datetime) -> None:
        """Note that somebody read it."""
        self.last_of[reader] = max(at, self.last_of.get(reader, at))

    @property
    def readers(self) -> list[str]:
        """Who read it, the last one first."""
        return sorted(self.last_of, key=lambda reader: (self.last_of[reader], reader), reverse=True)

    @property
    def last_at(self) -> datetime | None:
        """When it was read last (UTC); None if never."""
        return max(self.last_of.values(), default=None)


@dataclass
class Records:
    """What is recorded of reads, by the name of the view or training set.

    `begin_at` is when the server's log begins (UTC); None if there is none. `unreadable` counts its lines
    that cannot be read.
    """

    by_name: dict[str, Reads] = field(default_factory=dict)
    begin_at: datetime | None = None
    unreadable: int = 0

    def note(self, name: str, reader: str, at: datetime) -> None:
        """Note that somebody read a view or training set."""
        self.by_name.setdefault(name, Reads()).note(reader, at)


def read_records(serving: Path, versions: Iterable[Version]) -> Records:
    """Read who read which views online, and which were read for versions of training sets.

    Args:
        serving: the folder of the feature server, with its audit log.
        versions: of training sets.

    Raises:
        OSError: the log cannot be read.
    """
    found = Records()
    for file in serving.glob("audit*.jsonl"):
        with file.open("rb") as lines:
            for line in lines:
                _note_line(line, found)
    for version in versions:
        made = version.manifest
        for name in {made.name, *(feature.view for feature in made.features)}:
            found.note(name, f"version {made.version}", made.created_at)
    return found


def _note_line(line: bytes, found: Records) -> None:
    try:
        told = json.loads(line)
        at = _moment(next(value for name, value in told.items() if name.endswith("_at")))
        found.begin_at = min(at, found.begin_at or at)
        if "read_at" in told:
            for view in told.get("views", []):
                found.note(view, f"key {told['reader']}" if told["reader"] else _NOBODY, at)
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration, OverflowError):
        found.unreadable += 1


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
