"""Routes that search documents."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from assay.core.fault import Fault
from assay.core.moment import now
from assay.online.request import Refused, instant_given
from assay.server.answer_shapes import DocumentAnswer, SearchAnswer
from assay.server.answers import json_response, timestamp
from assay.server.bodies import body_of, read_body
from assay.server.errors import answered, problems
from assay.server.rejected import Rejected
from assay.server.service import Service, note
from assay.server.shapes import DocumentRequest, SearchRequest

_PROBLEMS = problems(400, 401, 403, 413, 415, 422, 429, 503, 507)


def search_router(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["search"])

    @router.post(
        "/search",
        summary="Search documents",
        response_class=Response,
        responses=answered(SearchAnswer) | _PROBLEMS,
        openapi_extra=body_of(SearchRequest),
    )
    async def search(request: Request) -> Response:
        """Return the chunks of documents that a query is about, the best first."""
        scope = service.reader(request).scope()
        asked = await read_body(request, SearchRequest)
        _check(asked)
        as_of = _past(asked.as_of)
        found = await service.searching.search(asked, as_of, scope)
        documents = list(dict.fromkeys(each.document_id for each in found.results))
        note(request, "read", documents=documents, as_of=timestamp(as_of))
        results = [_as_json(asdict(each)) for each in found.results]
        for each in results:
            del each["text"]
        return json_response({"results": results, "terms": found.terms, "vector_way": found.vector_way})

    @router.post(
        "/search/document",
        summary="A document, chunk by chunk",
        response_class=Response,
        responses=answered(DocumentAnswer) | _PROBLEMS | problems(404),
        openapi_extra=body_of(DocumentRequest),
    )
    async def show_document(request: Request) -> Response:
        """Return chunks of a document, in their order."""
        scope = service.reader(request).scope()
        asked = await read_body(request, DocumentRequest)
        as_of = _past(asked.as_of)
        found = await service.searching.document(asked.document_id, asked.first_chunk, as_of, scope)
        if found is None:
            # Whether there is one that the key is not for is not told.
            raise Rejected(404, "There is no such document or chunk, or this API key is not for it.")
        note(request, "read", documents=[found.document_id], as_of=timestamp(as_of))
        shown = asdict(found)
        return json_response(shown | {"chunks": [_as_json(each) for each in shown["chunks"]]})

    return router


def _check(asked: SearchRequest) -> None:
    """Check that the query and the filter can be read.

    Raises:
        Refused: they cannot.
    """
    # It loads DuckDB, which nobody needs who asks for features alone.
    from assay.search.filters import read_filter
    from assay.search.query import check_query

    try:
        check_query(asked.query)
        read_filter(asked.filter)
    except Fault as fault:
        raise Refused(str(fault)) from fault


def _past(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = instant_given(text)
    if moment > now():
        raise Refused(f"as_of {text} lies in the future, of which nothing is known yet.")
    return moment


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    return {name: timestamp(value) if isinstance(value, datetime) else value for name, value in row.items()}
