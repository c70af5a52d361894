"""A warehouse is opened in one place, and dbt builds into the one that it is given."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import duckdb
import pytest
from side_packages import OTHER_DUCKDBS, environment_with_duckdb

from assay.core.optimizer import leave_out_wrong_rules
from assay.pii.dbt_plugin import Plugin
from assay.project import dbt_run
from assay.project.warehouse import connect, connect_published, opened

SCRATCH = Path("scratch/assay.duckdb")
BESIDE = {"path": "beside.duckdb", "alias": "beside", "read_only": True}
OWN = {"path": "own.duckdb", "alias": "own"}


@pytest.mark.parametrize(
    ("profile", "beside"),
    [
        ({"path": "data/assay.duckdb"}, []),
        ({"path": "data/assay.duckdb", "database": "assay", "attach": [BESIDE]}, ["beside"]),
        ({"path": "data/without_a_suffix"}, []),
        ({"path": ":memory:"}, []),
        ({"path": ":memory:", "database": "own", "attach": [OWN, BESIDE]}, ["beside"]),
        ({}, []),
    ],
)
def test_dbt_builds_into_the_file_that_it_is_given(profile: dict[str, Any], beside: list[str]) -> None:
    from dbt.adapters.duckdb.credentials import DuckDBCredentials

    with dbt_run._profile_opens(SCRATCH, {"production": Path("production.duckdb")}):
        opened = DuckDBCredentials.from_dict({"schema": "main", **profile})
    assert (opened.path, opened.database) == (str(SCRATCH), SCRATCH.stem)
    attached = {each.alias: (each.path, each.read_only) for each in opened.attach}
    assert attached.pop('"production"') == ("production.duckdb", True)
    assert list(attached) == beside


def test_a_plugin_that_a_build_adds_leaves_those_of_the_profile() -> None:
    from dbt.adapters.duckdb.credentials import DuckDBCredentials
    from dbt.adapters.duckdb.environments import Environment

    profile = {"schema": "main", "path": ":memory:", "plugins": [{"module": "assay.pii.dbt_plugin"}]}
    with dbt_run._profile_opens(SCRATCH, {}, ["assay.spark.dbt_plugin"]):
        found = Environment.initialize_plugins(DuckDBCredentials.from_dict(profile))
    modules = [type(each).__module__ for each in found.values()]
    assert modules == ["assay.pii.dbt_plugin", "assay.spark.dbt_plugin"]


def test_dbt_parses_nothing_anew_because_a_warehouse_is_given() -> None:
    from dbt.adapters.duckdb.credentials import DuckDBCredentials

    profile = {"schema": "main", "path": str(SCRATCH)}
    plain = DuckDBCredentials.from_dict(profile)
    with dbt_run._profile_opens(SCRATCH, {}):
        assert DuckDBCredentials.from_dict(profile) == plain


def test_a_warehouse_is_opened_to_read_unless_it_is_said_that_it_is_written(tmp_path: Path) -> None:
    warehouse = tmp_path / "shop.duckdb"
    with pytest.raises(duckdb.IOException):
        connect(warehouse)
    with connect(warehouse, read_only=False) as connection:
        connection.execute("create table sales as select 1 as pieces")
    with connect(warehouse) as connection:
        assert connection.execute("select current_database(), * from sales").fetchall() == [("shop", 1)]
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            connection.execute("insert into sales values (2)")


def test_a_published_file_is_the_newest_though_the_one_before_is_open(tmp_path: Path) -> None:
    published, new = tmp_path / "assay.duckdb", tmp_path / "new.duckdb"
    for file, pieces in ((published, 1), (new, 2)):
        with duckdb.connect(str(file)) as connection:
            connection.execute(f"create table sales as select {pieces} as pieces")
    with duckdb.connect(str(published), read_only=True) as before:
        new.replace(published)
        with connect_published(published) as connection:
            assert connection.execute("from sales").fetchall() == [(2,)]
            with pytest.raises(duckdb.InvalidInputException, match="read-only"):
                connection.execute("insert into sales values (3)")
        assert before.execute("from sales").fetchall() == [(1,)]


def test_a_published_file_that_cannot_be_read_leaves_nothing_open(tmp_path: Path) -> None:
    with pytest.raises(duckdb.IOException):
        connect_published(tmp_path / "assay.duckdb")


@pytest.mark.parametrize("version", OTHER_DUCKDBS)
def test_what_a_newer_duckdb_makes_this_one_reads_and_writes(
    builds: None, version: str, tmp_path: Path
) -> None:
    """Extras such as `lake` install an older DuckDB than the newest; analysts may have one."""
    make = f"""
from pathlib import Path
import duckdb
from assay.project.warehouse import attach, connect
assert duckdb.__version__ == {version!r}
for _ in range(2):
    with connect(Path("ops.duckdb"), read_only=False) as connection:
        connection.execute("create table if not exists runs as select 1 as run")
    with duckdb.connect() as connection:
        options = "row_group_size 2048"
        attach(connection, Path("published.duckdb"), "published", read_only=False, options=options)
        connection.execute("create table if not exists published.runs as select 1 as run")
"""
    environment = environment_with_duckdb(version)
    environment["PYTHONPATH"] += f":{Path(__file__).parents[2]}"
    subprocess.run([sys.executable, "-c", make], cwd=tmp_path, env=environment, check=True)
    for file in ("ops.duckdb", "published.duckdb"):
        with connect(tmp_path / file, read_only=False) as connection:
            connection.execute("insert into runs values (2)")
            assert connection.execute("from runs order by all").fetchall() == [(1,), (2,)]


_NEWEST = """
with parcels as (select * from shop.main.parcels),
kept as (select * exclude (place) from parcels where place > 0)
select sender, parcel, sent_at from kept
qualify row_number() over (partition by sender order by sent_at desc) = 1
"""


@pytest.mark.parametrize("opening", [connect, opened, connect_published, "dbt"])
def test_the_newest_row_of_each_key_is_right_where_rows_were_filtered_by_another_column(
    opening: Any, tmp_path: Path
) -> None:
    warehouse = tmp_path / "shop.duckdb"
    rows = [(f"s{n % 60}", f"p{n}", n // 60, n + 2) for n in range(75)]
    with duckdb.connect(str(warehouse)) as made:
        made.execute("create table parcels (sender varchar, parcel varchar, sent_at integer, place bigint)")
        made.executemany("insert into parcels values (?, ?, ?, ?)", rows)
    with ExitStack() as stack:
        if opening == "dbt":
            connection = stack.enter_context(duckdb.connect(str(warehouse)))
            Plugin("pii", plugin_config={}).configure_connection(connection)
        else:
            connection = stack.enter_context(opening(warehouse))
        query = _NEWEST.replace("shop.", "found.") if opening is connect_published else _NEWEST
        found = connection.execute(query).fetchall()
    newest = {sender: (sender, parcel, sent_at) for sender, parcel, sent_at, _ in rows}
    assert sorted(found) == sorted(newest.values())


def test_an_optimizer_that_somebody_has_turned_off_stays_so_and_a_locked_session_is_no_fault() -> None:
    with duckdb.connect() as connection:
        connection.execute("set disabled_optimizers = 'in_clause'")
        leave_out_wrong_rules(connection)
        connection.execute("set lock_configuration = true")
        leave_out_wrong_rules(connection)
        [(off,)] = connection.execute("select current_setting('disabled_optimizers')").fetchall()
    assert set(off.split(",")) == {"in_clause", "top_n_window_elimination"}
