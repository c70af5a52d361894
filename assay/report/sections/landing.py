"""What landed and what became of it: files that need a person, and the rows in quarantine by rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from assay.core.words import change, counted, day, number
from assay.landing.schema.recorded import SchemaChange
from assay.ledger.account import Account, Rejects
from assay.ledger.runs import Run
from assay.project.personal import Personal
from assay.report.blocks import Block, Details, Head, Need, Paragraph, Section, Table, Text
from assay.report.docs import Docs
from assay.report.sections.broken import sample_table
from assay.report.tables import Absent, Row, Tables

_ROWS_A_RULE = 3
_FILES_LISTED = 50
# What a rejected row carries beside what landed, and the rule above it says already.
_RULE = "rule_id"
_TOLD_ABOVE = (_RULE, "rule_ids", "reason")
_PLACE = ("source_file", "row_number")


def landing_section(
    account: Account, before: Run | None, tables: Tables, docs: Docs, personal: Personal | None
) -> Section:
    """Tell what landed, what was kept and rejected, and why.

    Args:
        account: of the warehouse.
        before: the run whose counts are compared; the last that succeeded before the latest.
        tables: of the warehouse.
        docs: of dbt.
        personal: what is personal in the rejected rows that are shown; None to show none.

    Raises:
        Absent: nothing is known of what landed.
    """
    if not account.landed and not account.troubled:
        raise Absent(f"Nothing has landed, or it cannot be told. {tables.note}".strip())
    blocks: list[Block] = [_landed(account)]
    if account.troubled:
        files = [[Text(each.named), Text(each.status, "bad"), Text(each.error)] for each in account.troubled]
        columns = [Head("file"), Head("status"), Head("what is wrong, and what to do")]
        more = (
            f"; {len(files) - _FILES_LISTED:,} more are in bronze.brz_files"
            if len(files) > _FILES_LISTED
            else ""
        )
        blocks.append(Table(f"Files not loaded{more}", columns, files[:_FILES_LISTED]))
    changes = [each for each in account.schema_changes if each.state == "open"]
    if changes:
        blocks.append(_changes(changes))
    if account.rejects:
        rejected = (
            {(each["table"], each["rule_id"]): each["rows"] for each in before.rejects} if before else None
        )
        checked = {table.name: table for table in account.checked}
        for name, rules in groupby(account.rejects, key=lambda each: each.table):
            of = checked[name].kept + checked[name].rejected
            share = checked[name].rejected / max(of, 1)
            summary = f"{name}: {checked[name].rejected:,} of {counted(of, 'row')} rejected ({share:.1%})"
            of_table = list(rules)
            shown: list[Block] = [_rules(of_table, rejected)]
            if personal:
                shown += _rejected_rows(name, of_table, tables, personal)
            blocks.append(Details(summary, shown))
    needs = [
        Need("bad", f"{each.named} {'are' if each.files > 1 else 'is'} not loaded: {each.error}")
        for each in account.troubled
    ]
    return Section(_lead(account), blocks, needs)


def _lead(account: Account) -> str:
    kept = sum(table.kept for table in account.checked)
    rejected = sum(table.rejected for table in account.checked)
    rules = len({each.rule_id for each in account.rejects})
    share = rejected / max(kept + rejected, 1)
    said = f"{counted(kept, 'row')} passed silver's rules; {rejected:,} ({share:.1%})"
    return (
        f"{said} did not, by {counted(rules, 'rule')}, and are kept whole in quarantine."
        if rejected
        else f"{said} did not."
    )


def _landed(account: Account) -> Table:
    names = ("files", "new", "rows", "new rows", "kept", "rejected")
    columns = [Head("source"), *(Head(name, True) for name in names)]
    rows = []
    for source in account.landed:
        parts = [part for part in account.checked if part.source == source.source]
        kept, rejected = (
            number(sum(getattr(part, name) for part in parts) if parts else None)
            for name in ("kept", "rejected")
        )
        counts = (source.files, source.files_in_run, source.landed, source.landed_in_run)
        rows.append(
            [Text(source.source), *(Text(number(count)) for count in counts), Text(kept), Text(rejected)]
        )
    return Table("What landed, in all and in the latest build, and what became of it", columns, rows)


def _changes(changes: Sequence[SchemaChange]) -> Table:
    rows = [
        [
            Text(each.table),
            Text(f"a file {each.change}"),
            Text(number(each.file_count)),
            Text(day(each.first_landed_at)),
            Text(day(each.last_landed_at)),
            Text(each.handled),
        ]
        for each in changes
    ]
    columns = [
        Head("table"),
        Head("what differs"),
        Head("files", True),
        Head("first landed"),
    ]
    columns += [Head("last landed"), Head("what became of them")]
    caption = "Files that differ from their declaration; to accept that: assay schema accept TABLE"
    return Table(caption, columns, rows)


def _rules(rules: Sequence[Rejects], before: Mapping[tuple[str, str], int] | None) -> Table:
    rows = [
        [
            Text(each.rule_id),
            Text(number(each.rows)),
            Text(change(each.rows, None if before is None else before.get((each.table, each.rule_id), 0))),
            Text(each.reason),
            Text(each.remedy),
        ]
        for each in rules
    ]
    columns = [Head("rule"), Head("rows", True), Head("change", True), Head("reason")]
    caption = "A row may break several rules; change is since the last build that succeeded"
    return Table(caption, [*columns, Head("what to do")], rows)


def _rejected_rows(name: str, rules: Sequence[Rejects], tables: Tables, personal: Personal) -> list[Block]:
    try:
        samples = _samples(name, tables)
    except Absent as absent:
        return [Paragraph(f"Rows cannot be shown. {absent}")]
    return [
        Details(
            f"Rows that break {each.rule_id}", [sample_table(personal.rows(samples[each.rule_id]), each.rows)]
        )
        for each in rules
        if each.rule_id in samples
    ]


def _samples(name: str, tables: Tables) -> dict[str, list[Row]]:
    """Return for each rule the newest rows that break it, as they landed.

    Raises:
        Absent: the rejected rows are not there.
    """
    order = "available_at desc nulls last, source_file desc, row_number"
    relation = tables.relation(f"{name}__rejected", ("rule_ids", "available_at", *_PLACE))
    rows = tables.fetch(
        f"""
        select *
        from (select unnest(rule_ids) as {_RULE}, * from {relation}) as broken
        qualify row_number() over (partition by {_RULE} order by {order}) <= {_ROWS_A_RULE}
        order by {_RULE}, {order}
        """
    )
    found: dict[str, list[Row]] = {}
    for row in rows:
        shown = {column: row[column] for column in row if column not in _TOLD_ABOVE}
        found.setdefault(row[_RULE], []).append(shown)
    return found
