"""Print what a store holds, what a sync wrote, and what a store answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from assay.console.tables import table_titled
from assay.core.moment import now
from assay.online.answer import ViewAnswer
from assay.online.held import HeldView
from assay.online.sync import Progress as Told
from assay.online.sync import Synced
from assay.online.types import shown
from assay.project.personal import masked


@contextmanager
def shown_progress(console: Console) -> Iterator[Told]:
    """Show a bar for each view while it is written; on a terminal only."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks = {}

        def told(view: str, total: int, done: int) -> None:
            if view not in tasks:
                tasks[view] = bars.add_task(view, total=total)
            bars.update(tasks[view], completed=done)

        yield told


def print_synced(url: str, done: Sequence[Synced], console: Console) -> None:
    """Print what a sync wrote and removed."""
    table = table_titled(f"Online in {url}")
    table.add_column("feature view")
    for name in ("entities", "written", "removed"):
        table.add_column(name, justify="right")
    for each in done:
        table.add_row(each.view, f"{each.entities:,}", f"{each.written:,}", f"{each.removed:,}")
    console.print(table)


def print_status(url: str, views: Sequence[HeldView], console: Console) -> None:
    """Print what a store holds."""
    table = table_titled(f"Online in {url}")
    table.add_column("feature view")
    table.add_column("entities", justify="right")
    for name in ("known until (UTC)", "synced at (UTC)", "run"):
        table.add_column(name)
    for view in views:
        table.add_row(
            view.view,
            f"{view.entities:,}",
            str(view.known_until or "-"),
            f"{view.synced_at:%Y-%m-%d %H:%M:%S}" if view.synced_at else "-",
            view.run_id[:8],
        )
    console.print(table)
    known = [view.known_until for view in views if view.known_until]
    if known:
        age = timedelta(seconds=int((now() - max(known)).total_seconds()))
        console.print(f"What is known is {age} old." if age > timedelta() else "The data is up to date.")


def print_answer(answer: ViewAnswer, key: Sequence[str], console: Console) -> None:
    """Print the features of one entity, with the status of each."""
    updated_at = answer.updated_at[0]
    when = f", last confirmed {updated_at}" if updated_at else ""
    named = zip(answer.view.keys, key, strict=True)
    told = ", ".join(str(masked(value) if column.pii else value) for column, value in named)
    table = table_titled(f"{answer.view.name} of {told}{when}")
    table.add_column("feature")
    table.add_column("value", justify="right")
    table.add_column("status")
    for feature in answer.features:
        [value], [status], [is_default] = feature.values, feature.statuses, feature.is_default
        said = "-" if value is None else str(shown(value))
        table.add_row(feature.name, said, f"{status}, default" if is_default else status)
    console.print(table)
    for name, inputs in answer.left_out.items():
        given = " ".join(f"--input {each}=..." for each in inputs)
        console.print(f"{name} is left out: it needs {given}", soft_wrap=True)
