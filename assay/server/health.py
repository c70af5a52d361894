"""Routes for those who run the server."""

from __future__ import annotations

import os

from fastapi import APIRouter
from starlette.responses import Response

from assay.online.stores.store import StoreUnavailable
from assay.server.answer_shapes import HealthAnswer, ReadyAnswer
from assay.server.answers import json_response, timestamp
from assay.server.errors import answered, problems
from assay.server.metrics import exposition
from assay.server.service import Service
from assay.server.settings import MULTIPROCESS


def health_router(service: Service) -> APIRouter:
    """Return the routes; they need no API key, and tell nothing of features."""
    router = APIRouter(tags=["operation"])

    @router.get(
        "/health",
        summary="Whether the server runs",
        response_class=Response,
        responses=answered(HealthAnswer),
    )
    async def health() -> Response:
        """Answer, whatever the state of the store."""
        return json_response({"status": "ok"})

    @router.get(
        "/ready",
        summary="Whether features can be served",
        response_class=Response,
        responses=answered(ReadyAnswer) | problems(503),
    )
    async def ready() -> Response:
        """Read the store, and tell how many feature views it holds whole and up to when it knows."""
        catalog = await service.require_whole()
        known = [view.build.known_until for view in catalog.values() if view.build.known_until]
        return json_response(
            {
                "status": "ready",
                "feature_views": len(catalog),
                "known_until": timestamp(max(known, default=None)),
            }
        )

    @router.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """Return the figures of all workers, as text."""
        try:
            catalog = await service.catalog()
        except StoreUnavailable:
            catalog = {}
        text = exposition(catalog, of_all_workers=MULTIPROCESS in os.environ)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
