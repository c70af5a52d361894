"""An option of a contract is enforced or refused by name, on landed rows and on gold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import duckdb
import pytest
from rendered_macros import Macros

from assay.contracts import dbt_tests
from assay.contracts.consistency import find_inconsistencies
from assay.contracts.contract import Contract
from assay.contracts.document import parse
from assay.contracts.landing_rules import find_time_format, list_landing_rules
from assay.contracts.options import ENFORCED, REFUSED, REFUSED_TYPES
from assay.landing.schema.logical_types import reads

MACRO = Macros()
HEAD = {
    "apiVersion": "v3.1.0",
    "kind": "DataContract",
    "id": "x",
    "version": "1.0.0",
    "status": "active",
    "team": {"name": "us"},
}


def contract_of(column: dict[str, Any], relation: str, format_: str = "csv", **table: Any) -> Contract:
    """Return a contract of one table with the column `v`."""
    says = {
        "name": "t",
        "physicalName": relation,
        "customProperties": [{"property": "format", "value": format_}],
        "properties": [{"name": "v", **column}],
        **table,
    }
    # A number with more digits than a float has is written as a text that begins with "=".
    text = re.sub(r'"=([^"]*)"', r"\1", json.dumps({**HEAD, "schema": [says]}, default=str))
    return _parsed(text)


@cache
def _parsed(text: str) -> Contract:
    document, findings = parse("x", text)
    assert document
    assert not findings
    return Contract(document)


def findings_of(column: dict[str, Any], relation: str = "landing.t", **table: Any) -> list[str]:
    return [str(each) for each in find_inconsistencies([contract_of(column, relation, "jsonl", **table)])]


def column_of(kind: str, **options: Any) -> dict[str, Any]:
    return {"logicalType": kind} | ({"logicalTypeOptions": options} if options else {})


def broken_lines(column: dict[str, Any], lines: list[str]) -> list[list[str]]:
    """Return which rules of a JSON-lines table each line breaks."""
    (table,) = contract_of(column, "landing.t", "jsonl").tables
    return _broken(
        [MACRO._landed_breaks(rule.test) for rule in list_landing_rules(table)], table, "line", lines
    )


def broken_texts(column: dict[str, Any], texts: list[str]) -> list[list[str]]:
    """Return which rules of a CSV table each value of its column breaks."""
    (table,) = contract_of(column, "landing.t").tables
    return _broken([MACRO._landed_breaks(rule.test) for rule in list_landing_rules(table)], table, "v", texts)


def _broken(conditions: list[str], table: Any, name: str, values: list[str]) -> list[list[str]]:
    ids = [rule.rule_id for rule in list_landing_rules(table)]
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'America/New_York'")
        connection.execute(f"create table landed as select unnest($1::varchar[]) as {name}", [values])
        if not conditions:
            return [[] for _ in values]
        rows = connection.execute(f"select {', '.join(conditions)} from landed").fetchall()
    return [[rule for rule, is_broken in zip(ids, row, strict=True) if is_broken] for row in rows]


# No DOUBLE is this number.
GREAT = "100000000000000000000.5"

# Of each option: values that keep to it, and values that do not, as JSON has them
NUMBERS: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    (column_of("number", minimum=0, exclusiveMaximum=1), [0, 0.0, "0", 0.999, 1e-20], [-1e-20, 1, 1.0, 2]),
    (column_of("number", exclusiveMinimum=0, maximum=1), [1, 1e-20, 0.5], [0, -0.0, 1.0000001]),
    (column_of("integer", minimum=-3, maximum=3), [-3, 0, 3], [-4, 4]),
    (column_of("integer", minimum=9007199254740993), [9007199254740993], [9007199254740992]),
    (column_of("number", maximum=0.3), [0.3, "0.3"], ["0.30000000000000004", "0.3000000000000000000000001"]),
    (column_of("number", exclusiveMinimum=0.3), ["0.3000000000000000000000001"], ["0.30", "3e-1"]),
    (
        column_of("number", maximum="=" + GREAT),
        [GREAT, "99999999999999999999.5", "-1e300"],
        ["100000000000000000000.50000000001", "1e300"],
    ),
    (column_of("number", exclusiveMinimum="=" + GREAT), ["100000000000000000000.50000000001"], [GREAT]),
    (column_of("number", minimum="=-1" + GREAT), ["-1" + GREAT], ["-1" + GREAT + "0001"]),
    (column_of("number", minimum="=1.0e-25", maximum="=1.5e-25"), ["1.4999999999999999999e-25"], ["9e-26"]),
    (
        column_of("number", multipleOf=0.01),
        [GREAT, "1e40", "7.0000000000000000000000"],
        ["100000000000000000000.505", "0.0100000000000000000000001"],
    ),
    (column_of("integer", multipleOf=7), ["700000000000000000000007"], ["700000000000000000000008"]),
    (column_of("number", multipleOf=0.01), [0, 0.01, 19.99, -0.07, 1e3, "0.1"], [0.001, 19.999, 1e-20]),
    (column_of("number", multipleOf=0.1), [0.3, 0.7, 1.1], [0.35, 0.05]),
    (column_of("integer", multipleOf=5), [0, 5, 10, -5], [1, -4]),
    (column_of("integer", format="i8"), [-128, 127], [-129, 128]),
    (column_of("integer", format="u8"), [0, 255], [-1, 256]),
    (column_of("integer", format="i64"), [9223372036854775807], [9223372036854775808]),
    (column_of("number", format="f32"), [3.4e38, 0], [3.5e38]),
    (column_of("number", format="f64"), [1e308], []),
    ({**column_of("integer"), "enum": [{"value": 1}, {"value": 2}]}, [1, 2, "1"], [3]),
    ({**column_of("number"), "enum": [{"value": 0.1}]}, [0.1, "0.10"], [0.2]),
]
TEXTS: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    (column_of("string", minLength=2, maxLength=3), ["ab", "äöü"], ["a", "abcd"]),
    (column_of("string", minLength=2), ["ab"], ["a"]),
    (column_of("string", maxLength=2), ["ab", "a"], ["abc"]),
    # As JSON schema has it, a pattern may lie anywhere.
    (column_of("string", pattern="b+"), ["abc", "b"], ["ac"]),
    (column_of("string", pattern="^[A-Z]'$"), ["A'"], ["A", "xA'"]),
    (column_of("string", format="uuid"), ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567", "x"]),
    (column_of("string", format="email"), ["a.b+c@example.org"], ["a@", "a b@example.org", "a@b@c"]),
    (column_of("string", format="uri"), ["https://a.example/b?c#d", "urn:x:y"], ["a.example", "http://a b"]),
    (column_of("string", format="hostname"), ["a-b.example"], ["-a.example", "a..b", "a_b"]),
    (column_of("string", format="ipv4"), ["10.0.0.255"], ["10.0.0.256", "10.0.0", "1.2.3.4.5"]),
    (column_of("string", format="byte"), ["YWJj", "YQ=="], ["YQ=", "Y", "*"]),
    ({**column_of("string"), "enum": [{"value": "it's"}, {"value": "b"}]}, ["it's", "b"], ["c", "B"]),
]
TIMES: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    (
        column_of("date", minimum="2020-01-01", exclusiveMaximum="2021-01-01"),
        ["2020-01-01"],
        ["2019-12-31", "2021-01-01"],
    ),
    (
        column_of("date", exclusiveMinimum="2020-01-01", maximum="2021-01-01"),
        ["2020-01-02", "2021-01-01"],
        ["2020-01-01", "2021-01-02"],
    ),
    (
        column_of("timestamp", minimum="2025-01-01T00:00:00+02:00", defaultTimezone="Etc/UTC"),
        ["2024-12-31T22:00:00Z", "2025-01-01T00:00:00+02:00", "2024-12-31 22:00:00"],
        ["2024-12-31T21:59:59Z", "2025-01-01T00:00:00+03:00"],
    ),
    (
        column_of("time", minimum="08:00", exclusiveMaximum="17:00"),
        ["08:00:00", "16:59"],
        ["07:59:59", "17:00"],
    ),
    ({**column_of("date"), "enum": [{"value": "2025-01-01"}]}, ["2025-01-01"], ["2025-01-02"]),
    ({**column_of("boolean"), "enum": [{"value": True}]}, [True, "true"], [False]),
]
NESTED: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    (column_of("array", minItems=1, maxItems=2), [[1], [1, 2]], [[], [1, 2, 3]]),
    (
        column_of("array", uniqueItems=True),
        [[], ["a", "b"], [None]],
        [["a", "a"], [None, None], [{"a": 1}, {"a": 1}]],
    ),
    (
        column_of("array", uniqueItems=True),
        [
            [{"a": 1, "b": 2}, {"a": 2, "b": 1}],
            [1, "1", True, None],
            [{}, [], {"0": 1}, [1], [[1]], {"": 1}],
            [[1, 2], [2, 1]],
            [{"a": {"*": 1, "b": 1}}, {"a": {"*": 2, "b": 1}}],
        ],
        [
            [{"a": 1, "b": 2}, {"b": 2, "a": 1}],
            [1, 1.0],
            [
                [{"b": [1, {"y/~": 0, "x.x": None}], "a": "{"}],
                3,
                [{"a": "{", "b": [1.0, {"x.x": None, "y/~": 0}]}],
            ],
        ],
    ),
    ({**column_of("array", uniqueItems=True), "items": column_of("number")}, [[1, 2]], [[1, 1.0]]),
    (column_of("object", minProperties=1, maxProperties=2), [{"a": 1}], [{}, {"a": 1, "b": 2, "c": 3}]),
    (column_of("object", required=["a"]), [{"a": 1}], [{}, {"a": None}, {"b": 1}]),
    (
        {**column_of("array"), "items": column_of("integer", minimum=0)},
        [[], [0, 1], [None]],
        [[-1], [0, -1], [1.5]],
    ),
    (
        {**column_of("array"), "items": {**column_of("string"), "required": True}},
        [[], ["a"]],
        [[None], ["a", None]],
    ),
    (
        {**column_of("array"), "items": {**column_of("string"), "enum": [{"value": "a"}]}},
        [["a"]],
        [["a", "b"]],
    ),
    (
        {**column_of("array"), "items": {"logicalType": "array", "items": column_of("integer", maximum=2)}},
        [[[1, 2], []], []],
        [[[1], [2, 3]]],
    ),
    (
        {
            **column_of("array"),
            "items": {
                "logicalType": "object",
                "properties": [
                    {
                        "name": "price",
                        "logicalType": "number",
                        "required": True,
                        "logicalTypeOptions": {"minimum": 0},
                    },
                    {"name": "tags", "logicalType": "array", "items": column_of("string", maxLength=1)},
                ],
            },
        },
        [[{"price": 1}], [{"price": 0, "tags": ["a"]}], [None]],
        [[{}], [{"price": 1}, {"price": -1}], [{"price": None}], [{"price": 1, "tags": ["a", "bc"]}]],
    ),
    (
        {
            **column_of("object"),
            "properties": [{"name": 'it\'s "a.b"', "logicalType": "integer", "required": True}],
        },
        [{'it\'s "a.b"': 1}],
        [{}, {'it\'s "a.b"': "x"}],
    ),
    (column_of("object"), [{}], ["x", 1, [1]]),
    (column_of("array"), [[]], ["x", {"a": 1}]),
]


COMMAS = {"decimal": ",", "thousands": "."}
# Of a dialect and a column: texts that keep to it, and texts that do not
WRITTEN: list[tuple[dict[str, Any], dict[str, str], list[str], list[str]]] = [
    (
        column_of("number"),
        COMMAS,
        ["1.234,56", "1234,56", "-1.234.567", "12,5", ",5", "5,", "+1,5E+3", "0", " 7 "],
        ["1.23.4", "12.5", "1234.567", "1,234,5", "1 234", "1'234", "x", "NaN", "1.234.56", "--1", "1_0"],
    ),
    (column_of("number"), {"decimal": ","}, ["12,5", "1234"], ["12.5", "1.234", "1 234"]),
    (column_of("number"), {"thousands": ","}, ["1,234.5", "12"], ["12,5", "1,23,4"]),
    (column_of("number"), {"thousands": " "}, ["1 234.5", "1\u00a0234", "1\u202f234"], ["1 23", "12 5"]),
    (column_of("number"), {"thousands": "'"}, ["1'234.5", "1\u2019234"], ["1'23"]),
    (column_of("number"), {"delimiter": ";"}, ["12.5"], ["12,5", "1.234,5"]),
    (column_of("integer"), COMMAS, ["1.234", "1.234,0", "12"], ["1,5", "1.23"]),
    (column_of("number", minimum=1000, maximum=2000), COMMAS, ["1.000", "2.000,00"], ["1,5", "2.000,01"]),
    (column_of("number", multipleOf=0.25), COMMAS, ["1.234,75"], ["1.234,8"]),
    ({**column_of("number"), "enum": [{"value": 1.5}]}, COMMAS, ["1,5", "1,50"], ["1.5", "15"]),
    (column_of("integer", format="i8"), COMMAS, ["127"], ["1.000"]),
    (
        column_of("date", format="dd.MM.yyyy"),
        {},
        ["31.12.2025", "1.2.2025", "2025-12-31"],
        ["12/31/2025", "31.12.25", "30.02.2025", "infinity", "epoch", "31.12.2025 10:00", "x", "31.12"],
    ),
    (column_of("date", format="MM/dd/yyyy"), {}, ["12/31/2025"], ["31/12/2025", "31.12.2025"]),
    (column_of("date", format="yyyyMMdd"), {}, ["20251231"], ["2025123", "20251331"]),
    (
        column_of("timestamp", format="dd/MM/yyyy HH:mm"),
        {},
        ["31/12/2025 14:05", "2025-12-31T14:05:00+02:00"],
        ["12/31/2025 14:05", "31/12/2025", "1767139200"],
    ),
    (
        column_of("timestamp", format="dd.MM.yyyy'T'HH:mm:ssXXX"),
        {},
        ["31.12.2025T10:00:00Z", "31.12.2025T10:00:00+02:00"],
        ["31.12.2025T10:00:00+19:00", "31.12.2025T10:00:00"],
    ),
    (column_of("timestamp", format="epoch_seconds"), {}, ["1767139200", "-5"], ["1767139200.5", "1" * 12]),
    (column_of("timestamp", format="epoch_milliseconds"), {}, ["1767139200000"], ["1e3", "999999999999999"]),
    (
        column_of("date", format="dd.MM.yyyy", minimum="2025-01-02"),
        {},
        ["02.01.2025"],
        ["01.02.2024", "01.01.2025"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("column", "valid", "invalid"), [*NUMBERS, *TEXTS, *TIMES, *NESTED])
def test_fields_of_documents_keep_to_their_options(
    column: dict[str, Any], valid: list[Any], invalid: list[Any]
) -> None:
    """Also within arrays and objects, and under Debezium's payload; what is absent breaks nothing."""
    absent = ["{}", '{"v": null}', '{"v": " "}', "[1]"]
    whole: dict[str, Any] = {"name": "o", "logicalType": "object", "properties": [{"name": "v", **column}]}
    items: dict[str, Any] = {**column_of("array"), "items": column}
    for says, shape in (
        (column, lambda value: {"v": value}),
        (column, lambda value: {"payload": {"v": value}}),
        (items, lambda value: {"v": [value]}),
        ({**column_of("object"), "properties": [whole]}, lambda value: {"v": {"o": {"v": value}}}),
    ):
        assert findings_of(says) == []
        found = broken_lines(says, [json.dumps(shape(each)) for each in [*valid, *invalid]])
        assert [bool(each) for each in found] == [False] * len(valid) + [True] * len(invalid), found
    no_text = column.get("logicalType") not in ("object", "array")
    assert broken_lines(column, absent[: 4 if no_text else 2]) == [[]] * (4 if no_text else 2)


