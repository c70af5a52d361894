"""Filters of searches: what they say, as SQL with parameters, and what they cannot say."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import duckdb
import pytest

from assay.core.fault import MISUSED, Fault
from assay.search.filters import read_filter

ROWS: list[tuple[Any, ...]] = [
    ("a", "help", "Refunds", ["money", "it's"], datetime(2025, 1, 1), datetime(2025, 1, 2)),
    ("b", "tickets", "Shelf", ["shelf"], datetime(2025, 2, 1), datetime(2025, 2, 2)),
    ("c", "tickets", None, ["money", "shelf"], None, datetime(2025, 3, 2)),
    ("d", None, "100% or 'more'", None, datetime(2025, 4, 1), datetime(2025, 4, 2)),
]


def kept(text: str | None) -> str:
    found = read_filter(text)
    with duckdb.connect() as connection:
        connection.execute(
            "create table chunks (document_id varchar, source varchar, title varchar, tags varchar[], "
            "updated_at timestamp, valid_from timestamp)"
        )
        connection.executemany("insert into chunks values (?, ?, ?, ?, ?, ?)", ROWS)
        sql = f"select document_id from chunks where {found.sql} order by document_id"
        return "".join(row[0] for row in connection.execute(sql, found.parameters).fetchall())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "abcd"),
        ("  ", "abcd"),
        ("source = 'help'", "a"),
        ("SOURCE='help'", "a"),
        ("source != 'help'", "bcd"),
        ("source <> 'help'", "bcd"),
        ("not source = 'help'", "bcd"),
        ("not not source = 'help'", "a"),
        ("source in ('help', 'tickets')", "abc"),
        ("not source in ('tickets')", "ad"),
        ("tags contains 'money'", "ac"),
        ("tags contains 'mon'", ""),
        ("not tags contains 'money'", "bd"),
        ("tags contains 'it''s'", "a"),
        ("title contains 'fund'", "a"),
        ("title contains '%'", "d"),
        ("title = '100% or ''more'''", "d"),
        ("document_id >= 'b' and document_id < 'd'", "bc"),
        ("updated_at > '2025-01-31'", "bd"),
        ("updated_at <= '2025-02-01T01:00:00+01:00'", "ab"),
        ("valid_from = '2025-03-02'", "c"),
        # `and` binds closer than `or`.
        ("source = 'help' or source = 'tickets' and tags contains 'money'", "ac"),
        ("(source = 'help' or source = 'tickets') and tags contains 'money'", "ac"),
        ("(source = 'help' OR source = 'tickets') AND NOT (tags contains 'money')", "b"),
        ("source = ''' or 1 = 1 --'", ""),
        ("source = '\udcff'", ""),
        (" or ".join(["source = 'help'"] * 500), "a"),
    ],
)
def test_a_filter_keeps(text: str | None, expected: str) -> None:
    assert kept(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "author = 'x'",
            "a column 'author': there are document_id, source, title, tags, updated_at, valid_from",
        ),
        ("text = 'x'", "a column 'text'"),
        ("source", "=, !=, <, <=, >, >=, in or contains where it has its end"),
        ("source =", "a value in single quotes where it has its end"),
        ("source = help", "a value in single quotes where it has 'help'"),
        ("source = source", "a value in single quotes"),
        ("source = 1", "a value in single quotes"),
        ('source = "help"', r"cannot be read at '\"help\"'"),
        ("source = 'help", "cannot be read at"),
        ("source = 'help' source = 'x'", "nothing more, or and, or or where it has 'source'"),
        ("source = 'help'; drop table chunks", "cannot be read at '; drop table chunks'"),
        ("source = 'help' -- more", "cannot be read at '-- more'"),
        ("1 = 1", "a column where it has '1'|a column '1'"),
        ("(source = 'help'", r"to have \) where it has its end"),
        ("source = 'help')", "nothing more"),
        ("source in 'help'", r"to have \( where"),
        ("source in ()", "a value in single quotes"),
        ("and source = 'x'", "a column where it has 'and'"),
        ("source = 'x' or", "a column where it has its end"),
        ("tags = 'money'", r"contains \(behind tags\)"),
        ("updated_at contains '2025'", "updated_at is a time"),
        ("updated_at > 'yesterday'", "'yesterday' is none: write '2025-06-30'"),
        ("source = 'x' and (select 1) = 1", "a column 'select'"),
        ("length(source) = 4", "a column 'length'"),
        ("(" * 60 + "source = 'x'" + ")" * 60, "more than 50 levels deep"),
        ("not " * 60 + "source = 'x'", "more than 50 levels deep"),
        ("source = '" + "x" * 10_000 + "'", "10,000 are the most"),
    ],
)
def test_what_is_no_filter_is_told(text: str, message: str) -> None:
    with pytest.raises(Fault, match=message) as fault:
        read_filter(text)
    assert fault.value.exit_code == MISUSED


def test_values_are_parameters() -> None:
    found = read_filter("source = 'a' and tags contains 'b' and title in ('c', 'd')")
    assert list(found.parameters.values()) == ["a", "b", "c", "d"]
    assert "'" not in found.sql
