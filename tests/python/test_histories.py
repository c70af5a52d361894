"""Histories are what the rule of time says, in a project that has Assay as a package."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from brute_force import Event, State, history
from package_project import PackageProject, Row, make_package_project
from side_packages import OTHER_DUCKDBS, assert_same_tables, environment_with_duckdb

pytestmark = pytest.mark.usefixtures("builds")

START = datetime(2025, 1, 1)
END_OF_TIME = datetime(9999, 12, 31)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WINDOWS = {"1h": HOUR, "1d": DAY, "all": None}
LOAD = {
    f"{name}_{how}_{window}": (source, how, length)
    for name, source, hows, windows in [
        ("run", "*", ["count"], WINDOWS),
        ("amount", "amount", ["count", "sum", "avg", "min", "max", "stddev", "last", "first"], WINDOWS),
        ("tool", "tool", ["distinct_count", "mode"], WINDOWS),
        ("late", "amount", ["max", "sum"], {"1d": DAY}),
        ("positive", "positive", ["count", "sum"], WINDOWS),
    ]
    for how in hows
    for window, length in windows.items()
}

Run = tuple[int, str | None, datetime, datetime, Decimal | None, str | None, bool]


def random_runs(scenarios: int) -> list[Run]:
    """Runs of machines at whole minutes, so that arrivals and departures coincide; many of them late."""
    chance = random.Random(1)
    runs: list[Run] = []
    for scenario in range(scenarios):
        for _ in range(chance.choice([1, 5, 60, 200])):
            ended_at = START + timedelta(minutes=chance.randrange(4000))
            delay = timedelta(minutes=chance.choice([1, 1, 1, 30, 60, 90, 1440, 3000]))
            amount = chance.choice([None, "1", "2", "3.50", "-4", "2"])
            runs.append(
                (
                    scenario,
                    chance.choice([None, "a", "b", "c"]),
                    ended_at,
                    ended_at + delay,
                    None if amount is None else Decimal(amount),
                    chance.choice([None, "drill", "lathe", "saw"]),
                    chance.random() < 0.05,
                )
            )
    return runs


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return random_runs(12)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, runs: list[Run]) -> PackageProject:
    project = make_package_project(tmp_path_factory.mktemp("package") / "project")
    project.create(
        "runs",
        "scenario int, machine varchar, ended_at timestamp, reported_at timestamp, "
        "amount decimal(18, 2), tool varchar, is_test boolean",
        list(runs),
    )
    day = [START + DAY * number for number in range(12)]
    project.create(
        "changes",
        "machine varchar, known_at timestamp, owner varchar, place varchar, is_gone boolean",
        [
            ("a", day[1], "us", "hall", False),
            ("a", day[3], "us", "hall", False),
            ("a", day[4], "us", "hall", False),
            ("a", day[8], "them", None, False),
            ("b", day[1], "us", "hall", False),
            ("b", day[2], "us", "hall", True),
            ("b", day[5], "us", "hall", False),
            ("c", day[1], "us", "hall", False),
            ("c", day[1], "us", "yard", False),
            (None, day[1], "us", "hall", False),
        ],
    )
    project.create(
        "questions",
        "question int, scenario int, machine varchar, asked_at timestamp",
        [
            (1, 0, "a", day[1] - timedelta(microseconds=1)),
            (2, 0, "a", day[1]),
            (3, 0, "a", day[3]),
            (4, 0, "a", day[3] - timedelta(microseconds=1)),
            (5, 0, "a", day[6]),
            (6, 0, "a", day[6] + timedelta(microseconds=1)),
            (7, 0, "b", day[2] - timedelta(microseconds=1)),
            (8, 0, "b", day[2]),
            (9, 0, None, day[2]),
            (10, 0, "a", None),
            (11, 0, "a", day[4]),
            (11, 0, "a", day[4]),
            (12, 0, "nobody", day[4]),
            (13, 0, "a", datetime(2999, 1, 1)),
        ],
    )
    later = "asked_at + interval '400 milliseconds' as asked_at"
    project.write_model(
        "later_questions", f"select question, machine, {later} from {{{{ source('plant', 'questions') }}}}"
    )
    for name, spine, age in (
        ("at_once", "source('plant', 'questions')", "0s"),
        ("too_late", "ref('later_questions')", "0s"),
        ("soon", "ref('later_questions')", "500ms"),
    ):
        owners = "{'relation': ref('machine_owners'), 'entity_keys': ['machine'], 'columns': ['owner'], "
        ages = f"'confirmed_at': true, 'max_age': '{age}'}}"
        project.write_model(
            f"asked_{name}", f"{{{{ assay.point_in_time_join({spine}, 'asked_at', [{owners}{ages}]) }}}}"
        )
    project.build()
    return project


def by_entity(runs: list[Run], *, with_tests: bool) -> dict[tuple[int, str], list[Event]]:
    events: dict[tuple[int, str], list[Event]] = defaultdict(list)
    for scenario, machine, ended_at, reported_at, amount, tool, is_test in runs:
        if machine is not None and (with_tests or not is_test):
            positive = amount if amount is not None and amount > 0 else None
            values = {"amount": amount, "tool": tool, "positive": positive}
            events[scenario, machine].append(Event(ended_at, reported_at, values))
    return events


def agree(value: Any, expected: Any) -> bool:
    if isinstance(expected, float):
        return value is not None and abs(value - expected) < 1e-9
    return bool(value == expected)


def assert_history(rows: list[Row], states: list[State]) -> None:
    assert [row["valid_from"] for row in rows] == [state.valid_from for state in states]
    ends = [state.valid_from for state in states[1:]] + [END_OF_TIME]
    assert [row["valid_to"] for row in rows] == ends
    for row, state in zip(rows, states, strict=True):
        assert {c: row[c] for c, v in state.values.items() if not agree(row[c], v)} == {}, state
        assert row["updated_at"] == state.arrivals[-1]
        assert row["confirmed_at"] == (state.arrivals if len(state.arrivals) > 1 else None)


def test_windowed_history_is_what_was_known_at_every_instant(
    project: PackageProject, runs: list[Run]
) -> None:
    rows: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in project.rows("from machine_load order by scenario, machine, valid_from"):
        rows[row["scenario"], row["machine"]].append(row)
    events = by_entity(runs, with_tests=False)
    assert rows.keys() == events.keys()
    for entity, expected in events.items():
        assert_history(rows[entity], history(expected, LOAD))


def test_arrivals_that_change_nothing_open_no_row(project: PackageProject, runs: list[Run]) -> None:
    columns = {"amount_max_1d": ("amount", "max", DAY)}
    events = by_entity(runs, with_tests=True)
    rows = project.rows("from machine_peaks order by scenario, machine, valid_from")
    assert any(row["confirmed_at"] for row in rows)
    for entity, expected in events.items():
        own = [row for row in rows if (row["scenario"], row["machine"]) == entity]
        assert_history(own, history(expected, columns))


def test_ages_may_be_of_no_length_or_of_parts_of_a_second(project: PackageProject) -> None:
    found = {
        name: [
            row["question"]
            for row in project.rows(f"from asked_{name} where owner is not null order by question")
        ]
        for name in ("at_once", "too_late", "soon")
    }
    assert found == {"at_once": [2, 3, 11, 11], "too_late": [], "soon": [1, 2, 3, 4, 11, 11]}


def test_change_history_has_a_row_for_each_state(project: PackageProject) -> None:
    day = [START + DAY * number for number in range(12)]
    rows = project.rows("from machine_owners order by machine, valid_from")
    assert [tuple(row.values()) for row in rows] == [
        ("a", "us", "hall", day[1], day[8], day[4], [day[1], day[3], day[4]]),
        ("a", "them", None, day[8], END_OF_TIME, day[8], None),
        ("b", "us", "hall", day[1], day[2], day[1], None),
        ("b", "us", "hall", day[5], END_OF_TIME, day[5], None),
        ("c", "us", "yard", day[1], END_OF_TIME, day[1], None),
    ]


def test_point_in_time_join_answers_each_question_once(project: PackageProject) -> None:
    rows = project.rows("select question, owner, place, is_ours from answers order by question")
    known, absent = ("us", "hall", True), (None, "nowhere", None)
    assert [tuple(row.values()) for row in rows] == [
        (1, *absent),  # before anything was known
        (2, *known),  # valid_from is inclusive
        (3, *known),
        (4, *known),  # two days old, less a moment: the confirmation to come is not known yet
        (5, *known),  # exactly two days after the last confirmation
        (6, *absent),  # older
        (7, *known),
        (8, *absent),  # valid_to is exclusive: the machine is gone
        (9, *absent),
        (10, *absent),
        (11, *known),
        (11, *known),  # the same question twice is two rows
        (12, *absent),
        (13, *absent),
    ]


def test_features_joined_are_those_known_then(project: PackageProject, runs: list[Run]) -> None:
    rows = project.rows(
        "select machine, asked_at, load_run_count_1h, load_amount_sum_all from answers "
        "where machine in ('a', 'b') and asked_at is not null"
    )
    events = by_entity(runs, with_tests=False)
    columns = {column: LOAD[column] for column in ("run_count_1h", "amount_sum_all")}
    for row in rows:
        states = history(events[0, row["machine"]], columns) if (0, row["machine"]) in events else []
        past = [state.values for state in states if state.valid_from <= row["asked_at"]]
        expected = past[-1] if past else dict.fromkeys(columns)
        assert {column: row[f"load_{column}"] for column in columns} == expected


def test_long_runs_of_the_same_values_are_one_row_each(tmp_path: Path) -> None:
    """Runs of all lengths, over many of the chunks that DuckDB works in."""
    trial = make_package_project(tmp_path / "trial", models=False)
    with duckdb.connect(trial.path) as connection:
        connection.execute(
            """
            create table runs as
            select
                'm' || number // 1000 as machine,
                timestamp '2025-01-01' + to_seconds(number::int) as ended_at,
                if(hash(number) % 100 = 0, number, 0) as amount
            from range(200_000) as numbers (number)
            """
        )
    trial.write_model(
        "states",
        "{{ assay.change_history(source('plant', 'runs'), ['machine'], 'ended_at', ['amount']) }}",
    )
    trial.build()
    assert (
        trial.rows(
            """
        with changes as (
            select
                *,
                (amount is distinct from lag(amount) over (partition by machine order by ended_at))
                or row_number() over (partition by machine order by ended_at) = 1 as is_change
            from runs
        ),
        expected as (
            select
                machine,
                min(ended_at) as valid_from,
                max(ended_at) as updated_at,
                any_value(amount) as amount
            from (
                select *, count(*) filter (is_change) over (partition by machine order by ended_at) as run
                from changes
            )
            group by machine, run
        ),
        found as (
            select machine, valid_from, updated_at, amount::int as amount from states
        )
        (from expected except all from found) union all (from found except all from expected)
        """
        )
        == []
    )
    [chained] = trial.rows(
        """
        select bool_and(valid_to = next_from) as has_no_gap, sum(coalesce(len(confirmed_at), 1)) as arrivals
        from (
            select *, lead(valid_from, 1, '9999-12-31') over (
                partition by machine order by valid_from
            ) as next_from
            from states
        )
        """
    )
    assert chained == {"has_no_gap": True, "arrivals": 200_000}


MISTAKES = [
    (
        "windowed_history('runs', ['machine'], 'e', 'a', {'amount': ['median']}, ['1h'])",
        "allowed are count",
    ),
    (
        "windowed_history('runs', ['machine'], 'e', 'a', {'amount': ['sum']}, ['1y'])",
        "the window 1y is unknown",
    ),
    (
        "windowed_history('runs', ['machine'], 'e', 'a', {'amount': ['sum']}, ['1h', '1h'])",
        "each stand once",
    ),
    ("windowed_history('runs', ['machine'], 'e', 'a', {}, ['1h'])", "there are no measures"),
    ("windowed_history('runs', ['machine'], 'e', 'a', {'amount': 'sum'}, ['1h'])", "needs a list"),
    (
        "windowed_history('runs', ['machine'], 'e', 'a', {'amount': {'aggregate': ['sum']}}, ['1h'])",
        "allowed are aggregates, expression, type and windows",
    ),
    (
        "change_history('runs', ['machine'], 'a', ['place', 'Place'])",
        "two columns would be called Place: the column (place), and the column",
    ),
    (
        "change_history('runs', ['machine'], 'a', ['Valid_To'])",
        "a history has a column Valid_To of its own",
    ),
    ("point_in_time_join('questions', 'asked_at', [])", "was given no features"),
    ("point_in_time_join('questions', 'asked_at', [{'relation': 'x'}])", "need a view, or a relation"),
    (
        "point_in_time_join('q', 'asked_at', [{'relation': 'x', 'entity_keys': ['k'], 'maxage': 1}])",
        "features[0] has maxage: allowed are view",
    ),
    (
        "point_in_time_join('q', 'at', 2 * [{'relation': 'x', 'entity_keys': ['k'], 'columns': ['c']}])",
        "two columns would be called c: the feature c of x, and the feature c of x; rename one",
    ),
]


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What dbt says of each model of a mistake; one run of all, for each run parses the project."""
    trial = make_package_project(tmp_path_factory.mktemp("mistakes") / "trial")
    for number, (call, _) in enumerate(MISTAKES):
        trial.write_model(f"mistaken_{number:02}", "{% if execute %}{{ assay." + call + " }}{% endif %}")
    run = trial.dbt("run", "--select", "mistaken_*")
    assert run.returncode != 0
    told = " ".join(run.stdout.split())
    return [
        " ".join(re.findall(rf"mistaken_{number:02}: (?:(?!mistaken_).)*", told))
        for number in range(len(MISTAKES))
    ]


