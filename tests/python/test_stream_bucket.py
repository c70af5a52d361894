"""Segments of streams in a bucket are merged there, and no message is lost or there twice."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest
from bucket_server import ENVIRONMENT, served_bucket
from dying import Steps

import assay
from assay.bucket.bucket import Bucket
from assay.bucket.landing import bring_landing
from assay.core.fault import Fault
from assay.landing.declared import LandingTable
from assay.landing.segments import Segment, segment_of
from assay.stream import compact_bucket
from assay.stream.compact import MergeLimits
from assay.stream.compact_bucket import merge_in_bucket
from assay.stream.partition import LandedPartition, SegmentWriter
from assay.stream.source import StreamSource

SOURCE = StreamSource(
    LandingTable("shop", "clicks", "jsonl", (), frozenset(), {}, {}, is_streamed=True), {"type": "kafka"}
)
CLICKS = "shop/clicks/topic=clicks/partition=0"
EVERY = [b"%d" % number for number in range(40)]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served_bucket("shop") as address:
        yield address


@pytest.fixture
def bucket(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A landing zone in a bucket, with four segments of ten messages."""
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": address}.items():
        monkeypatch.setenv(name, value)
    return filled(Bucket(f"s3://shop/{tmp_path.name}"), tmp_path / "filled")


def filled(bucket: Bucket, copy: Path) -> Bucket:
    for first in range(0, 40, 10):
        land(copy, first)
    bring_landing(bucket, copy, print)
    return bucket


def land(copy: Path, first: int) -> Segment:
    writer = SegmentWriter(LandedPartition(copy / "shop" / "clicks", "clicks", 0), first)
    writer.add(b"%d\n" % number for number in range(first, first + 10))
    return writer.close(first + 9)


def segments_in(bucket: Bucket) -> list[tuple[int, int]]:
    named = (segment_of(found.key) for found in bucket.list())
    return sorted((each.first, each.last) for each in named if each)


def messages_in(bucket: Bucket) -> list[bytes]:
    """Return what landing loads: of segments that lie within one another, the larger."""
    found: list[bytes] = []
    last = -1
    for first, end in sorted(segments_in(bucket), key=lambda each: (each[0], -each[1])):
        if end > last:
            assert first == last + 1
            found += gzip.decompress(bucket.read(f"{CLICKS}/{first}-{end}.jsonl.gz") or b"").split()
            last = end
    return found


def compact(bucket: Bucket, copy: Path, most: int = 1 << 30) -> int:
    loaded = {f"{CLICKS}/{first}-{first + 9}.jsonl.gz" for first in range(0, 40, 10)}
    return len(merge_in_bucket([SOURCE], bucket, copy, loaded, MergeLimits(1 << 29, most), print))


@pytest.fixture
def merges_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.stream.compact._MANY", 4)


@pytest.mark.usefixtures("merges_four")
def test_segments_are_merged_in_the_bucket_and_for_its_other_readers(bucket: Bucket, tmp_path: Path) -> None:
    other = tmp_path / "other"
    bring_landing(bucket, other, print)
    land(tmp_path / "copy", 40)
    assert compact(bucket, tmp_path / "copy") == 1
    # What is not loaded yet is sent, and stays as it is.
    assert segments_in(bucket) == [(0, 39), (40, 49)]
    assert messages_in(bucket) == [*EVERY, *(b"%d" % number for number in range(40, 50))]
    done = bring_landing(bucket, tmp_path / "copy", print)
    assert (done.fetched, done.sent, done.removed) == (0, 0, 0)
    done = bring_landing(bucket, other, print)
    assert (done.fetched, done.sent, done.removed) == (2, 0, 4)
    assert compact(bucket, tmp_path / "copy") == 0
    assert segments_in(bucket) == [(0, 39), (40, 49)]


@pytest.mark.usefixtures("merges_four")
def test_a_kill_at_any_step_loses_and_doubles_nothing_and_the_next_merge_ends_it(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, counted = 0, Steps()
    while True:
        place, copy = filled(Bucket(f"{bucket.url}-{steps}"), tmp_path / str(steps)), tmp_path / str(steps)
        counted.left = steps
        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(Bucket, "put", counted.counting(Bucket.put))
            patch.setattr(Bucket, "delete", counted.counting(Bucket.delete))
            patch.setattr(compact_bucket, "note_objects", counted.counting(compact_bucket.note_objects))
            compact(place, copy)
            break
        assert messages_in(place) == EVERY
        # A build comes first, or the next merge.
        if steps % 2:
            bring_landing(place, copy, print)
        compact(place, copy)
        assert segments_in(place) == [(0, 39)]
        assert messages_in(place) == EVERY
        assert [each.last for each in LandedPartition(copy / "shop/clicks", "clicks", 0).segments()] == [39]
        steps += 1
    # One object is written and four are deleted, and each is noted.
    assert steps == 10


@pytest.mark.usefixtures("merges_four")
def test_a_project_whose_landing_zone_is_in_a_bucket_merges_what_it_has_loaded(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    (project / "dbt_project.yml").write_text("name: shop\n")
    loaded = [f"('{CLICKS}/{first}-{first + 9}.jsonl.gz', 'loaded')" for first in (0, 10, 20)]
    with duckdb.connect(str(project / "data" / "assay.duckdb")) as warehouse:
        warehouse.execute("create schema landing; create table landing.files (source_file text, status text)")
        warehouse.execute(f"insert into landing.files values {', '.join(loaded)}")
    monkeypatch.chdir(project)
    monkeypatch.setenv("ASSAY_LANDING", bucket.url)
    monkeypatch.setattr("assay.stream.source.find_stream_sources", lambda names: [SOURCE])
    [merged] = assay.open(".").streams.compact(least_mb=0)
    assert (merged.before, merged.after) == (4, 3)
    # The last one is not loaded yet.
    assert segments_in(bucket) == [(0, 19), (20, 29), (30, 39)]
    assert messages_in(bucket) == EVERY


@pytest.mark.usefixtures("merges_four")
def test_a_machine_gives_way_to_another_that_merges_the_same(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge_segments = compact_bucket.merge_segments

    def then_another(*arguments: Any) -> Any:
        merged = merge_segments(*arguments)
        # Of other segments: the last of these and one that landed later.
        for first in (30, 40):
            bucket.delete(f"{CLICKS}/{first}-{first + 9}.jsonl.gz")
        content = gzip.compress(b"\n".join(b"%d" % number for number in range(30, 50)))
        bucket.put(f"{CLICKS}/30-49.jsonl.gz", content)
        return merged

    with monkeypatch.context() as patch:
        patch.setattr(compact_bucket, "merge_segments", then_another)
        with pytest.raises(Fault, match="Another machine merges the segments"):
            compact(bucket, tmp_path / "copy")
    bring_landing(bucket, tmp_path / "copy", print)
    assert segments_in(bucket) == [(0, 9), (10, 19), (20, 29), (30, 49)]
    assert messages_in(bucket) == [b"%d" % number for number in range(50)]
