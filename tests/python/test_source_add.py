"""`assay source add`: what is proposed of a sample, by what evidence, and what is written of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import duckdb
import pytest
from rich.console import Console
from small_project import PROJECT, SmallProject

import assay
from assay.contracts.servers import make_kafka_server
from assay.core.fault import Fault
from assay.generate.contract import means_otherwise, write_table_entry
from assay.generate.described import write_entries
from assay.generate.display import print_plan
from assay.generate.profile import profile
from assay.generate.propose import Answers, Choice, Field, Proposal, Unanswerable, propose
from assay.generate.renew import Renewal, find_written_otherwise, is_of_table, renew_contract, renew_sql
from assay.generate.sample import read_sample
from assay.generate.silver import write_models
from assay.generate.source import gather_answers, planned_source
from assay.generate.write import choose_places_to_land, land, write_all
from assay.landing.dialect import Dialect
from assay.project.warehouse import connect
from assay.project.yaml_file import YamlFile

# Each profiles a sample, which adds up to more than the first tier has time for.
pytestmark = pytest.mark.usefixtures("builds")

OWNER = Choice("front desk", "as the test says")
BEGIN = datetime(2026, 3, 1)


def proposal_of(*paths: Path | str, name: str = "hotel.bookings", **answers: Any) -> Proposal:
    with read_sample([str(path) for path in paths], name) as (sample, connection):
        source, table = name.split(".")
        return propose(profile(connection, sample), source, table, Answers(**answers), OWNER)


def field(proposal: Proposal, label: str) -> Field:
    return next(each for each in proposal.fields if each.label == label)


def csv_file(path: Path, header: str, row: Callable[[int], str], rows: int = 60) -> Path:
    path.write_text("\n".join([header, *map(row, range(rows))]) + "\n", encoding="utf-8")
    return path


def columns_of(folder: Path, columns: dict[str, Sequence[Any]]) -> Proposal:
    """Return what is proposed of columns with these values, beside a key."""
    rows = len(next(iter(columns.values())))
    path = folder / "orders.csv"
    csv_file(
        path,
        ",".join(["id", *columns]),
        lambda n: ",".join(str(each[n]) for each in [range(rows), *columns.values()]),
        rows,
    )
    return proposal_of(path, name="shop.orders")


TYPES: dict[str, tuple[list[Any], str, str]] = {
    "whole numbers": ([*range(60)], "integer", "whole numbers of up to 2 digits in 60 of 60 values"),
    "long numbers": ([*range(10**12, 10**12 + 60)], "bigint", "up to 13 digits in 60 of 60"),
    "longer than any": ([10**30 + n for n in range(60)], "varchar", "which no number holds"),
    "leading zeros": ([f"{n:05}" for n in range(60)], "varchar", "have leading zeros, so it is text"),
    "money": ([f"{n}.{n:02}" for n in range(60)], "decimal(18, 2)", "up to 2 decimals in 60 of 60 values"),
    "four decimals": ([f"{n}.1234" for n in range(60)], "decimal(18, 4)", "up to 4 decimals"),
    "measurements": ([n / 7 for n in range(1, 61)], "double", "many decimals"),
    "booleans": (["true", "false"] * 30, "boolean", "`false` and `true` in 60 of 60 values"),
    "0 and 1": ([0, 1] * 30, "boolean", "`0` and `1` in 60 of 60 values"),
    "ones alone": ([1] * 60, "integer", "whole numbers"),
    "one letter": (["t"] * 60, "varchar", "texts of up to 1 character"),
    "days": ([f"2026-01-{n % 28 + 1:02}" for n in range(60)], "date", "days in 60 of 60 values"),
    "mixed": (
        [*range(30), *["a", "b", "c"] * 10],
        "varchar",
        "mixed types, so it is text: 30 numbers, 30 others, such as `a`, `b` and `c`",
    ),
    "one mistake": ([*range(59), "n/a"], "integer", "1 is not (`n/a`) and will be rejected"),
    "nothing": ([""] * 60, "varchar", "empty in all 60 rows, so it stays text"),
}


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Proposal:
    columns = {f"thing {kind}": values for kind, (values, _, _) in TYPES.items()}
    return columns_of(tmp_path_factory.mktemp("typed"), columns)


@pytest.mark.parametrize("kind", TYPES)
def test_a_type_is_told_with_its_evidence(typed: Proposal, kind: str) -> None:
    _, wanted, evidence = TYPES[kind]
    found = field(typed, f"thing {kind}")
    assert found.type.sql == wanted
    assert evidence in found.evidence["type"]


def test_what_names_things_is_text_although_it_is_of_digits(tmp_path: Path) -> None:
    names = ["account", "sku", "zip", "InvoiceNo", "order_id", "customerNumber"]
    proposal = columns_of(tmp_path, {name: range(1000, 1040) for name in names})
    for name in names:
        found = field(proposal, name)
        assert (found.type.sql, found.type.logical) == ("varchar", "string")
        assert "40 of 40 are digits alone" in found.evidence["type"]


def luhn(number: int) -> str:
    """Return a card's number that begins with some digits and ends with its check digit."""
    digits = [int(each) for each in f"4{number:014}"]
    total = sum(each if place % 2 else sum(divmod(2 * each, 10)) for place, each in enumerate(digits))
    return "".join(map(str, digits)) + str(-total % 10)


TITLES = ("Red", "Blue", "Night", "Lost")
NAMES_OF_PEOPLE = ("Anna Meier", "Jörg Weber", "Ngozi Okafor", "O\u2019Hara, Peter", "Dr. Eva Wolf")
PERSONAL: dict[str, tuple[str, Callable[[int], str], str | None]] = {
    "e-mail by its looks": ("contact", lambda n: f"guest{n}@mail.example", "hash"),
    "phone by its looks": ("called_at", lambda n: f"+49 89 555{n:04}", "hash"),
    "card by its check digit": ("paid_with", lambda n: luhn(7919 * n), "hash"),
    "digits that are no card": ("paid_by", lambda n: f"{10**15 + 7 * n}", None),
    "iban": ("paid_from", lambda n: f"DE{n:02} 3704 0044 0532 0130 00", "hash"),
    "first name": ("first_name", lambda n: "Ann", "mask"),
    "full name": ("Vollständiger Name", lambda n: f"Änne {n}", "mask"),
    "guest by its looks": ("guest", lambda n: f"Ann Le{'abcdefghij'[n % 10]}", "mask"),
    "people by their given names": ("Zahler", lambda n: NAMES_OF_PEOPLE[n % 5].replace(",", ""), "mask"),
    "titles that look like names": ("film", lambda n: f"{TITLES[n % 4]} River", None),
    "product name": ("product_name", lambda n: f"Soap {n}", None),
    "street": ("StreetAddress", lambda n: f"Elm Road {n}", "mask"),
    "when an e-mail was sent": ("email_sent_at", lambda n: f"2026-01-01 00:00:{n:02}", None),
}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Proposal:
    columns = {name: [value(number) for number in range(40)] for name, value, _ in PERSONAL.values()}
    return columns_of(tmp_path_factory.mktemp("people"), columns)


