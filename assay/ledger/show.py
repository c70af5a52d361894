"""Print the run ledger: all runs, or one run with its nodes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.core.words import counted, timing
from assay.ledger.details import RunDetails
from assay.ledger.explain import Explanation
from assay.ledger.results import NodeResult
from assay.ledger.status import LedgerStatus, make_runs_table
from assay.project.personal import read_personal

_NODES_SHOWN = 10
_ROWS_SHOWN = 5
# Rows with more columns than this are printed as a table each.
_COLUMNS_SIDE_BY_SIDE = 8


def print_runs(status: LedgerStatus, console: Console) -> None:
    """Print all runs, newest first."""
    if not status.history:
        line(console, f"No run is recorded in {status.places.ledger} yet. To build: assay build")
        return
    title = "Runs (UTC), and the files and rows each landed"
    console.print(make_runs_table(title, status.history, status.holders, with_ids=True))


def print_run(details: RunDetails, console: Console) -> None:
    """Print a run: how it ended, failed nodes with some of their rows, slow nodes, changed row counts."""
    run = details.run
    line(console, f"Run {run.run_id}: {details.status}, {run.command}")
    ended = f", ended {run.ended_at:%Y-%m-%d %H:%M:%S}" if run.ended_at else ""
    line(
        console,
        f"Started {run.started_at:%Y-%m-%d %H:%M:%S}{ended} UTC, code {run.code_version or 'unknown'}",
    )
    line(console, f"Landed {counted(run.files_loaded, 'file')}, {counted(run.rows_landed, 'row')}")
    line(console, f"Tests {run.tests_passed:,} passed, {run.tests_failed:,} failed")
    line(console, timing(run.dbt_seconds, run.duckdb_seconds))
    if run.message:
        line(console, run.message)
    for node in details.nodes:
        if node.is_bad:
            _print_failed(node, console)
    if details.nodes:
        _print_slowest(details.nodes, console)
        if details.nodes_before is not None:
            _print_changes(details.nodes, details.nodes_before, console)


def _print_failed(node: NodeResult, console: Console) -> None:
    console.print()
    about = f" of {node.relation}" if node.relation else ""
    owner = f", owner {node.owner}" if node.owner else ""
    rows = f": {counted(node.failing_rows, 'failing row')}" if node.failing_rows else ""
    line(console, f"{node.status.upper()} {node.kind} {node.name}{about}{owner}{rows}")
    if node.message:
        line(console, node.message)
    print_sample(node, console)


def print_sample(node: NodeResult, console: Console) -> None:
    """Print some of the rows that failed a test."""
    if not node.sample:
        return
    shown = read_personal().rows(node.sample[:_ROWS_SHOWN], node.relation)
    if len(node.sample[0]) > _COLUMNS_SIDE_BY_SIDE:
        for number, row in enumerate(shown, start=1):
            table = table_titled(f"Row {number} of {node.failing_rows or len(node.sample):,}")
            table.add_column("column", no_wrap=True)
            table.add_column("value", overflow="fold")
            for column, value in row.items():
                table.add_row(column, "" if value is None else str(value))
            console.print(table)
        return
    table = table_titled(f"{len(shown)} of them")
    for column in node.sample[0]:
        table.add_column(column, overflow="fold")
    for row in shown:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    console.print(table)


def _print_slowest(nodes: Sequence[NodeResult], console: Console) -> None:
    console.print()
    table = table_titled("What took longest")
    table.add_column("node")
    for name in ("seconds", "rows"):
        table.add_column(name, justify="right")
    for node in sorted(nodes, key=lambda each: -each.seconds)[:_NODES_SHOWN]:
        name = node.name if node.kind.endswith("test") else node.relation
        rows = "" if node.table_rows is None else f"{node.table_rows:,}"
        table.add_row(f"{node.kind} {name}", f"{node.seconds:.2f}", rows)
    console.print(table)


def _print_changes(nodes: Sequence[NodeResult], before: Sequence[NodeResult], console: Console) -> None:
    had = {node.unique_id: node.table_rows for node in before}
    changed = [
        (node, had[node.unique_id])
        for node in nodes
        if had.get(node.unique_id) is not None and node.table_rows not in (None, had[node.unique_id])
    ]
    if not changed:
        return
    console.print()
    table = table_titled("Rows, and since the last run that succeeded")
    table.add_column("table")
    for name in ("rows", "change"):
        table.add_column(name, justify="right")
    for node, rows in changed:
        table.add_row(node.relation, f"{node.table_rows:,}", f"{(node.table_rows or 0) - (rows or 0):+,}")
    console.print(table)


def print_explanation(found: Explanation, console: Console) -> None:
    """Print the explanation of a test."""
    test = found.test
    line(console, f"{test.kind.capitalize()} {test.name} claims of {test.relation}: {found.claim}.")
    if found.description:
        line(console, found.description)
    rows = f", {counted(test.failing_rows, 'failing row')}" if test.failing_rows else ""
    when = f"{found.run.started_at:%Y-%m-%d %H:%M:%S} UTC"
    line(console, f"In run {found.run.run_id[:8]} of {when}: {test.status}{rows}.")
    if test.status == "pass":
        return
    if test.message:
        line(console, test.message)
    print_sample(test, console)
    if found.origins:
        line(console, "They came from:")
        for origin in found.origins[:_NODES_SHOWN]:
            line(console, f"  {origin.source_file}, row {origin.row_number:,}")
    line(console, f"What to do: {found.remedy}")
    owner = f" Its owner is {test.owner}." if test.owner else ""
    declared = f"The test is declared in {found.declared_in}." if found.declared_in else ""
    if declared or owner:
        line(console, f"{declared}{owner}".strip())
