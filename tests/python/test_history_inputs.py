"""Histories of inputs that are not plain: names, zones, times without end, deletions and order."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rendered_histories import RenderedHistory, render_histories
from rendered_macros import Macros

MACROS = Path(__file__).parents[2] / "macros" / "history"
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
START = datetime(2025, 1, 1)
END_OF_TIME = datetime(9999, 12, 31)
KEYS = "source('plant', 'events'), ['order', 'Group By']"
AGGREGATES = "'count', 'sum', 'max', 'mode', 'avg', 'stddev', 'first'"
KNOWN = "{'aggregates': ['count'], 'expression': 'available_at'}"
MEASURES = f"{{'select': [{AGGREGATES}], 'known': {KNOWN}}}"
CALLS = {
    "windows": f"windowed_history({KEYS}, 'event_at', 'available_at', {MEASURES}, ['1h', 'all'])",
    "changes": f"change_history({KEYS}, 'available_at', ['select', 'a \"b\"', 'arrival'], "
    "\"op = 'd' and not is_test\")",
    "ordered": f"change_history({KEYS}, 'available_at', ['select'], \"op = 'd'\", change_order='arrival')",
    "versions": "snapshot_history(source('plant', 'versions'), ['order'], ['select'])",
}
COLUMNS = (
    '"ORDER" int, "group by" int, "Select" decimal(18, 2), "a ""b""" int, '
    "event_at {type}, available_at {type}, op varchar, is_test boolean, arrival int"
)


@pytest.fixture(scope="module")
def histories(builds: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RenderedHistory]:
    return render_histories(tmp_path_factory.mktemp("rendered") / "project", CALLS)


def make_events(rows: list[tuple[Any, ...]], type: str = "timestamp") -> duckdb.DuckDBPyConnection:
    """Rows of (order, select, available_at, op, is_test, arrival); they happened a minute before."""
    connection = duckdb.connect()
    connection.execute(f"create table events ({COLUMNS.format(type=type)})")
    for order, select, at, *rest in rows:
        values = [order, 7, select, select, at - MINUTE, at, *rest]
        connection.execute(f"insert into events values ({', '.join('?' * len(values))})", values)
    return connection


def rows_of(connection: duckdb.DuckDBPyConnection, history: RenderedHistory, columns: str) -> list[Any]:
    return connection.execute(f"select {columns} from ({history.rows}) order by all").fetchall()


def test_names_are_data(histories: dict[str, RenderedHistory]) -> None:
    connection = make_events([(1, 2, START, None, False, 1), (1, 4, START + DAY, None, False, 1)])
    columns = (
        '"order", "group by", select_sum_all, select_max_1h, select_mode_all, select_first_all, valid_from'
    )
    assert rows_of(connection, histories["windows"], columns)[-1] == (
        1,
        7,
        6,
        None,
        2,
        2,
        START + DAY + 59 * MINUTE,
    )
    assert rows_of(connection, histories["changes"], '"select", "a ""b"""') == [(2, 2), (4, 4)]
    for history in (histories["windows"], histories["changes"]):
        history.build(connection)
        connection.execute("delete from events where available_at > '2025-01-01'")
        history.grow(connection)
        assert len(connection.execute("from grown").fetchall()) in (1, 2)


def test_every_name_that_the_query_of_a_history_gives_is_refused() -> None:
    """Columns of the same name would be taken for each other: not always with an error."""
    [check] = re.findall(r"set own = \[(.*?)\]", (MACROS / "history_of_states.sql").read_text(), re.DOTALL)
    refused = set(re.findall(r"'(\w+)'", check))
    given = {
        name
        for path in MACROS.glob("*.sql")
        for names in re.findall(r"\bas (_\w+)|\b(_\w+) :=|lambda (\w+)", path.read_text())
        for name in names
        if name
    }
    assert {"_order", "_has_ended", "_begins_at", "_arrival"} <= given
    assert "startswith('_recent_')" in (MACROS / "history_of_states.sql").read_text()
    assert {name for name in given - refused if not name.startswith("_recent_")} == set()


def test_values_of_any_type_are_counted(histories: dict[str, RenderedHistory]) -> None:
    connection = make_events([(1, 2, START + DAY * number, None, False, 1) for number in range(2)])
    counts = rows_of(connection, histories["windows"], "valid_from, known_count_1h, known_count_all")
    assert [count for _, *count in counts] == [[1, 1], [0, 1], [1, 2], [0, 2]]


