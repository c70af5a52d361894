"""The route by which callers learn which arm of an experiment an entity gets."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Request
from starlette.responses import Response

from assay.core.disk import has_no_room
from assay.core.moment import now
from assay.experiments.assign import Assigned, assign
from assay.pii.key import find_pii_key
from assay.project.experiments import Experiment
from assay.server.answer_shapes import AssignmentAnswer
from assay.server.answers import json_response, timestamp, to_json
from assay.server.bodies import body_of, read_body
from assay.server.errors import answered, problems
from assay.server.keys import Reader
from assay.server.rejected import Rejected
from assay.server.service import Service, note
from assay.server.shapes import AssignmentRequest


def experiments_router(service: Service) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["experiments"])

    @router.post(
        "/experiments/{name}/assign",
        summary="Assign an entity to an arm",
        response_class=Response,
        responses=answered(AssignmentAnswer) | problems(400, 401, 403, 404, 413, 415, 422, 429, 503, 507),
        openapi_extra=body_of(AssignmentRequest),
    )
    async def assign_entity(request: Request, name: str) -> Response:
        """Return the arm of an entity, which stays the same, and log the exposure for the next build."""
        reader = service.reader(request)
        reader.require_experiment(name)
        asked = await read_body(request, AssignmentRequest)
        experiment = service.experiments.named(name)
        entity_id = str(asked.entity_id)
        at = now()
        try:
            assigned = await asyncio.to_thread(assign, experiment, entity_id, service.assignments, at)
            exposure_id = None
            if asked.exposed and assigned.arm is not None:
                exposure_id = asked.exposure_id or uuid4().hex
                line = {
                    "exposure_id": exposure_id,
                    "experiment": name,
                    "salt": experiment.salt,
                    "entity": experiment.entity,
                    "entity_id": await _stored_id(service, experiment, entity_id),
                    "arm": assigned.arm,
                    "weights": dict(assigned.weights),
                    "exposed_at": timestamp(at),
                    "request_id": asked.request_id,
                }
                await _log(service, reader, line)
        except (OSError, sqlite3.Error) as error:
            is_full = isinstance(error, OSError) and has_no_room(error)
            raise Rejected(
                507 if is_full or "full" in str(error) else 503,
                "What was asked cannot be kept, so no arm is told: send it again later.",
            ) from error
        note(request, "wrote", experiment=name, views=[])
        return json_response(_answer(name, entity_id, assigned, exposure_id))

    return router


async def _log(service: Service, reader: Reader, line: dict[str, Any]) -> None:
    """Log an exposure; it is on the disk when this returns.

    Raises:
        Rejected: the holder of the key has written too much.
        OSError: it cannot be written.
    """
    content = to_json(line | {"received_at": timestamp(now())}) + b"\n"
    service.require_room(reader, len(content))
    service.exposures.note(content)
    await service.exposures.sync()


async def _stored_id(service: Service, experiment: Experiment, entity_id: str) -> str:
    """Return an entity's id as gold has it: hashed, where a feature view says that it is personal.

    Raises:
        StoreUnavailable: ids may have to be hashed, and the store that tells is away.
    """
    if find_pii_key() is None:
        return entity_id
    for view in (await service.catalog()).values():
        if view.declared["entity"] == experiment.entity and len(view.keys) == 1 and view.pii_key:
            return view.hashed_keys([entity_id])[0]
    return entity_id


def _answer(name: str, entity_id: str, assigned: Assigned, exposure_id: str | None) -> dict[str, Any]:
    return {
        "experiment": name,
        "entity_id": entity_id,
        "arm": assigned.arm,
        "reason": assigned.reason,
        "exposure_id": exposure_id,
    }
