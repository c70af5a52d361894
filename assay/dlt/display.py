"""Show people what was landed from sources of dlt."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.console import Console
from rich.table import Table

from assay.console.tables import line, table_titled
from assay.core.words import counted
from assay.dlt.land import LandedSource


def print_landed_sources(landed: Sequence[LandedSource], declared: Collection[str], console: Console) -> None:
    """Print what landed, how far cursors have come, and what to do next.

    Args:
        landed: the sources.
        declared: landing tables that are declared, as `source.table`.
        console: where it is printed.
    """
    if any(each.tables for each in landed):
        console.print(_table(landed))
    for each in landed:
        if each.error:
            continue
        if not each.tables:
            line(console, f"{each.place}: nothing new.")
        for cursor, value in sorted(each.cursors.items()):
            line(console, f"{each.place}: {cursor} has come to {value}")
    names = {each.name_of(table) for each in landed for table in each.tables}
    for name in sorted(names - set(declared)):
        line(
            console,
            f"No contract is about {name} yet, so builds do not load it: assay source add {name} --dlt ...",
        )
    if names & set(declared):
        line(console, "To load them: assay build")
    for each in landed:
        if each.error:
            line(console, f"Error: {each.error}")


def _table(landed: Sequence[LandedSource]) -> Table:
    rows = sum(each.rows for each in landed)
    table = table_titled(f"Landed {counted(rows, 'row')}")
    for heading in ("source", "into", "load"):
        table.add_column(heading, overflow="fold")
    for figure in ("rows", "files"):
        table.add_column(figure, justify="right")
    for each in landed:
        for part in each.tables:
            table.add_row(each.place, each.name_of(part), part.load_id, f"{part.rows:,}", f"{part.files:,}")
    return table
