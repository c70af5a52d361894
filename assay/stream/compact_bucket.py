"""Merge segments of a landing zone that lies in a bucket: in its copy first, and then there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from assay.bucket.bucket import Bucket
from assay.bucket.landing import bring_landing, note_objects
from assay.core.fault import LOCKED, Fault
from assay.landing.segments import Segment, merge_ranges, segment_of
from assay.stream.compact import Merged, MergeLimits, find_partitions, merge_segments
from assay.stream.partition import LandedPartition, is_whole
from assay.stream.source import StreamSource


def merge_in_bucket(
    sources: Sequence[StreamSource],
    bucket: Bucket,
    copy: Path,
    loaded: Collection[str],
    limits: MergeLimits,
    tell: Callable[[str], None],
) -> list[Merged]:
    """Merge neighbouring segments that are loaded, in the copy of a landing zone and in its bucket.

    A merged segment is in the bucket before the small ones go. A kill leaves both or one of them: landing
    takes the larger, and the next merge removes what it was made of.

    Args:
        sources: the landing tables.
        bucket: the landing zone.
        copy: the folder with its copy.
        loaded: the files that the warehouse has loaded, by their paths within the landing zone. Whoever calls
            has read them before, so all of them are in the bucket when segments are merged.
        limits: how large merged segments are.
        tell: called with messages for people.

    Returns:
        The partitions in which anything was merged.

    Raises:
        Fault: another process or machine merges the same, or the bucket cannot be read or written.
        OSError: the disk is full, or the like.
    """
    brought = bring_landing(bucket, copy, tell)
    for fault in brought.faults:
        tell(f"Warning: {fault}")
    merged = merge_segments(sources, copy, loaded, limits)
    for source in sources:
        for partition in find_partitions(source, copy):
            _send_merged(bucket, copy, partition)
    return merged


def _send_merged(bucket: Bucket, copy: Path, partition: LandedPartition) -> None:
    below = partition.folder.relative_to(copy).as_posix()
    there = {
        segment: found for found in bucket.list(f"{below}/") if (segment := segment_of(found.key)) is not None
    }
    for segment in partition.segments():
        path = partition.table / segment.path
        parts = [each for each in there if each != segment and _holds(segment, each)]
        if not parts or not is_whole(path):
            continue
        key = path.relative_to(copy).as_posix()
        if segment not in there:
            if _ranges(parts) != [(segment.first, segment.last)]:
                _give_way(bucket, path, segment, there)
                continue
            note_objects(copy, {key: bucket.put(key, path)})
        for each in parts:
            bucket.delete(there[each].key)
            note_objects(copy, {there[each].key: None})


def _give_way(bucket: Bucket, path: Path, merged: Segment, there: Collection[Segment]) -> None:
    """Leave a merge to another machine that has merged the same: segments must not overlap in part."""
    if any(first <= merged.first and merged.last <= last for first, last in _ranges(there)):
        path.unlink()
        raise Fault(
            f"Another machine merges the segments in {bucket.url}: let one machine do it. Nothing is lost.",
            LOCKED,
        )


def _holds(whole: Segment, part: Segment) -> bool:
    return whole.first <= part.first and part.last <= whole.last


def _ranges(segments: Collection[Segment]) -> list[tuple[int, int]]:
    return merge_ranges((each.first, each.last) for each in segments)