@pytest.mark.parametrize("number", range(len(MISTAKES)), ids=[call for call, _ in MISTAKES])
def test_a_word_that_is_not_allowed_is_an_error_that_names_the_model(
    complaints: list[str], number: int
) -> None:
    assert MISTAKES[number][1] in complaints[number]


def test_an_event_without_a_time_is_an_error(tmp_path: Path) -> None:
    trial = make_package_project(tmp_path / "trial")
    columns = (
        "scenario int, machine varchar, ended_at timestamp, reported_at timestamp, amount decimal(18, 2)"
    )
    trial.create("runs", columns, [(1, "a", START, None, Decimal(1))])
    run = trial.dbt("run", "--select", "machine_peaks")
    assert run.returncode != 0
    assert "has no available_at, or one without end" in " ".join(run.stdout.split())


def test_a_history_made_in_parts_is_the_same(tmp_path: Path) -> None:
    """Where memory is short, entities are computed some after others."""
    trial = make_package_project(tmp_path / "trial", models=False)
    with duckdb.connect(trial.path) as connection:
        connection.execute(
            """
            create table runs as
            select
                'm' || hash(number) % 700 as machine,
                timestamp '2025-01-01' + to_seconds((hash(number, 1) % 1_000_000)::int) as ended_at,
                (hash(number, 2) % 1000)::decimal(18, 2) as amount
            from range(100_000) as numbers (number)
            """
        )
    call = (
        "assay.windowed_history(source('plant', 'runs'), ['machine'], 'ended_at', "
        "'ended_at + interval 1 second', {'amount': ['count', 'sum', 'max']}, ['1h', '1d'], "
        "where=\"amount < 900 or machine = 'm1'\")"
    )
    trial.write_model("whole", f"{{{{ config(materialized='table') }}}} {{{{ {call} }}}}")
    trial.write_model("parted", f"{{{{ config(materialized='history') }}}} {{{{ {call} }}}}")
    trial.build("--select", "whole")
    profile = trial.root / "profiles.yml"
    profile.write_text(profile.read_text().replace("threads: 2}", "threads: 2, memory_limit: 100MB}"))
    # The statements are in its log alone.
    trial.build("--select", "parted", "--log-level-file", "debug")
    run_parts = re.findall(r'hash\("machine"\) % (\d) = (\d)', (trial.root / "logs" / "dbt.log").read_text())
    assert {number for _, number in run_parts} == {str(number) for number in range(int(run_parts[0][0]))}
    assert len(set(run_parts)) > 1
    assert (
        trial.rows("(from whole except all from parted) union all (from parted except all from whole)") == []
    )
    assert trial.rows("select count(*) as rows from parted")[0]["rows"] > 100_000


