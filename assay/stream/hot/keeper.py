"""Begin the hot path as soon as it can be begun: something must be published, and no build under way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from assay.core.fault import Fault
from assay.core.lock import current_holder
from assay.core.places import Places
from assay.landing.formats.messages import Message
from assay.ledger.rollbacks import read_rollback
from assay.online.stores.store import Store
from assay.stream.compact import find_partitions
from assay.stream.hot.base import state_of
from assay.stream.hot.hot import HotPath
from assay.stream.source import StreamSource

_SECONDS_BETWEEN_LOOKS = 1.0
# More are not kept while it cannot begin: it begins when they can be read from segments.
_MOST_WAITING = 100_000


class HotPathKeeper:
    """Brings messages online once that is possible. What came before is read from the segments.

    Args:
        places: of the project.
        sources: the streams whose messages will come.
        store: the online store.
        tell: called with messages for people.
    """

    def __init__(
        self, places: Places, sources: Sequence[StreamSource], store: Store, tell: Callable[[str], None]
    ) -> None:
        self._places, self._sources, self._store, self._tell = places, sources, store, tell
        self._path: HotPath | None = None
        # The state of the warehouse on which it failed; it is tried again on the next.
        self._failed_on: tuple[int, int] | None = None
        # What came meanwhile: of a segment that is still open, nothing can be read.
        self._waiting: list[tuple[StreamSource, dict[int, list[Message]]]] = []
        self._count = 0
        # The last messages that came and were not kept, by source, topic and partition.
        self._not_kept: dict[tuple[str, str, int], int] = {}
        self._looked = 0.0
        self._told = ""

    def apply(self, source: StreamSource, messages: Mapping[int, Sequence[Message]]) -> None:
        """Bring new messages of a source online, by partition."""
        if self._path is None:
            self._waiting.append((source, {number: list(several) for number, several in messages.items()}))
            self._count += sum(map(len, messages.values()))
            if self._count > _MOST_WAITING:
                self._leave_to_segments()
            return
        try:
            self._path.apply(source, messages)
        except Exception as error:  # whatever the project's SQL raises must not stop the landing
            self._give_up(error)

    def refresh(self) -> None:
        """Begin if it has not begun yet; else go on from the last build, if there has been one."""
        if time.monotonic() - self._looked < _SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        if self._is_rolled_back():
            return
        if current_holder(self._places.warehouse) is not None:
            return
        if self._failed_on is not None and self._failed_on == _state_or_none(self._places.warehouse):
            return
        try:
            if self._path is not None and self._path.is_outdated():
                self._begin_anew()
            if self._path is None and not self._can_read_rest():
                return
            if self._path is None:
                self._path = HotPath(self._places, self._sources, self._store, self._tell)
                self._tell(f"Brought online as messages come: {', '.join(self._path.views) or 'no view'}.")
                waiting = self._waiting
                self._keep([])
                for source, messages in waiting:
                    self.apply(source, messages)
            else:
                self._path.refresh()
        except Fault as fault:
            self._tell_once(f"Messages land, and are not brought online yet. {fault}")
        except Exception as error:  # as above
            self._give_up(error)

    def close(self) -> None:
        """Write what the store has not taken yet, and close the files that are read."""
        try:
            if self._path:
                self._path.write_pending()
        except Exception as error:  # as above
            self._give_up(error)
        self._close_path()

    def _is_rolled_back(self) -> bool:
        """Tell whether gold is rolled back; then nothing is brought online until a build has published."""
        try:
            rollback = read_rollback(self._places.main_warehouse)
            why = f"gold was {rollback}" if rollback else ""
        except Fault as fault:
            why = str(fault)
        if why:
            self._begin_anew()
            self._tell_once(f"Messages land, and the next build brings them online: {why}")
        return bool(why)

    def _begin_anew(self) -> None:
        """Close what runs, and keep what no build has yet for what will begin."""
        if self._path:
            self._keep(self._path.pending())
        self._close_path()

    def _tell_once(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._tell(text)

    def _close_path(self) -> None:
        if self._path:
            self._path.close()
            self._path = None

    def _give_up(self, error: Exception) -> None:
        """Leave what is online to builds until the next one: it has the messages that failed here."""
        if self._path:
            self._keep([*self._path.pending(), *self._waiting])
        self._close_path()
        self._failed_on = _state_or_none(self._places.warehouse)
        self._tell(
            f"Messages land, and the next build brings them online: here they cannot be computed "
            f"({type(error).__name__}: {str(error).partition(chr(10))[0]})."
        )

    def _keep(self, waiting: list[tuple[StreamSource, dict[int, list[Message]]]]) -> None:
        self._waiting = waiting
        self._count = sum(len(several) for _, messages in waiting for several in messages.values())

    def _leave_to_segments(self) -> None:
        for source, messages in self._waiting:
            for number, several in messages.items():
                self._not_kept[source.name, source.topic, number] = several[-1].offset
        self._keep([])

    def _can_read_rest(self) -> bool:
        """Tell whether the segments of all messages that were not kept are closed."""
        if self._not_kept:
            ends = {
                (source.name, each.topic, each.partition): each.next_offset() or 0
                for source in self._sources
                for each in find_partitions(source, self._places.landing)
            }
            self._not_kept = {
                place: last for place, last in self._not_kept.items() if ends.get(place, 0) <= last
            }
        return not self._not_kept


def _state_or_none(warehouse: Path) -> tuple[int, int] | None:
    try:
        return state_of(warehouse)
    except OSError:
        return None
