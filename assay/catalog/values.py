"""What the features of a view hold: now, and of some entities in the course of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.core import column_types
from assay.core.sql import quoted, text
from assay.project.personal import Personal
from assay.project.views import FeatureView
from assay.report.tables import Row, Tables

_NOW = "assay_catalog_now"
# Which of the entities are shown, in the order of how often their states changed.
_ENTITIES = (("changes often", 0.95), ("changes as most do", 0.5), ("changes seldom", 0.05))


@dataclass(frozen=True)
class State:
    """A value that held from a moment, inclusive, until another; None of the end is forever."""

    valid_from: datetime
    valid_to: datetime | None
    value: Any


@dataclass(frozen=True)
class EntityHistory:
    """The states of an entity: `name` says which, without personal data, `how` how often it changes.

    `features` has the states of each feature in the order of time, neighbours with the same value as one.
    """

    name: str
    how: str
    features: dict[str, list[State]]


@dataclass(frozen=True)
class ViewValues:
    """What is known of a view as of `clock`, when anything last arrived in any view (UTC).

    `summary` has a row of figures for each feature; `types` are those of the warehouse.
    """

    rows: int
    entities: int
    updated_at: datetime | None
    clock: datetime
    types: dict[str, str]
    summary: dict[str, Row]
    histories: list[EntityHistory]


def clock_of(tables: Tables, views: Sequence[FeatureView]) -> datetime | None:
    """Return when anything last arrived in any view that is built (UTC); None where nothing has.

    Histories know of states to come, because windows expire: what holds now is as of this moment.
    """
    built = [view.relation for view in views if tables.has(view.name)]
    if not built:
        return None
    newest = " union all ".join(f"select max(updated_at) as updated_at from {relation}" for relation in built)
    [row] = tables.fetch(f"select max(updated_at) as clock from ({newest})")
    found: datetime | None = row["clock"]
    return found.replace(tzinfo=None) if found else None


def read_values(
    tables: Tables, view: FeatureView, clock: datetime, personal: Personal, *, with_rows: bool
) -> ViewValues:
    """Read what a view holds; what holds now stays in a table for `occurrences_now`.

    Args:
        tables: of the warehouse.
        view: a feature view.
        clock: as of when.
        personal: what is not to be shown.
        with_rows: whether the history of some entities is read.

    Raises:
        Absent: the view is not built.
    """
    keys, features = quoted(*view.keys), quoted(*view.features)
    tables.fetch(
        f"create or replace temp table {_NOW} as select {keys}, {features} from {view.relation} "
        f"where valid_from <= {_moment(clock)} and valid_to > {_moment(clock)}"
    )
    [counts] = tables.fetch(f"select count(*) as rows, max(updated_at) as updated_at from {view.relation}")
    described = tables.fetch(f"describe {_NOW}")
    types = {row["column_name"]: str(row["column_type"]) for row in described}
    summary = {row["column_name"]: row for row in tables.fetch(f"summarize select {features} from {_NOW}")}
    [now] = tables.fetch(f"select count(*) as entities from {_NOW}")
    return ViewValues(
        rows=counts["rows"],
        entities=now["entities"],
        updated_at=counts["updated_at"],
        clock=clock,
        types=types,
        summary=summary,
        histories=_histories(tables, view, personal) if with_rows and now["entities"] else [],
    )


def is_number(data_type: str) -> bool:
    """Tell whether values of a type of DuckDB can be drawn on a line."""
    return column_types.is_number(data_type) or data_type == "BOOLEAN"


def occurrences_now(feature: str, *, as_number: bool) -> str:
    """Return a query of the values of a feature that hold now, as `report.distributions` takes them."""
    kind = "double" if as_number else "varchar"
    return (
        f"select 'now' as side, {quoted(feature)}::{kind} as value, count(*) as occurrences "
        f"from {_NOW} where {quoted(feature)} is not null group by all"
    )


def _histories(tables: Tables, view: FeatureView, personal: Personal) -> list[EntityHistory]:
    keys = quoted(*view.keys)
    ranked = tables.fetch(
        f"select {keys}, count(*) as states from {view.relation} "
        f"where ({keys}) in (select ({keys}) from {_NOW}) group by all order by states, {keys}"
    )
    chosen = {round(share * (len(ranked) - 1)): how for how, share in _ENTITIES}
    return [_history(tables, view, ranked[place], how, personal) for place, how in chosen.items()]


def _history(tables: Tables, view: FeatureView, entity: Row, how: str, personal: Personal) -> EntityHistory:
    same = " and ".join(f"{quoted(key)} is not distinct from ${at}" for at, key in enumerate(view.keys, 1))
    features = quoted(*view.features)
    rows = tables.fetch(
        f"select valid_from, valid_to, {features} from {view.relation} where {same} order by valid_from",
        [entity[key] for key in view.keys],
    )
    shown = [str(personal.example(entity[key], [key])) for key in view.keys]
    return EntityHistory(
        f"{view.told('entity')} {', '.join(shown)}",
        how,
        {feature: _states(rows, feature) for feature in view.features},
    )


def _states(rows: Sequence[Row], feature: str) -> list[State]:
    """Join neighbours of one value; a time in which the entity was gone parts them."""
    found: list[State] = []
    for row in rows:
        start, end = row["valid_from"], row["valid_to"]
        until = None if end.year == datetime.max.year else end
        last = found[-1] if found else None
        if last and last.valid_to == start and last.value == row[feature]:
            found[-1] = State(last.valid_from, until, last.value)
        else:
            found.append(State(start, until, row[feature]))
    return found


def _moment(clock: datetime) -> str:
    return f"timestamp {text(clock)}"
