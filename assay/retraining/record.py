"""The versions that were taken because something called for training anew, in the run ledger."""

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
    """A version, and what called for it; `known_until` is the warehouse's own clock. Times are UTC, naive."""

    training_set: str
    known_until: datetime
    version: str
    reason: str
    decided_at: datetime


_COLUMNS = [column.name for column in fields(Retraining)]


def record_retraining(ledger: Path, retraining: Retraining) -> None:
    """Write down what was taken; what stands there already for the same set and moment stays.

    Raises:
        Fault: another program keeps the ledger open, or the disk is full.
    """
    RETRAINING.write(ledger, [asdict(retraining)], over=False)


def all_retrainings(ledger: Path) -> list[Retraining]:
    """Return all that was taken, in that order; none of a ledger from before there were any.

    Raises:
        Fault: another program keeps the ledger open.
    """
    rows = RETRAINING.read(
        ledger, f"select {', '.join(_COLUMNS)} from retraining order by decided_at, training_set"
    )
    return [Retraining(*row) for row in rows]