@pytest.mark.parametrize(("column", "valid", "invalid"), [*NUMBERS, *TEXTS, *TIMES, *NESTED])
def test_columns_of_csv_keep_to_their_options(
    column: dict[str, Any], valid: list[Any], invalid: list[Any]
) -> None:
    texts = [each if isinstance(each, str) else json.dumps(each) for each in [*valid, *invalid]]
    found = broken_texts(column, texts)
    assert [bool(each) for each in found] == [False] * len(valid) + [True] * len(invalid), found
    assert broken_texts(column, ["", " "]) == [[], []]


@pytest.mark.parametrize(("column", "dialect", "valid", "invalid"), WRITTEN)
def test_values_are_judged_as_their_dialect_and_format_read(
    column: dict[str, Any], dialect: dict[str, str], valid: list[str], invalid: list[str]
) -> None:
    custom = [{"property": "format", "value": "csv"}, {"property": "dialect", "value": dialect}]
    contract = contract_of(column, "landing.t", customProperties=custom)
    assert list(find_inconsistencies([contract])) == []
    (table,) = contract.tables
    rules = [MACRO._landed_breaks(rule.test) for rule in list_landing_rules(table)]
    found = _broken(rules, table, "v", [*valid, *invalid, "", " "])
    assert [bool(each) for each in found] == [False] * len(valid) + [True] * len(invalid) + [False] * 2, found
    # What the loader takes for a value of the type, the contract does, too.
    kind, written = column["logicalType"], find_time_format(table.columns[0])
    if column.keys() == {"logicalType"} or (
        column.get("logicalTypeOptions", {}).keys() == {"format"} and written
    ):
        condition = reads("v", kind, table.dialect, written)
        values = duckdb.execute(
            f"select coalesce({condition}, false) from (select unnest($1) as v)", [[*valid, *invalid]]
        )
        assert [bool(each) for (each,) in values.fetchall()] == [True] * len(valid) + [False] * len(invalid)


