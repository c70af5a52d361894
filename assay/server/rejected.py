"""A request that is turned down before it is looked at."""

from __future__ import annotations


class Rejected(Exception):
    """Turned down; `status` is that of HTTP."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
