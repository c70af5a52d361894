"""Look into DuckDB's nested types, such as a list of structs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from assay.core.sql import quoted

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

_NESTED = ("list", "array", "struct", "map", "union")


def find_kinds(column_type: DuckDBPyType) -> set[str]:
    """Return the kinds of a type and of all types within it, as DuckDB's client calls them: `list`, `bit`."""
    return {column_type.id}.union(*(find_kinds(inner) for _, inner in _children(column_type)))


def replace_kinds(
    column_type: DuckDBPyType, replacements: Mapping[str, str], *, arrays_as_lists: bool = False
) -> str:
    """Return a type as SQL, in which kinds are replaced, within it too.

    Args:
        column_type: the type.
        replacements: a type as SQL for each kind that is replaced.
        arrays_as_lists: whether an array, of a length that its type names, becomes a list.
    """
    if column_type.id in replacements:
        return replacements[column_type.id]
    inner = [
        (name, replace_kinds(child, replacements, arrays_as_lists=arrays_as_lists))
        for name, child in _children(column_type)
    ]
    match column_type.id:
        case "list":
            return f"{inner[0][1]}[]"
        case "array":
            size = "" if arrays_as_lists else dict(column_type.children)["size"]
            return f"{inner[0][1]}[{size}]"
        case "map":
            return f"MAP({inner[0][1]}, {inner[1][1]})"
        case "struct" | "union":
            fields = ", ".join(f"{quoted(name)} {kind}" for name, kind in inner)
            return f"{column_type.id}({fields})"
    return str(column_type)


def _children(column_type: DuckDBPyType) -> Iterator[tuple[str, DuckDBPyType]]:
    if column_type.id in _NESTED:
        for name, child in column_type.children:
            # The size of an array is a number; a union has its tag first, which has no name.
            if name and not isinstance(child, int | list):
                yield name, child
