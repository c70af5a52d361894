"""Print what `assay status` shows; reads the ledger and the locks, and does not open the warehouse."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from assay.console.tables import line, table_titled
from assay.core.lock import Holder
from assay.core.places import Places
from assay.core.words import counted, timing
from assay.ledger.account import CheckedTable, LandedTable
from assay.ledger.landed_table import make_landed_table
from assay.ledger.rollbacks import read_rollback
from assay.ledger.runs import Run, read_runs
from assay.project.lease import find_holder

# The status of a build in which some products failed and the others were published.
IN_PART = "published in part"

_RUNS_SHOWN = 10


@dataclass(frozen=True)
class LedgerStatus:
    """All runs, newest first, and who builds now: the holder of each locked warehouse, by its path."""

    places: Places
    history: list[Run]
    holders: dict[str, Holder]


def read_status(places: Places) -> LedgerStatus:
    """Read the run ledger, and who builds now.

    Raises:
        Fault: another program keeps the ledger open.
    """
    history = read_runs(places.ledger)
    return LedgerStatus(places, history, find_builds_under_way(history, places))


def print_status(status: LedgerStatus, console: Console) -> None:
    """Print the latest builds, what is published, and whether a build is running."""
    places, history, holders = status.places, status.history, status.holders
    for name, holder in holders.items():
        line(console, f"A build of {name} is under way: {holder}")
    if not history:
        if not holders:
            line(console, f"Nothing is built yet in {places.warehouse.parent}. To build: assay build")
        return
    title = "Latest builds (UTC), and the files and rows each landed"
    console.print(make_runs_table(title, history[:_RUNS_SHOWN], holders))
    ended = next((run for run in history if run.warehouse == str(places.warehouse) and run.ended_at), None)
    if ended:
        _print_latest(ended, console)
    _print_published(places, history, console)


def find_builds_under_way(history: list[Run], places: Places) -> dict[str, Holder]:
    """Return the holder of each locked warehouse in the run history, by the warehouse's path."""
    warehouses = {str(places.warehouse), *(run.warehouse for run in history)}
    return {name: holder for name in sorted(warehouses) if (holder := find_holder(Path(name)))}


def make_runs_table(
    title: str, history: list[Run], holders: dict[str, Holder], *, with_ids: bool = False
) -> Table:
    """Return a table of runs, newest first."""
    table = table_titled(title)
    if with_ids:
        table.add_column("run", no_wrap=True)
    table.add_column("started", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for name in ("took", "files", "rows", "passed", "failed"):
        table.add_column(name, justify="right")
    table.add_column("command", overflow="fold", ratio=1)
    for run in history:
        table.add_row(
            *([run.run_id[:8]] if with_ids else []),
            _time(run.started_at),
            tell_status(run, holders.get(run.warehouse)),
            f"{(run.ended_at - run.started_at).total_seconds():.0f} s" if run.ended_at else "",
            f"{run.files_loaded:,}",
            f"{run.rows_landed:,}",
            f"{run.tests_passed:,}",
            f"{run.tests_failed:,}",
            run.command.removeprefix("assay "),
        )
    return table


def tell_status(run: Run, holder: Holder | None) -> str:
    """Return the status of a run; a run that is recorded as running but does not hold the lock was killed."""
    if run.status != "running":
        if run.published_at is None:
            return run.status
        return "published" if run.status == "succeeded" else IN_PART
    is_its_own = holder is not None and holder.started_at.replace(tzinfo=None) <= run.started_at
    return "running" if is_its_own else "killed"


def _print_latest(run: Run, console: Console) -> None:
    console.print()
    line(console, f"Latest build that ended: {_time(run.started_at)} UTC, {run.status}, run {run.run_id}")
    line(console, timing(run.dbt_seconds, run.duckdb_seconds))
    if run.message:
        line(console, run.message if run.published_at else f"Not published: {run.message}")
    if run.tables:
        landed = [LandedTable(**{k: v for k, v in table.items() if k != "checked"}) for table in run.tables]
        checked = [CheckedTable(**part) for table in run.tables for part in table["checked"]]
        console.print(make_landed_table(landed, checked))


def _print_published(places: Places, history: list[Run], console: Console) -> None:
    run = next((run for run in history if run.published_path == str(places.published)), None)
    console.print()
    if run is None or run.published_at is None:
        line(console, "Nothing is published yet.")
        return
    size = f"{counted(run.published_tables or 0, 'table')}, {counted(run.published_rows or 0, 'row')}"
    line(
        console,
        f"Published  {run.published_path} at {_time(run.published_at)} UTC: {size}, by run {run.run_id}",
    )
    if rollback := read_rollback(places.warehouse):
        line(console, f"           Then {rollback}")
        line(console, "           The next build publishes again what the warehouse holds.")
    if not places.published.exists():
        line(console, "           That file is gone; the next build writes it again.")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
