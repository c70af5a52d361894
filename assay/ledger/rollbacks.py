"""Record in the run ledger who took gold back to an earlier publication, and tell whether it stands there."""

from __future__ import annotations

import getpass
import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from assay.core.disk import replace_private
from assay.core.fault import Fault
from assay.ledger.file import LedgerTable

ROLLBACKS = LedgerTable(
    "rollbacks",
    """
    started_at timestamp primary key,
    warehouse varchar not null,
    from_run varchar,
    to_run varchar not null,
    who varchar not null,
    reason varchar not null,
    ended_at timestamp
""",
)
_COLUMNS = "started_at, from_run, to_run, who, reason, ended_at"


@dataclass(frozen=True)
class Rollback:
    """One time that gold was taken back; times are UTC, naive.

    `from_run` is the run whose publication readers had before, None where nobody can tell. `ended_at` is None
    while readers and online store are not both back.
    """

    started_at: datetime
    from_run: str | None
    to_run: str
    who: str
    reason: str
    ended_at: datetime | None = None

    def __str__(self) -> str:
        begun = f"{self.started_at:%Y-%m-%d %H:%M:%S}"
        why = self.reason or "no reason given"
        return f"rolled back to run {self.to_run} by {self.who} at {begun} UTC: {why}"


def read_rollback(warehouse: Path) -> Rollback | None:
    """Return the rollback that stands: no build has published since. The ledger is not needed for that.

    Raises:
        Fault: the file that says so is damaged.
    """
    file = rollback_file(warehouse)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        times = {
            name: datetime.fromisoformat(values[name]) if values[name] else None
            for name in ("started_at", "ended_at")
        }
        return Rollback(**values | times)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise Fault(
            f"{file} is damaged; it says to which publication gold was rolled back. "
            "Remove it, then build, or roll back again."
        ) from error


def write_rollback(ledger: Path, warehouse: Path, rollback: Rollback) -> None:
    """Record a rollback that begins or ends, beside the warehouse and in the ledger.

    Raises:
        Fault: another program keeps the ledger open, or the disk is full.
        OSError: it cannot be written.
    """
    times = {
        name: moment.isoformat() if moment else None
        for name, moment in (("started_at", rollback.started_at), ("ended_at", rollback.ended_at))
    }
    ROLLBACKS.write(ledger, [asdict(rollback) | {"warehouse": str(warehouse)}])
    replace_private(rollback_file(warehouse), json.dumps(asdict(rollback) | times).encode())


def end_rollback(warehouse: Path) -> None:
    """Note that readers have the newest publication again."""
    rollback_file(warehouse).unlink(missing_ok=True)


def read_rollbacks(ledger: Path, warehouse: Path) -> list[Rollback]:
    """Return all rollbacks of a warehouse, newest first.

    Raises:
        Fault: another program keeps the ledger open.
    """
    sql = f"select {_COLUMNS} from rollbacks where warehouse = ? order by started_at desc"
    return [Rollback(*row) for row in ROLLBACKS.read(ledger, sql, [str(warehouse)])]


def rollback_file(warehouse: Path) -> Path:
    """Return the file that stands beside a warehouse as long as its publication is rolled back."""
    return warehouse.with_name(f"{warehouse.name}.rollback.json")


def whoever_asks() -> str:
    """Return the user of this process and the machine, as `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run as a user that has no name.
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
