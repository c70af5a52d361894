"""Contracts are the truth at both edges: dbt's side follows them, and what breaks them is stopped."""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import duckdb
import pytest
import yaml
from contract_project import change_contract, column, contract_file, make_contract_project
from small_project import MOST_PIECES, PROJECT, SmallProject

from assay.contracts.adopt import adopt
from assay.contracts.consistency import find_inconsistencies
from assay.contracts.contract import read_contracts
from assay.contracts.declaration import Additions
from assay.contracts.document import parse
from assay.contracts.learn import learn
from assay.core.fault import Fault
from assay.landing.declared import LandingTable
from assay.ledger.contracts import ContractState, read_newest_contracts
from assay.ledger.nodes import read_nodes
from assay.ledger.runs import read_runs
from assay.project.project import Project
from assay.project.warehouse import connect

pytestmark = pytest.mark.minutes

CONTRACTS = PROJECT / "contracts"


@pytest.fixture(scope="module")
def built_contracts(built_project: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    """Built and published once, to copy."""
    root = tmp_path_factory.mktemp("contracts") / "project"
    return make_contract_project(SmallProject(Path(shutil.copytree(built_project.root, root))))


@pytest.fixture
def project(built_contracts: SmallProject, tmp_path: Path) -> SmallProject:
    return SmallProject(Path(shutil.copytree(built_contracts.root, tmp_path / "project")))


def model_entry(project: SmallProject, model: str) -> dict[str, Any]:
    path = project.root / "models" / "own" / "gold" / "_gold__models.yml"
    models = yaml.safe_load(path.read_text())["models"]
    found: dict[str, Any] = next(each for each in models if each["name"] == model)
    return found


def files(project: SmallProject) -> dict[Path, str]:
    kept = ("models", "seeds", "contracts")
    texts = {path: path.read_text() for folder in kept for path in (project.root / folder).rglob("*.*")}
    return texts | {Path("dbt_project.yml"): (project.root / "dbt_project.yml").read_text()}


@pytest.mark.usefixtures("builds")
def test_every_source_and_every_table_of_gold_is_under_contract() -> None:
    contracts, findings = read_contracts(CONTRACTS / "platform", CONTRACTS / "example")
    assert not findings
    assert not list(find_inconsistencies(contracts))
    relations = {table.relation for contract in contracts for table in contract.tables}
    models = {
        f"gold.{path.stem}"
        for path in (PROJECT / "models").glob("*/gold/**/*.[sp][qy]*")
        if "config(enabled=false)" not in path.read_text()
    }
    assert {each for each in relations if each.startswith("gold.")} == models
    landing = {
        f"landing.{table['identifier']}"
        for path in (PROJECT / "models").glob("*/bronze/**/_*__sources.yml")
        for source in yaml.safe_load(path.read_text())["sources"]
        for table in source["tables"]
    }
    assert {each for each in relations if each.startswith("landing.")} == landing


@pytest.mark.usefixtures("builds")
@pytest.mark.parametrize("path", sorted(CONTRACTS.rglob("*.odcs.yaml")), ids=lambda path: path.stem)
def test_other_tools_read_our_contracts(path: Path) -> None:
    from datacontract.data_contract import DataContract

    run = DataContract(data_contract_file=str(path)).lint()
    # The standard has no word for the topic of a server, which a stream needs.
    unknown_topic = r"data\.servers\[0\]: unknown fields are ignored: 'topic'\..*"
    others = [check for check in run.checks if not re.fullmatch(unknown_topic, check.reason or "")]
    assert [check.result for check in others] == ["passed"], run.pretty()


@pytest.mark.usefixtures("builds")
def test_the_projects_own_yaml_is_as_its_contracts_have_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASSAY_WAREHOUSE", str(tmp_path / "none.duckdb"))
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "target"))
    monkeypatch.chdir(PROJECT)
    from assay.contracts.check import check_project

    assert [str(finding) for finding in check_project().findings] == []


def test_a_second_sync_changes_nothing(project: SmallProject) -> None:
    before = files(project)
    synced = project.assay("contracts", "sync")
    assert (synced.exit_code, synced.stdout.strip()) == (
        0,
        "Nothing to write: dbt's side is as the contracts have it.",
    )
    assert files(project) == before
    checked = project.assay("contracts", "check")
    assert checked.exit_code == 0, checked.stdout
    assert "No differences between contracts, dbt's YAML and the warehouse." in checked.stdout


