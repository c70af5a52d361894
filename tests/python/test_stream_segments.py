"""Segments: a message comes out as it was sent, counts once, and merging segments loads nothing again."""

from __future__ import annotations

import errno
import gzip
import json
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landing_zone import Zone

from assay.core.fault import Fault
from assay.landing.declared import DeclarationError, LandingTable
from assay.landing.formats.messages import Message, line_of, read_segment
from assay.landing.segments import Offsets, Segment, holes_between, segment_of
from assay.stream.compact import MergeLimits, merge_segments
from assay.stream.partition import LandedPartition, SegmentWriter, is_whole
from assay.stream.replay import LandingTimes
from assay.stream.source import StreamSource

DECLARED = """
sources:
  - name: shop
    tables:
      - name: sales
        config: {meta: {landing: {format: csv, streamed: true, optional: [note]}}}
        columns: [{name: id}, {name: name}, {name: amount}, {name: note}]
      - name: clicks
        config: {meta: {landing: {format: jsonl, streamed: true}}}
"""
CLICKS = "shop/clicks/topic=clicks/partition=0"
LANDED = 1_735_700_000_000
SOURCE = StreamSource(
    LandingTable("shop", "clicks", "jsonl", (), frozenset(), {}, {}, is_streamed=True), {"type": "kafka"}
)


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[Zone]:
    zone = Zone(tmp_path, DECLARED)
    yield zone
    zone.connection.close()


def message(offset: int, value: bytes | None, key: bytes | None = None) -> Message:
    headers = [("h", b"v}"), ("h", b"]{"), ("h", None), ("b", b"\xff"), ("b", b"\xfe")]
    return Message(offset, LANDED - 5, LANDED + offset, key, headers, value)


def packed(first: int, values: Iterable[bytes | None]) -> bytes:
    return gzip.compress(b"".join(line_of(message(first + n, value)) for n, value in enumerate(values)))


def write(partition: LandedPartition, first: int, count: int) -> Segment:
    writer = SegmentWriter(partition, first)
    writer.add(line_of(message(first + n, b'{"id":%d}' % (first + n))) for n in range(count))
    return writer.close(first + count - 1)


@given(
    key=st.none() | st.binary(max_size=20),
    value=st.none()
    | st.binary(max_size=40)
    | st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers() | st.none(), max_size=4).map(
        lambda each: json.dumps(each, indent=1).encode()
    ),
)
def test_a_message_is_one_line_of_json_that_holds_it_whole(key: bytes | None, value: bytes | None) -> None:
    line = line_of(message(7, value, key))
    assert line.count(b"\n") == 1
    document = json.loads(line)
    assert document["_offset"] == 7
    wrapped = document.get("_value", document)
    if value is None:
        assert wrapped is None
    elif isinstance(wrapped, dict) and "_offset" in wrapped:
        sent = json.loads(value)
        assert {name: document[name] for name in sent} == sent
    elif isinstance(wrapped, dict):
        assert "base64" in wrapped
    else:
        assert wrapped.encode() == value


def test_headers_of_one_name_are_kept_each(tmp_path: Path) -> None:
    file = tmp_path / "7-8.jsonl.gz"
    file.write_bytes(packed(7, [b'{"id":1}', None]))
    assert list(read_segment(file)) == [[message(7, b'{"id":1}'), message(8, None)]]


