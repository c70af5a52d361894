"""Record in the run ledger the versions that were taken for retraining."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from assay.ledger.file import LedgerTable

RETRAINING = LedgerTable(
    "retraining",
    """
    training_set varchar not null,
    known_until timestamp not null,
    version varchar not null,
    reason varchar not null,
    decided_at timestamp not null,
    primary key (training_set, known_until)
""",
)


@dataclass(frozen=True)
class Retraining:
    """A version and its reason; `known_until` is the latest time that the warehouse knew. UTC, naive."""

    training_set: str
    known_until: datetime
    version: str
    reason: str
    decided_at: datetime


_COLUMNS = [column.name for column in fields(Retraining)]


def record_retraining(ledger: Path, retraining: Retraining) -> None:
    """Record a version that was taken; an existing record for the same set and moment stays.

    Raises:
        Fault: another program keeps the ledger open, or the disk is full.
    """
    RETRAINING.write(ledger, [asdict(retraining)], over=False)


def all_retrainings(ledger: Path) -> list[Retraining]:
    """Return all recorded versions by time; none if an older version made the ledger.

    Raises:
        Fault: another program keeps the ledger open.
    """
    rows = RETRAINING.read(
        ledger, f"select {', '.join(_COLUMNS)} from retraining order by decided_at, training_set"
    )
    return [Retraining(*row) for row in rows]
