"""Map the standard's logical types to the types of DuckDB that hold them."""

from __future__ import annotations

import re

_SIGNED = {"tinyint": 8, "smallint": 16, "integer": 32, "bigint": 64, "hugeint": 128}
# Whole numbers, and in how many bits each holds them.
_BITS = _SIGNED | {f"u{name}": bits for name, bits in _SIGNED.items()}
_NUMBERS = {"double", "float", "decimal"}
_OTHERS = {
    "varchar": "string",
    "uuid": "string",
    "json": "object",
    "boolean": "boolean",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamp with time zone": "timestamp",
    "interval": "string",
    "blob": "string",
    "struct": "object",
    "map": "object",
}
_ALIASES = {
    "int": "integer",
    "int4": "integer",
    "int8": "bigint",
    "long": "bigint",
    "text": "varchar",
    "string": "varchar",
    "bool": "boolean",
    "real": "float",
    "numeric": "decimal",
    "timestamptz": "timestamp with time zone",
}


def normalize(physical: str) -> str:
    """Normalise a type of DuckDB for comparison: lower case, without blanks, by its usual name."""
    name, _, rest = re.sub(r"\s+", " ", physical.strip().lower()).partition("(")
    return _ALIASES.get(name.strip(), name.strip()) + (f"({rest.replace(' ', '')}" if rest else "")


def find_logical_type(physical: str) -> str | None:
    """Return the logical type of a type of DuckDB; None if it is unknown."""
    if physical.rstrip().endswith("]"):
        return "array"
    name = normalize(physical).partition("(")[0]
    if name in _BITS:
        return "integer"
    return "number" if name in _NUMBERS else _OTHERS.get(name)


def contradict(logical_type: str, physical: str) -> bool:
    """Tell whether no value could be of both types; whole numbers are also numbers."""
    held = find_logical_type(physical)
    if held is None or held == logical_type:
        return False
    return {held, logical_type} != {"integer", "number"}


def is_wider(old: str, new: str) -> bool:
    """Tell whether the new type of DuckDB holds every value of the old type."""
    old, new = normalize(old), normalize(new)
    if old in _BITS and new in _BITS:
        # A signed one of as many bits holds but half of what an unsigned one does.
        is_signed = [not each.startswith("u") for each in (old, new)]
        return _BITS[old] + (is_signed[1] and not is_signed[0]) <= _BITS[new] and is_signed[0] <= is_signed[1]
    decimals = [re.fullmatch(r"decimal\((\d+),(\d+)\)", each) for each in (old, new)]
    if all(decimals):
        (old_digits, old_scale), (new_digits, new_scale) = (
            [int(each) for each in found.groups()] for found in decimals if found
        )
        return new_scale >= old_scale and new_digits - new_scale >= old_digits - old_scale
    return (old, new) in {("float", "double"), ("date", "timestamp")}
