"""What goes wrong with a request, as an answer: a status and one sentence."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from assay.online.request import Refused
from assay.online.stores.store import StoreUnavailable
from assay.server.answers import json_response


class Problem(BaseModel):
    """Why a request is not answered, and what is allowed."""

    detail: str = Field(description="What is wrong, and what to do.")


def answered(shape: Any) -> dict[int | str, dict[str, Any]]:
    """Declare the good answer of a route."""
    return {200: {"model": shape, "description": "The answer."}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare the answers that a route may give besides the good one."""
    said = {
        400: "The body is no JSON, or a key stands twice in it.",
        401: "The API key is missing, unknown, expired or revoked.",
        403: "The API key is not for what is asked.",
        404: "There is no such feature view.",
        413: "The body is too large.",
        415: "The body is not of type application/json.",
        422: "Something asked for is unknown, missing or of another type.",
        503: "The online store cannot be read, or holds nothing; or it took too long.",
    }
    return {status: {"model": Problem, "description": said[status]} for status in statuses}


def problem(status: int, detail: str) -> Response:
    """Answer with a problem."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if status == 503:
        headers["Retry-After"] = "1"
    return json_response({"detail": detail}, status, headers)


async def on_refused(request: Request, error: Exception) -> Response:
    """Answer what asks for something that is not there."""
    assert isinstance(error, Refused)
    return problem(422, str(error))


async def on_unavailable(request: Request, error: Exception) -> Response:
    """Answer that the store is away."""
    assert isinstance(error, StoreUnavailable)
    return problem(503, str(error))
