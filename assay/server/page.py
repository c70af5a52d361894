"""The pages: at `/` what is served, at `/search` documents. They load nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from assay.online.answer import ViewStates
from assay.server.answers import json_response, json_values, timestamp
from assay.server.bodies import read_body
from assay.server.errors import problems
from assay.server.plan import instant_of, plan_features
from assay.server.rejected import Rejected
from assay.server.service import Service, note
from assay.server.shapes import FeaturesRequest

_CHANGES_SHOWN = 8
_FOLDER = Path(__file__).parent
# Scripts and styles are the page's own, and it talks to this server alone.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "img-src data:"
)


def page_router(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(include_in_schema=False)
    features, documents = _page("page.html"), _page("search.html")

    @router.get("/")
    async def show_page() -> Response:
        """Return the page of features; what it shows it asks of the other routes."""
        return _html(features)

    @router.get("/search")
    async def show_search() -> Response:
        """Return the page that searches documents; what it shows it asks of the other routes."""
        return _html(documents)

    @router.get("/changes", responses=problems(401, 429, 503, 507))
    async def show_changes(request: Request) -> Response:
        """Return the entities that streams changed last."""
        found = await service.changes(service.reader(request), _CHANGES_SHOWN)
        if found:
            note(request, "read", views=sorted({view.name for view, *_ in found}), entities=len(found))
        return json_response(
            [{"view": view.name, "key": key, "offset": offset} for view, key, offset in found]
        )

    @router.post("/features/states", responses=problems(400, 401, 403, 404, 413, 415, 422, 429, 503, 507))
    async def show_states(request: Request) -> Response:
        """Return by view what holds of an entity, and what will follow as windows expire, for a chart."""
        reader = service.reader(request)
        asked = await read_body(request, FeaturesRequest)
        at = instant_of(asked.as_of)
        found = await service.states(
            request, reader, lambda catalog: plan_features(asked, catalog, reader, at)
        )
        return json_response({each.view.name: _states(each) for each in found})

    @router.head("/lineage")
    @router.get("/lineage", responses=problems(401, 403, 404, 429, 507))
    async def show_lineage(request: Request) -> Response:
        """Return dbt's documentation of the project, which tells of all views: for keys of all alone."""
        docs = service.settings.docs
        if not service.reader(request).may_read_all:
            raise Rejected(
                403, "This API key is not for the documentation, which is for keys of all views (*)."
            )
        if not docs.is_file():
            raise Rejected(404, "There is no documentation yet. To write it: assay docs")
        note(request, "read", views=["*"], entities=0)
        return FileResponse(docs, media_type="text/html")

    return router


def _page(name: str) -> str:
    """Return a page with the styles and functions that pages share."""
    page = (_FOLDER / name).read_text(encoding="utf-8")
    for shared in ("shared.css", "shared.js"):
        page = page.replace(f"/* {shared} */", (_FOLDER / shared).read_text(encoding="utf-8"))
    return page


def _html(page: str) -> Response:
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


def _states(found: ViewStates) -> dict[str, Any]:
    return {
        "valid_from": [timestamp(moment) for moment in found.valid_from],
        "valid_to": [timestamp(moment) for moment in found.valid_to],
        "features": {feature.name: json_values(feature) for feature in found.features},
    }
