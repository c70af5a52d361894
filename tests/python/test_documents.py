"""Documents keep their numbers to the digit, and those that readers would read differently are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landing_zone import Zone

from assay.landing.schema.values import exact_numbers

SILVER = Path(__file__).parents[2] / "macros" / "silver"


@cache
def rendered(name: str) -> str:
    """The SQL that one of silver's macros makes of a column `line`."""
    macros = (SILVER / f"{name}.sql").read_text().replace("assay.", "")
    return jinja2.Template(macros + "{{ " + name + "('line') }}").render()


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def ask(connection: duckdb.DuckDBPyConnection, sql: str, line: str) -> Any:
    found = connection.execute(
        f"select {sql} from (select $1 as line, null as malformed_reason)", [line]
    ).fetchone()
    return found and found[0]


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)
TEXTS = st.text(st.sampled_from('1234567890.-eE"\\\\{}[]:, a\u00e9'), max_size=40)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(numbers=st.lists(st.tuples(TEXTS, NUMBERS, TEXTS), min_size=1, max_size=4))
def test_a_number_is_read_to_the_digit_and_texts_stay(
    connection: duckdb.DuckDBPyConnection, numbers: list[tuple[str, str, str]]
) -> None:
    parts = [f'"{index}":[{number},{json.dumps(text)}]' for index, (_, number, text) in enumerate(numbers)]
    keys = [f"{json.dumps('k' + key)}:1" for key, _, _ in numbers]
    line = "{" + ",".join([*parts, *keys]) + "}"
    exact = ask(connection, rendered("exact_numbers"), line)
    assert exact == ask(connection, exact_numbers("line"), line)
    before, after = (
        json.loads(line, parse_float=str, parse_int=str),
        json.loads(exact, parse_float=str, parse_int=str),
    )
    assert after == before
    for index, (_, number, _) in enumerate(numbers):
        read = ask(connection, f"json_extract_string(line, '/{index}/0')", exact)
        assert Decimal(read) == Decimal(number)


def test_money_and_counts_that_double_rounds_are_exact(connection: duckdb.DuckDBPyConnection) -> None:
    line = (
        '{"a": 99999999999999.99, "b": [-9007199254740993.0], "c": 123456789012345678901234567890, "d": 1.50}'
    )
    values = "json_extract_string(line, ['/a', '/b/0', '/c', '/d'])"
    exact = ask(connection, rendered("exact_numbers"), line)
    assert ask(connection, values, line)[:2] == ["99999999999999.98", "-9007199254740992.0"]
    assert ask(connection, values, exact) == [
        "99999999999999.99",
        "-9007199254740993.0",
        "123456789012345678901234567890",
        "1.5",
    ]


NAMES = st.sampled_from(["a", "b", "A", "", "\u00e9", '"', "a:", "{"])
DOCUMENTS = st.recursive(
    st.sampled_from(["1", "null", '"{a:1,a:2}"', '"nan"', "[]", "{}"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(NAMES, st.booleans(), inner), max_size=3).map(
            lambda items: (
                "{"
                + ", ".join(
                    f"{json.dumps(name, ensure_ascii=ascii)} :{value}" for name, ascii, value in items
                )
                + "}"
            )
        )
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(line=DOCUMENTS)
def test_a_key_that_an_object_has_twice_is_told_at_any_depth(
    connection: duckdb.DuckDBPyConnection, line: str
) -> None:
    twice = []

    def looked_at(pairs: list[tuple[str, Any]]) -> None:
        twice.append(len({name for name, _ in pairs}) < len(pairs))

    json.loads(line, object_pairs_hook=looked_at)
    expected = ["duplicate_key"] if any(twice) else []
    assert [each for each in ask(connection, rendered("document_rules"), line) if each] == expected


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ('{"a": NaN}', True),
        ('{"a": [1, -Infinity]}', True),
        ('{"a": {"b":inf}}', True),
        ("[nan]", True),
        ('{"nan": "NaN, Infinity", "a": "\\\\\\" : NaN"}', False),
        ('{"info": "finance", "a": null}', False),
    ],
)
def test_what_is_no_number_is_told(connection: duckdb.DuckDBPyConnection, line: str, is_told: bool) -> None:
    found = ask(connection, rendered("document_rules"), line)
    assert [each for each in found if each] == (["nan_or_infinity"] if is_told else [])


def test_what_is_no_document_breaks_none_of_these_rules(connection: duckdb.DuckDBPyConnection) -> None:
    for line in ('{"a": 1, "a": 2', "", '{"a": "\\ud800"}', '{"a": "\x01"}', '{"a": NaN'):
        assert ask(connection, rendered("document_rules"), line) == []
        assert ask(connection, rendered("exact_numbers"), line) == line


def test_a_document_without_a_value_that_is_set_aside_keeps_its_numbers(tmp_path: Path) -> None:
    zone = Zone(
        tmp_path,
        """
sources:
  - name: shop
    tables:
      - name: clicks
        config:
          meta: {landing: {format: jsonl, schema_mode: discard_value, keys: {id: integer, price: number}}}
""",
    )
    zone.drop("shop/clicks/a.jsonl", '{"id": "x", "price": 99999999999999.99}\n' * 5)
    zone.load()
    assert zone.query("select distinct line_as_declared from landing.shop__clicks") == [
        ('{"price":"99999999999999.99"}',)
    ]
    zone.connection.close()
