"""Make value rules from a column's logical type and options; options that cannot be checked are refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import MAX_PREC, Context, Decimal
from typing import Any

import duckdb

from assay.contracts.contract import Column
from assay.landing.time_format import duckdb_format

#: With more digits, the macro's division would exceed HUGEINT.
MOST_DIGITS_OF_A_MULTIPLE = 37
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_NUMERIC = frozenset({*_BOUNDS, "multipleOf", "format"})
_TIMES = (
    "values are read as the contract's type says, in ISO 8601. Take it out, or say it in the description."
)
#: Logical types whose `format` says how landed values are written.
TIMES_OF_FORMATS = ("date", "timestamp")
#: The options that are checked on values, by logical type.
ENFORCED: Mapping[str, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": _NUMERIC,
    "number": _NUMERIC,
    "date": _BOUNDS | {"format"},
    "timestamp": _BOUNDS | {"format", "defaultTimezone"},
    "time": _BOUNDS,
    "array": frozenset({"minItems", "maxItems", "uniqueItems"}),
    "object": frozenset({"minProperties", "maxProperties", "required"}),
    "boolean": frozenset(),
}
#: The options that cannot be checked on values, by logical type, and why.
REFUSED: Mapping[str, Mapping[str, str]] = {
    "timestamp": {"timezone": _TIMES},
    "time": {"format": _TIMES, "timezone": _TIMES, "defaultTimezone": _TIMES},
}
#: The logical types that Assay does not support, and what to write instead.
REFUSED_TYPES: Mapping[str, str] = {
    "map": "Write logicalType: object.",
    "vector": "Write logicalType: array, with items and minItems and maxItems.",
}
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_FORMATS = {
    "uuid": "^[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}$",
    "email": rf"^[A-Za-z0-9.!#$%&'*+/=?^_`|~-]+@{_LABEL}(?:\.{_LABEL})*$",
    "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s<>]+$",
    "hostname": rf"^{_LABEL}(?:\.{_LABEL})*$",
    "ipv4": rf"^(?:{_BYTE}\.){{3}}{_BYTE}$",
    "byte": "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}
_MOST_OF_F32 = "3.4028234663852886e38"
# Syntax that RE2 compiles, but with another meaning than ECMA-262 or the usual programming languages.
_AMBIGUOUS = re.compile(r"(?<!\\)(?:\\\\)*(\\[AzQECa0-7]|\[\[[:.=]|\[:\w+:\]|\{,\d+\})")
_DBT = re.compile(r"\{[{%#]")


@dataclass(frozen=True)
class ValueRule:
    """A rule for the values of a column.

    The macro `breaks_rule` makes SQL from `test`. `word` begins the id of a rule on landed rows, and `claim`
    ends the name of a test of gold. `reason`, which follows the column's name, says how a value breaks the
    rule.
    """

    word: str
    claim: str
    reason: str
    test: dict[str, Any] = field(default_factory=dict)
    remedy: str | None = None


def list_value_rules(column: Column) -> Iterator[ValueRule]:
    """Yield the rules from a column's options and `enum`; the options must be valid."""
    kind, options = column.kind, column.options
    if bounds := {each: write_literal(kind, options[each]) for each in sorted(_BOUNDS & options.keys())}:
        test: dict[str, Any] = {"kind": "bounds", "type": kind, **bounds}
        yield ValueRule("out_of_range", "is_in_range", "lies outside its range", test)
    if "multipleOf" in options:
        of = write_literal("number", options["multipleOf"])
        yield ValueRule(
            "no_multiple", "is_a_multiple", f"is no multiple of {of}", {"kind": "multiple", "of": of}
        )
    if lengths := _limits(options, "minLength", "maxLength"):
        test = {"kind": "length", **lengths}
        yield ValueRule("mis_sized", "is_of_length", "is too short or too long", test)
    if "pattern" in options:
        test = {"kind": "pattern", "pattern": str(options["pattern"])}
        yield ValueRule("misshapen", "fits_its_pattern", "does not fit its pattern", test)
    if "format" in options and kind not in TIMES_OF_FORMATS:
        test = _format_test(str(options["format"]))
        yield ValueRule("misformatted", "is_of_its_format", f"is no {options['format']}", test)
    if sizes := _limits(options, "minItems", "maxItems"):
        reason = "has too few or too many items"
        yield ValueRule("mis_sized", "has_so_many_items", reason, {"kind": "items", **sizes})
    if options.get("uniqueItems"):
        test = {"kind": "distinct", "type": column.item.kind if column.item else "string"}
        yield ValueRule("repeated_items", "repeats_no_item", "has an item twice", test)
    if sizes := _limits(options, "minProperties", "maxProperties"):
        reason = "has too few or too many properties"
        yield ValueRule("mis_sized", "has_so_many_properties", reason, {"kind": "properties", **sizes})
    if column.valid_values:
        test = make_values_test(kind, column.valid_values)
        reason, remedy = "is none of the values agreed on", f"agree on the value or correct {column.name}"
        yield ValueRule("unknown", "is_of_known_values", reason, test, remedy)


