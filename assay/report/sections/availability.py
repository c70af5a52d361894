"""Which products are published in time, as their contracts promise."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from assay.alerts.availability import Availability
from assay.core.words import counted, duration, listed, moment
from assay.report.blocks import Head, Need, Section, Table, Text
from assay.report.tables import Absent

_SECOND = timedelta(seconds=1)


def availability_section(found: Sequence[Availability], at: datetime) -> Section:
    """Tell of each promise whether it is kept, how often it was missed, and how late the product came.

    Args:
        found: how promises are kept.
        at: when that was found (UTC).

    Raises:
        Absent: no contract promises by when a product is published.
    """
    if not found:
        raise Absent("No contract promises by when a product is published.")
    late = [each for each in found if each.missed_since]
    rows = [
        [
            Text(each.promise.product),
            Text(each.promise.said),
            Text(each.promise.owner or "nobody"),
            Text(f"late since {moment(each.missed_since)}", "bad")
            if each.missed_since
            else Text("in time", "good"),
            Text(moment(each.published_at)),
            Text(f"{len(each.misses):,}", "watch" if each.misses else "none"),
            Text(duration(each.longest(at) / _SECOND) if each.misses else duration(None)),
        ]
        for each in found
    ]
    columns = [Head(name) for name in ("product", "promise", "owner", "state (UTC)", "last published (UTC)")]
    columns += [Head("late in 30 days", is_number=True), Head("late at most", is_number=True)]
    names = listed([each.promise.product for each in late])
    verb = "is" if len(late) == 1 else "are"
    said = f"{names} {verb} late." if late else f"{counted(len(found), 'promise')} kept: nothing is late now."
    needs = [
        Need(
            "bad",
            f"{each.promise.product} was due {moment(each.missed_since)} UTC ({each.promise.said}), and was "
            f"last published {moment(each.published_at)}.",
            each.promise.owner,
        )
        for each in late
    ]
    return Section(said, [Table("Promises, by product", columns, rows)], needs)
