"""Offsets in formats that a user declares are limited as all others are."""

from __future__ import annotations

from datetime import datetime

import duckdb
import pytest
from rendered_macros import Macros

MACRO = Macros()


@pytest.mark.parametrize(
    ("offset", "at"),
    [
        ("+18:00", datetime(2025, 1, 31, 16)),
        ("-1800", datetime(2025, 2, 2, 4)),
        ("+05:45", datetime(2025, 2, 1, 4, 15)),
        ("+02", datetime(2025, 2, 1, 8)),
        ("+18:01", None),
        ("-1830", None),
        ("+19", None),
        ("+25:00", None),
        ("+02:75", None),
    ],
)
def test_an_offset_of_more_than_18_hours_is_none(offset: str, at: datetime | None) -> None:
    sql = MACRO.utc_timestamp("v", ["%d.%m.%Y %H:%M %z"])
    assert duckdb.execute(f"select {sql} from (select '01.02.2025 10:00 {offset}' as v)").fetchone() == (at,)


def test_an_offset_that_is_not_at_the_end_takes_no_date_for_one() -> None:
    sql = MACRO.utc_timestamp("v", ["%H:%M%z %d-%m-%Y"])
    found = duckdb.execute(f"select {sql} from (select '10:00+02:00 01-02-2025' as v)").fetchone()
    assert found == (datetime(2025, 2, 1, 8),)
