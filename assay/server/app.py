"""The application: one for each worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from assay.core.fault import Fault
from assay.online.request import Refused
from assay.online.stores.store import StoreUnavailable
from assay.search.unavailable import SearchUnavailable
from assay.server.catalog import catalog_router
from assay.server.direct import Direct
from assay.server.document import document
from assay.server.errors import on_fault, on_http_error, on_refused, on_rejected, on_unavailable
from assay.server.experiments import experiments_router
from assay.server.features import features_router
from assay.server.health import health_router
from assay.server.landing_log import hand_over_leftovers
from assay.server.middleware import Requests, log
from assay.server.page import page_router
from assay.server.predictions import predictions_router
from assay.server.rejected import Rejected
from assay.server.search import search_router
from assay.server.service import Service
from assay.server.settings import Settings
from assay.server.tracing import trace

# How often the audit log is brought to the disk, and it is looked whether predictions are due to land.
_SECONDS_BETWEEN_LOOKS = 1.0


def make_app(settings: Settings) -> FastAPI:
    """Make the application of a worker."""
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with _told():
            hand_over_leftovers(settings.landing)
        keeping = asyncio.create_task(_keep(service))
        async with _grpc_beside(service, settings, app):
            yield
        keeping.cancel()
        await service.close()

    # Its documentation loads nothing from elsewhere.
    app = FastAPIOffline(
        redoc_url=None,
        title="Assay",
        summary="Features online, equal to what training sets join, and search in documents.",
        version=version("assay"),
        lifespan=lifespan,
    )
    features = features_router(service)
    routers = [
        features,
        catalog_router(service),
        predictions_router(service),
        experiments_router(service),
        search_router(service),
        health_router(service),
        page_router(service),
    ]
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(Rejected, on_rejected)
    app.add_exception_handler(Refused, on_refused)
    app.add_exception_handler(StoreUnavailable, on_unavailable)
    app.add_exception_handler(SearchUnavailable, on_unavailable)
    app.add_exception_handler(Fault, on_fault)
    app.add_exception_handler(HTTPException, on_http_error)
    app.openapi = document(app, with_keys=settings.with_keys)  # type: ignore[method-assign]
    paths = {route.path for router in routers for route in router.routes}  # type: ignore[attr-defined]
    endpoints = {route.path: route.endpoint for route in features.routes}  # type: ignore[attr-defined]
    # The one added last is the outermost.
    app.add_middleware(Direct, endpoints=endpoints, on_errors=app.exception_handlers)
    app.add_middleware(
        Requests,
        body_bytes=settings.body_bytes,
        seconds=settings.seconds,
        paths=paths,
        audit=service.audit,
        with_keys=settings.with_keys,
    )
    trace(app)
    return app


@asynccontextmanager
async def _grpc_beside(service: Service, settings: Settings, app: FastAPI) -> AsyncIterator[None]:
    """Serve calls of gRPC as well, where an address for them is set."""
    if not settings.grpc:
        yield
        return
    from assay.server.grpc_calls import grpc_serving

    async with grpc_serving(service, settings, app.exception_handlers):
        yield


async def _keep(service: Service) -> None:
    """Bring the audit log to the disk, and what the server was told to where it lands."""
    while True:
        await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)
        with _told():
            service.audit.sync()
        for told in (service.predictions, service.exposures):
            with _told():
                told.hand_over_if_due()


@contextmanager
def _told() -> Iterator[None]:
    """Log what the disk refuses; it is tried again."""
    try:
        yield
    except OSError as error:
        log("error", error=str(error))


def app_from_environment() -> FastAPI:
    """Make the application of a worker that `assay serve` has started."""
    return make_app(Settings.from_environment())
