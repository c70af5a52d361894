"""The route by which models tell what they predicted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Request
from starlette.responses import Response

from assay.core.disk import has_no_room
from assay.core.fault import unknown
from assay.core.moment import now
from assay.online.request import Refused, view_named
from assay.online.stores.store import Catalog, StoreUnavailable
from assay.pii.key import find_pii_key
from assay.server.answer_shapes import PredictionAnswer
from assay.server.answers import json_response, timestamp, to_json
from assay.server.bodies import body_of, read_body
from assay.server.errors import answered, problems
from assay.server.plan import instant_of
from assay.server.rejected import Rejected
from assay.server.service import Service, note
from assay.server.shapes import Prediction, Served

# What a caller's clock may be ahead.
_CLOCKS_APART = timedelta(minutes=5)


def predictions_router(service: Service) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["predictions"])

    @router.post(
        "/predictions",
        summary="Log a prediction",
        response_class=Response,
        responses=answered(PredictionAnswer) | problems(400, 401, 403, 413, 415, 422, 429, 503, 507),
        openapi_extra=body_of(Prediction),
    )
    async def log_prediction(request: Request) -> Response:
        """Keep a prediction for the next build, which compares it with the outcome once that is known."""
        reader = service.reader(request)
        told = await read_body(request, Prediction)
        served = told.served or []
        reader.require_model(told.model)
        reader.require(each.feature_view for each in served)
        predicted_at = instant_of(told.predicted_at)
        if predicted_at > now() + _CLOCKS_APART:
            raise Refused(f"predicted_at {told.predicted_at} lies in the future.")
        catalog = await _check(served, service)
        line = told.model_dump(exclude={"served"}) | {
            "prediction_id": told.prediction_id or uuid4().hex,
            "predicted_at": timestamp(predicted_at),
            "received_at": timestamp(now()),
        }
        if told.served is not None:
            line["served"] = [each.model_dump() | {"keys": _stored_keys(each, catalog)} for each in served]
        content = to_json(line) + b"\n"
        service.require_room(reader, len(content))
        try:
            service.predictions.note(content)
            await service.predictions.sync()
        except OSError as error:
            status = 507 if has_no_room(error) else 503
            raise Rejected(
                status, f"The prediction is not kept ({error.strerror}): send it again later."
            ) from error
        note(request, "wrote", model=told.model, views=[each.feature_view for each in served])
        return json_response({"prediction_id": line["prediction_id"]})

    return router


def _stored_keys(served: Served, catalog: Catalog) -> dict[str, Any]:
    """Return the keys as gold has them: personal data hashed."""
    view = catalog.get(served.feature_view)
    if view is None or view.pii_key is None:
        return dict(served.keys)
    stored = view.hashed_keys([str(served.keys[key.name]) for key in view.keys])
    return {
        key.name: hashed if key.pii else served.keys[key.name]
        for key, hashed in zip(view.keys, stored, strict=True)
    }


async def _check(served: list[Served], service: Service) -> Catalog:
    """Check that there are such features; where the store is away, what was told is kept as it is.

    Returns:
        What the store holds; nothing where it is away.

    Raises:
        Refused: a view, key or feature is unknown, or `as_of` is no time.
        StoreUnavailable: the store is away, and keys may have to be hashed.
    """
    for each in served:
        instant_of(each.as_of)
    try:
        catalog = await service.catalog() if served else {}
    except StoreUnavailable:
        if find_pii_key():
            raise
        return {}
    for each in served:
        view = view_named(catalog, each.feature_view)
        keys = [key.name for key in view.keys]
        if sorted(keys) != sorted(each.keys):
            raise Refused(
                f"{view.name} has the keys {', '.join(keys)}, not {', '.join(each.keys) or 'none'}."
            )
        for name in each.features:
            if name not in view.features:
                raise Refused(unknown(f"{view.name} has no feature {name}", name, view.features))
    return catalog
