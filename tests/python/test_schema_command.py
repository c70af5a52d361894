"""What differs is shown and told of; to accept it is one command, and the next build goes on with that."""

from __future__ import annotations

import difflib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_project import HEADER, PROJECT, SmallProject

from assay.project.warehouse import connect

SOURCES = Path("models", "example", "bronze", "_bronze__sources.yml")
ORDER_LINES = "erp.order_lines"
AUDIT = "exclude (loaded_at, run_id)"
WITH_CHANNEL = HEADER.replace("\n", ",Channel\n")


def set_mode(project: SmallProject, mode: str, table: str = "order_lines") -> None:
    """Set the mode of a table, in place of the one it has."""
    path = project.root / SOURCES
    before, name, after = path.read_text().partition(f"- name: {table}\n")
    lines = [line for line in after.splitlines(keepends=True) if "schema_mode: " not in line]
    place = next(number for number, line in enumerate(lines) if "format: " in line)
    lines.insert(place, f"              schema_mode: {mode}\n")
    path.write_text(before + name + "".join(lines))


@pytest.fixture
def project(project_as_built: SmallProject) -> SmallProject:
    return project_as_built


def query(project: SmallProject, sql: str) -> list[tuple[Any, ...]]:
    """Run SQL on the warehouse under its own name, which views of bronze ask for."""
    with connect(project.warehouse) as connection:
        return connection.sql(sql).fetchall()


def land(project: SmallProject, day: int, *lines: str, header: str = HEADER) -> None:
    """Land order lines of one day, each given by what follows the invoice's number."""
    path = project.landing / "erp" / "order_lines" / f"landed_at=2025-01-{day:02}T02-00-00" / "changed.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header + "".join(f"{day}{number},{line}\n" for number, line in enumerate(lines)))


def line(quantity: str = "2", country: str = "France") -> str:
    return f"P,a thing,{quantity},2025-01-01 08:00:00,1.50,7,{country}"


def build(project: SmallProject, *options: str) -> str:
    ended = project.assay("build", *options)
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    return " ".join(ended.stdout.split())


def accept(project: SmallProject, *arguments: str) -> str:
    ended = project.assay("schema", "accept", *arguments)
    assert ended.exit_code == 0, ended.stderr
    return " ".join(ended.stdout.split())


def shown(project: SmallProject) -> str:
    ended = project.assay("schema", "list")
    assert ended.exit_code == 0, ended.stderr
    return " ".join(ended.stdout.split())


def states(project: SmallProject) -> dict[str, str]:
    return dict(query(project, "select kind || ' ' || column_name, state from bronze.brz_schema_changes"))


def rejected(project: SmallProject) -> list[tuple[Any, ...]]:
    """The rows of changed files that were rejected, with the rules they break."""
    return query(
        project,
        "select InvoiceNo, rule_ids from silver.slv_order_lines__rejected "
        "where source_file like '%changed.csv' order by all",
    )


def kept(project: SmallProject, columns: str) -> list[tuple[Any, ...]]:
    return query(
        project,
        f"select order_id, {columns} from silver.slv_order_lines "
        "where source_file like '%changed.csv' order by all",
    )


def silver(project: SmallProject) -> list[tuple[Any, ...]]:
    return query(
        project, f"select * {AUDIT} from silver.slv_order_lines__checked order by file_id, row_number"
    )


def is_conserved(project: SmallProject) -> bool:
    [(landed, checked)] = query(
        project,
        "select (select count(*) from bronze.brz_erp__order_lines), "
        "(select count(*) from silver.slv_order_lines) "
        "+ (select count(*) from silver.slv_order_lines__rejected)",
    )
    return bool(landed == checked)


def test_rows_with_a_new_column_wait_in_quarantine_until_it_is_accepted(project: SmallProject) -> None:
    set_mode(project, "discard_row")
    land(project, 5, line() + ",web", line() + ",", line("many") + ",web", header=WITH_CHANNEL)
    said = build(project)
    assert "erp.order_lines: a file has Channel, which nobody declared (in 1 file since 2025-01-05; " in said
    assert rejected(project) == [("50", ["schema_changed"]), ("52", ["schema_changed"])]
    assert is_conserved(project)
    [reason] = query(
        project,
        "select distinct reason from silver.slv_order_lines__rejected "
        "where list_contains(rule_ids, 'schema_changed')",
    )
    assert "assay schema accept" in reason[0]
    assert states(project) == {"new Channel": "open"}
    before = (project.root / SOURCES).read_text()

    said = accept(project, ORDER_LINES, "Channel")
    assert "_bronze__sources.yml, erp.order_lines now takes that a file has Channel" in said
    assert "accepted, not built" in shown(project)
    after = (project.root / SOURCES).read_text()
    differences = [each for each in difflib.ndiff(before.splitlines(), after.splitlines()) if each[0] in "+-"]
    assert differences == [
        "+               optional: [Channel]",
        "+                 Channel: string",
        '+           - {name: Channel, description: "In files since 2025-01-05; describe what it means."}',
    ]
    build(project)
    assert states(project) == {"new Channel": "accepted"}
    assert rejected(project) == [("52", ["invalid_quantity"])]
    assert is_conserved(project)
    channels = "select InvoiceNo, Channel from bronze.brz_erp__order_lines where Channel <> '' order by all"
    assert query(project, channels) == [("50", "web"), ("52", "web")]
    grown = silver(project)
    build(project)
    assert silver(project) == grown
    build(project, "--full-refresh")
    assert silver(project) == grown
    project.warehouse.unlink()
    build(project)
    assert silver(project) == grown
    assert states(project) == {}


