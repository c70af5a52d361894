"""What the routes of one worker share: the store, who may read it, and what is written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from fastapi import Request

from assay.experiments.assignments import Assignments
from assay.online.ahead import Ahead
from assay.online.answer import Answerer, ViewAnswer, ViewStates
from assay.online.definition import OnlineView
from assay.online.request import ViewRequest
from assay.online.stores.open import open_store
from assay.online.stores.store import Catalog, StoreUnavailable, empty
from assay.online.stretch import key_values
from assay.server.answers import timestamp
from assay.server.audit import Audit
from assay.server.declared import DeclaredExperiments
from assay.server.keys import KeyRing, Reader
from assay.server.landing_log import EXPOSURES, PREDICTIONS, LandingLog
from assay.server.limits import Limit
from assay.server.metrics import UNAVAILABLE, count_values
from assay.server.searching import Searching
from assay.server.settings import Settings

_SECONDS_AT_ONCE = 2.0
_HOUR = 3600.0


class Service:
    """Serve one worker's requests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._answerer = Answerer(open_store(settings.store))
        self._keys = KeyRing(settings.folder)
        self.audit = Audit(settings.folder)
        self._catalog: Catalog = {}
        self.predictions = LandingLog(settings.landing, PREDICTIONS)
        self.exposures = LandingLog(settings.landing, EXPOSURES)
        self.experiments = DeclaredExperiments(settings.experiments)
        self.assignments = Assignments(settings.folder)
        self.searching = Searching(settings.search, settings.deleted, settings.seconds)
        rate, hourly = settings.requests_per_second, settings.prediction_bytes_per_hour
        self._requests = Limit(rate, max(rate * _SECONDS_AT_ONCE, 1))
        self._bytes = Limit(hourly / _HOUR, hourly)

    def reader(self, request: Request) -> Reader:
        """Return who sends a request.

        Raises:
            Rejected: a key is needed, and there is none that is valid; or too much is asked with it.
        """
        if not self.settings.with_keys:
            return Reader()
        reader = self._keys.reader(request.headers.get("authorization"), request.headers.get("x-api-key"))
        request.state.reader = reader.name
        rate = f"{self.settings.requests_per_second:g} requests a second"
        self._requests.take(reader.name, 1, f"This API key may send {rate}: wait, and send it again.")
        return reader

    def require_room(self, reader: Reader, written: int) -> None:
        """Check that the holder of a key may write so many bytes.

        Raises:
            Rejected: it has written too much.
        """
        if reader.name is not None:
            hourly = f"{self.settings.prediction_bytes_per_hour:,} bytes of predictions and exposures an hour"
            self._bytes.take(reader.name, written, f"This API key may log {hourly}: wait, and send it again.")

    async def catalog(self) -> Catalog:
        """Return what the store holds.

        Raises:
            StoreUnavailable: it cannot be read, or holds nothing.
        """
        try:
            self._catalog = (await self._answerer.store.read([])).catalog
            if not self._catalog:
                raise empty(self._answerer.store.url)
        except StoreUnavailable:
            UNAVAILABLE.inc()
            raise
        return self._catalog

    async def require_whole(self) -> Catalog:
        """Return what the store holds, and see that it has lost nothing.

        Raises:
            StoreUnavailable: it cannot be read, holds nothing, or is not whole.
        """
        catalog = await self.catalog()
        try:
            await self._answerer.store.read([(name, []) for name in catalog])
        except StoreUnavailable:
            UNAVAILABLE.inc()
            raise
        return catalog

    async def sample(self, view: OnlineView, reader: Reader) -> list[str] | None:
        """Return the keys of some entity of a view; None where there is none, or they are not to be seen."""
        if any(column.pii or not reader.rights.sees_plain(view, column.name) for column in view.keys):
            return None
        key = await self._answerer.store.sample(view.name)
        return None if key is None else key_values(key, view.keys)

    async def changes(self, reader: Reader, limit: int) -> list[tuple[OnlineView, list[str], int]]:
        """Return views, keys and last offsets of what streams changed last; never keys that are personal."""
        catalog = await self.catalog()
        return [
            (view, key_values(key, view.keys), offset)
            for name, key, offset in Ahead(self.settings.ahead).newest(limit)
            if (view := catalog.get(name))
            and reader.may_read(name)
            and not any(column.pii for column in view.keys)
            and all(reader.rights.sees_plain(view, column.name) for column in view.keys)
        ]

    async def answer(
        self, request: Request, reader: Reader, at: datetime, plan: Callable[[Catalog], Sequence[ViewRequest]]
    ) -> list[ViewAnswer]:
        """Answer a plan with what the reader may see, and have it written down what was read.

        Raises:
            Refused: the plan, or the type of an input, is refused.
            Rejected: the reader may not read a view.
            StoreUnavailable: the store cannot be read, or holds nothing.
        """
        try:
            self._catalog, answers = await self._answerer.answer(plan, self._catalog)
        except StoreUnavailable:
            UNAVAILABLE.inc()
            raise
        for answer in answers:
            answer.features = reader.rights.shield(answer.view, answer.features)
        count_values(answers)
        entities = max((len(answer.updated_at) for answer in answers), default=0)
        views = [answer.view.name for answer in answers]
        note(request, "read", views=views, entities=entities, as_of=timestamp(at))
        return answers

    async def states(
        self, request: Request, reader: Reader, plan: Callable[[Catalog], Sequence[ViewRequest]]
    ) -> list[ViewStates]:
        """Tell what holds and what will follow of what a plan asks for, and have it written down.

        Raises:
            Refused: the plan is refused.
            Rejected: the reader may not read a view.
            StoreUnavailable: the store cannot be read, or holds nothing.
        """
        try:
            self._catalog, states = await self._answerer.states(plan, self._catalog)
        except StoreUnavailable:
            UNAVAILABLE.inc()
            raise
        note(request, "read", views=[each.view.name for each in states], entities=1)
        return [replace(each, features=reader.rights.shield(each.view, each.features)) for each in states]

    async def close(self) -> None:
        """Let go of the store, the searches and the logs."""
        try:
            self.predictions.hand_over()
            self.exposures.hand_over()
        finally:
            self.searching.close()
            self.assignments.close()
            await self._answerer.store.close()
            self.audit.close()


def note(request: Request, what: str, **more: Any) -> None:
    """Have it written down what a request does, before it is answered.

    Args:
        request: the request.
        what: `read` or `wrote`.
        more: what it reads or writes.
    """
    request.state.audited = what, more
