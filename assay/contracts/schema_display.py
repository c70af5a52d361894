"""Print changes of schema for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.contracts.accept import Accepted
from assay.landing.declared import LandingTable
from assay.landing.schema.recorded import SchemaChange


def print_changes(
    changes: Sequence[SchemaChange], tables: Mapping[str, LandingTable], console: Console
) -> None:
    """Print a table of changes, and how each was treated."""
    if not changes:
        line(console, "All files match their declarations.")
        return
    shown = table_titled("Differences between files and their sources' declarations")
    shown.add_column("table", no_wrap=True)
    shown.add_column("a file", ratio=1)
    for name in ("files", "rows"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("landed", no_wrap=True)
    shown.add_column("state", no_wrap=True)
    for change in changes:
        shown.add_row(
            change.table,
            f"{change.change}; {change.handled}",
            f"{change.file_count:,}",
            f"{change.row_count:,}",
            f"{change.first_landed_at:%Y-%m-%d}\n{change.last_landed_at:%Y-%m-%d}",
            _state(change, tables),
        )
    console.print(shown)
    if any(change.state == "open" and not change.is_accepted(tables.get(change.table)) for change in changes):
        line(console, "To accept changes: assay schema accept TABLE [COLUMN]")


def print_accepted(accepted: Accepted, console: Console) -> None:
    """Print the accepted changes, and what to do next."""
    table = accepted.table
    files = " and ".join(str(file) for file in (accepted.contract, table.declared_in) if file)
    line(console, f"In {files}, {table.source}.{table.name} now takes that a file")
    for change in accepted.changes:
        line(console, f"  {change.change}")
    for refused in accepted.refused:
        line(console, f"Not accepted: {refused}")
    line(console, "The next build goes on with that: assay build")
    if any(change.kind == "new" for change in accepted.changes):
        line(console, "Silver reads a new column once its model names it; then: assay build --full-refresh")


def _state(change: SchemaChange, tables: Mapping[str, LandingTable]) -> str:
    if change.accepted_at:
        return f"accepted {change.accepted_at:%Y-%m-%d}"
    return "accepted, not built" if change.is_accepted(tables.get(change.table)) else change.state
