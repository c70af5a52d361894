"""Convert values of SQL types to a store's JSON, from there to Python, and back to SQL.

Whole numbers, booleans, texts and finite floating-point numbers are JSON values of the same kind. Decimals
are written as text, because readers of JSON read numbers as floating-point. Times are microseconds since 1970
(UTC), or text if Python cannot hold them: before the year 1, after 9999, and infinity.
"""

from __future__ import annotations

import json
import math
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from assay.online.nested import EXACT, FLOATING, mapped, nested_to_json_sql

_EPOCH = datetime(1970, 1, 1)
_EARLIEST, _LATEST = "timestamp '0001-01-01'", "timestamp '9999-12-31 23:59:59.999999'"
_WHOLE = ("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint")
_FLOATING = ("float", "real", "double")
_NESTED = ("[", "struct", "map", "list")


@lru_cache(maxsize=1024)
def kind_of(data_type: str) -> str:
    """Return the JSON encoding of a type.

    Args:
        data_type: DuckDB's name of the type in lower case, such as `decimal(18, 2)`.
    """
    name = data_type.lower().strip()
    if any(word in name for word in _NESTED):
        return "nested"
    if name.startswith("decimal") or name.startswith("numeric"):
        return "decimal"
    if name.startswith("timestamp"):
        return "timestamp"
    if name in _FLOATING:
        return "floating"
    if name in (*_WHOLE, "int"):
        return "whole"
    return name if name in ("boolean", "date", "hugeint", "uhugeint") else "text"


def to_json_sql(expression: str, data_type: str) -> str:
    """Return SQL that converts a value to its JSON form."""
    match kind_of(data_type):
        case "timestamp":
            known = f"{expression} between {_EARLIEST} and {_LATEST}"
            return f"if({known}, to_json(epoch_us({expression})), to_json({expression}::varchar))"
        case "floating":
            # JSON has no infinity and no NaN.
            return f"if(isfinite({expression}), to_json({expression}), to_json({expression}::varchar))"
        case "nested":
            return nested_to_json_sql(expression, data_type)
        case "whole" | "boolean":
            return expression
    return f"{expression}::varchar"


def from_json(value: Any, data_type: str) -> Any:
    """Convert a value from its JSON form to Python; times are UTC, without zone."""
    if value is None:
        return None
    match kind_of(data_type):
        case "nested":
            return mapped(value, data_type, _python_value)
        case "timestamp":
            return value if isinstance(value, str) else moment_of(value)
        case "decimal":
            return Decimal(value)
        case "floating":
            return float(value)
        case "date":
            return time_in(value)
        case "hugeint" | "uhugeint":
            return int(value)
    return value


def unnested_sql(data_type: str) -> str:
    """Return SQL that makes rows of a type from one parameter: a list of values in their JSON form."""
    match kind_of(data_type):
        case "timestamp":
            return "unnest(?::varchar[])::timestamp"
        case "nested":
            return f"unnest(?::json[])::{data_type}"
    return f"unnest(?::{data_type}[])"


def parameter_value(value: Any, kind: str) -> Any:
    """Convert a value from its JSON form to the value of a SQL parameter."""
    if value is None:
        return None
    if kind == "floating":
        # As text: DuckDB's client would read a NaN as NULL, and all values of a list must have one type.
        return str(value)
    if kind == "timestamp" and not isinstance(value, str):
        return str(moment_of(value))
    return json.dumps(value) if kind == "nested" else value


def time_in(text: str) -> date | str:
    """Read a day or moment from SQL's text; return the text if Python cannot hold the time."""
    try:
        return date.fromisoformat(text) if len(text) == len("9999-12-31") else datetime.fromisoformat(text)
    except ValueError:
        return text


def _python_value(value: Any, type_name: str) -> Any:
    if type_name in FLOATING:
        return float(value)
    if type_name in EXACT:
        return Decimal(value) if type_name == "decimal" else int(value)
    return value


def shown(value: Any) -> Any:
    """Convert a value for an answer: times to ISO 8601 in UTC, values that JSON cannot hold to text."""
    if isinstance(value, list | tuple):
        return [shown(each) for each in value]
    if isinstance(value, dict):
        return {str(key): shown(each) for key, each in value.items()}
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def microseconds(moment: datetime) -> int:
    """Convert a time in UTC, without zone, to microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def in_seconds(moment: date) -> int:
    """Convert a day or a time in UTC to whole seconds since 1970, as in Feast's format."""
    at = moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day)
    return microseconds(at) // 1_000_000


def moment_of(microseconds_since: int) -> datetime:
    """Convert microseconds since 1970 to a time in UTC, without zone."""
    return _EPOCH + timedelta(microseconds=microseconds_since)
