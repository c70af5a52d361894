"""A stretch of an entity's history, as stores hold it: rows of valid_from, valid_to, updated_at and values.

It is a JSON array of arrays, in the order of time; times are microseconds since 1970.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import orjson

from assay.online.definition import Column, OnlineView
from assay.online.types import to_json_sql
from assay.sql import quoted

VALID_FROM, VALID_TO, UPDATED_AT, VALUES = 0, 1, 2, 3
_TIMES = ("valid_from", "valid_to", "updated_at")


def row_in_force(stretch: bytes | str | None, at: int) -> list[Any] | None:
    """Return the row that holds at an instant (microseconds since 1970); None where none does."""
    if stretch is None:
        return None
    rows = orjson.loads(stretch)
    position = bisect_right(rows, at, key=lambda row: row[VALID_FROM]) - 1
    if position < 0 or rows[position][VALID_TO] <= at:
        return None
    found: list[Any] = rows[position]
    return found


def stretch_sql(view: OnlineView) -> str:
    """Return SQL that aggregates an entity's rows to its stretch."""
    elements = [f"epoch_us({name})" for name in _TIMES]
    elements += [to_json_sql(quoted(column.name), column.type) for column in view.columns.values()]
    return f"'[' || string_agg(json_array({', '.join(elements)})::varchar, ',' order by valid_from) || ']'"


def key_sql(keys: list[Column]) -> str:
    """Return SQL for the text that an entity is stored under: its key, or several as a JSON array."""
    texts = [f"{quoted(key.name)}::varchar" for key in keys]
    return texts[0] if len(texts) == 1 else f"json_array({', '.join(texts)})::varchar"


def key_text(values: list[str]) -> str:
    """Return the text that an entity is stored under."""
    return values[0] if len(values) == 1 else orjson.dumps(values).decode()