@pytest.mark.parametrize(
    ("kind", "format_", "why"),
    [
        ("date", "dd.MM", "it needs a year, a month and a day"),
        ("date", "dd.MM.yyyy HH:mm", "a date has no time of day"),
        ("date", "epoch_seconds", "a date is no count since 1970"),
        ("timestamp", "dd.MM.yyyy hh:mm", "hours are hh with a, or HH without"),
        ("timestamp", "dd.MM.yyyyTHH:mm", "T is not read here"),
        ("timestamp", "dd.MM.yyyy 'o", "a quote in it is not closed"),
        ("date", "yyyy-dd-MM", "behind the year stands the month"),
        ("date", "%d.%m.%Y", "m is not read here"),
        ("date", "", "it is no text"),
    ],
)
def test_a_format_that_no_time_could_be_read_by_is_refused(kind: str, format_: str, why: str) -> None:
    (found,) = findings_of(column_of(kind, format=format_))
    assert why in found
    (found,) = findings_of(column_of(kind, format="dd.MM.yyyy"), "gold.t")
    assert f"in gold, a {kind} is no text" in found


@pytest.mark.parametrize(
    ("dialect", "why"),
    [
        ({"sep": ";"}, "it has sep"),
        ({"delimiter": ";;"}, "delimiter is ';;'"),
        ({"encoding": "utf-99"}, "encoding is 'utf-99'"),
        ({"decimal": ",", "thousands": ","}, "decimal and thousands are both ','"),
        ("x", "'x' is no mapping"),
    ],
)
def test_a_dialect_that_nobody_could_follow_is_refused(dialect: Any, why: str) -> None:
    custom = [{"property": "dialect", "value": dialect}]
    contract = contract_of(column_of("number"), "landing.t", customProperties=custom)
    (found,) = map(str, find_inconsistencies([contract]))
    assert f"landing.t: of dialect, {why}" in found
    (found,) = findings_of(
        column_of("string"),
        customProperties=[
            {"property": "format", "value": "jsonl"},
            {"property": "dialect", "value": {"delimiter": ";"}},
        ],
    )
    assert "dialect is only for landed CSV" in found


