"""A request that is turned down before it is looked at."""

from __future__ import annotations


class Rejected(Exception):
    """Turned down; `status` is that of HTTP, `retry_after` seconds after which it may be sent again."""

    def __init__(self, status: int, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.retry_after = retry_after
