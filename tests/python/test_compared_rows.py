"""Rows of two tables are matched by key, and what differs is told row by row and column by column."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from assay.diff.charts import draw_columns
from assay.diff.compare import ChangedColumn, ColumnType, RowDiff, Sample, Spread, compare_rows
from assay.diff.document import as_document
from assay.diff.review import Review
from assay.diff.tables import Pair, TableDiff, compare_pair, opened_sides
from assay.project.personal import Personal

NOBODY = Personal(frozenset())


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def compare(
    connection: duckdb.DuckDBPyConnection,
    before: str,
    after: str,
    *key: str,
    personal: Personal = NOBODY,
) -> RowDiff:
    """Compare the rows of two queries."""
    return compare_rows(connection, f"({before})", f"({after})", key, personal)


def rows(columns: str, *values: str) -> str:
    return f"select * from (values {', '.join(values)}) as t({columns})"


def counts(found: RowDiff) -> tuple[int, int, int]:
    return found.added, found.removed, found.changed


def test_rows_are_matched_by_key(connection: duckdb.DuckDBPyConnection) -> None:
    found = compare(
        connection,
        rows("k, a, b", "(1, 10, 'x')", "(2, 20, 'y')", "(3, null, 'z')", "(4, 40, 'w')"),
        rows("k, a, b", "(5, 50, 'v')", "(4, 40, 'w')", "(3, 30, 'z')", "(2, 21, 'yy')"),
        "k",
    )
    assert (found.rows_before, found.rows_after) == (4, 4)
    assert counts(found) == (1, 1, 2)
    assert (found.key, found.no_key) == (("k",), "")
    assert found.samples == [
        Sample("added", {"k": 5}, {"a": (None, 50), "b": (None, "v")}),
        Sample("removed", {"k": 1}, {"a": (10, None), "b": ("x", None)}),
        Sample("changed", {"k": 2}, {"a": (20, 21), "b": ("y", "yy")}),
        Sample("changed", {"k": 3}, {"a": (None, 30)}),
    ]
    assert found.changed_columns == [
        ChangedColumn("a", "INTEGER", 2, Spread(0.25, 10, 70 / 3, 40), Spread(0, 21, 35.25, 50)),
        ChangedColumn("b", "VARCHAR", 1, Spread(0), Spread(0)),
    ]


def test_a_key_of_several_columns_is_matched_as_a_whole(connection: duckdb.DuckDBPyConnection) -> None:
    before = rows("k, l, a", "(1, 1, 'x')", "(1, 2, 'y')")
    found = compare(connection, before, rows("k, l, a", "(1, 1, 'x')", "(2, 2, 'y')"), "k", "l")
    assert counts(found) == (1, 1, 0)
    assert [each.key for each in found.samples] == [{"k": 2, "l": 2}, {"k": 1, "l": 2}]


def test_the_first_rows_by_key_are_shown(connection: duckdb.DuckDBPyConnection) -> None:
    found = compare(
        connection,
        "select 100 - range as k, 0 as a from range(50)",
        "select 100 - range as k, 1 as a from range(50)",
        "k",
    )
    assert found.changed == 50
    assert [each.key["k"] for each in found.samples] == [51, 52, 53, 54, 55]


def test_the_order_of_rows_and_the_run_that_wrote_them_say_nothing(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    before = rows("k, run_id, loaded_at", "(1, 'one', 1)", "(2, 'one', 1)")
    found = compare(connection, before, rows("k, run_id, loaded_at", "(2, 'two', 2)", "(1, 'two', 2)"), "k")
    assert not found.differs


@pytest.mark.parametrize(
    ("before", "after", "no_key"),
    [
        (("(1, 'x')", "(null, 'y')"), ("(1, 'x')", "(null, 'z')"), "its key (k) is NULL or not unique"),
        (("(1, 'x')", "(2, 'y')"), ("(1, 'x')", "(null, 'z')"), "its key (k) is NULL or not unique"),
        (("(1, 'x')", "(1, 'y')"), ("(1, 'x')", "(2, 'z')"), "its key (k) is NULL or not unique"),
        (("(1, 'x')", "(2, 'y')"), ("('1', 'x')", "('2', 'z')"), "its key k is not the same column"),
    ],
)
def test_without_a_sound_key_rows_are_compared_as_a_whole(
    connection: duckdb.DuckDBPyConnection, before: tuple[str, ...], after: tuple[str, ...], no_key: str
) -> None:
    found = compare(connection, rows("k, a", *before), rows("k, a", *after), "k")
    assert no_key in found.no_key
    assert (found.key, counts(found)) == ((), (1, 1, 0))
    assert [each.kind for each in found.samples] == ["added", "removed"]
    assert [each.values["a"] for each in found.samples] == [(None, "z"), ("y", None)]


def test_a_key_that_is_null_in_part_is_none(connection: duckdb.DuckDBPyConnection) -> None:
    before = rows("k, l, a", "(1, 1, 'x')", "(1, null, 'y')")
    found = compare(connection, before, rows("k, l, a", "(1, 1, 'x')", "(1, null, 'z')"), "k", "l")
    assert found.no_key == "its key (k, l) is NULL or not unique"
    assert counts(found) == (1, 1, 0)


def test_rows_that_stand_more_than_once_are_counted(connection: duckdb.DuckDBPyConnection) -> None:
    found = compare(connection, rows("a", "(1)", "(1)", "(1)", "(2)"), rows("a", "(1)", *["(2)"] * 4))
    assert counts(found) == (3, 2, 0)
    assert found.no_key == "the table declares no key"


def test_a_key_that_went_is_told(connection: duckdb.DuckDBPyConnection) -> None:
    found = compare(connection, rows("k, a", "(1, 1)"), rows("j, a", "(1, 2)"), "k")
    assert found.no_key == "its key k is not the same column on both sides"
    assert found.columns == [ColumnType("k", "INTEGER", None), ColumnType("j", None, "INTEGER")]


def test_a_key_of_wider_whole_numbers_is_the_same_key(connection: duckdb.DuckDBPyConnection) -> None:
    found = compare(
        connection, "select 1 as k, 'x' as a", "select 1::bigint as k, 'y' as a union all select 2, 'z'", "k"
    )
    assert (found.no_key, counts(found)) == ("", (1, 0, 1))
    assert found.columns == [ColumnType("k", "INTEGER", "BIGINT")]


@pytest.mark.parametrize("key", [["k"], []])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("1::integer", "1::bigint"),
        ("1.5::decimal(4, 2)", "1.5::double"),
        ("1::integer", "'1'"),
        ("date '2025-01-01'", "'2025-01-01'"),
    ],
)
def test_a_column_of_another_type_and_the_same_values_changes_no_row(
    connection: duckdb.DuckDBPyConnection, before: str, after: str, key: list[str]
) -> None:
    found = compare(connection, f"select 1 as k, {before} as a", f"select 1 as k, {after} as a", *key)
    assert (counts(found), found.changed_columns, len(found.columns)) == (
        (0, 0, 0),
        (() if not key else []),
        1,
    )
    assert found.differs


@pytest.mark.parametrize("key", [["k"], []])
def test_values_of_another_type_that_differ_as_text_differ(
    connection: duckdb.DuckDBPyConnection, key: list[str]
) -> None:
    found = compare(connection, "select 1 as k, 1 as a", "select 1 as k, 'one' as a", *key)
    assert counts(found) == ((0, 0, 1) if key else (1, 1, 0))


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("1e9", "1e9 + 0.5", 0),
        ("1e9", "1e9 + 2", 1),
        ("0", "1e-300", 1),
        ("1", "null", 1),
        ("null", "null", 0),
        ("'nan'", "'nan'", 0),
        ("1", "'nan'", 1),
        ("'inf'", "1", 1),
        ("'inf'", "'inf'", 0),
        ("'-inf'", "'inf'", 1),
    ],
)
def test_doubles_are_the_same_within_a_billionth(
    connection: duckdb.DuckDBPyConnection, before: str, after: str, changed: int
) -> None:
    sides = [f"select 1 as k, ({each})::double as a" for each in (before, after)]
    assert compare(connection, *sides, "k").changed == changed


def test_lists_of_numbers_are_compared_and_are_no_numbers(connection: duckdb.DuckDBPyConnection) -> None:
    found = compare(
        connection,
        rows("k, a", "(1, [1.5::decimal(4, 2)])", "(2, [2.5])"),
        rows("k, a", "(1, [1.5::decimal(4, 2)])", "(2, [2.6])"),
        "k",
    )
    assert counts(found) == (0, 0, 1)
    assert found.changed_columns == [ChangedColumn("a", "DECIMAL(4,2)[]", 1, Spread(0), Spread(0))]


def test_of_a_changed_row_only_columns_that_differ_are_shown(connection: duckdb.DuckDBPyConnection) -> None:
    columns = "select {0} as k, {0} as a, {1}::double as near, {2}::double as nan, {3} as retyped"
    found = compare(
        connection,
        " union all ".join([columns.format(1, 1, "'nan'", 1), columns.format(2, 1, 1, 1)]),
        " union all ".join(
            [columns.format(1, "1 + 1e-12", "'nan'", "'1'"), columns.format(2, 2, 2, "'2'")]
        ).replace("1 as a", "5 as a"),
        "k",
    )
    assert [(each.key["k"], list(each.values)) for each in found.samples] == [
        (1, ["a"]),
        (2, ["near", "nan", "retyped"]),
    ]


def test_json_can_hold_whatever_a_column_holds(connection: duckdb.DuckDBPyConnection) -> None:
    columns = "'nan'::double as n, map {date '2025-01-01': 'inf'::double} as m, 'ab'::blob as b"
    found = compare(
        connection, "select 1 as k, 0::double as n, null as m, null as b", f"select 1 as k, {columns}", "k"
    )
    pair = Pair("gold.t", "t", None, None)
    document = as_document(Review("old", "new", tables=[TableDiff(pair, "changed", found, None, None)]))
    text = json.dumps(document, allow_nan=False)
    assert '"2025-01-01": "inf"' in text


# --- personal data ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [["card"], ["k"], []])
def test_personal_data_is_masked_in_keys_and_values(
    connection: duckdb.DuckDBPyConnection, key: list[str]
) -> None:
    personal = Personal(frozenset({"card", "age"}))
    columns = "k, card, age, a"
    found = compare(
        connection,
        rows(columns, "(1, '4000661710000181', 71, 1)", "(2, '4000661710000182', 72, 1)"),
        rows(columns, "(2, '4000661710000182', 73, 2)", "(3, '4000661710000183', 74, 1)"),
        *key,
        personal=personal,
    )
    assert len(found.samples) == (3 if key else 4)
    shown = repr(found.samples)
    assert "****0183" in shown
    assert "40006617" not in shown
    assert not any(str(age) in shown for age in (71, 72, 73, 74))
    for column in found.changed_columns:
        assert (column.before is None) == (column.name == "age")


def test_a_landed_line_is_masked_by_what_stands_beside_it(connection: duckdb.DuckDBPyConnection) -> None:
    """Its own column alone has changed."""
    found = compare(
        connection,
        rows("k, malformed_line, card", "(1, '7;4000661710000181', 'x')"),
        rows("k, malformed_line, card", "(1, '8;4000661710000182', 'x')"),
        "k",
        personal=Personal(frozenset({"card"})),
    )
    assert [list(each.values) for each in found.samples] == [["malformed_line"]]
    assert "40006617" not in repr(found.samples)


def test_no_chart_shows_a_personal_column(tmp_path: Path) -> None:
    files = {}
    for name, add in (("before", 0), ("after", 5)):
        files[name] = tmp_path / f"{name}.duckdb"
        with duckdb.connect(str(files[name])) as connection:
            connection.execute(
                "create table t as select range as k, range + $1 as age, range + $1 as a from range(40)",
                [add],
            )
    pair = Pair("main.t", "t", ("before", "main", "t"), ("after", "main", "t"), ["k"])
    personal = Personal(frozenset({"age"}))
    with opened_sides(files, tmp_path) as connection:
        table = compare_pair(connection, pair, personal)
        assert table.rows
        assert [each.name for each in table.rows.changed_columns] == ["age", "a"]
        drawn = draw_columns(connection, [table], personal)
    assert [chart.title for chart in drawn["main.t"]] == ["a"]


# --- pairs of tables ----------------------------------------------------------------------------------------


def test_the_key_that_the_file_enforces_is_used_where_none_is_declared(tmp_path: Path) -> None:
    files = {}
    for name, value in (("before", 1), ("after", 2)):
        files[name] = tmp_path / f"{name}.duckdb"
        with duckdb.connect(str(files[name])) as connection:
            connection.execute("create table t (k integer primary key, a integer)")
            connection.execute("insert into t values (7, $1)", [value])
    pair = Pair("main.t", "t", ("before", "main", "t"), ("after", "main", "t"))
    with opened_sides(files, tmp_path) as connection:
        found = compare_pair(connection, pair, NOBODY)
        assert found.rows
        assert (found.status, found.rows.key, found.rows.changed) == ("changed", ["k"], 1)
        gone = compare_pair(connection, replace(pair, after=None), NOBODY)
        new = compare_pair(connection, replace(pair, before=None), NOBODY)
        missing = compare_pair(connection, replace(pair, after=("after", "main", "nothing")), NOBODY)
    assert gone.rows
    assert (gone.status, gone.rows.removed, gone.after) == ("removed", 1, None)
    assert new.rows
    assert (new.status, new.rows.added, new.before) == ("added", 1, None)
    assert (missing.status, missing.rows) == ("not compared", None)
    assert "nothing" in missing.why_not
