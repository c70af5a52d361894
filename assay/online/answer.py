"""Answer requests from a store: values, and how each came about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from assay.online.definition import OnlineView
from assay.online.derive import Deriver, needed_columns
from assay.online.request import ViewRequest
from assay.online.stores.store import Catalog, Store, StoreUnavailable
from assay.online.stretch import UPDATED_AT, VALUES, row_in_force
from assay.online.types import from_json, microseconds, moment_of

_ATTEMPTS = 3


class Status(StrEnum):
    """How a value came about; the names are Feast's."""

    PRESENT = "PRESENT"
    NULL_VALUE = "NULL_VALUE"
    NOT_FOUND = "NOT_FOUND"
    OUTSIDE_MAX_AGE = "OUTSIDE_MAX_AGE"


@dataclass(frozen=True)
class ViewAnswer:
    """What a view answers: a row for each entity, a column for each feature asked for.

    `is_default` tells where a value is the view's declared default; `updated_at` is when something last
    arrived of each entity (UTC), None where nothing is found.
    """

    view: OnlineView
    features: list[str]
    values: list[list[Any]]
    statuses: list[list[Status]]
    is_default: list[list[bool]]
    updated_at: list[datetime | None]


class Answerer:
    """Answers from a store, one round trip to it for each request."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._deriver = Deriver()

    async def answer(
        self, plan: Callable[[Catalog], Sequence[ViewRequest]], catalog: Catalog | None = None
    ) -> list[ViewAnswer]:
        """Answer what a plan asks for.

        Args:
            plan: makes the requests from what the store holds, and raises Refused where it cannot. If the
                store is written to meanwhile, it is asked again.
            catalog: what the store was last known to hold; it saves a round trip.

        Raises:
            Refused: the plan, or the type of an input, is refused.
            StoreUnavailable: the store cannot be read, or holds nothing.
        """
        if not catalog:
            catalog = (await self.store.read([])).catalog
        for _ in range(_ATTEMPTS):
            if not catalog:
                raise StoreUnavailable(
                    f"{self.store.url} holds no feature views. To fill it: assay online sync"
                )
            requests = plan(catalog)
            reading = await self.store.read([(each.view.name, each.keys) for each in requests])
            if reading.catalog is catalog:
                return [
                    self._answer(request, stretches)
                    for request, stretches in zip(requests, reading.stretches, strict=True)
                ]
            catalog = reading.catalog
        raise StoreUnavailable(f"{self.store.url} changes faster than it can be read.")

    def _answer(self, request: ViewRequest, stretches: Sequence[bytes | str | None]) -> ViewAnswer:
        view, at = request.view, microseconds(request.at)
        rows = [row_in_force(stretch, at) for stretch in stretches]
        defaults = self._deriver.defaults(view)
        found = [_status_of_row(view, row, at) for row in rows]
        positions = {name: VALUES + position for position, name in enumerate(view.columns)}
        needed = {name for name in request.features if name in positions}
        needed |= set(needed_columns(view, request.features))
        held = {
            name: [
                row[positions[name]] if row is not None and status is Status.PRESENT else None
                for row, status in zip(rows, found, strict=True)
            ]
            for name in needed
        }
        filled = {
            name: [defaults.get(name) if value is None else value for value in values]
            for name, values in held.items()
        }
        derived = self._deriver.derive(request, filled)
        values, statuses, is_default = [], [], []
        for name in request.features:
            if name in derived:
                shown = derived[name]
                status = [_status_of_value(value, row) for value, row in zip(shown, found, strict=True)]
                default = [False] * len(shown)
            else:
                kind = view.columns[name].kind
                shown = [from_json(value, kind) for value in filled[name]]
                status = [_status_of_value(value, row) for value, row in zip(held[name], found, strict=True)]
                default = [
                    old is None and new is not None for old, new in zip(held[name], shown, strict=True)
                ]
            values.append(shown)
            statuses.append(status)
            is_default.append(default)
        return ViewAnswer(
            view,
            request.features,
            _by_entity(values, len(rows)),
            _by_entity(statuses, len(rows)),
            _by_entity(is_default, len(rows)),
            [None if row is None else moment_of(row[UPDATED_AT]) for row in rows],
        )


def _status_of_row(view: OnlineView, row: list[Any] | None, at: int) -> Status:
    if row is None:
        return Status.NOT_FOUND
    if view.max_age is not None and at > row[UPDATED_AT] + view.max_age // timedelta(microseconds=1):
        return Status.OUTSIDE_MAX_AGE
    return Status.PRESENT


def _status_of_value(value: Any, row: Status) -> Status:
    return Status.NULL_VALUE if row is Status.PRESENT and value is None else row


def _by_entity(columns: list[list[Any]], entities: int) -> list[list[Any]]:
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in range(entities)]