@pytest.mark.parametrize("kind", PERSONAL)
def test_personal_data_is_recognised(people: Proposal, kind: str) -> None:
    name, _, shield = PERSONAL[kind]
    found = field(people, name)
    assert found.pii == shield
    assert ("personal" in found.evidence) == (shield is not None)
    if shield:
        # A list of allowed values would tell it to everybody who reads the contract.
        assert not found.values
        assert found.type.sql == "varchar"


def bookings(path: Path) -> Path:
    return csv_file(
        path,
        "Booking ID,Room,Nights,Total,Booked At,Note,Last Changed",
        lambda n: (
            f"B{n},{['single', 'double', 'suite'][n % 3]},{n % 5 + 1},{n}.50,2026-03-01 {n % 24:02}:00:00,"
            f"{'late' * (n % 2)},2026-03-02 00:00:00"
        ),
    )


def test_key_time_nulls_values_and_ranges_are_proposed_with_their_evidence(tmp_path: Path) -> None:
    proposal = proposal_of(bookings(tmp_path / "bookings.csv"))
    assert proposal.key == [("Booking ID",)]
    assert proposal.choices["key"].evidence == "unique in 60 of 60 rows"
    assert proposal.event_at == ("Booked At",)
    assert proposal.choices["event time"].others == ("Last Changed",)
    assert (proposal.at, proposal.owner) == ("landed", "front desk")
    room, note, nights = (field(proposal, label) for label in ("Room", "Note", "Nights"))
    assert (room.required, room.values) == (True, ("double", "single", "suite"))
    assert room.evidence["values"] == "3 different values, each in 20 rows or more"
    assert room.evidence["required"] == "never empty in 60 rows"
    assert (note.required, note.evidence["empty"]) == (False, "empty in 30 of 60 rows")
    assert nights.type.options == {"format": "i32", "minimum": 0}


def test_from_few_rows_nothing_is_required_but_key_and_time(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "x.csv", "id,room,at", lambda n: f"{n},single,2026-03-01 10:00:00", 5)
    proposal = proposal_of(path)
    assert [each.required for each in proposal.fields] == [True, False, True]
    assert not any(each.values for each in proposal.fields)
    assert "The sample has 5 rows" in proposal.notes[0]


def test_without_a_key_a_row_is_known_by_all_its_values(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "x.csv", "room,at", lambda n: f"single,2026-03-01 {n % 7:02}:00:00", 40)
    proposal = proposal_of(path)
    assert (proposal.key, proposal.choices["key"].value) == ([], "content_hash")
    assert "7 of 40 differ); 33 that repeat another will be rejected" in proposal.choices["key"].evidence
    sql = write_models(proposal)["slv_bookings__checked"]
    assert "key=['booking_id']," in sql
    assert "'booking_id': 'content_hash'," in sql
    assert "repeated=" not in sql


def test_what_names_things_has_no_closed_list_of_values(tmp_path: Path) -> None:
    proposal = columns_of(
        tmp_path, {"sensor_id": [f"S{n % 3}" for n in range(60)], "fee_code": ["on", "off", "no"] * 20}
    )
    assert field(proposal, "sensor_id").values == ()
    assert field(proposal, "fee_code").values == ("no", "off", "on")
    assert "enum: [{value: 'no'}, {value: 'off'}, {value: 'on'}]" in contract_text(tmp_path, proposal)


def contract_text(folder: Path, proposal: Proposal) -> str:
    file = YamlFile(folder / "x.odcs.yaml")
    file.content["schema"] = [write_table_entry(proposal)]
    return file.text


def test_a_range_is_told_by_its_evidence_and_not_of_what_may_be_below_zero(tmp_path: Path) -> None:
    proposal = columns_of(tmp_path, {"Temp C": range(20, 60), "weight": range(20, 60)})
    assert "minimum" not in field(proposal, "Temp C").type.options
    assert field(proposal, "weight").evidence["range"] == "from 20 to 59, so never below 0"


def test_the_time_of_the_event_may_be_a_part_of_the_key(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "x.csv", "store,day", lambda n: f"{n % 2},2026-01-{n // 2 + 1:02}", 50)
    sql = write_models(proposal_of(path, name="shop.sales", key=["store", "day"]))["slv_sales__checked"]
    assert "key=['store', 'day']" in sql
    assert (
        "        'day': 'try_cast(day as date)',\n        'written_at': assay.utc_timestamp('day'),\n" in sql
    )


def test_two_columns_are_the_key_where_no_one_is(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path / "x.csv", "order_id,line_no,at", lambda n: f"O{n // 4},{n % 4},2026-03-01 10:00:00"
    )
    proposal = proposal_of(path)
    assert proposal.key == [("order_id",), ("line_no",)]
    assert proposal.choices["key"].evidence == "unique in 60 of 60 rows"


ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    "no such key": ({"key": ["nothing"]}, "The sample has no column nothing: there are Booking ID, "),
    "an empty key": ({"key": ["Note"]}, "Note is empty in half of the rows or more"),
    "no such time": ({"event_at": "Total"}, "Total tells no time: numbers with up to 2 decimals"),
    "no lag": ({"available": "lag:soon"}, "lag:soon is no lag: write a whole number and a unit"),
    "no time at all": ({"available": "lag:0s"}, "A lag is longer than nothing"),
    "the event itself": ({"available": "booked_at"}, "booked_at is when it happened"),
    "no column of that kind": (
        {"available": "column"},
        "No column is called as one that says when a row was known",
    ),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_that_does_not_fit_the_sample_is_refused(tmp_path: Path, kind: str) -> None:
    answers, message = ANSWERS[kind]
    with pytest.raises(Unanswerable) as refused:
        proposal_of(bookings(tmp_path / "bookings.csv"), **answers)
    assert message in str(refused.value)


