"""How many rows happened on each day, and which days were unusual."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby
from math import ceil
from typing import Any

from assay.core.words import counted, day, listed, number
from assay.report.blocks import Chart, Charts, Details, Head, Need, Section, Table, Text
from assay.report.charts import BAD, FIGURES, INK, drawn, named
from assay.report.docs import Docs
from assay.report.tables import Row, Tables

_COLUMNS = ("table_name", "event_on", "row_count", "expected_rows", "verdict")
_UNUSUAL = ("low", "high", "missing")
_DAYS_DRAWN = 365
# For so long a person may still do something about a day.
_DAYS_RECENT = 7
_DAYS_LABELLED = 3
# A first load that is so much higher than all days since would flatten them: it is cut off, and says so.
_CUT_OFF_ABOVE = 1.5


def volume_section(tables: Tables, docs: Docs) -> Section:
    """Tell of every table how its days were.

    Raises:
        Absent: mon_volume is not there.
    """
    rows = tables.rows("mon_volume", *_COLUMNS)
    charts: list[Chart] = []
    unusual: list[Row] = []
    needs: list[Need] = []
    for name, of_table in groupby(rows, key=lambda row: row["table_name"]):
        days = list(of_table)
        last: date = days[-1]["event_on"]
        days = [row for row in days if row["event_on"] > last - timedelta(_DAYS_DRAWN)]
        found = [row for row in days if row["verdict"] in _UNUSUAL]
        recent = [row for row in found if row["event_on"] > last - timedelta(_DAYS_RECENT)]
        charts.append(_chart(name, days, found))
        unusual += found
        needs += [Need("watch", f"{name} had {_said(row)}.") for row in recent]
    blocks: list[Charts | Details] = [Charts(charts)] if charts else []
    if unusual:
        summary = f"The {counted(len(unusual), 'unusual day')}" if len(unusual) > 1 else "The unusual day"
        blocks.append(Details(summary, [_table(unusual, docs)]))
    return Section(_lead(charts, unusual), blocks, needs)


def _lead(charts: Sequence[Chart], unusual: Sequence[Row]) -> str:
    if not charts:
        return "No table has rows yet."
    against = "against the same weekday of the eight weeks before"
    if not unusual:
        return f"No day of {counted(len(charts), 'table')} is unusual {against}."
    verb = "is" if len(unusual) == 1 else "are"
    names = listed(sorted({row["table_name"] for row in unusual}))
    return f"{counted(len(unusual), 'day')} of {names} {verb} unusual {against}."


def _said(row: Row) -> str:
    rows = counted(row["row_count"], "row") if row["row_count"] else "no rows"
    return f"{rows} on {day(row['event_on'])}, where {number(row['expected_rows'], ',.0f')} were expected"


def _chart(name: str, days: Sequence[Row], unusual: Sequence[Row]) -> Chart:
    top = max(row["row_count"] for row in days)
    judged = max((row["row_count"] for row in days if row["verdict"] != "too early"), default=top)
    if top > judged * _CUT_OFF_ABOVE:
        top = judged
    labelled = sorted(unusual, key=lambda row: -abs(row["row_count"] - (row["expected_rows"] or 0)))
    labelled = labelled[:_DAYS_LABELLED]
    above = max(
        (row for row in days if row["row_count"] > top), key=lambda row: row["row_count"], default=None
    )
    rows = [
        {
            "on": f"{row['event_on']:%Y-%m-%d}",
            "rows": min(row["row_count"], top),
            "is_unusual": row in unusual,
            "label": _label(row) if row in labelled or row is above else "",
            "align": "left" if number_ < len(days) / 2 else "right",
            "words": _words(row),
        }
        for number_, row in enumerate(days)
    ]
    least, most = (limit(row["row_count"] for row in days) for limit in (min, max))
    said = "no day is unusual"
    if unusual:
        said = f"{counted(len(unusual), 'day')} unusual: {listed([_said(row) for row in labelled])}"
    period = f"{day(days[0]['event_on'])} to {day(days[-1]['event_on'])}"
    words = f"Rows a day of {name}, {period}: {least:,} to {most:,}; {said}."
    return Chart(name, words, drawn(_spec([row["event_on"] for row in days], top), height=90, rows=rows))


def _label(row: Row) -> str:
    return f"{row['event_on'].day} {row['event_on']:%b}: {row['row_count']:,}"


def _words(row: Row) -> str:
    said = f"{day(row['event_on'])}: {counted(row['row_count'], 'row')}"
    if row["expected_rows"] is not None:
        said += f", {row['expected_rows']:,.0f} expected"
    return f"{said}, {row['verdict']}" if row["verdict"] in _UNUSUAL else said


def _spec(days: Sequence[date], top: int) -> dict[str, Any]:
    months = "utcmonth(datum.value) ? utcFormat(datum.value, '%b') : utcFormat(datum.value, '%Y')"
    ticks: dict[str, Any]
    if len(days) > 2 * 31:
        ticks = {"tickCount": {"interval": "month", "step": ceil(len(days) / 31 / 4)}, "labelExpr": months}
    else:
        ticked = [
            {"year": day.year, "month": day.month, "date": day.day, "utc": True}
            for day in days[:: ceil(len(days) / 5)]
        ]
        ticks = {"values": ticked, "format": "%-d %b"}
    x = {
        "field": "on",
        "type": "temporal",
        "timeUnit": "utcyearmonthdate",
        "axis": {"grid": False, "labelFlush": True, "labelOverlap": True, **ticks},
    }
    y = {
        "field": "rows",
        "type": "quantitative",
        "scale": {"domain": [0, max(top, 1)]},
        "axis": {"tickCount": 3, **FIGURES},
    }
    label = {"type": "text", "color": INK, "fontWeight": 600, "align": {"expr": "datum.align"}}
    beside = {
        "dx": {"expr": "datum.align == 'left' ? 7 : -7"},
        "dy": {"expr": f"datum.rows > {top / 2} ? 3 : -3"},
    }
    return {
        "encoding": {"x": x},
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 1}, "encoding": {"y": y}},
            {
                "transform": [{"filter": "datum.is_unusual"}],
                "mark": {"type": "point", "color": BAD, "filled": True, "size": 45, "opacity": 1},
                "encoding": {"y": y},
            },
            {
                "transform": [{"filter": "datum.label"}],
                "mark": label | beside,
                "encoding": {"y": y, "text": {"field": "label"}},
            },
            # As high as the chart, so that a day is easily hovered over.
            named({"type": "rule", "opacity": 0, "strokeWidth": 2}),
        ],
    }


def _table(unusual: Sequence[Row], docs: Docs) -> Table:
    columns = [Head("table"), Head("day"), Head("verdict")]
    columns += [Head("rows", True), Head("expected", True)]
    newest = sorted(unusual, key=lambda row: (row["event_on"], row["table_name"]), reverse=True)
    rows = [
        [
            docs.text(row["table_name"]),
            Text(day(row["event_on"])),
            Text(row["verdict"], "bad"),
            Text(number(row["row_count"])),
            Text(number(row["expected_rows"], ",.0f")),
        ]
        for row in newest
    ]
    return Table("Unusual days, newest first", columns, rows)
