"""Write names and texts as SQL, and find the names in SQL."""

from __future__ import annotations

import re
from functools import cache
from string import ascii_lowercase, ascii_uppercase

_FOLDED = str.maketrans(ascii_uppercase, ascii_lowercase)
# Skips text constants, which name nothing. macros/shared/_private.sql has the same for `_mentioned`.
_NAME = re.compile(r"""'(?:[^']|'')*'|"((?:[^"]|"")*)"|(\w+)""")


def quoted(*names: str, of: str = "") -> str:
    """Quote names and join them with commas; `of` is the alias of their table in the query."""
    prefix = f"{of}." if of else ""
    return ", ".join(prefix + '"' + name.replace('"', '""') + '"' for name in names)


def text(value: object) -> str:
    """Write a value as a text constant of SQL."""
    quoted_value = "'" + str(value).replace("'", "''") + "'"
    # DuckDB ignores all of a query behind the first NUL.
    return (
        "(" + quoted_value.replace("\0", "' || chr(0) || '") + ")" if "\0" in quoted_value else quoted_value
    )


def search_path(*databases: str) -> str:
    """Return SQL by which names without a database are looked for in these, in their order."""
    return f"set search_path = {text(','.join(f'{quoted(each)}.main' for each in databases))}"


def folded(name: str) -> str:
    """Return a name in the form in which DuckDB compares names: it ignores the case of A to Z only."""
    return name.translate(_FOLDED)


def names_in(expression: str) -> set[str]:
    """Return the names in an expression, quoted or not, each folded."""
    found = (name.replace('""', '"') or word for name, word in _NAME.findall(expression))
    return {folded(name) for name in found if name}


def needs_quotes(name: str) -> bool:
    """Tell whether a column's name must be quoted in SQL, as `order` and `Group By` must."""
    return re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) is None or name.lower() in _keywords()


@cache
def _keywords() -> frozenset[str]:
    import duckdb  # Here because the import is slow, and `--help` quotes names too.

    with duckdb.connect() as connection:
        found = connection.execute(
            "select keyword_name from duckdb_keywords() "
            "where keyword_category in ('reserved', 'type_function')"
        ).fetchall()
    return frozenset(name for (name,) in found)
