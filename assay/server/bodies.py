"""Read the body of a request: JSON of a declared shape, nothing twice, nothing unknown."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from assay.server.rejected import Rejected

Shape = TypeVar("Shape", bound=BaseModel)


class _Twice(ValueError):
    pass


async def read_body(request: Request, shape: type[Shape]) -> Shape:
    """Read and check a body.

    Raises:
        Rejected: it is not of type application/json, no JSON, has a key twice, or is of another shape.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Rejected(415, f"Send the body as application/json, not as {kind or 'nothing named'}.")
    try:
        content = json.loads(await request.body(), object_pairs_hook=_without_repeats, parse_constant=_refuse)
    except _Twice as error:
        raise Rejected(400, str(error)) from error
    except (ValueError, RecursionError) as error:
        raise Rejected(400, f"The body is no JSON: {error}") from error
    try:
        return shape.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        allowed = ", ".join(field.alias or name for name, field in shape.model_fields.items())
        raise Rejected(422, f"{where or 'The body'}: {first['msg']}. A request holds {allowed}.") from error


def body_of(shape: type[BaseModel]) -> dict[str, Any]:
    """Declare a body in the OpenAPI document."""
    schema = shape.model_json_schema(ref_template="#/components/schemas/{model}")
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Twice(f"{twice} stands twice in one object: which of them is meant?")
    return found


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number in JSON")
