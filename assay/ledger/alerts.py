"""Record in the run ledger which alerts stand, so that each is sent once, whichever process finds it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from assay.ledger.file import LedgerTable

ALERTS = LedgerTable(
    "alerts",
    """
    runbook varchar not null,
    name varchar not null,
    kind varchar not null,
    about varchar not null,
    owner varchar,
    severity varchar not null,
    message varchar not null,
    since timestamp not null,
    over_at timestamp,
    closed_by varchar,
    primary key (runbook, name, since)
""",
)


@dataclass(frozen=True)
class StandingAlert:
    """An alert of which people have been told; times are UTC.

    `over_at` is None until what it tells of is over. `closed_by` is who needs no more to be told of it, and
    why; None where nobody has said so.
    """

    runbook: str
    name: str
    kind: str
    about: str
    owner: str | None
    severity: str
    message: str
    since: datetime
    over_at: datetime | None = None
    closed_by: str | None = None


_COLUMNS = [column.name for column in fields(StandingAlert)]


def read_standing(ledger: Path) -> list[StandingAlert]:
    """Return the alerts that are not over, oldest first; those that somebody has closed are among them.

    Raises:
        Fault: another program keeps the ledger open.
    """
    sql = f"select {', '.join(_COLUMNS)} from alerts where over_at is null order by since, runbook, name"
    return [StandingAlert(*row) for row in ALERTS.read(ledger, sql)]


def record_alerts(ledger: Path, alerts: Iterable[StandingAlert]) -> None:
    """Record alerts that begin, end or are closed.

    Raises:
        Fault: another program keeps the ledger open, or the disk is full.
    """
    ALERTS.write(ledger, [asdict(each) for each in alerts])
