"""Read the body of a request: JSON of a declared shape, nothing twice or unknown, every number exact."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from assay.server.rejected import Rejected

Shape = TypeVar("Shape", bound=BaseModel)
# Where the document has its shapes.
REFERENCE = "#/components/schemas/{model}"

_JSON = "application/json"
# How pydantic names the types of a key's value, and of an entity's id.
_TYPES = ("str", "constrained-str")
# What writes JSON again goes no deeper than 254.
_DEEPEST = 64


class _Twice(ValueError):
    pass


async def read_body(request: Request, shape: type[Shape]) -> Shape:
    """Read and check a body; numbers with a point or an exponent are Decimal.

    Raises:
        Rejected: its type is named and is not application/json; or it is no JSON, has a key twice, is nested
            too deeply, holds half of a character, or is of another shape.
    """
    # Feast's documentation has clients that name no type.
    kind = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
    if kind != _JSON:
        raise Rejected(415, f"Send the body as {_JSON}, not as {kind[:80] or 'nothing named'}.")
    body = await _whole_body(request)
    try:
        text = body.decode()
        content = json.loads(
            text, object_pairs_hook=_without_repeats, parse_constant=_refuse, parse_float=Decimal
        )
    except _Twice as error:
        raise Rejected(400, str(error)) from error
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise Rejected(400, f"The body is no JSON: {error}") from error
    # What opens few brackets cannot be deep, and need not be walked through.
    if text.count("[") + text.count("{") > _DEEPEST and _depth_exceeds(content, _DEEPEST):
        raise Rejected(400, f"The body is nested more than {_DEEPEST} deep.")
    if not _is_text(content, text):
        raise Rejected(400, "The body holds half of a character (a lone surrogate), which is no text.")
    try:
        return shape.model_validate(content)
    except ValidationError as error:
        raise Rejected(422, explain_invalid(error, shape)) from error


def body_of(shape: type[BaseModel]) -> dict[str, Any]:
    """Declare a body in the OpenAPI document."""
    schema = {"$ref": REFERENCE.format(model=shape.__name__)}
    return {"requestBody": {"required": True, "content": {_JSON: {"schema": schema}}}}


async def _whole_body(request: Request) -> bytes:
    """Read the body as it comes: the framework's way takes twice as long."""
    parts = []
    has_more = True
    while has_more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        has_more = message.get("more_body", False)
    return b"".join(parts)


def explain_invalid(error: ValidationError, shape: type[BaseModel]) -> str:
    """Tell what is wrong with a request, and what one holds."""
    found = error.errors(include_url=False, include_input=False)
    # What is not known is mostly what is missing, misspelt.
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    where = [str(part)[:80] for part in first["loc"]]
    said = "it is unknown" if first["type"] == "extra_forbidden" else first["msg"]
    if not where:
        said = "it should be an object"
    # Of a union each type complains, at a place that ends in its name.
    elif len(found) > 1 and found[1]["loc"][:-1] == first["loc"][:-1] and where[-1] in _TYPES:
        where.pop()
        if first["type"] == "string_type":
            said = "it should be a text or a whole number"
    allowed = ", ".join(field.alias or name for name, field in shape.model_fields.items())
    return f"{'.'.join(where) or 'The body'}: {said}. A request holds {allowed}."


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise _Twice(f"{twice[:80]} stands twice in one object: which of them is meant?")
    return found


def _depth_exceeds(value: Any, most: int) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return False
    return most == 0 or any(_depth_exceeds(each, most - 1) for each in value)


def _is_text(content: Any, text: str) -> bool:
    """Tell whether all texts can be written: halves of characters come as escapes alone."""
    if "\\ud" not in text.lower():
        return True
    try:
        json.dumps(content, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number in JSON")
