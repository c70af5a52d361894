"""What the routes of one worker share: the store, who may read it, and what is written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from fastapi import Request
from starlette.responses import Response

from assay.online.answer import Answerer, ViewAnswer
from assay.online.definition import OnlineView
from assay.online.request import ViewRequest
from assay.online.stores.open import open_store
from assay.online.stores.store import Catalog, StoreUnavailable
from assay.online.stretch import key_values
from assay.server.audit import Audit
from assay.server.errors import problem
from assay.server.keys import KeyRing, Reader
from assay.server.metrics import UNAVAILABLE, count_values
from assay.server.prediction_log import PredictionLog
from assay.server.rejected import Rejected
from assay.server.settings import Settings


class Service:
    """A worker's own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._answerer = Answerer(open_store(settings.store))
        self._keys = KeyRing(settings.folder)
        self._audit = Audit(settings.folder)
        self._catalog: Catalog = {}
        self.predictions = PredictionLog(settings.landing)

    def reader(self, request: Request) -> Reader:
        """Return who sends a request.

        Raises:
            Rejected: a key is needed, and there is none that is valid.
        """
        if not self.settings.with_keys:
            return Reader()
        reader = self._keys.reader(request.headers.get("authorization"), request.headers.get("x-api-key"))
        request.state.reader = reader.name
        return reader

    async def turn_away(self, request: Request, error: Exception) -> Response:
        """Answer what was rejected, and write down who was turned away."""
        assert isinstance(error, Rejected)
        if error.status in (401, 403):
            reader = getattr(request.state, "reader", None)
            path = request.scope["path"]
            self._audit.note_refused(reader, request.state.request_id, path, error.status, str(error))
        return problem(error.status, str(error))

    async def catalog(self) -> Catalog:
        """Return what the store holds.

        Raises:
            StoreUnavailable: it cannot be read, or holds nothing.
        """
        try:
            self._catalog = (await self._answerer.store.read([])).catalog
            if not self._catalog:
                raise StoreUnavailable(
                    "The online store holds no feature views. To fill it: assay online sync"
                )
        except StoreUnavailable:
            UNAVAILABLE.inc()
            raise
        return self._catalog

    async def sample(self, view: OnlineView) -> list[str] | None:
        """Return the keys of some entity of a view; None where there is none."""
        key = await self._answerer.store.sample(view.name)
        return None if key is None else key_values(key, view.keys)

    async def answer(
        self,
        request: Request,
        reader: Reader,
        at: datetime,
        plan: Callable[[Catalog], Sequence[ViewRequest]],
    ) -> list[ViewAnswer]:
        """Answer a plan, and write down who read what.

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
        count_values(answers)
        entities = max((len(answer.updated_at) for answer in answers), default=0)
        views = [answer.view.name for answer in answers]
        self._audit.note(reader, request.state.request_id, request.scope["path"], views, entities, at)
        return answers

    async def close(self) -> None:
        """Let go of the store and the logs."""
        self.predictions.hand_over()
        await self._answerer.store.close()
        self._audit.close()