def test_each_message_is_a_row_with_its_place_at_the_broker(zone: Zone) -> None:
    values = [b'{"id":1,"a":12.50}', b'{\n"id": 2}', None, b"", b"[1]", b'{"a":1}{', b"{}", b'{"_offset":7}']
    zone.drop(f"{CLICKS}/100-107.jsonl.gz", packed(100, values))
    zone.load()
    rows = zone.query(
        'select line, malformed_reason, topic, partition, "offset", message_at, message_landed_at '
        "from landing.shop__clicks order by row_number"
    )
    lines = ['{"id":1,"a":12.50}', '{ "id": 2}', "null", "", "[1]", '{"a":1}{', "{}", '{"_offset":7}']
    assert [row[0] for row in rows] == lines
    assert {row[1] for row in rows} == {None}
    assert [row[2:5] for row in rows] == [("clicks", 0, 100 + n) for n in range(8)]
    moment = datetime.fromtimestamp(LANDED / 1000, UTC).replace(tzinfo=None)
    assert {row[5] for row in rows} == {moment - timedelta(milliseconds=5)}
    assert [row[6] for row in rows] == [moment + timedelta(milliseconds=100 + n) for n in range(8)]


def test_a_message_whose_sender_counts_in_nanoseconds_has_no_time(zone: Zone) -> None:
    times = [LANDED, LANDED * 1_000_000, LANDED * 1000, -(10**18), None]
    lines = [line_of(Message(n, sent, LANDED, None, (), b"{}")) for n, sent in enumerate(times)]
    zone.drop(f"{CLICKS}/0-4.jsonl.gz", gzip.compress(b"".join(lines)))
    zone.load()
    moment = datetime.fromtimestamp(LANDED / 1000, UTC).replace(tzinfo=None)
    rows = zone.query('select message_at, message_landed_at from landing.shop__clicks order by "offset"')
    assert rows == [(moment if n == 0 else None, moment) for n in range(5)]


@pytest.mark.parametrize("wrapped", ["", '"_offset":1,'])
def test_a_message_that_is_nested_too_deep_is_malformed_as_in_a_file(zone: Zone, wrapped: str) -> None:
    # Such a message is landed as a text: it is no JSON that can be read, or has a key of Assay's own.
    levels = 300 if wrapped else 5000
    deep = f'{{{wrapped}"a":{"[" * levels}{"]" * levels}}}'
    zone.drop(f"{CLICKS}/0-1.jsonl.gz", packed(0, [deep.encode(), b"{}"]))
    zone.drop("shop/clicks/file.jsonl", f"{deep}\n")
    zone.load()
    rows = zone.query("select line, malformed_reason from landing.shop__clicks order by row_number, topic")
    [in_stream, in_file, whole] = rows
    assert in_stream == in_file
    assert "levels deep" in in_stream[1]
    assert whole == ("{}", None)
    assert [file["malformed_row_count"] for file in zone.files("%.gz")] == [1]


def test_a_message_that_is_no_text_is_malformed_as_in_a_file(zone: Zone) -> None:
    zone.drop(f"{CLICKS}/0-0.jsonl.gz", packed(0, [b"\xffabc"]))
    zone.drop("shop/clicks/file.jsonl", b"\xffabc\n")
    zone.load()
    in_stream, in_file = zone.query("select line, malformed_reason from landing.shop__clicks order by topic")
    assert in_stream == in_file
    assert in_stream[1] is not None


def test_a_table_of_csv_takes_messages_by_their_keys_with_numbers_as_they_are_written(zone: Zone) -> None:
    values = [b'{"id":1,"name":"ann","amount":12.50,"new":true}', b'{"ID":"2","amount":1e3}', b"[1]", None]
    zone.drop("shop/sales/topic=sales/partition=3/0-3.jsonl.gz", packed(0, values))
    zone.drop("shop/sales/file.csv", "id,name,amount\n9,bob,1\n")
    zone.load()
    rows = zone.query(
        "select id, name, amount, other_values, malformed_line, partition from landing.shop__sales "
        'order by "offset" nulls last'
    )
    assert rows == [
        ("1", "ann", "12.50", '{"new": "true"}', None, 3),
        ("2", None, "1e3", None, None, 3),
        (None, None, None, None, "[1]", 3),
        (None, None, None, None, "null", 3),
        ("9", "bob", "1", None, None, None),
    ]
    assert [file["malformed_row_count"] for file in zone.files("%.gz")] == [2]


