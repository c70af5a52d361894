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
Measures = dict[str, tuple[list[str], list[str]]]
# Aggregates and windows: some change with each event, some with each value, some with none alone.
MEASURES: dict[str, Measures] = {
    "load": {
        "run": (["count"], list(WINDOWS)),
        "amount": (AMOUNTS, list(WINDOWS)),
        "tool": (TOOLS, list(WINDOWS)),
    },
    "amounts": {"amount": (["max"], list(WINDOWS))},
    "either": {"amount": (["first", "sum"], ["1h"]), "tool": (["last"], ["1h", "180m"])},
    "sums_apart": {"amount": (["sum"], ["1h"]), "tool": (["mode"], ["3h"])},
    "deviations": {"amount": (["stddev"], list(WINDOWS))},
    "deviations_apart": {"amount": (["stddev"], ["3h"]), "tool": (["distinct_count"], ["1h"])},
}
# Hours between arrivals: around the longest window, and as long.
GAPS = [0, 0, 1, 2, 3, 3, 3, 4, 4, 7, 20]
Rows = list[tuple[str, datetime, datetime, Decimal | None, str | None]]


def call_of(measures: Measures) -> str:
    given = {
        name: {"aggregates": hows, "windows": windows} | ({"expression": "true"} if name == "run" else {})
        for name, (hows, windows) in measures.items()
    }
    return (
        "windowed_history(source('plant', 'events'), ['machine'], 'ended_at', 'reported_at', "
        f"{given}, {list(WINDOWS)})"
    )


def columns_of(measures: Measures) -> dict[str, tuple[str, str, timedelta | None]]:
    return {
        f"{name}_{how}_{window}": ("*" if name == "run" else name, how, WINDOWS[window])
        for name, (hows, windows) in measures.items()
        for how in hows
        for window in windows
    }


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RenderedHistory]:
    calls = {name: call_of(measures) for name, measures in MEASURES.items()}
    return render_histories(tmp_path_factory.mktemp("rendered") / "project", calls)


def some_events(delays: list[int]) -> Rows:
    """Events of machines at whole hours; delays are in hours, below none where a clock was wrong."""
    chance = random.Random(1)
    rows: Rows = []
    for machine in range(50):
        reported_at = START
        for _ in range(chance.choice([1, 2, 12])):
            reported_at += chance.choice(GAPS) * HOUR
            amount = chance.choice([None, Decimal(0), Decimal(1), Decimal("-3.5")])
            tool = chance.choice([None, "saw", "drill"])
            rows.append(
                (f"m{machine}", reported_at - chance.choice(delays) * HOUR, reported_at, amount, tool)
            )
    return rows


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(
    "delays", [[0], [0, 0, 0, 1, 2, 3, 9, 30], [0, 0, 0, 0, -1, -3, -30]], ids=["prompt", "late", "early"]
)
def test_events_that_are_alone_have_the_history_that_all_have(
    rendered: dict[str, RenderedHistory], delays: list[int], name: str
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
        connection.execute(f"create table found as {rendered[name].rows}")
        load = columns_of(MEASURES[name])
        for machine, expected in events.items():
            states = history(expected, load)
            columns = ", ".join(load)
            found = connection.execute(
                f"select valid_from, valid_to, coalesce(confirmed_at, [updated_at]), {columns} from found "
                "where machine = ? order by valid_from",
                [machine],
            ).fetchall()
            ends = [state.valid_from for state in states[1:]] + [datetime(9999, 12, 31)]
            assert [row[:3] for row in found] == [
                (state.valid_from, end, state.arrivals) for state, end in zip(states, ends, strict=True)
            ]
            for row, state in zip(found, states, strict=True):
                assert row[3:] == pytest.approx(tuple(state.values.values())), state


def test_floating_point_sums_are_refused_of_a_lone_event(rendered: dict[str, RenderedHistory]) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "create table events as select 'a' as machine, timestamp '2025-01-01' as ended_at, "
            "ended_at as reported_at, 0.5::double as amount, 'saw' as tool"
        )
        with pytest.raises(duckdb.InvalidInputException, match="amount is a floating-point number"):
            connection.execute(rendered["load"].rows)
