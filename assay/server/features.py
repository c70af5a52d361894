"""Routes that answer with features."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from assay.core.moment import now
from assay.online.answer import PRESENT, ViewAnswer
from assay.server.answer_shapes import FeaturesAnswer, OnlineFeaturesAnswer
from assay.server.answers import feast_values, json_response, json_values, timestamp
from assay.server.bodies import body_of, read_body
from assay.server.errors import answered, problems
from assay.server.keys import Reader
from assay.server.plan import instant_of, plan_features, plan_online_features
from assay.server.service import Service
from assay.server.shapes import FeaturesRequest, OnlineFeaturesRequest

_PROBLEMS = problems(400, 401, 403, 404, 413, 415, 422, 429, 503, 507)
_NEVER = "1970-01-01T00:00:00Z"


def features_router(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["features"])

    @router.post(
        "/features/get",
        summary="Features of one entity",
        response_class=Response,
        responses=answered(FeaturesAnswer) | _PROBLEMS,
        openapi_extra=body_of(FeaturesRequest),
    )
    async def get_features(request: Request) -> Response:
        """Return features of one entity, by name; where views share a name, by `view__feature`."""
        reader = service.reader(request)
        asked = await read_body(request, FeaturesRequest)
        at = instant_of(asked.as_of)
        answers = await service.answer(
            request, reader, at, lambda catalog: plan_features(asked, catalog, reader, at)
        )
        return json_response(_of_one(asked, answers, reader, at))

    @router.post(
        "/get-online-features",
        summary="Features of many entities, as Feast answers",
        response_class=Response,
        responses=answered(OnlineFeaturesAnswer) | _PROBLEMS,
        openapi_extra=body_of(OnlineFeaturesRequest),
    )
    async def get_online_features(request: Request) -> Response:
        """Return features of many entities by column, in the form of Feast's feature server."""
        reader = service.reader(request)
        asked = await read_body(request, OnlineFeaturesRequest)
        at = instant_of(asked.as_of)
        most = service.settings.entities
        answers = await service.answer(
            request, reader, at, lambda catalog: plan_online_features(asked, catalog, reader, at, most)
        )
        return json_response(_as_feast(asked, answers, at))

    return router


def _of_one(
    asked: FeaturesRequest, answers: list[ViewAnswer], reader: Reader, at: datetime
) -> dict[str, Any]:
    shared = Counter(feature.name for answer in answers for feature in answer.features)
    features: dict[str, Any] = {}
    statuses: dict[str, str] = {}
    defaults: list[str] = []
    for answer in answers:
        for feature in answer.features:
            name = feature.name if shared[feature.name] == 1 else f"{answer.view.name}__{feature.name}"
            [features[name]], [statuses[name]] = json_values(feature), feature.statuses
            if feature.is_default[0]:
                defaults.append(name)
    return {
        "features": features,
        "timestamp": timestamp(at),
        "cache_hit": all(answer.updated_at[0] is not None for answer in answers),
        "statuses": statuses,
        "defaults": defaults,
        "left_out": {
            answer.view.name: left_out
            for answer in answers
            if answer.view.name in asked.feature_groups
            and (
                left_out := {
                    name: inputs
                    for name, inputs in answer.left_out.items()
                    if reader.rights.sees(answer.view, name)
                }
            )
        },
        "event_timestamps": {answer.view.name: timestamp(answer.updated_at[0]) for answer in answers},
        "store": _store(answers),
    }


def _as_feast(asked: OnlineFeaturesRequest, answers: list[ViewAnswer], at: datetime) -> dict[str, Any]:
    keys = list(dict.fromkeys(key.name for answer in answers for key in answer.view.keys))
    entities = len(answers[0].updated_at)
    names = list(keys)
    results: list[dict[str, Any]] = [
        {
            "values": asked.entities[key],
            "statuses": [PRESENT] * entities,
            "event_timestamps": [_NEVER] * entities,
        }
        for key in keys
    ]
    for answer in answers:
        moments = [timestamp(moment) or _NEVER for moment in answer.updated_at]
        for feature in answer.features:
            prefix = f"{answer.view.name}__" if asked.full_feature_names else answer.prefix
            names.append(prefix + feature.name)
            results.append(
                {
                    "values": feast_values(feature),
                    "statuses": feature.statuses,
                    "event_timestamps": moments,
                    "defaults": feature.is_default,
                }
            )
    return {
        "metadata": {"feature_names": names, "as_of": timestamp(at), "store": _store(answers)},
        "results": results,
    }


def _store(answers: list[ViewAnswer]) -> dict[str, Any]:
    """Tell for each view which build the store holds, up to when it knows, and how old that is."""
    found = {}
    for answer in answers:
        build = answer.view.build
        age = (now() - build.known_until).total_seconds() if build.known_until else None
        found[answer.view.name] = {
            "run_id": build.run_id,
            "known_until": timestamp(build.known_until),
            "age_seconds": age,
        }
    return found
