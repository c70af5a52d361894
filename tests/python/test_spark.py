"""Nodes that Spark computes, key by key: the same rows as this machine computes."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pytest
from small_project import SmallProject
from spark_cluster import started_cluster
from training_project import succeed

from assay.core.fault import Fault
from assay.core.places import Places
from assay.core.sql import quoted
from assay.project.warehouse import connect
from assay.spark import engine, handover, session, tasks
from assay.spark.engine import Computed, compute
from assay.spark.handover import Handover, handed_over
from assay.spark.jobs import Here, Input, Job, ModelCode, decide
from assay.spark.plan import read_columns
from assay.spark.size import count_rows, find_least_rows
from assay.spark.types import columns_as_text

pytest.importorskip("pyspark", reason="the extra spark is not installed")
needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java, and there is none")

T, SPINE_ROWS, OF_K, OF_J = (f'"w"."gold"."{name}"' for name in ("t", "lines", "ftr_k", "ftr_j"))
# Keys of all kinds: one with a tenth of the rows, NULL, and quotes.
pytestmark = [pytest.mark.minutes, pytest.mark.usefixtures("builds")]

_ROWS = """
select
    i,
    case when i % 10 = 0 then 'heavy' when i % 17 = 0 then null else 'k''"' || i % 50 end as k,
    (i % 9)::bigint as j,
    (i::hugeint << 90) as "Größe, ""x"" y",
    case when i % 5 > 0 then to_months(i::int) + to_microseconds(i) end as span,
    (['a', 'ü', ''])[1 + i % 3]::enum('a', 'ü', '') as letter,
    i::bit as bits,
    (i::uhugeint << 100) as large,
    18446744073709551615::ubigint - i::ubigint as unsigned,
    [i, null] as list,
    {'a': i, 'b': {'c': [i::varchar]}} as nested,
    map {i: 'x'} as mapped,
    (i / 7)::decimal(38, 10) as price,
    case when i % 3 = 0 then 'nan' when i % 3 = 1 then '-inf' else i::varchar end::double as floating,
    timestamp '2025-01-01' + to_microseconds(i) as happened,
    case when i % 4 = 0 then 'infinity' else '2025-01-01 10:00:00+02' end::timestamptz as zoned,
    time '00:00:00.000001' + to_microseconds(i) as clock,
    md5(i::varchar)::uuid as id,
    encode('b' || i) as bytes,
    [i, i]::bigint[2] as pair
