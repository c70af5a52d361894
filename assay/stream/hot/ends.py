"""Know when entities end: they leave the store once the clock of their view has come there."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import duckdb

from assay.core.moment import END_OF_TIME
from assay.online.definition import OnlineView
from assay.online.stretch import key_sql


class Ends:
    """The entities of a view that end, as a deletion ends them.

    A build puts those online that had not ended when the last change of the view arrived. So one that ended
    with that change is there, until a change of another entity arrives.

    Args:
        of_build: when entities of the last build end, by their keys.
    """

    def __init__(self, of_build: dict[str, datetime]) -> None:
        self._of_build = of_build
        self.forget()

    def forget(self) -> None:
        """Go back to what the last build has."""
        self._ends = dict(self._of_build)

    def note(self, ends: Iterable[tuple[str, datetime]]) -> None:
        """Note when entities end that were computed anew; those that have no end end at the end of time."""
        for key, ends_at in ends:
            if ends_at < END_OF_TIME:
                self._ends[key] = ends_at
            else:
                self._ends.pop(key, None)

    def take_passed(self, clock: datetime | None) -> list[str]:
        """Return the keys of those that have ended by the view's last arrival, each once."""
        if clock is None:
            return []
        passed = [key for key, ends_at in self._ends.items() if ends_at <= clock]
        for key in passed:
            del self._ends[key]
        return passed


def read_ends(connection: duckdb.DuckDBPyConnection, table: str, view: OnlineView) -> dict[str, datetime]:
    """Return when the entities of a table of online rows end, by their keys."""
    found = connection.execute(
        f"select {key_sql(view.keys)} as key, max(valid_to) as ends_at from {table} "
        "group by all having ends_at < ?",
        [END_OF_TIME],
    )
    return dict(found.fetchall())
