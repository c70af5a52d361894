"""Which types of DuckDB travel in Parquet as they are, which as text, and which not at all."""

from __future__ import annotations

import re
from collections.abc import Mapping

from assay.core.fault import Fault

# Parquet has no type for them, or one that holds less; as text they lose nothing.
_AS_TEXT = {
    "HUGEINT",
    "UHUGEINT",
    "INTERVAL",
    "BIT",
    "BIGNUM",
    "TIME WITH TIME ZONE",
    "TIME_NS",
    "TIMESTAMP_S",
}
_NOT_WITHIN = re.compile(r"\b(U?HUGEINT|INTERVAL|BIT|BIGNUM|TIME WITH TIME ZONE|TIME_NS)\b")
_NOT_AT_ALL = re.compile(r"\b(UNION|VARIANT|GEOMETRY)\b")
_TEXTS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")


def columns_as_text(columns: Mapping[str, str], of: str) -> tuple[str, ...]:
    """Return the columns that travel as text.

    Args:
        columns: DuckDB types by name.
        of: what has them, as messages name it.

    Raises:
        Fault: a type cannot travel.
    """
    found = []
    for name, kind in columns.items():
        plain = _TEXTS.sub("", kind)
        if plain in _AS_TEXT:
            found.append(name)
        elif told := _NOT_AT_ALL.search(plain) or _NOT_WITHIN.search(plain):
            raise Fault(
                f"{of}: column {name} is {kind}, and no file that machines exchange holds {told[1]} there. "
                "Cast it, or keep the node on this machine: meta: {distribute_by: []}"
            )
    return tuple(found)