from range(3000) as numbers(i)
"""


@pytest.fixture
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'; attach ':memory:' as w; create schema w.gold")
        connection.execute("set default_null_order = 'nulls_first'")
        connection.execute(f"create table {T} as {_ROWS}")
        yield connection


@pytest.fixture(autouse=True)
def on_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each core a task, however little there is to do."""
    monkeypatch.setattr(engine, "_LEAST_BYTES_A_TASK", 1)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A session on two machines."""
    from pyspark import cloudpickle

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patched.setenv("DBT_LOG_PATH", str(tmp_path_factory.mktemp("logs")))
        with started_cluster(tmp_path_factory.mktemp("cluster")) as master:
            found = session.start(master)
            # What tests put into tasks.
            cloudpickle.register_pickle_by_value(sys.modules[__name__])
            yield found
            found.stop()


def job_of(model: ModelCode, connection: duckdb.DuckDBPyConnection) -> Job:
    found = decide(model, read_columns(connection, "w"))
    assert isinstance(found, Job), found
    return found


def keyed(sql: str, *keys: str) -> ModelCode:
    return ModelCode("fct_things", sql, "", "replaced", {"distribute_by": [*keys]}, {T: "t"})


def computed(model: ModelCode, connection: duckdb.DuckDBPyConnection, spark: Any, folder: Path) -> Computed:
    columns = read_columns(connection, "w")
    settings = {"default_null_order": "NULLS_FIRST"}
    return compute(job_of(model, connection), model.name, connection, columns, spark, folder, settings)


def content(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """Types and rows in any order; through a table, since DuckDB 1.5.5 may repeat rows that it streams."""
    connection.execute(f"create or replace temp table content as {sql}")
    types = connection.execute("describe content").fetchall()
    row_hash = f"hash({', '.join(quoted(each[0]) for each in types)})"
    row = connection.execute(
        f"select count(*), bit_xor({row_hash}), sum({row_hash}::hugeint) from content"
    ).fetchone()
    return [(name, kind) for name, kind, *_ in types], row


@needs_java
def test_rows_of_all_types_are_those_of_this_machine(
    warehouse: duckdb.DuckDBPyConnection, spark: Any, tmp_path: Path
) -> None:
    sql = (
        "select *, row_number() over (partition by k order by i) as n, sum(i) over w as s "
        f"from {T} window w as (partition by k)"
    )
    found = computed(keyed(sql, "K"), warehouse, spark, tmp_path)
    assert found.rows == 3000
    assert found.parts > 1
    assert content(warehouse, found.sql) == content(warehouse, sql)
    assert (found.heaviest, found.heaviest_rows) == ("k heavy", 300)
    assert len(found.task_cpu) <= found.parts
    assert min(found.task_cpu) > 0
    assert found.heaviest_cpu in found.task_cpu
    assert len(list(Path(found.folder, "result").glob("*.parquet"))) > 1


@needs_java
def test_a_join_of_several_keys_is_that_of_this_machine(
    warehouse: duckdb.DuckDBPyConnection, spark: Any, tmp_path: Path
) -> None:
    for relation, key in ((OF_K, "k"), (OF_J, "j")):
        warehouse.execute(
            f"create table {relation} as select {key}, happened as valid_from, (i % 4)::hugeint as value, "
            f"lead(happened, 1, timestamp '9999-12-31') over (partition by {key} order by happened) "
            f"as valid_to from {T} where k is not null"
        )
    spine = f"select i, k, j, span, happened + interval 5 second as happened from {T}"
    warehouse.execute(f"create table {SPINE_ROWS} as {spine}")
    views = ""
    carried = "_spine, _spine_at"
    for number, (relation, key) in enumerate(((OF_K, "k"), (OF_J, "j")), 1):
        views += f"""
