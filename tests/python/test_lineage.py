"""What is made of what, column by column: as DuckDB binds it, and as builds tell it to OpenLineage."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from unittest import mock
from uuid import UUID

import duckdb
import pytest
from openlineage.client.generated import base
from small_project import MOST_PIECES, SmallProject, make_small_project

from assay.ledger.runs import read_runs
from assay.lineage.columns import Untraceable, lineage_of, tables_of
from assay.lineage.followed import follow

Event = dict[str, Any]


@pytest.fixture(scope="module")
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(
            """
            create table o (id int, amount decimal(18, 2), "Who" varchar, moment timestamp);
            create table c (who varchar, name varchar, since timestamp);
            create view big as select * from o where amount > 100;
            """
        )
        yield connection


# A source with ~ before it is not taken as it is.
@pytest.mark.parametrize(
    ("query", "sources"),
    [
        ("select * from o", {"id": "id", "Who": "Who"}),
        ("select * exclude (id), amount * 2 as twice from o", {"moment": "moment", "twice": "~amount"}),
        ("with a as (select amount as x from o) select x as y from a", {"y": "amount"}),
        ("select sum(amount) as total, count(*) as n from o group by id", {"total": "~amount", "n": ""}),
        ("select sum(amount) filter (where id > 1) as s from o", {"s": "~amount ~id"}),
        (
            "select max(amount) over (partition by id order by moment) as m from o",
            {"m": "~amount ~id ~moment"},
        ),
        # Rows and values that are packed as structs keep their fields apart.
        ("with a as (select o as r from o) select r.* from a", {"amount": "amount", "Who": "Who"}),
        (
            "with a as (select struct_pack(x := id, y := moment) as s from o) select s.y as z from a",
            {"z": "moment"},
        ),
        ("with a as (select o as r from o) select r as whole from a", {"whole": "~id ~amount ~Who ~moment"}),
        (
            'select amount, name from o asof left join c on o."Who" = c.who and o.moment >= c.since',
            {"amount": "amount", "name": "name"},
        ),
        ("select amount from o union all select id from o", {"amount": "amount ~id"}),
        ('select "Who" as k from o union select who from c', {"k": "Who who"}),
        ("select amount from o except select 1", {"amount": "amount"}),
        ('select id from o where "Who" in (select who from c)', {"id": "id"}),
        ('select "Who" in (select who from c) as is_known from o', {"is_known": "~Who ~who"}),
        ("select id + 1 as n from o union all select id from o", {"n": "~id"}),
        ('select (select max(name) from c where who = o."Who") as name from o', {"name": "~name"}),
        ('select (select o.amount + count(*) from c where who = o."Who") as n from o', {"n": "~amount"}),
        ("select unnest([amount, id]) as each from o", {"each": "~amount ~id"}),
        (
            "with recursive r as (select id as x, amount as y, moment as z, 1 as n from o "
            "union all select y, z::int, z, n + 1 from r where n < 3) select x from r",
            {"x": "id ~amount ~moment"},
        ),
        ("select amount from big order by moment limit 3", {"amount": "amount"}),
        ("select v.a, 5 as five from o, (values (1)) as v (a)", {"a": "", "five": ""}),
        ("pivot o on id in (1, 2) using sum(amount)", {"1": "~amount ~id", "2": "~amount ~id"}),
        ("select range as n, rowid as number from o, range(3)", {"n": "", "number": ""}),
    ],
)
def test_columns_are_followed_to_their_sources(
    tables: duckdb.DuckDBPyConnection, query: str, sources: dict[str, str]
) -> None:
    found = lineage_of(tables, query).columns
    assert list(found) == tables.sql(query).columns
    for name, expected in sources.items():
        told = {f"{'' if is_same else '~'}{column.name}" for column, is_same in found[name].items()}
        assert told == set(expected.split()), name


def test_all_that_is_read_is_told_though_no_column_comes_of_it(tables: duckdb.DuckDBPyConnection) -> None:
    found = lineage_of(tables, 'select amount from o semi join c on o."Who" = c.who')
    assert found.relations == {"memory.main.o", "memory.main.c"}
    assert list(found.columns["amount"]) == [("memory.main.o", "amount")]


def test_views_are_not_looked_through(tmp_path: Path) -> None:
    with duckdb.connect(tmp_path / "shop.duckdb") as warehouse:
        warehouse.execute("create schema gold; create table gold.lines (\"Id\" int, kind enum ('a', 'b'))")
        warehouse.execute('create view gold.some_lines as select "Id" as line_id, kind from gold.lines')
    with tables_of(tmp_path / "shop.duckdb") as tables:
        found = lineage_of(tables, "select line_id as n from shop.gold.some_lines")
        assert found.relations == {"shop.gold.some_lines"}
        assert found.columns == {"n": {("shop.gold.some_lines", "line_id"): True}}
        assert lineage_of(tables, "from gold.lines").columns["Id"] == {("shop.gold.lines", "Id"): True}


def test_a_query_is_followed_again_once_what_it_reads_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path))
    queries = {"one": "select * from a", "two": "select n from b except select n from a", "no": "from c"}
    with duckdb.connect() as tables:
        tables.execute("create table a (n int); create table b (n int)")

        def followed() -> list[str]:
            """The queries that are followed anew; what is found is what would be found from nothing."""
            with mock.patch("assay.lineage.followed.lineage_of", wraps=lineage_of) as asked:
                found, not_followed = follow(tables, queries)
            assert found == {name: lineage_of(tables, queries[name]) for name in ("one", "two")}
            assert "c does not exist" in not_followed["no"]
            return [call.args[1] for call in asked.call_args_list]

        assert followed() == list(queries.values())
        # What cannot be followed is tried again.
        assert followed() == ["from c"]
        tables.execute("alter table b add column m int")
        assert followed() == [queries["two"], "from c"]
        tables.execute("alter table a alter n type bigint")
        assert followed() == list(queries.values())
        queries["one"] += " where n > 1"
        assert followed() == [queries["one"], "from c"]


def test_what_cannot_be_followed_is_refused(tables: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    with pytest.raises(Untraceable, match="not implemented"):
        lineage_of(tables, f"select * from read_csv('{tmp_path / 'a.csv'}')")
    with pytest.raises(duckdb.Error, match="nowhere"):
        lineage_of(tables, "select * from nowhere")


# --- events -------------------------------------------------------------------------------------------------


def settings(**more: str) -> dict[str, str]:
    return {f"OPENLINEAGE__TRANSPORT__{name.upper()}": value for name, value in more.items()}


def build_with(project: SmallProject, variables: dict[str, str]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SmallProject, "environment", project.environment | variables)
        return project.assay("build")


@pytest.fixture(scope="module")
def told(builds: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallProject, list[Event]]:
    project = make_small_project(tmp_path_factory.mktemp("lineage") / "project")
    models = project.root / "models" / "own" / "gold" / "_gold__models.yml"
    models.write_text(
        models.read_text().replace("    config:\n", "    config:\n      meta: {owner: sales}\n", 1)
    )
    file = project.root / "events.jsonl"
    build = build_with(project, settings(type="file", log_file_path=str(file), append="true"))
    assert build.exit_code == 0, build.stdout
    assert "Warning" not in build.stdout
    return project, [json.loads(line) for line in file.read_text().splitlines()]


def of(events: list[Event], job: str, state: str = "COMPLETE") -> Event:
    [found] = [each for each in events if each["job"]["name"] == job and each["eventType"] == state]
    return found


def test_events_of_a_build_are_children_of_its_run(told: tuple[SmallProject, list[Event]]) -> None:
    project, events = told
    [run] = read_runs(project.root / "data" / "ops.duckdb")
    assert [events[place]["eventType"] for place in (0, -1)] == ["START", "COMPLETE"]
    assert {events[place]["run"]["runId"] for place in (0, -1)} == {run.run_id}
    children = events[1:-1]
    assert {each["run"]["facets"]["parent"]["run"]["runId"] for each in children} == {run.run_id}
    assert all(UUID(each["run"]["runId"]) != UUID(run.run_id) for each in children)
    assert {each["producer"] for each in events} == {"urn:assay"}
    states: dict[str, list[str]] = {}
    for each in children:
        states.setdefault(each["run"]["runId"], []).append(each["eventType"])
    assert set(map(tuple, states.values())) == {("START", "COMPLETE")}


def test_columns_of_a_table_name_those_they_come_from(told: tuple[SmallProject, list[Event]]) -> None:
    project, events = told
    event = of(events, "assay.gold.fct_days")
    [output] = event["outputs"]
    assert output["name"] == "assay.gold.fct_days"
    assert output["namespace"] == f"duckdb://{project.warehouse}"
    assert [each["name"] for each in event["inputs"]] == ["assay.gold.fct_lines"]
    fields = output["facets"]["columnLineage"]["fields"]
    assert {name: [each["field"] for each in of_it["inputFields"]] for name, of_it in fields.items()} == {
        "order_date": ["event_at"],
        "pieces": ["quantity"],
    }
    [source] = fields["pieces"]["inputFields"]
    assert (source["name"], source["namespace"]) == ("assay.gold.fct_lines", output["namespace"])
    assert source["transformations"] == [{"type": "DIRECT", "subtype": "TRANSFORMATION"}]


def test_a_table_is_told_with_its_columns_rows_owner_and_sql(told: tuple[SmallProject, list[Event]]) -> None:
    _, events = told
    event = of(events, "assay.gold.fct_lines")
    [output] = event["outputs"]
    [first, *_] = output["facets"]["schema"]["fields"]
    assert (first["name"], first["type"]) == ("order_line_id", "VARCHAR")
    assert first["description"] == "Hash of the line."
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 4
    assert output["facets"]["ownership"]["owners"] == [{"name": "sales"}]
    assert output["facets"]["documentation"]["description"] == "Order lines."
    assert "slv_order_lines" in event["job"]["facets"]["sql"]["query"]
    [above] = event["inputs"]
    assert above["name"] == "assay.silver.slv_order_lines"
    # Python models have no SQL; what they depend on is known all the same.
    assert of(events, "assay.bronze.brz_files")["outputs"][0]["facets"]["schema"]["fields"]


def test_what_was_tested_is_told_with_what_was_found(told: tuple[SmallProject, list[Event]]) -> None:
    _, events = told
    [about] = of(events, "assay.gold.fct_lines.tests")["inputs"]
    claims = about["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert {(each["assertion"], each["success"], each["column"]) for each in claims} == {
        ("quantities_are_plausible", True, "quantity")
    }


def test_events_are_as_the_standard_says(told: tuple[SmallProject, list[Event]]) -> None:
    """The client's classes check times, ids and addresses, and know no other fields."""
    _, events = told
    for each in events:
        fields = dict(each)
        assert fields.pop("schemaURL") == base.RunEvent._get_schema()
        run, job = base.Run(**fields.pop("run")), base.Job(**fields.pop("job"))
        inputs = [base.InputDataset(**dataset) for dataset in fields.pop("inputs")]
        outputs = [base.OutputDataset(**dataset) for dataset in fields.pop("outputs")]
        state = base.EventType(fields.pop("eventType"))
        base.RunEvent(run=run, job=job, inputs=inputs, outputs=outputs, eventType=state, **fields)
        for facet in (*run.facets.values(), *job.facets.values()):
            assert facet["_schemaURL"].startswith("https://openlineage.io/spec/")
            assert facet["_producer"]


