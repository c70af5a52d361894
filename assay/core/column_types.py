"""Tell by DuckDB's name of its type what a column holds."""

from __future__ import annotations

WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
FLOATING = ("FLOAT", "DOUBLE")
_NUMBERS = {*WHOLE, *(f"U{name}" for name in WHOLE), *FLOATING, "DECIMAL"}
_CATEGORIES = {"VARCHAR", "BOOLEAN", "ENUM"}


def is_number(column_type: str) -> bool:
    """Tell whether a column holds numbers, and not lists of them."""
    return _name_of(column_type) in _NUMBERS


def is_category(column_type: str) -> bool:
    """Tell whether a column holds texts or others that may be a few which come again."""
    return _name_of(column_type) in _CATEGORIES


def _name_of(column_type: str) -> str:
    """Return the name of a type without its arguments, as DECIMAL; a list of it has none."""
    return "" if column_type.endswith("]") else column_type.partition("(")[0]
