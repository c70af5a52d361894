"""The versions that were taken because something called for training anew, in the run ledger."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from datetime import datetime
from pathlib import Path

from assay.runs.ledger import opened

_SCHEMA = """
create table if not exists retraining (
    training_set varchar not null,
    known_until timestamp not null,
    version varchar not null,
    reason varchar not null,
    decided_at timestamp not null,
    primary key (training_set, known_until)
)
"""


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
    with opened(ledger, read_only=False) as connection:
        connection.execute(_SCHEMA)
        places = ", ".join("?" for _ in _COLUMNS)
        connection.execute(
            f"insert or ignore into retraining ({', '.join(_COLUMNS)}) values ({places})", astuple(retraining)
        )


def all_retrainings(ledger: Path) -> list[Retraining]:
    """Return all that was taken, in that order; none of a ledger from before there were any.

    Raises:
        Fault: another program keeps the ledger open.
    """
    if not ledger.exists():
        return []
    with opened(ledger, read_only=True) as connection:
        if not connection.execute("select 1 from duckdb_tables() where table_name = 'retraining'").fetchall():
            return []
        rows = connection.execute(
            f"select {', '.join(_COLUMNS)} from retraining order by decided_at, training_set"
        ).fetchall()
    return [Retraining(*row) for row in rows]
