"""Print what sources miss."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.core.words import counted
from assay.gaps.find import Gap, Gaps


def print_gaps(gaps: Gaps, console: Console) -> None:
    """Print a row for each gap, then what rests on each source."""
    if not gaps.found:
        line(console, f"Nothing is missing of {counted(gaps.sources, 'source')}.")
        return
    table = table_titled("What sources miss (days, UTC)")
    for name in ("source", "from", "to"):
        table.add_column(name, no_wrap=True)
    table.add_column("what", overflow="fold", ratio=1)
    for gap in gaps.found:
        table.add_row(gap.source, f"{gap.first}", f"{gap.last}", gap.what)
    console.print(table)
    for source in dict.fromkeys(gap.source for gap in gaps.found):
        gap = next(each for each in gaps.found if each.source == source)
        _print_spoiled(gap, [each.first for each in gaps.found if each.source == source], console)


def _print_spoiled(gap: Gap, begins: Sequence[date], console: Console) -> None:
    since = f"From {min(begins)} on, as long as their windows reach back to a gap of {gap.source}:"
    if gap.features or gap.training_sets:
        line(console, since)
        line(console, f"  features       {', '.join(gap.features) or 'none'}")
        line(console, f"  training sets  {', '.join(gap.training_sets) or 'none'}")
    else:
        line(console, f"No feature and no training set reads {gap.source}.")
