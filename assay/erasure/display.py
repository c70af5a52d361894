"""Print what is kept of a person, and what an erasure did."""

from __future__ import annotations

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.core.words import counted
from assay.erasure.carry_out import Forgotten
from assay.erasure.look import Traces


def print_traces(traces: Traces, console: Console) -> None:
    """Print every place in which a person is kept, and those in which nobody can look."""
    table = table_titled("What is kept of the person", is_wide=True)
    table.add_column("place", overflow="fold", ratio=1)
    table.add_column("rows", justify="right")
    table.add_column("what becomes of it", overflow="fold", ratio=1)
    for trace in traces.traces:
        table.add_row(trace.place, f"{trace.rows:,}" if trace.rows else "", trace.outcome)
    console.print(table)
    line(console, "Not looked into, because no key stands there:")
    for place in traces.unseen:
        line(console, f"  {place}")
    line(console, f"Nothing is changed. {counted(len(traces.lines), 'landed file')} would be rewritten.")


def print_forgotten(done: Forgotten, console: Console) -> None:
    """Print what an erasure did."""
    line(console, f"Forgotten  {counted(done.rows, 'row')} of all places together")
    line(console, f"Rewritten  {counted(len(done.files), 'landed file')}")
    for version in done.versions:
        line(console, f"Version    {version} is no longer whole")
    line(console, f"Built      everything that rests on landed rows, in run {done.run_id}")
    line(console, f"Recorded   as erasure {done.erasure_id} in the run ledger, without the key")
