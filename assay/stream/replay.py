"""Land a topic anew from its first offset: what has landed before comes out the same."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

from assay.stream.partition import LANDED_AT, LandedPartition


class LandingTimes:
    """When messages landed the first time, asked in the order of their offsets.

    A message counts from when it landed. One that is read again must not count from now, or the past that was
    known would be another.

    Args:
        partition: the segments as they landed the first time.
    """

    def __init__(self, partition: LandedPartition) -> None:
        self._times = self._read(partition)
        self._ahead: tuple[int, int] | None = next(self._times, None)

    def find(self, offset: int) -> int | None:
        """Return when a message landed, in milliseconds since 1970; None if it has not landed yet."""
        while self._ahead is not None and self._ahead[0] < offset:
            self._ahead = next(self._times, None)
        return self._ahead[1] if self._ahead is not None and self._ahead[0] == offset else None

    @staticmethod
    def _read(partition: LandedPartition) -> Iterator[tuple[int, int]]:
        for segment in partition.segments():
            with gzip.open(partition.table / segment.path) as lines:
                for line in lines:
                    if found := LANDED_AT.match(line):
                        yield int(found[1]), int(found[2])
