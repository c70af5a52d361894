"""Record in the run ledger who landed history late, and from when on it counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from pathlib import Path

from assay.ledger.file import LedgerTable

BACKFILLS = LedgerTable(
    "backfills",
    """
    landed_at timestamp not null,
    source varchar not null,
    from_at timestamp not null,
    to_at timestamp not null,
    lag_seconds bigint,
    files json not null,
    who varchar not null,
    reason varchar not null,
    primary key (landed_at, source)
""",
)


@dataclass(frozen=True)
class Backfill:
    """Files that landed late on purpose; times are UTC, naive.

    `files` are their names in the landing zone. `lag_seconds` is how long after its event each row would
    have been available; None where rows count from when they landed.
    """

    landed_at: datetime
    source: str
    from_at: datetime
    to_at: datetime
    lag_seconds: int | None
    files: Sequence[str]
    who: str
    reason: str


_COLUMNS = [column.name for column in fields(Backfill)]


def record_backfill(ledger: Path, backfill: Backfill) -> None:
    """Record a backfill.

    Raises:
        Fault: another program keeps the ledger open, or the disk is full.
    """
    BACKFILLS.write(ledger, [asdict(backfill) | {"files": json.dumps(list(backfill.files))}])


def read_backfills(ledger: Path) -> list[Backfill]:
    """Return all backfills, newest first.

    Raises:
        Fault: another program keeps the ledger open.
    """
    sql = f"select {', '.join(_COLUMNS)} from backfills order by landed_at desc, source"
    found = [Backfill(*row) for row in BACKFILLS.read(ledger, sql)]
    return [replace(each, files=json.loads(str(each.files))) for each in found]


def say_available(lag: timedelta | None) -> str:
    """Say in words from when on backfilled rows count."""
    if lag is None:
        return "from when they land: the past that training sets see stays as it was"
    return f"from {lag} after their events: training sets see them as if they had been there in time"