def test_a_contract_of_old_gets_its_server_and_a_new_source_its_description(project: SmallProject) -> None:
    (server,) = yaml.safe_load(contract_file(project, "lines").read_text())["servers"]

    def age(contract: dict[str, Any]) -> None:
        contract["schema"][0]["physicalName"] = f"{contract.pop('servers')[0]['schema']}.fct_lines"

    change_contract(project, "lines", age)
    new = SOURCE.replace("id: x", "id: shop").replace("landing.t", "landing.shop__t")
    contract_file(project, "shop").write_text(new + "description: {purpose: The shop.}\n")
    checked = project.assay("contracts", "check")
    assert checked.exit_code == 1
    assert (
        "lines has no servers, so other tools do not find its tables: add servers: [{server: published"
        in (checked.stdout)
    )
    synced = project.assay("contracts", "sync")
    assert "Written: contracts/lines.odcs.yaml" in synced.stdout
    contract = yaml.safe_load(contract_file(project, "lines").read_text())
    assert (contract["servers"], contract["schema"][0]["physicalName"]) == ([server], "fct_lines")
    [declared] = [
        source
        for path in project.root.glob("models/*/bronze/_bronze__sources.yml")
        for source in yaml.safe_load(path.read_text())["sources"]
        if source["name"] == "shop"
    ]
    assert declared["description"] == "The shop."
    assert "Nothing to write" in project.assay("contracts", "sync").stdout


def test_what_silver_checks_it_goes_on_checking_once_files_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dbt_project.yml").write_text("name: x\nprofile: x\n")
    (tmp_path / "contracts").mkdir()
    by_silver = "string, customProperties: [{property: checkedBy, value: silver}]"
    text = SOURCE + COLUMN.format(by_silver).replace("name: a", "name: b")
    (tmp_path / "contracts" / "x.odcs.yaml").write_text(text)
    table = LandingTable("x", "t", "csv")
    path = learn(table, Additions(types={"a": "integer", "b": "integer"}))
    assert path is not None
    learnt = yaml.safe_load(path.read_text())["schema"][0]["properties"]
    assert [(each["logicalType"], each["customProperties"][0]["value"]) for each in learnt] == [
        ("integer", "landing"),
        ("integer", "silver"),
    ]


def test_what_a_product_promises_is_written_into_dbts_yaml(project: SmallProject) -> None:
    def promise(contract: dict[str, Any]) -> None:
        contract["team"]["name"] = "stock"
        contract["slaProperties"] = [{"property": "endOfSupport", "value": "2099-12-31"}]
        table = contract["schema"][0]
        table["description"] = "Lines, whole."
        table["quality"] = [{"name": "lines_are_not_few", "metric": "rowCount", "mustBeGreaterThan": 1}]
        line_id, quantity = column(contract, "order_line_id"), column(contract, "quantity")
        line_id |= {"required": True, "primaryKey": True, "description": "The line."}
        quantity["logicalTypeOptions"] = {"minimum": 0}
        quantity["quality"] += [
            {"name": "quantities_are_there", "metric": "nullValues", "mustBeLessThan": 0.1, "unit": "percent"}
        ]
        column(contract, "product_id")["quality"] = [
            {
                "metric": "invalidValues",
                "arguments": {"pattern": "^P"},
                "mustBe": 0,
                "severity": "warning",
                "description": "Old codes come, too.",
            }
        ]

    change_contract(project, "lines", promise)
    differing = project.assay("contracts", "check")
    assert differing.exit_code == 1
    assert "gold.fct_lines differs in models/own/gold/_gold__models.yml: description." in differing.stdout
    assert "test lines_are_not_few is added" in differing.stdout
    assert project.assay("contracts", "sync").exit_code == 0
    entry = model_entry(project, "fct_lines")
    columns = {each["name"]: each for each in entry["columns"]}
    assert (entry["description"], str(entry["deprecation_date"])) == ("Lines, whole.", "2099-12-31")
    assert entry["constraints"] == [{"type": "primary_key", "columns": ["order_line_id"]}]
    assert columns["order_line_id"]["constraints"] == [{"type": "not_null"}]
    assert [list(test) for test in entry["data_tests"]] == [
        ["dbt_expectations.expect_table_row_count_to_be_between"]
    ]
    assert [next(iter(test.values()))["name"] for test in columns["quantity"]["data_tests"]] == [
        "quantities_are_plausible",
        "quantities_are_there",
        "fct_lines_quantity_is_in_range",
    ]
    groups = yaml.safe_load((project.root / "models" / "own" / "gold" / "_gold__groups.yml").read_text())[
        "groups"
    ]
    assert {"name": "lines", "owner": {"name": "stock"}} in groups
    build = project.assay("build", "--full-refresh")
    assert build.exit_code == 0, build.stdout
    assert project.assay("contracts", "check").exit_code == 0


