"""Record in the run ledger to which runs of MLflow versions of training sets were logged."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from assay.ledger.file import LedgerTable

LOGGED_VERSIONS = LedgerTable(
    "logged_versions",
    """
    version varchar not null,
    model_run_id varchar not null,
    tracking_uri varchar not null,
    logged_at timestamp not null,
    primary key (version, model_run_id, tracking_uri)
""",
)


@dataclass(frozen=True)
class LoggedVersion:
    """A version that was logged as an input of a run; `tracking_uri` is the server's, `logged_at` UTC."""

    version: str
    model_run_id: str
    tracking_uri: str
    logged_at: datetime


def record_logged_version(ledger: Path, logged: LoggedVersion) -> None:
    """Record that a version was logged; what is recorded already stays.

    Raises:
        Fault: another program keeps the ledger open, or the disk is full.
    """
    LOGGED_VERSIONS.write(ledger, [asdict(logged)], over=False)


def read_logged_versions(ledger: Path) -> list[LoggedVersion]:
    """Return all that was logged, the oldest first.

    Raises:
        Fault: another program keeps the ledger open.
    """
    columns = "version, model_run_id, tracking_uri, logged_at"
    sql = f"select {columns} from logged_versions order by logged_at, version, model_run_id, tracking_uri"
    return [LoggedVersion(*row) for row in LOGGED_VERSIONS.read(ledger, sql)]
