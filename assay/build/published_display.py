"""Print which publications are kept, and what a rollback did."""

from __future__ import annotations

from rich.console import Console

from assay.build.from_lake import FromLake
from assay.build.rollback import Publication, Publications, RolledBack
from assay.console.tables import line, table_titled
from assay.core.words import counted

_MEGABYTE = 1_000_000


def print_from_lake(found: FromLake, console: Console) -> None:
    """Print what of a lake is published in this folder now."""
    told = f"snapshot {found.snapshot} of the lake, which run {found.run_id} has left"
    if found.publication is None:
        line(console, f"Nothing to do: published is {told}.")
        return
    counts = f"{counted(found.publication.tables, 'table')}, {counted(found.publication.rows, 'row')}"
    line(console, f"Published {told}: {found.publication.path}, {counts}.")
    line(console, "To put it online: assay online sync. To write the files of roles: assay roles apply")


def print_publications(publications: Publications, console: Console) -> None:
    """Print the publications that are kept, and the rollback that stands."""
    found = publications.found
    if not found:
        line(console, "No publication is kept yet. To publish: assay build")
        return
    table = table_titled("Publications that are kept (UTC)", is_wide=True)
    table.add_column("run", no_wrap=True)
    table.add_column("published", no_wrap=True)
    for name in ("tables", "rows", "MB"):
        table.add_column(name, justify="right")
    table.add_column("state", overflow="fold", ratio=1)
    for each in found:
        table.add_row(
            each.run_id,
            f"{each.published_at:%Y-%m-%d %H:%M:%S}",
            f"{each.tables:,}" if each.tables is not None else "",
            f"{each.rows:,}" if each.rows is not None else "",
            f"{each.size / _MEGABYTE:,.1f}",
            _state(each),
        )
    console.print(table)
    if publications.rollback:
        done = "" if publications.rollback.ended_at else " It is not complete: roll back again, or build."
        line(console, f"Gold was {publications.rollback}.{done}")
        line(console, "The next build publishes again what the warehouse holds.")
    else:
        line(console, "To go back to one: assay published rollback RUN --reason WHY")


def print_rolled_back(done: RolledBack, console: Console) -> None:
    """Print what a rollback did, and what comes next."""
    rollback = done.rollback
    if not done.is_new:
        line(console, "Readers have that publication already: nothing is changed.")
        return
    line(console, f"Published  what run {rollback.to_run} had published; readers have it from now on")
    if done.online is not None:
        written = counted(sum(each.written + each.removed for each in done.online), "entity", "entities")
        line(console, f"Online     {written} taken back")
    if done.is_newest:
        line(console, "That is the newest publication: gold is no longer rolled back.")
        return
    line(
        console,
        "The next build publishes again what the warehouse holds: mend first what was wrong, and stop what "
        "builds on a schedule. `assay build --watch` rests, and streams bring nothing online until then.",
    )


def _state(publication: Publication) -> str:
    if publication.is_current:
        return "current"
    away = publication.rollback
    if away is None:
        return ""
    why = f": {away.reason}" if away.reason else ""
    return f"rolled back {away.started_at:%Y-%m-%d %H:%M:%S} by {away.who}{why}"
