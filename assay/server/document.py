"""The OpenAPI document: routes, shapes of bodies, and how an API key is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from assay.server.bodies import REFERENCE
from assay.server.shapes import (
    AssignmentRequest,
    DocumentRequest,
    FeaturesRequest,
    OnlineFeaturesRequest,
    Prediction,
    SearchRequest,
)

_BODIES = (
    FeaturesRequest,
    OnlineFeaturesRequest,
    Prediction,
    AssignmentRequest,
    SearchRequest,
    DocumentRequest,
)

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def document(app: FastAPI, *, with_keys: bool) -> Callable[[], dict[str, Any]]:
    """Return what an application's `openapi` is to be.

    Args:
        app: with its routes.
        with_keys: whether API keys are asked for.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, with_keys)
        return app.openapi_schema

    return openapi


def _document(app: FastAPI, with_keys: bool) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    bodies = [(shape, "validation") for shape in _BODIES]
    _, shapes = models_json_schema(bodies, ref_template=REFERENCE)  # type: ignore[arg-type]
    found["components"]["schemas"] |= shapes["$defs"]
    if with_keys:
        found["components"]["securitySchemes"] = _SCHEMES
        for operations in found["paths"].values():
            for operation in operations.values():
                if "operation" not in operation["tags"]:
                    operation["security"] = [{name: []} for name in _SCHEMES]
    return found
