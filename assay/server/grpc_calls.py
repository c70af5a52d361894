"""The feature server's gRPC form: calls go through the same bounds, keys and logs as requests of HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
from fastapi import Request
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from assay.core.fault import FAILED, Fault
from assay.online.answer import ViewAnswer
from assay.online.stores.store import StoreUnavailable
from assay.server.bodies import explain_invalid
from assay.server.direct import Direct
from assay.server.grpc_values import from_value, to_timestamp, to_value
from assay.server.middleware import Requests
from assay.server.online_features_pb2 import (
    Build,
    Feature,
    GetOnlineFeaturesRequest,
    GetOnlineFeaturesResponse,
    Status,
)
from assay.server.plan import instant_of, plan_online_features
from assay.server.rejected import Rejected
from assay.server.service import Service
from assay.server.settings import Settings
from assay.server.shapes import OnlineFeaturesRequest

FEATURES = "assay.online.v1.OnlineFeatures"
_PATH = f"/{FEATURES}/GetOnlineFeatures"
_HEALTH = "grpc.health.v1.Health"
# What the metadata of a call may say that the server looks at.
_HEADERS = ("authorization", "x-api-key", "x-request-id")
_SECONDS_TO_FINISH = 10.0
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    507: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


@asynccontextmanager
async def grpc_serving(
    service: Service, settings: Settings, on_errors: Mapping[Any, Any]
) -> AsyncIterator[None]:
    """Serve calls of gRPC while the block runs; several workers may listen at the same port.

    Args:
        service: of the worker.
        settings: with the address to listen at.
        on_errors: how errors are answered, by their class, over HTTP.

    Raises:
        Fault: the address cannot be listened at.
    """
    app = _make_app(service, settings, on_errors)
    # What is too large is refused by the application, which writes it down; here only what is far above.
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 4 * settings.body_bytes)])

    async def get_online_features(message: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        return await _call(app, message, context)

    async def check(message: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        return await _check(service, message, context)

    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                FEATURES, {"GetOnlineFeatures": grpc.unary_unary_rpc_method_handler(get_online_features)}
            ),
            grpc.method_handlers_generic_handler(
                _HEALTH, {"Check": grpc.unary_unary_rpc_method_handler(check)}
            ),
        )
    )
    try:
        server.add_insecure_port(settings.grpc)
    except RuntimeError as error:
        raise Fault(
            f"{settings.grpc} cannot be listened at: choose another with --grpc-port.", FAILED
        ) from error
    await server.start()
    try:
        yield
    finally:
        await server.stop(_SECONDS_TO_FINISH)


def _make_app(service: Service, settings: Settings, on_errors: Mapping[Any, Any]) -> ASGIApp:
    """Make an application that takes and gives messages, with the bounds and logs of every request."""

    async def answer(request: Request) -> Response:
        reader = service.reader(request)
        asked = _read(await request.body())
        at = instant_of(asked.as_of)
        answers = await service.answer(
            request,
            reader,
            at,
            lambda catalog: plan_online_features(asked, catalog, reader, at, settings.entities),
        )
        found = GetOnlineFeaturesResponse(
            features=[each for one in answers for each in _features(one, asked)],
            as_of=to_timestamp(at),
            store={one.view.name: _build(one) for one in answers},
        )
        return Response(found.SerializeToString(), media_type="application/grpc+proto")

    async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError(f"{scope['path']} is no method that is served.")

    return Requests(
        Direct(nothing, endpoints={_PATH: answer}, on_errors=on_errors),
        body_bytes=settings.body_bytes,
        seconds=settings.seconds,
        paths={_PATH},
        audit=service.audit,
        with_keys=settings.with_keys,
    )


async def _call(app: ASGIApp, message: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
    """Answer a call as the application answers a request."""
    headers = [
        (name.encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in context.invocation_metadata() or ()
        if name in _HEADERS
    ]
    scope = {"type": "http", "method": "POST", "path": _PATH, "headers": headers, "query_string": b""}
    status, said, body = 500, {}, b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": message, "more_body": False}

    async def send(part: Any) -> None:
        nonlocal status, said, body
        if part["type"] == "http.response.start":
            status, said = part["status"], {name.lower(): value for name, value in part["headers"]}
        else:
            body += part.get("body", b"")

    await app(scope, receive, send)
    told = ("x-request-id", "retry-after")
    context.set_trailing_metadata(
        tuple((name, said[name.encode()].decode()) for name in told if name.encode() in said)
    )
    if status != 200:
        await context.abort(_CODES.get(status, grpc.StatusCode.INTERNAL), json.loads(body)["detail"])
    return body


async def _check(service: Service, message: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
    """Tell, as gRPC's health protocol does, whether features can be served."""
    asked = health_pb2.HealthCheckRequest.FromString(message).service
    if asked not in ("", FEATURES):
        await context.abort(grpc.StatusCode.NOT_FOUND, f"There is no service {asked[:80]}.")
    answer = health_pb2.HealthCheckResponse
    status = answer.SERVING
    try:
        await service.require_whole()
    except StoreUnavailable:
        status = answer.NOT_SERVING
    told: bytes = answer(status=status).SerializeToString()
    return told


def _read(message: bytes) -> OnlineFeaturesRequest:
    """Read a request.

    Raises:
        Rejected: it is no message of its kind, or of another shape than a request over HTTP may have.
    """
    try:
        asked = GetOnlineFeaturesRequest.FromString(message)
    except DecodeError as error:
        raise Rejected(400, "The message is no GetOnlineFeaturesRequest.") from error
    shape = {
        "features": list(asked.features) or None,
        "feature_service": asked.feature_service or None,
        "entities": {
            name: [from_value(value) for value in values.values] for name, values in asked.entities.items()
        },
        "full_feature_names": asked.full_feature_names,
        "as_of": asked.as_of or None,
    }
    try:
        return OnlineFeaturesRequest.model_validate(shape)
    except ValidationError as error:
        raise Rejected(422, explain_invalid(error, OnlineFeaturesRequest)) from error


def _features(answer: ViewAnswer, asked: OnlineFeaturesRequest) -> list[Feature]:
    moments = [to_timestamp(moment) for moment in answer.updated_at]
    prefix = f"{answer.view.name}__" if asked.full_feature_names else answer.prefix
    return [
        Feature(
            name=prefix + feature.name,
            values=map(to_value, feature.values),
            statuses=map(Status.Value, feature.statuses),
            event_timestamps=moments,
            defaults=feature.is_default,
        )
        for feature in answer.features
    ]


def _build(answer: ViewAnswer) -> Build:
    build = answer.view.build
    known_until = to_timestamp(build.known_until) if build.known_until else None
    return Build(run_id=build.run_id, known_until=known_until)
