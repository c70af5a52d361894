"""What breaks the rules of quality, and where it begins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from assay.core.words import counted, listed, month
from assay.report.blocks import Block, Details, Head, Need, Section, Table, Text
from assay.report.docs import Docs
from assay.report.tables import Row, Tables

_COLUMNS = (
    "table_name",
    "column_name",
    "dimension",
    "rule_id",
    "period",
    "verdict",
    "detail",
    "begins_in",
    "reason",
    "remedy",
)


def quality_section(tables: Tables, docs: Docs) -> Section:
    """Tell what is broken now; what broke before, or follows from what broke further up, is folded.

    Raises:
        Absent: mon_quality is not there.
    """
    rows = tables.rows("mon_quality", *_COLUMNS)
    broken = sorted((row for row in rows if row["verdict"] == "broken"), key=_order)
    last: date | None = max((row["period"] for row in rows if row["period"]), default=None)
    # The month that is not over yet seldom has rows enough to be judged.
    since = (last - timedelta(days=1)).replace(day=1) if last else date.max
    origins = [row for row in broken if not row["begins_in"]]
    now = [row for row in origins if (row["period"] or since) >= since]
    earlier = [row for row in origins if row not in now]
    follow = [row for row in broken if row["begins_in"]]
    left_out = sorted((row for row in rows if row["verdict"] == "left out"), key=_order)
    blocks: list[Block] = [_findings("Now", now, docs)] if now else []
    if left_out:
        blocks.append(_left_out(left_out, docs))
    if earlier:
        table = _findings("Before, newest first", earlier, docs)
        blocks.append(Details(f"{counted(len(earlier), 'finding')} of months before", [table]))
    if follow:
        table = _findings("Newest first", follow, docs)
        summary = f"{counted(len(follow), 'finding')} further down, which this explains"
        blocks.append(Details(summary, [table]))
    if broken:
        blocks.append(Details("What the rules mean, and what to do", [_rules(broken)]))
    checks = [row for row in rows if row not in left_out]
    return Section(_lead(checks, now, since), blocks, [_need(row) for row in [*now, *left_out]])


def _order(row: Row) -> tuple[int, str, str, str]:
    return (
        -(row["period"] or date.max).toordinal(),
        row["table_name"],
        row["column_name"] or "",
        row["rule_id"],
    )


def _name(row: Row) -> str:
    return f"{row['table_name']}.{row['column_name']}" if row["column_name"] else row["table_name"]


def _lead(rows: Sequence[Row], now: Sequence[Row], since: date) -> str:
    checks = f"{counted(len(rows), 'check')} of {counted(len({row['table_name'] for row in rows}), 'table')}"
    when = f" since {month(since)}" if since < date.max else ""
    if not now:
        return f"{checks}; nothing has been broken{when}."
    names = listed(sorted({row["table_name"] for row in now}))
    verb = "has" if len(now) == 1 else "have"
    return f"{checks}; {counted(len(now), 'rule')} {verb} been broken{when}, in {names}."


def _need(row: Row) -> Need:
    said = row["detail"] or row["reason"]
    if row["verdict"] == "left out":
        return Need("watch", f"{_name(row)} is not monitored: {said}.")
    return Need("watch", f"{_name(row)} breaks {row['rule_id']}: {said}.")


def _findings(caption: str, rows: Sequence[Row], docs: Docs) -> Table:
    columns = [Head(name) for name in ("column or table", "month", "rule", "what was found")]
    cells = [
        [
            docs.text(_name(row)),
            Text(month(row["period"]) if row["period"] else "all time"),
            Text(row["rule_id"], note=row["dimension"]),
            Text(
                row["detail"] or "\N{EN DASH}",
                note=f"begins in {row['begins_in']}" if row["begins_in"] else "",
            ),
        ]
        for row in rows
    ]
    return Table(caption, columns, cells)


def _left_out(rows: Sequence[Row], docs: Docs) -> Table:
    columns = [Head("table or column"), Head("why it is not monitored, and how it can be")]
    return Table("Not monitored", columns, [[docs.text(_name(row)), Text(row["detail"])] for row in rows])


def _rules(broken: Sequence[Row]) -> Table:
    rules = {row["rule_id"]: row for row in sorted(broken, key=lambda row: str(row["rule_id"]))}
    columns = [Head("rule"), Head("it is broken where"), Head("what to do")]
    cells = [[Text(name), Text(row["reason"]), Text(row["remedy"])] for name, row in rules.items()]
    return Table("Rules that are broken", columns, cells)
