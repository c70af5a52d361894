"""The run ledger tells of each build what its nodes did, and shows the rows that failed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from prometheus_client.parser import text_string_to_metric_families
from small_project import MOST_PIECES, SmallProject, make_small_project

from assay.build.freshness import read_freshness
from assay.build.metrics_file import write_metrics
from assay.build.summary import _next_commands
from assay.core.fault import known_fault
from assay.core.places import NAMING_PLACES
from assay.ledger.explain import Origin, _lines
from assay.ledger.failing_rows import read_failing_rows
from assay.ledger.nodes import read_nodes
from assay.ledger.runs import Run, read_runs
from assay.ledger.status import tell_status
from assay.project.dbt_run import DbtEvents
from assay.project.failures import plain_message
from assay.project.findings import finding


@pytest.fixture(scope="module")
def built(builds: None, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """Built, built again with more lines, and then with lines that fail a test."""
    project = make_small_project(tmp_path_factory.mktemp("runs") / "project")
    models = project.root / "models" / "own" / "gold" / "_gold__models.yml"
    owned = models.read_text().replace("    config:\n", "    config:\n      meta: {owner: sales}\n", 1)
    exposure = "{name: report, type: dashboard, owner: {name: us}, depends_on: [ref('fct_lines')]}"
    models.write_text(f"{owned}\nexposures:\n  - {exposure}\n")
    assert project.assay("build").exit_code == 0
    project.land(4, 5, 6)
    assert project.assay("build").exit_code == 0
    project.land(5, *(MOST_PIECES + number for number in range(1, 31)))
    assert project.assay("build").exit_code == 1
    return project


def ledger(project: SmallProject) -> Path:
    return project.root / "data" / "ops.duckdb"


def test_every_node_is_kept(built: SmallProject) -> None:
    failed, second, first = read_runs(ledger(built))
    nodes = {node.name: node for node in read_nodes(ledger(built), first.run_id)}
    lines = nodes["fct_lines"]
    assert (lines.kind, lines.relation, lines.status, lines.table_rows) == (
        "model",
        "gold.fct_lines",
        "success",
        4,
    )
    assert lines.owner == "sales"
    assert lines.started_at is not None
    assert first.started_at < lines.started_at < first.ended_at
    assert nodes["fct_days"].table_rows is None
    assert {node.kind for node in nodes.values()} == {"model", "seed", "test", "operation"}
    tests = [node for node in nodes.values() if node.kind == "test"]
    assert len(tests) == first.tests_passed
    assert {node.status for node in tests} == {"pass"}
    rows = {node.name: node.table_rows for node in read_nodes(ledger(built), second.run_id)}
    assert rows["fct_lines"] == 6
    assert read_nodes(ledger(built), failed.run_id)


def test_a_test_that_failed_keeps_rows_whole(built: SmallProject) -> None:
    nodes = {node.name: node for node in read_nodes(ledger(built), read_runs(ledger(built))[0].run_id)}
    test = nodes["quantities_are_plausible"]
    assert (test.status, test.severity, test.failing_rows) == ("fail", "error", 30)
    assert (test.relation, test.owner) == ("gold.fct_lines.quantity", "sales")
    assert len(test.sample) == 20
    assert all(row["quantity"] > MOST_PIECES and row["order_line_id"] for row in test.sample)
    assert "expression" not in test.sample[0]


def test_runs_are_listed_and_shown(built: SmallProject) -> None:
    history = read_runs(ledger(built))
    listed = built.assay("runs", "list").stdout
    assert all(run.run_id[:8] in listed for run in history)
    assert listed.count("published") == 2
    shown = built.assay("runs", "show", history[0].run_id[:8]).stdout
    assert f"Run {history[0].run_id}: failed, assay build" in shown
    assert (
        "FAIL test quantities_are_plausible of gold.fct_lines.quantity, owner sales: 30 failing rows" in shown
    )
    assert "5 of them" in shown
    second = built.assay("runs", "show", history[1].run_id).stdout
    assert "What took longest" in second
    [change] = [text.split() for text in second.splitlines() if text.strip().startswith("gold.fct_lines")]
    assert change == ["gold.fct_lines", "6", "+2"]


def test_a_test_that_failed_is_explained(built: SmallProject) -> None:
    explained = built.assay("explain", "quantities_are_plausible")
    assert explained.exit_code == 0, explained.stderr
    said = " ".join(explained.stdout.split())
    assert "claims of gold.fct_lines.quantity: quantities are plausible." in said
    assert "fail, 30 failing rows." in said
    assert "erp/order_lines/landed_at=2025-01-05T02-00-00/lines.csv, row 1" in said
    assert "landed_at=2025-01-04" not in said
    assert "What to do: If the rows are wrong, let their source's contract" in said
    assert "The test is declared in models/own/gold/_gold__models.yml. Its owner is sales." in said
    for name in ("fct_lines", "gold.fct_lines"):
        refused = built.assay("explain", name)
        assert refused.exit_code == 2
        said = f"{name} is no test, but a model: it ended as success in run "
        assert " ".join(refused.stderr.split()).startswith(f"Error: {said}")
        assert "assay runs show" in refused.stderr
    refused = built.assay("explain", "quantities_are_plausibel")
    assert refused.exit_code == 2
    known = refused.stderr.removeprefix("Error: No build has run a test quantities_are_plausibel: there are ")
    assert known.endswith(".\n")
    names = known.removesuffix(".\n").split(", ")
    assert names == sorted(names)
    assert {"order_lines_are_kept_or_rejected", "quantities_are_plausible"} <= set(names)


def test_rows_are_traced_by_keys_of_any_name() -> None:
    row = {"2nd_id": 7, "order_id": None}
    with duckdb.connect() as connection:
        connection.execute(
            "create table checked as select 7 as \"2nd_id\", null as order_id, 'a.csv' as "
            "source_file, 3::bigint as row_number"
        )
        assert _lines(connection, "checked", [row]) == [Origin("a.csv", 3)]


def test_prometheus_is_told_of_the_last_build(built: SmallProject) -> None:
    families = text_string_to_metric_families((built.root / "data" / "assay.prom").read_text())
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }
    assert found["assay_build_succeeded",] == found["assay_build_published",] == 0
    assert found["assay_build_rows_landed",] == 30
    assert found["assay_table_rows", "gold.fct_lines"] == 36
    assert found["assay_build_nodes", "test", "fail"] == 1
    assert found["assay_build_tests_failed", "error"] == 1
    assert found["assay_build_tests_failed", "warn"] == 0
    assert found["assay_build_source_rows_landed", "erp/order_lines"] == 30
    assert [value for name, value in found.items() if name[0] == "assay_rejected_rows"] == [1]
    last, succeeded, _ = read_runs(ledger(built))
    assert last.ended_at is not None
    assert succeeded.ended_at is not None
    assert found["assay_build_last_success_timestamp_seconds",] == pytest.approx(
        succeeded.ended_at.replace(tzinfo=UTC).timestamp()
    )
    assert found["assay_build_ended_timestamp_seconds",] == pytest.approx(
        last.ended_at.replace(tzinfo=UTC).timestamp()
    )


def test_prometheus_is_told_since_when_a_source_is_silent(built: SmallProject, tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "assay.duckdb") as warehouse:
        warehouse.execute(
            """
            create schema gold;
            create table gold.mon_freshness as
            from (values
                ('crm.customers', timestamp '2025-01-01 12:00:00', 3600.0, 'stale'),
                ('erp.order_lines', timestamp '2025-01-02', null, 'no limit'),
                ('web.events', null, 60.0, 'empty')
            ) as sources (source_table, last_available_at, limit_seconds, verdict)
            """
        )
    freshness = read_freshness(tmp_path / "assay.duckdb")
    write_metrics(tmp_path, read_runs(ledger(built))[0], [], succeeded_at=None, freshness=freshness)
    families = text_string_to_metric_families((tmp_path / "assay.prom").read_text())
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if "_source_" in sample.name and not sample.name.endswith("landed")
    }
    noon = datetime(2025, 1, 1, 12, tzinfo=UTC).timestamp()
    assert found == {
        ("assay_source_available_timestamp_seconds", "crm/customers"): noon,
        ("assay_source_available_timestamp_seconds", "erp/order_lines"): noon + 12 * 3600,
        ("assay_source_fresh_for_seconds", "crm/customers"): 3600,
        ("assay_source_fresh_for_seconds", "web/events"): 60,
        ("assay_source_stale", "crm/customers"): 1,
        ("assay_source_stale", "web/events"): 0,
    }


def test_an_id_that_is_none_or_several_is_told(built: SmallProject) -> None:
    for run_id, said in (("nothing", "No run begins with nothing"), ("", "Several runs begin with")):
        ended = built.assay("runs", "show", run_id)
        assert ended.exit_code == 2
        assert said in ended.stderr


def test_a_ledger_from_before_nodes_were_kept_is_shown(built: SmallProject, tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"attach '{ledger(built)}' as old (read_only)")
        connection.execute(f"attach '{tmp_path / 'ops.duckdb'}' as new")
        connection.execute("create table new.runs as from old.runs")
    [*_, first] = read_runs(tmp_path / "ops.duckdb")
    assert read_nodes(tmp_path / "ops.duckdb", first.run_id) == []


def test_before_the_first_build_there_is_nothing_to_list(tmp_path: Path) -> None:
    ended = make_small_project(tmp_path / "project").assay("runs", "list")
    assert ended.exit_code == 0
    assert "To build: assay build" in ended.stdout


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        # As dbt-expectations and dbt itself write tests.
        (
            "with g as (select (quantity < 2) as expression from t) select * from g where not expression",
            [{"id": "b", "quantity": 2}, {"id": "c", "quantity": 3}],
        ),
        ("select quantity from t where quantity > 2", [{"id": "c", "quantity": 3}]),
        # The set of values that are allowed, as both write it, with a condition put around the table.
        (
            "with v as (select id as value_field from (select * from t where quantity > 1) s), allowed as ("
            "select cast('b' as text) as value_field union all select 'x'), errors as (select v.value_field "
            "from v left join allowed a on v.value_field = a.value_field where a.value_field is null) "
            "select * from errors",
            [{"id": "c", "quantity": 3}],
        ),
        (
            "with child as (select id as from_field from t), parent as (select n as to_field from u) "
            "select from_field from child left join parent on from_field = to_field where to_field is null",
            [{"id": "a", "quantity": 1}, {"id": "b", "quantity": 2}],
        ),
        # Of many rows at once there is the figure, of a column of that name its value.
        (
            "with g as (select (count(*) > 5 and sum(quantity) > 9) as expression from t) select * from g",
            [{"count(*)": 3, "sum(quantity)": 6}],
        ),
        (
            "select id, count(*) as expression from t where id = 'a' group by 1",
            [{"id": "a", "expression": 1}],
        ),
        ("select * from (select id from t union all select n from u) limit 1", [{"id": "a"}]),
        (
            "select quantity as n, count(*) as times from t group by 1 having n > 2",
            [{"n": 3, "times": 1}],
        ),
        ("select sum(quantity) as total from t", [{"total": 6}]),
        ("select quantity from nowhere", []),
    ],
)
def test_rows_that_fail_are_whole(sql: str, rows: list[dict[str, object]]) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "create table t as from (values ('a', 1), ('b', 2), ('c', 3)) as things (id, quantity);"
            "create table u as select 'c' as n"
        )
        assert read_failing_rows(connection, sql) == rows


MISSED = {"promise": "completeness", "arrived_on": None, "promised": 0.999}


@pytest.mark.parametrize(
    ("arguments", "row", "said"),
    [
        ({}, MISSED | {"observed": 0.9897}, "completeness is 98.97%, promised is 99.90%"),
        ({}, MISSED | {"observed": 0.99896}, "completeness is 99.896%, promised is 99.900%"),
        (
            {"column_name": "x", "tolerated_share": 0.01},
            {"row_count": 1000, "absent_count": 20, "absent_share": 0.02, "tolerated_share": 0.01},
            "20 of 1,000 values are absent (2.00%), tolerated are 1.00%",
        ),
        (
            {"column_name": "quantity", "max_value": 9, "strictly": True},
            {"line_id": "a", "quantity": 10, "price": 1.5},
            "line_id is a, quantity is 10; allowed is less than 9",
        ),
        (
            {"min_value": 1, "group_by": ["day"]},
            {"col_1": 3, "count(*)": 0},
            "day is 3: count(*) is 0; allowed is at least 1",
        ),
        ({"value_set": ["a", "b"], "column_name": "x"}, {"x": None}, "x is NULL; allowed is one of a, b"),
        ({"column_A": "a", "column_B": "b"}, {"a": 1, "b": 2}, "a is 1, b is 2; allowed is a > b"),
        (
            {"compare_model": "t"},
            {"expression": 5, "compare_expression": None, "expression_difference": 5},
            "5 rows, where the other table asks for 0",
        ),
    ],
)
def test_what_a_test_found_is_said_as_a_figure_and_its_limit(
    arguments: dict[str, object], row: dict[str, object], said: str
) -> None:
    config = SimpleNamespace(severity="WARN", warn_if="!= 0", error_if="!= 0")
    assert (
        finding(SimpleNamespace(test_metadata=SimpleNamespace(kwargs=arguments), config=config), [row])
        == said
    )


def test_a_test_that_lets_some_rows_fail_says_how_many() -> None:
    config = SimpleNamespace(severity="ERROR", warn_if="> 5", error_if="> 10")
    assert (
        finding(SimpleNamespace(config=config), [])
        == "it warns if rows that fail are > 5, it fails if they are > 10"
    )


def test_progress_counts_each_node_that_dbt_planned_once() -> None:
    told: list[str] = []
    watcher = SimpleNamespace(
        planned=lambda nodes: told.append(f"planned {nodes}"),
        started=lambda node: told.append(f"started {node}"),
        ended=lambda node: told.append(f"ended {node}"),
        heard=lambda event: None,
    )
    events = DbtEvents(lambda run_id: None, watcher)

    def tell(name: str, node: str = "", kind: str = "model", materialized: str = "table") -> None:
        info = SimpleNamespace(unique_id=node, node_name=node, resource_type=kind, materialized=materialized)
        data = SimpleNamespace(node_info=info, node_count=3)
        events(SimpleNamespace(info=SimpleNamespace(name=name, invocation_id="r"), data=data))

    tell("ConcurrencyLine")
    # A model that another's SQL holds, a unit test, and a model by batches are told of as dbt tells of them.
    for name in ("NodeStart", "NodeFinished"):
        tell(name, "held", materialized="ephemeral")
        tell(name, "unit", "unit_test")
    tell("SkippingDetails", "another unit", "unit_test")
    for name in ("NodeStart", "NodeStart", "NodeFinished", "NodeStart", "NodeFinished", "NodeFinished"):
        tell(name, "batches", materialized="incremental")
    for name in ("NodeStart", "SkippingDetails", "NodeFinished"):
        tell(name, "skipped", "test")
    tell("SkippingDetails", "after a hook that failed")
    assert told == [
        "planned 3",
        "started batches",
        "ended batches",
        "started skipped",
        "ended skipped",
        "ended after a hook that failed",
    ]


def test_a_run_of_which_products_were_held_back_is_published_in_part() -> None:
    at = datetime(2025, 6, 1)
    run = Run("a", "w", at, "assay build", {}, status="failed", published_at=at)
    assert tell_status(run, None) == "published in part"
    run.status = "succeeded"
    assert tell_status(run, None) == "published"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("IO Error: Corrupt database file: checksum 1 does not match stored checksum 2", "is damaged"),
        ('IO Error: Could not read enough bytes from file "/a/b.duckdb": attempted', "is damaged"),
        ('IO Error: Could not read from file "/a/b.duckdb": Is a directory', "/a/b.duckdb is a folder"),
        (
            "IO Error: Trying to read a database file with version number 999, "
            "but we can only read versions between 64 and 68.",
            f"written by a newer DuckDB than the {duckdb.__version__} here",
        ),
    ],
)
def test_a_file_that_is_none_of_duckdb_is_told(error: str, said: str) -> None:
    fault = known_fault(error)
    assert fault is not None
    assert said in str(fault)
    assert "the folder of the warehouse away" not in str(fault), "what landed lies there by default"


def test_what_dbt_says_keeps_its_place_where_nothing_else_names_it() -> None:
    message = "Compilation Error in model fct_x (models/gold/fct_x.sql)\n  unexpected '}', expected ')'"
    assert plain_message(message) == "unexpected '}', expected ')'"
    assert plain_message(message, with_place=True).startswith("model fct_x (models/gold/fct_x.sql):\n")


def test_of_the_traceback_of_a_python_model_its_exception_is_told() -> None:
    message = """Runtime Error in model slv_x (models/silver/slv_x.py)
  Python model failed:
  Traceback (most recent call last):
    File "/tmp/slv_x.py", line 7, in model
      return session.sql("select 1 +")
             ^^^^^^^^^^^^^^^^^^^^^^^^^
  _duckdb.ParserException: Parser Error: syntax error at end of input

  LINE 1: select 1 +
                   ^"""
    assert plain_message(message) == "Parser Error: syntax error at end of input"


@pytest.mark.parametrize(
    "message",
    [
        "Contract enforcement failed for: (models/gold/lbl_x.sql)\n"
        "Constraints must be defined in a `yml` schema configuration file like `schema.yml`.",
        "Compilation Error in model lbl_x (models/gold/lbl_x.sql)\n"
        "  This model has an enforced contract, and its 'columns' specification is missing",
    ],
)
def test_a_model_without_yaml_says_how_to_write_it(message: str) -> None:
    assert "assay features yaml lbl_x --write" in plain_message(message)


def test_what_is_next_is_of_the_same_warehouse_and_landing_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    report: Any = SimpleNamespace(verdict=SimpleNamespace(failures=[]), publication=None)
    for name in NAMING_PLACES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.prefix", "/usr")
    assert _next_commands(report) == ["assay status", "assay docs"]
    monkeypatch.setenv("ASSAY_WAREHOUSE", "/data/my shop.duckdb")
    monkeypatch.setenv("ASSAY_LANDING", "drop")
    named = "ASSAY_LANDING=drop ASSAY_WAREHOUSE='/data/my shop.duckdb'"
    assert _next_commands(report) == [f"{named} assay status", f"{named} assay docs"]
    monkeypatch.delenv("ASSAY_WAREHOUSE")
    monkeypatch.delenv("ASSAY_LANDING")
    monkeypatch.setenv("ASSAY_TARGET", "lake")
    assert _next_commands(report) == ["ASSAY_TARGET=lake assay status", "ASSAY_TARGET=lake assay docs"]