def test_values_of_another_type_are_discarded_and_come_back_once_accepted(project: SmallProject) -> None:
    set_mode(project, "discard_value")
    land(project, 5, *(line(country=f"{number}") for number in range(2)), line(country="x"))
    path = project.root / SOURCES
    path.write_text(path.read_text().replace("Country: string", "Country: boolean"))
    land(project, 6, *(line(country=name) for name in ("France", "Spain", "true", "Peru")))
    build(project)
    assert states(project)["type Country"] == "open"
    assert kept(project, "country")[3:] == [("60", None), ("61", None), ("62", "true"), ("63", None)]
    assert is_conserved(project)
    discarded = (
        "select InvoiceNo, other_values from bronze.brz_erp__order_lines where other_values is not null "
        "order by all"
    )
    assert ("61", '{"Country":"Spain"}') in query(project, discarded)
    ids = query(project, "select order_line_id from silver.slv_order_lines order by 1")

    accept(project, ORDER_LINES)
    assert "Country: string" in path.read_text()
    build(project)
    assert kept(project, "country")[3:] == [("60", "France"), ("61", "Spain"), ("62", "true"), ("63", "Peru")]
    assert query(project, discarded) == []
    assert query(project, "select order_line_id from silver.slv_order_lines order by 1") == ids
    assert states(project)["type Country"] == "accepted"


def test_a_frozen_file_waits_and_others_go_on(project: SmallProject) -> None:
    set_mode(project, "freeze")
    land(project, 5, line(), line(), header=HEADER.replace("Country", "Land"))
    land(project, 6, line())
    said = build(project)
    assert "Files not loaded: 1" in said
    assert "perhaps called Land now" in said
    assert kept(project, "country") == [("60", "France")]
    assert states(project) == {"new Land": "open", "renamed Country": "open"}
    build(project)
    assert kept(project, "country") == [("60", "France")]
    accept(project, ORDER_LINES)
    assert "Land: Country" in (project.root / SOURCES).read_text()
    assert "Files not loaded" not in build(project)
    assert kept(project, "country") == [("50", "France"), ("51", "France"), ("60", "France")]
    assert is_conserved(project)


def test_a_renamed_column_is_read_again_once_accepted(project: SmallProject) -> None:
    set_mode(project, "evolve")
    land(project, 5, line(), line(), header=HEADER.replace("Country", "Land"))
    build(project)
    assert kept(project, "country") == [("50", None), ("51", None)]
    accept(project, ORDER_LINES, "Country")
    build(project)
    assert kept(project, "country") == [("50", "France"), ("51", "France")]
    assert states(project) == {"new Land": "accepted", "renamed Country": "accepted"}
    grown = silver(project)
    project.warehouse.unlink()
    build(project)
    assert silver(project) == grown


def test_a_change_that_was_mended_is_over(project: SmallProject) -> None:
    land(project, 5, "P", header="InvoiceNo,StockCode\n")
    build(project)
    assert set(states(project).values()) == {"open"}
    land(project, 5, line())
    build(project)
    assert set(states(project).values()) == {"over"}


def test_changes_are_told_of_once_and_recover_when_accepted(project: SmallProject) -> None:
    (project.root / "alerts.yml").write_text("channels: [{type: file, path: data/alerts.jsonl}]\n")
    land(project, 5, line() + ",web", header=WITH_CHANNEL)
    build(project)
    land(project, 6, line() + ",web", header=WITH_CHANNEL)
    build(project)
    accept(project, ORDER_LINES)
    build(project)
    build(project)
    told = [json.loads(each) for each in (project.root / "data" / "alerts.jsonl").read_text().splitlines()]
    assert [(each["change"], each["severity"], each["kind"], each["name"]) for each in told] == [
        ("broken", "warn", "schema change", "new Channel"),
        ("recovered", "warn", "schema change", "new Channel"),
    ]
    assert (told[0]["about"], told[0]["owner"]) == (ORDER_LINES, "order management")
    assert "has Channel, which nobody declared" in told[0]["message"]
    assert project.runs()[-1][0] == "succeeded"


