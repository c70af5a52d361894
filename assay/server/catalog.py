"""Routes that tell what is served."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from assay.online.definition import OnlineColumn, OnlineView
from assay.server.answer_shapes import FeatureViewAnswer, OneFeatureViewAnswer
from assay.server.answers import json_response, timestamp
from assay.server.errors import answered, problems
from assay.server.keys import Reader
from assay.server.rejected import Rejected
from assay.server.service import Service, note


def catalog_router(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["catalog"])

    @router.get(
        "/feature-views",
        summary="The feature views that are online",
        response_class=Response,
        responses=answered(list[FeatureViewAnswer]) | problems(401, 429, 503, 507),
    )
    async def list_views(request: Request) -> Response:
        """Return the feature views that the API key may read."""
        reader = service.reader(request)
        views = [view for view in (await service.catalog()).values() if reader.may_read(view.name)]
        note(request, "read", views=[view.name for view in views], entities=0)
        return json_response([described(view, reader) for view in views])

    @router.get(
        "/feature-views/{name}",
        summary="A feature view",
        response_class=Response,
        responses=answered(OneFeatureViewAnswer) | problems(401, 403, 404, 422, 429, 503, 507),
    )
    async def show_view(request: Request, name: str) -> Response:
        """Return what a feature view declares, and what the store holds of it."""
        reader = service.reader(request)
        reader.require([name])
        catalog = await service.catalog()
        if name not in catalog:
            raise Rejected(404, f"There is no feature view {name} online: there are {', '.join(catalog)}.")
        sample = await service.sample(catalog[name], reader)
        note(request, "read", views=[name], entities=int(sample is not None))
        return json_response(described(catalog[name], reader) | {"sample": sample})

    return router


def described(view: OnlineView, reader: Reader) -> dict[str, Any]:
    """Return what a view declares and the reader may see, as JSON has it."""
    columns, derived = (
        [_column(column) for column in each.values() if reader.rights.sees(view, column.name)]
        for each in (view.columns, view.derived)
    )
    return {
        "name": view.name,
        "description": view.declared["description"],
        "entity": view.declared["entity"],
        "owner": view.declared["owner"],
        "max_age": view.declared["max_age"],
        "keys": [_column(column) for column in view.keys],
        "columns": columns,
        "derived": derived,
        "inputs": [_column(column) for column in view.inputs.values()],
        "unique_id": view.declared["unique_id"],
        "run_id": view.build.run_id,
        "known_until": timestamp(view.build.known_until),
        "synced_at": timestamp(view.build.synced_at),
    }


def _column(column: OnlineColumn) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": column.name,
        "type": column.type,
        "description": column.description,
    }
    if column.default is not None:
        found["default"] = column.default
    if column.expression is not None:
        found["expression"] = column.expression
    if column.pii is not None:
        found["personal"] = True
    return found