def test_a_build_that_failed_says_so(project: SmallProject) -> None:
    project.land(5, MOST_PIECES + 1)
    (project.root / "models" / "own" / "gold" / "fct_broken.sql").write_text(
        "{{ config(contract={'enforced': false}) }} select error('broken') as x"
    )
    file = project.root / "events.jsonl"
    assert build_with(project, settings(type="file", log_file_path=str(file), append="true")).exit_code == 1
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert events[-1]["eventType"] == "FAIL"
    broken = of(events, "assay.gold.fct_broken", "FAIL")
    assert "broken" in broken["run"]["facets"]["errorMessage"]["message"]
    assert broken["outputs"] == []
    assert of(events, "assay.gold.fct_lines.tests", "FAIL")["inputs"]


class _Receiver(BaseHTTPRequestHandler):
    received: list[Event]

    def do_POST(self) -> None:
        self.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_events_are_posted_to_an_address(project: SmallProject) -> None:
    _Receiver.received = []
    server = HTTPServer(("127.0.0.1", 0), _Receiver)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        build = build_with(project, {"OPENLINEAGE_URL": f"http://127.0.0.1:{server.server_port}"})
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert build.exit_code == 0
    assert "Lineage" not in build.stdout
    states = [each["eventType"] for each in _Receiver.received]
    assert (states[0], states[-1], states.count("FAIL")) == ("START", "COMPLETE", 0)


def test_an_address_where_nobody_listens_fails_no_build(project: SmallProject) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    build = build_with(project, {"OPENLINEAGE_URL": f"http://127.0.0.1:{port}"})
    assert build.exit_code == 0
    said = " ".join(build.stdout.split())
    assert "Warning: Lineage was not sent, but for 0 of" in said
    assert "Published" in said


def test_without_the_extra_it_is_said_what_to_install(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openlineage.client", None)
    build = build_with(project, {"OPENLINEAGE_URL": "http://127.0.0.1:1"})
    assert build.exit_code == 0
    assert "pip install 'assay[lineage]'" in " ".join(build.stdout.split())