asked_{number} as (select _spine."{key}" as _key_1, max(_spine_at) as _last_at from features_0 group by all),
features_{number}_history as (

    select
        history."{key}" as _key_1,
        history."value", history.valid_from as _valid_from
    from {relation} as history
    inner join asked_{number} as asked on history."{key}" = asked._key_1
    where history.valid_from <= asked._last_at
),
features_{number} as (
    select {carried}, history.value as value_{number}
    from features_{number - 1} as spine_rows
    asof left join features_{number}_history as history
        on spine_rows._spine."{key}" = history._key_1 and spine_rows._spine_at >= history._valid_from
),"""
        carried += f", value_{number}"
    sql = f"""with lines as (select * from {SPINE_ROWS} where i % 7 > 0), joined as (
with features_0 as (
    select _spine_row as _spine, happened as _spine_at
    from (select * from lines) as _spine_row
), {views}
final as (select _spine.*, value_1, value_2 from features_2)
select * from final
)
select *, count(*) over () as total, (select max(happened) from lines) as last_at from joined"""
    parents = {SPINE_ROWS: "lines", OF_K: "ftr_k", OF_J: "ftr_j"}
    model = ModelCode("trn_lines", sql, "", "replaced", {"joined_features": [{}]}, parents)
    assert job_of(model, warehouse).keys == [("k",), ("j",)]
    found = computed(model, warehouse, spark, tmp_path)
    assert content(warehouse, found.sql) == content(warehouse, sql)
    assert found.parts > 1
    found_values = warehouse.execute(f"select count(value_1), count(value_2) from ({found.sql})").fetchone()
    expected = f"select count(k), count(*) from {SPINE_ROWS} where i % 7 > 0"
    assert found_values == warehouse.execute(expected).fetchone()
    # A table without rows: no task has any.
    warehouse.execute(f"delete from {SPINE_ROWS}")
    nothing = computed(model, warehouse, spark, tmp_path)
    assert content(warehouse, nothing.sql) == content(warehouse, sql)
    assert nothing.rows == 0


def test_a_key_that_is_too_heavy_is_told_by_name(tmp_path: Path) -> None:
    told: list[str] = []
    build = Handover("spark://nowhere:1", tmp_path, told.append, 0)
    even = Computed("", 12_000_000, 4, "card_id 0", 900_000, 5.0, (5.0, 2.0, 2.25, 2.75), 3_000_000, tmp_path)
    build._tell("ftr_card", replace(even, heaviest_rows=90_000))
    assert len(told) == 1
    build._tell("ftr_card", replace(even, rows_read=1_700_000))
    assert told[2] == (
        "Warning: ftr_card: card_id 0 has 900,000 of 1,700,000 rows. One key is never split: its task took "
        "5.0 of the 12.0 CPU seconds of all, and the node waits for it."
    )


def test_little_that_is_new_stays_here(tmp_path: Path) -> None:
    build = Handover("spark://nowhere:1", tmp_path / "files", print, 40)
    assert build.place_increment(39) is None
    first, second = build.place_increment(40), build.place_increment(40)
    assert first
    assert Path(first).parent.is_dir()
    assert first != second


def test_buckets_of_tasks_meet_and_leave_none_out() -> None:
    for parts in (1, 2, 3, 7, 1000, tasks.BUCKETS):
        firsts = [tasks.first_bucket(part, parts) for part in range(parts + 1)]
        assert firsts[0] == 0
        assert firsts[-1] == tasks.BUCKETS
        assert firsts == sorted(set(firsts))
        # As `_routed` reckons in SQL.
        for bucket in {0, 1, 12345, tasks.BUCKETS // 2, tasks.BUCKETS - 1}:
            part = bucket * parts // tasks.BUCKETS
            assert firsts[part] <= bucket < firsts[part + 1]


def test_the_task_with_most_rows_begins_first() -> None:
    middle = tasks.BUCKETS // 2
    groups = [(100, 0, tasks.BUCKETS - 1), (60, middle, middle), (10, 0, 5)]
    assert engine._order(groups, 4) == (2, 0, 1, 3)
    assert engine._order([], 3) == (0, 1, 2)


def test_little_is_not_worth_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert [engine._parts(size << 20, 8) for size in (0, 1, 2, 100, 1000)] == [1, 1, 2, 8, 63]


@needs_java
def test_checks_of_landed_rows_are_those_of_this_machine(
    warehouse: duckdb.DuckDBPyConnection, spark: Any, tmp_path: Path
) -> None:
    landed, kinds, this = (f'"w"."gold"."{name}"' for name in ("brz_things", "kinds", "slv_things__checked"))
    warehouse.execute(f"create table {kinds} as select i as code, 'kind ' || i as kind from range(5) as r(i)")
    warehouse.execute(
        f"create table {landed} as select i % 3 as file_id, i as row_number, i % 7 as code, "
        "case when i % 4 > 0 then i::varchar end as amount from range(3000) as r(i)"
    )
    new = f"where file_id in (select file_id from {landed} except select file_id from {this})"
    sql = f"""with landed as (
    select *, case when amount is null then ['no_amount'] end as rule_ids from {landed} {{}}
)
select landed.*, kinds.kind from landed left join {kinds} as kinds on landed.code = kinds.code"""
    model = ModelCode(
        "slv_things__checked", sql.format(""), "", "checked", {}, {landed: "brz", kinds: "kinds"}
    )
    found = computed(model, warehouse, spark, tmp_path)
    assert content(warehouse, found.sql) == content(warehouse, model.sql)
    warehouse.execute(f"create table {this} as {found.sql}; delete from {this} where file_id = 1")
    added = replace(model, sql=sql.format(new))
    found = computed(added, warehouse, spark, tmp_path)
    assert found.rows == 1000
    assert content(warehouse, found.sql) == content(warehouse, added.sql)


def killed_once(part: int, task: tasks.Task) -> dict[str, Any] | None:
    """Kill the machine's executor, which runs Python's processes, the first time that this is called."""
    mark = Path(task.folder, "killed")
    if not mark.exists():
        mark.touch()
        daemon = os.getppid()
        executor = int(Path(f"/proc/{daemon}/stat").read_text().rsplit(")", 1)[1].split()[1])
        os.kill(executor, 9)
    return tasks.compute_part(part, task)


@needs_java
def test_a_machine_that_dies_is_replaced_and_nothing_doubles(
    warehouse: duckdb.DuckDBPyConnection, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "compute_part", killed_once)
    # Where NULL stands in an order is a setting.
    sql = f"select k, i, rank() over (partition by k order by span) as n from {T}"
    found = computed(keyed(sql, "k"), warehouse, spark, tmp_path)
    assert Path(found.folder, "result", "killed").exists()
    assert content(warehouse, found.sql) == content(warehouse, sql)


def on_a_full_disk(part: int, task: tasks.Task) -> dict[str, Any] | None:
    """Compute where no file may be larger than a few bytes, as if the disk were full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        return tasks.compute_part(part, task)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def on_a_disk_that_is_full_once(part: int, task: tasks.Task) -> dict[str, Any] | None:
    mark = Path(task.folder, f"full-{part}")
    if mark.exists():
        return tasks.compute_part(part, task)
    mark.touch()
    return on_a_full_disk(part, task)


