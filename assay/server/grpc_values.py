"""Values between Python and the messages of gRPC."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from assay.online.types import microseconds, shown
from assay.server.online_features_pb2 import Fields, Value, Values
from assay.server.rejected import Rejected

_LEAST, _GREATEST = -(1 << 63), (1 << 63) - 1


def to_value(value: Any) -> Value:
    """Return a value as a message."""
    match value:
        case None:
            return Value()
        case bool():
            return Value(flag=value)
        case int():
            return Value(whole=value) if _LEAST <= value <= _GREATEST else Value(exact=str(value))
        case float():
            return Value(number=value)
        case Decimal():
            return Value(exact=f"{value:f}" if value.is_finite() else str(value))
        case list() | tuple():
            return Value(list=Values(values=map(to_value, value)))
        case dict():
            return Value(fields=Fields(fields={str(name): to_value(each) for name, each in value.items()}))
    return Value(text=str(shown(value)))


def from_value(value: Value) -> Any:
    """Read a value of a message; numbers that are not whole are Decimal, as of a body in JSON.

    Raises:
        Rejected: a number is none, or not finite.
    """
    kind = value.WhichOneof("kind")
    if kind is None:
        return None
    read = _READ.get(kind)
    return read(getattr(value, kind)) if read else getattr(value, kind)


def to_timestamp(moment: datetime | None) -> Timestamp:
    """Return a time in UTC as a message; 1970 where there is none."""
    seconds, rest = divmod(microseconds(moment), 1_000_000) if moment else (0, 0)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def _read_number(number: float) -> Decimal:
    if not math.isfinite(number):
        raise Rejected(400, f"{number} is no number that a feature can be asked with.")
    return Decimal(repr(number))


def _read_exact(text: str) -> Any:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise Rejected(400, f"exact holds {text[:80]!r}, which is no number.")
    return int(number) if text.lstrip("-").isdigit() else number


_READ: dict[str, Callable[[Any], Any]] = {
    "number": _read_number,
    "exact": _read_exact,
    "list": lambda found: [from_value(each) for each in found.values],
    "fields": lambda found: {name: from_value(each) for name, each in found.fields.items()},
}
