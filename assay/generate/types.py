"""Tell of which type the values of a column are, and say by what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from assay.contracts.contract import make_snake_case
from assay.core.words import counted
from assay.generate.profile import DIRTY, ColumnProfile, write_number_sql
from assay.landing.dialect import DEFAULT, Dialect
from assay.landing.formats.sniff import TimeFormat
from assay.landing.schema.logical_types import LogicalType

#: So many rows say something about rows to come; fewer are an accident.
ENOUGH = 20
_IS_ID = re.compile(
    r"(.*_)?(id|ids|uid|uuid|guid|no|nr|num|number|nummer|code|key|zip|zipcode|zip_code|postcode|postal_code|plz"
    r"|phone|mobile|tel|iban|bic|sku|ean|gtin|isbn|ref|reference|hash|token|vin|serial|account)"
)
_IS_FLAG = re.compile(r"(is|has|was|can)_.*|(.*_)?flag")
_IS_TIME = re.compile(r"(.*_)?(at|ts|ts_ms|time|timestamp|date|datetime|created|updated|modified)")
_LAT = re.compile(r"(.*_)?lat(itude)?")
_LONG = re.compile(r"(.*_)?(long|lon|lng)(itude)?")
# A sample of summer, or of a good month, says nothing of these.
_BELOW_ZERO = re.compile(
    r"(.*_)?(temp|temperature|celsius|balance|saldo|change|diff|difference|delta|profit|margin|growth|score|offset"
    r"|altitude|elevation|x|y|z)(_.*)?"
)
_WORDS = {"true", "false", "t", "f", "yes", "no", "y", "n", "0", "1"}
_CONNECT = "org.apache.kafka.connect.data."
# Digits of a count since 1970 that tells a time between 2001 and 2286.
_EPOCHS = {13: ("io.debezium.time.Timestamp", "milli"), 16: ("io.debezium.time.MicroTimestamp", "micro")}


@dataclass(frozen=True)
class Type:
    """The type of a column: in the contract, with its options, and in silver; and by what it is told.

    `fits` is a condition of SQL on `value` that is true of values of the type, where some may be others.
    """

    logical: LogicalType
    sql: str
    evidence: str
    options: dict[str, Any] = field(default_factory=dict)
    fits: str | None = None


def is_id(name: str) -> bool:
    """Tell whether a column names things, by its own name."""
    return _IS_ID.fullmatch(make_snake_case(name)) is not None


def find_type(column: ColumnProfile, dialect: Dialect = DEFAULT, *, in_changes: bool = False) -> Type:
    """Return the type of a column; where in doubt, text.

    Args:
        column: as its values are.
        dialect: by which its numbers are written.
        in_changes: whether its values are of change events, which have times as counts.
    """
    if not column.filled:
        return Type("string", "varchar", f"empty in all {column.rows:,} rows, so it stays text")
    if column.objects or column.arrays:
        return _nested(column)
    if in_changes and (found := _of_change_event(column)):
        return found
    name = make_snake_case(column.name)
    if column.uuids == column.filled:
        return Type("string", "varchar", f"UUIDs in {_all(column)}")
    if column.padded and column.padded == column.integers:
        pass
    elif is_id(name):
        why = f" ({column.integers:,} of {column.filled:,} are digits alone)" if column.integers else ""
        return Type("string", "varchar", f"it names things, so it is text{why}")
    for found in (_boolean(column, name), _time(column), _number(column, name, dialect)):
        if found:
            return found
    is_mixed = column.numbers or column.dates or column.timestamps
    others = f"{write_number_sql('value', dialect)} is not null or try_cast(value as timestamptz) is not null"
    return Type("string", "varchar", _why_text(column), fits=others if is_mixed else None)


def _nested(column: ColumnProfile) -> Type:
    if column.arrays == column.filled:
        return Type("array", "varchar", f"arrays in {_all(column)}; silver has them as JSON")
    if column.objects == column.filled:
        return Type("object", "varchar", f"objects in {_all(column)}; silver has them as JSON")
    scalars = column.filled - column.objects - column.arrays
    return Type(
        "string",
        "varchar",
        f"of mixed types, so it is text: {column.objects:,} objects, {column.arrays:,} arrays, "
        f"{scalars:,} others",
    )


def _of_change_event(column: ColumnProfile) -> Type | None:
    """Return the type that a change event names, or that tells of a time as a count."""
    physical = column.physical or ""
    if physical.startswith((f"{_CONNECT}Decimal", "io.debezium.data.VariableScaleDecimal")):
        scale = int((re.search(r"\((\d+)\)", physical) or ["", "4"])[1])
        return Type("number", f"decimal(38, {scale})", f"the events' schema says {physical}")
    if physical.startswith((f"{_CONNECT}Date", "io.debezium.time.Date")):
        return Type("date", "date", f"the events' schema says {physical}")
    if (
        physical.startswith((f"{_CONNECT}Time", "io.debezium.time."))
        and "Time" in physical.rpartition(".")[2]
    ):
        is_clock = re.search(r"\.(Micro|Nano|Zoned)?Time$", physical) is not None
        logical: LogicalType = "time" if is_clock else "timestamp"
        return Type(logical, logical, f"the events' schema says {physical}")
    return None


def find_counted_time(column: ColumnProfile) -> str | None:
    """Return the unit of a column that counts since 1970, by its name and its size: `milli`, `micro`."""
    is_whole = column.integers == column.filled and column.digits in _EPOCHS and (column.least or 0) > 0
    return (
        _EPOCHS[column.digits][1] if is_whole and _IS_TIME.fullmatch(make_snake_case(column.name)) else None
    )


def name_physical_time(column: ColumnProfile) -> str:
    """Return how Debezium names the type of such a count."""
    return _EPOCHS[column.digits][0]


def _boolean(column: ColumnProfile, name: str) -> Type | None:
    values = [value for value in column.values if value.lower() in _WORDS]
    words = {value.lower() for value in values}
    if not words or not _most(column.booleans, column):
        return None
    told = " and ".join(f"`{value}`" for value in values)
    if words <= {"0", "1"}:
        both = len(words) == 2 and column.rows >= ENOUGH
        if not (both or _IS_FLAG.fullmatch(name)):
            return None
    elif len(words) == 1 and words <= {"t", "f", "y", "n"}:
        # One letter may be a code.
        return None
    return Type(
        "boolean",
        "boolean",
        f"{told} in {column.booleans:,} of {column.filled:,} values",
        fits="try_cast(value as boolean) is not null",
    )


def _time(column: ColumnProfile) -> Type | None:
    if column.written:
        return _written_time(column, column.written)
    is_timestamp = "regexp_matches(value, '^\\d{4}-') and try_cast(value as timestamptz) is not null"
    for count, logical, condition in (
        (column.dates, "date", "try_cast(value as date) is not null and length(value) < 12"),
        (column.clock_times, "time", "try_cast(value as time) is not null"),
        (column.timestamps + column.dates, "timestamp", is_timestamp),
    ):
        if _most(count, column):
            told = f"{_WORDS_OF[logical]} in {count:,} of {column.filled:,} values"
            return Type(logical, logical, told, fits=condition)  # type: ignore[arg-type]
    return None


def _written_time(column: ColumnProfile, written: TimeFormat) -> Type | None:
    """Return the type of times that are not written as ISO 8601 has them."""
    if column.also_written:
        ways = " or ".join(str(each.format) for each in (written, *column.also_written))
        return Type(
            "string",
            "varchar",
            f"times written {ways}: the sample does not tell which, so it is text until the contract says "
            "logicalTypeOptions: {format: ...}",
        )
    logical: LogicalType = "date" if written.logical_type == "date" else "timestamp"
    count = column.dates + column.timestamps
    if not _most(count, column):
        return None
    told = f"{_WORDS_OF[logical]} written {written.format} in {count:,} of {column.filled:,} values"
    return Type(logical, logical, told, {"format": written.format}, written.condition)


_WORDS_OF = {"date": "days", "time": "times of day", "timestamp": "times"}


def _number(column: ColumnProfile, name: str, dialect: Dialect) -> Type | None:
    if not _most(column.numbers, column):
        return None
    if column.padded:
        return Type(
            "string",
            "varchar",
            f"{column.padded:,} of {column.filled:,} values have leading zeros, so it is text",
        )
    told = f"in {column.numbers:,} of {column.filled:,} values"
    options = _range(column, name)

    def number(logical: LogicalType, what: str, options: dict[str, Any], shape: str = "true") -> Type:
        fits = f"{write_number_sql('value', dialect)} is not null and {shape}"
        return Type(logical, write_type(logical, options), f"{what} {told}", options, fits)

    if column.integers == column.numbers:
        if column.digits > 18:
            return Type("string", "varchar", f"up to {column.digits} digits {told}, which no number holds")
        size = "i32" if column.digits <= 9 else "i64"
        return number(
            "integer",
            f"whole numbers of up to {counted(column.digits, 'digit')}",
            {"format": size, **options},
        )
    if column.exponents > DIRTY * column.numbers or column.usual_decimals > 9:
        return number("number", "numbers with many decimals", options)
    scale = next(each for each in (2, 4, 6, 9) if column.usual_decimals <= each)
    if column.digits > 38 - scale:
        return None
    precision = 18 if column.digits <= 18 - scale else 38
    most = 10 ** (precision - scale)
    options = {"multipleOf": Decimal(1).scaleb(-scale), **options}
    if "minimum" not in options:
        options["exclusiveMinimum"] = -most
    if "maximum" not in options:
        options["exclusiveMaximum"] = most
    shape = (
        f"length(rtrim(regexp_extract({write_number_sql('value', dialect)}, '\\.(\\d+)', 1), '0')) <= {scale}"
    )
    return number(
        "number", f"numbers with up to {counted(min(column.decimals, scale), 'decimal')}", options, shape
    )


def write_type(logical: LogicalType, options: Mapping[str, Any]) -> str:
    """Return the type that silver has of a contract's column, without a value that is lost or rounded."""
    match logical:
        case "string" | "object" | "array":
            return "varchar"
        case "integer":
            return "integer" if options.get("format") == "i32" else "bigint"
        case "number" if "multipleOf" in options:
            step = Decimal(str(getattr(options["multipleOf"], "text", options["multipleOf"]))).normalize()
            scale = max(-int(step.as_tuple().exponent), 0)
            most = int(options.get("exclusiveMaximum", 0))
            return f"decimal({38 if most > 10 ** (18 - scale) else 18}, {scale})"
        case "number":
            return "double"
    return logical