@needs_java
def test_a_disk_that_stays_full_is_told_and_one_that_was_is_tried_again(
    warehouse: duckdb.DuckDBPyConnection, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = f"select k, i from {T}"
    monkeypatch.setattr(engine, "compute_part", on_a_full_disk)
    with pytest.raises(Fault, match=r"no room left: .*File too large.* Free some there"):
        computed(keyed(sql, "k"), warehouse, spark, tmp_path)
    monkeypatch.setattr(engine, "compute_part", on_a_disk_that_is_full_once)
    found = computed(keyed(sql, "k"), warehouse, spark, tmp_path)
    result = Path(found.folder, "result")
    assert len(list(result.glob("full-*"))) == found.parts
    assert content(warehouse, found.sql) == content(warehouse, sql)
    # What a full disk began is not taken for a result.
    assert len(list(result.glob("*.parquet"))) == found.parts


@needs_java
def test_what_tasks_say_is_told(
    warehouse: duckdb.DuckDBPyConnection, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = f"select k, case when i = 1234 then error('row ' || i || ' is wrong') end as e from {T}"
    with pytest.raises(Fault, match="fct_things: Invalid Input Error: row 1234 is wrong"):
        computed(keyed(wrong, "k"), warehouse, spark, tmp_path)
    monkeypatch.setattr(engine, "_MEMORY", "12MiB")
    heavy = f"select k, list(repeat(i::varchar, 50000)) as l from {T} group by k"
    with pytest.raises(Fault, match=r"more than the 12MiB.* k heavy alone has 300 of its [\d,]+ rows"):
        computed(keyed(heavy, "k"), warehouse, spark, tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(duckdb, "__version__", "1.0.0")
    with pytest.raises(Fault, match=r"has DuckDB .*, this one 1\.0\.0: .*Install duckdb==1\.0\.0 there"):
        computed(keyed(f"select * from {T}", "k"), warehouse, spark, tmp_path)


def never_ending(part: int, task: tasks.Task) -> dict[str, Any] | None:
    Path(task.folder, "begun").touch()
    while True:
        time.sleep(0.05)


@needs_java
def test_an_interrupt_ends_what_spark_does(
    warehouse: duckdb.DuckDBPyConnection, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "compute_part", never_ending)
    monkeypatch.setattr(handover, "start", lambda master: spark)
    build = Handover("spark://here", tmp_path / "files", print, 0)
    asked = {**keyed(f"select * from {T}", "k").__dict__, "database": "w", "settings": {}}
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(build.compute, asked, warehouse.cursor())
        while not list(tmp_path.rglob("begun")) and not ended.done():
            wait([ended], timeout=0.1)
        build.cancel()
        with pytest.raises(Fault, match=r"Spark failed: .*cancelled"):
            ended.result()
    with pytest.raises(Fault, match="interrupted"):
        build.compute(asked, warehouse)


def all_but_one(part: int, task: tasks.Task) -> dict[str, Any] | None:
    return tasks.compute_part(part, task) if part else None


@needs_java
def test_rows_that_get_lost_stop_the_node(
    warehouse: duckdb.DuckDBPyConnection, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "compute_part", all_but_one)
    with pytest.raises(Fault, match=r"tasks read [\d,]+ rows of w\.gold\.t, which has 3,000"):
        computed(keyed(f"select * from {T}", "k"), warehouse, spark, tmp_path)


def test_the_cause_of_an_error_is_told() -> None:
    of_java = (
        "An error occurred while calling o1.collect.\n: org.apache.spark.SparkException: Job 3 aborted\n"
        "\tat org.apache.spark.Error: no\nCaused by: java.io.IOException: No route to head\n\tat java.base\n"
    )
    of_python = "Traceback:\nModuleNotFoundError: No module named 'duckdb'\n"
    of_version = (
        "pyspark.errors.exceptions.base.PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] Python in worker "
        "has different version: 3.9 than that in driver: 3.11, PySpark cannot run with different minor "
        "versions.\n"
    )
    of_program = 'Caused by: java.io.IOException: Cannot run program "/opt/python3": error=2, No such file\n'
    of_disk = (
        "Traceback:\n_duckdb.IOException: IO Error: Could not write file "
        '"/spark/assay-1/x.tmp": No space left on device\n\tat java.base\n'
    )
    for error, told in (
        (of_java, r"Spark failed: java\.io\.IOException: No route to head \(logs"),
        (of_python, "A machine of the cluster has no duckdb: install duckdb, pandas"),
        (of_version, r"has Python 3\.9, this one 3\.11: .* Install Python 3\.11 there"),
        (of_program, "has no /opt/python3: have PYSPARK_PYTHON name a Python"),
        (of_disk, r"no room left: .*Could not write file .* Free some there.*spark\.local\.dir"),
    ):
        with pytest.raises(Fault, match=told), session.faults_of_spark():
            raise ValueError(error)


def test_types_that_no_file_holds_are_refused_by_name() -> None:
    assert columns_as_text({"a": "HUGEINT", "b": "BIGINT", "c": 'STRUCT("HUGEINT" INTEGER)'}, "t") == ("a",)
    assert columns_as_text({"a": "ENUM('HUGEINT', 'x')"}, "t") == ()
    for kind in ("HUGEINT[]", "STRUCT(a INTERVAL)", "UNION(a INTEGER)"):
        with pytest.raises(Fault, match=r"t: column a is .* there"):
            columns_as_text({"a": kind}, "t")


def test_an_engine_that_is_unknown_or_lacks_java_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(tmp_path, tmp_path / "w.duckdb")
    for asked in ("flink", "spark:foo", "spark:spark://", "sparks"):
        monkeypatch.setenv("ASSAY_ENGINE", asked)
        said = pytest.raises(Fault, match=f"ASSAY_ENGINE is {asked}: there is spark")
        with said, handed_over(places, print):
            pass
    monkeypatch.setenv("ASSAY_ENGINE", "spark")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(Fault, match="needs Java 17 or later, and there is none"), handed_over(places, print):
        pass
    monkeypatch.setenv("ASSAY_ENGINE", "")
    with handed_over(places, print) as nothing:
        assert nothing.plugins == ()


def test_models_that_stay_here_do_not_start_spark(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    told: list[str] = []
    build = Handover("spark://nowhere:1", tmp_path / "files", told.append, 2)
    total = keyed(f"select sum(i) from {T}", "k")
    asked = {**total.__dict__, "database": "w", "settings": {}}
    with pytest.raises(Fault, match=r"distribute_by: k does not close it: SUM\(i\) counts in all rows"):
        build.compute(asked, warehouse)
    assert build.compute({**asked, "meta": {}}, warehouse) is None
    assert told == []
    landed, this = '"w"."gold"."landed"', '"w"."gold"."slv_things__checked"'
    warehouse.execute(
        f"create table {landed} as select 1 as file_id, 1 as row_number; create table {this} (file_id int)"
    )
    sql = f"from {landed} where file_id in (select file_id from {landed} except select file_id from {this})"
    few = ModelCode("slv_things__checked", f"select * {sql}", "", "checked", {}, {landed: "brz_things"})
    assert build.compute({**few.__dict__, "database": "w", "settings": {}}, warehouse) is None
    assert told == []
    assert build.compute({**asked, "settings": {"default_collation": "nocase"}}, warehouse) is None
    assert "default_collation" in told.pop()
    assert isinstance(decide(replace(total, meta={}), read_columns(warehouse, "w")), Here)
    build.end()
    assert told == [
        "This machine computed 1 node that could go to Spark, "
        "because each has fewer than 2 rows (ASSAY_SPARK_FROM)"
    ]


@pytest.mark.parametrize(("asked", "rows"), [("", 1_000_000), ("0", 0), (" 25 ", 25)])
def test_the_environment_says_how_many_rows_go_to_spark(
    asked: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_SPARK_FROM", asked)
    assert find_least_rows() == rows
    monkeypatch.setenv("ASSAY_SPARK_FROM", "1e6")
    with pytest.raises(Fault, match="ASSAY_SPARK_FROM is 1e6: it is a number of rows, such as 1000000"):
        find_least_rows()


def test_the_rows_of_a_node_are_those_that_go_by_key(warehouse: duckdb.DuckDBPyConnection) -> None:
    def count(*inputs: Input, spine: str | None = None) -> int:
        return count_rows(Job("", inputs, "", spine=spine), warehouse)

    assert count(Input(T, ("k",)), Input(SPINE_ROWS, ())) == 3000
    assert count(Input(T, ("k",)), Input(T, ("j",))) == 6000
    assert count(Input(T, ("k",), f"select * from {T} where i < 7")) == 7
    # Of a history, a training set needs no more than it asks for.
    assert count(Input(T, ("k",)), spine=f"select * from {T} where i < 5") == 5


def test_dbt_asks_by_a_function_of_sql(
    warehouse: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.spark import dbt_plugin

    build = Handover("spark://nowhere:1", tmp_path, print, 0)
    monkeypatch.setattr(dbt_plugin, "current", lambda: build)
    dbt_plugin.Plugin("spark", {}).configure_connection(warehouse)
    total = keyed(f"select sum(i) from {T}", "k")
    for meta, expected in (({}, {"sql": None}), (total.meta, {"fault": None})):
        asked = json.dumps({**total.__dict__, "meta": meta, "database": "w", "settings": {}})
        (answer,) = warehouse.execute("select assay_computed(?)", [asked]).fetchone() or ("",)
        assert json.loads(answer).keys() == expected.keys()


@needs_java
def test_a_build_hands_over_histories_and_joins(
    training: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    view = training.root / "models" / "own" / "gold" / "ftr_product__lines.sql"
    view.write_text("{{ config(materialized='history') }}" + view.read_text())
    training.land(6, *(number % 9 + 1 for number in range(700)))
    succeed(training, "build", "--all")
    tables = ("ftr_product__lines", "trn_lines")
    here = contents_of(training.warehouse, *(f"gold.{table}" for table in tables))
    training.settings.update({"ASSAY_ENGINE": "spark:local[2,4]", "ASSAY_SPARK_FROM": "0"})
    leftover = Path(f"{training.warehouse}.spark") / "of-a-killed-build"
    leftover.mkdir(parents=True)
    with mock.patch("assay.spark.handover.set_all", wraps=tasks.set_all) as given:
        told = succeed(training, "build", "--full-refresh")
    # A rule by which DuckDB answers wrongly is off in tasks, too.
    assert all(dict(call.args[1])["disabled_optimizers"] for call in given.call_args_list)
    for table, (_, (rows, *_)) in zip(tables, here, strict=True):
        assert f"Spark computed {rows:,} rows for {table}" in told
    assert not leftover.parent.exists()
    assert contents_of(training.warehouse, *(f"gold.{table}" for table in tables)) == here
    # Where they are computed changes no table.
    del training.settings["ASSAY_ENGINE"]
    assert "Spark" not in succeed(training, "build")


@needs_java
def test_the_build_after_one_that_was_killed_is_right(training: SmallProject) -> None:
    view = training.root / "models" / "own" / "gold" / "ftr_product__lines.sql"
    view.write_text("{{ config(materialized='history') }}" + view.read_text())
    settings = {"ASSAY_ENGINE": "spark:local[2,4]", "ASSAY_SPARK_FROM": "0", "SPARK_LOCAL_IP": "127.0.0.1"}
    training.settings.update(settings)
    command = ("build", "--full-refresh", "--select", "ftr_product__lines")
    exchanged = Path(f"{training.warehouse}.spark")
    build = training.start(*command)
    while not list(exchanged.glob("*/result")):
        assert build.poll() is None, build.communicate()
    build.kill()
    build.communicate()
    assert exchanged.exists()
    build = training.start(*command)
    told, errors = build.communicate()
    assert build.returncode == 0, told + errors
    assert "Spark computed" in told
    assert not exchanged.exists()
    after_kill = contents_of(training.warehouse, "gold.ftr_product__lines")
    training.settings["ASSAY_ENGINE"] = ""
    succeed(training, *command)
    assert contents_of(training.warehouse, "gold.ftr_product__lines") == after_kill


def contents_of(warehouse: Path, *tables: str) -> list[Any]:
    """Types and rows of tables of a warehouse."""
    with connect(warehouse) as connection:
        return [content(connection, f"from {table}") for table in tables]


@needs_java
def test_a_lake_that_is_kept_up_with_spark_equals_a_file_that_is_built_at_once(
    training: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    table = "ftr_product__lines"
    view = training.root / "models" / "own" / "gold" / f"{table}.sql"
    view.write_text("{{ config(materialized='history') }}" + view.read_text())
    settings = {"ASSAY_TARGET": "lake", "ASSAY_ENGINE": "spark:local[2,4]", "ASSAY_SPARK_FROM": "40"}
    lake = SmallProject(training.root, settings)
    command = ("build", "--select", f"+{table}")
    assert f"for {table} in" in succeed(lake, *command)
    # Half of the history goes to Spark, and little of it does not.
    training.land(6, *(number % 9 + 1 for number in range(300)))
    assert f"for {table} in" in succeed(lake, *command)
    training.land(7, 4)
    assert f"for {table} in" not in succeed(lake, *command)
    # Of what is new, Spark gets what it concerns.
    for day, rows in ((8, 50), (9, 60)):
        training.land(day, *(number % 9 + 1 for number in range(rows)))
        told = succeed(lake, *command)
        found = re.search(rf"Spark computed (\d+) rows for {table} in", told)
        assert found, told
        assert rows <= int(found[1]) < 8 * rows
    succeed(training, *command, "--full-refresh")
    catalog = training.root / "data" / "lake" / "assay.sqlite"
    tables = ("gold.fct_lines", f"gold.{table}")
    assert contents_of(catalog, *tables) == contents_of(training.warehouse, *tables)