def test_a_line_that_no_stream_wrote_is_kept_and_malformed(zone: Zone) -> None:
    zone.drop(f"{CLICKS}/0-1.jsonl.gz", gzip.compress(b'{"id": 1}\n' + line_of(message(1, b'{"id":2}'))))
    zone.load()
    read = 'select line, malformed_reason is null, "offset" from landing.shop__clicks order by all'
    assert zone.query(read) == [
        ('{"id": 1}', False, None),
        ('{"id":2}', True, 1),
    ]


def test_no_column_has_the_name_of_one_that_a_stream_adds(zone: Zone) -> None:
    zone.declare(DECLARED.replace("{name: note}]", "{name: Offset}]").replace(", optional: [note]", ""))
    with pytest.raises(DeclarationError, match="'Offset' is the name of a column that Assay adds"):
        zone.load()


def test_a_table_that_becomes_streamed_keeps_its_rows(zone: Zone) -> None:
    zone.declare(DECLARED.replace(", streamed: true", ""))
    zone.drop("shop/clicks/file.jsonl", '{"id": 1}\n')
    zone.load()
    zone.declare(DECLARED)
    zone.drop(f"{CLICKS}/0-0.jsonl.gz", packed(0, [b'{"id": 2}']))
    zone.load()
    assert zone.query('select line, "offset" from landing.shop__clicks order by all') == [
        ('{"id": 1}', None),
        ('{"id": 2}', 0),
    ]


def test_a_merged_segment_is_not_loaded_again(zone: Zone) -> None:
    partition = LandedPartition(zone.landing / "shop/clicks", "clicks", 0)
    for first in range(0, 100, 10):
        write(partition, first, 10)
    zone.load()
    files = {file["source_file"] for file in zone.files()}
    write(partition, 100, 10)  # not loaded yet
    [merged] = merge_segments([SOURCE], zone.landing, files, MergeLimits(least=1000, most=1 << 20))
    assert (merged.before, merged.after) == (11, len(partition.segments()))
    assert merged.after < 11
    assert partition.ranges() == [(0, 109)]
    zone.load()
    zone.load()
    counted = 'select count(*), count(distinct "offset") from landing.shop__clicks'
    assert zone.query(counted) == [(110, 110)]
    covered = zone.query("select error from landing.files where status = 'covered'")
    assert covered
    assert "loaded already" in covered[0][0]
    fresh = (
        Zone(zone.landing.parent / "fresh", DECLARED)
        if (zone.landing.parent / "fresh").mkdir() is None
        else zone
    )
    fresh.landing.rmdir()
    zone.landing.rename(fresh.landing)
    fresh.load()
    assert fresh.query(counted) == [(110, 110)]
    fresh.connection.close()


def test_a_merge_that_was_killed_is_ended_by_the_next(zone: Zone) -> None:
    partition = LandedPartition(zone.landing / "shop/clicks", "clicks", 0)
    small = [write(partition, first, 10) for first in (0, 10)]
    kept = {each: (partition.table / each.path).read_bytes() for each in small}
    merge_segments(
        [SOURCE], zone.landing, {f"shop/clicks/{each.path}" for each in small}, MergeLimits(least=1)
    )
    for each, content in kept.items():
        (partition.table / each.path).write_bytes(content)
    zone.load()
    counted = 'select count(*), count(distinct "offset") from landing.shop__clicks'
    assert zone.query(counted) == [(20, 20)]
    zone.load()
    assert zone.query(counted) == [(20, 20)]
    merge_segments([SOURCE], zone.landing, set(), MergeLimits())
    assert [(each.first, each.last) for each in partition.segments()] == [(0, 19)]


