"""Files that differ from what is declared are found, recorded, and dealt with by mode; nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from landing_zone import Zone

from assay.landing import load
from assay.landing.declared import DeclarationError, declared_tables
from assay.landing.schema.logical_types import LOGICAL_TYPES, NESTED, covers, reads

MODES = ("evolve", "freeze", "discard_value", "discard_row")
KINDS = ("new", "lost", "renamed", "type")
FORMATS = ("csv", "jsonl")
REGIONS = ("north", "south", "south", "west")


def declared(mode: str, *, types: bool = True) -> str:
    mode = f"schema_mode: {mode}, " if mode else ""
    csv = "types: {id: integer, region: string, amount: number}" if types else ""
    keys = "keys: {id: integer, sale: object, sale.region: string, sale.amount: number}" if types else ""
    return f"""
sources:
  - name: shop
    tables:
      - name: sales
        config: {{meta: {{landing: {{format: csv, {mode}{csv}}}}}}}
        columns: [{{name: id}}, {{name: region}}, {{name: amount}}]
      - name: clicks
        config: {{meta: {{landing: {{format: jsonl, {mode}{keys}}}}}}}
"""


def rows(kind: str | None = None, first: int = 1) -> list[dict[str, Any]]:
    """Four rows, which differ in one way; of a new column and of another type, three of them."""
    made = []
    for number, region in enumerate(REGIONS, first):
        row = {"id": number, "region": region, "amount": f"{number}.5"}
        if kind == "new":
            row["shade"] = "red" if number > first else None
        if kind in ("lost", "renamed"):
            del row["region"]
        if kind == "renamed":
            row["area"] = region
        if kind == "type" and number > first:
            row["amount"] = "much"
        made.append(row)
    return made


def drop(zone: Zone, format_: str, day: int, some: list[dict[str, Any]]) -> None:
    folder = f"landed_at=2025-03-{day:02}T00-00-00"
    if format_ == "csv":
        lines = [",".join(some[0]), *(",".join(str(value or "") for value in row.values()) for row in some)]
        zone.drop(f"shop/sales/{folder}/a.csv", "\n".join(lines) + "\n")
        return
    documents = []
    for row in some:
        sale = {name: value for name, value in row.items() if name != "id"}
        documents.append({"id": row["id"], "sale": sale})
    zone.drop(f"shop/clicks/{folder}/a.jsonl", "".join(json.dumps(each) + "\n" for each in documents))


def named(format_: str, column: str) -> str:
    return column if format_ == "csv" else f"sale.{column}"


def changes(zone: Zone, columns: str = "column_name, kind") -> list[tuple[Any, ...]]:
    return zone.query(f"select {columns} from landing.schema_changes order by all")


def landed(zone: Zone, format_: str) -> list[dict[str, Any]]:
    """The rows as silver reads them, with what is kept beside them."""
    found = []
    if format_ == "csv":
        for number, *values, others, conflict in zone.query(
            "select id, region, amount, other_values, schema_conflict from landing.shop__sales "
            "order by id::int"
        ):
            row = dict(zip(("region", "amount"), values, strict=True))
            found.append({"id": number, **row, "others": json.loads(others or "{}"), "conflict": conflict})
        return found
    for line, as_declared, conflict in zone.query(
        "select line, line_as_declared, schema_conflict from landing.shop__clicks order by (line->>'id')::int"
    ):
        document = json.loads(as_declared or line)
        sale = document["sale"]
        row = {name: sale.get(name) for name in ("region", "amount")}
        kept = json.loads(line)["sale"]
        others = {name: value for name, value in kept.items() if value and sale.get(name) != row.get(name)}
        found.append({"id": str(document["id"]), **row, "others": others, "kept": kept, "conflict": conflict})
    return found


# Every mode, every kind of change, both formats


@pytest.fixture
def make_zone(tmp_path: Path) -> Callable[..., Zone]:
    def make(declaration: str, name: str = "zone") -> Zone:
        (tmp_path / name).mkdir()
        return Zone(tmp_path / name, declaration)

    return make


@pytest.mark.usefixtures("builds")
@pytest.mark.parametrize(("mode", "kind", "format_"), list(product(MODES, KINDS, FORMATS)))
def test_a_change_is_recorded_and_dealt_with_by_mode(
    make_zone: Callable[..., Zone], mode: str, kind: str, format_: str
) -> None:
    zone = make_zone(declared(mode))
    drop(zone, format_, 1, rows())
    drop(zone, format_, 2, rows(kind, first=5))
    drop(zone, format_, 3, rows(first=9))
    zone.load()

    column = {"new": "shade", "type": "amount"}.get(kind, "region")
    carrying = 4 if kind in ("lost", "renamed") else 3
    expected_type = {"type": "number", "new": None}.get(kind, "string")
    found_type = {"type": "string", "new": "string"}.get(kind)
    record = (named(format_, column), kind, mode, carrying, expected_type, found_type)
    recorded = changes(zone, "column_name, kind, mode, row_count, expected_type, found_type")
    assert record in recorded
    if kind == "renamed":
        new = (named(format_, "area"), "new", mode, 4, None, "string")
        assert recorded == sorted([record, new])
        assert changes(zone, "kind, suggested_name") == [
            ("new", named(format_, "region")),
            ("renamed", named(format_, "area")),
        ]
    else:
        assert recorded == [record]
    seen = datetime(2025, 3, 2)
    assert set(changes(zone, "first_landed_at, last_landed_at, file_count")) == {(seen, seen, 1)}
    assert all("2025-03-02" in first == last for first, last in changes(zone, "first_file, last_file"))

    differing = zone.file("%2025-03-02%")
    found = {row["id"]: row for row in landed(zone, format_)}
    as_ever = [str(number) for number in (1, 2, 3, 4, 9, 10, 11, 12)]
    assert all(found[number]["conflict"] is None and found[number]["amount"] for number in as_ever)
    assert all(found[number]["region"] for number in as_ever)
    concerned = [str(number) for number in (range(5, 9) if carrying == 4 else range(6, 9))]
    if mode == "freeze":
        assert set(found) == set(as_ever)
        assert differing["status"] == "failed"
        assert named(format_, column) in differing["error"]
        assert "accept the change: assay schema accept shop." in differing["error"]
        return
    assert differing["status"] == "loaded"
    assert set(found) == {*as_ever, "5", "6", "7", "8"}
    has_conflict = {number for number, row in found.items() if row["conflict"]}
    assert has_conflict == (set(concerned) if mode == "discard_row" else set())
    for number in concerned:
        row = found[number]
        kept = row["others"] if format_ == "csv" else row["kept"]
        match kind:
            case "new":
                assert kept["shade"] == "red"
            case "renamed":
                assert kept["area"] in REGIONS
                assert row["region"] is None
            case "lost":
                assert row["region"] is None
            case "type" if mode == "discard_value":
                assert (row["amount"], kept["amount"]) == (None, "much")
            case "type":
                assert row["amount"] == "much"
    if kind == "type":
        assert found["5"]["amount"] == "5.5"


@pytest.mark.usefixtures("builds")
@pytest.mark.parametrize(("mode", "format_"), list(product(MODES, FORMATS)))
def test_ten_loads_equal_one(make_zone: Callable[..., Zone], mode: str, format_: str) -> None:
    def hold(zone: Zone) -> list[list[tuple[Any, ...]]]:
        table = "shop__sales" if format_ == "csv" else "shop__clicks"
        return [
            zone.query(f"from landing.{table} order by all"),
            zone.query("from landing.schema_changes order by all"),
            zone.query("from landing.schema_learnt order by all"),
        ]

    kinds = (None, "new", None, "type", "lost", "renamed", None, "renamed", "new", "type")
    for types in (True, False):
        grown, whole = (
            make_zone(declared(mode, types=types), f"{name} {types}") for name in ("grown", "whole")
        )
        for day, kind in enumerate(kinds, 1):
            drop(grown, format_, day, rows(kind, first=10 * day))
            drop(whole, format_, day, rows(kind, first=10 * day))
            grown.load()
        whole.load()
        assert hold(grown) == hold(whole)
        assert {kind for (kind,) in changes(whole, "kind")} == set(KINDS)
        before = hold(grown)
        for path in grown.landing.rglob("*.*"):
            path.touch()
        grown.load()
        assert hold(grown) == before


def test_a_run_that_ends_in_between_is_mended_by_the_next(
    make_zone: Callable[..., Zone], monkeypatch: pytest.MonkeyPatch
) -> None:
    zone = make_zone(declared("discard_row"))
    drop(zone, "csv", 1, rows())
    zone.load()
    drop(zone, "csv", 2, rows("new", first=5))
    with monkeypatch.context() as patch:
        patch.setattr(load._Loader, "_record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            zone.load()
    assert changes(zone) == []
    assert len(landed(zone, "csv")) == 4
    zone.load()
    assert changes(zone) == [("shade", "new")]
    assert [row["conflict"] for row in landed(zone, "csv")] == [None] * 5 + ["new shade"] * 3


# What counts as a change


def test_what_is_not_declared_is_learnt_from_the_first_files(make_zone: Callable[..., Zone]) -> None:
    zone = make_zone(declared("", types=False))
    for format_ in FORMATS:
        drop(zone, format_, 1, rows())
    zone.load()
    assert changes(zone) == []
    for format_, kind in product(FORMATS, ("new", "type")):
        drop(zone, format_, 2 + KINDS.index(kind), rows(kind, first=5))
    drop(zone, "jsonl", 9, rows("lost", first=9))
    zone.load()
    assert changes(zone, "table_name, column_name, kind, expected_type, found_type") == [
        ("clicks", "sale.amount", "type", "number", "string"),
        ("clicks", "sale.region", "lost", "string", None),
        ("clicks", "sale.shade", "new", None, "string"),
        ("sales", "amount", "type", "number", "string"),
        ("sales", "shade", "new", None, "string"),
    ]


def test_by_default_new_columns_are_kept_and_lost_ones_keep_a_csv_file_out(
    make_zone: Callable[..., Zone],
) -> None:
    zone = make_zone(declared(""))
    for format_, (day, kind) in product(FORMATS, enumerate(KINDS, 1)):
        drop(zone, format_, day, rows(kind, first=10 * day))
    zone.load()
    assert [(file["source_file"].split("/")[1], file["status"]) for file in zone.files()] == [
        *[("clicks", "loaded")] * 4,
        ("sales", "loaded"),
        ("sales", "failed"),
        ("sales", "failed"),
        ("sales", "loaded"),
    ]


def test_a_mode_for_each_kind_of_difference(make_zone: Callable[..., Zone]) -> None:
    zone = make_zone(declared("{new: freeze, lost: discard_row}"))
    for day, kind in enumerate(KINDS, 1):
        drop(zone, "csv", day, rows(kind, first=10 * day))
    zone.load()
    assert [file["status"] for file in zone.files()] == ["failed", "loaded", "failed", "loaded"]
    assert {row["conflict"] for row in landed(zone, "csv")} == {None, "lost region"}


@pytest.mark.parametrize("bad", [0, 1, 2, 3, 4])
def test_a_type_has_changed_once_most_values_are_of_another(make_zone: Callable[..., Zone], bad: int) -> None:
    zone = make_zone(declared("evolve"))
    some = rows()
    for row in some[:bad]:
        row["amount"] = "much"
    for format_ in FORMATS:
        drop(zone, format_, 1, some)
    zone.load()
    assert len(changes(zone)) == (2 if bad > 2 else 0)


def test_two_values_are_no_sign_of_another_type(make_zone: Callable[..., Zone]) -> None:
    zone = make_zone(declared("freeze"))
    for format_ in FORMATS:
        drop(zone, format_, 1, rows("type")[2:])
    zone.load()
    assert changes(zone) == []


def test_a_column_of_other_values_is_no_renamed_one(make_zone: Callable[..., Zone]) -> None:
    zone = make_zone(declared("evolve"))
    drop(zone, "csv", 1, rows())
    drop(zone, "csv", 2, [row | {"weight": row["id"]} for row in rows("lost", first=5)])
    zone.load()
    assert changes(zone, "column_name, kind, suggested_name") == [
        ("region", "lost", None),
        ("weight", "new", None),
    ]


def test_strict_modes_look_at_every_row(make_zone: Callable[..., Zone]) -> None:
    zone = make_zone(declared("discard_row"))
    many = [row | {"id": number} for number, row in enumerate(rows() * 250)]
    many[333]["shade"] = "red"
    drop(zone, "jsonl", 1, many)
    zone.load()
    assert changes(zone, "column_name, row_count") == [("sale.shade", 1)]
    assert zone.query(
        "select line->>'id', schema_conflict from landing.shop__clicks where schema_conflict is not null"
    ) == [("333", "new sale.shade")]


def test_changes_of_a_change_log_are_seen_in_either_state_and_in_an_envelope(
    make_zone: Callable[..., Zone],
) -> None:
    zone = make_zone(
        """
