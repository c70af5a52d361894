"""Events that no other counts beside take a path of their own; their histories are those of all others."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal

import duckdb
import pytest
from brute_force import Event, history
from rendered_histories import RenderedHistory, render_histories

pytestmark = pytest.mark.usefixtures("builds")

START, HOUR = datetime(2025, 1, 1), timedelta(hours=1)
WINDOWS = {"1h": HOUR, "3h": 3 * HOUR, "180m": 3 * HOUR}
AMOUNTS = ["count", "sum", "avg", "min", "max", "stddev", "last", "first"]
TOOLS = ["distinct_count", "mode"]
LOAD = {
    f"{name}_{how}_{window}": (source, how, length)
    for name, source, hows in (
        ("run", "*", ["count"]),
        ("amount", "amount", AMOUNTS),
        ("tool", "tool", TOOLS),
    )
    for how in hows
    for window, length in WINDOWS.items()
}
CALL = (
    "windowed_history(source('plant', 'events'), ['machine'], 'ended_at', 'reported_at', {"
    f"'run': {{'aggregates': ['count'], 'expression': 'true'}}, 'amount': {AMOUNTS}, 'tool': {TOOLS}"
    f"}}, {list(WINDOWS)})"
)
# Hours between arrivals: around the longest window, and as long.
GAPS = [0, 0, 1, 2, 3, 3, 3, 4, 4, 7, 20]
Rows = list[tuple[str, datetime, datetime, Decimal | None, str | None]]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> RenderedHistory:
    return render_histories(tmp_path_factory.mktemp("rendered") / "project", {"load": CALL})["load"]


def some_events(delays: list[int]) -> Rows:
    """Events of machines at whole hours; delays are in hours, below none where a clock was wrong."""
    chance = random.Random(1)
    rows: Rows = []
    for machine in range(50):
        reported_at = START
        for _ in range(chance.choice([1, 2, 12])):
            reported_at += chance.choice(GAPS) * HOUR
            amount = chance.choice([None, Decimal(1), Decimal(2), Decimal("-3.5")])
            tool = chance.choice([None, "saw", "drill"])
            rows.append(
                (f"m{machine}", reported_at - chance.choice(delays) * HOUR, reported_at, amount, tool)
            )
    return rows


@pytest.mark.parametrize(
    "delays", [[0], [0, 0, 0, 1, 2, 3, 9, 30], [0, 0, 0, 0, -1, -3, -30]], ids=["prompt", "late", "early"]
)
def test_events_that_are_alone_have_the_history_that_all_have(
    rendered: RenderedHistory, delays: list[int]
) -> None:
    rows = some_events(delays)
    events: dict[str, list[Event]] = defaultdict(list)
    for machine, ended_at, reported_at, amount, tool in rows:
        events[machine].append(Event(ended_at, reported_at, {"amount": amount, "tool": tool}))
    with duckdb.connect() as connection:
        connection.execute(
            "create table events (machine varchar, ended_at timestamp, reported_at timestamp, "
            "amount decimal(18, 2), tool varchar)"
        )
        connection.executemany("insert into events values (?, ?, ?, ?, ?)", rows)
        connection.execute(f"create table found as {rendered.rows}")
        for machine, expected in events.items():
            states = history(expected, LOAD)
            columns = ", ".join(LOAD)
            found = connection.execute(
                f"select valid_from, coalesce(confirmed_at, [updated_at]), {columns} from found "
                "where machine = ? order by valid_from",
                [machine],
            ).fetchall()
            assert [row[:2] for row in found] == [(state.valid_from, state.arrivals) for state in states]
            for row, state in zip(found, states, strict=True):
                assert row[2:] == pytest.approx(tuple(state.values.values())), state


def test_floating_point_sums_are_refused_of_a_lone_event(rendered: RenderedHistory) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "create table events as select 'a' as machine, timestamp '2025-01-01' as ended_at, "
            "ended_at as reported_at, 0.5::double as amount, 'saw' as tool"
        )
        with pytest.raises(duckdb.InvalidInputException, match="amount is a floating-point number"):
            connection.execute(rendered.rows)
