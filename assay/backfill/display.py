"""Print the plan of a backfill, and what came of it."""

from __future__ import annotations

from rich.console import Console

from assay.backfill.plan import BackfillPlan
from assay.backfill.run import LandedFile
from assay.console.tables import line, table_titled
from assay.core.words import counted, listed
from assay.ledger.backfills import say_available
from assay.ledger.runs import Run

_MEGABYTE = 1_000_000
_NAMES_SHOWN = 6


def print_plan(plan: BackfillPlan, console: Console) -> None:
    """Print what a backfill will read, write and cost."""
    table = table_titled(f"Backfill of {plan.source}, {plan.start} to {plan.end} (UTC)")
    table.add_column("file", overflow="fold")
    table.add_column("MB", justify="right")
    table.add_column("what", overflow="fold", ratio=1)
    for file in plan.files:
        what = f"has landed already, as {file.landed_as}" if file.landed_as else "lands"
        table.add_row(str(file.path), f"{file.size / _MEGABYTE:,.2f}", what)
    console.print(table)
    line(console, f"Lands in   {plan.folder}/")
    line(console, f"Rows count {say_available(plan.lag)}")
    if plan.rows_before is not None:
        line(console, f"Until now  silver keeps {counted(plan.rows_before, 'row')} of the interval")
    took = "" if plan.seconds is None else f"; they took {plan.seconds:.1f} s when they were built last"
    line(console, f"Built again {counted(len(plan.downstream), 'model')}{took}")
    line(console, f"  feature views: {listed(plan.views, _NAMES_SHOWN) or 'none'}")
    line(console, f"  training sets: {listed(plan.training_sets, _NAMES_SHOWN) or 'none'}")


def print_landed(
    plan: BackfillPlan, landed: list[LandedFile], failed_build: Run | None, console: Console
) -> None:
    """Print what became of the files of a backfill, and the run of their build where that failed."""
    needless = [file for file in plan.files if file.landed_as and not file.waits]
    if landed:
        table = table_titled(f"Backfill of {plan.source}")
        table.add_column("file", overflow="fold", ratio=1)
        for name in ("rows", "kept", "rejected", "outside of the interval"):
            table.add_column(name, justify="right")
        for file in landed:
            if file.status == "loaded":
                rejected = file.rows - file.kept
                table.add_row(
                    file.name, f"{file.rows:,}", f"{file.kept:,}", f"{rejected:,}", f"{file.outside:,}"
                )
            else:
                table.add_row(f"{file.name}: {file.status}, {file.error}", "", "", "", "")
        console.print(table)
        line(console, f"Rows count {say_available(plan.lag)}")
        if plan.training_sets:
            line(
                console,
                "What that changes: assay training-set create NAME, "
                "then assay training-set diff NAME@BEFORE NAME@AFTER",
            )
    if needless:
        line(console, f"Loaded before, not again: {counted(len(needless), 'file')}")
    if failed_build:
        line(console, tell_failed(failed_build))


def tell_failed(build: Run) -> str:
    """Return that a build failed, and where it says why."""
    return f"The build failed: {build.message}. What failed: assay runs show {build.run_id[:8]}"
