"""Write and read stretches: a stretch is the part of an entity's history that a store holds, as JSON lines.

The first line lists the instants from which rows are valid, in the order of time. Then follows a line for
each row: valid_to, updated_at and the values. So one row can be read without the others. Times are
microseconds since 1970.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import orjson

from assay.core.sql import quoted
from assay.online.definition import OnlineColumn, OnlineView
from assay.online.types import to_json_sql

VALID_TO, UPDATED_AT, VALUES = 0, 1, 2
# Escapes as DuckDB's JSON does: with other escapes of control characters, keys would not be found.
_IN_JSON = str.maketrans(
    {chr(code): f"\\u{code:04X}" for code in range(0x20)}
    | {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
)


def row_in_force(stretch: bytes | str | None, at: int) -> list[Any] | None:
    """Return the row that is valid at an instant (microseconds since 1970); None if there is none."""
    if stretch is None:
        return None
    text = stretch if isinstance(stretch, str) else stretch.decode()
    instants, _, rows = text.partition("\n")
    position = bisect_right(orjson.loads(instants), at) - 1
    if position < 0:
        return None
    row: list[Any] = orjson.loads(rows.split("\n", position + 1)[position])
    return row if at < row[VALID_TO] else None


def all_rows(stretch: bytes | str | None) -> list[tuple[int, list[Any]]]:
    """Return the instants (microseconds since 1970) from which rows hold, each with its row."""
    if stretch is None:
        return []
    text = stretch if isinstance(stretch, str) else stretch.decode()
    instants, _, rows = text.partition("\n")
    return [
        (instant, orjson.loads(row))
        for instant, row in zip(orjson.loads(instants), rows.split("\n"), strict=True)
    ]


# SQL that makes a stretch from the `states` of an entity.
STRETCH_SQL = (
    "to_json(list_transform(states, lambda state: state.valid_from))::varchar || chr(10) || "
    "array_to_string(list_transform(states, lambda state: state.line), chr(10))"
)


def states_sql(view: OnlineView) -> str:
    """Return SQL that aggregates an entity's rows to a list of states in the order of time.

    The list is sorted afterwards: DuckDB 1.5 takes seven times as long to aggregate in order.
    """
    elements = ["epoch_us(valid_to)", "epoch_us(updated_at)"]
    elements += [to_json_sql(quoted(column.name), column.type) for column in view.columns.values()]
    line = f"json_array({', '.join(elements)})::varchar"
    return f"list_sort(list(struct_pack(valid_from := epoch_us(valid_from), line := {line})))"


def key_sql(keys: list[OnlineColumn]) -> str:
    """Return SQL for the text that an entity is stored under: its key, or several as a JSON array."""
    texts = [f"{quoted(key.name)}::varchar" for key in keys]
    return texts[0] if len(texts) == 1 else f"json_array({', '.join(texts)})::varchar"


def key_text(values: Sequence[str]) -> str:
    """Return the text that an entity is stored under."""
    if len(values) == 1:
        return values[0]
    return "[" + ",".join(f'"{value.translate(_IN_JSON)}"' for value in values) + "]"


def key_values(text: str, keys: list[OnlineColumn]) -> list[str]:
    """Return the keys of an entity from the text that it is stored under."""
    return [text] if len(keys) == 1 else list(orjson.loads(text))
