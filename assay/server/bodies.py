"""Read the body of a request: JSON of a declared shape, nothing twice, nothing unknown."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from assay.server.rejected import Rejected

Shape = TypeVar("Shape", bound=BaseModel)
# Where the document has its shapes.
REFERENCE = "#/components/schemas/{model}"


_JSON = "application/json"
# How pydantic names the types of a key's value.
_TYPES = ("str", "int")


class _Twice(ValueError):
    pass


async def read_body(request: Request, shape: type[Shape]) -> Shape:
    """Read and check a body.

    Raises:
        Rejected: its type is named and is not application/json; or it is no JSON, has a key twice, or is of
            another shape.
    """
    # Feast's documentation has clients that name no type.
    kind = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
    if kind != _JSON:
        raise Rejected(415, f"Send the body as {_JSON}, not as {kind or 'nothing named'}.")
    try:
        content = json.loads(await request.body(), object_pairs_hook=_without_repeats, parse_constant=_refuse)
    except _Twice as error:
        raise Rejected(400, str(error)) from error
    except (ValueError, RecursionError) as error:
        raise Rejected(400, f"The body is no JSON: {error}") from error
    try:
        return shape.model_validate(content)
    except ValidationError as error:
        raise Rejected(422, _said(error, shape)) from error


def body_of(shape: type[BaseModel]) -> dict[str, Any]:
    """Declare a body in the OpenAPI document."""
    schema = {"$ref": REFERENCE.format(model=shape.__name__)}
    return {"requestBody": {"required": True, "content": {_JSON: {"schema": schema}}}}


def _said(error: ValidationError, shape: type[BaseModel]) -> str:
    found = error.errors(include_url=False, include_input=False)
    # Of a union each type complains, at a place that ends in its name.
    where = [str(part) for part in found[0]["loc"]]
    said = found[0]["msg"]
    if not where:
        said = "it should be an object"
    elif len(found) > 1 and found[1]["loc"][:-1] == found[0]["loc"][:-1] and where[-1] in _TYPES:
        where, said = where[:-1], "it should be a text or a whole number"
    allowed = ", ".join(field.alias or name for name, field in shape.model_fields.items())
    return f"{'.'.join(where) or 'The body'}: {said}. A request holds {allowed}."


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Twice(f"{twice} stands twice in one object: which of them is meant?")
    return found


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number in JSON")