def test_changes_beside_their_messages_keys_are_held_to_their_contract() -> None:
    (table,) = contract_of(
        {"name": "after", **column_of("object", required=["id"])}, "landing.t", "jsonl"
    ).tables
    conditions = [MACRO._landed_breaks(rule.test) for rule in list_landing_rules(table)]
    lines = ['{"key": 1, "value": {"payload": {"after": {}}}}', '{"key": 1, "value": {"after": {"id": 1}}}']
    assert _broken(conditions, table, "line", lines) == [["missing_id"], []]


def test_money_is_compared_to_the_cent() -> None:
    """As the file has the bound: no float is 99999999999999.99."""
    column = {"name": "v", **column_of("number", maximum=0.5)}
    says = {**HEAD, "schema": [{"name": "t", "physicalName": "landing.t", "properties": [column]}]}
    document, _ = parse("x", json.dumps(says).replace("0.5", "99999999999999.99"))
    assert document
    (table,) = Contract(document).tables
    conditions = [MACRO._landed_breaks(rule.test) for rule in list_landing_rules(table)]
    texts = ["99999999999999.98", "99999999999999.99", "100000000000000.00"]
    assert _broken(conditions, table, "v", texts) == [[], [], ["out_of_range_v"]]


@pytest.mark.parametrize(
    ("items", "repeats"),
    [
        ('["99999999999999.98", "99999999999999.99"]', False),
        ('["9007199254740992", "9007199254740993"]', False),
        ('["0.10000000000000000001", 0.1]', False),
        ('["1000000000000000000000", "1000000000000000000001"]', False),
        ("[1e-30, 2e-30, 0]", False),
        ("[1e300, 2e300]", False),
        ('["99999999999999.990", "99999999999999.99"]', True),
        ("[1, 1.0]", True),
        ("[1e2, 100]", True),
        ("[0, 0.0]", True),
        ('[1e21, "1000000000000000000000"]', True),
        ('[0.1, "0.10000000000000000000"]', True),
    ],
)
def test_items_are_told_apart_to_the_last_digit(items: str, repeats: bool) -> None:
    """Silver has texts in place of the numbers that no DOUBLE is."""
    column = {**column_of("array", uniqueItems=True), "items": column_of("number")}
    assert broken_lines(column, [f'{{"v": {items}}}']) == [["repeated_items_v"] * repeats]


