"""The snapshots of a lake have names, and its files become few, without a change of any value."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from assay.core.fault import LOCKED, Fault
from assay.core.lock import locked
from assay.core.places import Places
from assay.lake.catalog import (
    compact,
    expire,
    read_age,
    read_snapshots,
    read_state_of_lake,
    tag_snapshot,
)
from assay.project.lake_builds import BuildInLake, find_build, find_neighbours, note_build
from assay.project.warehouse import connect, relation_named

_AGES = [("7d", timedelta(days=7)), ("12h", timedelta(hours=12)), ("0s", timedelta(0))]


@pytest.fixture
def lake(tmp_path: Path) -> Places:
    """A lake whose table `gold.sales` came in five parts of a hundred rows, and lost some."""
    places = Places(tmp_path / "landing", tmp_path / "shop.sqlite")
    with connect(places.warehouse, read_only=False) as connection:
        connection.execute("create schema gold; create table gold.sales (id bigint)")
        for part in range(5):
            connection.execute(f"insert into gold.sales select {part} * 100 + range from range(100)")
        connection.execute("delete from gold.sales where id < 50")
    return places


def ids(places: Places, version: int | None = None) -> list[int]:
    at = f" at (version => {version})" if version is not None else ""
    with connect(places.warehouse) as connection:
        return [id_ for (id_,) in connection.execute(f"select id from gold.sales{at} order by id").fetchall()]


def test_a_state_tells_files_and_the_newest_snapshot(lake: Places) -> None:
    state = read_state_of_lake(lake)
    assert [(each.name, each.files) for each in state.tables] == [("gold.sales", 5)]
    assert state.tables[0].size > 0
    snapshots = read_snapshots(lake)
    assert (state.newest, state.snapshots) == (snapshots[0], len(snapshots))
    assert [each.number for each in snapshots] == list(range(len(snapshots)))[::-1]


def test_the_catalog_has_no_table_for_each_table_of_the_lake(lake: Places) -> None:
    with connect(lake.warehouse, read_only=False) as connection:
        connection.execute("create table gold.few as select 1 as id; create table gold.none (id bigint)")
        connection.execute("insert into gold.few values (2)")
        assert connection.execute("select sum(id) from gold.few").fetchall() == [(3,)]
    with closing(sqlite3.connect(lake.warehouse)) as catalog:
        found = catalog.execute("select name from sqlite_master where name like 'ducklake_inlined_%'")
        assert found.fetchall() == [("ducklake_inlined_data_tables",)]


def test_a_table_is_found_by_name_without_the_statistics_of_all(lake: Places) -> None:
    with connect(lake.warehouse, read_only=False) as connection:
        connection.execute("create view gold.seen as from gold.sales")
    with connect(lake.warehouse) as connection:
        connection.execute("call enable_logging('QueryLog')")
        found = [relation_named(connection, name) for name in ("sales", "seen", "other")]
        asked = connection.execute("select message from duckdb_logs where message like '%ducklake_table%'")
        assert not [sql for (sql,) in asked.fetchall() if "_stats" in sql]
    assert found == ['"shop"."gold"."sales"', '"shop"."gold"."seen"', None]


def test_files_are_merged_and_no_value_changes(lake: Places) -> None:
    before = read_snapshots(lake)[0].number
    done = compact(lake)
    assert (done.merged > done.into, done.into > 0) == (True, True)
    assert [each.files for each in read_state_of_lake(lake).tables] == [2]
    assert ids(lake) == ids(lake, before) == list(range(50, 500))
    assert compact(lake).merged == 0


def test_old_snapshots_go_with_their_files_and_named_ones_stay(lake: Places) -> None:
    named = read_snapshots(lake)[2].number
    of_named = ids(lake, named)
    assert tag_snapshot(lake, "before the fall", named).tags == ("before the fall",)
    compact(lake)
    assert expire(lake, timedelta(days=1)).snapshots == 0
    files = len(list(lake.warehouse.with_suffix(".files").rglob("*.parquet")))
    done = expire(lake, timedelta(0))
    assert (done.snapshots > 0, done.kept) == (True, ("before the fall",))
    assert [each.number for each in read_snapshots(lake)][1:] == [named]
    assert (ids(lake), ids(lake, named)) == (list(range(50, 500)), of_named)
    left = len(list(lake.warehouse.with_suffix(".files").rglob("*.parquet")))
    assert left == files - done.files
    assert expire(lake, timedelta(0)).snapshots == 0


def test_what_killed_builds_left_goes_after_a_day(lake: Places) -> None:
    folder = lake.warehouse.with_suffix(".files") / "gold" / "sales"
    old, new = folder / "ducklake-old.parquet", folder / "ducklake-new.parquet"
    for file, days in ((old, 2), (new, 0)):
        shutil.copyfile(next(folder.glob("*.parquet")), file)
        at = time.time() - days * 86_400
        os.utime(file, (at, at))
    assert expire(lake, timedelta(days=7)).files == 1
    assert (old.exists(), new.exists()) == (False, True)
    assert ids(lake) == list(range(50, 500))


def note_builds(places: Places) -> None:
    """Note two builds, of which the second changes and the first expires, and look for them."""
    catalog, declared, products = places.warehouse, {"trn_sales": {"it's": "one"}}, {"sales": "shop"}
    assert (find_build(catalog), find_neighbours(catalog, 1)) == (None, [])
    note_build(catalog, "first", None, "1.11.2", declared, {}, products)
    first, newest = find_build(catalog), read_snapshots(places)[0].number
    assert first == BuildInLake(newest, "first", None, "1.11.2", {}, declared, products)
    with connect(catalog, read_only=False) as connection:
        connection.execute("insert into gold.sales values (7)")
    assert find_build(catalog, first.snapshot + 1) is None
    assert find_neighbours(catalog, first.snapshot + 1) == [first.snapshot]
    note_build(catalog, "second", "b2c3", "1.11.2", declared, {}, products)
    note_build(catalog, "second again", "b2c3", "1.11.2", declared, {}, products)
    second = find_build(catalog)
    assert (second.snapshot, second.run_id, second.code_version) == (
        first.snapshot + 1,
        "second again",
        "b2c3",
    )
    assert find_build(catalog, first.snapshot) == first
    assert [each.run_id for each in read_snapshots(places)][:3] == ["second again", "first", None]
    compact(places)
    carried = find_build(catalog, read_snapshots(places)[0].number)
    assert carried == replace(second, snapshot=carried.snapshot)
    assert carried.snapshot > second.snapshot
    expire(places, timedelta(0))
    assert find_build(catalog) == carried
    assert find_neighbours(catalog, carried.snapshot) == []
    with connect(catalog, read_only=False) as connection:
        connection.execute("insert into gold.sales values (8)")
    note_build(catalog, "third", None, "1.11.2", declared, {"trn_sales": carried.snapshot}, products)
    expire(places, timedelta(0))
    # The training sets of the third are those of the one before.
    assert find_build(catalog, carried.snapshot) == carried
    assert find_build(catalog).waiting == {"trn_sales": carried.snapshot}


def test_what_builds_left_is_noted_and_goes_with_its_snapshot(lake: Places) -> None:
    note_builds(lake)


def test_a_name_is_of_one_snapshot(lake: Places) -> None:
    newest, older = (each.number for each in read_snapshots(lake)[:2])
    assert tag_snapshot(lake, "q1").number == newest
    assert tag_snapshot(lake, "q1", newest).tags == ("q1",)
    with pytest.raises(Fault, match=f"q1 is the name of snapshot {newest} already"):
        tag_snapshot(lake, "q1", older)
    for name, number, why in (
        ("", None, "cannot be the name"),
        ("7", None, "cannot be"),
        ("x", 99, "no snapshot 99"),
    ):
        with pytest.raises(Fault, match=why):
            tag_snapshot(lake, name, number)


def test_a_lake_is_not_compacted_while_it_is_built(lake: Places) -> None:
    with (
        locked(lake.warehouse, command="assay build", wait=0, on_wait=lambda holder: None),
        pytest.raises(Fault, match="assay build") as refused,
    ):
        compact(lake)
    assert refused.value.exit_code == LOCKED


def test_a_warehouse_of_one_file_has_no_snapshots(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="ASSAY_TARGET=lake"):
        read_snapshots(Places(tmp_path, tmp_path / "assay.duckdb"))
    with pytest.raises(Fault, match="assay build"):
        read_snapshots(Places(tmp_path, tmp_path / "assay.sqlite"))
    assert not (tmp_path / "assay.sqlite").exists()


@pytest.mark.parametrize(("text", "age"), _AGES)
def test_an_age_is_read(text: str, age: timedelta) -> None:
    assert read_age(text) == read_age(age) == age


@pytest.mark.parametrize("text", ["", "7", "-7d", "7 d", "1.5d", "sevend", "999999999999d", "nan"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(Fault, match="such as 7d"):
        read_age(text)
