"""The hot path's copy of silver: grown, it is what a new copy is; look-ups find what a scan does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pytest

from assay.project.graph import Node, relation_of
from assay.stream.hot import base
from assay.stream.hot.base import LOOK_UP_SETTING, Base, grow, rows_by
from assay.stream.hot.plan import CheckedTable, HotPlan, HotView
from assay.stream.hot.session import HotSession, _passing

_CHECKED = {"schema": "silver", "alias": "slv_sales__checked", "unique_id": "sales"}
_BRONZE = {"schema": "bronze", "alias": "brz_sales"}
_RELATIONS = ["__by_card", "__by_shop", "__keys", "__everywhere", "__blocks"]
_CUTS = ["card", "shop"]
_SALES = "shop.silver.slv_sales__checked"
_BY_CARD = "base.silver.slv_sales__checked__by_card"


@pytest.fixture
def connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> duckdb.DuckDBPyConnection:
    """A warehouse with sales of two files, in small blocks, and an empty copy."""
    monkeypatch.setattr(base, "_BLOCK_BITS", 4)
    connection = duckdb.connect(config={"threads": 1})
    run = connection.execute
    run(f"attach '{tmp_path / 'base.duckdb'}' as base (row_group_size 2048)")
    run("attach ':memory:' as shop")
    run("create schema shop.silver")
    run("create schema shop.bronze")
    run(
        "create table shop.silver.slv_sales__checked (file_id bigint, row_number bigint, card varchar, "
        "shop integer, number varchar, available_at timestamp, rule_ids varchar[])"
    )
    run("create table shop.bronze.brz_sales (file_id bigint, row_number bigint, content_hash varchar)")
    for file in (1, 2):
        add_file(connection, file)
    return connection


def add_file(connection: duckdb.DuckDBPyConnection, file: int, rows: int = 300) -> None:
    """A file in which some sales have no card or number, and some are rejected."""
    connection.execute(
        f"insert into {_SALES} select {file}, i, if(i % 17 = 0, null, 'c' || i * 7 % 50), "
        f"i * 3 % 20, if(i % 19 = 0, null, 'n' || i % 250), timestamp '2025-01-0{file}' + to_minutes(i), "
        f"if(i % 13 = 0, ['bad'], null) from range(1, {rows + 1}) as rows (i)"
    )
    connection.execute(
        f"insert into shop.bronze.brz_sales select {file}, i, 'h' || i from range(1, {rows + 1}) as rows (i)"
    )


def sales() -> CheckedTable:
    source: Any = mock.Mock()
    return CheckedTable(source, _BRONZE, _CHECKED, "", "", ["card", "number"], "", [])


def open_session(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    table: CheckedTable,
    key: tuple[str, ...],
    cuts: list[str],
) -> tuple[HotSession, HotView]:
    """A session over the copy as it is, and a view that is cut by some columns."""
    connection.execute("checkpoint base")
    connection.execute("detach base")
    published = folder / "published.duckdb"
    duckdb.connect(str(published)).close()
    view = HotView("view", list(key), ["sales"], [], [], "", None)
    copy = Base(folder / "base.duckdb", (0, 0), {}, {"sales": cuts})
    plan = HotPlan("shop", {"sales": table}, [view], {})
    return HotSession(plan, copy, published, published.with_name("assay.duckdb")), view


def content(connection: duckdb.DuckDBPyConnection) -> dict[str, list[Any]]:
    return {
        name: connection.execute(f"from base.silver.slv_sales__checked{name} order by all").fetchall()
        for name in _RELATIONS
    }


def test_a_copy_that_has_grown_is_what_a_new_copy_is(connection: duckdb.DuckDBPyConnection) -> None:
    run = connection.execute
    grow(connection, sales(), _CUTS, "shop")
    first = content(connection)
    add_file(connection, 3)
    # Earlier rows turn out to be copies, a file is taken out, and another is checked again.
    run("update shop.silver.slv_sales__checked set rule_ids = ['copy'] where file_id = 1 and row_number = 40")
    run("delete from shop.silver.slv_sales__checked where file_id = 2 and row_number > 100")
    grow(connection, sales(), _CUTS, "shop")
    grown = content(connection)
    assert grown != first
    run("drop schema base.silver cascade")
    grow(connection, sales(), _CUTS, "shop")
    assert content(connection) == grown


def test_only_blocks_that_differ_are_copied(connection: duckdb.DuckDBPyConnection) -> None:
    grow(connection, sales(), _CUTS, "shop")
    [(last,)] = connection.execute(f"select max(rowid) from {_BY_CARD}").fetchall()
    connection.execute(f"update {_SALES} set shop = 7 where file_id = 2 and row_number = 40")
    grow(connection, sales(), _CUTS, "shop")
    [(copied,)] = connection.execute(f"select count(*) from {_BY_CARD} where rowid > {last}").fetchall()
    assert copied == 16


def test_a_copy_to_which_much_was_added_is_put_in_order(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_LEAST_ADDED", 100)
    grow(connection, sales(), _CUTS, "shop")
    add_file(connection, 3)
    grow(connection, sales(), _CUTS, "shop")
    places = connection.execute("select assay_place from base.silver.slv_sales__checked__by_card").fetchall()
    assert places == sorted(places)


def test_a_column_that_is_no_longer_cut_by_leaves_no_rows_behind(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    for columns in (_CUTS, ["shop"], _CUTS):
        grow(connection, sales(), columns, "shop")
        add_file(connection, 3 + (columns == ["shop"]))
    grow(connection, sales(), _CUTS, "shop")
    grown = content(connection)
    connection.execute("drop schema base.silver cascade")
    grow(connection, sales(), _CUTS, "shop")
    assert content(connection) == grown


@pytest.mark.parametrize("key", [("card",), ("shop",), ("card", "shop"), ("number",)])
def test_a_slice_is_what_a_scan_of_the_whole_table_finds(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, key: tuple[str, ...]
) -> None:
    run = connection.execute
    grow(connection, sales(), _CUTS, "shop")
    wanted = [
        tuple(row)
        for row in run(
            f"select distinct {', '.join(f'{each}::varchar' for each in key)} from {_SALES} "
            f"where {' and '.join(f'{each} is not null' for each in key)} order by all limit 9"
        ).fetchall()
    ]
    are_wanted = " or ".join(
        "(" + " and ".join(f"{each}::varchar = '{text}'" for each, text in zip(key, texts, strict=True)) + ")"
        for texts in wanted
    )
    expected = run(
        f"from {_SALES} where {are_wanted} or (file_id, row_number) in ("
        f"select arg_max((file_id, row_number), available_at) from {_SALES} where rule_ids is null) "
        "order by all"
    ).fetchall()
    session, view = open_session(connection, tmp_path, sales(), key, _CUTS)
    assert session.touch(view, key, wanted) == len(wanted)
    found = session._connection.execute(f"from ({session._slice_sql('sales', key)}) order by all").fetchall()
    session.close()
    assert found == expected


def test_a_look_up_does_not_read_the_whole_table(connection: duckdb.DuckDBPyConnection) -> None:
    add_file(connection, 3, rows=60_000)
    grow(connection, sales(), ["number"], "shop")
    connection.execute(LOOK_UP_SETTING)
    connection.execute(
        "create temp table touched as select hash('n' || i) as assay_place from range(60) as rows (i)"
    )
    sought = f"from base.{rows_by(_CHECKED, 'number')} as sales semi join touched using (assay_place)"
    [(_, told)] = connection.execute(f"explain analyze {sought}").fetchall()
    assert "assay_place IN" in told


def test_a_change_that_empties_the_table_is_in_every_slice(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    run = connection.execute
    run(f"alter table {_SALES} add column op varchar")
    run(f"alter table {_SALES} rename column number to change_hash")
    run(f"update {_SALES} set op = 't', card = null, shop = null where row_number = 42")
    table = replace(sales(), key=["change_hash"])
    grow(connection, table, ["shop"], "shop")
    told = "(op = 't' or shop = 3 or (file_id, row_number) = (2, 300))"
    expected = run(f"from {_SALES} where {told} order by all").fetchall()
    session, view = open_session(connection, tmp_path, table, ("shop",), ["shop"])
    session.touch(view, ("shop",), [("3",)])
    found = session._connection.execute(
        f"from ({session._slice_sql('sales', ('shop',))}) order by all"
    ).fetchall()
    everywhere = "tail.slv_sales__checked__everywhere"
    [(noted,)] = session._connection.execute(f"select count(*) from {everywhere}").fetchall()
    session.close()
    assert found == expected
    assert noted == 3


def test_what_one_query_reads_once_gets_no_table_of_its_slices() -> None:
    def node(name: str) -> Node:
        return {"name": name, "schema": "gold", "alias": name, "config": {"materialized": "table"}}

    once, twice, seen = node("once"), node("twice"), node("seen")
    models = [(twice, "select 1"), (once, f"from {relation_of(twice)}")]
    recent = f"from {relation_of(once)}, {relation_of(twice)}"
    view = HotView("seen", ["card"], [], [*models, (seen, f"{recent}, {relation_of(once)}")], [], "", recent)
    assert _passing(HotPlan("shop", {}, [view], {})) == {relation_of(once)}