def test_what_a_contract_no_longer_asks_for_goes(project: SmallProject) -> None:
    change_contract(project, "lines", lambda contract: column(contract, "quantity").pop("quality"))
    assert project.assay("contracts", "sync").exit_code == 0
    columns = {each["name"]: each for each in model_entry(project, "fct_lines")["columns"]}
    assert "data_tests" not in columns["quantity"]


def test_a_broken_contract_stops_its_product_and_what_rests_on_it_alone(project: SmallProject) -> None:
    project.land(4, MOST_PIECES + 1)
    build = project.assay("build")
    assert build.exit_code == 1
    assert "Held back  lines: test quantities_are_plausible of gold.fct_lines.quantity failed" in build.stdout
    assert "Held back  days: test quantities_are_plausible" in build.stdout
    lines = project.query("select count(*) from gold.fct_lines", file=project.published)
    ordered = project.query("select sum(line_count) from gold.fct_products", file=project.published)
    assert (lines, ordered) == ([(4,)], [(5,)])
    states = {
        state.contract: state for state, _ in read_newest_contracts(project.root / "data" / "ops.duckdb")
    }
    assert {name: state.status for name, state in states.items()} == {
        "days": "held back",
        "erp": "kept",
        "lines": "broken",
        "products": "kept",
    }
    assert states["lines"].owner == "lines team"
    told = project.query(
        "select table_name, product, is_current, run_id = max(run_id) filter (is_current) over (), why "
        "from published.tables order by 1",
        file=project.published,
    )
    why = "test quantities_are_plausible of gold.fct_lines.quantity failed"
    assert told == [
        ("fct_days", "days", False, False, why),
        ("fct_lines", "lines", False, False, why),
        ("fct_products", "products", True, True, None),
    ]
    assert re.fullmatch(r"1 of \d+ nodes failed; not published: days, lines", project.runs()[-1][1])
    project.land(4, 7)
    assert project.assay("build", "--full-refresh").exit_code == 1, "bronze forgets nothing"
    change_contract(project, "lines", lambda contract: column(contract, "quantity").pop("quality"))
    project.assay("contracts", "sync")
    assert project.assay("build").exit_code == 0
    assert project.query("select bool_and(is_current) from published.tables", file=project.published) == [
        (True,)
    ]


def test_a_product_that_was_never_published_is_only_missing(project: SmallProject) -> None:
    for published in project.published.parent.glob("*.duckdb"):
        published.unlink()
    project.land(4, MOST_PIECES + 1)
    assert project.assay("build").exit_code == 1
    tables = project.query(
        "select table_name from duckdb_tables() where schema_name = 'gold'", file=project.published
    )
    assert tables == [("fct_products",)]


LANDED = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


# Of a column: what its contract says, a value that keeps to it, and values that break a rule
HELD: dict[str, tuple[dict[str, Any], str, dict[str, str]]] = {
    "Mood": (
        {"logicalType": "string", "required": True, "enum": [{"value": "good"}, {"value": "it's fine"}]},
        "it's fine",
        {"": "missing_mood", "bad": "unknown_mood"},
    ),
    "Code": (
        {"logicalType": "string", "logicalTypeOptions": {"maxLength": 6, "pattern": "^[A-Z]"}},
        "France",
        {"Germany": "mis_sized_code", "france": "misshapen_code"},
    ),
    "Share": (
        {
            "logicalType": "number",
            "logicalTypeOptions": {"minimum": 0, "exclusiveMaximum": 1, "multipleOf": 0.01},
            "quality": [
                {
                    "name": "odd_share",
                    "metric": "invalidValues",
                    "arguments": {"validValues": [0, 0.25, 0.001, 1]},
                    "mustBe": 0,
                }
            ],
        },
        "0",
        {"0.001": "no_multiple_share", "1": "out_of_range_share", "0.5": "odd_share"},
    ),
    "Day": (
        {"logicalType": "date", "logicalTypeOptions": {"minimum": "2020-01-01"}},
        "2020-01-01",
        {"2019-12-31": "out_of_range_day"},
    ),
    'a "b.c" {d}': (
        {
            "logicalType": "array",
            "logicalTypeOptions": {"uniqueItems": True},
            "items": {"logicalType": "string", "logicalTypeOptions": {"minLength": 2}},
        },
        '["ab", "cd"]',
        {'["ab", "ab"]': "repeated_items_a_b_c_d", '["a"]': "mis_sized_a_b_c_d_item"},
    ),
}


