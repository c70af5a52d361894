"""The end of a windowed history, made of few events, is what the whole history has."""

from __future__ import annotations

import random
import re
import shutil
from datetime import datetime, timedelta
from decimal import Decimal

import duckdb
import pytest
from package_project import make_package_project

pytestmark = pytest.mark.usefixtures("builds")

_TIMES = "source('plant', 'events'), {keys}, event_at='happened_at', available_at='known_at'"
_OF_ALL = "{'aggregates': ['count', 'sum', 'min', 'max', 'first', 'last'], 'type': 'decimal(18, 2)'}"
_OF_WINDOWS = "['count', 'sum', 'avg', 'min', 'max', 'stddev', 'first', 'last', 'mode', 'distinct_count']"
_EVENT = "measures={'event': ['count']"
CALLS = {
    "all_time": f"['card'], {_EVENT}, 'amount': {_OF_ALL}}}, windows=['1h', '1d', 'all']",
    "windows": f"['card'], {_EVENT}, 'amount': {_OF_WINDOWS}}}, windows=['1h', '1d']",
    "counts": f"['card', 'shop'], {_EVENT}}}, windows=['1h'], where='amount is not null'",
    "only_all": f"['card'], {_EVENT}, 'amount': ['last']}}, windows=['all']",
    "modes": "['card'], measures={'amount': ['mode']}, windows=['1h', 'all']",
}


@pytest.fixture(scope="module")
def queries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """The whole history and its end, by name."""
    root = tmp_path_factory.mktemp("recent") / "project"
    project = make_package_project(root, models=False)
    for name in ("models", "seeds", "snapshots", "analyses", "tests"):
        shutil.rmtree(root / "dbt_packages" / "assay" / name)
    (root / "models" / "_models__sources.yml").write_text(
        "sources: [{name: plant, schema: main, tables: [{name: events}]}]"
    )
    for name, arguments in CALLS.items():
        keys, rest = arguments.split("], ", 1)
        call = f"windowed_history({_TIMES.format(keys=f'{keys}]')}, {rest})"
        project.write_model(name, f"{{{{ assay.{call} }}}}")
        project.write_model(f"{name}__recent", f"-- {{{{ assay._recent_{call} }}}}")
    run = project.dbt("compile")
    assert run.returncode == 0, run.stdout + run.stderr
    compiled = root / "target" / "compiled" / "workshop" / "models"

    def read(name: str) -> str:
        return (compiled / f"{name}.sql").read_text().replace('"workshop"."main".', "")

    return {name: (read(name), read(f"{name}__recent").removeprefix("-- ")) for name in CALLS}


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    """Events of many cards at whole minutes, some of them late, and some that say what is known."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(
        "create table events (card int, shop varchar, happened_at timestamp, known_at timestamp, "
        "amount decimal(18, 2))"
    )
    chance = random.Random(1)
    rows = []
    for card in range(300):
        minutes = chance.choice([60, 1000, 5000])
        for _ in range(chance.choice([1, 2, 10, 60])):
            happened_at = datetime(2025, 1, 1) + timedelta(minutes=chance.randrange(minutes))
            delay = timedelta(minutes=chance.choice([*[0, 1, 1, 1] * 4, 60, 1440, 3000]))
            amount = chance.choice([None, Decimal(1), Decimal(2), Decimal("-3.5")])
            rows.append((card, chance.choice("ab"), happened_at, happened_at + delay, amount))
    connection.executemany("insert into events values (?, ?, ?, ?, ?)", rows)
    return connection


@pytest.mark.parametrize("name", ["all_time", "windows", "counts", "only_all"])
def test_the_end_of_a_history_is_that_of_the_whole(
    queries: dict[str, tuple[str, str]], connection: duckdb.DuckDBPyConnection, name: str
) -> None:
    keys = ", ".join(re.findall(r"'(\w+)'", CALLS[name].split("]")[0]))
    for table, sql in zip(("whole", "recent"), queries[name], strict=True):
        connection.execute(f"create or replace table {table} as {sql}")
        connection.execute(
            f"create or replace table {table}_ends as select {table}.* from {table} inner join "
            f"(select {keys}, max(known_at) as last_at from events group by all) using ({keys}) "
            "where valid_to > last_at"
        )
    types = [connection.execute(f"describe {table}").fetchall() for table in ("whole", "recent")]
    assert types[0] == types[1]
    over = connection.execute(
        f"select * from recent inner join (select {keys}, "
        "max(coalesce(list_last(confirmed_at), updated_at)) as arrived_at from recent group by all) "
        f"using ({keys}) where valid_to <= arrived_at order by all"
    ).fetchall()
    assert over == []
    # Whose last arrival opened no row is computed of the whole history.
    connection.execute(
        f"create or replace table uncertain as select {keys} from recent group by {keys} "
        "having max(list_last(confirmed_at)) = max(coalesce(list_last(confirmed_at), updated_at))"
    )
    for one, other in (("whole", "recent"), ("recent", "whole")):
        rows = [f"select * from {table}_ends anti join uncertain using ({keys})" for table in (one, other)]
        assert connection.execute(f"{rows[0]} except {rows[1]}").fetchall() == []
    entities = f"select count(*) from (select distinct {keys} from"
    [(certain, entities_of_all, of_few)] = connection.execute(
        f"select ({entities} whole anti join uncertain using ({keys}))), ({entities} whole)), "
        "(select count(*) from recent)"
    ).fetchall()
    assert certain > 0.5 * entities_of_all
    [(of_whole,)] = connection.execute("select count(*) from whole").fetchall()
    assert of_few < of_whole


def test_aggregates_over_all_time_that_need_every_event_have_no_short_way(
    queries: dict[str, tuple[str, str]],
) -> None:
    assert queries["modes"][1].strip() == ""
