"""Read from `gold.mon_freshness` how long each source had sent nothing at the last build."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from assay.project.warehouse import connect, relation_named


@dataclass(frozen=True)
class Freshness:
    """A landing table as source/table: when its last row became available (UTC), and its limit of silence.

    `limit_seconds` is None if there is no limit.
    """

    source: str
    last_available_at: datetime | None
    limit_seconds: float | None
    is_stale: bool


def read_freshness(warehouse: Path) -> list[Freshness]:
    """Return the freshness of all sources in a warehouse; none if it lacks the table.

    Raises:
        duckdb.Error: the warehouse cannot be opened.
    """
    if not warehouse.exists():
        return []
    with connect(warehouse) as connection:
        if (relation := relation_named(connection, "mon_freshness")) is None:
            return []
        rows = connection.execute(
            "select replace(source_table, '.', '/'), last_available_at, limit_seconds, verdict = 'stale' "
            f"from {relation} order by source_table"
        ).fetchall()
    return [Freshness(*row) for row in rows]
