"""Numbers written as text are compared and cast by all of their digits."""

from __future__ import annotations

from decimal import Context, Decimal

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rendered_macros import Macros

MACRO = Macros()
DIGITS = st.one_of(
    st.text("09", min_size=1, max_size=30), st.text("0123456789", min_size=1, max_size=45), st.just("")
)
NUMBERS = st.builds(
    lambda sign, whole, fraction, exponent: f"{sign}{whole or '0'}{fraction and '.' + fraction}{exponent}",
    st.sampled_from(["", "-", "+"]),
    DIGITS,
    DIGITS,
    st.one_of(st.just(""), st.integers(-40, 40).map("e{}".format), st.just("E+2")),
)


def answers(expression: str, texts: list[str]) -> list[object]:
    rows = duckdb.execute(f"select {expression} from (select unnest($1::varchar[]) as v)", [texts])
    return [each for (each,) in rows.fetchall()]


@settings(max_examples=20, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=100))
def test_numbers_compare_by_all_of_their_digits(texts: list[str]) -> None:
    key, context = MACRO.comparable_number("v"), Context(prec=400)
    found = duckdb.execute(
        f"select v, dense_rank() over (order by {key}) from (select unnest($1) as v)", [texts]
    )
    ranks = {context.create_decimal(number): rank for number, rank in found.fetchall()}
    assert [ranks[each] for each in sorted(ranks)] == list(range(1, len(ranks) + 1))
    for of in ("0.01", "7", "1e25", "1234567890123456789012345678901234567"):
        is_none = [context.remainder(Decimal(each), Decimal(of)) != 0 for each in texts]
        assert answers(MACRO._is_no_multiple("v", f"'{of}'"), texts) == is_none


@settings(max_examples=10, deadline=None)
@given(
    st.lists(NUMBERS, min_size=1, max_size=100),
    st.sampled_from(["decimal(18, 2)", "decimal(38, 12)", "bigint"]),
)
def test_a_text_is_a_number_of_a_type_exactly_or_not_at_all(texts: list[str], data_type: str) -> None:
    for text, number in zip(texts, answers(MACRO.strict_number("v", data_type), texts), strict=True):
        assert number is None or number == Decimal(text)


@pytest.mark.parametrize(
    ("text", "data_type", "number"),
    [
        ("0.1000000000000000000001", "decimal(18, 2)", None),
        ("5.0000000000001", "integer", None),
        ("-0.00000000000000000000001", "decimal(18, 2)", None),
        ("0.1000000000000000000000", "decimal(18, 2)", Decimal("0.10")),
        ("0.12345678901234567", "decimal(38, 17)", Decimal("0.12345678901234567")),
        ("+007", "integer", 7),
        ("1.5e1", "integer", 15),
        (" 1.50 ", "decimal(18, 1)", Decimal("1.5")),
        ("1e30", "decimal(38, 0)", Decimal(10**30)),
        ("0x10", "integer", None),
        ("1.5", "integer", None),
        ("", "integer", None),
        ("nan", "integer", None),
    ],
)
def test_digits_past_those_of_the_type_are_never_dropped(text: str, data_type: str, number: object) -> None:
    assert answers(MACRO.strict_number("v", data_type), [text]) == [number]
