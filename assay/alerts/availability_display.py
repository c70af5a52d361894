"""Print which products are late by their contracts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console

from assay.alerts.availability import Availability
from assay.console.tables import line, table_titled
from assay.core.moment import now
from assay.core.words import counted, duration, moment

if TYPE_CHECKING:
    from assay.alerts.availability_alerts import Checked

_SECOND = timedelta(seconds=1)


def print_checked(checked: Checked, console: Console) -> None:
    """Print how each promise is kept, and what people were told."""
    if not checked.found:
        if not checked.problems:
            line(console, "No product promises by when it is published.")
        return
    at = now()
    table = table_titled("Products, and by when they are published (UTC)", is_wide=True)
    for name in ("product", "promise", "owner", "state", "last published"):
        table.add_column(name, no_wrap=True)
    for name in ("late in 30 days", "at most"):
        table.add_column(name, justify="right")
    for each in checked.found:
        table.add_row(
            each.promise.product,
            each.promise.said,
            each.promise.owner or "nobody",
            tell_state(each, at),
            moment(each.published_at),
            counted(len(each.misses), "time"),
            duration(each.longest(at) / _SECOND) if each.misses else "",
        )
    console.print(table)
    for alert in checked.alerts:
        line(console, f"Told: {alert}")


def print_late(found: Sequence[Availability], problems: Sequence[str], console: Console) -> None:
    """Print the products that are late now; nothing where none is."""
    at = now()
    for each in found:
        if each.missed_since:
            promise = each.promise
            said = tell_state(each, at)
            line(console, f"Late       {promise.product} ({promise.said}), owner {promise.owner}: {said}")
    for problem in problems:
        line(console, f"Warning: {problem}")


def tell_state(availability: Availability, at: datetime) -> str:
    """Return whether a product is in time, and how late it is otherwise."""
    if availability.missed_since is None:
        return "in time"
    late = duration(availability.late(at) / _SECOND)
    return f"late by {late}, due {moment(availability.missed_since)}"
