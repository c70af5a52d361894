"""Why nothing can be searched now, for those who run it and for those who ask a server."""

from __future__ import annotations

from assay.core.fault import FAILED, Fault


class SearchUnavailable(Fault):
    """Documents cannot be searched now, or not by their vectors.

    Args:
        message: the message for operators, which may name files and hosts.
        for_callers: the message for clients of a server, which must not name these.
        exit_code: what the command ends with.
    """

    def __init__(self, message: str, for_callers: str, exit_code: int = FAILED) -> None:
        super().__init__(message, exit_code)
        self.for_callers = for_callers
