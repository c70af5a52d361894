"""What goes wrong with a request, as an answer: a status and one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response

from assay.online.request import Refused
from assay.online.stores.store import StoreUnavailable
from assay.search.unavailable import SearchUnavailable
from assay.server.answers import json_response
from assay.server.audit import shortened
from assay.server.rejected import Rejected

_LONGEST = 1000


class Problem(BaseModel):
    """Why a request is not answered, and what is allowed."""

    detail: str = Field(description="What is wrong, and what to do.")


def answered(shape: Any) -> dict[int | str, dict[str, Any]]:
    """Declare the good answer of a route."""
    return {200: {"model": shape, "description": "The answer."}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare the answers that a route may give besides the good one."""
    said = {
        400: "The body is no JSON, or a key stands twice in it, or it is nested too deeply.",
        401: "The API key is missing, unknown, expired or revoked.",
        403: "The API key is not for what is asked.",
        404: "There is no such feature view, feature service, document or experiment.",
        413: "The body is too large.",
        415: "The body is not of type application/json.",
        422: "Something asked for is unknown, missing or of another type.",
        429: "The API key has asked for too much, or written too much; Retry-After says how long to wait.",
        503: "The online store or the index of documents cannot be read, is not whole, or holds nothing; the "
        "query's vector cannot be made; or it took too long.",
        507: "The disk is full: nothing was kept, or it could not be written down who asked.",
    }
    return {status: {"model": Problem, "description": said[status]} for status in statuses}


def problem(
    status: int, detail: str, request: HTTPConnection | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with a problem, and leave word of it for the audit log.

    Args:
        status: of HTTP.
        detail: what is wrong; it reaches whoever asks, so it names no file and no host.
        request: what is answered, where there is one.
        headers: of the answer, besides those that the status needs.
    """
    added = dict(headers or {})
    if status == 401:
        added["WWW-Authenticate"] = "Bearer"
    if status == 503:
        added.setdefault("Retry-After", "1")
    told = shortened(detail, _LONGEST)
    if request is not None:
        request.state.why = told
    return json_response({"detail": told}, status, added)


async def on_rejected(request: Request, error: Exception) -> Response:
    """Answer what is turned down before it is looked at."""
    assert isinstance(error, Rejected)
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    return problem(error.status, str(error), request, headers)


async def on_refused(request: Request, error: Exception) -> Response:
    """Answer what asks for something that is not there."""
    assert isinstance(error, Refused)
    return problem(422, str(error), request)


async def on_unavailable(request: Request, error: Exception) -> Response:
    """Answer that the store or the search is away; why is told to those who read the server's log."""
    assert isinstance(error, StoreUnavailable | SearchUnavailable)
    request.state.error = str(error)
    return problem(503, error.for_callers, request)


async def on_fault(request: Request, error: Exception) -> Response:
    """Answer that something of the server is broken; what is told to those who read its log."""
    request.state.error = str(error)
    return problem(503, "The server cannot answer now: its log says why.", request)


async def on_http_error(request: Request, error: Exception) -> Response:
    """Answer what the framework refuses, such as a path that is not there."""
    assert isinstance(error, HTTPException)
    return problem(error.status_code, f"{error.detail}.", request, error.headers)