def test_a_history_whose_ranges_overlap_is_refused_before_anything_joins_to_it(tmp_path: Path) -> None:
    cases = {
        "overlapping": ([("a", 0, 4), ("a", 3, 5)], "the next range begins before this one ends"),
        "empty": ([("a", 2, 2)], "the range is empty"),
        "inverted": ([("a", 3, 1)], "the range is empty"),
        "unbound": ([("a", 0, None)], "a bound is absent"),
        "sound": ([("a", 0, 3), ("a", 3, 5), ("b", 1, 4)], None),
    }
    trial = make_package_project(tmp_path / "trial", models=False)
    columns = "history varchar, machine varchar, valid_from timestamp, valid_to timestamp"
    rows = [
        (name, machine, START + start * DAY, None if end is None else START + end * DAY)
        for name, (ranges, _) in cases.items()
        for machine, start, end in ranges
    ]
    trial.create("changes", columns, rows)
    trial.create("questions", "machine varchar, asked_at timestamp", [("a", START + DAY)])
    tested = []
    for name in cases:
        trial.write_model(
            name, f"select * from {{{{ source('plant', 'changes') }}}} where history = '{name}'"
        )
        features = f"[{{'relation': ref('{name}'), 'entity_keys': ['machine'], 'columns': ['valid_to']}}]"
        trial.write_model(
            f"joined_to_{name}",
            f"{{{{ assay.point_in_time_join(source('plant', 'questions'), 'asked_at', {features}) }}}}",
        )
        test = {"name": f"{name}_holds_one_at_a_time", "arguments": {"entity_keys": ["machine"]}}
        tested.append({"name": name, "data_tests": [{"assay.ranges_do_not_overlap": test}]})
    (trial.root / "models" / "models.yml").write_text(json.dumps({"models": tested}))
    run = trial.dbt("build", "--store-failures")
    for name, (_, fault) in cases.items():
        if fault is None:
            assert len(trial.rows(f"from joined_to_{name}")) == 1
        else:
            assert re.search(rf"SKIP relation \S+joined_to_{name} ", run.stdout), run.stdout
            found = trial.rows(f"select fault from main_dbt_test__audit.{name}_holds_one_at_a_time")
            assert {row["fault"] for row in found} == {fault}


