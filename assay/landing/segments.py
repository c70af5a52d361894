"""Name the segments that a stream lands, and find which of a topic's offsets they hold."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

_NAME = re.compile(r"([0-9]+)-([0-9]+)\.jsonl\.gz")

#: Offsets from the first to the last, both included.
Range = tuple[int, int]


@dataclass(frozen=True)
class Segment:
    """A file with all messages of a topic's partition whose offsets are from `first` to `last`."""

    topic: str
    partition: int
    first: int
    last: int

    @property
    def path(self) -> Path:
        """The file's path within the folder of its landing table."""
        return partition_folder(self.topic, self.partition) / f"{self.first}-{self.last}.jsonl.gz"


def partition_folder(topic: str, partition: int) -> Path:
    """Return the folder of a topic's partition, within the folder of its landing table."""
    return Path(f"topic={topic}") / f"partition={partition}"


def segment_of(name: str) -> Segment | None:
    """Return the segment that a file of the landing zone is; None for any other file.

    Args:
        name: the file's path within the landing zone, or within the folder of its landing table.
    """
    *_, topic, partition, file = ["", "", *name.split("/")]
    found = _NAME.fullmatch(file)
    if not found or not topic.startswith("topic=") or not re.fullmatch("partition=[0-9]+", partition):
        return None
    first, last = int(found[1]), int(found[2])
    if last < first:
        return None
    return Segment(topic.removeprefix("topic="), int(partition.removeprefix("partition=")), first, last)


def merge_ranges(ranges: Iterable[Range]) -> list[Range]:
    """Return the same offsets as few ranges, in their order."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def holes_between(ranges: Iterable[Range]) -> list[Range]:
    """Return the offsets that lie between ranges and in none of them."""
    merged = merge_ranges(ranges)
    return [(before[1] + 1, after[0] - 1) for before, after in pairwise(merged)]


class Offsets:
    """Offsets, as few ranges; what is added to them or asked of them costs little, however many there are."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._merged = merge_ranges(ranges)

    def add(self, offsets: Range) -> None:
        """Add a range."""
        first, last = offsets
        start = bisect_left(self._merged, first - 1, key=lambda each: each[1])
        end = bisect_right(self._merged, last + 1, key=lambda each: each[0])
        self._merged[start:end] = merge_ranges([*self._merged[start:end], offsets])

    def overlap(self, offsets: Range) -> Range | None:
        """Return the first of some offsets that are among these, as one range; None if none are."""
        index = bisect_left(self._merged, offsets[0], key=lambda each: each[1])
        if index == len(self._merged) or self._merged[index][0] > offsets[1]:
            return None
        return max(self._merged[index][0], offsets[0]), min(self._merged[index][1], offsets[1])