def test_what_cannot_be_accepted_says_why(project: SmallProject) -> None:
    for arguments, said in (
        (["erp.order_line"], "No landing table erp.order_line is declared: "),
        ([ORDER_LINES], "erp.order_lines has no change to accept. To see all there are: assay schema list"),
        ([ORDER_LINES, "Size"], "erp.order_lines has no change of Size to accept: there are none."),
    ):
        ended = project.assay("schema", "accept", *arguments)
        assert ended.exit_code == 2
        assert said in " ".join(ended.stderr.split())
    assert shown(project) == "All files match their declarations."
    project.warehouse.unlink()
    ended = project.assay("schema", "list")
    assert ended.exit_code == 1
    assert "To build: assay build" in ended.stderr


@pytest.fixture
def web(project: SmallProject) -> SmallProject:
    """The project with web events besides."""
    shutil.copytree(
        PROJECT / "models" / "example" / "silver" / "web",
        project.root / "models" / "example" / "silver" / "web",
        ignore=shutil.ignore_patterns("*__unit_tests.yml"),
    )
    shutil.copytree(PROJECT / "seeds" / "example", project.root / "seeds" / "example")
    return project


def land_calls(project: SmallProject, day: int, *properties: dict[str, Any]) -> None:
    path = project.landing / "web" / "events" / f"landed_at=2025-01-{day:02}T02-00-00" / "calls.jsonl"
    path.parent.mkdir(parents=True)
    moment = f"2025-01-{day - 1:02}T08:00:00Z"
    calls = [
        {
            "messageId": f"{day}-{number}",
            "userId": "7",
            "event": "Product Viewed",
            "timestamp": moment,
            "receivedAt": moment,
            "properties": each,
        }
        for number, each in enumerate(properties)
    ]
    path.write_text("".join(json.dumps(call) + "\n" for call in calls))


@pytest.mark.parametrize("mode", ["evolve", "discard_value", "discard_row"])
def test_documents_go_on_without_a_value_or_wait_whole(web: SmallProject, mode: str) -> None:
    set_mode(web, mode, "events")
    land_calls(web, 2, {"price": 1.5}, {"price": 2.5}, {"price": 3})
    land_calls(web, 3, {"price": "much"}, {"price": "more"}, {"price": "most"}, {"price": 4})
    build(web)
    events = (
        "select message_id, price::varchar from silver.slv_web_events where landed_at = '2025-01-03 02:00:00'"
    )
    events += " order by all"
    rules = "select distinct rule_ids from silver.slv_web_events__rejected"
    values = [("3-0", None), ("3-1", None), ("3-2", None)] if mode == "discard_value" else []
    assert query(web, events) == [*values, ("3-3", "4.00")]
    broken = {"evolve": [(["invalid_price"],)], "discard_row": [(["schema_changed"],)]}.get(mode, [])
    assert query(web, rules) == broken
    assert query(
        web, "select count(*) from bronze.brz_web__events where line like '%\"mo%' or line like '%much%'"
    ) == [(3,)]
    accept(web, "web.events", "properties.price")
    assert "properties.price: string" in (web.root / SOURCES).read_text()
    build(web)
    # The model wants numbers, whatever is declared.
    assert query(web, rules) == [(["invalid_price"],)]
    assert query(web, events) == [("3-3", "4.00")]
    assert states(web)["type properties.price"] == "accepted"


def test_to_accept_a_key_where_none_is_declared_declares_all_of_them(web: SmallProject) -> None:
    path = web.root / SOURCES
    text = path.read_text()
    start = text.index("              keys:\n                messageId")
    end = text.index("            availability:", start)
    path.write_text(text[:start] + text[end:])
    land_calls(web, 2, {"price": 1.5}, {"price": 2.5, "quantity": 1}, {"price": 3})
    land_calls(web, 3, {"price": 1.5, "colour": "red"})
    build(web)
    assert states(web)["new properties.colour"] == "open"
    accept(web, "web.events")
    said = path.read_text()
    for entry in (
        "messageId: string",
        "properties.price: number",
        "properties.colour: string",
        "properties: object",
    ):
        assert f"                {entry}\n" in said
    assert "properties.quantity, properties.colour]" in said
    land_calls(web, 4, {"price": 1.5, "colour": "red"}, {"price": 2, "quantity": 2}, {"price": 3, "size": 4})
    build(web)
    assert {name: state for name, state in states(web).items() if state == "open"} == {
        "new properties.size": "open"
    }
