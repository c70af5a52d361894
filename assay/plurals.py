"""How many there are of something, in words."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """Say how many there are of something."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
