"""Whatever comes, changes or goes in the input of a history, increments end in a full refresh's rows."""

from __future__ import annotations

import os
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rendered_histories import RenderedHistory, render_histories

pytestmark = pytest.mark.usefixtures("builds")

EVENTS = "source('plant', 'events'), ['machine', 'order']"
WINDOWED = f"windowed_history({EVENTS}, 'ended_at', 'reported_at', "
MEASURES = "{'run': ['count'], 'amount': ['sum', 'max'], 'tool': ['distinct_count']}"
CALLS = {
    "bounded": WINDOWED + f"{MEASURES}, ['1h', '3h'], 'not is_test')",
    "unbounded": WINDOWED + f"{MEASURES}, ['1h', 'all'])",
    "changes": f"change_history({EVENTS}, 'reported_at', ['tool', 'amount'], \"op = 'd' and not is_test\")",
    "ordered_changes": f"change_history({EVENTS}, 'reported_at', ['tool'], \"op = 'd'\", change_order='lsn')",
    "versions": "snapshot_history(source('plant', 'versions'), ['machine', 'order'], ['tool'])",
}
# Few values, so that they are repeated and coincide.
ROW = st.tuples(
    st.sampled_from(["'a'", "'a'", "'b'", "'b'", None]),
    st.just("1"),
    st.integers(-4, 12),
    st.integers(0, 2),
    st.sampled_from([None, "1", "2", "-4"]),
    st.sampled_from([None, "'saw'", "'drill'"]),
    st.sampled_from([None, "'d'", "'d'", "'u'"]),
    st.sampled_from(["false", "false", "false", "false", "true", None]),
    st.sampled_from([0, 0, 1, 2]),
)
Row = tuple[Any, ...]
POOL = 7
# Rows of the pool come, and those that are there go; one that goes as another comes is an update.
STEP = st.sets(st.integers(0, POOL - 1), min_size=1, max_size=2)
INPUTS = st.lists(ROW, min_size=POOL, max_size=POOL), st.lists(STEP, min_size=5, max_size=8)
# The last row of an entity, a deletion, goes and comes back; another comes before it.
DELETED = (
    [
        ("'a'", "1", 0, 0, "1", "'saw'", None, "false", 0),
        ("'b'", "1", 0, 0, "1", "'saw'", None, "false", 0),
        ("'a'", "1", 6, 0, "1", "'saw'", "'d'", "false", 0),
        *[("'a'", "1", 3, 0, "2", "'drill'", None, "false", 0)] * (POOL - 3),
    ],
    [set(range(3, POOL - 1)), {2}, {2}, {3}, {2, 3}],
)
# One row goes as two of another entity come: a span has one more, which is not all that happened to it.
SWAPPED = (
    [
        ("'a'", "1", 0, 0, "1", "'saw'", None, "false", 0),
        *[("'b'", "1", 0, 0, amount, "'saw'", None, "false", 0) for amount in ("1", "2")],
        *[("'b'", "1", 8, 0, "2", "'drill'", None, "false", 0)] * (POOL - 3),
    ],
    [{1, 2}, {0, 1, 2}],
)
# Microseconds between instants: half of a span of fingerprints, so that changes fall on its ends; or half an
# hour, so that events leave windows as others come. Windows take longer.
UNITS = dict.fromkeys(CALLS, 2**31) | dict.fromkeys(("bounded", "unbounded"), 1_800_000_000)
EXAMPLES = dict.fromkeys(CALLS, 20) | dict.fromkeys(("bounded", "unbounded"), 6)
MORE = int(os.environ.get("ASSAY_EXAMPLES", "1"))


def land(connection: duckdb.DuckDBPyConnection, rows: list[Row], unit: int) -> None:
    """Put rows in the place of those that are there; the last value of each is the step in which it came."""
    values = ", ".join(f"({', '.join('null' if v is None else str(v) for v in row)})" for row in rows)
    connection.execute("truncate events")
    if rows:
        connection.execute(
            f"""
            insert into events
            select
                machine, number, instant, instant + to_microseconds(late * {unit}::bigint),
                amount, tool, op, is_test, lsn, step
            from (
                select * replace (
                    timestamp '1970-01-01' + to_microseconds(instant * {unit}::bigint) as instant
                )
                from (values {values})
                    as rows (machine, number, instant, late, amount, tool, op, is_test, lsn, step)
            )
            """
        )


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RenderedHistory]:
    return render_histories(tmp_path_factory.mktemp("rendered") / "project", CALLS, with_steps=True)


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    connection.execute(
        """
        create table events (
            machine varchar, "order" int, ended_at timestamp, reported_at timestamp, amount decimal(18, 2),
            tool varchar, op varchar, is_test boolean, lsn int, step int
        );
        create view versions as
        select
            machine,
            "order",
            tool,
            ended_at as dbt_valid_from,
            case when lsn > 0 then reported_at end as dbt_valid_to,
            case when op = 'd' then 'True' when op = 'u' then 'False' end as dbt_is_deleted
        from events
        """
    )
    return connection


def check(
    connection: duckdb.DuckDBPyConnection,
    history: RenderedHistory,
    unit: int,
    pool: list[Row],
    steps: list[set[int]],
) -> None:
    """Build a history, let rows of a pool come and go, and compare after each step."""
    there = dict.fromkeys(range(POOL), 0)
    land(connection, [(*pool[place], came) for place, came in there.items()], unit)
    history.build(connection)
    for number, step in enumerate(steps, start=1):
        gone = {place for place in step if there.pop(place, None) is not None}
        there |= dict.fromkeys(step - gone, number)
        land(connection, [(*pool[place], came) for place, came in there.items()], unit)
        says_what_came = history.tells_what_was_added and not gone and number % 2 == 0
        history.grow(connection, only_added=says_what_came)
        grown = connection.execute("from grown order by all").fetchall()
        assert grown == connection.execute(f"from ({history.rows}) order by all").fetchall()


@pytest.mark.parametrize("name", CALLS)
def test_increments_equal_a_full_refresh(
    histories: dict[str, RenderedHistory], connection: duckdb.DuckDBPyConnection, name: str
) -> None:
    @settings(
        max_examples=EXAMPLES[name] * MORE,
        deadline=None,
        derandomize=MORE == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @example(*DELETED)
    @example(*SWAPPED)
    @given(*INPUTS)
    def holds(pool: list[Row], steps: list[set[int]]) -> None:
        check(connection, histories[name], UNITS[name], pool, steps)

    holds()
