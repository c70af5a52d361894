"""The report says what experiments have shown, draws their intervals, and names what needs a person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from assay.report.blocks import Charts, Group, Section, Table
from assay.report.sections.experiments import experiments_section
from assay.report.tables import Absent, Tables

_TABLE = """
create table mon_experiments (
    experiment_name varchar, metric_name varchar, arm varchar, looked_on date, metric_type varchar,
    is_control boolean, unit_count bigint, estimate double, difference double, adjusted_difference double,
    relative_difference double, lower_bound double, upper_bound double, corrected_p_value double,
    verdict varchar, problem varchar
)
"""


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(_TABLE)
        yield connection


def add(connection: Any, day: int, **changed: Any) -> None:
    row = {
        "experiment_name": "delivery",
        "metric_name": "orders",
        "arm": "free",
        "looked_on": f"2025-06-{day:02}",
        "metric_type": "mean",
        "is_control": False,
        "unit_count": 100 * day,
        "estimate": 2.5,
        "difference": 0.5,
        "relative_difference": 0.25,
        "lower_bound": 0.5 - 1 / day,
        "upper_bound": 0.5 + 1 / day,
        "corrected_p_value": 0.01,
        "verdict": "undecided",
    } | changed
    names, values = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"insert into mon_experiments ({names}) values ({values})", list(row.values()))


def section(connection: Any) -> Section:
    return experiments_section(Tables(connection, "memory"))


def parts(found: Section) -> tuple[list[Any], Table]:
    [group] = found.blocks
    assert isinstance(group, Group)
    charts = [chart for block in group.blocks if isinstance(block, Charts) for chart in block.charts]
    [table] = [block for block in group.blocks if isinstance(block, Table)]
    return charts, table


def test_what_was_decided_is_told_with_its_interval(connection: duckdb.DuckDBPyConnection) -> None:
    for day in range(1, 11):
        add(connection, day, verdict="higher" if day > 8 else "undecided", adjusted_difference=0.4)
        add(
            connection,
            day,
            arm="control",
            is_control=True,
            verdict="control",
            difference=None,
            lower_bound=None,
        )
    found = section(connection)
    assert found.lead == "1 experiment; orders is higher with delivery's free."
    assert found.needs == []
    assert [group.tone for group in found.blocks if isinstance(group, Group)] == ["none"]
    [chart], table = parts(found)
    assert chart.words == (
        "The difference of orders between free and the control, look by look; at the last it is 0.4, "
        "interval 0.4 to 0.6: higher."
    )
    # A mark for each look whose interval is at most six times as wide as the last.
    days = re.findall(r"<title>(2025-06-\d\d): 0.4 \(", chart.svg)
    assert days == [f"2025-06-{day:02}" for day in range(2, 11)]
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["orders", "control", "1,000", "2.5", "\N{EN DASH}", "\N{EN DASH}", "0.01", "control"],
        ["orders", "free", "1,000", "2.5", "0.4", "0.4 to 0.6", "0.01", "higher"],
    ]


def test_many_looks_are_drawn_thinned_out_with_the_last(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "insert into mon_experiments select 'delivery', 'orders', 'free', date '2024-01-01' + i::integer, "
        "'mean', false, i, 1, 0.5, null, null, 0, 1, 0.5, 'undecided', null from range(301) as t(i)"
    )
    [chart], _ = parts(section(connection))
    days = re.findall(r"<title>(\d{4}-\d\d-\d\d): ", chart.svg)
    assert len(days) <= 60
    assert days[-1] == "2024-10-27"


def test_what_needs_a_person_is_told_once(connection: duckdb.DuckDBPyConnection) -> None:
    for metric in ("orders", "buyers"):
        add(
            connection,
            3,
            metric_name=metric,
            verdict="sample ratio mismatch",
            problem="arms are not as they should be",
        )
    none = {"lower_bound": None, "upper_bound": None, "difference": None, "estimate": None}
    add(
        connection, 1, experiment_name="returns", verdict="no exposures", problem="nobody was exposed", **none
    )
    add(connection, 1, experiment_name="later", verdict="waiting", problem="wait", **none)
    found = section(connection)
    assert found.lead == "3 experiments; nothing is decided yet."
    assert [(need.tone, need.text) for need in found.needs] == [
        ("bad", "delivery: arms are not as they should be."),
        ("watch", "returns: nobody was exposed."),
    ]


def test_without_experiments_the_section_is_absent(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(Absent, match=r"experiments\.yml declares no experiment"):
        section(connection)
