"""Test whether values read as the logical types of the Open Data Contract Standard."""

from __future__ import annotations

from typing import Literal, get_args

from assay.core.sql import text as constant
from assay.landing.dialect import DEFAULT, THOUSANDS, Dialect, number_pattern
from assay.landing.time_format import time_by_format

LogicalType = Literal[
    "string", "number", "integer", "boolean", "date", "timestamp", "time", "object", "array"
]
LOGICAL_TYPES: tuple[LogicalType, ...] = get_args(LogicalType)
#: The types that JSON writes in brackets; values of all others are texts.
NESTED: dict[LogicalType, str] = {"object": "OBJECT", "array": "ARRAY"}
#: From narrow to wide, the order in which types are tried on values.
NARROW_TO_WIDE: tuple[LogicalType, ...] = (
    "object",
    "array",
    "integer",
    "number",
    "boolean",
    "date",
    "timestamp",
    "time",
)
_FORMATS = (
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y",
)
# Types of change events by the start of their names (the first match counts), and what JSON has for values.
_OF_CHANGE_EVENTS: dict[str, LogicalType] = {
    "io.debezium.data.VariableScaleDecimal": "object",
    "org.apache.kafka.connect.data.Decimal": "string",
    "org.apache.kafka.connect.data.": "integer",
    "io.debezium.time.Interval": "string",
    "io.debezium.time.Zoned": "timestamp",
    "io.debezium.time.Iso": "timestamp",
    "io.debezium.time.": "integer",
}
_WIDER = {("integer", "number"), ("date", "timestamp")}


def covers(declared: LogicalType, found: LogicalType) -> bool:
    """Tell whether values of the type `found` read as the type `declared`."""
    is_text = declared == "string" and found not in NESTED
    return declared == found or is_text or (found, declared) in _WIDER


def landed_as(physical_type: str) -> LogicalType | None:
    """Return the type in which a change event's value lands; None if Debezium and Connect have no such type.

    Args:
        physical_type: as an event's schema names it, such as `io.debezium.time.MicroTimestamp`.
    """
    for name, logical_type in _OF_CHANGE_EVENTS.items():
        if physical_type.startswith(name):
            return logical_type
    return None


def plain_number(text: str, dialect: Dialect) -> str:
    """Return SQL that rewrites a dialect's number in SQL's notation; an empty text if it is no number."""
    decimal, thousands = dialect.decimal, dialect.thousands
    if (decimal, thousands) == (DEFAULT.decimal, DEFAULT.thousands):
        return text
    pattern = constant(number_pattern(decimal, thousands))
    parts = constant(THOUSANDS.get(thousands, ""))
    return (
        f"case when regexp_full_match({text}, {pattern}) "
        f"then replace(translate({text}, {parts}, ''), '{decimal}', '.') when {text} is not null then '' end"
    )


def reads(
    text: str, logical_type: LogicalType, dialect: Dialect = DEFAULT, time_format: str | None = None
) -> str:
    """Return a SQL condition: true where a text reads as a type, else false or NULL.

    Args:
        text: a SQL expression of type text.
        logical_type: any type that is not in NESTED. Times may have a form that DuckDB casts, the month or
            the day first as in 12/31/2025 and 31.12.2025, or nine or more digits that count from 1970.
        dialect: how numbers are written.
        time_format: the declared format of times, if any; ISO 8601 is accepted beside it.
    """
    if logical_type in ("integer", "number"):
        text = plain_number(text, dialect)
    elif time_format:
        by_format = f"{time_by_format(text, time_format)} is not null"
        is_iso = f"regexp_matches({text}, '^\\s*[0-9]{{4}}-') and try_cast({text} as timestamptz) is not null"
        return f"case when {by_format} then true else {is_iso} end"
    match logical_type:
        case "string":
            return f"{text} is not null"
        case "integer":
            # Not cast to an integer, which would round.
            return f"try_cast({text} as double) % 1 = 0"
        case "number" | "boolean" | "time":
            return f"try_cast({text} as {'double' if logical_type == 'number' else logical_type}) is not null"
        case "date" | "timestamp":
            formats = ", ".join(f"'{each}'" for each in _FORMATS)
            counted = (
                f"regexp_full_match({text}, '-?\\d{{9,19}}')" if logical_type == "timestamp" else "false"
            )
            # Not written with `or`, of which DuckDB would evaluate all parts.
            return (
                f"case when try_cast({text} as {logical_type}) is not null then true "
                f"when try_strptime({text}, [{formats}]) is not null then true else {counted} end"
            )
    raise ValueError(f"{logical_type} is no type of texts")
