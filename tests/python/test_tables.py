"""Published tables go to Arrow, Polars and NumPy as they are, or are refused in words."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import duckdb
import numpy
import polars
import pyarrow as pa
import pytest
from guides import blocks
from online_stores import query
from small_project import SmallProject

import assay
from assay.api.frame import Frame
from assay.api.table import PublishedTable
from assay.core.nested_types import find_kinds, replace_kinds

# Just above a multiple of 2,048, where DuckDB 1.5.5 repeats rows that it streams out of a history's SQL.
ROWS = 146 * 2_048 + 7
KINDS = {
    "yes": "true",
    "small": "255::utinyint",
    "large": "18446744073709551615::ubigint",
    "sum_of_bigint": "-99999999999999999999999999999999999999::hugeint",
    "unsigned_sum": "99999999999999999999999999999999999999::uhugeint",
    "price": "12.34::decimal(18, 2)",
    "exact": "1234567890123456789012345678.0123456789::decimal(38, 10)",
    "ratio": "0.1::double",
    "day": "date '2024-02-29'",
    "at": "timestamp '2024-01-01 01:02:03.123456'",
    "open_until": "timestamp '9999-12-31'",
    "second": "'2024-01-01 01:02:03'::timestamp_s",
    "nanosecond": "'2024-01-01 01:02:03.123456789'::timestamp_ns",
    "in_utc": "timestamptz '2024-01-01 01:02:03+02'",
    "hour": "time '23:59:59.999999'",
    "id": "'11111111-2222-3333-4444-555555555555'::uuid",
    "bytes": "'\\xAA\\x00'::blob",
    "words": "'ä \"x\"'",
    "written": """'{"a": [1]}'::json""",
    "kind": "'b'::enum('a', 'b')",
    "numbers": "[1, 2, null]",
    "sums": "[1::hugeint]",
    "both": """{'a': 1.5::decimal(9, 2), 'b c"': ['x', null]}""",
    "vector": "[1, 2]::float[2]",
    "map": "map {'k': 1}",
}
INTERVAL, UNION = "interval '1 month 2 days'", "union_value(n := 1)"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("published") / "assay.duckdb"
    query(file, "create schema gold; create schema published; create table published.tables (n int)")
    query(
        file,
        f"""
        create table gold.things as
        select
            n, n % 7 as remainder, 'thing ' || n as name, if(n % 10 = 0, null, n / 4) as ratio,
            n::hugeint as total, timestamp '2025-01-01' + to_minutes(n) as valid_from,
            (['red', 'green'])[n % 2 + 1]::enum('red', 'green') as colour
        from range({ROWS}) as numbers (n)
        """,
    )
    kinds = ", ".join(f'{value} as "{name}"' for name, value in KINDS.items())
    query(file, f"create table gold.kinds as select {kinds}")
    nothing = ", ".join(f'null as "{name}"' for name in KINDS)
    query(file, f"insert into gold.kinds by name select {nothing}")
    query(file, 'create table gold.none as select 1 as a, \'x\' as "odd ""name", [1.5] as c limit 0')
    return file


@pytest.fixture
def things(published: Path) -> PublishedTable:
    return PublishedTable(published, "things")


def rows_of(found: Any, published: Path, table: str = "things", columns: str = "*") -> None:
    """Check that rows are those of a table, in its order."""
    with duckdb.connect(str(published), read_only=True) as connection:
        connection.register("found", found)
        expected = f"select row_number() over () as number, {columns} from gold.{table}"
        found_sql = f"select row_number() over () as number, {columns} from found"
        for one, other in ((expected, found_sql), (found_sql, expected)):
            differing = connection.sql(f"select count(*) from (({one}) except all ({other}))").fetchall()
            assert differing == [(0,)]
        counts = connection.sql(f"select (select count(*) from gold.{table}), (select count(*) from found)")
        assert len({*counts.fetchall()[0]}) == 1


# --- every way gives the rows of the table ------------------------------------------------------------------


def test_rows_come_whole_and_in_batches(things: PublishedTable, published: Path) -> None:
    assert len(things) == ROWS
    rows_of(things.to_arrow(), published)
    batches = list(things.to_batches(rows=10_000))
    assert [len(batch) for batch in batches[:-1]] == [10_000] * (ROWS // 10_000)
    rows_of(pa.Table.from_batches(batches), published)
    rows_of(pa.table(things), published)
    rows_of(things.to_polars().to_arrow(), published)


def test_a_lazy_frame_gives_what_an_eager_one_gives(things: PublishedTable, published: Path) -> None:
    lazy, eager = things.to_polars(lazy=True), things.to_polars()
    rows_of(lazy.collect().to_arrow(), published)
    col = polars.col
    asked: list[Callable[[Any], Any]] = [
        lambda frame: frame.select(polars.len()),
        lambda frame: frame.select("ratio"),
        lambda frame: frame.select("name", "n").head(5),
        lambda frame: frame.filter(col("remainder") == 3).select(col("n").sum(), polars.len()),
        lambda frame: frame.filter(col("name").str.ends_with("77")).select("total"),
        lambda frame: frame.filter(col("ratio").is_null() & (col("colour") == "red")),
        lambda frame: frame.head(10_000).filter(col("remainder") == 3),
        lambda frame: frame.filter(col("remainder") == 3).head(10),
        lambda frame: frame.slice(70_000, 3),
        lambda frame: frame.tail(3),
        lambda frame: frame.head(0),
        lambda frame: frame.filter(col("valid_from") < datetime(2025, 1, 2)).select(col("n").max()),
        lambda frame: frame.group_by("remainder").agg(col("n").sum()).sort("remainder"),
        lambda frame: frame.filter(polars.lit(False)).select("n", "name"),
        lambda frame: frame.filter(polars.lit(True), col("n") > 299_000).select("name"),
        lambda frame: frame.filter(polars.lit(None, polars.Boolean)),
        lambda frame: frame.filter(col("n") > col("n").mean()).select("n"),
        lambda frame: frame.filter(col("ratio") > 70_000).select("name"),
        lambda frame: frame.join(frame.select("n", other="name").head(9), on="n").sort("n"),
    ]
    for number, ask in enumerate(asked):
        assert ask(lazy).collect().equals(ask(eager)), number
    # It can be collected again, and streamed.
    assert lazy.select(col("n").sum()).collect(engine="streaming").item() == ROWS * (ROWS - 1) // 2


def test_a_lazy_frame_reads_the_columns_that_are_needed(things: PublishedTable) -> None:
    lazy = things.to_polars(lazy=True).filter(polars.col("remainder") == 1).select("n")
    with mock.patch.object(PublishedTable, "_write_select", autospec=True) as write:
        write.side_effect = lambda table, names: f"select {', '.join(names)} from {table._opened.relation}"
        lazy.collect()
    assert {tuple(sorted(call.args[1])) for call in write.call_args_list} == {("n", "remainder")}


def test_columns_come_in_the_order_that_was_asked_for(published: Path) -> None:
    some = PublishedTable(published, "things", ["ratio", "n"])
    assert some.columns == some.to_arrow().column_names == ["ratio", "n"]
    assert some.to_polars(lazy=True).collect().columns == ["ratio", "n"]
    rows_of(some.to_arrow(), published, columns="ratio, n")


def test_a_table_without_rows_keeps_its_columns(published: Path) -> None:
    none = PublishedTable(published, "none")
    columns = ["a", 'odd "name', "c"]
    assert none.to_arrow().column_names == none.to_polars().columns == columns
    assert none.to_polars(lazy=True).collect().schema == none.to_polars().schema
    assert len(none) == none.to_arrow().num_rows == sum(map(len, none.to_batches())) == 0
    assert {name: len(values) for name, values in none.to_numpy().items()} == dict.fromkeys(columns, 0)


# --- types --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["arrow", "polars", "lazy"])
def test_values_of_each_type_come_back(published: Path, way: str) -> None:
    table = PublishedTable(published, "kinds")
    found = {
        "arrow": table.to_arrow,
        "polars": lambda: table.to_polars().to_arrow(),
        "lazy": lambda: table.to_polars(lazy=True).collect().to_arrow(),
    }[way]()
    with duckdb.connect(str(published), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        texts = ", ".join(f'"{name}"::varchar' for name in KINDS)
        connection.register("found", found)
        expected = connection.sql(f"select {texts} from gold.kinds").fetchall()
        assert connection.sql(f"select {texts} from found").fetchall() == expected
    assert len(expected) == 2
    assert set(expected[1]) == {None}
    assert str(found.schema.field("sum_of_bigint").type) == "decimal128(38, 0)"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("'0101'::bit", r"Arrow has no type for value \(BIT\)"),
        ("[time '01:02:03'::timetz]", r"Arrow has no type for value \(TIME WITH TIME ZONE\[\]\)"),
        ("{'a': 12345::bignum}", r"Arrow has no type for value \(STRUCT\(a BIGNUM\)\)"),
        ("100000000000000000000000000000000000000::hugeint", "more than the 38 digits"),
        ("[340282366920938463463374607431768211455::uhugeint]", "more than the 38 digits"),
    ],
)
def test_what_arrow_cannot_hold_is_refused(tmp_path: Path, value: str, words: str) -> None:
    file = tmp_path / "assay.duckdb"
    query(file, f"create table odd as select 1 as n, {value} as value")
    ways: list[Callable[[PublishedTable], Any]] = [
        PublishedTable.to_arrow,
        lambda table: table.to_batches().read_all(),
        PublishedTable.to_polars,
        lambda table: table.to_polars(lazy=True).collect(),
        PublishedTable.to_numpy,
    ]
    for number, way in enumerate(ways):
        with pytest.raises((assay.Fault, polars.exceptions.ComputeError), match=words):
            way(PublishedTable(file, "odd"))
        assert number == 3 or PublishedTable(file, "odd", ["n"]).to_arrow().to_pydict() == {"n": [1]}


@pytest.mark.parametrize("value", [INTERVAL, UNION, f"[{INTERVAL}]"])
def test_what_polars_cannot_hold_is_refused_there_alone(tmp_path: Path, value: str) -> None:
    file = tmp_path / "assay.duckdb"
    query(file, f"create table odd as select {value} as value, time '24:00:00' as at")
    odd = PublishedTable(file, "odd")
    assert odd.to_arrow().num_rows == 1
    for lazy in (False, True):
        with pytest.raises(assay.Fault, match=r"odd: Polars has no type for value \("):
            odd.to_polars(lazy=lazy)
    with pytest.raises(assay.Fault, match=r"Polars has no value for some of the column at"):
        PublishedTable(file, "odd", ["at"]).to_polars()


def test_kinds_are_found_and_replaced_within_types() -> None:
    with duckdb.connect() as connection:
        written = (
            'map(varchar, struct("hugeint" bit, "b "" c" hugeint[2]))[]', "union(a hugeint, b enum('bit'))"
        )  # fmt: skip
        types = connection.sql(f"select {', '.join(f'null::{each}' for each in written)}").types
        assert find_kinds(types[0]) == {"list", "map", "varchar", "struct", "bit", "array", "hugeint"}
        assert find_kinds(types[1]) == {"union", "hugeint", "enum"}
        for found in types:
            assert connection.sql(f"select null::{replace_kinds(found, {})}").types == [found]
        replaced = replace_kinds(types[0], {"hugeint": "DECIMAL(38, 0)"})
        assert str(connection.sql(f"select null::{replaced}").types[0]) == (
            'MAP(VARCHAR, STRUCT(hugeint BIT, "b "" c" DECIMAL(38,0)[2]))[]'
        )


# --- NumPy and torch ----------------------------------------------------------------------------------------


def test_columns_go_to_numpy(things: PublishedTable) -> None:
    found = things.to_numpy()
    assert {name: str(each.dtype) for name, each in found.items()} == {
        "n": "int64",
        "remainder": "int64",
        "name": "object",
        "ratio": "float64",
        "total": "float64",
        "valid_from": "datetime64[us]",
        "colour": "object",
    }
    assert numpy.array_equal(found["n"], numpy.arange(ROWS))
    assert numpy.isnan(found["ratio"]).sum() == -(-ROWS // 10)
    assert found["valid_from"][1] == numpy.datetime64("2025-01-01T00:01")


def test_arrays_share_memory_where_they_can() -> None:
    rows = pa.table(
        {
            "whole": [1, 2, 3],
            "yes": [True, None, False],
            "vector": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.float32(), 2)),
            "price": [Decimal("1.25"), None, Decimal("2.50")],
        }
    )
    found = Frame(lambda: rows).to_numpy()
    assert found["whole"].ctypes.data == rows["whole"].chunk(0).buffers()[1].address
    assert numpy.array_equal(found["yes"], [1, numpy.nan, 0], equal_nan=True)
    assert found["vector"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert numpy.array_equal(found["price"], [1.25, numpy.nan, 2.5], equal_nan=True)
    parts = pa.concat_tables([rows.slice(1, 1), rows.slice(2)])
    assert Frame(lambda: parts).to_numpy()["vector"].tolist() == [[3, 4], [5, 6]]


def test_columns_go_to_torch(published: Path) -> None:
    taken = SimpleNamespace(from_dlpack=numpy.from_dlpack)
    with mock.patch.dict(sys.modules, {"torch": taken}):
        found = PublishedTable(published, "things", ["n", "total"]).to_torch()
    assert found["n"].sum() == found["total"].sum() == ROWS * (ROWS - 1) // 2


# --- publications -------------------------------------------------------------------------------------------


def test_a_table_stays_what_it_was_when_a_build_publishes(tmp_path: Path) -> None:
    file, new = tmp_path / "assay.duckdb", tmp_path / "new.duckdb"
    query(file, "create table things as select 1 as n")
    query(new, "create table things as select 2 as n, 'x' as another")
    before = PublishedTable(file, "things")
    lazy = before.to_polars(lazy=True)
    new.replace(file)
    after = PublishedTable(file, "things")
    assert before.to_arrow().to_pydict() == lazy.collect().to_dict(as_series=False) == {"n": [1]}
    assert after.to_arrow().to_pydict() == {"n": [2], "another": ["x"]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["thing"], "No table thing is published: there are kinds, none, things"),
        (["tables"], "No table tables is published"),
        (["things", ["m"]], "things has no column m: there are n, remainder"),
        (["things", ["n", "n"]], "n of things is asked for twice"),
        (["things", []], "a list of one name or more"),
        (["things", "n"], "a list of one name or more"),
    ],
)
def test_what_is_not_there_is_told(published: Path, arguments: list[Any], words: str) -> None:
    with pytest.raises(assay.Fault, match=words):
        PublishedTable(published, *arguments)


def test_nothing_published_and_wrong_batches_are_told(published: Path, tmp_path: Path) -> None:
    with pytest.raises(assay.Fault, match="Nothing is published yet"):
        PublishedTable(tmp_path / "assay.duckdb", "things")
    (tmp_path / "assay.duckdb").write_text("no database")
    with pytest.raises(assay.Fault, match="not a DuckDB file"):
        PublishedTable(tmp_path / "assay.duckdb", "things")
    with pytest.raises(assay.Fault, match="1 row or more"):
        PublishedTable(published, "things").to_batches(rows=0)
    with (
        mock.patch.dict(sys.modules, {"polars": None}),
        pytest.raises(assay.Fault, match="pip install polars"),
    ):
        PublishedTable(published, "things").to_polars(lazy=True)


def test_a_table_shows_its_first_rows_alone(things: PublishedTable) -> None:
    with mock.patch.object(PublishedTable, "to_arrow", side_effect=AssertionError):
        assert repr(things).startswith(f"things: {ROWS:,} rows of 7 columns")
        assert "thing 9" in things._repr_html_()
        assert "thing 10" not in things._repr_html_()


@pytest.fixture
def project(built_project: SmallProject) -> Iterator[assay.Project]:
    with mock.patch.dict(os.environ, built_project.environment, clear=True):
        yield assay.open(built_project.root)


def test_a_project_gives_its_tables_of_now_and_of_a_run(project: assay.Project) -> None:
    newest = project.published.list().found.found[0]
    tables = project.sql("select table_name from duckdb_tables() where schema_name = 'gold'").to_arrow()
    names = tables["table_name"].to_pylist()
    assert names
    for name in names:
        expected = project.sql(f"from gold.{name}").to_arrow()
        assert project.table(name).to_arrow().equals(expected)
        assert len(project.table(name, run=newest.run_id[:12])) == expected.num_rows
    with pytest.raises(assay.Fault, match="nothing-such"):
        project.table(names[0], run="nothing-such")


def test_the_model_in_polars_of_the_guide_builds(project_as_built: SmallProject) -> None:
    [code] = [block.text for block in blocks("python") if "def model(" in block.text]
    gold = project_as_built.root / "models" / "own" / "gold"
    (gold / "smoothed.py").write_text(code)
    (gold / "fct_card_transactions.sql").write_text(
        """
        {{ config(materialized='table', contract={'enforced': false}) }}
        select
            'c' || card as card_id, n as transaction_id, (10 * n)::decimal(18, 2) as amount,
            timestamp '2025-01-01' + to_days(7 * n) as available_at
        from range(3) as numbers (n), range(2) as cards (card)
        """
    )
    ran = project_as_built.dbt("run", "--select", "fct_card_transactions", "smoothed")
    assert ran.returncode == 0, ran.stdout
    # Each step of a half-life moves the mean halfway to the new amount.
    assert project_as_built.query(
        "select card_id, transaction_id, amount_mean_7d from gold.smoothed order by all"
    ) == [(card, n, mean) for card in ("c0", "c1") for n, mean in enumerate([0, 5, 12.5])]