def _range(column: ColumnProfile, name: str) -> dict[str, Any]:
    """Return the range that values keep to in the nature of things, as far as the sample bears it out."""
    if column.least is None or column.most is None:
        return {}
    for pattern, most in ((_LAT, 90), (_LONG, 180)):
        if pattern.fullmatch(name) and -most <= column.least and column.most <= most:
            return {"minimum": -most, "maximum": most}
    if _BELOW_ZERO.fullmatch(re.sub(r"\W+", "_", name)):
        return {}
    return {"minimum": 0} if column.least >= 0 and column.rows >= ENOUGH else {}


def _most(count: int, column: ColumnProfile) -> bool:
    """Tell whether values are of a type, but for some that may be mistakes."""
    return count > 0 and column.filled - count <= column.filled * DIRTY


def _all(column: ColumnProfile) -> str:
    return f"{column.filled:,} of {column.filled:,} values"


def _why_text(column: ColumnProfile) -> str:
    """Say why a column is text, where many of its values are something else."""
    counts = {
        "numbers": column.numbers,
        "days": column.dates,
        "times": column.timestamps,
    }
    parts = [f"{count:,} {what}" for what, count in counts.items() if count]
    if parts:
        others = column.filled - sum(counts.values())
        return f"of mixed types, so it is text: {', '.join(parts)}, {others:,} others"
    return f"texts of up to {counted(column.longest, 'character')}"
