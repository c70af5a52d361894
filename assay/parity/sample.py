"""Draw questions about a view: entities, instants and inputs; the same seed draws the same questions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

from assay.core.sql import quoted
from assay.online.definition import OnlineColumn, OnlineView

SPINE = "parity_spine"
# Column names that cannot collide with those of a view.
ASKED_AT = "_parity_asked_at"
NUMBER = "_parity_number"
# How long after the last arrival questions may lie: longer than most windows.
_HORIZON = timedelta(days=100)
_UNKNOWN = 0.05

Question = dict[str, Any]


def draw_spine(
    connection: duckdb.DuckDBPyConnection,
    view: OnlineView,
    history: str,
    *,
    samples: int,
    at: datetime | None,
    seed: int,
) -> list[Question]:
    """Make the table `parity_spine` of questions, numbered, and return its rows.

    One in twenty entities is unknown to the history. Half of the instants are those at which a value changes,
    or the microsecond before; the others lie anywhere in the hundred days after the last arrival.

    Args:
        connection: a connection with the history attached.
        view: the view, with its keys, its inputs and the time of its last arrival.
        history: the feature view's table, as SQL.
        samples: the number of questions.
        at: the instant of all questions; None for many instants.
        seed: the same seed draws the same questions.
    """
    make_spine(connection, view, list(_questions(connection, view, history, samples, at, Random(seed))))
    found = connection.execute(f"from {SPINE} order by {NUMBER}")
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def make_spine(connection: duckdb.DuckDBPyConnection, view: OnlineView, rows: list[list[Any]]) -> None:
    """Make the table `parity_spine`; each row has its number, the keys, the instant and the inputs."""
    asked = [*view.keys, OnlineColumn(ASKED_AT, "timestamp"), *view.inputs.values()]
    columns = ", ".join(f"{quoted(column.name)} {column.type}" for column in asked)
    connection.execute(f"create or replace temp table {SPINE} ({NUMBER} integer, {columns})")
    if rows:
        places = ", ".join("?" * (1 + len(asked)))
        connection.executemany(f"insert into {SPINE} values ({places})", rows)


def _questions(
    connection: duckdb.DuckDBPyConnection,
    view: OnlineView,
    history: str,
    samples: int,
    at: datetime | None,
    random: Random,
) -> Iterator[list[Any]]:
    keys = ", ".join(quoted(key.name) for key in view.keys)
    known_until = view.build.known_until
    if known_until is None:
        return
    entities = connection.execute(
        f"select {keys}, list(valid_from order by valid_from) from {history} where valid_to > $known_until "
        f"group by {keys} order by hash({keys}, $seed), {keys} limit $samples",
        {"known_until": known_until, "seed": random.randrange(1 << 30), "samples": samples},
    ).fetchall()
    for number in range(samples if entities else 0):
        *key, changes = entities[number % len(entities)]
        if random.random() < _UNKNOWN:
            key[-1] = -1 - number if view.keys[-1].kind == "whole" else f"unknown {number}"
        if number % 2:
            instant = known_until + random.random() * _HORIZON
        else:
            instant = random.choice(changes) - timedelta(microseconds=random.randrange(2))
        inputs = [_input(each, random) for each in view.inputs.values()]
        yield [number, *key, at or max(instant, known_until), *inputs]


def _input(column: OnlineColumn, random: Random) -> Any:
    """Draw a value of a type; numbers are small enough to be degrees, amounts or counts."""
    match column.kind:
        case "boolean":
            return random.random() < 0.5
        case "timestamp" | "date":
            return datetime(2020, 1, 1) + timedelta(days=random.randrange(3000))
        case "text":
            return f"text {random.randrange(100)}"
        case "nested":
            return _nested(DuckDBPyType(column.type), random)
    return f"{random.uniform(-89, 89):.2f}"


def _nested(data_type: DuckDBPyType, random: Random) -> Any:
    """Draw a list or an array of values; NULL in place of any other nested type."""
    if data_type.id not in ("list", "array"):
        return None
    children = dict(data_type.children)
    child = OnlineColumn("", str(children["child"]).lower())
    return [_input(child, random) for _ in range(int(str(children.get("size", 3))))]
