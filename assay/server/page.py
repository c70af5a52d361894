"""The page at `/`: what is served, and a form to look an entity up. It loads nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse, Response

from assay.server.errors import problems
from assay.server.rejected import Rejected

_PAGE = Path(__file__).with_name("page.html")
# Scripts and styles are the page's own, and it talks to this server alone.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "img-src data:"
)


def page_router(docs: Path) -> APIRouter:
    """Return the routes.

    Args:
        docs: the file that `make docs` writes.
    """
    router = APIRouter(include_in_schema=False)
    page = _PAGE.read_bytes()

    @router.get("/")
    async def show_page() -> Response:
        """Return the page; what it shows it asks of the other routes."""
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": _POLICY})

    @router.head("/lineage")
    @router.get("/lineage", responses=problems(404))
    async def show_lineage() -> Response:
        """Return dbt's documentation of the project."""
        if not docs.is_file():
            raise Rejected(404, f"There is no documentation yet in {docs}. To write it: make docs")
        return FileResponse(docs, media_type="text/html")

    return router