VECTOR = (0.25, 0.5)


def test_states_of_a_deleted_entity_may_hold_vectors(histories: dict[str, RenderedHistory]) -> None:
    connection = duckdb.connect()
    columns = COLUMNS.format(type="timestamp").replace("int, event", "float[2], event")
    connection.execute(f"create table events ({columns})")
    for day, op in enumerate((None, "d")):
        at = START + DAY * day
        inserted = "insert into events values (1, 7, 2, [0.25, 0.5], ?, ?, ?, false, 1)"
        connection.execute(inserted, [at - MINUTE, at, op])
    histories["changes"].build(connection)
    for source in (f"({histories['changes'].rows})", "grown"):
        found = connection.execute(f"select * exclude (updated_at) from {source} as rows_of").fetchall()
        assert [(VECTOR in row, START + DAY in row) for row in found] == [(True, True)]


def test_features_may_be_vectors() -> None:
    connection = duckdb.connect()
    connection.execute("create table spine as select 1 as id, date '2025-01-01' as asked_at")
    connection.execute("insert into spine values (2, '2025-01-01'), (3, '2025-01-01')")
    connection.execute(
        "create table texts as select 1 as id, [0.25, 0.5]::float[2] as vector, "
        "timestamp '2024-01-01' as valid_from, timestamp '9999-12-31' as valid_to"
    )
    connection.execute("insert into texts values (3, [1, 1], '2024-01-01', '2024-12-31')")
    request = {
        **{"relation": "texts", "entity_keys": ["id"], "needed": ["vector"], "outputs": ["vector"]},
        **{"max_age": None, "confirmed_at": False, "inputs": {}, "defaults": {}, "derived": {}},
        **{"prefix": "", "struct": "_features_1"},
    }
    joined = Macros()._joined_as_of("spine", "asked_at", [request])
    rows = connection.execute(f"select id, vector from ({joined}) as joined order by id").fetchall()
    assert rows == [(1, VECTOR), (2, None), (3, None)]


def test_views_of_the_same_keys_share_what_is_asked_for() -> None:
    connection = duckdb.connect()
    connection.execute(
        "create table spine as select i % 3 as id, i % 2 as place, i, "
        "timestamp '2025-01-01' + i * interval 1 day as at "
        "from range(12) as numbers (i)"
    )
    requests = []
    for number, key in enumerate(("id", "place", "id"), start=1):
        requests.append(
            {
                **{"relation": f"history_{number}", "entity_keys": [key], "needed": ["v"], "outputs": ["v"]},
                **{"max_age": None, "confirmed_at": False, "inputs": {}, "defaults": {}, "derived": {}},
                **{"prefix": f"of_{number}_", "struct": f"_features_{number}"},
            }
        )
        # Days 0 to 9, each a row of its own; of nobody on the day that is a multiple of four.
        connection.execute(
            f"create table history_{number} as select key as {key}, {number} * 100 + day as v, "
            "timestamp '2025-01-01' + day * interval 1 day as valid_from, "
            "valid_from + interval 1 day as valid_to from range(3) as keys (key), range(10) as days (day) "
            "where day % 4 <> 0"
        )
    joined = Macros()._joined_as_of("spine", "at", requests)
    assert re.findall(r"(asked_\d) as \(|inner join (asked_\d) ", joined) == [
        *(("asked_1", ""), ("", "asked_1"), ("asked_2", ""), ("", "asked_2"), ("", "asked_1"))
    ]
    rows = connection.execute(
        f"select i, of_1_v, of_2_v, of_3_v from ({joined}) as joined order by i"
    ).fetchall()
    assert rows == [
        (day, *(number * 100 + day if day % 4 and day < 10 else None for number in (1, 2, 3)))
        for day in range(12)
    ]


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Asia/Kolkata"])
def test_instants_with_a_zone_are_taken_in_utc(histories: dict[str, RenderedHistory], zone: str) -> None:
    rows = [(1, 2, START, None, False, 1), (1, 3, START + DAY, "d", False, 2)]
    plain, zoned = make_events(rows), make_events([], "timestamptz")
    zoned.execute("set TimeZone = 'UTC'")
    zoned.register("plain", plain.execute("from events").to_arrow_table())
    zoned.execute("insert into events from plain")
    zoned.execute(f"set TimeZone = '{zone}'")
    for connection in (plain, zoned):
        connection.execute(
            """
            create table versions as
            select
                "order",
                "select",
                available_at as dbt_valid_from,
                case when arrival = 2 then available_at + interval 1 day else '9999-12-31' end as dbt_valid_to
            from events
            """
        )
    for history in histories.values():
        assert rows_of(zoned, history, "*") == rows_of(plain, history, "*") != []