@pytest.mark.parametrize("value", ["nan", "inf", "-Infinity", "1e999"])
def test_what_is_no_finite_number_is_no_number(value: str) -> None:
    assert broken_texts(column_of("number"), [value]) == [["mistyped_v"]]


def test_a_required_object_must_be_there_and_what_it_requires_within_it_alone() -> None:
    city = {"name": "city", "logicalType": "string", "required": True}
    lines = ['{"v": {"city": "a"}}', "{}", '{"v": null}', '{"v": {}}', '{"v": "x"}']
    optional = {**column_of("object"), "properties": [city]}
    assert broken_lines(optional, lines) == [[], [], [], ["missing_city"], ["mistyped_v"]]
    found = broken_lines({**optional, "required": True}, lines)
    assert found == [[], ["missing_v"], ["missing_v"], ["missing_city"], ["mistyped_v"]]


# Gold


TYPED: list[tuple[dict[str, Any], str, list[Any], list[Any]]] = [
    ({**column_of("integer"), "enum": [{"value": 1}]}, "bigint", [1, None], [2]),
    ({**column_of("boolean"), "enum": [{"value": True}]}, "boolean", [True, None], [False]),
    (column_of("number", multipleOf=0.01), "decimal(18, 4)", ["19.99", None], ["19.999"]),
    (column_of("number", multipleOf=0.1), "double", [0.3, None], [0.35]),
    (
        column_of("array", minItems=1, uniqueItems=True),
        "varchar[]",
        [["a"], ["a", "b"], None],
        [[], ["a", "a"], [None, None]],
    ),
    (
        column_of("array", uniqueItems=True),
        "json[]",
        [['{"a": 1, "b": 2}', '{"a": 2, "b": 1}'], None],
        [['{"a": 1, "b": 2}', '{"b": 2.0, "a": 1}']],
    ),
    # Of wide decimals, SQL would compare doubles, or fail.
    (
        column_of("number", maximum="=" + GREAT + "05"),
        "decimal(38, 2)",
        [GREAT, "-1" + "0" * 35, None],
        ["100000000000000000000.51"],
    ),
    (column_of("number", maximum=10**25), "decimal(38, 18)", ["1", None], []),
    (column_of("number", minimum=0.5), "hugeint", ["1" + "0" * 37, None], [0]),
    (
        {**column_of("array"), "items": column_of("number", maximum=1)},
        "decimal(18, 2)[]",
        [["1.00"], [], None],
        [["1.01"]],
    ),
    (
        {**column_of("array"), "items": {**column_of("string"), "required": True}},
        "varchar[]",
        [["a"]],
        [[None]],
    ),
    (
        {**column_of("array"), "items": column_of("timestamp", minimum="2025-01-01T00:00:00Z")},
        "timestamptz[]",
        [["2025-01-01 00:00:00+00"]],
        [["2025-01-01 00:00:00+01"]],
    ),
    (
        {**column_of("object"), "properties": [{"name": "a b", "logicalType": "integer", "required": True}]},
        'struct("a b" integer)',
        [{"a b": 1}, None],
        [{"a b": None}],
    ),
    (
        {**column_of("array"), "items": {"logicalType": "array", "items": column_of("integer", maximum=2)}},
        "integer[][]",
        [[[1, 2]]],
        [[[1], [3]]],
    ),
]


