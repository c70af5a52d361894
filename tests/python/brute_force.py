"""Windowed aggregates and histories the slow, plain way; shares no code with the macros.

At time t only what has arrived exists; an event counts in a window of length w while t < event_at + w.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

Window = tuple[str, timedelta | None]


@dataclass(frozen=True)
class Event:
    event_at: datetime
    available_at: datetime
    values: dict[str, Any]


@dataclass
class State:
    """A row of a history, with the instants at which its values arrived."""

    valid_from: datetime
    values: dict[str, Any]
    arrivals: list[datetime]


def alive(events: Iterable[Event], at: datetime, length: timedelta | None) -> list[Event]:
    """The events that count at an instant in a window; of no length, all that are known."""
    return [
        event
        for event in events
        if event.available_at <= at and (length is None or event.event_at + length > at)
    ]


def aggregate(events: Sequence[Event], name: str, how: str) -> Any:
    """One aggregate of one input over the events that count; NULL inputs are left out."""
    if name == "*":
        return len(events)
    known = [(event.event_at, event.values[name]) for event in events if event.values[name] is not None]
    values = [value for _, value in known]
    if how in ("count", "distinct_count"):
        return len(values if how == "count" else set(values))
    if how == "sum":
        return sum(values, Decimal(0))
    if not values or (how == "stddev" and len(values) < 2):
        return None
    return {
        "avg": lambda: float(sum(values)) / len(values),
        "min": lambda: min(values),
        "max": lambda: max(values),
        "stddev": lambda: float(statistics.stdev(values)),
        "last": lambda: max(known)[1],
        "first": lambda: min(known)[1],
        "mode": lambda: min(set(values), key=lambda value: (-values.count(value), value)),
    }[how]()


def history(events: Sequence[Event], columns: dict[str, tuple[str, str, timedelta | None]]) -> list[State]:
    """The history of one entity; `columns` gives each column's input, aggregate and length of window."""
    lengths = {length for _, _, length in columns.values() if length is not None}
    arrivals = {event.available_at for event in events}
    leaves = {
        event.event_at + length
        for event in events
        for length in lengths
        if event.event_at + length > event.available_at
    }
    states: list[State] = []
    for at in sorted(arrivals | leaves):
        values = {
            column: aggregate(alive(events, at, length), name, how)
            for column, (name, how, length) in columns.items()
        }
        if not states or states[-1].values != values:
            known = max(arrival for arrival in arrivals if arrival <= at)
            states.append(State(at, values, [known]))
        elif at in arrivals:
            states[-1].arrivals.append(at)
    return states
