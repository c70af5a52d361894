"""Names and texts as SQL has them."""

from __future__ import annotations

import re
from functools import cache
from string import ascii_lowercase, ascii_uppercase

_FOLDED = str.maketrans(ascii_uppercase, ascii_lowercase)
# Texts are passed over: they name nothing. macros/shared/_private.sql has the same for `_mentioned`.
_NAME = re.compile(r"""'(?:[^']|'')*'|"((?:[^"]|"")*)"|(\w+)""")


def quoted(*names: str, of: str = "") -> str:
    """Return names, parted by commas; `of` is the table, as it is called in the query."""
    prefix = f"{of}." if of else ""
    return ", ".join(prefix + '"' + name.replace('"', '""') + '"' for name in names)


def text(value: object) -> str:
    """Return a text constant."""
    quoted_value = "'" + str(value).replace("'", "''") + "'"
    # DuckDB reads the text of a query up to the first NUL.
    return (
        "(" + quoted_value.replace("\0", "' || chr(0) || '") + ")" if "\0" in quoted_value else quoted_value
    )


def folded(name: str) -> str:
    """Return what two names share that are one to DuckDB, which ignores the case of A to Z alone."""
    return name.translate(_FOLDED)


def names_in(expression: str) -> set[str]:
    """Return the names that an expression may use, folded, whether it has them in quotes or without."""
    found = (name.replace('""', '"') or word for name, word in _NAME.findall(expression))
    return {folded(name) for name in found if name}


def needs_quotes(name: str) -> bool:
    """Tell whether SQL takes a name for a column's only where it is quoted, as `order` and `Group By`."""
    return re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) is None or name.lower() in _keywords()


@cache
def _keywords() -> frozenset[str]:
    import duckdb  # Names are quoted where help is given too, and DuckDB takes a while.

    with duckdb.connect() as connection:
        found = connection.execute(
            "select keyword_name from duckdb_keywords() "
            "where keyword_category in ('reserved', 'type_function')"
        ).fetchall()
    return frozenset(name for (name,) in found)
