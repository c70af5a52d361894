"""Histories of aggregates that are no sums, beside DuckDB's own windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.settings import FULL_EVENTS, SMALL_EVENTS, Settings
from benchmarks.table import Report, Row, row_of, within
from benchmarks.workshop import NodeCost, Workshop, as_cost

_LIMIT = 2.0
_MEMORY_LIMIT = 1 << 30
_GROWTH_LIMIT = 12.0
_LARGE_MEMORY_LIMIT = 8 << 30
_LENGTHS = {"1h": "1 hour", "24h": "24 hours", "7d": "7 days"}
_BY_WINDOWS = {
    "min": "min(amount)",
    "max": "max(amount)",
    "distinct_count": "count(distinct amount)",
    "mode": "mode(amount)",
    "first": "first_value(amount)",
    "last": "last_value(amount)",
    "stddev": "stddev(amount)",
}
_TOGETHER = tuple(_BY_WINDOWS)
_MEASURED = (*((each,) for each in _TOGETHER), _TOGETHER[:3], _TOGETHER)


def run(settings: Settings) -> Report:
    workshop = _workshop(settings, SMALL_EVENTS)
    rows: list[Row] = []
    for aggregates in _MEASURED:
        windows = _cost(workshop, "by_windows", _windows_of(aggregates))
        history = _cost(workshop, "history", _history_of(aggregates))
        rows += _rows(", ".join(aggregates), windows, history)
    if settings.is_full:
        large = _cost(_workshop(settings, FULL_EVENTS), "history", _history_of(_TOGETHER))
        rows.append(_judged("all of them, 10M", large, history, "1M", _GROWTH_LIMIT, _LARGE_MEMORY_LIMIT))
    return Report(
        "aggregates",
        "three windows of aggregates over card transactions, at every instant at which one changes",
        rows,
        [
            "DuckDB's RANGE windows give a row for each event, and know of no event that arrives late; the "
            "history has one for each exit from a window, too: writing those four million rows alone takes "
            "most of what the windows of one aggregate take."
        ],
    )


def _workshop(settings: Settings, transactions: int) -> Workshop:
    # It takes the place of the one before.
    workshop = Workshop(settings.scratch / "workshop")
    workshop.make_transactions(transactions)
    return workshop


def _cost(workshop: Workshop, name: str, sql: str) -> NodeCost:
    workshop.write_model(name, sql)
    return workshop.run(name)[name]


def _rows(name: str, windows: NodeCost, history: NodeCost) -> list[Row]:
    return [
        row_of(f"RANGE windows: {name}", [as_cost(windows)]),
        _judged(f"history: {name}", history, windows, "RANGE windows", _LIMIT, _MEMORY_LIMIT),
    ]


def _judged(name: str, cost: NodeCost, baseline: NodeCost, to: str, limit: float, memory: int) -> Row:
    said = f"{limit:g} times, {memory >> 30} GiB"
    held: dict[str, Any] = within(cost.cpu / baseline.cpu, limit, said)
    held["met"] = held["met"] and cost.peak_rss <= memory
    return row_of(name, [as_cost(cost)], baseline=to, **held)


def _history_of(aggregates: Sequence[str]) -> str:
    return (
        "{{ config(materialized='history') }}\n"
        "{{ assay.windowed_history(source('cards', 'transactions'), ['card_id'], 'happened_at', "
        f"'available_at', {{'amount': {list(aggregates)}}}, {list(_LENGTHS)}) }}}}"
    )


def _windows_of(aggregates: Sequence[str]) -> str:
    columns = [
        f"{_BY_WINDOWS[aggregate]} over _{window} as {aggregate}_{window}"
        for aggregate in aggregates
        for window in _LENGTHS
    ]
    windows = [
        f"_{window} as (partition by card_id order by happened_at range interval '{length}' preceding)"
        for window, length in _LENGTHS.items()
    ]
    source = "{{ source('cards', 'transactions') }}"
    return f"select *, {', '.join(columns)} from {source} window {', '.join(windows)}"
