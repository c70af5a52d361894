"""Types of DuckDB in tables of open formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from assay.core.fault import MISUSED, Fault
from assay.core.nested_types import find_kinds, replace_kinds

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

# Values stay the same; the wider type is the narrowest that both formats have.
_WIDER = {
    **dict.fromkeys(("tinyint", "smallint", "utinyint", "usmallint"), "INTEGER"),
    "uinteger": "BIGINT",
    "ubigint": "DECIMAL(20, 0)",
    **dict.fromkeys(("hugeint", "uhugeint"), "DECIMAL(38, 0)"),
    **dict.fromkeys(("timestamp_s", "timestamp_ms"), "TIMESTAMP"),
    # JSON is a VARCHAR of another name.
    **dict.fromkeys(("enum", "uuid", "varchar"), "VARCHAR"),
}
_SAME = {
    *("boolean", "integer", "bigint", "float", "double", "decimal", "varchar", "blob", "date", "timestamp"),
    *("timestamp with time zone", "list", "array", "struct", "map"),
}
_ALSO = {"iceberg": {"time"}, "delta": set[str]()}


def find_types(table: str, types: Mapping[str, DuckDBPyType], format: str) -> dict[str, str]:
    """Return for each column the type, as SQL, that it has in an open format.

    Args:
        table: whose columns they are, for messages.
        types: of the columns.
        format: `iceberg` or `delta`.

    Raises:
        Fault: the format has no type for a column.
    """
    known = _WIDER.keys() | _SAME | _ALSO[format]
    lacking = [f"{name} ({each})" for name, each in types.items() if find_kinds(each) - known]
    if lacking:
        raise Fault(
            f"{table}: the format {format} has no type for {', '.join(lacking)}. Nothing is written. Cast "
            "the column in the model, or export another table.",
            MISUSED,
        )
    return {name: replace_kinds(each, _WIDER, arrays_as_lists=True) for name, each in types.items()}
