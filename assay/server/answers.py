"""Answers as JSON: numbers with all their digits, times in ISO 8601."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
from starlette.responses import Response

from assay.online.answer import FeatureAnswer
from assay.online.nested import EXACT, mapped
from assay.online.types import in_seconds, kind_of, shown, time_in

_LEAST, _GREATEST = -(1 << 63), (1 << 64) - 1


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with JSON."""
    return Response(to_json(content), status, headers, "application/json")


def to_json(content: Any) -> bytes:
    """Return JSON; decimals and integers of any size are numbers with all their digits."""
    try:
        return orjson.dumps(content, default=_number)
    except TypeError:
        # Somewhere is an integer beyond 64 bits.
        return orjson.dumps(_spelt_out(content), default=_number)


def json_values(feature: FeatureAnswer) -> list[Any]:
    """Return a feature's values as JSON has them."""
    if feature.is_computed:
        return [shown(value) for value in feature.raw]
    match kind_of(feature.type):
        case "decimal" | "hugeint" | "uhugeint":
            # They travel as text, with all their digits.
            return [None if value is None else orjson.Fragment(value) for value in feature.raw]
        case "timestamp":
            return [shown(value) for value in feature.values]
        case "nested":
            return [mapped(value, feature.type, _within) for value in feature.raw]
    return feature.raw


def feast_values(feature: FeatureAnswer) -> list[Any]:
    """Return a feature's values as Feast's server does, where times and days are whole seconds since 1970."""
    kind = kind_of(feature.type)
    if feature.is_computed or kind in ("timestamp", "date"):
        return [_in_seconds(value) for value in feature.values]
    if kind == "nested":
        return [mapped(value, feature.type, _within_in_seconds) for value in feature.raw]
    return json_values(feature)


def timestamp(moment: datetime | None) -> str | None:
    """Return a time in UTC as text."""
    return f"{moment.isoformat()}Z" if moment else None


def _in_seconds(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_in_seconds(each) for each in value]
    return in_seconds(value) if isinstance(value, date) else shown(value)


def _within(value: Any, type_name: str) -> Any:
    return orjson.Fragment(value) if type_name in EXACT else value


def _within_in_seconds(value: Any, type_name: str) -> Any:
    if type_name in ("timestamp", "date"):
        return _in_seconds(time_in(value))
    return _within(value, type_name)


def _number(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value) if value.is_finite() else f'"{value}"')
    return str(value)


def _spelt_out(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _spelt_out(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_spelt_out(each) for each in value]
    if isinstance(value, int) and not _LEAST <= value <= _GREATEST:
        return orjson.Fragment(str(value))
    return value
