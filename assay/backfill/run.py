"""Land the files of a backfill, and say what became of their rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import duckdb

from assay.backfill.plan import BackfillPlan
from assay.core.fault import known_fault
from assay.core.places import Places
from assay.generate.write import land
from assay.landing.discover import backfill_folders
from assay.ledger.backfills import Backfill, record_backfill
from assay.ledger.rollbacks import whoever_asks
from assay.project.warehouse import connect, relation_named

_NOTHING = "from (select null::bigint as file_id, null::timestamp as event_at limit 0)"


@dataclass(frozen=True)
class LandedFile:
    """What became of a file: its rows, and of those that silver keeps, how many lie beside the interval."""

    name: str
    status: str
    error: str | None
    rows: int
    kept: int
    outside: int


def land_backfill(places: Places, plan: BackfillPlan, reason: str) -> list[str]:
    """Copy the files of a backfill into the landing zone, record it, and return the names to be loaded.

    The record comes first: files without one cannot be told from others, a record without files does no harm.
    What a backfill has landed that was ended before its build is to be loaded, too.

    Raises:
        Fault: another program keeps the ledger open.
        OSError: a file cannot be copied.
    """
    plan = _with_own_moment(places, plan) if plan.to_land else plan
    to_land = plan.to_land
    names = [target.as_posix() for target in to_land.values()]
    if names:
        lag = None if plan.lag is None else int(plan.lag.total_seconds())
        record_backfill(
            places.ledger,
            Backfill(plan.landed_at, plan.source, plan.start, plan.end, lag, names, whoever_asks(), reason),
        )
        land({path: places.landing / target for path, target in to_land.items()})
    return names + plan.waiting


def _with_own_moment(places: Places, plan: BackfillPlan) -> BackfillPlan:
    """Take a moment at which nothing else lands: backfills are told apart by it, and so are their files."""
    while True:
        folder = (places.landing / plan.folder).parent
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
        except FileExistsError:
            landed_at = plan.landed_at + timedelta(seconds=1)
            within = Path(*plan.folder.parts[:2], backfill_folders(landed_at, plan.lag))
            plan = replace(plan, landed_at=landed_at, folder=within)
        else:
            return plan


def read_landed(places: Places, plan: BackfillPlan, names: list[str]) -> list[LandedFile]:
    """Return what became of files, after a build.

    Raises:
        Fault: the warehouse cannot be opened.
    """
    try:
        with connect(places.warehouse) as connection:
            # Of a model that has never been built, because something above it fails, silver keeps nothing.
            checked = plan.checked and relation_named(connection, plan.checked["alias"])
            kept = f"from {checked} where rule_ids is null" if checked else _NOTHING
            rows = connection.execute(
                f"""
                with kept as (
                    select
                        file_id,
                        count(*) as kept,
                        count(*) filter (event_at < $2 or event_at >= $3) as outside
                    {kept}
                    group by file_id
                )

                select source_file, status, error, row_count, coalesce(kept, 0), coalesce(outside, 0)
                from landing.files
                left join kept using (file_id)
                where list_contains($1, source_file)
                order by source_file
                """,
                [names, plan.start, plan.end],
            ).fetchall()
            return [LandedFile(*row) for row in rows]
    except duckdb.Error as error:
        raise known_fault(error) or error from error
