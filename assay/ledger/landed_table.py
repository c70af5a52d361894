"""Make a table of landed, kept and rejected rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table

from assay.console.tables import table_titled
from assay.ledger.account import CheckedTable, LandedTable


def make_landed_table(
    landed: Iterable[LandedTable], checked: Sequence[CheckedTable], is_past: bool = False
) -> Table:
    """Return a table of landed, kept and rejected rows; in the past (`is_past`) some were not known yet."""
    table = table_titled("Landed and checked")
    table.add_column("source", no_wrap=True)
    for name in ("files", "new", "rows", "new", "kept", "rejected"):
        table.add_column(name, justify="right")
    table.add_column("conserved")
    for source in landed:
        parts = [part for part in checked if part.source == source.source]
        counts = [
            f"{source.files:,}",
            f"{source.files_in_run:,}",
            f"{source.landed:,}",
            f"{source.landed_in_run:,}",
        ]
        if not parts:
            table.add_row(source.source, *counts, "-", "-", _conserved(source.landed, is_past))
        for part in parts:
            table.add_row(
                source.source,
                *counts,
                f"{part.kept:,}",
                f"{part.rejected:,}",
                _conserved(source.landed - part.kept - part.rejected, is_past),
            )
    return table


def _conserved(missing: int, is_past: bool) -> str:
    if not missing:
        return "yes"
    if missing > 0:
        return f"{missing:,} {'not known then' if is_past else 'not checked yet'}"
    return f"NO: {-missing:,} too many"
