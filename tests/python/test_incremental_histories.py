"""Histories that grow are what a full refresh makes of the same input, whatever arrived, changed or went."""

from __future__ import annotations

import random
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from package_project import PackageProject, make_package_project

pytestmark = [pytest.mark.minutes, pytest.mark.usefixtures("builds")]

# Times before and after 1970, where they change their sign.
START = datetime(1969, 12, 31)
COLUMNS = (
    "run int, machine varchar, line varchar, ended_at timestamp, reported_at timestamp, "
    "amount decimal(18, 2), tool varchar, is_gone boolean"
)
WINDOWED = """
{{{{ config(materialized='{materialized}') }}}}
{{{{ assay.windowed_history(source('plant', 'runs'), ['machine', 'line'], 'ended_at', 'reported_at', {{
    'run': ['count'],
    'amount': ['count', 'sum', 'avg', 'min', 'max', 'stddev', 'last', 'first'],
    'tool': ['distinct_count', 'mode'],
}}, {windows}, where='not is_gone') }}}}
"""
CHANGES = """
{{{{ config(materialized='{materialized}') }}}}
{{{{ assay.change_history(
    source('plant', 'runs'), ['machine'], 'reported_at', ['tool', 'line'], is_deleted='is_gone'
) }}}}
"""
HISTORIES = {
    "bounded": WINDOWED.replace("{windows}", "['1h', '1d']"),
    "unbounded": WINDOWED.replace("{windows}", "['1d', 'all']"),
    "changes": CHANGES,
}
Run = tuple[Any, ...]


def some_runs(chance: random.Random, first: int, count: int, day: int) -> list[Run]:
    """Runs at whole minutes of about one day; some are reported days late."""
    found = []
    for number in range(first, first + count):
        ended_at = START + timedelta(days=day, minutes=chance.randrange(1440))
        delay = timedelta(minutes=chance.choice([1, 1, 1, 60, 90, 1440, 5000]))
        found.append(
            (
                number,
                chance.choice([None, "a", "b", "c", "d"]),
                chance.choice(["north", "south"]),
                ended_at,
                ended_at + delay,
                chance.choice([None, "1", "2", "3.50", "-4"]),
                chance.choice([None, "drill", "lathe", "saw"]),
                chance.random() < 0.1,
            )
        )
    return found


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> PackageProject:
    """The histories, and what dbt has parsed of them, to copy."""
    project = make_package_project(tmp_path_factory.mktemp("histories") / "project")
    for path in (project.root / "models").glob("*.sql"):
        path.unlink()
    for name, sql in HISTORIES.items():
        project.write_model(f"{name}_grown", sql.format(materialized="history"))
        project.write_model(f"{name}_whole", sql.format(materialized="table"))
    assert project.dbt("parse").returncode == 0
    return project


@pytest.fixture
def project(parsed: PackageProject, tmp_path: Path) -> PackageProject:
    return PackageProject(Path(shutil.copytree(parsed.root, tmp_path / "project")))


def change(project: PackageProject, sql: str, rows: list[Run] | None = None) -> None:
    with duckdb.connect(project.path) as connection:
        connection.execute(sql) if rows is None else connection.executemany(sql, rows)


def assert_grown_as_whole(project: PackageProject) -> None:
    for name in HISTORIES:
        difference = project.rows(
            f"(from {name}_grown except all from {name}_whole) "
            f"union all (from {name}_whole except all from {name}_grown)"
        )
        assert difference == [], name
        assert project.rows(f"select count(*) as rows from {name}_grown")[0]["rows"] > 0


def row_ids(project: PackageProject, name: str, machine: str) -> dict[int, Any]:
    """The rows of a machine by the place they lie at, which changes when they are written again."""
    rows = project.rows(f"select rowid as place, * from {name}_grown where machine = '{machine}'")
    return {row.pop("place"): row for row in rows}


def test_ten_increments_equal_one_full_refresh(project: PackageProject) -> None:
    chance = random.Random(5)
    insert = "insert into runs values (?, ?, ?, ?, ?, ?, ?, ?)"
    project.create("runs", COLUMNS, some_runs(chance, 0, 60, 0))
    project.build()
    assert_grown_as_whole(project)
    steps: list[tuple[str, list[Run] | None]] = [
        (insert, some_runs(chance, 100, 30, 1)),
        (insert, some_runs(chance, 200, 30, 2)),
        (insert, some_runs(chance, 300, 10, 0)),
        ("delete from runs where run in (3, 110, 210, 215)", None),
        ("update runs set amount = 7, tool = 'file' where run in (5, 205)", None),
        (insert, some_runs(chance, 400, 40, 3)),
        ("delete from runs where machine = 'd'", None),
        ("update runs set reported_at = reported_at + interval 2 days where run = 410", None),
        (insert, [(500, "e", "north", START, START + timedelta(minutes=3), "5", "drill", False)]),
        ("select 1", None),
    ]
    for sql, rows in steps:
        change(project, sql, rows)
        project.build()
        assert_grown_as_whole(project)