@pytest.mark.parametrize(("column", "physical", "valid", "invalid"), TYPED)
def test_columns_of_gold_keep_to_what_dbt_expectations_has_no_test_for(
    column: dict[str, Any], physical: str, valid: list[Any], invalid: list[Any]
) -> None:
    (table,) = contract_of({**column, "physicalType": physical}, "gold.t").tables
    tests = dbt_tests.list_tests(table)
    assert {test.macro for test in tests} == {"assay.values_keep_to"}
    assert findings_of({**column, "physicalType": physical}, "gold.t") == []
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'America/New_York'")
        connection.execute(f"create table t (v {physical})")
        connection.executemany("insert into t values ($1)", [[each] for each in [*valid, *invalid]])
        typed = {"holds": "typed", "sql": "v"}
        rules = [test.arguments["rule"] for test in tests]
        fails = " or ".join(
            f"coalesce({MACRO.breaks_rule(rule, typed, rule.get('path', []))}, false)" for rule in rules
        )
        found = [each for (each,) in connection.execute(f"select {fails} from t").fetchall()]
    assert found == [False] * len(valid) + [True] * len(invalid)


@pytest.mark.parametrize(
    ("column", "arguments"),
    [
        (
            column_of("number", minimum=0, exclusiveMaximum=1),
            [{"min_value": 0}, {"max_value": 1, "strictly": True}],
        ),
        (column_of("number", minimum=0, maximum=0.5), [{"min_value": 0, "max_value": 0.5}]),
        (column_of("date", minimum="2025-01-01"), [{"min_value": "date '2025-01-01'"}]),
        (
            {**column_of("timestamp", maximum="2025-01-01T02:00:00+02:00"), "physicalType": "timestamptz"},
            [{"max_value": "timestamptz '2025-01-01 00:00:00+00'"}],
        ),
        (column_of("integer", format="u8"), [{"min_value": 0, "max_value": 255}]),
        (column_of("string", pattern="it's"), [{"regex": "it''s"}]),
        ({**column_of("string"), "enum": [{"value": "it's"}]}, [{"value_set": ["it''s"]}]),
    ],
)
def test_columns_of_gold_are_tested_by_dbt_expectations_where_it_can(
    column: dict[str, Any], arguments: list[dict[str, Any]]
) -> None:
    (table,) = contract_of(column, "gold.t").tables
    tests = dbt_tests.list_tests(table)
    assert [test.arguments for test in tests] == arguments
    assert len({test.name for test in tests}) == len(tests)