def test_landed_rows_that_break_a_producers_contract_go_to_quarantine(project: SmallProject) -> None:
    optional = [{"property": "optional", "value": True}]
    columns = [{"name": name, **says, "customProperties": optional} for name, (says, *_) in HELD.items()]
    change_contract(project, "erp", lambda contract: contract["schema"][0]["properties"].extend(columns))
    whole = {
        "logicalTypeOptions": {"minimum": -(10**9), "exclusiveMaximum": 10**9, "multipleOf": 1},
    }
    change_contract(project, "lines", lambda contract: column(contract, "quantity").update(whole))
    synced = project.assay("contracts", "sync")
    assert "assay build --full-refresh" in synced.stdout
    kept = {name: value for name, (_, value, _) in HELD.items()}
    broken = [
        (kept | {name: value}, rule) for name, (*_, values) in HELD.items() for value, rule in values.items()
    ]
    path = project.landing / "erp" / "order_lines" / "landed_at=2025-02-01T02-00-00" / "lines.csv"
    path.parent.mkdir(parents=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*LANDED.strip().split(","), *HELD])
        for number, values in enumerate([kept, *(values for values, _ in broken)]):
            line = f"9{number:02},P,a thing,1,2025-01-31 08:00:00,1.50,7,France".split(",")
            writer.writerow([*line, *values.values()])
    build = project.assay("build")
    assert build.exit_code == 0, build.stdout
    with connect(project.warehouse) as connection:
        rejected = connection.sql(
            "select InvoiceNo, rule_ids from silver.slv_order_lines__rejected "
            "where InvoiceNo > '9' order by 1"
        ).fetchall()
        kept_rows = connection.sql(
            "select order_id from silver.slv_order_lines where order_id like '9%'"
        ).fetchall()
        named = connection.sql("select rule_id from silver.slv_rules").fetchall()
    assert rejected == [(f"9{number:02}", [rule]) for number, (_, rule) in enumerate(broken, start=1)]
    assert kept_rows == [("900",)]
    assert {(rule,) for _, rule in broken} <= set(named)
    assert "odd_share" in build.stdout
    ledger = project.root / "data" / "ops.duckdb"
    ran = {node.name: node.status for node in read_nodes(ledger, read_runs(ledger)[0].run_id)}
    tests = ("is_a_multiple", "is_in_range", "is_in_range_strictly")
    assert {ran[f"fct_lines_quantity_{each}"] for each in tests} == {"pass"}


def test_a_source_that_breaks_its_promises_is_told_and_goes_on(project: SmallProject) -> None:
    def promise(contract: dict[str, Any]) -> None:
        contract["slaProperties"] = [
            {"property": "completeness", "value": 99.9, "unit": "percent"},
            {"property": "latency", "value": 1, "unit": "h"},
            {"property": "frequency", "value": 3, "unit": "d"},
        ]
        (volume,) = (rule for rule in contract["schema"][0]["quality"] if rule.get("metric") == "rowCount")
        volume["mustBeBetween"] = [10, 20]

    change_contract(project, "erp", promise)
    assert project.assay("contracts", "sync").exit_code == 0
    sources = project.root / "models" / "example" / "bronze" / "_bronze__sources.yml"
    assert "warn_after: {count: 3, period: day}" in sources.read_text()
    build = project.assay("build")
    assert build.exit_code == 0, build.stdout
    ledger = project.root / "data" / "ops.duckdb"
    (erp,) = (each for each in read_newest_contracts(ledger) if each[0].side == "source")
    why = (
        "completeness is 80.00%, promised is 99.90%; latency in seconds: 64,800, promised is 3,600; "
        "least rows a day on 2025-01-02: 3, promised is 10"
    )
    assert erp[0] == ContractState("erp", "source", "order management", "broken", why)
    assert erp[1] == read_runs(ledger)[0].started_at
    (test,) = (
        node
        for node in read_nodes(ledger, read_runs(ledger)[0].run_id)
        if node.name == "erp_order_lines_keep_their_promises"
    )
    assert (test.status, test.owner) == ("warn", "order management")
    assert {row["promise"]: (row["promised"], row["observed"]) for row in test.sample} == {
        "completeness": (0.999, 0.8),
        "latency in seconds": (3600, 18 * 3600),
        "least rows a day": (10, 3),
    }


