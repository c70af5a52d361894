"""Convert values within lists, structs and maps to and from JSON.

JSON has no NaN and no infinity, and its readers read numbers as floating-point. So decimals, huge integers
and numbers that are not finite are written as text, as outside of lists.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import duckdb
from duckdb.sqltypes import DuckDBPyType

from assay.core.sql import quoted

FLOATING = ("float", "double")
EXACT = ("decimal", "hugeint", "uhugeint")
_LISTS = ("list", "array")

# Converts an inner value, by the name of its type.
Leaf = Callable[[Any, str], Any]


def nested_to_json_sql(expression: str, data_type: str) -> str:
    """Return SQL that converts a list, a struct or a map to its JSON form."""
    return f"to_json({_element_sql(expression, _parsed(data_type), 0)})"


def mapped(value: Any, data_type: str, leaf: Leaf) -> Any:
    """Replace all inner values of a value in its JSON form."""
    return _mapped(value, _parsed(data_type), leaf)


@cache
def _parsed(data_type: str) -> DuckDBPyType:
    with duckdb.connect() as connection:
        try:
            return connection.type(data_type)
        except duckdb.CatalogException:
            # Values of user-defined types, such as an ENUM, are texts.
            return connection.type("varchar")


def _element_sql(expression: str, data_type: DuckDBPyType, depth: int) -> str:
    each = f"x{depth}"
    if not _needs_text(data_type):
        return expression
    if data_type.id in FLOATING:
        return f"if(isfinite({expression}), to_json({expression}), to_json({expression}::varchar))"
    if data_type.id in EXACT:
        return f"to_json({expression}::varchar)"
    children = _children(data_type)
    if data_type.id in _LISTS:
        child = children["child"]
        items = f"({expression})::{child}[]"
        return f"list_transform({items}, lambda {each}: {_element_sql(each, child, depth + 1)})"
    if data_type.id == "map":
        inner = _element_sql(f"{each}.value", children["value"], depth + 1)
        entry = f"struct_pack(key := {each}.key, value := {inner})"
        return f"map_from_entries(list_transform(map_entries({expression}), lambda {each}: {entry}))"
    fields = ", ".join(
        f"{quoted(name)} := {_element_sql(f'({expression}).{quoted(name)}', child, depth + 1)}"
        for name, child in children.items()
    )
    return f"case when {expression} is not null then struct_pack({fields}) end"


def _needs_text(data_type: DuckDBPyType) -> bool:
    if data_type.id in (*FLOATING, *EXACT):
        return True
    return data_type.id in (*_LISTS, "map", "struct") and any(map(_needs_text, _children(data_type).values()))


def _mapped(value: Any, data_type: DuckDBPyType, leaf: Leaf) -> Any:
    if value is None:
        return None
    if data_type.id in _LISTS:
        child = _children(data_type)["child"]
        return [_mapped(each, child, leaf) for each in value]
    if data_type.id == "map":
        child = _children(data_type)["value"]
        return {key: _mapped(each, child, leaf) for key, each in value.items()}
    if data_type.id == "struct":
        return {name: _mapped(value[name], child, leaf) for name, child in _children(data_type).items()}
    return leaf(value, data_type.id)


def _children(data_type: DuckDBPyType) -> dict[str, DuckDBPyType]:
    """Return the inner types by name; a list has `child`, a map has `key` and `value`."""
    return {name: child for name, child in data_type.children if isinstance(child, DuckDBPyType)}