# Refused


PATTERNS = [
    "^[A-Z",
    "(?=x)y",
    r"(a)\1",
    "a++",
    "(?>a)",
    "a{1001}",
    "(?<n>a)",
    r"\Z",
    "[[:alpha:]]",
    r"a\z",
    "a{,5}",
    "{{ a }}",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("relation", ["landing.t", "gold.t"])
def test_a_pattern_that_duckdb_cannot_keep_to_is_refused(pattern: str, relation: str) -> None:
    rule = {"name": "r", "metric": "invalidValues", "mustBe": 0, "arguments": {"pattern": pattern}}
    for column in (
        column_of("string", pattern=pattern),
        {**column_of("array"), "items": column_of("string", pattern=pattern)},
        {**column_of("string"), "quality": [rule]},
    ):
        (finding,) = findings_of(column, relation)
        assert f"attern is {pattern!r}: " in finding


@pytest.mark.parametrize("relation", ["landing.t", "gold.t"])
@pytest.mark.parametrize(
    ("column", "why"),
    [
        (column_of("timestamp", timezone=True), "timezone is not checked here"),
        (column_of("timestamp", defaultTimezone="Europe/Berlin"), "without an offset are read as UTC"),
        (column_of("string", format="password"), "format is 'password': it is not checked here"),
        (column_of("date", minimum="yesterday"), "minimum is 'yesterday': it is no date"),
        (column_of("number", multipleOf="=1." + "1" * 37), "more than 37 digits"),
        (
            column_of("number", minimum=1, exclusiveMaximum=1),
            "no value is between minimum and exclusiveMaximum",
        ),
        (
            column_of("date", minimum="2025-01-02", maximum="2025-01-01"),
            "no value is between minimum and maximum",
        ),
        (column_of("array", minItems=2, maxItems=1), "no value is between minItems and maxItems"),
        ({**column_of("array"), "items": column_of("time", format="x")}, "v[]: format is not checked here"),
        (
            {"logicalType": "map", "map": {"key": column_of("string"), "value": column_of("string")}},
            "logicalType map",
        ),
        (column_of("vector", dimensions=3), "logicalType vector is not checked here"),
        ({**column_of("string"), "semanticType": "measure"}, "semanticType measure"),
        ({**column_of("string"), "relationships": [{"to": "a.b"}]}, "relationships are not checked here"),
        (
            {**column_of("array"), "items": {**column_of("string"), "unique": True}},
            "unique is of columns of the table",
        ),
        ({**column_of("string"), "enum": [{"value": "{{ a }}"}]}, "which dbt"),
    ],
)
def test_what_cannot_be_enforced_is_refused_by_name(column: dict[str, Any], why: str, relation: str) -> None:
    found = findings_of(column, relation)
    assert any(why in each for each in found) or why == "which dbt", found
    assert len(found) == 1


@pytest.mark.parametrize(
    ("column", "why"),
    [
        ({**column_of("string"), "unique": True}, "unique of v is not checked"),
        ({**column_of("string"), "required": True, "primaryKey": True}, "primaryKey of v is not checked"),
    ],
)
def test_copies_among_landed_rows_are_for_silver_to_find(column: dict[str, Any], why: str) -> None:
    (finding,) = findings_of(column)
    assert why in finding
    rule = {
        "name": "copied",
        "type": "text",
        "dimension": "uniqueness",
        "customProperties": [{"property": "checkedBy", "value": "silver"}],
    }
    assert findings_of(column, quality=[rule]) == []


def written(**says: Any) -> dict[str, Any]:
    return {**column_of("string"), "quality": [{"name": "r", "mustBe": 0, **says}]}


@pytest.mark.parametrize("relation", ["landing.t", "gold.t"])
@pytest.mark.parametrize(
    ("column", "why"),
    [
        (written(metric="invalidValues", arguments={"validValues": ["a"], "pattern": "a"}), "not both"),
        (written(metric="invalidValues", arguments={"validValue": ["a"]}), "takes no argument validValue"),
        (
            written(metric="nullValues", arguments={"missingValues": [""]}),
            "nullValues takes no argument missingValues",
        ),
        (written(metric="invalidValues", arguments={"validValues": "a"}), "validValues is a list"),
        (written(metric="nullValues", schedule="0 0 * * *"), "schedule is not followed"),
        (written(metric="rowCount"), "rowCount is about a table"),
        (
            written(metric="nullValues")
            | {"quality": [{"name": "r", "metric": "nullValues", "mustBe": False}]},
            "mustBe: 0",
        ),
        (
            written(metric="nullValues")
            | {"quality": [{"name": "r", "metric": "nullValues", "mustNotBe": 0}]},
            "mustBe: 0",
        ),
        (written(metric="invalidValues"), "invalidValues"),
    ],
)
def test_a_rule_says_nothing_that_is_passed_over(column: dict[str, Any], why: str, relation: str) -> None:
    assert any(why in each for each in findings_of(column, relation)), findings_of(column, relation)


def test_a_landed_row_cannot_only_be_warned_of() -> None:
    (finding,) = findings_of(written(metric="nullValues", severity="warning"))
    assert "r cannot just warn" in finding


def test_texts_that_stand_for_a_missing_value_are_missing() -> None:
    column = written(metric="missingValues", arguments={"missingValues": ["N/A", "it's", None]})
    assert broken_texts(column, ["a", "N/A", "", "it's"]) == [[], ["r"], ["r"], ["r"]]
    (table,) = contract_of(column, "gold.t").tables
    (test,) = dbt_tests.list_tests(table)
    assert (test.macro, test.arguments) == (
        "assay.values_keep_to",
        {"rule": {"kind": "required", "besides": ["N/A", "it's"]}},
    )


def test_rules_written_under_items_are_kept_to() -> None:
    rule = {"name": "odd", "metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": ["a"]}}
    column = {**column_of("array"), "items": {**column_of("string"), "quality": [rule]}}
    assert broken_lines(column, ['{"v": ["a"]}', '{"v": ["a", "b"]}']) == [[], ["odd"]]
    (table,) = contract_of(column, "gold.t").tables
    (test,) = dbt_tests.list_tests(table)
    assert test.arguments == {"rule": {"kind": "values", "values": ["a"], "path": [[]]}}