def test_fields_of_json_documents_are_held_to_their_contract(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are read under Debezium's payload, too."""
    monkeypatch.chdir(project.root)
    for name in [name for name in os.environ if name.startswith(("ASSAY_", "DBT_"))]:
        monkeypatch.delenv(name)
    rules: dict[str, dict[str, Any]] = {
        "unknown_segment": {"field": ["after", "segment"], "kind": "values", "values": ["vip"]},
        "missing_op": {"field": ["op"], "kind": "required"},
    }
    dbt = Project()
    conditions = {
        rule_id: dbt.compiled_inline(f"{{{{ assay._landed_breaks({rule | {'rule_id': rule_id}}) }}}}")
        for rule_id, rule in rules.items()
    }
    lines = [
        '{"op": "c", "after": {"segment": "vip"}}',
        '{"payload": {"op": "c", "after": {"segment": "poor"}}}',
        '{"after": {"segment": " "}}',
        "{no json",
    ]
    with duckdb.connect() as connection:
        connection.execute("create table landed as select unnest($1) as line", [lines])
        found = {
            rule_id: [value for (value,) in connection.execute(f"select {condition} from landed").fetchall()]
            for rule_id, condition in conditions.items()
        }
    assert found["unknown_segment"] == [False, True, None, None]
    assert found["missing_op"] == [False, False, True, True]


HEAD = "apiVersion: v3.1.0\nkind: DataContract\nid: x\nversion: 1.0.0\nstatus: active\nteam: {name: us}\n"
TABLE = "schema:\n  - name: t\n    physicalName: gold.t\n    properties:\n"


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("", "x: is no data contract"),
        ("a: [", "x:1: is no YAML"),
        (HEAD + "id: y\n", "x:7: is no YAML: found duplicate key"),
        (HEAD + "endOfLife: 2025-13-01\n", "x:7: the standard knows no field 'endOfLife' here."),
        (HEAD + "ownr: me\n", "x:7: the standard knows no field 'ownr' here."),
        (HEAD.replace("v3.1.0", "v9"), "apiVersion: 'v9' is not one of"),
        (
            HEAD + TABLE + "      - {name: a, logicalType: string, nullable: true}\n",
            "x:11: the standard knows no field 'nullable' here.",
        ),
        (HEAD + TABLE + "      - {logicalType: string}\n", "'name' is a required property"),
        (HEAD + TABLE + "      - {name: a}\n", "x:11: schema.0.properties.0 lacks its logicalType."),
        (
            HEAD + TABLE + "      - {name: a, logicalType: string, quality: [{metric: nullValues}]}\n",
            "x:11: schema.0.properties.0.quality.0 needs exactly one of mustBe, mustNotBe,",
        ),
        (HEAD + TABLE + "      - {name: a, logicalType: text}\n", "'text' is not one of"),
    ],
)
def test_what_does_not_keep_to_the_standard_is_told_with_its_line(text: str, finding: str) -> None:
    _, findings = parse("x", text)
    assert any(finding in str(each) for each in findings), findings


def consistent(tmp_path: Path, *texts: str) -> list[str]:
    for number, text in enumerate(texts):
        (tmp_path / f"c{number}.odcs.yaml").write_text(text)
    contracts, findings = read_contracts(tmp_path)
    assert not findings
    return [str(finding) for finding in find_inconsistencies(contracts)]


