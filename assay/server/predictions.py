"""The route by which models tell what they predicted."""

from __future__ import annotations

from uuid import uuid4

from fastapi import APIRouter, Request
from starlette.responses import Response

from assay.runs.moment import now
from assay.server.answers import json_response, timestamp
from assay.server.bodies import body_of, read_body
from assay.server.errors import answered, problems
from assay.server.plan import instant_of
from assay.server.rejected import Rejected
from assay.server.service import Service
from assay.server.shapes import Prediction


def predictions_router(service: Service) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["predictions"])

    @router.post(
        "/predictions",
        summary="Log a prediction",
        response_class=Response,
        responses=answered("object") | problems(400, 401, 403, 413, 415, 422, 503),
        openapi_extra=body_of(Prediction),
    )
    async def log_prediction(request: Request) -> Response:
        """Keep a prediction for the next build, which compares it with the outcome once that is known."""
        reader = service.reader(request)
        told = await read_body(request, Prediction)
        served = told.served or []
        reader.require(each.feature_view for each in served)
        for each in served:
            instant_of(each.as_of)
        line = told.model_dump(exclude={"served"}) | {
            "prediction_id": told.prediction_id or uuid4().hex,
            "predicted_at": timestamp(instant_of(told.predicted_at)),
            "received_at": timestamp(now()),
        }
        if told.served is not None:
            line["served"] = [each.model_dump() for each in told.served]
        try:
            service.predictions.note(line)
        except OSError as error:
            raise Rejected(
                503, f"The prediction cannot be kept ({error.strerror}): send it again."
            ) from error
        return json_response({"prediction_id": line["prediction_id"]})

    return router
