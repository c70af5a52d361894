"""Tell what would be saved if what landed long ago were not kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from assay.core.fault import MISUSED, Fault
from assay.core.moment import length_of, now
from assay.core.sql import quoted


@dataclass(frozen=True)
class Saving:
    """What of a source landed before a moment: files as they lie, and their rows in bronze.

    `bronze_bytes` is the rows' share of the table's bytes, which is near to what would be free; None if these
    are not known. `money_month` is what both cost for a month; None without prices.
    """

    source: str
    files: int
    landed_bytes: int
    bronze_rows: int
    bronze_bytes: int | None
    money_month: float | None = None


def read_keep(text: str) -> timedelta:
    """Read for how long data is kept, such as `90d`.

    Raises:
        Fault: it is no length of time.
    """
    try:
        length = length_of(text)
        # The moment has to be one: nothing landed before the first year.
        now() - length
    except (KeyError, ValueError, OverflowError):
        length = timedelta(0)
    if length <= timedelta(0):
        raise Fault(f"--keep {text}: write for how long data is kept, such as 90d or 36h.", MISUSED)
    return length


def find_savings(
    connection: duckdb.DuckDBPyConnection,
    before: datetime,
    sources: Mapping[tuple[str, str], int | None],
    sizes: Mapping[str, int],
) -> list[Saving]:
    """Return of each source what landed before a moment; sources without any are left out.

    Args:
        connection: of which the warehouse is the current database.
        before: the moment (UTC).
        sources: the bytes of each source's table in bronze, None if they are not known; by source and table.
        sizes: the bytes of each landed file that is there, by its name in the landing zone.

    Raises:
        duckdb.Error: the warehouse cannot be read.
    """
    old: dict[tuple[str, str], list[int]] = {}
    for source, table, file in connection.execute(
        "select source_name, table_name, source_file from landing.files "
        "group by all having max(landed_at) < $1",
        [before],
    ).fetchall():
        if file in sizes:
            old.setdefault((source, table), []).append(sizes[file])
    found = []
    for (source, table), size in sources.items():
        old_rows, all_rows = _count_rows(connection, f"{source}__{table}", before)
        files = old.get((source, table), [])
        if files or old_rows:
            share = None if size is None else round(size * old_rows / all_rows) if all_rows else 0
            found.append(Saving(f"{source}.{table}", len(files), sum(files), old_rows, share))
    return found


def _count_rows(connection: duckdb.DuckDBPyConnection, name: str, before: datetime) -> tuple[int, int]:
    [(old, together)] = connection.execute(
        "select count(*) filter (where files.landed_at < $1), count(*) "
        f"from landing.{quoted(name)} inner join landing.files as files using (file_id)",
        [before],
    ).fetchall()
    return int(old), int(together)
