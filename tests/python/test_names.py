"""Names of columns and keys come from data: they are quoted, and compared as DuckDB compares them."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from landing_zone import Zone

from assay.contracts.accept import Accepted, accept
from assay.core.fault import Fault
from assay.core.places import Places
from assay.core.sql import folded, quoted, text
from assay.landing.declared import DeclarationError, declared_tables
from assay.landing.names import RESERVED, container_of, name_of, path_of, what_is_wrong

CSV = """
sources:
  - name: shop
    tables:
      - name: sales
        config:
          meta:
            landing:
              format: csv
        columns:
          - name: id
          - name: Quantity
"""
JSON = """
sources:
  - name: shop
    tables:
      - name: calls
        config:
          meta:
            landing:
              format: jsonl
              keys:
                id: string
                properties: object
                properties.price: number
"""


@pytest.fixture
def zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zone:
    monkeypatch.chdir(tmp_path)
    Path("dbt_project.yml").write_text("model-paths: [models]\n")
    return Zone(tmp_path, CSV)


def accepted(zone: Zone, table: str, column: str | None = None) -> Accepted:
    """Accept as the command does, with the warehouse open to nobody else."""
    zone.connection.close()
    try:
        return accept(Places(zone.landing, zone.warehouse), table, column)
    finally:
        zone.connection = duckdb.connect(zone.warehouse)


def refusal(zone: Zone, table: str, column: str | None = None) -> str:
    before = (zone.models / "sources.yml").read_text()
    with pytest.raises(Fault) as fault:
        accepted(zone, table, column)
    assert (zone.models / "sources.yml").read_text() == before
    return str(fault.value)


# A header, with the name in it that is new


def header(name: str) -> str:
    return f'id,Quantity,"{name.replace(chr(34), chr(34) * 2)}"\n1,2,x\n'


CANNOT_BE = ["quantity", "", "x" * 256, "a\0b", "{{ 1 / 0 }}", "{% if %}", *sorted(RESERVED)]


@pytest.mark.parametrize("name", CANNOT_BE)
def test_what_cannot_be_a_column_is_kept_and_not_accepted(zone: Zone, name: str) -> None:
    zone.drop("shop/sales/a.csv", header(name))
    zone.load()
    assert zone.file()["status"] == "loaded"
    assert json.loads(zone.query("select other_values from landing.shop__sales")[0][0]) == {name: "x"}
    why = refusal(zone, "shop.sales", name)
    assert why == refusal(zone, "shop.sales")
    assert why.startswith("shop.sales: ")
    assert "Declare it under another name" in why
    # The next load goes on, and so does another file of the table.
    zone.drop("shop/sales/b.csv", "id,Quantity\n2,3\n")
    zone.load()
    assert zone.query("select id, Quantity from landing.shop__sales order by 1") == [("1", "2"), ("2", "3")]


@pytest.mark.parametrize("name", ["quantity", "landed_at", "x" * 256, "{{ 1 / 0 }}"])
def test_an_alias_gives_it_a_name_that_can_be(zone: Zone, name: str) -> None:
    zone.drop("shop/sales/a.csv", header(name))
    zone.load()
    alias = f"format: csv\n              aliases: {{{json.dumps(name)}: theirs}}"
    zone.declare(CSV.replace("format: csv", alias) + "          - name: theirs\n")
    zone.drop("shop/sales/b.csv", header(name))
    zone.load()
    assert zone.query("select id, Quantity, theirs from landing.shop__sales") == [("1", "2", "x")] * 2
    assert zone.query("select distinct state from landing.schema_changes") == [("accepted",)]


@pytest.mark.parametrize(
    "name", ['a "quoted" name', "it's", "a.b", "a\nb", "$", "order", "*", "ä", "a/b~c", "x" * 255, "%s", "?"]
)
def test_any_other_name_can_be_a_column(zone: Zone, name: str) -> None:
    zone.drop("shop/sales/a.csv", header(name))
    zone.load()
    assert [change.column_name for change in accepted(zone, "shop.sales", name).changes] == [name]
    zone.drop("shop/sales/b.csv", header(name))
    zone.load()
    values = f"select id, Quantity, {quoted(name)} from landing.shop__sales"
    assert zone.query(values) == [("1", "2", "x")] * 2
    with pytest.raises(Fault, match="has no change of"):
        accepted(zone, "shop.sales", name)


def test_of_two_new_names_that_differ_by_case_one_is_accepted_and_the_other_told(zone: Zone) -> None:
    zone.drop("shop/sales/a.csv", "id,Quantity,Mood,mood\n1,2,x,y\n")
    zone.load()
    taken = accepted(zone, "shop.sales")
    assert [change.column_name for change in taken.changes] == ["Mood"]
    assert "'mood' is declared already as 'Mood': the two differ by case alone" in taken.refused[0]
    zone.load()
    assert zone.query("select Mood, other_values from landing.shop__sales") == [
        ("x", '{"Mood": "x", "mood": "y"}')
    ]


@pytest.mark.parametrize(
    ("names", "quantity"),
    [("id,QUANTITY", "2"), ("ID,quantity", "2"), ("id,QTY", "2"), ("id,qty", "2"), ("id,Quantity", "2")],
)
def test_a_header_may_write_a_name_in_another_case(zone: Zone, names: str, quantity: str) -> None:
    zone.declare(CSV.replace("format: csv", "format: csv\n              aliases: {qty: Quantity}"))
    zone.drop("shop/sales/a.csv", f"{names}\n1,2\n")
    zone.load()
    assert zone.query("select id, Quantity, other_values from landing.shop__sales") == [("1", quantity, None)]
    assert zone.query("from landing.schema_changes") == []


def test_two_spellings_of_a_name_are_none_of_it(zone: Zone) -> None:
    zone.drop("shop/sales/a.csv", "id,quantity,QUANTITY\n1,2,3\n")
    zone.load()
    assert zone.file()["status"] == "failed"
    assert "lacks Quantity" in zone.file()["error"]


def test_a_column_may_change_its_case_in_the_declaration(zone: Zone) -> None:
    zone.drop("shop/sales/a.csv", "id,Quantity\n1,2\n")
    zone.load()
    zone.declare(CSV.replace("Quantity", "quantity"))
    zone.drop("shop/sales/b.csv", "id,Quantity\n2,3\n")
    zone.load()
    assert zone.query("select id, quantity from landing.shop__sales order by 1") == [("1", "2"), ("2", "3")]


# Keys of documents


def test_keys_that_cannot_be_declared_are_told_and_the_documents_kept(zone: Zone) -> None:
    zone.declare(JSON)
    document = {
        "id": "1",
        "Id": "2",
        "": 1,
        "a\0b": 1,
        "{{ x }}": 1,
        "landed_at": "now",
        "properties": {"price": 1, "PRICE": 2, "a.b": 3, 'it"s': 4},
    }
    zone.drop("shop/calls/a.jsonl", json.dumps(document) + "\n")
    zone.load()
    assert zone.file()["status"] == "loaded"
    taken = accepted(zone, "shop.calls")
    assert [change.column_name for change in taken.changes] == [
        "landed_at",
        "properties.a\\.b",
        'properties.it"s',
    ]
    assert len(taken.refused) == 5
    zone.drop("shop/calls/b.jsonl", json.dumps(document | {"id": "2"}) + "\n")
    zone.load()
    states = dict(zone.query("select column_name, state from landing.schema_changes"))
    assert states.pop("landed_at") == states.pop('properties.it"s') == "accepted"
    assert states.pop("properties.a\\.b") == "accepted"
    assert states == dict.fromkeys(["", "Id", "a\0b", "properties.PRICE", "{{ x }}"], "open")
    assert refusal(zone, "shop.calls", "properties.PRICE").startswith(
        "shop.calls: 'PRICE' is declared already as 'price': the two differ by case alone."
    )


def test_keys_that_are_learnt_and_cannot_be_declared_keep_none_from_being_accepted(zone: Zone) -> None:
    zone.declare(JSON.partition("              keys:")[0])
    zone.drop("shop/calls/a.jsonl", '{"id": 1, "ID": 2, "{{ x }}": 3}\n')
    zone.load()
    zone.drop("shop/calls/b.jsonl", '{"id": 1, "ID": 2, "{{ x }}": 3, "mood": 4}\n')
    zone.load()
    accepted(zone, "shop.calls", "mood")
    (table,) = declared_tables(zone.models).values()
    assert set(table.types) == {"ID", "mood"}


@pytest.mark.parametrize(
    "path", [("a",), ("a", "b"), ("a.b",), ("a.b", "c"), ("",), ("", ""), ("a\\", "b"), ("a\\.b", ".")]
)
def test_a_name_tells_the_path_of_its_key(path: tuple[str, ...]) -> None:
    assert path_of(name_of(path)) == path
    assert container_of(name_of(path)) == (name_of(path[:1]) if len(path) > 1 else "")


# Declarations


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("name: id", "name: quantity", "'Quantity' is declared already as 'quantity'"),
        ("name: id", "name: Quantity", "'Quantity' is declared twice"),
        ("name: id", "name: Source_File", "'Source_File' is the name of a column that Assay adds"),
        ("name: id", "name: ''", "a name is empty"),
        ("name: id", "name: on", "True is no text: write it in quotes"),
        ("name: id", 'name: "a\\0b"', "holds the character NUL"),
        ("format: csv", "format: csv\n              optional: [quantity]", "landing.optional has quantity"),
        (
            "format: csv",
            "format: csv\n              aliases: {id: Quantity}",
            "'id', which is a column itself",
        ),
    ],
)
def test_declared_names_that_cannot_be_are_refused(tmp_path: Path, old: str, new: str, why: str) -> None:
    (tmp_path / "sources.yml").write_text(CSV.replace(old, new))
    with pytest.raises(DeclarationError, match=r"sources\.yml: shop\.sales: ") as refused:
        declared_tables(tmp_path)
    assert why in str(refused.value)


def test_declared_keys_are_compared_within_their_object(tmp_path: Path) -> None:
    (tmp_path / "sources.yml").write_text(JSON + "                properties.ID: string\n")
    assert len(declared_tables(tmp_path)) == 1
    (tmp_path / "sources.yml").write_text(JSON + "                properties.Price: string\n")
    with pytest.raises(DeclarationError, match="'Price' is declared already as 'price'"):
        declared_tables(tmp_path)


def test_tables_that_would_be_one_in_the_warehouse_are_refused(tmp_path: Path) -> None:
    for name, source, table in (("a", "shop", "Sales"), ("b", "Shop", "sales")):
        declared = CSV.replace("name: shop", f"name: {source}").replace("name: sales", f"name: {table}")
        (tmp_path / f"{name}.yml").write_text(declared)
    with pytest.raises(DeclarationError, match="would share the table"):
        declared_tables(tmp_path)


# SQL


@pytest.mark.parametrize("value", ["", "it's", "a\0b", "\0", "'\0'", '"'])
def test_any_text_is_a_text_in_sql(value: str) -> None:
    assert duckdb.sql(f"select {text(value)}").fetchone() == (value,)


@pytest.mark.parametrize(
    ("one", "other"), [("a", "A"), ("É", "é"), ("ß", "SS"), ("K", "k"), ("Z", "z"), ("i", "I")]
)
def test_names_are_compared_as_duckdb_compares_them(one: str, other: str) -> None:
    is_one = folded(one) == folded(other)
    assert bool(what_is_wrong(one, [other], is_column=True)) == is_one
    with duckdb.connect() as connection:
        try:
            connection.execute(f"create table t ({quoted(one)} int, {quoted(other)} int)")
        except duckdb.CatalogException:
            assert is_one
        else:
            assert not is_one
