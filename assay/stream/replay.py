"""Land a topic anew from its first offset: what has landed before comes out the same."""

from __future__ import annotations

import gzip
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from assay.core.fault import Fault
from assay.core.sealed_content import DamagedContent, open_content
from assay.stream.partition import LANDED_AT, LandedPartition


class LandingTimes:
    """When messages landed the first time; to ask in the order of their offsets is fast.

    A message counts from when it landed. One that is read again must not count from now, or the past that was
    known would be another.

    Args:
        partition: the segments as they landed the first time; they may be merged meanwhile.
    """

    def __init__(self, partition: LandedPartition) -> None:
        self._partition = partition
        self._times: Iterator[tuple[int, int]] = iter(())
        self._ahead: tuple[int, int] | None = None
        self._following = 0
        self._begin(0)

    def find(self, offset: int) -> int | None:
        """Return when a message landed, in milliseconds since 1970; None if it has not landed yet.

        Raises:
            Fault: a segment is damaged.
        """
        # After a full disk, or without the schema registry, messages come again.
        if offset < self._following:
            self._begin(offset)
        self._following = offset
        while self._ahead is not None and self._ahead[0] < offset:
            self._ahead = next(self._times, None)
        return self._ahead[1] if self._ahead is not None and self._ahead[0] == offset else None

    def _begin(self, offset: int) -> None:
        self._following = offset
        self._times = self._read(offset)
        self._ahead = next(self._times, None)

    def _read(self, following: int) -> Iterator[tuple[int, int]]:
        segments = deque(self._partition.segments())
        while segments:
            segment = segments.popleft()
            if segment.last < following:
                continue
            path = self._partition.table / segment.path
            try:
                yield from _read_times(path)
            except FileNotFoundError:
                # It was merged with others.
                segments = deque(self._partition.segments())
                continue
            following = segment.last + 1


def _read_times(segment: Path) -> Iterator[tuple[int, int]]:
    try:
        with open_content(segment) as packed, gzip.open(packed) as lines:
            for line in lines:
                if found := LANDED_AT.match(line):
                    yield int(found[1]), int(found[2])
    except (EOFError, gzip.BadGzipFile, zlib.error, DamagedContent) as error:
        raise Fault(
            f"{segment} is damaged: it says when its messages landed. Restore it, or let assay stream run "
            "fetch them again, before they are replayed."
        ) from error
