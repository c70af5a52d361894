"""Print which landed files and rows are older than contracts keep them, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.contracts.retention import RowRetention
from assay.core.words import counted, moment
from assay.erasure.display import print_places, print_steps
from assay.erasure.retain import Retained

if TYPE_CHECKING:
    from assay.erasure.retain_rows import FoundRows

_MEGABYTE = 1e6


def print_retained(found: Retained, console: Console) -> None:
    """Print the files and rows that go, or have gone, and those that stay although they are too old."""
    if not found.retentions:
        line(console, "No contract of a source has the service level retention, so all landed files stay.")
        return
    if found.rows:
        _print_rows(found.rows, console)
    if all(isinstance(each, RowRetention) for each in found.retentions):
        return
    if found.files:
        table = table_titled("Landed files that are too old", is_wide=True)
        table.add_column("file", overflow="fold", ratio=1)
        table.add_column("landed")
        table.add_column("kept for")
        table.add_column("bytes", justify="right")
        for each in found.files:
            table.add_row(each.file.name, moment(each.landed_at), each.retention.said, f"{each.size:,}")
        console.print(table)
    for name, why in found.kept:
        line(console, f"Stays      {name}: {why}")
    for name in found.streamed:
        line(console, f"Stays      {name}: its files are the memory of how far a stream came")
    count = f"{counted(len(found.files), 'landed file')}, {found.size / _MEGABYTE:,.1f} MB"
    what, where = ("moved", f" to {found.cold}") if found.cold else ("removed", "")
    if found.retention_id:
        line(console, f"{what.capitalize():<10} {count}{where}; their rows stay in the warehouse")
        line(console, f"Recorded   as retention {found.retention_id} in the run ledger")
    elif found.files:
        line(console, f"Nothing is changed. {count} would be {what}{where}.")
    else:
        line(console, "No landed file that can go is older than its contract keeps it.")


def _print_rows(found: FoundRows, console: Console) -> None:
    if found.traces and not found.done:
        print_places("Landed rows that are too old, and what rests on them", found.traces, console)
    for table, kept in found.kept:
        if kept.timeless:
            rows = f"{counted(kept.timeless, 'row')} of {table.relation}"
            line(console, f"Stays      {rows}: {table.column} is no time that can be read")
        if kept.states:
            rows = f"{counted(kept.states, 'old row')} of {table.relation}"
            line(console, f"Stays      {rows}: the state of its key, or not in silver yet")
    if found.done:
        line(console, f"Removed    {counted(found.rows, 'landed row')}")
        print_steps(found.done, console)
        line(console, f"Recorded   as erasure {found.done.erasure_id} in the run ledger")
    elif found.lines:
        line(console, "Not looked into, because no time stands there:")
        for place in found.unseen:
            line(console, f"  {place}")
        line(
            console,
            f"Nothing is changed. {counted(found.rows, 'landed row')} would be removed, "
            f"{counted(len(found.lines), 'landed file')} rewritten.",
        )
    else:
        line(console, "No landed row that can go is older than its contract keeps it.")