@pytest.mark.parametrize("time", ["infinity", "-infinity", "9999-12-31", "9999-12-31 23:00:00"])
@pytest.mark.parametrize("name", ["windows", "changes"])
def test_times_without_end_are_refused(histories: dict[str, RenderedHistory], name: str, time: str) -> None:
    connection = make_events([(1, 2, START, None, False, 1)])
    connection.execute(f"update events set available_at = '{time}'")
    for run in (
        lambda: connection.execute(histories[name].rows).fetchall(),
        lambda: connection.execute(f"create table t as {histories[name].rows}"),
        lambda: histories[name].build(connection),
    ):
        with pytest.raises(
            duckdb.Error, match=f"{name}: a row of .* has no available_at, or one without end"
        ):
            run()


def test_an_event_whose_window_ends_after_the_end_of_time_is_refused(
    histories: dict[str, RenderedHistory],
) -> None:
    connection = make_events([(1, 2, START, None, False, 1)])
    connection.execute("update events set event_at = '9999-12-30 23:30:00'")
    with pytest.raises(duckdb.Error, match="has no event_at, or one without end"):
        connection.execute(histories["windows"].rows).fetchall()


def test_only_what_is_true_deletes(histories: dict[str, RenderedHistory]) -> None:
    marks = [(None, False), ("d", None), ("d", True), ("u", False), ("d", False)]
    connection = make_events([(key, key, START, *mark, 1) for key, mark in enumerate(marks)])
    assert rows_of(connection, histories["changes"], '"order", "select"') == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_of_changes_at_one_instant_the_last_in_their_order_stands(
    histories: dict[str, RenderedHistory],
) -> None:
    changes = {
        1: [(9, "u", 1), (2, "u", 2), (99, "u", None)],
        2: [(9, "d", 1), (2, "u", 2)],
        3: [(3, "u", 1), (2, "d", 2)],
        4: [(3, "u", 1), (5, "u", 1)],
    }
    connection = make_events(
        [(key, value, START, op, False, lsn) for key, rows in changes.items() for value, op, lsn in rows]
    )
    assert rows_of(connection, histories["ordered"], '"order", "select"') == [(1, 2), (2, 2), (4, 5)]


def test_a_deletion_that_leaves_the_input_opens_the_state_before_it_again(
    histories: dict[str, RenderedHistory],
) -> None:
    connection = make_events(
        [
            (1, 1, START, "u", False, 1),
            (1, 1, START + 4 * DAY, "d", False, 2),
            (2, 5, START + DAY, "u", False, 1),
        ]
    )
    histories["changes"].build(connection)
    connection.execute("delete from events where op = 'd'")
    histories["changes"].grow(connection)
    grown = connection.execute('select "order", valid_to from grown order by all').fetchall()
    assert grown == [(1, END_OF_TIME), (2, END_OF_TIME)]


def test_versions_that_mark_a_deletion_end_the_state(histories: dict[str, RenderedHistory]) -> None:
    connection = duckdb.connect()
    connection.execute(
        """
        create table versions as
        select * from (values
            (1, 5, timestamp '2025-01-01', timestamp '2025-01-03', 'False'),
            (1, 5, timestamp '2025-01-03', timestamp '2025-01-06', 'True'),
            (1, 5, timestamp '2025-01-06', null, 'False'),
            (2, 6, timestamp '2025-01-01', timestamp '2025-01-03', 'False'),
            (2, 6, timestamp '2025-01-03', null, 'True'),
            (3, 7, timestamp '2025-01-01', timestamp '2025-01-05', 'False'),
            (3, 8, timestamp '2025-01-03', null, 'False')
        ) as rows ("order", "select", dbt_valid_from, dbt_valid_to, dbt_is_deleted)
        """
    )
    found = rows_of(connection, histories["versions"], '"order", "select", valid_from, valid_to')
    assert found == [
        (1, 5, START, START + 2 * DAY),
        (1, 5, START + 5 * DAY, END_OF_TIME),
        (2, 6, START, START + 2 * DAY),
        (3, 7, START, START + 2 * DAY),
        (3, 8, START + 2 * DAY, END_OF_TIME),
    ]
