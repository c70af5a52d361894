"""Compute features again from the events, row by row: the definition in plain Python, without macros.

At time t an event exists if `available_at <= t`, and counts in a window of length w if `t - w < event_at`.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb

from assay.core.moment import length_of
from assay.core.sql import folded, names_in, quoted
from assay.leakage.declared import AVAILABLE_AT, Features, TrainingSet, Windows
from assay.leakage.findings import Check
from assay.leakage.tables import columns_of
from assay.leakage.trained import made_by_hand

_TOLERANCE = 1e-9
_REMEDY = "The events known at prediction_at give something else: see how it is joined, and its history made."


@dataclass(frozen=True)
class Event:
    """An event of an entity, with the value of each measure."""

    event_at: datetime
    available_at: datetime
    values: dict[str, Any]


@dataclass(frozen=True)
class Measure:
    """A column of a feature view: an aggregate of an input over a window; no window if `window` is None."""

    name: str
    aggregate: str
    window: timedelta | None


def check_by_brute_force(
    training_set: TrainingSet, connection: duckdb.DuckDBPyConnection, *, sample: int, seed: int
) -> Check:
    """Compute the features of some rows again and compare them; a hash of keys and seed draws the rows."""
    check = Check("brute force", unchecked=list(training_set.unread))
    keys = quoted(*training_set.keys)
    cursor = connection.execute(
        f"select * from {training_set.relation} where prediction_at is not null "
        f"order by md5(concat_ws('|', {seed}, {keys})), {keys} limit {sample}"
    )
    names = [each[0] for each in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    check.rows = len(rows)
    check.unchecked += [
        f"{column}: it is taken from no feature view; erasure looks at it"
        for column in made_by_hand(training_set, connection)
    ]
    for features in training_set.features:
        windows = features.view.windows
        if windows is None:
            check.unchecked.append(
                f"{features.view.name}: it is not one call of windowed_history over a model"
            )
        else:
            for column, expected in _expected(connection, features, windows, training_set, rows).items():
                _compare(check, training_set, column, rows, expected)
                check.cleared.add(column)
    return check


def _compare(
    check: Check, training_set: TrainingSet, column: str, rows: list[dict[str, Any]], expected: list[Any]
) -> None:
    wrong = [
        (row, value) for row, value in zip(rows, expected, strict=True) if not _agree(row[column], value)
    ]
    if wrong:
        row, value = wrong[0]
        example = {key: row[key] for key in training_set.keys}
        check.found(column, len(wrong), example, row[column], value, _REMEDY)


def _agree(value: Any, expected: Any) -> bool:
    if isinstance(value, float) and expected is not None:
        return math.isclose(value, expected, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return bool(value == expected)


def _expected(
    connection: duckdb.DuckDBPyConnection,
    features: Features,
    windows: Windows,
    training_set: TrainingSet,
    rows: list[dict[str, Any]],
) -> dict[str, list[Any]]:
    """Return the values that each column should have, in the order of the rows."""
    view = features.view
    measures = _measures(windows)
    used = _used(features, [*measures, *view.derived, *view.inputs])
    needed = [name for name in measures if name in used or name in features.columns]
    entities = [tuple(row[key] for key in view.entity_keys) for row in rows]
    events = _events(connection, windows, set(entities))
    max_age = length_of(features.max_age) if features.max_age else None
    values = [
        _features_at(
            events.get(entity, []), row["prediction_at"], max_age, [measures[name] for name in needed]
        )
        for entity, row in zip(entities, rows, strict=True)
    ]
    inputs = {name: features.inputs.get(name, name) for name in view.inputs if name in used}
    types = columns_of(connection, view.relation)
    input_types = columns_of(connection, training_set.relation)
    columns = {
        "_row": "integer",
        "as_of": "timestamp",
        **{name: input_types[column] for name, column in inputs.items()},
        **{name: types[name] for name in needed},
    }
    definition = ", ".join(f"{name} {type_}" for name, type_ in columns.items())
    connection.execute(f"create or replace temp table _brute ({definition})")
    connection.executemany(
        f"insert into _brute values ({', '.join('?' * len(columns))})",
        [
            [number, row["prediction_at"], *(row[column] for column in inputs.values()), *found]
            for number, (row, found) in enumerate(zip(rows, values, strict=True))
        ],
    )
    defaults = ", ".join(
        f"coalesce({name}, {default}) as {name}" for name, default in view.defaults.items() if name in needed
    )
    query = f"select * {f'replace ({defaults})' if defaults else ''} from _brute"
    for name, expression in view.derived.items():
        if name in used:
            query = f"select *, ({expression}) as {name} from ({query})"
    wanted = [*features.columns, *features.derived]
    found = connection.execute(f"select {quoted(*wanted)} from ({query}) order by _row").fetchall()
    return {features.prefix + name: [row[position] for row in found] for position, name in enumerate(wanted)}


def _used(features: Features, known: Collection[str]) -> set[str]:
    """Return the wanted derived features, with all known names that their expressions use."""
    found: set[str] = set()
    waiting = list(features.derived)
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            used = names_in(features.view.derived.get(name, ""))
            waiting += [each for each in known if folded(each) in used]
    return found


def _declared_measures(windows: Windows) -> Iterable[tuple[str, list[str], str | None, list[str]]]:
    """Yield each input with its aggregates, its expression and its windows."""
    for name, measure in windows.measures.items():
        declared = measure if isinstance(measure, dict) else {"aggregates": measure}
        aggregates = declared["aggregates"]
        # An input without an expression whose only aggregate is count counts events.
        expression = declared.get("expression") or (None if aggregates == ["count"] else name)
        yield name, aggregates, expression, declared.get("windows") or windows.windows


def _measures(windows: Windows) -> dict[str, Measure]:
    return {
        f"{name}_{aggregate}_{window}": Measure(
            name, aggregate, None if window == "all" else length_of(window)
        )
        for name, aggregates, _, lengths in _declared_measures(windows)
        for aggregate in aggregates
        for window in lengths
    }


def _events(
    connection: duckdb.DuckDBPyConnection, windows: Windows, entities: set[tuple[Any, ...]]
) -> dict[tuple[Any, ...], list[Event]]:
    """Fetch the events of some entities, with the value of each input."""
    types = columns_of(connection, windows.relation)
    keys = windows.entity_keys
    columns = ", ".join(f'"{key}" {types[key]}' for key in keys)
    connection.execute(f"create or replace temp table _entities ({columns})")
    connection.executemany(
        f"insert into _entities values ({', '.join('?' * len(keys))})", [list(each) for each in entities]
    )
    available_at = AVAILABLE_AT if AVAILABLE_AT in types else windows.available_at
    inputs = {name: expression or "true" for name, _, expression, _ in _declared_measures(windows)}
    expressions = ", ".join(f"({expression})" for expression in inputs.values())
    found: dict[tuple[Any, ...], list[Event]] = defaultdict(list)
    for row in connection.execute(
        f"select {quoted(*keys)}, ({windows.event_at}), ({available_at}), {expressions} "
        f"from {windows.relation} semi join _entities using ({quoted(*keys)}) where {windows.where or 'true'}"
    ).fetchall():
        entity, (event_at, known_at, *values) = row[: len(keys)], row[len(keys) :]
        found[entity].append(Event(event_at, known_at, dict(zip(inputs, values, strict=True))))
    return found


def _features_at(
    events: list[Event], at: datetime, max_age: timedelta | None, measures: list[Measure]
) -> list[Any]:
    """Return the value of each measure of one entity at an instant; all None where unknown or too old."""
    known = [event for event in events if event.available_at <= at]
    last_arrival = max((event.available_at for event in known), default=None)
    if last_arrival is None or (max_age is not None and at > last_arrival + max_age):
        return [None] * len(measures)
    counted = {
        window: [
            event
            for event in known
            if event.event_at <= at and (window is None or event.event_at > at - window)
        ]
        for window in {measure.window for measure in measures}
    }
    return [_aggregated(counted[measure.window], measure) for measure in measures]


def _aggregated(events: list[Event], measure: Measure) -> Any:
    known = [(event.event_at, value) for event in events if (value := event.values[measure.name]) is not None]
    values = [value for _, value in known]
    if measure.aggregate == "count":
        return len(values)
    if measure.aggregate == "distinct_count":
        return len(set(values))
    if measure.aggregate == "sum":
        return sum(values, Decimal(0))
    if len(values) < (2 if measure.aggregate == "stddev" else 1):
        return None
    aggregates: dict[str, Callable[[], Any]] = {
        "avg": lambda: float(sum(values)) / len(values),
        "stddev": lambda: float(statistics.stdev(values)),
        "min": lambda: min(values),
        "max": lambda: max(values),
        # Of several values at one instant, the greatest counts as the last, and the least as the first.
        "last": lambda: max(known)[1],
        "first": lambda: min(known)[1],
        "mode": lambda: min(set(values), key=lambda value: (-values.count(value), value)),
    }
    return aggregates[measure.aggregate]()
