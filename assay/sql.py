"""Names and texts as SQL has them."""

from __future__ import annotations


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