def make_values_test(kind: str, values: list[Any]) -> dict[str, Any]:
    """Return the test that a value is in a list."""
    texts = [write_literal(kind, each) for each in values]
    return {"kind": "values", "values": texts} | ({} if kind == "string" else {"type": kind})


def write_literal(kind: str, value: Any) -> str:
    """Return a value of a contract as text, exactly as it is written there; instants are in UTC.

    Raises:
        ValueError: the value is not of the type.
    """
    if isinstance(value, bool):
        return str(value).lower()
    # Read from the file's text: the float has lost digits, such as the cents of 99999999999999.99.
    text = str(getattr(value, "text", None) or value).replace(
        "_", "" if kind in ("integer", "number") else "_"
    )
    match kind:
        case "integer" | "number":
            if not Decimal(text).is_finite():
                raise ValueError(text)
        case "date":
            return date.fromisoformat(text).isoformat()
        case "time":
            return time.fromisoformat(text).isoformat()
        case "timestamp":
            moment = datetime.fromisoformat(text)
            return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None).isoformat(" ")
    return text


def list_refused(column: Column, *, is_landed: bool) -> Iterator[str]:
    """Yield what a column's options require that cannot be checked, or that no value could meet.

    Args:
        column: a column, a field, or the items of an array.
        is_landed: whether its table is a landing table, and not one of gold.
    """
    kind, options = column.kind, column.options
    if kind in REFUSED_TYPES:
        yield f"logicalType {kind} is not checked here. {REFUSED_TYPES[kind]}"
        return
    if column.raw.get("semanticType", "column") != "column":
        yield f"semanticType {column.raw['semanticType']} is no column of a table. Take it out."
    if column.raw.get("relationships"):
        yield (
            "relationships are not checked here. "
            "Write a rule of type: custom with engine: dbt and the test relationships."
        )
    for option in sorted(options):
        if option not in ENFORCED.get(kind, ()):
            why = REFUSED.get(kind, {}).get(option, f"it is no option of logicalType {kind or 'unknown'}.")
            yield f"{option} is not checked here: {why}"
        elif option == "format" and kind in TIMES_OF_FORMATS and not is_landed:
            yield f"format is not checked here: in gold, a {kind} is no text. Take it out."
        elif problem := _CHECKS.get(option, _nothing)(kind, options[option]):
            yield f"{option} is {options[option]!r}: {problem}"
    if not is_landed and {"minProperties", "maxProperties"} & options.keys():
        yield "minProperties and maxProperties are not checked of gold, whose type says what an object has."
    yield from _no_value_fits(kind, options)
    if column.raw.get("map"):
        yield "map is not checked here. Write logicalType: object."
    if column.item and kind != "array":
        yield f"items are of logicalType array, and it is {kind}."
    if column.is_nested:
        for key in ("primaryKey", "unique"):
            if column.raw.get(key):
                yield f"{key} is of columns of the table, not of what is within them. Take it out."


def find_pattern_problem(pattern: object) -> str | None:
    """Return why a pattern cannot be used, as the end of a message; None if it can."""
    if not isinstance(pattern, str):
        return "a pattern is text."
    try:
        duckdb.execute("select regexp_matches('', $1)", [pattern]).fetchall()
    except duckdb.Error as error:
        reason = str(error).partition(": ")[2].splitlines()[0]
        return f"DuckDB, whose patterns are RE2's, cannot read it ({reason}). Write it without."
    if found := _AMBIGUOUS.search(pattern):
        return f"{found[1]} is not read alike by RE2 and other programs. Write what is meant in other words."
    return find_text_problem(pattern)


def find_text_problem(value: object) -> str | None:
    """Return why a text cannot be written into dbt's YAML, as the end of a message; None if it can."""
    if isinstance(value, str) and _DBT.search(value):
        return "dbt would take {{, {% or {# in it for an expression of its own."
    if isinstance(value, str) and "\0" in value:
        return "it holds the character NUL."
    return None