def test_a_merge_for_which_the_disk_has_no_room_leaves_all_as_it_was(tmp_path: Path) -> None:
    partition = LandedPartition(tmp_path / "shop" / "clicks", "clicks", 0)
    loaded = {f"shop/clicks/{write(partition, first, 10).path}" for first in (0, 10)}
    before = sorted(partition.folder.iterdir())
    full = OSError(errno.ENOSPC, "No space left on device")
    with mock.patch("shutil.copyfileobj", side_effect=full), pytest.raises(OSError, match="space"):
        merge_segments([SOURCE], tmp_path, loaded, MergeLimits(least=1))
    assert [path for path in sorted(partition.folder.iterdir()) if path.name != ".merge"] == before


def test_where_a_merged_segment_is_damaged_the_small_ones_beside_it_are_loaded(zone: Zone) -> None:
    zone.drop(f"{CLICKS}/0-0.jsonl.gz", packed(0, [b'{"id":0}']))
    zone.drop(f"{CLICKS}/1-1.jsonl.gz", packed(1, [b'{"id":1}']))
    zone.drop(f"{CLICKS}/0-1.jsonl.gz", packed(0, [b'{"id":0}', b'{"id":1}'])[:-12])
    zone.load()
    assert zone.query("select count(*) from landing.shop__clicks") == [(0,)]
    zone.load()
    assert zone.query("select count(*) from landing.shop__clicks") == [(2,)]


def test_segments_that_overlap_are_refused_and_named(zone: Zone) -> None:
    zone.drop(f"{CLICKS}/0-1.jsonl.gz", packed(0, [b"{}", b"{}"]))
    zone.load()
    zone.drop(f"{CLICKS}/1-2.jsonl.gz", packed(1, [b"{}", b"{}"]))
    zone.load()
    [file] = zone.files("%1-2%")
    assert file["status"] == "failed"
    assert "offsets 1 to 1 are in other segments too" in file["error"]
    assert zone.query("select count(*) from landing.shop__clicks") == [(2,)]


def test_a_segment_that_was_cut_off_within_its_messages_is_not_whole(tmp_path: Path) -> None:
    partition = LandedPartition(tmp_path, "t", 0)
    path = tmp_path / write(partition, 0, 50).path
    whole = path.read_bytes()
    assert is_whole(path)
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        # The mark at the end says that nothing lacks; without it, all of the content does.
        assert not is_whole(path) or len(gzip.decompress(whole[:size]).splitlines()) == 50, size
    path.write_bytes(gzip.compress(b"made by another tool"))
    assert is_whole(path)


def test_what_a_killed_process_left_is_removed_and_what_is_damaged_is_set_aside(tmp_path: Path) -> None:
    partition = LandedPartition(tmp_path, "t", 0)
    segments = [write(partition, first, 10) for first in (0, 10, 20)]
    SegmentWriter(partition, 30)
    middle = tmp_path / segments[1].path
    middle.write_bytes(middle.read_bytes()[:-5])
    [damaged] = partition.put_in_order()
    assert damaged.exists()
    assert not list(partition.folder.glob("*.part"))
    assert partition.holes() == [(10, 19)]
    assert partition.next_offset() == 30


def test_what_is_damaged_at_the_beginning_and_at_the_end_is_a_hole_too(tmp_path: Path) -> None:
    partition = LandedPartition(tmp_path, "t", 0)
    segments = [write(partition, first, 10) for first in (20, 30, 40)]
    for segment in (segments[0], segments[2]):
        path = tmp_path / segment.path
        path.write_bytes(path.read_bytes()[:-5])
    assert len(partition.put_in_order()) == 2
    for _ in range(2):
        assert (partition.ranges(), partition.holes()) == ([(30, 39)], [(20, 29), (40, 49)])
        assert partition.next_offset() == 50
        assert partition.put_in_order() == []
    for first in (20, 40):
        write(partition, first, 10)
    assert (partition.ranges(), partition.holes()) == ([(20, 49)], [])


