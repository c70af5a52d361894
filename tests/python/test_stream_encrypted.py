"""Segments of streams are encrypted from their first message on, and everything reads them as before."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from landing_zone import Zone
from test_stream_segments import DECLARED, SOURCE, message, write

from assay.build.encryption import find_states, rotate
from assay.console.progress import Lines
from assay.console.tables import PlainConsole
from assay.core.fault import Fault
from assay.core.places import Places
from assay.erasure.lines import empty_lines
from assay.landing.declared import declared_tables
from assay.landing.discover import discover
from assay.landing.formats.messages import line_of, read_segment
from assay.stream.compact import MergeLimits, merge_segments
from assay.stream.partition import LandedPartition, SegmentWriter, is_whole
from assay.stream.replay import LandingTimes

KEY, OTHER = "an invented key of 32 letters or more", "another invented key of 32 letters"
ROWS = 'select "offset", line, message_landed_at from landing.shop__clicks order by "offset"'


@pytest.fixture
def zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    for name in ("ASSAY_ENCRYPTION_KEY_COMMAND", "ASSAY_ENCRYPTION_KEY_BEFORE", "ASSAY_COLD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    zone = Zone(tmp_path, DECLARED)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    yield zone
    zone.connection.close()


@pytest.fixture
def partition(zone: Zone) -> LandedPartition:
    return LandedPartition(zone.landing / "shop/clicks", "clicks", 0)


def places_of(zone: Zone) -> Places:
    return Places(zone.landing, zone.warehouse)


def states(zone: Zone) -> dict[str, str | None]:
    found = find_states(places_of(zone)).files
    return {Path(each.path).name: each.key for each in found if "landing" in str(each.path)}


def test_a_segment_is_never_plain_and_loads_as_a_plain_one(
    zone: Zone, partition: LandedPartition, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SegmentWriter(partition, 0)
    writer.add([line_of(message(0, b'{"name":"Adelheid"}'))])
    [part] = partition.folder.glob(".*.part")
    assert part.read_bytes()[:2] != b"\x1f\x8b"
    path = partition.table / writer.close(0).path
    assert is_whole(path)
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(path.read_bytes())
    assert list(read_segment(path)) == [[message(0, b'{"name":"Adelheid"}')]]
    assert LandingTimes(partition).find(0) == message(0, None).landed_at
    zone.load()
    encrypted = zone.query(ROWS)
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    write(partition, 0, 1)
    assert zone.query("select status from landing.files") == [("loaded",)]
    assert [row[1] for row in encrypted] == ['{"name":"Adelheid"}']


def test_a_killed_process_leaves_the_times_of_its_messages(partition: LandedPartition) -> None:
    writer = SegmentWriter(partition, 0)
    writer.add(line_of(message(number, b"{}")) for number in range(10))
    partition.put_in_order()
    find = partition.landing_times()
    assert [find(number) for number in range(11)] == [
        *(message(number, None).landed_at for number in range(10)),
        None,
    ]
    writer.discard()


def test_a_segment_that_was_cut_off_is_not_whole(partition: LandedPartition) -> None:
    path = partition.table / write(partition, 0, 50).path
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert not is_whole(path), size


def test_plain_and_encrypted_segments_are_merged_into_an_encrypted_one(
    zone: Zone, partition: LandedPartition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    small = [write(partition, 0, 10)]
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    small.append(write(partition, 10, 10))
    found = find_states(places_of(zone)).files
    assert {each.key for each in found if "clicks (1 segment)" in str(each.path)} == {None, "now"}
    zone.load()
    before = zone.query(ROWS)
    loaded = {f"shop/clicks/{each.path}" for each in small}
    merge_segments([SOURCE], zone.landing, loaded, MergeLimits(least=1))
    # What is plain yet is the lock of the merge, which holds no message.
    assert states(zone)["clicks (1 segment)"] == "now"
    assert states(zone).keys() <= {"clicks (1 segment)", "landing"}
    zone.load()
    assert zone.query(ROWS) == before
    assert len(before) == 20


def test_segments_are_taken_to_a_key_and_to_the_next_one(
    zone: Zone, partition: LandedPartition, monkeypatch: pytest.MonkeyPatch
) -> None:
    display = Lines(PlainConsole(quiet=True))
    zone.connection.close()
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    path = partition.table / write(partition, 0, 10).path
    content, time = path.read_bytes(), path.stat().st_mtime_ns
    for key, former in ((KEY, None), (OTHER, KEY)):
        monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", key)
        if former:
            with pytest.raises(Fault, match="No file is changed"):
                rotate(places_of(zone), wait=0, display=display)
            monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_BEFORE", former)
        # A kill before it is in place, and the rotation that goes on.
        with monkeypatch.context() as patched:
            patched.setattr(
                "assay.core.sealed_content.put_in_place", mock.Mock(side_effect=KeyboardInterrupt)
            )
            with pytest.raises(KeyboardInterrupt):
                rotate(places_of(zone), wait=0, display=display)
        assert states(zone) == {"clicks (1 segment)": "before" if former else None}
        assert path in rotate(places_of(zone), wait=0, display=display).written
        assert states(zone) == {"clicks (1 segment)": "now"}
        assert path in rotate(places_of(zone), wait=0, display=display).as_they_were
    assert path.stat().st_mtime_ns == time
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY_BEFORE")
    [file] = discover(zone.landing)
    with file.open() as stream:
        assert stream.read() == content


@pytest.mark.parametrize("given", [None, OTHER])
def test_a_segment_of_another_key_stops_the_build_and_is_named(
    zone: Zone, partition: LandedPartition, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    write(partition, 0, 1)
    if given:
        monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", given)
    else:
        monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    said = "is encrypted with another key" if given else "is encrypted, and no key is set"
    with pytest.raises(Fault, match=rf"0-0\.jsonl\.gz {said}"):
        zone.load()
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    zone.load()
    assert zone.query("select count(*) from landing.shop__clicks") == [(1,)]


def test_a_damaged_segment_fails_by_itself(zone: Zone, partition: LandedPartition) -> None:
    write(partition, 0, 1)
    path = partition.table / write(partition, 1, 1).path
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    zone.load()
    assert zone.query("select status from landing.files order by source_file") == [("loaded",), ("failed",)]


def test_a_person_leaves_an_encrypted_segment_which_stays_encrypted(
    zone: Zone, partition: LandedPartition
) -> None:
    write(partition, 0, 3)
    [file] = discover(zone.landing)
    table = declared_tables(zone.models)["shop", "clicks"]
    emptied = empty_lines(file, table, [(2, 3)], lambda sha256: None)
    assert states(zone) == {"clicks (1 segment)": "now"}
    [file] = discover(zone.landing)
    with file.open() as stream:
        lines = gzip.decompress(stream.read()).split(b"\n")
    assert [bool(line) for line in lines] == [True, False, True, False]
    assert emptied.tally.rows == 2


def test_segments_for_a_bucket_are_plain(partition: LandedPartition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_LANDING", "s3://shop/landing")
    path = partition.table / write(partition, 0, 1).path
    assert gzip.decompress(path.read_bytes())
