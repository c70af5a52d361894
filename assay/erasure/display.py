"""Print what is kept of a person, and what an erasure did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.core.words import counted

if TYPE_CHECKING:
    from assay.erasure.beside import Trace
    from assay.erasure.carry_out import Erased
    from assay.erasure.look import Traces


def print_traces(traces: Traces, console: Console) -> None:
    """Print every place in which a person is kept, and those in which nobody can look."""
    print_places("What is kept of the person", traces.traces, console)
    _print_unseen(traces.unseen, console)
    line(console, f"Nothing is changed. {counted(len(traces.lines), 'landed file')} would be rewritten.")


def print_places(title: str, traces: Iterable[Trace], console: Console) -> None:
    """Print places with their rows, and what becomes of each."""
    table = table_titled(title, is_wide=True)
    table.add_column("place", overflow="fold", ratio=1)
    table.add_column("rows", justify="right")
    table.add_column("what becomes of it", overflow="fold", ratio=1)
    for trace in traces:
        table.add_row(trace.place, f"{trace.rows:,}" if trace.rows else "", trace.outcome)
    console.print(table)


def print_forgotten(done: Erased, console: Console) -> None:
    """Print what an erasure did."""
    line(console, f"Forgotten  {counted(done.rows, 'row')} of all places together")
    print_steps(done, console)
    line(console, f"Recorded   as erasure {done.erasure_id} in the run ledger, without the key")
    _print_unseen(done.unseen, console)


def _print_unseen(places: Iterable[str], console: Console) -> None:
    line(console, "Not looked into, so that the key may be there still:")
    for place in places:
        line(console, f"  {place}")


def print_steps(done: Erased, console: Console) -> None:
    """Print what an erasure has rewritten and built."""
    line(console, f"Rewritten  {counted(len(done.files), 'landed file')}")
    for version in done.versions:
        line(console, f"Version    {version} is no longer whole")
    line(console, f"Built      everything that rests on landed rows, in run {done.run_id}")
