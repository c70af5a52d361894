"""Names and texts as SQL has them."""

from __future__ import annotations


def quoted(*names: str) -> str:
    """Return names, parted by commas."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)


def text(value: object) -> str:
    """Return a text constant."""
    return "'" + str(value).replace("'", "''") + "'"