def _limits(options: dict[str, Any], least: str, most: str) -> dict[str, int]:
    found = {"least": options.get(least), "most": options.get(most)}
    return {word: int(value) for word, value in found.items() if value is not None}


def _format_test(name: str) -> dict[str, Any]:
    if name in _FORMATS:
        return {"kind": "pattern", "pattern": _FORMATS[name]}
    if name == "f32":
        return {"kind": "bounds", "type": "number", "minimum": f"-{_MOST_OF_F32}", "maximum": _MOST_OF_F32}
    if name == "f64":
        return {"kind": "type", "type": "number"}
    is_signed, bits = name[0] == "i", int(name[1:])
    least, most_whole = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if is_signed else (0, 2**bits - 1)
    return {"kind": "bounds", "type": "integer", "minimum": str(least), "maximum": str(most_whole)}


def _no_value_fits(kind: str, options: dict[str, Any]) -> Iterator[str]:
    try:
        least = _tightest(kind, options, "inimum", max)
        most = _tightest(kind, options, "aximum", min)
    except (ValueError, ArithmeticError, TypeError):
        # Bounds that are no values have been reported already.
        return
    if least and most and (least[0] > most[0] or (least[0] == most[0] and (least[1] or most[1]))):
        yield f"no value is between {least[2]} and {most[2]}. Correct one."
    for low, high in (
        ("minLength", "maxLength"),
        ("minItems", "maxItems"),
        ("minProperties", "maxProperties"),
    ):
        if options.get(low, 0) > options.get(high, options.get(low, 0)):
            yield f"no value is between {low} and {high}. Correct one."


def _tightest(
    kind: str, options: dict[str, Any], word: str, choose: Callable[..., Any]
) -> tuple[Any, bool, str] | None:
    """Return the tighter bound on one side: its value, whether it is exclusive, and its name."""
    names = {"m" + word: False, "exclusiveM" + word: True}
    found = [
        (make_comparable(kind, options[name]), is_strict, name)
        for name, is_strict in names.items()
        if name in options
    ]
    if not found:
        return None
    value = choose(each[0] for each in found)
    return max((each for each in found if each[0] == value), key=lambda each: each[1])


def find_bound(kind: str, options: dict[str, Any], *, is_least: bool) -> tuple[Any, bool] | None:
    """Return the bound of values on one side, and whether it is exclusive; None if there is none."""
    found = _tightest(kind, options, "inimum" if is_least else "aximum", max if is_least else min)
    return found and (found[0], found[1])


def make_comparable(kind: str, value: Any) -> Any:
    """Convert a bound to a value that can be compared with others of its type."""
    text = write_literal(kind, value)
    return Decimal(text) if kind in ("integer", "number") else text


def read_shortest(text: str) -> Decimal:
    """Return a number without zeros at its end, and with all other digits."""
    return Decimal(text).normalize(Context(prec=MAX_PREC))


def _nothing(kind: str, value: Any) -> str | None:
    del kind, value
    return None


def _bound_problem(kind: str, value: Any) -> str | None:
    try:
        write_literal(kind, value)
    except (ValueError, ArithmeticError):
        return f"it is no {kind}. Write it as ISO 8601 has it." if kind in _ISO else f"it is no {kind}."
    return None


def _multiple_problem(kind: str, value: Any) -> str | None:
    del kind
    if len(read_shortest(write_literal("number", value)).as_tuple().digits) <= MOST_DIGITS_OF_A_MULTIPLE:
        return None
    return f"it has more than {MOST_DIGITS_OF_A_MULTIPLE} digits."


def _format_problem(kind: str, value: Any) -> str | None:
    if kind in TIMES_OF_FORMATS:
        try:
            duckdb_format(value, kind)
        except ValueError as error:
            return str(error)
    # The standard lists the formats of numbers itself.
    if kind != "string" or value in _FORMATS:
        return None
    return f"it is not checked here. Write one of {', '.join(sorted(_FORMATS))}, or a pattern."


def _zone_problem(kind: str, value: Any) -> str | None:
    del kind
    return None if value in ("Etc/UTC", "UTC") else "times without an offset are read as UTC. Write Etc/UTC."


_ISO = ("date", "timestamp", "time")
_CHECKS: Mapping[str, Callable[[str, Any], str | None]] = {
    **dict.fromkeys(_BOUNDS, _bound_problem),
    "multipleOf": _multiple_problem,
    "pattern": lambda kind, value: find_pattern_problem(value),
    "format": _format_problem,
    "defaultTimezone": _zone_problem,
}
