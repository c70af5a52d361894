"""Answer requests from a store, with a status for each value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from assay.online.definition import OnlineView
from assay.online.derive import Deriver
from assay.online.request import ViewRequest
from assay.online.stores.store import Catalog, Reading, Store, StoreUnavailable, empty
from assay.online.stretch import UPDATED_AT, VALID_TO, VALUES, all_rows, row_in_force
from assay.online.types import from_json, microseconds, moment_of

_ATTEMPTS = 3


PRESENT: Final = "PRESENT"
NULL_VALUE: Final = "NULL_VALUE"
NOT_FOUND: Final = "NOT_FOUND"
OUTSIDE_MAX_AGE: Final = "OUTSIDE_MAX_AGE"


# Not frozen: a frozen object takes three times as long to make, and each request makes one for each feature.
@dataclass(slots=True)
class FeatureAnswer:
    """The answer for a feature: a value for each entity.

    `raw` are the values in the JSON form of their SQL `type` (see `types`), or Python values if
    `is_computed`. `statuses` hold the status of each value, in Feast's words. `is_default` tells for each
    value whether it is the declared default.
    """

    name: str
    type: str
    is_computed: bool
    raw: list[Any]
    statuses: list[str]
    is_default: list[bool]

    @property
    def values(self) -> list[Any]:
        """The values as Python objects."""
        return self.raw if self.is_computed else [from_json(value, self.type) for value in self.raw]


@dataclass(slots=True)
class ViewAnswer:
    """The answer for a view: a column for each requested feature.

    `updated_at` is the time of each entity's last arrival (UTC), None if the entity is not found. `prefix` is
    put before the names of features.
    """

    view: OnlineView
    features: list[FeatureAnswer]
    updated_at: list[datetime | None]
    prefix: str = ""

    @property
    def left_out(self) -> dict[str, list[str]]:
        """The derived features that were left out, each with the request inputs that it needs."""
        answered = {feature.name for feature in self.features}
        inputs = {
            name: [each.name for each in self.view.selection([name]).inputs]
            for name in self.view.derived
            if name not in answered
        }
        return {name: needed for name, needed in inputs.items() if needed}


@dataclass(frozen=True)
class ViewStates:
    """What the store has of an entity: the state that holds, and those that follow as windows expire.

    Each holds from an instant of `valid_from`, inclusive, until one of `valid_to` (UTC); `features` are the
    stored columns, with a value for each state.
    """

    view: OnlineView
    valid_from: list[datetime]
    valid_to: list[datetime]
    features: list[FeatureAnswer]


class Answerer:
    """Answers requests from a store, with one round trip to the store for each request."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._deriver = Deriver()

    async def answer(
        self, plan: Callable[[Catalog], Sequence[ViewRequest]], catalog: Catalog | None = None
    ) -> tuple[Catalog, list[ViewAnswer]]:
        """Answer the requests of a plan; also return the catalog that the plan was made with.

        Args:
            plan: makes the requests from the store's catalog, and raises Refused if it cannot. It is called
                again if the store was written to meanwhile.
            catalog: the store's catalog as last read; passing it saves a round trip.

        Raises:
            Refused: the plan, or the type of an input, is refused.
            StoreUnavailable: the store cannot be read, or holds nothing.
        """
        catalog, requests, reading = await self._read(plan, catalog)
        return catalog, [
            self._answer(request, stretches)
            for request, stretches in zip(requests, reading.stretches, strict=True)
        ]

    async def states(
        self, plan: Callable[[Catalog], Sequence[ViewRequest]], catalog: Catalog | None = None
    ) -> tuple[Catalog, list[ViewStates]]:
        """Tell what holds of each first entity that a plan asks for, and what will follow; see `answer`.

        Raises:
            Refused: the plan is refused.
            StoreUnavailable: the store cannot be read, or holds nothing.
        """
        catalog, requests, reading = await self._read(plan, catalog)
        return catalog, [
            _states(request, stretches[0])
            for request, stretches in zip(requests, reading.stretches, strict=True)
        ]

    async def _read(
        self, plan: Callable[[Catalog], Sequence[ViewRequest]], catalog: Catalog | None
    ) -> tuple[Catalog, Sequence[ViewRequest], Reading]:
        """Read what a plan asks for, of the catalog that it was planned with."""
        if not catalog:
            catalog = (await self.store.read([])).catalog
        for _ in range(_ATTEMPTS):
            if not catalog:
                raise empty(self.store.url)
            requests = plan(catalog)
            reading = await self.store.read([(each.view.name, each.keys) for each in requests])
            if reading.catalog is catalog:
                return catalog, requests, reading
            catalog = reading.catalog
        said = "changes faster than it can be read: try again."
        raise StoreUnavailable(f"{self.store.url} {said}", f"The online store {said}")

    def _answer(self, request: ViewRequest, stretches: Sequence[bytes | str | None]) -> ViewAnswer:
        view, at = request.view, microseconds(request.at)
        selection = view.selection(request.features)
        rows = [row_in_force(stretch, at) for stretch in stretches]
        found = [_status_of(request.max_age, row, at) for row in rows]
        all_present = found.count(PRESENT) == len(found)
        none = [None] * (VALUES + len(view.columns))
        held_rows = [
            row if row is not None and status is PRESENT else none
            for row, status in zip(rows, found, strict=True)
        ]
        defaults = self._deriver.defaults(view)
        held, filled = {}, {}
        for name, position in selection.positions.items():
            held[name] = filled[name] = [row[VALUES + position] for row in held_rows]
            if (default := defaults.get(name)) is not None and None in held[name]:
                filled[name] = [default if value is None else value for value in held[name]]
        derived = self._deriver.derive(request, selection, filled)
        stored_only = [False] * len(rows)
        answers = []
        for name in request.features:
            is_computed = name in derived
            raw = derived[name] if is_computed else filled[name]
            before = raw if is_computed else held[name]
            statuses = found
            if not all_present or None in before:
                statuses = [
                    NULL_VALUE if status is PRESENT and value is None else status
                    for status, value in zip(found, before, strict=True)
                ]
            is_default = stored_only
            if raw is not before:
                is_default = [old is None and new is not None for old, new in zip(before, raw, strict=True)]
            type_name = view.features[name].type
            answers.append(FeatureAnswer(name, type_name, is_computed, raw, statuses, is_default))
        updated_at = [None if row is None else moment_of(row[UPDATED_AT]) for row in rows]
        return ViewAnswer(view, answers, updated_at, request.prefix)


def _states(request: ViewRequest, stretch: bytes | str | None) -> ViewStates:
    rows = all_rows(stretch)
    age = request.max_age // timedelta(microseconds=1) if request.max_age is not None else None
    # Values that are too old are not served, though the store has them.
    untils = [row[VALID_TO] if age is None else min(row[VALID_TO], row[UPDATED_AT] + age) for _, row in rows]
    columns = list(request.view.columns.values())
    return ViewStates(
        request.view,
        [moment_of(instant) for instant, _ in rows],
        [moment_of(until) for until in untils],
        [
            FeatureAnswer(column.name, column.type, False, [row[VALUES + place] for _, row in rows], [], [])
            for place, column in enumerate(columns)
        ],
    )


def _status_of(max_age: timedelta | None, row: list[Any] | None, at: int) -> str:
    if row is None:
        return NOT_FOUND
    if max_age is not None and at > row[UPDATED_AT] + max_age // timedelta(microseconds=1):
        return OUTSIDE_MAX_AGE
    return PRESENT
