"""Record runs in the run ledger: one row for each build, in a DuckDB file beside the warehouse."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from assay.ledger.file import LedgerTable

Status = Literal["running", "succeeded", "failed"]

RUNS = LedgerTable(
    "runs",
    """
    run_id varchar primary key,
    warehouse varchar not null,
    started_at timestamp not null,
    ended_at timestamp,
    status varchar not null,
    command varchar not null,
    options json not null,
    as_of timestamp,
    code_version varchar,
    files_loaded bigint not null,
    rows_landed bigint not null,
    tables json not null,
    rejects json not null,
    tests_passed bigint not null,
    tests_failed bigint not null,
    published_path varchar,
    published_at timestamp,
    published_tables bigint,
    published_rows bigint,
    dbt_seconds double,
    duckdb_seconds double,
    message varchar
""",
)
_JSON = ("options", "tables", "rejects")


@dataclass
class Run:
    """One build. `run_id` is dbt's invocation id; times are UTC, naive.

    `tables` counts the rows that each silver table keeps and rejects, `rejects` the rows that each rule
    rejects, both over all runs. `files_loaded` and `rows_landed` count those of this run. A run that was
    killed stays 'running'.
    """

    run_id: str
    warehouse: str
    started_at: datetime
    command: str
    options: dict[str, Any]
    as_of: datetime | None = None
    code_version: str | None = None
    status: Status = "running"
    ended_at: datetime | None = None
    files_loaded: int = 0
    rows_landed: int = 0
    tables: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    tests_passed: int = 0
    tests_failed: int = 0
    published_path: str | None = None
    published_at: datetime | None = None
    published_tables: int | None = None
    published_rows: int | None = None
    dbt_seconds: float | None = None
    duckdb_seconds: float | None = None
    message: str | None = None


def record(ledger: Path, run: Run) -> None:
    """Write `run` to the ledger; it replaces the earlier row of the same run.

    Raises:
        Fault: another program keeps the ledger open, or the disk is full.
        duckdb.Error: the ledger cannot be written for any other reason.
    """
    values = {name: getattr(run, name) for name in _COLUMNS}
    for name in _JSON:
        values[name] = json.dumps(values[name])
    RUNS.write(ledger, [values])


def read_runs(ledger: Path) -> list[Run]:
    """Return all runs, newest first.

    Raises:
        Fault: another program keeps the ledger open.
    """
    rows = RUNS.read(ledger, f"select {', '.join(_COLUMNS)} from runs order by started_at desc")
    return [_run(dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def find_last_success(ledger: Path, warehouse: str) -> datetime | None:
    """Return when the last successful build of a warehouse ended (UTC); None if no build has succeeded.

    Raises:
        Fault: another program keeps the ledger open.
    """
    sql = "select max(ended_at) from runs where status = 'succeeded' and warehouse = ?"
    return next((ended_at for (ended_at,) in RUNS.read(ledger, sql, [warehouse])), None)


def find_success_before(history: Sequence[Run], run: Run) -> Run | None:
    """Return the last successful run of the same warehouse before `run`; `history` is newest first."""
    return next(
        (
            other
            for other in history
            if other.started_at < run.started_at
            and other.warehouse == run.warehouse
            and other.status == "succeeded"
        ),
        None,
    )


_COLUMNS = [column.name for column in fields(Run)]


def _run(values: dict[str, Any]) -> Run:
    return Run(**values | {name: json.loads(values[name]) for name in _JSON})
