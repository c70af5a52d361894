"""How fresh the data is, and how late it comes."""

from __future__ import annotations

from assay.core.words import counted, duration, listed, moment, number
from assay.report.blocks import Head, Need, Section, Table, Text, Tone
from assay.report.tables import Row, Tables

_TONES: dict[str, Tone] = {"fresh": "good", "stale": "bad"}
_COLUMNS = (
    "source_table",
    "verdict",
    "last_available_at",
    "known_until",
    "age_seconds",
    "limit_seconds",
    "lateness_p50_seconds",
    "lateness_p99_seconds",
    "lateness_max_seconds",
    "row_count",
)


def freshness_section(tables: Tables) -> Section:
    """Tell of every source when it was last heard of.

    Raises:
        Absent: mon_freshness is not there.
    """
    sources = tables.rows("mon_freshness", *_COLUMNS)
    stale = [row for row in sources if row["verdict"] == "stale"]
    needs = [
        Need(
            "bad",
            f"Nothing has come from {row['source_table']} for {duration(row['age_seconds'])}; "
            f"the limit is {duration(row['limit_seconds'])}.",
        )
        for row in stale
    ]
    headings = ["source", "verdict", "last heard of (UTC)", "silent for", "limit", "rows"]
    late = ["half within", "99% within", "all within"]
    columns = [Head(name, name in ("silent for", "limit", "rows", *late)) for name in headings + late]
    caption = (
        "Silent for: until the warehouse last learnt anything. "
        "Within: so long after it happened a row was available"
    )
    return Section(
        _lead(sources, stale),
        [Table(caption, columns, [_cells(row) for row in sources])],
        needs,
    )


def _lead(sources: list[Row], stale: list[Row]) -> str:
    known = max((row["known_until"] for row in sources if row["known_until"]), default=None)
    if known is None:
        return "No source has sent anything yet."
    said = f"The warehouse knows what was available by {moment(known)} UTC"
    if stale:
        return f"{said}; {listed([row['source_table'] for row in stale])} fell silent before that."
    limited = [row for row in sources if row["verdict"] == "fresh"]
    return (
        f"{said}, and {counted(len(limited), 'source')} with a limit came within it."
        if limited
        else f"{said}."
    )


def _cells(row: Row) -> list[Text]:
    return [
        Text(row["source_table"]),
        Text(row["verdict"], _TONES.get(row["verdict"], "none")),
        Text(moment(row["last_available_at"])),
        Text(duration(row["age_seconds"])),
        Text(duration(row["limit_seconds"])),
        Text(number(row["row_count"])),
        *(Text(duration(row[f"lateness_{share}_seconds"])) for share in ("p50", "p99", "max")),
    ]