sources:
  - name: shop
    tables:
      - name: owners
        config:
          meta:
            landing:
              format: jsonl
              schema_mode: discard_value
              optional: [before]
              keys: {op: string, before: object, after: object, after.id: integer, after.born: timestamp}
"""
    )
    good = {"id": 1, "born": "2001-02-03T00:00:00Z"}
    states: list[tuple[Any, Any]] = [
        (None, good),
        (good, good | {"born": "once"}),
        ({"id": 1, "born": "upon", "size": 4}, None),
        (None, {"id": 2, "born": "a time"}),
    ]
    documents = [{"op": "u", "before": before, "after": after} for before, after in states]
    documents[3] = {"schema": {}, "payload": documents[3]}
    zone.drop("shop/owners/a.jsonl", "".join(json.dumps(each) + "\n" for each in documents) + "null\n")
    zone.load()
    assert changes(zone, "column_name, kind, row_count") == [
        ("after.born", "type", 3),
        ("after.size", "new", 1),
    ]
    read = [
        json.loads(line)
        for (line,) in zone.query(
            "select coalesce(line_as_declared, line) from landing.shop__owners order by row_number"
        )
    ]
    assert read == [
        documents[0],
        {"op": "u", "before": {"id": 1}, "after": {"id": 1}},
        {"op": "u", "before": {"id": 1, "size": 4}, "after": None},
        {"schema": {}, "payload": {"op": "u", "before": None, "after": {"id": 2}}},
        None,
    ]


@pytest.mark.parametrize(
    ("logical_type", "good", "bad"),
    [
        ("string", ["", "x"], []),
        ("number", ["1", "-1.5", "1e3", " 2 "], ["1,5", "x", ""]),
        ("integer", ["1", "-7", "3.0"], ["1.5", "inf", "x"]),
        ("boolean", ["true", "False", "1"], ["perhaps"]),
        ("date", ["2025-01-31", "1/31/2025", "31.12.2025"], ["2025-02-30", "soon", "20250131"]),
        ("timestamp", ["2025-01-31T10:00:00Z", "12/1/2010 8:26", "1735689600123"], ["2025-13-01", "12"]),
        ("time", ["10:00:00"], ["noon"]),
    ],
)
def test_texts_read_as_types(
    make_zone: Callable[..., Zone], logical_type: Any, good: list[str], bad: list[str]
) -> None:
    zone = make_zone(declared(""))
    for text, expected in [*((each, True) for each in good), *((each, False) for each in bad)]:
        found = zone.connection.execute(
            f"select {reads('$1', logical_type)}".replace("$1", "$1::varchar"), [text]
        )
        assert bool(found.fetchall()[0][0]) == expected, text


def test_wider_types_take_narrower_ones() -> None:
    taken = {
        (one, other)
        for one in LOGICAL_TYPES
        for other in LOGICAL_TYPES
        if one != other and covers(one, other)
    }
    texts = {("string", each) for each in LOGICAL_TYPES if each not in NESTED and each != "string"}
    assert taken == {("number", "integer"), ("timestamp", "date"), *texts}


# Declarations


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "schema_mode: frozen",
            "landing.schema_mode is 'frozen'; it must be evolve, freeze, discard_value or ",
        ),
        ("schema_mode: {new: no}", "landing.schema_mode is False; it must be"),
        ("schema_mode: {old: evolve}", "landing.schema_mode has old; it may have new, lost or type"),
        ("types: {id: money}", "landing.types says id is 'money'; it must be string, number"),
        ("types: {size: number}", "landing.types has size; it may have"),
        ("keys: {id: number}", "csv has landing.types, not landing.keys"),
        ("aliases: {nr: number}", "landing.aliases, as names to read others as, has number; it may have"),
        ("schema_mood: freeze", "landing has schema_mood; it may have"),
    ],
)
def test_a_declaration_that_cannot_be_followed_says_so(tmp_path: Path, setting: str, message: str) -> None:
    text = declared("", types=False).replace("format: csv, ", f"format: csv, {setting}")
    (tmp_path / "sources.yml").write_text(text)
    with pytest.raises(DeclarationError, match=r"sources\.yml: shop\.sales: ") as refused:
        declared_tables(tmp_path)
    assert message in str(refused.value)


def test_a_column_may_go_by_an_alias(make_zone: Callable[..., Zone]) -> None:
    text = declared("freeze").replace(
        "format: csv, ", "format: csv, aliases: {area: region, place: region}, "
    )
    zone = make_zone(text)
    drop(zone, "csv", 1, rows("renamed"))
    zone.load()
    assert [row["region"] for row in landed(zone, "csv")] == list(REGIONS)
    # A file that has both has one too many.
    drop(zone, "csv", 2, [row | {"region": "east"} for row in rows("renamed", first=5)])
    zone.load()
    assert changes(zone) == [("area", "new")]
