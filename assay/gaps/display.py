"""Print what sources miss."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.core.words import counted, listed
from assay.gaps.find import Gap, Gaps


def print_gaps(gaps: Gaps, console: Console) -> None:
    """Print a row for each gap, what rests on each source, and what was not looked at."""
    if gaps.found:
        _print_found(gaps, console)
    else:
        line(console, f"Nothing is missing of {counted(gaps.sources, 'source')}.")
    if gaps.newest:
        line(console, f"The newest file landed on {gaps.newest}; days from then on are not looked at.")
    if gaps.unjudged:
        told = listed([f"{name} ({counted(days, 'day')})" for name, days in gaps.unjudged.items()], most=8)
        line(console, f"Too few days with files to tell which are missing: {told}.")


def _print_found(gaps: Gaps, console: Console) -> None:
    table = table_titled("What sources miss (days, UTC)")
    for name in ("source", "from", "to"):
        table.add_column(name, no_wrap=True)
    table.add_column("what", overflow="fold", ratio=1)
    for gap in gaps.found:
        table.add_row(gap.source, f"{gap.first}", f"{gap.last}", gap.what)
    console.print(table)
    for _, several in groupby(gaps.found, lambda gap: gap.source):
        _print_spoiled(next(several), console)


def _print_spoiled(gap: Gap, console: Console) -> None:
    """Print what rests on a source from its first gap on."""
    if gap.features or gap.training_sets:
        line(console, f"From {gap.first} on, as long as their windows reach back to a gap of {gap.source}:")
        line(console, f"  features       {', '.join(gap.features) or 'none'}")
        line(console, f"  training sets  {', '.join(gap.training_sets) or 'none'}")
    else:
        line(console, f"No feature and no training set reads {gap.source}.")