# The standard


def options_of_the_standard() -> Iterator[tuple[str, str]]:
    schema = json.loads((files("open_data_contract_standard") / "schema.json").read_text(encoding="utf-8"))
    for each in schema["$defs"]["SchemaBaseProperty"]["allOf"]:
        condition = each.get("if", {})
        for part in condition.get("anyOf", [condition] if condition else []):
            kind = part["properties"]["logicalType"]["const"]
            options = each["then"]["properties"].get("logicalTypeOptions", {}).get("properties", {})
            yield from ((kind, option) for option in options)


def test_every_option_of_the_standard_is_enforced_or_refused() -> None:
    known = {(kind, option) for kind, options in ENFORCED.items() for option in options}
    known |= {(kind, option) for kind, options in REFUSED.items() for option in options}
    standard = {(kind, option) for kind, option in options_of_the_standard() if kind not in REFUSED_TYPES}
    assert standard == known
    assert len(known) > 30


def test_every_logical_type_of_the_standard_is_known() -> None:
    schema = json.loads((files("open_data_contract_standard") / "schema.json").read_text(encoding="utf-8"))
    kinds = schema["$defs"]["SchemaBaseProperty"]["properties"]["logicalType"]["enum"]
    assert set(kinds) == set(ENFORCED) | set(REFUSED_TYPES)
