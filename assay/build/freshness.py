"""How long each source has been silent, as the last build found it in `gold.mon_freshness`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from assay.project.warehouse import relation_named


@dataclass(frozen=True)
class Freshness:
    """A landing table, as source/table: when its last row became available (UTC), how long it may be silent.

    `limit_seconds` is None without limit.
    """

    source: str
    last_available_at: datetime | None
    limit_seconds: float | None
    is_stale: bool


def read_freshness(warehouse: Path) -> list[Freshness]:
    """Return the sources of a warehouse; none where it has no such table.

    Raises:
        duckdb.Error: the warehouse cannot be opened.
    """
    if not warehouse.exists():
        return []
    with duckdb.connect(warehouse, read_only=True) as connection:
        if (relation := relation_named(connection, "mon_freshness")) is None:
            return []
        rows = connection.execute(
            "select replace(source_table, '.', '/'), last_available_at, limit_seconds, verdict = 'stale' "
            f"from {relation} order by source_table"
        ).fetchall()
    return [Freshness(*row) for row in rows]
