"""Names and texts as SQL has them."""

from __future__ import annotations


def quoted(*names: str, of: str = "") -> str:
    """Return names, parted by commas; `of` is the table, as it is called in the query."""
    prefix = f"{of}." if of else ""
    return ", ".join(prefix + '"' + name.replace('"', '""') + '"' for name in names)


def text(value: object) -> str:
    """Return a text constant."""
    return "'" + str(value).replace("'", "''") + "'"
