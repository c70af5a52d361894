"""Merge small segments into large ones; what the warehouse has loaded is not loaded again for that."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.core.disk import sync
from assay.core.fault import LOCKED, Fault
from assay.core.lock import hold
from assay.core.sealed_content import create_content, open_content
from assay.landing.segments import Segment
from assay.stream.partition import LandedPartition, find_segment_key, is_whole
from assay.stream.source import StreamSource

_PART = ".merge.part"
# So many segments are merged even where they are smaller than a large one in all.
_MANY = 64


@dataclass(frozen=True)
class MergeLimits:
    """How large merged segments are, in bytes."""

    least: int = 128 << 20
    most: int = 1 << 30


@dataclass(frozen=True)
class Merged:
    """What was merged in a partition."""

    partition: LandedPartition
    before: int
    after: int


def merge_segments(
    sources: Sequence[StreamSource], landing: Path, loaded: Collection[str], limits: MergeLimits
) -> list[Merged]:
    """Merge neighbouring segments that are loaded. A running stream may go on meanwhile.

    Segments are put one behind the other as they are, and encrypted where there is a key. A kill leaves both
    or one of them: landing takes the larger, and the next merge removes what it was made of.

    Args:
        sources: the landing tables.
        landing: the landing zone's folder.
        loaded: the files that the warehouse has loaded, by their paths within the landing zone.
        limits: how large merged segments are.

    Returns:
        The partitions in which anything was merged.

    Raises:
        Fault: another process merges the same, or a segment is encrypted with another key.
        OSError: the disk is full, or the like.
    """
    merged = []
    for source in sources:
        for partition in find_partitions(source, landing):
            with hold(
                partition.folder / ".merge",
                command="assay stream compact",
                refuse=lambda holder: Fault(
                    f"The segments are merged already: {holder or 'unknown'}.", LOCKED
                ),
            ):
                before = len(partition.segments())
                _remove_merged(partition)
                for group in list(_groups(partition, _loaded_of(partition, landing, loaded), limits)):
                    _merge(partition, group)
                after = len(partition.segments())
            if after != before:
                merged.append(Merged(partition, before, after))
    return merged


def find_partitions(source: StreamSource, landing: Path) -> Iterator[LandedPartition]:
    """Yield the partitions of which a landing table has segments."""
    table = landing / source.table.source / source.table.name
    for folder in sorted(table.glob("topic=*/partition=*")):
        topic, number = (part.partition("=")[2] for part in folder.parts[-2:])
        if number.isdecimal():
            yield LandedPartition(table, topic, int(number))


def _loaded_of(partition: LandedPartition, landing: Path, loaded: Collection[str]) -> list[Segment]:
    return [
        each
        for each in partition.segments()
        if (partition.table / each.path).relative_to(landing).as_posix() in loaded
    ]


def _groups(
    partition: LandedPartition, segments: Iterable[Segment], limits: MergeLimits
) -> Iterator[list[Segment]]:
    """Yield neighbouring segments that are worth merging."""
    group: list[Segment] = []
    size = 0
    for segment in segments:
        bytes_of_segment = (partition.table / segment.path).stat().st_size
        is_next = group and group[-1].last + 1 == segment.first
        if group and (not is_next or size + bytes_of_segment > limits.most):
            if size >= limits.least and len(group) > 1:
                yield group
            group, size = [], 0
        group.append(segment)
        size += bytes_of_segment
        if len(group) > 1 and (size >= limits.least or len(group) >= _MANY):
            yield group
            group, size = [], 0


def _merge(partition: LandedPartition, group: Sequence[Segment]) -> None:
    merged = Segment(partition.topic, partition.partition, group[0].first, group[-1].last)
    part = partition.folder / _PART
    try:
        with create_content(part, find_segment_key()) as target:
            for each in group:
                with open_content(partition.table / each.path) as source:
                    shutil.copyfileobj(source, target)
        sync(part)
        part.rename(partition.table / merged.path)
    finally:
        # On a full disk, it would take the room of what lands.
        part.unlink(missing_ok=True)
    sync(partition.folder)
    for each in group:
        (partition.table / each.path).unlink()


def _remove_merged(partition: LandedPartition) -> None:
    """Remove segments whose messages are in a larger one: a merge was killed before it removed them."""
    whole: Segment | None = None
    for segment in partition.segments():
        path = partition.table / segment.path
        if whole is not None and segment.last <= whole.last:
            path.unlink()
        elif is_whole(path):
            whole = segment