@pytest.mark.parametrize("is_cut_off", [False, True])
def test_when_messages_landed_that_are_in_no_segment_is_known(tmp_path: Path, is_cut_off: bool) -> None:
    partition = LandedPartition(tmp_path, "t", 0)
    write(partition, 0, 10)
    for first in (10, 12):
        writer = SegmentWriter(partition, first)
        for batch in range(3):
            offsets = range(first + 4 * batch, first + 4 * batch + 4)
            messages = [
                Message(n, None, LANDED + first + batch, None, (), random.Random(n).randbytes(100))
                for n in offsets
            ]
            writer.add(map(line_of, messages))
        if is_cut_off:
            # The last message is not whole, but its time is.
            path = partition.folder / f".{first}.part"
            path.write_bytes(path.read_bytes()[:-20])
        assert partition.put_in_order() == []
    find = partition.landing_times()
    assert [find(offset) for offset in (9, 10, 13, 14, 21, 22, 23, 24)] == [
        None,
        *(LANDED + late for late in (10, 10, 11, 12, 14, 14)),
        None,
    ]
    write(partition, 10, 13)
    partition.landing_times()
    assert len(list(partition.folder.glob(".*.unfinished"))) == 1


def test_landing_times_are_found_while_segments_are_merged_and_asked_for_again(tmp_path: Path) -> None:
    partition = LandedPartition(tmp_path / "shop" / "clicks", "clicks", 0)
    segments = [write(partition, first, 10) for first in range(0, 50, 10)]
    times = LandingTimes(partition)
    found = [times.find(offset) for offset in range(15)]
    loaded = {f"shop/clicks/{each.path}" for each in segments}
    assert merge_segments([SOURCE], tmp_path, loaded, MergeLimits(least=1))
    found += [times.find(offset) for offset in range(15, 52)]
    assert found == [*(LANDED + offset for offset in range(50)), None, None]
    # What could not be written comes again.
    assert [times.find(offset) for offset in range(20, 52)] == found[20:]


def test_landing_times_of_a_damaged_segment_are_not_made_up(tmp_path: Path) -> None:
    partition = LandedPartition(tmp_path, "clicks", 0)
    path = tmp_path / write(partition, 0, 1000).path
    path.write_bytes(path.read_bytes()[:-100])
    times = LandingTimes(partition)
    with pytest.raises(Fault, match=r"0-999\.jsonl\.gz is damaged: it says when its messages landed"):
        times.find(999)


def test_a_partition_is_landed_by_one_process_alone(tmp_path: Path) -> None:
    partition = LandedPartition(tmp_path, "t", 0)
    with partition.leased("the first"):
        refused = pytest.raises(Fault, match=r"t/0 is landed by another process: PID .* \(the first\)")
        with refused, partition.leased("the second"):
            pass
        with LandedPartition(tmp_path, "t", 1).leased("the second"):
            pass
    with partition.leased("the second"):
        pass


@pytest.mark.parametrize(
    "name", ["topic=t/0-1.jsonl.gz", "topic=t/partition=x/0-1.jsonl.gz", "t/0/0-1.jsonl.gz"]
)
def test_other_files_are_no_segments(name: str) -> None:
    assert segment_of(f"shop/clicks/{name}") is None
    assert segment_of("shop/clicks/topic=t/partition=0/5-4.jsonl.gz") is None
    assert segment_of("a/b/topic=t/partition=0/5-7.jsonl.gz") == Segment("t", 0, 5, 7)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=20), st.integers(0, 30))
def test_offsets_know_what_is_among_them(ranges: list[tuple[int, int]], first: int) -> None:
    offsets = Offsets()
    among: set[int] = set()
    for start, length in ranges:
        offsets.add((start, start + length))
        among |= set(range(start, start + length + 1))
    for last in range(first, first + 5):
        common = [each for each in range(first, last + 1) if each in among]
        run = [each for n, each in enumerate(common) if each == common[0] + n]
        assert offsets.overlap((first, last)) == ((run[0], run[-1]) if run else None)


def test_holes_are_what_lies_between_segments() -> None:
    assert holes_between([(10, 19), (0, 4), (5, 7), (30, 31)]) == [(8, 9), (20, 29)]
    assert holes_between([]) == []