SOURCE = HEAD + TABLE.replace("gold.t", "landing.t") + "      - {name: a, logicalType: string}\n"
SLA = "slaProperties: [{{property: {}}}]\n"
TEMPLATE = "description: 'As {{ this }}'}]}"
REMEDY = "customProperties: [{property: remedy, value: 'send {# none #}'}]}]}"
LISTS_TEXT = "{name: r, metric: invalidValues, mustBe: 0, arguments: {validValues: [b]}}"
COLUMN = "      - {{name: a, logicalType: {}}}\n"


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            HEAD + TABLE + COLUMN.format("integer, physicalType: timestamp"),
            "gold.t.a is integer by logicalType",
        ),
        (HEAD + TABLE + COLUMN.format("string") * 2, "gold.t: 'a' is declared twice."),
        (
            HEAD + TABLE + COLUMN.format("string") + COLUMN.format("string").replace("a,", "A,"),
            "differ by case",
        ),
        (SOURCE.replace("name: a,", "name: landed_at,"), "is the name of a column that Assay adds"),
        (
            SOURCE.replace("string}", "string, customProperties: [{property: aliases, value: [b]}]}")
            + "      - {name: c, logicalType: string, customProperties: [{property: aliases, value: [b]}]}\n",
            "'b', an alias of c, means a",
        ),
        (
            HEAD + TABLE + COLUMN.format("string, primaryKey: true"),
            "part of the primary key, and may be NULL",
        ),
        (
            HEAD + TABLE + COLUMN.format("number, logicalTypeOptions: {minimum: 2, maximum: 1}"),
            "no value is between minimum and maximum",
        ),
        (
            HEAD + TABLE + COLUMN.format(f"integer, quality: [{LISTS_TEXT}]"),
            "gold.t.a is integer, and 'b', which r lists, is none.",
        ),
        (
            HEAD + TABLE + COLUMN.format("string, quality: [{name: r, type: text, description: be good}]"),
            "a rule of type 'text' is not tested",
        ),
        (
            HEAD
            + TABLE
            + COLUMN.format("string, quality: [{name: r, type: custom, engine: soda, implementation: x}]"),
            "engine 'soda' is not run here",
        ),
        (
            HEAD.replace("{name: us}", "{members: [{username: a, role: owner}, {username: b, role: Owner}]}"),
            "x has 2 owners: a, b.",
        ),
        (HEAD.replace("team: {name: us}\n", ""), "x has no owner."),
        (
            HEAD
            + TABLE
            + COLUMN.format("string, quality: [{name: r, metric: nullValues, mustBe: 0, severity: warning}]"),
            "gold.t: r only warns. Say in its description why",
        ),
        (HEAD + TABLE + COLUMN.format("number, physicalType: varchar"), "gold.t.a is number by logicalType"),
        (SOURCE + "    customProperties: [{property: shemaMode, value: freeze}]\n", "Write schemaMode."),
        (SOURCE + "    customProperties: [{property: schemaMode, value: freez}]\n", "schemaMode is 'freez'"),
        (
            SOURCE + SLA.format("completness, value: 99"),
            "completness is no service level. Write completeness.",
        ),
        (
            SOURCE + SLA.format("retension, value: 3, unit: y"),
            "retension is no service level. Write retention.",
        ),
        (
            SOURCE + SLA.format("retention, value: -3, unit: y"),
            "retention is -3 y: write a whole number above 0",
        ),
        (SOURCE + SLA.format("retention, value: 3, unit: moons"), "and d, mo or y as unit."),
        (SOURCE + SLA.format("completeness, value: 999"), "completeness is 999"),
        (SOURCE + SLA.format("latency, value: 1, unit: h, element: tt"), "latency is promised of tt"),
        (
            HEAD
            + TABLE.replace("gold.t", "landing.t")
            + COLUMN.format("string")
            + "slaProperties: [{property: latency, value: 1, unit: moons}]\n",
            "latency has the unit 'moons'",
        ),
        (SOURCE + SLA.format("frequency, value: 1.5, unit: d"), "frequency is 1.5 d: write a whole number"),
        (SOURCE + SLA.format("frequency, value: 2, unit: moons"), "frequency has the unit 'moons'"),
        (
            SOURCE.replace(
                "string}", "string, quality: [{name: r, metric: nullValues, mustBe: 0, " + TEMPLATE
            ),
            "r: description and remedy are written into dbt's YAML, and dbt would take {{, {% or {# in it",
        ),
        (
            SOURCE.replace("string}", "string, quality: [{name: r, metric: nullValues, mustBe: 0, " + REMEDY),
            "r: description and remedy are written into dbt's YAML, and dbt would take {{, {% or {# in it",
        ),
        (
            HEAD + TABLE + COLUMN.format("string, description: 'As {{ this }}'"),
            "gold.t.a: a description is written into dbt's YAML, and dbt would take {{",
        ),
        (SOURCE + "description: {purpose: '{% x %}'}\n", "x: a description is written into dbt's YAML"),
    ],
)
def test_what_contradicts_itself_is_told(tmp_path: Path, text: str, finding: str) -> None:
    assert any(finding in each for each in consistent(tmp_path, text)), consistent(tmp_path, text)


def test_a_model_that_gold_does_not_have_is_not_adopted() -> None:
    gold = [SimpleNamespace(name=f"fct_{each}", config=None) for each in ("orders", "lines", "returns")]
    with (
        mock.patch("assay.contracts.adopt.is_published", lambda node: node.name != "fct_lines"),
        pytest.raises(Fault, match=r"no model fct_order in gold: .*fct_orders") as refused,
    ):
        adopt(SimpleNamespace(models=gold), "fct_order", "sales", "us")  # type: ignore[arg-type]
    assert "fct_lines" not in str(refused.value)


def test_a_table_has_one_owner(tmp_path: Path) -> None:
    first = HEAD + TABLE + COLUMN.format("string")
    second = first.replace("id: x", "id: y").replace("name: us", "name: them")
    (finding,) = consistent(tmp_path, first, second)
    assert "gold.t has two owners" in finding
    assert "c1.odcs.yaml:8" in finding


def test_nothing_is_written_while_a_contract_is_wrong(project: SmallProject) -> None:
    change_contract(
        project,
        "lines",
        lambda contract: contract["schema"].append({"name": "no", "physicalName": "gold.no"}),
    )
    before = files(project)
    synced = project.assay("contracts", "sync")
    assert synced.exit_code == 1
    assert "gold.no is no model of gold. Correct physicalName" in synced.stdout
    assert files(project) == before


