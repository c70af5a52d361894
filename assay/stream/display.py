"""Show streams to people: what a run lands, and how far each partition has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table

from assay.console.tables import table_titled
from assay.core.words import counted, duration, moment, number
from assay.stream.compact import Merged
from assay.stream.run import Landed
from assay.stream.status import StreamStatus

_SECONDS_BETWEEN_LINES = 15.0
_SECONDS_OF_A_RATE = 5.0


@contextmanager
def shown_streams(
    console: Console,
) -> Iterator[tuple[Callable[[str], None], Callable[[list[Landed]], None]]]:
    """Show what lands while the block runs: a table on a terminal, else a line now and then.

    Yields:
        What shows a message that stays, and what shows how far the sources have come.
    """

    def tell(message: str) -> None:
        console.print(message, highlight=False, soft_wrap=True)

    rates = _Rates()
    if console.is_terminal:
        with Live(console=console, transient=True, refresh_per_second=4) as live:
            yield tell, lambda landed: live.update(_table(landed, rates))
        return
    next_line = time.monotonic() + _SECONDS_BETWEEN_LINES

    def show(landed: list[Landed]) -> None:
        nonlocal next_line
        rates.note(landed)
        if time.monotonic() >= next_line:
            next_line = time.monotonic() + _SECONDS_BETWEEN_LINES
            tell("; ".join(f"{each.source}: {counted(each.messages, 'message')}" for each in landed))

    yield tell, show


class _Rates:
    """Messages a second of each source, over the last seconds."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, dict[str, int]]] = []

    def note(self, landed: list[Landed]) -> None:
        now = time.monotonic()
        self._seen.append((now, {each.source: each.messages for each in landed}))
        while len(self._seen) > 2 and self._seen[1][0] < now - _SECONDS_OF_A_RATE:
            self._seen.pop(0)

    def of(self, landed: Landed) -> float:
        then, before = self._seen[0]
        seconds = time.monotonic() - then
        return (landed.messages - before.get(landed.source, 0)) / seconds if seconds else 0.0


def _table(landed: list[Landed], rates: _Rates) -> Table:
    rates.note(landed)
    table = table_titled("Streams")
    table.add_column("source", overflow="fold")
    table.add_column("partition", overflow="fold")
    for figure in ("next offset", "messages", "a second"):
        table.add_column(figure, justify="right")
    table.add_column()
    for each in landed:
        for index, progress in enumerate(each.partitions):
            table.add_row(
                each.source if not index else "",
                f"{progress.partition.topic}/{progress.partition.partition}",
                f"{progress.position:,}",
                f"{progress.messages:,}",
                f"{rates.of(each):,.0f}" if not index else "",
                "at the end" if progress.at_end else "",
            )
    return table


def print_landed(landed: list[Landed], console: Console) -> None:
    """Print what a run has landed."""
    for each in landed:
        files = sum(progress.segments for progress in each.partitions)
        gaps = sum(last - first + 1 for progress in each.partitions for first, last in progress.gaps)
        told = f"{each.source}: {counted(each.messages, 'message')} in {counted(files, 'segment')}"
        console.print(
            told + (f"; {counted(gaps, 'offset')} lost at the broker" if gaps else ""), highlight=False
        )
    if any(each.messages for each in landed):
        console.print("To load them: assay build", highlight=False)


def print_merged(merged: list[Merged], console: Console) -> None:
    """Print what was merged."""
    for each in merged:
        where = f"{each.partition.table.parent.name}.{each.partition.table.name}, {each.partition.topic}"
        console.print(
            f"{where}/{each.partition.partition}: {counted(each.before, 'segment')} are {each.after:,} now",
            highlight=False,
        )
    if not merged:
        console.print("Nothing to merge: loaded segments are large, or few.", highlight=False)


def print_stream_status(status: StreamStatus, console: Console) -> None:
    """Print how far each partition has come."""
    table = table_titled("Streams")
    table.add_column("source", overflow="fold")
    table.add_column("partition", overflow="fold")
    for figure in ("at the broker", "landed", "loaded", "online", "lag", "behind", "missing"):
        table.add_column(figure, justify="right")
    table.add_column("complete until (UTC)")
    table.add_column("late", justify="right")
    for each in status.partitions:
        table.add_row(
            each.source,
            f"{each.topic}/{each.partition}",
            number(each.at_broker),
            number(each.landed),
            number(each.loaded),
            number(each.online),
            number(each.lag),
            duration(each.behind_seconds),
            number(each.missing),
            moment(each.watermark) if each.watermark else number(None),
            number(each.late_share, ".1%"),
        )
    console.print(table)
    for trouble in status.troubles:
        console.print(trouble, highlight=False)
