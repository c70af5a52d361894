"""Print which landed files are merged, and into what."""

from __future__ import annotations

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.core.words import counted
from assay.erasure.compact import CompactedLanding

_MEGABYTE = 1e6


def print_compacted_landing(found: CompactedLanding, console: Console) -> None:
    """Print what is merged of each landing table, and the files that stay as they are."""
    merged = [each for each in found.tables if each.files or each.again]
    if merged:
        table = table_titled("Landed files that are merged" if found.is_done else "Landed files to merge")
        table.add_column("table")
        for heading in (
            "files",
            "MB",
            "small merged files",
            *(["merged files", "MB"] if found.is_done else ["about MB after"]),
        ):
            table.add_column(heading, justify="right")
        for each in merged:
            after = [f"{len(each.written):,}", f"{sum(one.size for one in each.written) / _MEGABYTE:,.1f}"]
            table.add_row(
                each.table,
                f"{each.files:,}",
                f"{each.size / _MEGABYTE:,.1f}",
                f"{each.again:,}",
                *(after if found.is_done else [f"{(each.estimate or 0) / _MEGABYTE:,.1f}"]),
            )
        console.print(table)
    for each in found.tables:
        for name, why in each.kept:
            line(console, f"Stays      {name}: {why}")
    count = counted(sum(each.files for each in merged), "landed file")
    if not merged:
        line(
            console,
            "No landed file is to be merged: those stay that landed today, that are merged already, and that "
            "no build has loaded since they were written or copied to here (assay build).",
        )
    elif found.is_done:
        line(console, f"Merged     {count}; the warehouse stays as it is, and loads none of them again")
    else:
        line(console, f"Nothing is changed. {count} would be merged.")