def test_a_rule_left_to_silver_must_be_there(project: SmallProject) -> None:
    rule = {
        "name": "invented",
        "type": "text",
        "description": "Never",
        "customProperties": [{"property": "checkedBy", "value": "silver"}],
    }
    of_the_platform = rule | {"name": "malformed_row"}
    change_contract(project, "erp", lambda contract: contract["schema"][0]["quality"].append(rule))
    change_contract(project, "erp", lambda contract: contract["schema"][0]["quality"].append(of_the_platform))
    checked = project.assay("contracts", "check")
    assert "leaves the rule invented to silver, where no SQL names it" in checked.stdout
    assert "means something else in models/platform/silver/_silver__models.yml" in checked.stdout


# A lake's columns cannot become narrower.
_WITH_INTEGERS = (
    "create or replace table gold.fct_products as "
    "select * replace (line_count::integer as line_count) from gold.fct_products"
)


def test_data_that_is_not_as_its_contract_says_is_found(project: SmallProject) -> None:
    path = project.landing / "erp" / "order_lines" / "landed_at=2025-02-01T02-00-00" / "lines.csv"
    path.parent.mkdir(parents=True)
    path.write_text(
        LANDED.replace("Country", "Country,Mood") + "91,P,a thing,1,2025-01-31 08:00:00,1.50,7,France,good\n"
    )
    assert project.assay("build").exit_code == 0
    with connect(project.warehouse, read_only=False) as connection:
        connection.execute(_WITH_INTEGERS)
    checked = project.assay("contracts", "check")
    assert checked.exit_code == 1
    assert (
        "landing.erp__order_lines has landed with a column Mood that the contract does not name"
        in checked.stdout
    )
    assert "gold.fct_products.line_count is bigint; in the warehouse it is integer." in checked.stdout


def test_contracts_are_read_again_only_after_a_file_has_changed(project: SmallProject) -> None:
    def check_again() -> str:
        with mock.patch("assay.contracts.check.read_contracts", side_effect=AssertionError):
            return project.assay("contracts", "check").stdout

    first = project.assay("contracts", "check").stdout
    assert first.endswith("No differences between contracts, dbt's YAML and the warehouse.\n")
    assert check_again() == first
    with connect(project.warehouse, read_only=False) as connection:
        connection.execute(_WITH_INTEGERS)
    assert "gold.fct_products.line_count is bigint; in the warehouse it is integer." in check_again()
    change_contract(project, "lines", lambda contract: column(contract, "quantity").update(description="No."))
    changed = project.assay("contracts", "check").stdout
    assert "contracts/lines.odcs.yaml:" in changed
    assert check_again() == changed


def test_what_is_accepted_of_files_goes_into_the_contract(project: SmallProject) -> None:
    def land(name: str, header: str, value: str) -> None:
        path = project.landing / "erp" / "order_lines" / "landed_at=2025-02-01T02-00-00" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{header}\n9{name[0]},P,a thing,1,2025-01-31 08:00:00,1.50,7,{value}\n")

    land("1.csv", LANDED.strip() + ',Mood,"order ""it\'s"" a.b"', "France,4,x")
    land("2.csv", LANDED.replace("Country", "Land").strip(), "France")
    assert project.assay("build").exit_code == 0
    accepted = project.assay("schema", "accept", "erp.order_lines")
    assert "In contracts/erp.odcs.yaml and models/example/bronze/_bronze__sources.yml" in accepted.stdout
    contract = yaml.safe_load(contract_file(project, "erp").read_text())
    mood = column(contract, "Mood")
    assert mood["logicalType"] == "integer"
    assert {each["property"]: each["value"] for each in mood["customProperties"]} == {
        "checkedBy": "landing",
        "optional": True,
    }
    assert {"property": "aliases", "value": ["Land"]} in column(contract, "Country")["customProperties"]
    assert "Nothing to write" in project.assay("contracts", "sync").stdout
    assert project.assay("build").exit_code == 0
    assert project.assay("contracts", "check").exit_code == 0
    with connect(project.warehouse) as connection:
        kept = connection.sql(
            "select order_id from silver.slv_order_lines where order_id > '9' order by 1"
        ).fetchall()
    assert kept == [("91",), ("92",)]


def test_a_contract_says_what_becomes_of_files_that_differ(project: SmallProject) -> None:
    mode = {"property": "schemaMode", "value": {"new": "freeze"}}
    change_contract(project, "erp", lambda contract: contract["schema"][0]["customProperties"].append(mode))
    assert project.assay("contracts", "sync").exit_code == 0
    path = project.landing / "erp" / "order_lines" / "landed_at=2025-02-01T02-00-00" / "lines.csv"
    path.parent.mkdir(parents=True)
    path.write_text(
        LANDED.replace("Country", "Country,Mood") + "91,P,a,1,2025-01-31 08:00:00,1,7,France,good\n"
    )
    assert project.assay("build").exit_code == 0
    (error,) = project.query("select error from landing.files where status = 'failed'")
    assert "Mood" in error[0]


