"""Whatever comes, changes or goes in the input of a history, increments end in a full refresh's rows."""

from __future__ import annotations

import os
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rendered_histories import RenderedHistory, render_histories

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
# Half hours: a span of fingerprints is of 72 minutes. Few values, so that they are repeated and coincide.
ROW = st.tuples(
    st.sampled_from(["'a'", "'b'", "'b'", None]),
    st.just("1"),
    st.integers(-8, 30),
    st.integers(0, 8),
    st.sampled_from([None, "1", "2", "-4"]),
    st.sampled_from([None, "'saw'", "'drill'"]),
    st.sampled_from([None, "'d'", "'d'", "'u'"]),
    st.sampled_from(["false", "false", "false", "true", None]),
    st.integers(0, 2),
)
Row = tuple[Any, ...]
CHANGE = st.one_of(
    st.tuples(st.just("insert"), st.just(0), ROW),
    st.tuples(st.just("delete"), st.integers(0, 50), st.none()),
    st.tuples(st.just("delete"), st.integers(0, 50), st.none()),
    st.tuples(st.just("update"), st.integers(0, 50), ROW),
)
STEP = st.lists(CHANGE, min_size=1, max_size=2)
# The first two take ten times as long.
EXAMPLES = dict.fromkeys(CALLS, 40) | {"bounded": 6, "unbounded": 6}
MORE = int(os.environ.get("ASSAY_EXAMPLES", "1"))


def land(connection: duckdb.DuckDBPyConnection, rows: list[Row]) -> None:
    values = ", ".join(f"({', '.join('null' if v is None else str(v) for v in row)})" for row in rows)
    connection.execute("truncate events")
    if rows:
        connection.execute(
            f"""
            insert into events
            select
                machine, number, instant, instant + late * interval '30 minutes',
                amount, tool, op, is_test, lsn
            from (
                select *, timestamp '1970-01-01' + half_hour * interval '30 minutes' as instant
                from (values {values})
                    as rows (machine, number, half_hour, late, amount, tool, op, is_test, lsn)
            )
            """
        )


def changed(rows: list[Row], changes: list[tuple[str, int, Row | None]]) -> list[Row]:
    found = list(rows)
    for kind, place, row in changes:
        if kind == "insert" and row is not None:
            found.append(row)
        elif found and kind == "delete":
            del found[place % len(found)]
        elif found and row is not None:
            found[place % len(found)] = row
    return found


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RenderedHistory]:
    return render_histories(tmp_path_factory.mktemp("rendered") / "project", CALLS)


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    connection.execute(
        """
        create table events (
            machine varchar, "order" int, ended_at timestamp, reported_at timestamp, amount decimal(18, 2),
            tool varchar, op varchar, is_test boolean, lsn int
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


@pytest.mark.parametrize("name", CALLS)
def test_increments_equal_a_full_refresh(
    histories: dict[str, RenderedHistory], connection: duckdb.DuckDBPyConnection, name: str
) -> None:
    history = histories[name]

    @settings(
        max_examples=EXAMPLES[name] * MORE,
        deadline=None,
        derandomize=MORE == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(ROW, min_size=3, max_size=8), st.lists(STEP, min_size=3, max_size=6))
    def holds(rows: list[Row], steps: list[list[tuple[str, int, Row | None]]]) -> None:
        land(connection, rows)
        history.build(connection)
        for changes in steps:
            rows = changed(rows, changes)
            land(connection, rows)
            history.grow(connection)
            grown = connection.execute("from grown order by all").fetchall()
            assert grown == connection.execute(f"from ({history.rows}) order by all").fetchall()

    holds()
