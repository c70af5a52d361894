"""Print what a project costs."""

from __future__ import annotations

from datetime import datetime

from rich.console import Console

from assay.console.tables import line, table_titled
from assay.core.words import counted, day, duration, listed, number
from assay.cost.found import SMALL, CostReport, Costs
from assay.cost.retention import Saving
from assay.cost.small import join_small

_MB = 1_000_000
_NOT_KNOWN = "not known"


def print_costs(report: CostReport, console: Console, *, shows_all: bool = False) -> None:
    """Print tables and sources, tiers, what nobody has read, savings, and what is left out.

    Args:
        report: what was found.
        console: to print on.
        shows_all: whether small tables and sources have rows of their own.
    """
    things, joined = (report.things, 0) if shows_all else join_small(report.things)
    _print_things(report, things, console)
    if joined:
        line(console, f"{joined:,} below 1 % of the total stand together. To see each: assay cost --all")
    _print_tiers(report, console)
    _print_unread(report, console)
    if report.savings_before and report.savings is not None:
        _print_savings(report.savings, report.savings_before, report.currency, console)
    _print_merging(report, console)
    for problem in report.problems:
        line(console, f"Left out. {problem}")


def _print_things(report: CostReport, things: list[Costs], console: Console) -> None:
    table = table_titled(f"What it takes (building since {day(report.seconds_since)})", is_wide=True)
    table.add_column("name", overflow="fold")
    table.add_column("kind", no_wrap=True)
    table.add_column("MB", justify="right")
    table.add_column("of which", overflow="fold")
    table.add_column("building", no_wrap=True)
    table.add_column("read last", no_wrap=True)
    table.add_column("readers", overflow="fold")
    if report.currency:
        table.add_column(f"{report.currency} a month", justify="right")
        table.add_column(f"{report.currency} building", justify="right")
    for each in things:
        money = [_money(each.storage_money), _money(each.build_money)] if report.currency else []
        table.add_row(
            each.name,
            each.kind,
            _megabytes(each.known_bytes),
            ", ".join(f"{tier} {_size(size)}" for tier, size in each.bytes.items() if size != 0),
            duration(each.seconds),
            *_reads(each),
            *money,
        )
    console.print(table)


def _print_tiers(report: CostReport, console: Console) -> None:
    table = table_titled("By tier")
    table.add_column("tier")
    table.add_column("MB", justify="right")
    if report.storage_money:
        table.add_column(f"{report.currency} a month", justify="right")
    for tier, size in report.bytes.items():
        money = [_money(report.storage_money[tier])] if report.storage_money else []
        table.add_row(tier, _megabytes(size), *money)
    console.print(table)


def _print_unread(report: CostReport, console: Console) -> None:
    since = day(report.unread_since)
    line(console, f"Not read since {since}, by what is recorded: {listed(report.unread, 20) or 'nothing'}")
    if report.too_new:
        line(console, f"Not judged, since first built after that day: {listed(report.too_new, 20)}")
    begins = report.log_begins_at
    if begins is None:
        line(console, "No feature server has a log here: reads online are not known.")
    elif begins > report.unread_since:
        line(console, f"The server's log begins on {day(begins)}: earlier reads online are not known.")
    line(console, "Who reads the published file, a role's file or the warehouse is not recorded.")


def _print_savings(savings: list[Saving], before: datetime, currency: str | None, console: Console) -> None:
    if not savings:
        line(console, f"Nothing that is kept landed before {day(before)}.")
        return
    table = table_titled(f"What landed before {day(before)}, and would go")
    table.add_column("source", overflow="fold")
    table.add_column("files", justify="right")
    table.add_column("landed MB", justify="right")
    table.add_column("rows of bronze", justify="right")
    table.add_column("about MB", justify="right")
    if currency:
        table.add_column(f"{currency} a month", justify="right")
    for each in savings:
        table.add_row(
            each.source,
            f"{each.files:,}",
            _megabytes(each.landed_bytes),
            f"{each.bronze_rows:,}",
            _size(each.bronze_bytes),
            *([_money(each.money_month)] if currency else []),
        )
    console.print(table)
    files = sum(each.files for each in savings)
    line(console, f"{counted(files, 'landed file')} and their rows; nothing was changed.")


def _print_merging(report: CostReport, console: Console) -> None:
    merging = [each for each in report.merging or [] if each.files]
    if merging:
        files, before = sum(each.files for each in merging), sum(each.size for each in merging)
        after = sum(each.estimate or 0 for each in merging)
        line(
            console,
            f"{counted(files, 'landed file')} of {_megabytes(before)} MB would take about {_megabytes(after)}"
            " MB when they are merged: assay land compact",
        )


def _reads(costs: Costs) -> tuple[str, str]:
    if costs.readers is None:
        return "", _NOT_KNOWN if costs.bytes.get("published") and costs.kind != SMALL else ""
    read = day(costs.last_read_at) if costs.last_read_at else "never recorded"
    return read, listed(costs.readers)


def _megabytes(size: int) -> str:
    return f"{size / _MB:,.1f}"


def _size(size: int | None) -> str:
    return _NOT_KNOWN if size is None else _megabytes(size)


def _money(value: float | None) -> str:
    return number(value, ",.2f")
