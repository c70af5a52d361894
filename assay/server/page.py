"""The page at `/`: what is served, and a form to look an entity up. It loads nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from assay.server.errors import problems
from assay.server.rejected import Rejected
from assay.server.service import Service, note

_PAGE = Path(__file__).with_name("page.html")
# Scripts and styles are the page's own, and it talks to this server alone.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "img-src data:"
)


def page_router(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(include_in_schema=False)
    page = _PAGE.read_bytes()

    @router.get("/")
    async def show_page() -> Response:
        """Return the page; what it shows it asks of the other routes."""
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": _POLICY})

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