def json_lines(path: Path, documents: Sequence[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(each)}\n" for each in documents), encoding="utf-8")
    return path


def visit(number: int) -> dict[str, Any]:
    at = BEGIN + timedelta(hours=number)
    return {
        "id": f"V{number}",
        "guest": {"name": "Ann Lee", "email": f"guest{number % 9}@mail.example", "loyalty-no": number},
        "ms": 3 * number,
        "tags": ["a", "b"],
        "happenedAt": f"{at.isoformat()}Z",
        "receivedAt": f"{(at + timedelta(seconds=3)).isoformat()}Z",
    }


def change(number: int, op: str, **values: Any) -> dict[str, Any]:
    at = int((BEGIN + timedelta(hours=number)).timestamp() * 1000)
    source = {"connector": "postgresql", "name": "pms", "ts_ms": at, "lsn": 1000 + number}
    row = {"guest_id": number % 40, "email": f"g{number % 40}@mail.example", "points": 10 * number, **values}
    before, after = (row, None) if op == "d" else (None, row)
    return {"op": op, "ts_ms": at + 5, "source": source, "before": before, "after": after}


def rooms(path: Path, rows: int = 50) -> str:
    """Write a table of DuckDB, and return what names it as a sample."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create or replace table rooms as select 'R' || n as room_no, n % 5 as floor, "
            "(n * 10.5)::decimal(10, 2) as price, timestamp '2026-01-01' + to_hours(n::integer) as listed_at "
            f"from range({rows}) as numbers (n)"
        )
    return f"{path}:main.rooms"


def test_documents_are_looked_into_one_level_deep(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "visits.jsonl", [visit(number) for number in range(40)])
    proposal = proposal_of(path, name="web.visits")
    silver = {each.label: (each.silver, each.type.sql, each.pii) for each in proposal.fields}
    assert silver["guest.email"] == ("guest_email", "varchar", "hash")
    assert silver["guest.name"] == ("guest_name", "varchar", "mask")
    assert silver["guest.loyalty-no"] == ("loyalty_no", "varchar", None)
    assert silver["tags"] == ("tags", "varchar", None)
    assert (proposal.key, proposal.event_at) == ([("id",)], ("happenedAt",))
    assert (proposal.at, proposal.received_at) == ("column", ("receivedAt",))
    sql = write_models(proposal)["slv_visits__checked"]
    assert "'visit_id': assay.filled('document.id')," in sql
    assert "'loyalty_no': assay.filled('document.guest.\"loyalty-no\"')," in sql
    guest = next(each for each in write_table_entry(proposal)["properties"] if each["name"] == "guest")
    assert [each["name"] for each in guest["properties"]] == ["name", "email", "loyalty-no"]


def test_a_nested_name_that_says_little_carries_that_of_its_object(tmp_path: Path) -> None:
    documents = [
        {
            "bike": {"id": f"B{n}", "gears": n, "code": n},
            "mechanic": {"name": NAMES_OF_PEOPLE[n % 5], "email": "m@shop.example"},
            "payload": {"id": f"T{n}"},
            "bike_code": n,
        }
        for n in range(40)
    ]
    proposal = proposal_of(json_lines(tmp_path / "x.jsonl", documents), name="shop.tickets")
    assert {each.label: (each.silver, each.pii) for each in proposal.fields} == {
        "bike.id": ("bike_id", None),
        "bike.gears": ("gears", None),
        "mechanic.name": ("mechanic_name", "mask"),
        "mechanic.email": ("mechanic_email", "hash"),
        "bike.code": ("bike_bike_code", None),
        "payload.id": ("ticket_id", None),
        "bike_code": ("bike_code", None),
    }
    assert proposal.key == [("payload", "id")]
    assert field(proposal, "bike.id").description == "Id of bike."


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("Preis EUR", "Preis EUR."),
        ("PreisEUR", "Preis EUR."),
        ("Miet_Nr.", "Miet Nr."),
        ("Betrag (EUR)", "Betrag (EUR)."),
        ("ORDER_DATE", "Order date."),
        ("orderId", "Order id."),
        ("SKU", "SKU."),
        ("id", "Order id."),
    ],
)
def test_a_column_is_described_by_the_words_of_its_name(tmp_path: Path, name: str, description: str) -> None:
    proposal = proposal_of(csv_file(tmp_path / "x.csv", name, str), name="shop.orders")
    assert proposal.fields[0].description == description


def test_silver_names_nothing_by_a_word_of_sql(tmp_path: Path) -> None:
    proposal = columns_of(tmp_path, {"select": range(40), "Group": range(40), "größe (cm)": range(40)})
    assert [each.silver for each in proposal.fields] == [
        "order_id",
        "order_select",
        "order_group",
        "größe_cm",
    ]


def test_a_key_of_mixed_types_is_text(tmp_path: Path) -> None:
    documents = [{"id": n, "size": {"w": 1} if n % 2 else "small"} for n in range(40)]
    found = field(proposal_of(json_lines(tmp_path / "x.jsonl", documents), name="web.visits"), "size")
    assert found.type.sql == "varchar"
    assert found.evidence["type"] == "of mixed types, so it is text: 20 objects, 0 arrays, 20 others"


def test_a_change_log_is_known_by_its_envelope(tmp_path: Path) -> None:
    joined_at = int(BEGIN.timestamp() * 1000)
    changes = [change(number, "cud"[number // 40], joined_at=joined_at) for number in range(90)]
    proposal = proposal_of(json_lines(tmp_path / "guests.jsonl", changes), name="pms.guests")
    assert proposal.is_change_log
    assert (proposal.key, proposal.at) == ([("guest_id",)], "column")
    assert proposal.choices["key"].evidence == "40 different values in 90 changes"
    joined = field(proposal, "joined_at")
    assert (joined.type.sql, joined.physical) == ("timestamp", "io.debezium.time.Timestamp")
    sql = write_models(proposal)
    assert "attributes=['email', 'points', 'joined_at']," in sql["slv_guests__checked"]
    assert "'points': 'points'," in sql["slv_guests__changes"]


def test_a_change_event_that_tells_its_types_is_believed(tmp_path: Path) -> None:
    types = [
        {"field": "price", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}},
        {"field": "since", "name": "io.debezium.time.Date"},
    ]
    schema = {"fields": [{"field": "before", "fields": types}, {"field": "after", "fields": types}]}
    changes = [
        {"schema": schema, "payload": change(n, "c", price="AfQ=", since=20000 + n)} for n in range(40)
    ]
    proposal = proposal_of(json_lines(tmp_path / "guests.jsonl", changes), name="pms.guests")
    price, since = field(proposal, "price"), field(proposal, "since")
    assert (price.type.sql, price.physical) == (
        "decimal(38, 2)",
        "org.apache.kafka.connect.data.Decimal(2)",
    )
    assert (since.type.sql, since.physical) == ("date", "io.debezium.time.Date")


def test_days_that_debezium_writes_with_a_zone_are_days(tmp_path: Path) -> None:
    changes = [change(n, "c", since=f"2025-03-{n % 28 + 1:02}Z") for n in range(40)]
    since = field(proposal_of(json_lines(tmp_path / "guests.jsonl", changes), name="pms.guests"), "since")
    assert (since.type.sql, since.evidence["type"]) == ("date", "days in 40 of 40 values")


def test_parquet_and_a_table_of_duckdb_are_samples(tmp_path: Path) -> None:
    table = proposal_of(rooms(tmp_path / "pms.duckdb"), name="pms.rooms")
    flat, nested = tmp_path / "flat.parquet", tmp_path / "nested.parquet"
    duckdb.execute(f"copy (select 'R' || n as room_no, n * 1.5 as price from range(40) t(n)) to '{flat}'")
    duckdb.execute(
        f"copy (select 'R' || n as room_no, {{'floor': n}} as place from range(40) t(n)) to '{nested}'"
    )
    assert (table.format, table.key, table.event_at) == ("csv", [("room_no",)], ("listed_at",))
    assert field(table, "price").type.sql == "decimal(18, 2)"
    assert proposal_of(flat, name="pms.rooms").format == "csv"
    documents = proposal_of(nested, name="pms.rooms")
    assert documents.format == "jsonl"
    assert field(documents, "place.floor").type.sql == "integer"


def test_columns_that_not_all_samples_have_are_optional(tmp_path: Path) -> None:
    old = csv_file(tmp_path / "old.csv", "id,at", lambda n: f"{n},2026-03-01 10:00:00")
    new = csv_file(tmp_path / "new.csv", "id,at,channel", lambda n: f"{n + 60},2026-03-02 10:00:00,web")
    channel = field(proposal_of(old, new), "channel")
    assert (channel.optional, channel.required) == (True, False)


def test_names_that_assay_has_itself_are_declared_otherwise(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path / "x.csv", "id,row_number,available_at,at", lambda n: f"{n},{n},x,2026-03-01 10:00:00"
    )
    proposal = proposal_of(path, event_at="at")
    assert proposal.aliases == {"row_number": "row_number_in_source"}
    assert field(proposal, "available_at").silver == "available_at_in_source"
    assert "Assay has a column row_number itself" in proposal.notes[0]
    column = next(
        each for each in write_table_entry(proposal)["properties"] if each["name"] == "row_number_in_source"
    )
    assert column["customProperties"] == [{"property": "aliases", "value": ["row_number"]}]


SAMPLES: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("x.csv", "", "x.csv is empty"),
    "a header alone": ("x.csv", "id,at\n", "has 0 rows that can be read"),
    "one row": ("x.csv", "id,at\n1,2026-03-01\n", "has 1 row that can be read"),
    "a name twice": ("x.csv", "id,at,id\n1,2,3\n4,5,6\n", "'id' is there twice"),
    "names that differ by case": ("x.csv", "id,ID\n1,2\n4,5\n", "the two differ by case alone"),
    "a column without a name": ("x.csv", "id,,at\n1,2,3\n4,5,6\n", "gives no name to column 2"),
    "no header": ("x.csv", "1,17.50,ann\n2,18.50,bob\n", "looks like a row, not like names of columns"),
    "an expression": ("x.csv", "id,{{ x }}\n1,2\n3,4\n", "the beginning of a dbt expression"),
    "no such format": ("x.xlsx", "PK", "ends in .xlsx: give a file of .csv"),
    "no JSON lines": ("x.json", '[\n{"id": 1},\n{"id": 2}\n]\n', "no JSON objects, one a line"),
    "a broken archive": ("x.csv.gz", b"\x1f\x8b\x08broken", "cannot be read"),
    "Excel's lines above the header": (
        "x.csv",
        "Account statement\nAccount: 12, 13\n\nid;at;note\n1;2026-03-01;a\n2;2026-03-02;b\n",
        "The header is in line 4: take out the 3 lines above it",
    ),
    "an array on one line": (
        "x.json",
        '[{"id": 1}, {"id": 2}]',
        "write each document on a line of its own, as jq",
    ),
    "changes of two tables": (
        "x.jsonl",
        "".join(
            json.dumps({"op": "c", "after": {"id": n}, "source": {"schema": "s", "table": "ab"[n % 2]}})
            + "\n"
            for n in range(4)
        ),
        "has changes of 2 tables: s.a and s.b",
    ),
    "rows of other lengths": (
        "x.csv",
        "a,b\n1,2\n3\n4,5,6\n7,8\n",
        "other numbers of values than its",
    ),
    "NUL bytes": ("x.csv", "a,b\n1\0,2\n3,4\n", "has NUL bytes between its letters"),
    "documents without keys": ("x.jsonl", "{}\n{}\n", "have no keys to learn from"),
    "broken Parquet": ("x.parquet", b"PAR1broken", "cannot be read as Parquet"),
}


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_sample_that_tells_nothing_is_refused(tmp_path: Path, kind: str) -> None:
    name, content, message = SAMPLES[kind]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Fault) as refused:
        proposal_of(path)
    assert message in str(refused.value)


def test_samples_of_different_formats_are_refused(tmp_path: Path) -> None:
    documents = json_lines(tmp_path / "x.jsonl", [{"id": 1}, {"id": 2}])
    with pytest.raises(Fault, match="are of different formats"):
        proposal_of(bookings(tmp_path / "x.csv"), documents)


def test_a_table_that_the_database_does_not_have_is_refused(tmp_path: Path) -> None:
    sample = rooms(tmp_path / "pms.duckdb")
    with pytest.raises(Fault, match=r"has no table main\.beds: there are main\.rooms"):
        proposal_of(sample.replace("main.rooms", "beds"))
    with pytest.raises(Fault, match="name a table in it, as"):
        proposal_of(tmp_path / "pms.duckdb")


def statements(path: Path, *, delimiter: str = ";", day: str = "%d.%m.%Y", sum_: str = "1.{:03},50") -> Path:
    """Write a sample as a bank does."""
    days = [(BEGIN + timedelta(days=n)).strftime(day) for n in range(60)]
    lines = [["Nr", "Gebucht am", "Betrag"], *([f"S{n:03}", at, sum_.format(n)] for n, at in enumerate(days))]
    path.write_text("sep=;\n" + "".join(delimiter.join(line) + "\n" for line in lines), encoding="utf-16")
    return path


OTHERWISE: dict[str, tuple[dict[str, str], str]] = {
    "the same": ({}, ""),
    "delimiter": ({"delimiter": "\t"}, r"delimiter '\t', where the contract says ';'"),
    "days": ({"day": "%m/%d/%Y"}, "times written MM/dd/yyyy, where the contract says dd.MM.yyyy"),
    "ISO days": ({"day": "%Y-%m-%d"}, ""),
    "numbers": ({"sum_": "1,{:03}.50"}, "decimal '.' and thousands ',', where the contract says ',' and '.'"),
    "numbers of either kind": ({"sum_": "{}"}, ""),
}


@pytest.mark.parametrize("kind", OTHERWISE)
def test_a_newer_sample_that_is_written_otherwise_is_told(tmp_path: Path, kind: str) -> None:
    changed, message = OTHERWISE[kind]
    first = proposal_of(statements(tmp_path / "a.csv"), name="bank.sums")
    contract = write_table_entry(first)
    assert first.dialect == Dialect(";", encoding="utf-16", decimal=",", thousands=".")
    told = ""
    try:
        path = str(statements(tmp_path / "b.csv", **changed))
        with read_sample([path], "bank.sums", first.dialect) as (sample, connection):
            found = profile(connection, sample, {("Gebucht am",): "dd.MM.yyyy"})
            told = "; ".join(find_written_otherwise(contract, found))
    except Fault as fault:
        told = str(fault)
    assert message in told
    assert bool(told) == bool(message)


def test_a_newer_sample_of_another_table_or_without_a_column_is_told(tmp_path: Path) -> None:
    first = proposal_of(bookings(tmp_path / "a.csv"))
    fewer = csv_file(tmp_path / "b.csv", "Booking ID,Booked At", lambda n: f"B{n},2026-03-01 10:00:{n:02}")
    others = {
        "another": csv_file(tmp_path / "c.csv", "sensor,heat", lambda n: f"{n},{n}"),
        "documents": json_lines(tmp_path / "d.jsonl", [visit(n) for n in range(9)]),
        "changes": json_lines(tmp_path / "e.jsonl", [change(n, "c") for n in range(9)]),
    }
    table = write_table_entry(first)
    for path in others.values():
        with read_sample([str(path)], "hotel.bookings") as (sample, connection):
            assert not is_of_table(table, profile(connection, sample))
    with read_sample([str(fewer)], "hotel.bookings") as (sample, connection):
        found = profile(connection, sample)
        assert is_of_table(table, found)
        renewal = renew_contract(table, propose(found, "hotel", "bookings", Answers(), OWNER), found)
    assert "Nights is in the contract and not in the sample: if the source no" in "".join(renewal.by_hand)
    assert not renewal.changes


def buchungen(path: Path) -> Path:
    """Write a sample as a German spreadsheet saves it."""
    lines = ["Nr;Gast;Preis;Anreise;Gebucht am"]
    lines += [f"{n:04};Zoë;1.{n:03},50;{n % 28 + 1:02}.03.2026;31.01.2026 10:{n:02}" for n in range(60)]
    path.write_bytes("\n".join(lines).encode("windows-1252"))
    return path


def test_how_a_csv_is_written_is_found_and_kept_in_the_contract(tmp_path: Path) -> None:
    proposal = proposal_of(buchungen(tmp_path / "buchungen.csv"))
    dialect = {"delimiter": ";", "encoding": "windows-1252", "decimal": ",", "thousands": "."}
    assert proposal.dialect.declared == dialect
    assert {"property": "dialect", "value": dialect} in write_table_entry(proposal)["customProperties"]
    price, arrival = field(proposal, "Preis"), field(proposal, "Anreise")
    assert (price.type.sql, arrival.type.sql) == ("decimal(18, 2)", "date")
    assert price.evidence["type"] == "numbers with up to 2 decimals in 60 of 60 values"
    assert arrival.type.options == {"format": "dd.MM.yyyy"}
    assert proposal.event_at == ("Gebucht am",)
    sql = write_models(proposal)["slv_bookings__checked"]
    assert "'anreise': assay.utc_timestamp('Anreise') ~ '::date'," in sql
    assert "'written_at': assay.utc_timestamp('\"Gebucht am\"')," in sql


def test_days_that_read_in_two_ways_are_told_by_another_column_or_stay_text(tmp_path: Path) -> None:
    either = csv_file(tmp_path / "x.csv", "id,day", lambda n: f"{n},0{n % 9 + 1}/02/2026")
    found = field(proposal_of(either), "day")
    assert found.type.sql == "varchar"
    assert "times written dd/MM/yyyy or MM/dd/yyyy: the sample does not tell which" in found.evidence["type"]
    told = csv_file(
        tmp_path / "y.csv", "id,day,end", lambda n: f"{n},0{n % 9 + 1}/02/2026,{n % 9 + 20}/02/2026"
    )
    assert field(proposal_of(told), "day").type.options == {"format": "dd/MM/yyyy"}


@pytest.mark.parametrize(
    ("days", "mistakes", "written"), [(60, 1, True), (30, 1, True), (30, 60, False)], ids=str
)
def test_a_few_days_that_no_month_has_leave_a_column_of_days(
    tmp_path: Path, days: int, mistakes: int, written: bool
) -> None:
    first = datetime(2026, 3, 1)

    def day(number: int) -> str:
        return "31.02.2026" if number < mistakes else f"{first + timedelta(number % days):%d.%m.%Y}"

    path = csv_file(tmp_path / "x.csv", "id;zeitpunkt", lambda number: f"{number};{day(number)}", 300)
    found = field(proposal_of(path), "zeitpunkt")
    assert found.type.sql == ("date" if written else "varchar")
    assert not written or "days written dd.MM.yyyy in 299 of 300 values" in found.evidence["type"]


def make_hotel(root: Path) -> SmallProject:
    """Write a project of the platform alone, in which nothing lands yet."""
    for name in ("macros", "seeds/platform", "tests/dbt/platform", "models/platform", "contracts/platform"):
        shutil.copytree(PROJECT / name, root / name)
    for name in ("dbt_project.yml", "profiles.yml", "packages.yml"):
        shutil.copy(PROJECT / name, root / name)
    stand_in = Path("dbt_expectations")
    shutil.copytree(PROJECT / "assay" / "stand_ins" / stand_in, root / "dbt_packages" / stand_in)
    (root / "data" / "landing").mkdir(parents=True)
    return SmallProject(root, {"ASSAY_EXAMPLE": "none"})


def ran(project: SmallProject, *arguments: str) -> str:
    ended = project.assay(*arguments)
    assert ended.exit_code == 0, ended.stdout + ended.stderr
    return str(ended.stdout)


def written(project: SmallProject) -> dict[str, str]:
    """Return the files that people keep, and the landing zone's."""
    folders = ("contracts", "models", "data/landing")
    files = [path for folder in folders for path in (project.root / folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(project.root)): path.read_bytes().decode("latin-1") for path in files}


TOPIC = "broker.example:9092/web-visits"
SERVER = "  - {server: visits, type: kafka, host: broker.example:9092, topic: web-visits, format: json}\n"
SOURCES = {
    "hotel.bookings": ("bookings.csv", "lag:1h"),
    "web.visits": ("visits.jsonl", "receivedAt"),
    "pms.guests": ("guests.jsonl", "column"),
    "front.buchungen": ("buchungen.csv", "lag:1m"),
}


def newer_bookings(path: Path) -> Path:
    """Write a later sample: a column more, half nights, refunds, another room, and rooms that are unknown."""
    return csv_file(
        path,
        "Booking ID,Room,Nights,Total,Booked At,Note,Last Changed,Channel",
        lambda n: (
            f"C{n},{['single', 'double', 'suite', 'attic', ''][n % 5]},{n % 5 + 1}{'.5' * (n % 2)},"
            f"{n - 5}.50,"
            f"2026-03-02 {n % 24:02}:00:00,,2026-03-02 00:00:00,{['web', 'phone'][n % 2]}"
        ),
    )


@dataclass(frozen=True)
class Hotel:
    """A project with generated sources that is built, and what its commands told."""

    project: SmallProject
    samples: Path
    proposed: str
    written: str

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        # Views name the warehouse as it is called.
        with connect(self.project.warehouse) as connection:
            return connection.sql(sql).fetchall()


@pytest.fixture(scope="module")
def hotel(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Hotel:
    """Four sources from samples, each with a bad row or two; one of them is brought to a newer sample.

    Between the two samples, a person has edited what was written. dbt builds it under a strict parse.
    """
    root = tmp_path_factory.mktemp("hotel")
    project, samples = make_hotel(root / "project"), root / "samples"
    samples.mkdir()
    with bookings(samples / "bookings.csv").open("a") as stream:
        stream.write("B0,double,1,0.50,2026-03-01 00:00:00,,2026-03-02 00:00:00\n")
        stream.write("B900,single,1,much,2026-03-01 00:00:00,,2026-03-02 00:00:00\n")
    json_lines(samples / "visits.jsonl", [visit(number) for number in range(60)])
    with (samples / "visits.jsonl").open("a") as stream:
        stream.write("{\n")
    json_lines(samples / "guests.jsonl", [change(number, "cu"[number // 40]) for number in range(70)])
    buchungen(samples / "buchungen.csv")
    for name, (sample, available) in SOURCES.items():
        kafka = ("--kafka", TOPIC) if name == "web.visits" else ()
        told = ran(
            project, "source", "add", name, str(samples / sample), "--yes", "--available", available, *kafka
        )
        assert ("until a stream lands them, they land as files" in " ".join(told.split())) == bool(kafka)
    edit(
        project.root / "contracts" / "hotel.odcs.yaml",
        "description: Note.",
        "description: What guests ask for.",
    )
    edit(project.root / CHECKED, "assay.filled('Note')", "assay.filled('upper(Note)')")
    newer = newer_bookings(samples / "newer.csv")
    before = written(project)
    proposed = ran(project, "source", "add", "hotel.bookings", str(newer), "--dry-run")
    assert written(project) == before
    told = ran(project, "source", "add", "hotel.bookings", str(newer), "--yes")
    errors = {"error": "all", "silence": ["UnsupportedConstraintMaterialization", "UnusedResourceConfigPath"]}
    strict = ("--warn-error-options", json.dumps(errors), "--show-all-deprecations")
    built = project.dbt(*strict, "build", "--select", "+path:models/own")
    assert built.returncode == 0, built.stdout
    return Hotel(project, samples, proposed, told)


CHECKED = Path("models", "own", "silver", "hotel", "slv_bookings__checked.sql")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_rows_of_a_generated_source_are_kept_or_rejected_as_they_should(hotel: Hotel) -> None:
    assert hotel.rows(
        "select 'bookings', count(*) from silver.slv_bookings union all "
        "select 'visits', count(*) from silver.slv_visits union all "
        "select 'guests', count(*) from silver.slv_guests__changes union all "
        "select 'buchungen', count(*) from silver.slv_buchungen order by all"
    ) == [("bookings", 120), ("buchungen", 60), ("guests", 70), ("visits", 60)]
    assert hotel.rows(
        "select rule_ids, reason from silver.slv_bookings__rejected union all "
        "select rule_ids, reason from silver.slv_visits__rejected order by all"
    ) == [
        (["malformed_json"], "The line is not JSON; send the line again; the rest of its file is loaded"),
        (["mistyped_total"], "Total is no number; send Total as number"),
        (
            ["repeated_booking"],
            "Another booking of this key arrived first; none needed: the first arrival is kept",
        ),
    ]


def test_values_of_a_generated_source_are_typed(hotel: Hotel) -> None:
    assert hotel.rows(
        "select booking_id, room, nights, total, note, channel, event_at, available_at - event_at "
        "from silver.slv_bookings where booking_id in ('B31', 'C1', 'C4') order by all"
    ) == [
        (
            "B31",
            "double",
            Decimal(2),
            Decimal("31.50"),
            "LATE",
            None,
            datetime(2026, 3, 1, 7),
            timedelta(hours=1),
        ),
        (
            "C1",
            "double",
            Decimal("2.5"),
            Decimal("-4.50"),
            None,
            "phone",
            datetime(2026, 3, 2, 1),
            timedelta(hours=1),
        ),
        ("C4", None, Decimal(5), Decimal("-1.50"), None, "web", datetime(2026, 3, 2, 4), timedelta(hours=1)),
    ]
    assert hotel.rows(
        "select guest_email, loyalty_no, ms, tags, available_at - event_at from silver.slv_visits "
        "where visit_id = 'V3'"
    ) == [("guest3@mail.example", "3", 9, '["a","b"]', timedelta(seconds=3))]
    assert hotel.rows(
        "select gast, preis, anreise, event_at from silver.slv_buchungen where nr = '0027'"
    ) == [("Zoë", Decimal("1027.50"), date(2026, 3, 28), datetime(2026, 1, 31, 10, 27))]
    assert hotel.rows(
        "select guest_id, points, op from silver.slv_guests__changes where guest_id = '3' order by all"
    ) == [("3", 30, "c"), ("3", 430, "u")]


NEW = [
    "Channel is new: texts of up to 5 characters",
    "Room is no longer required: empty in 12 of 60 rows",
    "Room may be `attic` as well",
    "Nights is number and no longer integer: numbers with up to 1 decimal in 60 of 60 values",
    "Total is no longer held to minimum 0: values go from -5.5 to 54.5",
]


def test_of_a_newer_sample_the_difference_is_proposed(hotel: Hotel) -> None:
    for change_ in NEW:
        assert change_ in hotel.proposed
        assert change_ in hotel.written
    assert "+        'channel': assay.filled('Channel'),\n" in hotel.proposed
    assert "-        'nights': assay.strict_number('Nights', 'integer'),\n" in hotel.proposed
    assert "+        'nights': assay.strict_number('Nights', 'decimal(18, 2)'),\n" in hotel.proposed
    # Rows that are checked already have no such column.
    assert "assay build --full-refresh" in hotel.written


def test_what_a_person_wrote_stays(hotel: Hotel) -> None:
    contract = (hotel.project.root / "contracts" / "hotel.odcs.yaml").read_text()
    assert "description: What guests ask for." in contract
    assert "assay.filled('upper(Note)')" in (hotel.project.root / CHECKED).read_text()


def test_contracts_and_yaml_agree_after_a_source_is_added(hotel: Hotel) -> None:
    output = str(hotel.project.assay("contracts", "check").stdout)
    assert "not in the warehouse" in output
    assert not [
        line for line in output.splitlines() if re.search(r"(hotel|web|pms)\.odcs\.yaml:|models/own", line)
    ]


def test_a_second_run_changes_nothing(hotel: Hotel) -> None:
    before = written(hotel.project)
    for name, sample, *more in (
        ("hotel.bookings", "newer.csv"),
        ("pms.guests", "guests.jsonl"),
        ("web.visits", "visits.jsonl", "--kafka", TOPIC),
    ):
        output = ran(hotel.project, "source", "add", name, str(hotel.samples / sample), "--yes", *more)
        assert "The sample shows nothing new." in output
    assert written(hotel.project) == before


def test_the_contract_says_which_topic_rows_come_from(hotel: Hotel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"servers:\n{SERVER}schema:\n" in (hotel.project.root / "contracts" / "web.odcs.yaml").read_text()
    monkeypatch.chdir(hotel.project.root)
    project = assay.open()
    with pytest.raises(Fault, match="has a server visits already, and it says something else"):
        project.add_source("web.visits", [hotel.samples / "visits.jsonl"], kafka="other:9092/web-visits")
    guests = project.add_source(
        "pms.guests", [hotel.samples / "guests.jsonl"], kafka="[::1]:9092,b:9093/x.guests", dry_run=True
    )
    added = "+  - {server: guests, type: kafka, host: '[::1]:9092,b:9093', topic: x.guests, format: debezium}"
    assert added in str(guests)
    read = (hotel.samples / "guests.jsonl", "avro")
    with mock.patch("assay.stream.sample.read_topic_sample", return_value=read):
        assert "topic: guests, format: avro}" in str(
            project.add_source("pms.guests", kafka="b:9092/guests", dry_run=True)
        )


NO_TOPICS = (
    *("orders", "b:9092", "b:9092/", "/orders", "b:0/x", "b:70000/x", "kafka://b/x", "u:p@b/x", "b/x y"),
    *("b/..", "b/x/y", "b,/x", "b/x?acks=all", "", "/"),
)


@pytest.mark.parametrize("place", NO_TOPICS)
def test_what_is_no_topic_of_kafka_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match="is no topic of Kafka: write HOST/TOPIC, as "):
        make_kafka_server(place, "visits", "json")


def test_a_topic_needs_a_sample_of_its_messages(tmp_path: Path) -> None:
    with pytest.raises(Unanswerable, match="land as JSON lines, and the sample is of columns"):
        proposal_of(bookings(tmp_path / "bookings.csv"), kafka="b:9092/bookings")


def test_the_same_rule_with_another_meaning_gets_a_name_of_its_own(tmp_path: Path) -> None:
    proposal = proposal_of(bookings(tmp_path / "bookings.csv"))
    known = {"mistyped_nights": ("Nights is no date", "send Nights as date")}
    assert not means_otherwise(
        write_table_entry(proposal), {"mistyped_nights": ("Nights is no integer", "send Nights as integer")}
    )
    assert means_otherwise(write_table_entry(proposal), known)
    scoped = replace(proposal, rule_scope="bookings")
    assert not means_otherwise(write_table_entry(scoped), known)
    assert (
        "'invalid_bookings_booked_at': 'claimed_at is null'" in write_models(scoped)["slv_bookings__checked"]
    )


def test_times_are_shown_by_the_names_that_silvers_table_has(tmp_path: Path) -> None:
    sample = csv_file(
        tmp_path / "visits.csv",
        "No,Came,Told",
        lambda n: f"V{n},2026-01-01 08:{n:02}:00,2026-01-01 09:{n:02}:00",
    )
    proposal = proposal_of(sample, event_at="Came", available="Told")
    plan = SimpleNamespace(is_new=True, proposal=proposal, by_hand=[], landing={}, difference="")
    console = Console(width=160, file=StringIO())
    print_plan(plan, console, with_difference=False)  # type: ignore[arg-type]
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r" Came +event_at ", shown)
    assert re.search(r" Told +available_at ", shown)


def test_what_is_asked_comes_with_what_is_proposed(tmp_path: Path) -> None:
    asked: dict[str, Choice] = {}

    def ask(name: str, choice: Choice) -> str:
        asked[name] = choice
        return {"key": "Booking ID, Room", "event time": "Last Changed"}.get(name, choice.value)

    proposal = proposal_of(bookings(tmp_path / "bookings.csv"))
    answers = gather_answers(proposal, Answers(available="landed"), ask)
    assert answers == Answers(["Booking ID", "Room"], "Last Changed", "landed", "front desk")
    assert {name: choice.value for name, choice in asked.items()} == {
        "key": "Booking ID",
        "event time": "Booked At",
        "owner": "front desk",
    }
    asked.clear()
    given = Answers(["Room"], "Booked At", "landed", "me")
    assert gather_answers(proposal, given, ask) == given
    assert not asked, "what is given is not asked"


NAMES = {
    "bookings": "is no name of a source's table: write source.table",
    "Hotel.bookings": "in small letters",
    "hotel.book__ings": "single underscores",
    "serving.bookings": "is the source of what Assay's own server lands",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_cannot_be_one_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Fault, match="is not the root of a dbt project"), planned_source(name, ["x.csv"]):
        pass
    (tmp_path / "dbt_project.yml").write_text("name: x\n")
    with pytest.raises(Fault) as refused, planned_source(name, ["x.csv"]):
        pass
    assert NAMES[name] in str(refused.value)


def test_all_files_are_written_or_none(tmp_path: Path) -> None:
    good, bad = tmp_path / "a.sql", tmp_path / "file" / "b.sql"
    good.write_text("as it was")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(FileExistsError):
        write_all({good: "new", bad: "new"})
    assert good.read_text() == "as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.sql", "file"]


def test_a_sample_lands_once_and_in_place_of_no_other_file(tmp_path: Path) -> None:
    sample, folder = tmp_path / "orders.csv", tmp_path / "landing" / "shop" / "orders"
    for text in ("id\n1\n", "id\n2\n"):
        sample.write_text(text)
        land(choose_places_to_land([sample], folder))
        assert choose_places_to_land([sample], folder) == {}
    landed = sorted(path for path in folder.rglob("*") if path.is_file())
    assert [path.read_text() for path in landed] == ["id\n2\n", "id\n1\n"]
    assert choose_places_to_land(landed, folder) == {}
    assert landed[0].parent.name.startswith("landed_at=")


def test_where_a_person_changed_the_sql_it_is_told_what_to_add(tmp_path: Path) -> None:
    proposal = proposal_of(bookings(tmp_path / "bookings.csv"))
    sql = write_models(proposal)["slv_bookings__checked"]
    nights, room = field(proposal, "Nights"), field(proposal, "Room")
    wider = replace(nights, type=replace(nights.type, sql="bigint"))
    renewal = Renewal(new=[replace(room, silver="kind")], retyped=[(nights, wider)])
    by_hand = "select * from {{ ref('brz_hotel__bookings') }}"
    assert renew_sql(by_hand, renewal, proposal, "model.sql") == by_hand
    assert renewal.by_hand == [
        "model.sql: let the column of Nights be assay.strict_number('Nights', 'bigint')",
        "model.sql: add under columns 'kind': assay.filled('Room'),",
    ]
    renewal.by_hand.clear()
    renamed = sql.replace("'nights': ", "'stay': ")
    renewed = renew_sql(renamed, renewal, proposal, "model.sql")
    assert "        'stay': assay.strict_number('Nights', 'bigint'),\n" in renewed
    assert "        'kind': assay.filled('Room'),\n        'written_at': " in renewed
    assert not renewal.by_hand


def test_keys_that_cannot_be_declared_stay_in_bronze(tmp_path: Path) -> None:
    documents = [{"id": n, "ID": n, "{{ x }}": n, "it's": n} for n in range(30)]
    proposal = proposal_of(json_lines(tmp_path / "x.jsonl", documents), name="web.visits")
    assert [(each.label, each.silver) for each in proposal.fields] == [("id", "visit_id"), ("it's", "")]
    assert "A key cannot be declared: 'ID' is there already as 'id'" in proposal.notes[0]
    assert "the beginning of a dbt expression. Bronze keeps it." in proposal.notes[1]
    assert "it's is left out of silver" in proposal.notes[2]
    assert "it's" not in write_models(proposal)["slv_visits__checked"]


def test_columns_whose_rules_would_have_one_name_do_not_share_it(tmp_path: Path) -> None:
    proposal = columns_of(tmp_path, {"a.b": range(40), "a b": range(40)})
    first, second = field(proposal, "a.b"), field(proposal, "a b")
    assert (first.type.sql, first.silver, first.required) == ("integer", "a_b", True)
    assert (second.type.sql, second.silver, second.required) == ("varchar", "a_b_in_source", False)
    assert "a b stays text without rules" in proposal.notes[0]


LEFT_AS_TEXT = {
    "minus behind": ["1.234,56-", "12,00", "7,5-"],
    "percent": ["12%", "3.5 %", "7"],
    "euro": ["€ 12,50", "1.200,00 EUR", "3"],
    "accounting": ["(12.50)", "13.00", "$14"],
    "codes": ["AB 12", "CD 13", "EF 14"],
    "yes in German": ["ja", "nein", ""],
    "yes in French": ["Oui", "NON", "oui"],
    "Y and N": ["Y", "N", "Y"],
    "zone": ["2026-03-01 10:00:00 CET", "2026-03-01T10:00:00Z[Europe/Berlin]", "2026-03-01 10:00 Asia/Tokyo"],
}
TOLD = {
    "numbers with a sign beside them": {"minus behind", "percent", "euro", "accounting"},
    "says yes and no as": {"yes in German", "yes in French"},
    "times with the name of a zone": {"zone"},
}


def test_what_people_read_as_more_than_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    rows = [
        ["id", *LEFT_AS_TEXT],
        *([n, *(each[n % 3] for each in LEFT_AS_TEXT.values())] for n in range(60)),
    ]
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    proposal = proposal_of(path)
    for words, kinds in TOLD.items():
        assert {
            note.split(f" {words.split()[0]} ")[0].removesuffix(" has")
            for note in proposal.notes
            if words in note
        } == kinds
    types = {each.label: each.type.sql for each in proposal.fields}
    assert {name for name, kind in types.items() if kind != "varchar"} == {"Y and N"}


def test_lines_that_are_no_documents_are_told(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "x.jsonl", [{"id": n} for n in range(30)])
    path.write_text(path.read_text() + "{\n[1]\n")
    assert "2 of 32 lines are no JSON objects: they will be rejected." in proposal_of(path).notes


def test_parquet_is_a_newer_sample_of_documents_too(tmp_path: Path) -> None:
    lines = json_lines(tmp_path / "x.jsonl", [{"id": f"V{n}", "ms": n} for n in range(30)])
    entry = write_table_entry(proposal_of(lines, name="web.visits"))
    path = tmp_path / "x.parquet"
    duckdb.sql("select 'V' || n as id, n as ms, n % 2 = 0 as is_new from range(30) as t (n)").write_parquet(
        str(path)
    )
    with read_sample([str(path)], "web.visits", format="jsonl") as (sample, connection):
        found = profile(connection, sample)
        assert is_of_table(entry, found)
        renewal = renew_contract(entry, propose(found, "web", "visits", Answers(), OWNER), found)
    assert [each.label for each in renewal.new] == ["is_new"]
    assert not renewal.retyped


def test_personal_data_that_silver_leaves_out_is_said_to_be_left_out(tmp_path: Path) -> None:
    proposal = columns_of(tmp_path, {"guest's email": [f"g{n}@mail.example" for n in range(40)]})
    checked = next(write_entries(proposal))
    assert checked["config"] == {"meta": {"pii_dropped": ["guest's email"]}}
