"""What changes within arrays, objects and options is told, and whether it breaks anything."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from test_contract_options import column_of, contract_of
from typer.testing import CliRunner

from assay.cli import app
from assay.contracts.diff import Change, compare

ITEMS = {**column_of("array"), "items": column_of("string")}


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    found = compare(contract_of(old, "gold.t"), contract_of(new, "gold.t"))
    return [change for change in found if change.rule != "version-not-raised"]


def of_items(items: dict[str, Any]) -> dict[str, Any]:
    return {**column_of("array"), "items": items}


def of_object(field: dict[str, Any]) -> dict[str, Any]:
    return {**column_of("object"), "properties": [{"name": "f", **field}]}


def test_another_dialect_breaks_readers_by_each_of_its_signs() -> None:
    old, new = (
        contract_of(
            column_of("number"), "landing.t", customProperties=[{"property": "dialect", "value": dialect}]
        )
        for dialect in ({"delimiter": ";"}, {"delimiter": ";", "decimal": ",", "quote": None})
    )
    told = [(change.is_breaking, change.rule, change.what) for change in compare(old, new)][:-1]
    assert told == [
        (True, "dialect-changed", "quote: '\"' to 'none'"),
        (True, "dialect-changed", "decimal: '.' to ','"),
    ]


@pytest.mark.parametrize(
    ("kind", "old", "new", "is_breaking"),
    [
        ("number", {"minimum": 0}, {"exclusiveMinimum": 0}, False),
        ("number", {"exclusiveMinimum": 0}, {"minimum": 0}, True),
        ("number", {"minimum": 0}, {"minimum": 0, "exclusiveMinimum": -1}, False),
        ("number", {"maximum": 9}, {}, True),
        ("number", {}, {"maximum": 9}, False),
        ("number", {"multipleOf": 0.01}, {"multipleOf": 0.1}, False),
        ("number", {"multipleOf": 0.1}, {"multipleOf": 0.01}, True),
        ("number", {"multipleOf": 0.1}, {}, True),
        ("integer", {"format": "i8"}, {"format": "i16"}, True),
        ("integer", {}, {"format": "i16"}, False),
        ("date", {"minimum": "2020-01-01"}, {"minimum": "2019-12-31"}, True),
        ("date", {"minimum": "2020-01-01"}, {"minimum": "2020-01-02"}, False),
        ("timestamp", {"maximum": "2020-01-01T00:00:00Z"}, {"maximum": "2020-01-01T01:00:00+02:00"}, False),
        ("string", {"minLength": 2}, {"minLength": 1}, True),
        ("string", {"maxLength": 2}, {"maxLength": 1}, False),
        ("string", {"pattern": "a"}, {"pattern": "b"}, True),
        ("string", {}, {"pattern": "b"}, False),
        ("string", {"format": "uuid"}, {"format": "email"}, True),
        ("date", {}, {"format": "dd.MM.yyyy"}, True),
        ("array", {"minItems": 1}, {}, True),
        ("array", {"maxItems": 1}, {"maxItems": 2}, True),
        ("array", {"uniqueItems": True}, {"uniqueItems": False}, True),
        ("array", {}, {"uniqueItems": True}, False),
        ("object", {"required": ["a", "b"]}, {"required": ["a"]}, True),
        ("object", {"required": ["a"]}, {"required": ["b", "a"]}, False),
        ("object", {"maxProperties": 1}, {"maxProperties": 2}, True),
    ],
)
def test_an_option_breaks_readers_where_more_passes_than_did(
    kind: str, old: dict[str, Any], new: dict[str, Any], is_breaking: bool
) -> None:
    """Wherever it stands: of a column, of the items of an array, or of a field of an object."""
    for place, within in (("v", lambda column: column), ("v[]", of_items), ("v.f", of_object)):
        found = changes(within(column_of(kind, **old)), within(column_of(kind, **new)))
        assert {change.rule for change in found} == {"bounds-changed"}
        assert {change.where for change in found} == {f"gold.t.{place}"}
        assert any(change.is_breaking for change in found) == is_breaking


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (ITEMS, of_items(column_of("integer")), ("type-changed", "gold.t.v[]", True)),
        (ITEMS, column_of("array"), ("column-removed", "gold.t.v[]", True)),
        (column_of("array"), ITEMS, ("column-added", "gold.t.v[]", False)),
        (
            of_items({**column_of("string"), "required": True}),
            ITEMS,
            ("required-dropped", "gold.t.v[]", True),
        ),
        (
            of_items(of_object(column_of("string"))),
            of_items(column_of("object")),
            ("column-removed", "gold.t.v[].f", True),
        ),
        (
            of_items(of_items(column_of("string", maxLength=1))),
            of_items(of_items(column_of("string"))),
            ("bounds-changed", "gold.t.v[][]", True),
        ),
        (
            of_items({**column_of("string"), "enum": [{"value": "a"}]}),
            of_items({**column_of("string"), "enum": [{"value": "a"}, {"value": "b"}]}),
            ("values-changed", "gold.t.v[]", True),
        ),
        (
            {**column_of("number"), "physicalType": "double"},
            {**column_of("integer"), "physicalType": "double"},
            ("type-changed", "gold.t.v", True),
        ),
    ],
)
def test_what_lies_within_a_column_is_compared(
    old: dict[str, Any], new: dict[str, Any], told: tuple[str, str, bool]
) -> None:
    assert [(change.rule, change.where, change.is_breaking) for change in changes(old, new)] == [told]


@pytest.mark.parametrize("name", ["--output=f:x", "-h:x", "--batch-check:x", "--textconv:x"])
def test_a_name_is_never_an_option_of_git(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    before = sorted(tmp_path.rglob("*"))
    ended = CliRunner().invoke(app, ["contracts", "diff", "--", name, "x"])
    assert ended.exit_code == 2, ended.output
    assert sorted(tmp_path.rglob("*")) == before
    assert name in ended.output
    assert "Traceback" not in ended.output