def test_sums_of_floating_point_numbers_are_refused(tmp_path: Path) -> None:
    trial = make_package_project(tmp_path / "trial")
    columns = "scenario int, machine varchar, ended_at timestamp, reported_at timestamp, amount double"
    trial.create("runs", columns, [(1, "a", START, START + HOUR, 0.5)])
    for model, aggregate in (("summed", "sum"), ("counted", "count")):
        trial.write_model(
            model,
            "{{ assay.windowed_history(source('plant', 'runs'), ['machine'], 'ended_at', 'reported_at', "
            f"{{'amount': ['{aggregate}']}}, ['1h']) }}}}",
        )
    assert trial.dbt("run", "--select", "counted").returncode == 0
    run = trial.dbt("run", "--select", "summed")
    assert run.returncode != 0
    assert "amount is a floating-point number" in " ".join(run.stdout.split())


@pytest.mark.parametrize("version", OTHER_DUCKDBS)
def test_a_package_user_may_have_another_duckdb(
    project: PackageProject, tmp_path: Path, version: str
) -> None:
    other = PackageProject(Path(shutil.copytree(project.root, tmp_path / "project")))
    build = other.dbt("build", environment=environment_with_duckdb(version))
    assert build.returncode == 0, build.stdout + build.stderr
    tables = ["machine_load", "machine_peaks", "machine_owners", "answers"]
    assert_same_tables(other.path, project.path, tables, version)