def test_an_increment_writes_what_it_concerns_alone(project: PackageProject) -> None:
    early, late = START + timedelta(days=1), START + timedelta(days=40)
    runs = [
        (number, machine, "north", day, day + timedelta(minutes=1), "5", tool, False)
        for number, machine in enumerate("ab")
        for day, tool in ((early, "saw"), (late, "drill"))
    ]
    project.create("runs", COLUMNS, runs)
    project.build()
    before = {name: (row_ids(project, name, "a"), row_ids(project, name, "b")) for name in HISTORIES}
    day = late + timedelta(days=9)
    insert = "insert into runs values (?, ?, ?, ?, ?, ?, ?, ?)"
    change(project, insert, [(9, "b", "north", day, day + timedelta(minutes=1), "6", "file", False)])
    project.build()
    assert_grown_as_whole(project)
    for name, (of_a, of_b) in before.items():
        assert row_ids(project, name, "a") == of_a
        now = row_ids(project, name, "b")
        kept = [row for place, row in of_b.items() if now.get(place) == row]
        assert 0 < len(kept) < len(now), name


def test_an_input_that_tells_when_rows_were_added_is_read_whole_only_if_others_changed(
    project: PackageProject,
) -> None:
    (project.root / "models" / "_models__sources.yml").write_text(
        "sources: [{name: plant, schema: main, tables: [{name: runs, config: {meta: {appended_at: run}}}]}]"
    )
    for name in ("unbounded", "changes"):
        for suffix in ("grown", "whole"):
            (project.root / "models" / f"{name}_{suffix}.sql").unlink()
    project.create("runs", COLUMNS, some_runs(random.Random(7), 0, 40, 30))
    difference = (
        "(from bounded_grown except all from bounded_whole) union all "
        "(from bounded_whole except all from bounded_grown)"
    )
    project.build()
    # A row changes without a word: it is not looked for while one is told of that was available long ago.
    of_machine = "run = (select min(run) from runs where not is_gone and machine = '{}')"
    change(project, "update runs set amount = 1000 where " + of_machine.format("a"))
    then = f"timestamp '{START}'"
    old = f"select 100, 'b', 'north', {then}, {then} + interval 1 hour, 5, 'saw', false"
    change(project, f"insert into runs {old}")
    project.build()
    assert {row["machine"] for row in project.rows(difference)} == {"a"}
    assert project.rows(f"from bounded_grown where machine = 'b' and valid_from < {then} + interval 2 days")
    # All rows are compared where one went, or changed and says so.
    change(project, "delete from runs where " + of_machine.format("c"))
    project.build()
    assert project.rows(difference) == []
    change(project, "update runs set amount = 2000, run = 101 where run = 100")
    project.build()
    assert project.rows(difference) == []


def test_a_changed_definition_is_built_anew(project: PackageProject) -> None:
    project.create("runs", COLUMNS, some_runs(random.Random(2), 0, 20, 0))
    project.build()
    for suffix, materialized in (("grown", "history"), ("whole", "table")):
        sql = HISTORIES["bounded"].format(materialized=materialized)
        project.write_model(f"bounded_{suffix}", sql.replace("'1d'", "'2d'"))
    project.build()
    assert_grown_as_whole(project)


def test_a_run_that_fails_leaves_all_as_it_was(project: PackageProject) -> None:
    chance = random.Random(3)
    project.create("runs", COLUMNS, some_runs(chance, 0, 20, 0))
    project.build()
    before = {name: project.rows(f"from {name}_grown order by all") for name in HISTORIES}
    change(project, "insert into runs values (?, ?, ?, ?, ?, ?, ?, ?)", some_runs(chance, 100, 20, 1))
    for name in HISTORIES:
        sql = HISTORIES[name].format(materialized="history")
        hook = """post_hook="select error('pulled the plug')", materialized"""
        project.write_model(f"{name}_grown", sql.replace("materialized", hook, 1))
    failed = project.dbt("build")
    assert failed.stdout.count("pulled the plug") >= len(HISTORIES)
    assert {name: project.rows(f"from {name}_grown order by all") for name in HISTORIES} == before
    for name, sql in HISTORIES.items():
        project.write_model(f"{name}_grown", sql.format(materialized="history"))
    project.build()
    assert_grown_as_whole(project)


def test_more_than_one_call_is_refused(project: PackageProject) -> None:
    project.create("runs", COLUMNS, [])
    path = project.root / "models" / "bounded_grown.sql"
    path.write_text(path.read_text() + " limit 3")
    failed = project.dbt("build", "--select", "bounded_grown")
    assert failed.returncode == 1
    assert "bounded_grown: materialized as history, it must be one call of" in failed.stdout


@pytest.mark.parametrize("reported_at", ["null", "'infinity'"])
def test_a_row_that_never_becomes_available_is_refused(project: PackageProject, reported_at: str) -> None:
    project.create("runs", COLUMNS, [(1, "a", "north", START, START, "5", "saw", False)])
    change(project, f"update runs set reported_at = {reported_at}")
    run = project.dbt("run", "--select", "changes_grown")
    assert run.returncode != 0
    assert "changes_grown: a row of " in run.stdout
    assert "has no available_at, or one without end" in run.stdout
