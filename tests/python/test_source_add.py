"""`assay source add`: what is proposed of a sample, by what evidence, and what is written of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from assay.generate.profile import profile
from assay.generate.propose import Answers, Choice, Field, Proposal, Unanswerable, propose
from assay.generate.sample import read_sample
from assay.generate.silver import models

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
        "mixed types, so it is text: 30 numbers, 30 others",
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


PERSONAL: dict[str, tuple[str, Callable[[int], str], str | None]] = {
    "e-mail by its looks": ("contact", lambda n: f"guest{n}@mail.example", "hash"),
    "phone by its looks": ("called_at", lambda n: f"+49 89 555{n:04}", "hash"),
    "card by its check digit": ("paid_with", lambda n: luhn(7919 * n), "hash"),
    "digits that are no card": ("paid_by", lambda n: f"{10**15 + 7 * n}", None),
    "iban": ("paid_from", lambda n: f"DE{n:02} 3704 0044 0532 0130 00", "hash"),
    "first name": ("first_name", lambda n: "Ann", "mask"),
    "guest by its looks": ("guest", lambda n: f"Ann Le{'abcdefghij'[n % 10]}", "mask"),
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
    sql = models(proposal)["slv_bookings__checked"]
    assert "key=['booking_id']," in sql
    assert "'booking_id': 'content_hash'," in sql
    assert "repeated=" not in sql


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
