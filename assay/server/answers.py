"""Answers as JSON: decimals as numbers with all their digits, times in ISO 8601."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from starlette.responses import Response

from assay.online.answer import FeatureAnswer
from assay.online.types import moment_of, shown


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON."""
    body = orjson.dumps(content, default=str)
    return Response(body, status, headers, "application/json")


def json_values(feature: FeatureAnswer) -> list[Any]:
    """Return a feature's values as JSON has them."""
    match feature.kind:
        case "decimal" | "hugeint" | "uhugeint":
            # They travel as text, with all their digits.
            return [None if value is None else orjson.Fragment(value) for value in feature.raw]
        case "timestamp":
            return [None if value is None else timestamp(moment_of(value)) for value in feature.raw]
        case "computed":
            return [_json_value(value) for value in feature.raw]
    return feature.raw


def timestamp(moment: datetime | None) -> str | None:
    """Return a time in UTC as text."""
    return f"{moment.isoformat()}Z" if moment else None


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(f"{value:f}")
    if isinstance(value, int) and not isinstance(value, bool) and not -(1 << 63) <= value < 1 << 64:
        return orjson.Fragment(str(value))
    return shown(value)
