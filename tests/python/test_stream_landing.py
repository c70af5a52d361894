"""A topic lands each message once, whatever happens to the process, the broker or the files."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
from kafka_broker import Broker, StartedBroker
from streamed_topic import Stream

from assay.core.fault import LOCKED, Fault
from assay.core.places import Places
from assay.landing.declared import LandingTable
from assay.landing.formats.messages import Message
from assay.stream import land
from assay.stream.land import Limits, Progress, TopicLanding
from assay.stream.partition import LandedPartition, SegmentWriter
from assay.stream.run import Landed, StreamOptions, run_streams
from assay.stream.source import StreamSource
from assay.stream.status import read_stream_status


@pytest.fixture
def make_stream(broker: Broker, tmp_path: Path) -> Callable[..., Stream]:
    def make(partitions: int = 1, **config: str | int) -> Stream:
        topic = f"landing-{tmp_path.name.replace('_', '-')}-{time.time_ns()}"
        named = {name.replace("_", "."): value for name, value in config.items()}
        return Stream(broker, broker.create_topic(topic, partitions, named), tmp_path / "landing")

    return make


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's clock is in New York."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def stream(make_stream: Callable[..., Stream]) -> Stream:
    return make_stream()


def test_messages_land_with_key_headers_and_time(stream: Stream) -> None:
    stream.broker.produce(stream.topic, ['{"id":1}'], key="k", headers=[("h", b"v")], timestamp=1000)
    stream.run()
    [document] = stream.documents()
    assert document.pop("_landed_at") == pytest.approx(time.time() * 1000, abs=60_000)
    assert document == {"_offset": 0, "_timestamp": 1000, "_key": "k", "_headers": {"h": "v"}, "id": 1}


def test_the_next_run_goes_on_where_the_landing_folder_ends(stream: Stream) -> None:
    for run in range(3):
        stream.broker.produce(stream.topic, [f'{{"id":{run}}}'] * 10)
        stream.run(start="latest" if run else "earliest")
    assert [(each.first, each.last) for each in stream.partition().segments()] == [(0, 9), (10, 19), (20, 29)]
    assert stream.offsets() == list(range(30))
    assert stream.run().messages == 0


def test_segments_are_closed_by_size_and_by_time(stream: Stream) -> None:
    values = [json.dumps({"pad": random.Random(n).randbytes(3000).hex()}) for n in range(200)]
    stream.broker.produce(stream.topic, values)
    with mock.patch.object(land, "_MESSAGES_A_BATCH", 20):
        stream.run(limits=Limits(bytes=100_000))
        assert len(stream.partition().segments()) > 3
        before = len(stream.partition().segments())
        stream.broker.produce(stream.topic, values)
        stream.run(limits=Limits(seconds=0))
    assert len(stream.partition().segments()) - before >= 10
    assert stream.offsets() == list(range(400))


@pytest.mark.parametrize(
    ("start", "first"),
    [("earliest", 0), ("latest", None), (4, 4), (99, None), ("time", 6)],
)
def test_where_a_new_partition_begins(
    stream: Stream, elsewhere: None, start: int | str, first: int | None
) -> None:
    then = datetime(2025, 1, 1, tzinfo=UTC)
    for hour in range(10):
        milliseconds = int((then + timedelta(hours=hour)).timestamp() * 1000)
        stream.broker.produce(stream.topic, [f'{{"hour":{hour}}}'], timestamp=milliseconds)
    stream.run(start=datetime(2025, 1, 1, 5, 30) if start == "time" else start)
    assert stream.offsets() == ([] if first is None else list(range(first, 10)))


def test_what_comes_between_two_runs_from_the_latest_message_lands(stream: Stream) -> None:
    stream.broker.produce(stream.topic, ["{}"] * 3)
    assert stream.run(start="latest").messages == 0
    stream.broker.produce(stream.topic, ["{}"] * 2)
    assert stream.run(start="latest").messages == 2
    assert stream.offsets() == [3, 4]


def test_a_process_that_is_killed_at_any_moment_loses_and_repeats_nothing(stream: Stream) -> None:
    values = [json.dumps({"id": n, "pad": "x" * 200}) for n in range(20_000)]
    stream.broker.produce(stream.topic, values)
    program = (
        "import sys; sys.path[:0] = sys.argv[1:2]; import test_stream_landing as t; from pathlib import Path;"
        "from unittest import mock; from assay.stream import land;"
        "mock.patch.object(land, '_MESSAGES_A_BATCH', 50).start();"
        "s = t.Stream(t.Broker(sys.argv[2]), sys.argv[3], Path(sys.argv[4])); print('begun', flush=True);"
        "s.run(limits=t.Limits(bytes=4000))"
    )
    arguments = [str(Path(__file__).parent), stream.broker.address, stream.topic, str(stream.landing)]
    chance = random.Random(7)
    killed = 0
    while killed < 5:
        process = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.05, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += 1
    stream.run()
    assert Counter(stream.offsets()) == Counter(range(len(values)))
    assert [document["id"] for document in stream.documents()] == list(range(len(values)))


def test_messages_that_a_killed_process_has_read_keep_the_time_of_that(stream: Stream) -> None:
    stream.broker.produce(stream.topic, ["{}"] * 10)
    taken: list[Message] = []
    # The second process has not read them all when it is killed.
    for batch, least in ((10_000, 10), (3, 13)):
        with mock.patch.object(land, "_MESSAGES_A_BATCH", batch):
            killed = TopicLanding(stream.source, stream.landing, command="a test", tell=stream.told.append)
            killed.__enter__()
            while len(taken) < least:
                taken += [each for _, landed in killed.poll(0.1) for each in landed[0]]
            assert killed._consumer is not None
            killed._consumer.close()
            killed._leases.close()
    stream.broker.produce(stream.topic, ["{}"])
    stream.run()
    assert [each["_landed_at"] for each in stream.documents()[:10]] == [each.landed_at for each in taken[:10]]
    assert len(stream.documents()) == 11


def test_a_second_process_on_the_same_partition_is_refused(make_stream: Callable[..., Stream]) -> None:
    stream = make_stream(2)
    stream.broker.produce(stream.topic, ["{}"], partition=1)
    with stream.partition(0).leased("assay stream run"):
        with pytest.raises(Fault, match="is landed by another process: PID"):
            stream.run()
        assert stream.run(partitions=[1]).messages == 1


def test_a_partition_that_the_topic_is_given_lands_from_its_first_message(
    kafka: Broker, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(land, "_SECONDS_BETWEEN_LOOKS", 0.0)
    with TopicLanding(
        stream.source, stream.landing, command="a test", start="latest", tell=stream.told.append
    ) as topic:
        topic.poll(0.1)
        kafka.add_partitions(stream.topic, 2)
        kafka.produce(stream.topic, ["{}"] * 3, partition=1)
        kafka.produce(stream.topic, ["{}"] * 2, partition=0)
        deadline = time.monotonic() + 60
        while sum(each.messages for each in topic.progress) < 5:
            assert time.monotonic() < deadline
            topic.poll(0.1)
    assert (stream.offsets(0), stream.offsets(1)) == ([0, 1], [0, 1, 2])
    assert "has a new partition, 1" in stream.told[0]


def test_a_broker_that_restarts_is_waited_for(own_kafka: StartedBroker, stream: Stream) -> None:
    stream.broker.produce(stream.topic, ["{}"] * 100)
    seen: list[int] = []

    def show(landed: list[Landed]) -> None:
        if landed and landed[0].messages >= 100 and not seen:
            seen.append(1)
            own_kafka.stop()
            own_kafka.start()
            stream.broker.produce(stream.topic, ["{}"] * 100)
        if landed and landed[0].messages >= 200:
            os.kill(os.getpid(), signal.SIGTERM)

    run_streams(
        [stream.source],
        stream.landing,
        StreamOptions(),
        command="a test",
        tell=stream.told.append,
        show=show,
    )
    assert stream.offsets() == list(range(200))


def test_a_trouble_is_told_when_no_messages_come_and_again_when_it_comes_again(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(land, "_SECONDS_BETWEEN_LOOKS", 0.0)
    message = mock.Mock(
        **{
            "error.return_value": None,
            "partition.return_value": 0,
            "offset.return_value": 0,
            "timestamp.return_value": (1, 5),
            "key.return_value": None,
            "headers.return_value": None,
            "value.return_value": b"{}",
        }
    )
    down = mock.Mock(**{"str.return_value": "All brokers are down"})
    with TopicLanding(stream.source, stream.landing, command="a test", tell=stream.told.append) as topic:
        real, topic._consumer = topic._consumer, mock.Mock(wraps=topic._consumer)
        answers = iter([None, [0], None])
        monkeypatch.setattr(land, "ask_partitions", lambda *_: next(answers, [0]))
        told = []
        for received in ([message], [], [], [], []):
            topic._consumer.consume.side_effect = [received]
            if len(told) in (0, 3):
                topic._troubles.note(down)
            topic.poll(0)
            told.append(len(stream.told))
        topic._consumer = real
    assert told == [0, 1, 1, 2, 2]
    assert set(stream.told) == {"shop.clicks: All brokers are down. Trying again."}


def test_a_topic_that_the_user_may_not_read_ends_its_landing(stream: Stream) -> None:
    """The broker repeats it for ever, so that a run until all has landed would not end."""
    from confluent_kafka import KafkaError

    refused = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    message = mock.Mock(**{"error.return_value": refused, "partition.return_value": 0})
    with TopicLanding(stream.source, stream.landing, command="a test", tell=stream.told.append) as topic:
        real, topic._consumer = topic._consumer, mock.Mock(wraps=topic._consumer)
        topic._consumer.consume.side_effect = [[message]]
        with pytest.raises(Fault, match=r"does not let the topic .* be read .* needs the right READ on it"):
            topic.poll(0)
        topic._consumer = real


def test_messages_of_aborted_transactions_never_land(kafka: Broker, stream: Stream) -> None:
    kafka.produce(stream.topic, ["aborted"] * 5, commit=False)
    kafka.produce(stream.topic, ['{"ok":1}'] * 5, commit=True)
    kafka.produce(stream.topic, ["aborted"] * 5, commit=False)
    assert stream.run().messages == 5
    assert {document["ok"] for document in stream.documents()} == {1}
    kafka.produce(stream.topic, ['{"ok":2}'], commit=True)
    assert stream.run().messages == 1
    # Markers of transactions have offsets too; none is taken for a message that lacks.
    assert stream.partition().holes() == []


def test_segments_have_no_hole_where_a_marker_of_a_transaction_comes_between(
    kafka: Broker, stream: Stream
) -> None:
    closed = Limits(seconds=0)
    with (
        mock.patch.object(land, "_MESSAGES_A_BATCH", 1),
        TopicLanding(
            stream.source, stream.landing, command="a test", limits=closed, tell=stream.told.append
        ) as topic,
    ):
        for messages in (3, 6):
            kafka.produce(stream.topic, ["{}"] * 3, commit=True)
            wait_until_landed(topic, messages)
        assert stream.partition().ranges() == [(0, 6)]


def test_segments_that_fill_a_hole_do_not_overlap(kafka: Broker, stream: Stream) -> None:
    """The last offset of the hole is no message, and the segment was closed before it."""
    for _ in range(3):
        kafka.produce(stream.topic, ["{}"] * 10, commit=True)
        stream.run()
    partition = stream.partition()
    before = [(each.first, each.last) for each in partition.segments()]
    assert before == [(0, 10), (11, 21), (22, 32)]
    (partition.table / partition.segments()[1].path).unlink()
    with mock.patch.object(land, "_MESSAGES_A_BATCH", 5):
        stream.run(limits=Limits(seconds=0))
    after = [(each.first, each.last) for each in partition.segments()]
    assert (after[0], after[-1]) == (before[0], before[-1])
    # Of segments that overlap, the larger is loaded and the other is not.
    assert [last + 1 for _, last in after[:-1]] == [first for first, _ in after[1:]]
    assert len(stream.offsets()) == 30


def test_several_holes_are_filled_each(stream: Stream) -> None:
    for _ in range(7):
        stream.broker.produce(stream.topic, ["{}"] * 10)
        stream.run()
    partition = stream.partition()
    # What is received at once is less than a hole, or goes beyond the next one.
    for batch in (3, 35):
        for segment in partition.segments()[1:6:2]:
            (partition.table / segment.path).unlink()
        with mock.patch.object(land, "_MESSAGES_A_BATCH", batch):
            stream.run()
    assert stream.offsets() == list(range(70))


def test_what_expired_in_holes_and_behind_them_is_a_gap_each(tmp_path: Path) -> None:
    partition = LandedPartition(tmp_path, "t", 0)
    reading = land._Reading(
        partition, [(10, 19), (30, 39), (50, -1)], Progress(partition, 10), lambda _: None
    )
    reading.write([Message(10, None, 1, None, (), b"{}")])
    assert reading.skip_to(10) == []
    assert reading.skip_to(35) == [(11, 19), (30, 34)]
    assert (reading.progress.position, reading.end) == (35, 39)
    reading.end_range()
    assert reading.skip_to(60) == [(50, 59)]
    assert (reading.progress.position, reading.end) == (60, None)
    assert partition.ranges() == [(10, 10), (35, 39)]


def wait_until_landed(topic: TopicLanding, messages: int) -> None:
    """Poll until so many messages have landed, and the topic was read to its end."""
    deadline = time.monotonic() + 60
    while topic.progress[0].messages < messages or not topic.is_drained:
        assert time.monotonic() < deadline
        topic.poll(0.1)


def test_a_segment_that_is_cut_off_or_lost_is_fetched_again(stream: Stream) -> None:
    for _ in range(4):
        stream.broker.produce(stream.topic, ["{}"] * 10)
        stream.run()
    partition = stream.partition()
    second, third = (partition.table / each.path for each in partition.segments()[1:3])
    os.truncate(second, second.stat().st_size - 5)
    third.unlink()
    stream.broker.produce(stream.topic, ["{}"] * 10)
    stream.run()
    assert Counter(stream.offsets()) == Counter(range(50))
    assert any("is damaged, and is set aside" in each for each in stream.told)
    assert list(partition.folder.glob("_damaged-*"))


def test_the_first_and_the_last_segment_are_fetched_again_as_they_were(stream: Stream) -> None:
    """What the warehouse has of them is no reason then to refuse what comes later."""
    for _ in range(3):
        stream.broker.produce(stream.topic, ["{}"] * 10)
        stream.run()
    partition = stream.partition()
    for segment in (partition.segments()[0], partition.segments()[2]):
        path = partition.table / segment.path
        os.truncate(path, path.stat().st_size - 5)
    stream.broker.produce(stream.topic, ["{}"] * 10)
    stream.run()
    assert [(each.first, each.last) for each in partition.segments()] == [
        (0, 9),
        (10, 19),
        (20, 29),
        (30, 39),
    ]
    assert stream.offsets() == list(range(40))


def test_offsets_that_expired_at_the_broker_are_a_gap_that_is_told(kafka: Broker, stream: Stream) -> None:
    kafka.produce(stream.topic, ["{}"] * 10)
    stream.run()
    kafka.produce(stream.topic, ["{}"] * 10)
    kafka.expire(stream.topic, 0, 15)
    landed = stream.run()
    assert stream.offsets() == [*range(10), *range(15, 20)]
    assert landed.partitions[0].gaps == [(10, 14)]
    assert "no longer has the offsets 10 to 14" in stream.told[0]
    assert stream.partition().holes() == [(10, 14)]


def test_offsets_that_expire_while_a_stream_runs_are_a_gap(kafka: Broker, stream: Stream) -> None:
    kafka.produce(stream.topic, ["{}"] * 10)
    with land.TopicLanding(stream.source, stream.landing, command="a test", tell=stream.told.append) as topic:
        kafka.produce(stream.topic, ["{}"] * 10)
        kafka.expire(stream.topic, 0, 15)
        deadline = time.monotonic() + 30
        while not topic.is_drained and time.monotonic() < deadline:
            topic.poll(0.1)
    landed = stream.offsets()
    lost = sum(last - first + 1 for first, last in topic.progress[0].gaps)
    assert landed[-1] == 19
    assert len(landed) + lost == 20


@pytest.mark.parametrize("messages", [0, 30])
def test_a_topic_that_was_made_again_is_not_mixed_with_the_old(
    kafka: Broker, stream: Stream, messages: int
) -> None:
    kafka.produce(stream.topic, ['{"old":1}'] * 10)
    stream.run()
    kafka.delete_topic(stream.topic)
    time.sleep(1)
    kafka.create_topic(stream.topic, 1)
    kafka.produce(stream.topic, ['{"new":1}'] * messages)
    with pytest.raises(Fault, match="was deleted and made again"):
        stream.run()
    assert len(stream.documents()) == 10
    # A broker that has the messages at their places, under another id.
    [kept] = stream.landing.rglob(".topic-id")
    kept.unlink()
    if messages:
        assert stream.run().messages == 20
    else:
        with pytest.raises(Fault, match="no partition can be landed"):
            stream.run()
        assert "was deleted and made again" in stream.told[0]


def test_a_topic_that_is_made_again_while_it_is_landed_ends_that(
    kafka: Broker, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.produce(stream.topic, ['{"old":1}'] * 5)
    with TopicLanding(stream.source, stream.landing, command="a test", tell=stream.told.append) as topic:
        wait_until_landed(topic, 5)
        kafka.delete_topic(stream.topic)
        time.sleep(1)
        kafka.create_topic(stream.topic, 1)
        kafka.produce(stream.topic, ['{"new":1}'] * 10)
        monkeypatch.setattr(land, "_SECONDS_BETWEEN_LOOKS", 0.0)
        with pytest.raises(Fault, match="was deleted and made again since it landed"):
            topic.poll(0.1)
    # The broker no longer has the old ones, so they land.
    assert stream.documents()[4]["old"] == 1


def test_a_topic_that_is_deleted_while_it_is_landed_ends_that(
    kafka: Broker, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.produce(stream.topic, ['{"old":1}'] * 5)
    with TopicLanding(stream.source, stream.landing, command="a test", tell=stream.told.append) as topic:
        wait_until_landed(topic, 5)
        kafka.delete_topic(stream.topic)
        monkeypatch.setattr(land, "_SECONDS_BETWEEN_LOOKS", 0.0)
        with pytest.raises(Fault, match=f"the broker has no topic {stream.topic} any more"):
            wait_until_landed(topic, 6)
    assert len(stream.documents()) == 5


def test_a_full_disk_is_waited_for_and_nothing_is_lost(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(land, "_SECONDS_AFTER_A_FULL_DISK", 0.05)
    stream.broker.produce(stream.topic, ["{}"] * 100)
    full = iter([True, False, True])
    add, close = SegmentWriter.add, SegmentWriter.close

    def add_to_full_disk(self: SegmentWriter, lines: Iterator[bytes]) -> None:
        add(self, lines)
        if next(full, False):
            raise OSError(28, "No space left on device")

    def close_on_full_disk(self: SegmentWriter, last: int) -> object:
        if next(full, False):
            raise OSError(28, "No space left on device")
        return close(self, last)

    monkeypatch.setattr(SegmentWriter, "add", add_to_full_disk)
    monkeypatch.setattr(SegmentWriter, "close", close_on_full_disk)
    stream.run(limits=Limits(seconds=0))
    assert stream.offsets() == list(range(100))
    assert "No space left on device" in stream.told[0]


def test_messages_replayed_keep_the_time_when_they_landed_first(stream: Stream, tmp_path: Path) -> None:
    stream.broker.produce(stream.topic, [f'{{"id":{n}}}' for n in range(50)])
    stream.run(limits=Limits(seconds=0))
    first = stream.documents()
    again = Stream(stream.broker, stream.topic, tmp_path / "again")
    again.run(known=stream.landing)
    assert again.documents() == first


def test_a_broker_that_keeps_the_time_of_appending_says_when_messages_landed(
    make_stream: Callable[..., Stream], kafka: Broker
) -> None:
    stream = make_stream(message_timestamp_type="LogAppendTime")
    kafka.produce(stream.topic, ["{}"], timestamp=1000)
    time.sleep(0.2)
    stream.run()
    [document] = stream.documents()
    assert document["_landed_at"] == document["_timestamp"]


def test_messages_of_any_kind_land(stream: Stream) -> None:
    values = [None, "", "null", "[]", b"\xff", "{", '{"a":\n1}', "x" * 5_000_000, '{"_key":"mine"}']
    stream.broker.produce(stream.topic, values)
    stream.broker.produce(stream.topic, ["{}"], key=b"\xff\x00")
    assert stream.run().messages == 10
    documents = stream.documents()
    assert len(str(documents[7]["_value"])) == 5_000_000
    assert documents[8]["_value"] == '{"_key":"mine"}'
    assert documents[9]["_key"] == {"base64": "/wA="}


def test_a_topic_that_is_missing_is_said_with_the_remedy(stream: Stream) -> None:
    stream.topic = "no-such-topic"
    with pytest.raises(
        Fault, match=r"has no topic no-such-topic, from which shop.clicks is to come: make it"
    ):
        stream.run()


def test_a_broker_that_is_missing_is_said_with_the_remedy(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.stream.kafka._SECONDS_TO_CONNECT", 1.0)
    monkeypatch.setenv("ASSAY_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(Fault, match=r"The broker of shop.clicks cannot be reached: .*127.0.0.1:1/"):
        stream.run()


def test_a_partition_that_the_topic_has_not_is_refused(stream: Stream) -> None:
    with pytest.raises(Fault, match="has no partition 3: it has 1"):
        stream.run(partitions=[3])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ASSAY_KAFKA_ISOLATION_LEVEL", "ASSAY_KAFKA_ISOLATION_LEVEL cannot be set"),
        ("ASSAY_KAFKA_NO_SUCH_THING", 'correct ASSAY_KAFKA_NO_SUCH_THING: .*"no.such.thing"'),
    ],
)
def test_a_wrong_property_of_the_client_is_named(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(Fault, match=said):
        stream.run()


def test_status_tells_of_each_topic_that_has_landed_and_of_what_the_broker_still_has(
    make_stream: Callable[..., Stream], kafka: Broker, tmp_path: Path
) -> None:
    old, new = make_stream(), make_stream()
    for stream, count in ((old, 7), (new, 3)):
        kafka.produce(stream.topic, ["{}"] * count)
        stream.run()
    kafka.produce(new.topic, ["{}"] * 5)
    kafka.expire(new.topic, 0, 6)
    status = {}
    for stream in (old, new):
        found = read_stream_status([stream.source], Places(stream.landing, tmp_path / "none.duckdb"))
        status |= {(stream.topic, each.topic): each for each in found.partitions}
    assert {named: (each.at_broker, each.landed, each.lag) for named, each in status.items()} == {
        (old.topic, old.topic): (6, 6, 0),
        (old.topic, new.topic): (None, 2, None),
        (new.topic, old.topic): (None, 6, None),
        # The offsets 3 to 5 do not wait any more.
        (new.topic, new.topic): (7, 2, 2),
    }


def test_a_topic_that_fails_does_not_stop_the_others(stream: Stream) -> None:
    stream.broker.produce(stream.topic, ["{}"])
    missing = StreamSource(
        LandingTable("shop", "views", "jsonl", (), frozenset(), {}, {}, is_streamed=True),
        {"type": "kafka", "host": stream.broker.address, "topic": "no-such-topic"},
    )
    with pytest.raises(Fault, match=r"Not landed: shop.views\. The broker has no topic"):
        run_streams(
            [missing, stream.source],
            stream.landing,
            StreamOptions(until_drained=True),
            command="a test",
            tell=stream.told.append,
            show=lambda _: None,
        )
    assert stream.offsets() == [0]


def test_a_topic_that_fails_later_lands_what_was_read_and_leaves_its_partitions_to_others(
    make_stream: Callable[..., Stream],
) -> None:
    """The others go on."""
    failing, other = make_stream(), make_stream()
    views = replace(other.source, table=replace(other.source.table, name="views"))
    failing.broker.produce(failing.topic, ["{}"] * 3)
    take, rounds = TopicLanding._take, iter(range(1000))
    seen: list[list[int]] = []

    def take_or_fail(self: TopicLanding, reading: land._Reading, batch: list[object]) -> list[Message]:
        if self.source.name == "shop.clicks" and reading.progress.messages:
            raise Fault("Its schema registry asks for a password.")
        return take(self, reading, batch)

    def show(landed: list[Landed]) -> None:
        if any(each.fault for each in landed) and not seen:
            seen.append(failing.offsets())
            with failing.partition().leased("another process"):
                other.broker.produce(other.topic, ["{}"])
        if landed and not seen:
            failing.broker.produce(failing.topic, ["{}"])
        if (seen and landed[-1].messages) or next(rounds) > 500:
            os.kill(os.getpid(), signal.SIGTERM)

    with (
        mock.patch.object(TopicLanding, "_take", take_or_fail),
        pytest.raises(Fault, match=r"Not landed: shop.clicks\. Its schema registry asks for a password"),
    ):
        run_streams(
            [failing.source, views],
            failing.landing,
            StreamOptions(),
            command="a test",
            tell=failing.told.append,
            show=show,
        )
    assert [offsets[:3] for offsets in seen] == [[0, 1, 2]]


def test_topics_that_another_process_lands_end_the_run_with_its_exit_code(
    make_stream: Callable[..., Stream],
) -> None:
    streams = [make_stream(), make_stream()]
    views = replace(streams[1].source, table=replace(streams[1].source.table, name="views"))
    held = LandedPartition(streams[1].landing / "shop" / "views", streams[1].topic, 0)
    with (
        streams[0].partition().leased("a test"),
        held.leased("a test"),
        pytest.raises(Fault, match=r"Not landed: shop\.clicks, shop\.views") as fault,
    ):
        run_streams(
            [streams[0].source, views],
            streams[0].landing,
            StreamOptions(),
            command="a test",
            tell=print,
            show=lambda _: None,
        )
    assert fault.value.exit_code == LOCKED