def test_tables_without_a_contract_are_named(project: SmallProject) -> None:
    contract_file(project, "products").unlink()
    checked = project.assay("contracts", "check")
    assert checked.exit_code == 1
    assert "assay contracts adopt fct_products --product <product>" in checked.stdout


def test_a_project_without_contracts_says_how_to_begin(project: SmallProject) -> None:
    shutil.rmtree(project.root / "contracts")
    checked = project.assay("contracts", "check")
    assert checked.exit_code == 1, "its tables of gold have no contract"
    assert "assay contracts adopt" in checked.stdout + checked.stderr


Change = Callable[[dict[str, Any]], Any]
NEW = {"name": "n", "logicalType": "string"}
RULE = {"name": "r", "metric": "invalidValues", "arguments": {"validValues": ["a", "b"]}, "mustBe": 0}


def with_column(**says: Any) -> Change:
    return lambda contract: column(contract, "quantity").update(says)


def with_level(name: str, value: Any) -> Change:
    return lambda contract: contract.update(slaProperties=[{"property": name, "value": value, "unit": "d"}])


@pytest.mark.parametrize(
    ("before", "after", "rule", "is_breaking"),
    [
        (None, lambda contract: contract["schema"].pop(), "table-removed", True),
        (None, lambda contract: contract["schema"].append({"name": "n"}), "table-added", False),
        (None, lambda contract: contract["schema"][0]["properties"].pop(), "column-removed", True),
        (
            None,
            lambda contract: contract["schema"][0]["properties"].append(NEW),
            "column-added",
            False,
        ),
        (None, with_column(physicalType="varchar"), "type-changed", True),
        (None, with_column(physicalType="bigint"), "type-widened", False),
        (None, with_column(required=True), "required-added", False),
        (with_column(required=True), with_column(required=False), "required-dropped", True),
        (None, with_column(quality=[]), "rule-removed", True),
        (with_column(quality=[]), with_column(quality=[RULE]), "rule-added", False),
        (
            with_column(quality=[RULE]),
            with_column(quality=[RULE | {"arguments": {"validValues": ["a"]}}]),
            "rule-changed",
            False,
        ),
        (
            with_column(quality=[RULE]),
            with_column(quality=[RULE | {"arguments": {"validValues": ["a", "c"]}}]),
            "rule-changed",
            True,
        ),
        (
            with_column(logicalTypeOptions={"minimum": 1}),
            with_column(logicalTypeOptions={"minimum": 0}),
            "bounds-changed",
            True,
        ),
        (
            with_column(logicalTypeOptions={"maximum": 9}),
            with_column(logicalTypeOptions={"maximum": 8}),
            "bounds-changed",
            False,
        ),
        (with_level("frequency", 1), with_level("frequency", 2), "service-level-changed", True),
        (with_level("completeness", 99), with_level("completeness", 99.9), "service-level-changed", False),
        (None, with_level("endOfSupport", "2099-01-01"), "end-announced", False),
        (None, lambda contract: contract.update(team={"name": "others"}), "owner-changed", False),
        (None, with_column(description="Pieces."), None, False),
    ],
)
def test_changes_are_breaking_where_less_is_promised(
    project: SmallProject, before: Change | None, after: Change, rule: str | None, is_breaking: bool
) -> None:
    if before:
        change_contract(project, "lines", before)
    old = project.root / "old.odcs.yaml"
    shutil.copy(contract_file(project, "lines"), old)
    change_contract(project, "lines", after)
    result = project.assay("contracts", "diff", str(old), str(contract_file(project, "lines")))
    assert result.exit_code == int(is_breaking), result.output
    if rule:
        assert f"{'BREAKING' if is_breaking else 'fine    '}  {rule}" in result.stdout
    else:
        assert result.stdout.strip() == "No changes."
    assert ("version-not-raised" in result.stdout) == is_breaking


def test_a_breaking_change_under_a_new_major_version_is_told_all_the_same(project: SmallProject) -> None:
    old = project.root / "old.odcs.yaml"
    shutil.copy(contract_file(project, "lines"), old)

    def change(contract: dict[str, Any]) -> None:
        contract["version"] = "2.0.0"
        contract["schema"][0]["properties"].pop()

    change_contract(project, "lines", change)
    result = project.assay("contracts", "diff", str(old), str(contract_file(project, "lines")))
    assert result.exit_code == 1
    assert "1 breaking of 1 changes." in result.stdout
