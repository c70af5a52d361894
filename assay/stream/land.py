"""Land a topic of Kafka, each message once: the landing folder alone says from which offset to go on."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.core.disk import make_private_folder, replace_private
from assay.core.fault import LOCKED, Fault
from assay.core.words import counted
from assay.landing.formats.messages import Message, line_of
from assay.landing.segments import Range
from assay.stream.decode import Decode, RegistryAway, decoder_of
from assay.stream.kafka import (
    Troubles,
    ask_partitions,
    ask_topic_id,
    connect,
    connect_admin,
    find_bounds,
    find_offset_at,
    find_partitions,
)
from assay.stream.partition import LandedPartition, SegmentWriter
from assay.stream.replay import LandingTimes

if TYPE_CHECKING:
    from confluent_kafka import Consumer
    from confluent_kafka.admin import AdminClient

    from assay.stream.source import StreamSource

#: Where to begin a partition of which nothing has landed: a word, an offset, or a time (UTC).
Start = int | datetime | str
_MESSAGES_A_BATCH = 10_000
_SECONDS_BETWEEN_LOOKS = 5.0
_SECONDS_AFTER_A_FULL_DISK = 5.0
_SECONDS_WITHOUT_REGISTRY = 2.0
# The file beside the partitions that says which topic they are of.
_TOPIC_ID = ".topic-id"


@dataclass(frozen=True)
class Limits:
    """When a segment is closed: so many seconds after it was begun, or with so many bytes."""

    seconds: float = 60.0
    bytes: int = 128 << 20


@dataclass
class Progress:
    """How far a partition has come in this run; `at_end` if all that the broker had was read.

    `end` is the offset after the last that the broker has, as far as it is known. `log_read_at` is when the
    log of a database was read last (seconds since 1970), which does not say how much follows.
    """

    partition: LandedPartition
    position: int
    messages: int = 0
    bytes: int = 0
    segments: int = 0
    at_end: bool = False
    last_timestamp: int | None = None
    gaps: list[Range] = field(default_factory=list)
    end: int | None = None
    log_read_at: float | None = None
    begun: float = field(default_factory=time.time)

    @property
    def lag(self) -> int | None:
        """The number of offsets at the broker that have not landed; None if that is not known."""
        if self.log_read_at is not None:
            return None
        if self.at_end:
            return 0
        return None if self.end is None else max(0, self.end - self.position)

    @property
    def silent_seconds(self) -> float:
        """The time since the last message, or since the run began."""
        last = self.begun if self.last_timestamp is None else self.last_timestamp / 1000
        return max(0.0, time.time() - max(last, 0.0))

    @property
    def behind_seconds(self) -> float | None:
        """How long the oldest message that has not landed has waited, at most; None if that is not known."""
        if self.log_read_at is not None:
            return max(0.0, time.time() - self.log_read_at)
        if self.lag is None:
            return None
        return self.silent_seconds if self.lag else 0.0


class _Reading:
    """One partition: what is to be read, up to where it was read, and the segment that is written."""

    def __init__(
        self,
        partition: LandedPartition,
        ranges: list[Range],
        progress: Progress,
        landed_before: Callable[[int], int | None],
    ) -> None:
        self.partition = partition
        self.landed_before = landed_before
        # What lacks between the segments comes first; the last range has no end.
        self.ranges = ranges
        self.progress = progress
        self.writer: SegmentWriter | None = None
        # The first offset that is in no closed segment: the next one begins there, whatever was read since.
        self.following = progress.position

    @property
    def end(self) -> int | None:
        """The last offset to read before the next range begins; None if there is no end."""
        return self.ranges[0][1] if len(self.ranges) > 1 else None

    def write(self, messages: Sequence[Message]) -> None:
        """Add messages to the open segment."""
        if self.writer is None:
            self.writer = SegmentWriter(self.partition, self.following)
        self.writer.add(map(line_of, messages))
        self.progress.position = messages[-1].offset + 1
        self.progress.messages += len(messages)
        self.progress.bytes += sum(len(message.value or b"") for message in messages)
        self.progress.last_timestamp = messages[-1].timestamp

    def close(self) -> None:
        """Close the open segment, if there is one."""
        if self.writer is not None:
            self.writer.close(self.progress.position - 1)
            self.writer = None
            self.following = self.progress.position
            self.progress.segments += 1

    def end_range(self) -> None:
        """Close what fills a hole up to its end, and go to the next range."""
        assert self.end is not None
        if self.following <= self.end:
            self.progress.position = self.end + 1
            # Where none of the last offsets is a message, an empty segment says so.
            self.writer = self.writer or SegmentWriter(self.partition, self.following)
            self.close()
        self._begin_next()

    def skip_to(self, low: int) -> list[Range]:
        """Go on at the first offset that the broker has; return those before it that lack therefore."""
        gaps = []
        while self.progress.position < low:
            self.close()
            if self.end is not None and self.end < low:
                gaps.append((self.progress.position, self.end))
                self._begin_next()
            else:
                gaps.append((self.progress.position, low - 1))
                self.following = self.progress.position = low
        return gaps

    def _begin_next(self) -> None:
        self.ranges.pop(0)
        self.following = self.progress.position = self.ranges[0][0]

    def discard(self) -> None:
        """Forget what is in no closed segment."""
        self.progress.position = self.following
        if self.writer is not None:
            self.progress.messages -= self.writer.messages
            self.writer.discard()
            self.writer = None


class TopicLanding:
    """Lands the partitions of one topic. Use it as a context: it holds their leases.

    Args:
        source: the landing table and its server.
        landing: the landing zone's folder.
        command: what other processes are told holds the leases.
        partitions: the partitions to land; all if None.
        start: where to begin partitions of which nothing has landed.
        limits: when segments are closed.
        known: another landing zone, in which messages have landed already: they keep the time of that.
        tell: called with messages for people.

    Raises:
        Fault: the broker, its topic or a partition cannot be read, or another process lands them.
    """

    def __init__(
        self,
        source: StreamSource,
        landing: Path,
        *,
        command: str,
        partitions: Sequence[int] | None = None,
        start: Start = "earliest",
        limits: Limits | None = None,
        known: Path | None = None,
        tell: Callable[[str], None],
    ) -> None:
        self.source = source
        self._place_in_zone = Path(source.table.source) / source.table.name
        self._folder = landing / self._place_in_zone
        self._known = known
        self._command, self._asked, self._start = command, partitions, start
        self._limits, self._tell = limits or Limits(), tell
        self._troubles = Troubles()
        self._decode: Decode = decoder_of(source.format)
        # The partitions that this process has found, also those that it cannot land.
        self._found: set[int] = set()
        self._readings: dict[int, _Reading] = {}
        # Partitions to go on with from another place, once all that was received is taken.
        self._moved: set[int] = set()
        self._leases = ExitStack()
        self._looked = self._probed = time.monotonic()
        # Until when nothing is read, and why people were told.
        self._rests_until = 0.0
        self._rests_for = ""
        # The partition that has to land before the reason is over; None: any of them.
        self._rests_at: int | None = None
        self._consumer: Consumer | None = None
        self._admin: AdminClient | None = None
        # Whether the broker had no such topic at the last look.
        self._is_gone = False
        #: Whether the broker answered when it was asked last; it is asked after an error.
        self.is_up = True

    def __enter__(self) -> TopicLanding:
        try:
            self._begin()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for reading in self._readings.values():
                reading.close()
        finally:
            self._end()

    @property
    def progress(self) -> list[Progress]:
        """How far each partition has come."""
        return [reading.progress for reading in self._readings.values()]

    @property
    def is_drained(self) -> bool:
        """Whether all that the broker had of every partition has been read."""
        return all(each.progress.at_end and len(each.ranges) == 1 for each in self._readings.values())

    def poll(self, seconds: float) -> list[tuple[StreamSource, dict[int, list[Message]]]]:
        """Read what has come, write it to the open segments, and close those that are due.

        Args:
            seconds: how long to wait for messages.

        Returns:
            The messages by partition, if any; those that close a hole between segments are among them.

        Raises:
            Fault: the broker refuses to go on, or a segment cannot be written.
        """
        landed: dict[int, list[Message]] = {}
        try:
            if time.monotonic() < self._rests_until:
                time.sleep(seconds)
            else:
                self._read(seconds, landed)
            self._close_due()
            if not self._rests_until and (landed if self._rests_at is None else landed.get(self._rests_at)):
                self._rests_for = ""
        except OSError as error:
            self._begin_again(error)
            # What is in closed segments has landed.
            for number, messages in landed.items():
                position = self._readings[number].progress.position
                landed[number] = [each for each in messages if each.offset < position]
        return [(self.source, landed)] if any(landed.values()) else []

    def _read(self, seconds: float, landed: dict[int, list[Message]]) -> None:
        """Read what has come, and write it to the open segments; add it to `landed`, by partition."""
        assert self._consumer is not None
        if self._rests_until:
            self._rests_until = 0.0
            self._assign()
        # The client's own types say of all that a message has that it may be missing.
        received: list[Any] = self._consumer.consume(_MESSAGES_A_BATCH, timeout=seconds)
        batches: dict[int, list[Any]] = defaultdict(list)
        for message in received:
            if message.error() is None:
                batches[message.partition()].append(message)
        if not received and (trouble := self._troubles.news()):
            self._tell(f"{self.source.name}: {trouble}. Trying again.")
        self._look_at_broker()
        try:
            for number, batch in batches.items():
                landed[number] = self._take(self._readings[number], batch)
        except RegistryAway as away:
            why = f"{self.source.name}: the schema registry cannot be asked ({away})"
            self._rest(_SECONDS_WITHOUT_REGISTRY, why, number)
            return
        for message in received:
            # What is told of a place that was left meanwhile no longer counts.
            if message.error() is not None and message.partition() not in self._moved:
                self._take_event(message)
        if self._moved:
            self._assign()

    def _take(self, reading: _Reading, batch: Sequence[Any]) -> list[Message]:
        # Only a broker that keeps the time of appending knows when a message could first be read.
        from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

        now = time.time_ns() // 1_000_000
        messages = []
        for each in batch:
            offset = each.offset()
            # After a change of place, messages of the former place may still come.
            if offset < reading.progress.position or (reading.end is not None and offset > reading.end):
                continue
            kind, timestamp = each.timestamp()
            landed_at = min(timestamp, now) if kind == TIMESTAMP_LOG_APPEND_TIME else now
            landed_at = reading.landed_before(offset) or landed_at
            messages.append(
                Message(
                    offset,
                    timestamp if kind else None,
                    landed_at,
                    self._decode(each.key()),
                    each.headers() or (),
                    self._decode(each.value()),
                )
            )
        if messages:
            reading.write(messages)
        reading.progress.at_end = False
        if reading.end is not None and batch[-1].offset() >= reading.end:
            self._go_to_next(reading)
        return messages

    def _take_event(self, message: Any) -> None:
        from confluent_kafka import KafkaError

        error, reading = message.error(), self._readings.get(message.partition())
        if error.code() == KafkaError._PARTITION_EOF and reading is not None:
            if reading.end is not None:
                self._go_to_next(reading)
            else:
                # The end may lie behind markers of transactions, which are no messages.
                reading.progress.position = max(reading.progress.position, message.offset())
                reading.progress.at_end = True
        elif error.code() in (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET) and reading:
            self._leave_gap(reading)
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise Fault(
                f"{self.source.name}: the broker does not let the topic {self.source.topic} be read "
                f"({error.str()}): the user, as in ASSAY_KAFKA_SASL_USERNAME, needs the right READ on it."
            )
        elif not error.retriable():
            self._tell(f"{self.source.name}: {error.str()}.")

    def _close_due(self) -> None:
        for reading in self._readings.values():
            writer = reading.writer
            if writer is None:
                continue
            age = time.monotonic() - writer.opened
            if age >= self._limits.seconds or writer.size >= self._limits.bytes:
                reading.close()

    def _begin(self) -> None:
        self._consumer = connect(self.source, self._troubles)
        there = find_partitions(self._consumer, self.source, self._troubles)
        if strange := sorted(set(self._asked or ()) - set(there)):
            raise Fault(
                f"The topic {self.source.topic} has no partition {strange[0]}: it has {len(there)}, from 0."
            )
        self._admin = connect_admin(self.source)
        self._check_topic()
        landed = [int(path.name.partition("=")[2]) for path in self._partition_folders()]
        if lost := sorted(set(landed) - set(there)):
            self._tell(
                f"{self.source.name}: the topic has {counted(len(there), 'partition')}, but partition "
                f"{lost[-1]} has landed. It was deleted and made again: what has landed stays."
            )
        for number in there if self._asked is None else self._asked:
            self._add(number, self._start)
        if not self._readings:
            raise Fault(f"{self.source.name}: no partition can be landed; the messages above say why.")
        self._assign()

    def _check_topic(self) -> None:
        """Refuse a topic that is gone or was made again since it landed; remember which one it is."""
        kept = self._folder / f"topic={self.source.topic}" / _TOPIC_ID
        assert self._admin is not None
        found = ask_topic_id(self._admin, self.source.topic)
        known = kept.read_text() if kept.exists() else None
        if found == "":
            # A broker that has just started may not know all of its topics at the first look.
            if self._is_gone:
                raise Fault(
                    f"{self.source.name}: the broker has no topic {self.source.topic} any more. What has "
                    "landed stays. Name the topic that comes instead in the contract."
                )
            self._is_gone = True
            return
        self._is_gone = False
        if found is None or found == known:
            return
        has_begun = bool(self._readings) or any(kept.parent.glob("partition=*/[0-9]*.gz"))
        if known is not None and has_begun:
            raise Fault(
                f"{self.source.name}: the topic {self.source.topic} was deleted and made again since it "
                "landed: land the new one under another name of topic, or move the old segments to another "
                f"landing table. Where it was moved with its messages and their offsets, remove {kept}."
            )
        make_private_folder(kept.parent)
        replace_private(kept, found.encode())

    def _partition_folders(self) -> list[Path]:
        return [
            path
            for path in self._folder.glob(f"topic={self.source.topic}/partition=*")
            if path.name.partition("=")[2].isdigit()
        ]

    def _add(self, number: int, start: Start) -> None:
        """Begin to land a partition, in the next assignment."""
        partition = LandedPartition(self._folder, self.source.topic, number)
        with ExitStack() as lease:
            lease.enter_context(partition.leased(self._command))
            for path in partition.put_in_order():
                self._tell(f"{path} is damaged, and is set aside: its messages are fetched again.")
            self._place(partition, start)
            self._leases.enter_context(lease.pop_all())
        self._found.add(number)
        self._moved.add(number)

    def _add_new(self) -> None:
        """Land the partitions that the topic has been given since, from their first message."""
        assert self._consumer is not None
        there = [] if self._asked else ask_partitions(self._consumer, self.source.topic) or []
        for number in (each for each in there if each not in self._found):
            try:
                self._add(number, "earliest")
                self._tell(
                    f"{self.source.name}: the topic has a new partition, {number}, which lands as well."
                )
            except Fault as fault:
                self._tell(str(fault))
                if fault.exit_code == LOCKED:
                    self._found.add(number)

    def _place(self, partition: LandedPartition, start: Start) -> None:
        """Decide what to read of a partition: what lacks between its segments, then on from their end."""
        assert self._consumer is not None
        low, high = find_bounds(self._consumer, partition.topic, partition.partition)
        following = partition.next_offset()
        if following is not None and following > high:
            self._tell(
                f"{self.source.name}: offset {following - 1} of {partition.topic}/{partition.partition} has "
                f"landed, but the broker's end at {high - 1}. The topic was deleted and made again: land the "
                "new one under another name of topic, or move the old segments to another landing table."
            )
            return
        first = self._first(partition, start, low, high) if following is None else following
        ranges = [*partition.holes(), (first, -1)]
        landed_before = partition.landing_times()
        if self._known is not None:
            known = LandedPartition(self._known / self._place_in_zone, partition.topic, partition.partition)
            landed_before = LandingTimes(known).find
        reading = _Reading(partition, ranges, Progress(partition, ranges[0][0]), landed_before)
        self._note_gaps(reading, low)
        self._readings[partition.partition] = reading

    def _first(self, partition: LandedPartition, start: Start, low: int, high: int) -> int:
        if isinstance(start, datetime):
            assert self._consumer is not None
            return find_offset_at(self._consumer, partition.topic, partition.partition, start, high)
        if isinstance(start, int):
            return min(max(start, low), high)
        return low if start == "earliest" else partition.begin_at(high)

    def _assign(self) -> None:
        from confluent_kafka import TopicPartition

        assert self._consumer is not None
        self._moved.clear()
        self._consumer.assign(
            [
                TopicPartition(self.source.topic, number, reading.progress.position)
                for number, reading in self._readings.items()
            ]
        )

    def _go_to_next(self, reading: _Reading) -> None:
        reading.end_range()
        self._move(reading)

    def _leave_gap(self, reading: _Reading) -> None:
        """Go on at the first offset that the broker still has."""
        assert self._consumer is not None
        low, high = find_bounds(self._consumer, reading.partition.topic, reading.partition.partition)
        position = reading.progress.position
        if position > high:
            raise Fault(
                f"{self.source.name}: the broker's offsets end at {high - 1}, and {position - 1} was read: "
                f"the topic {reading.partition.topic} was deleted and made again."
            )
        self._note_gaps(reading, low)
        self._move(reading)

    def _note_gaps(self, reading: _Reading, low: int) -> None:
        for gap in reading.skip_to(low):
            reading.progress.gaps.append(gap)
            self._tell(
                f"{self.source.name}: the broker no longer has the offsets {gap[0]} to {gap[1]} of "
                f"{reading.partition.topic}/{reading.partition.partition}. They are lost here: mon_streams "
                "shows the gap."
            )

    def _move(self, reading: _Reading) -> None:
        """Have the reading go on at its position, once all that was received is taken."""
        reading.progress.at_end = False
        self._moved.add(reading.partition.partition)

    def _begin_again(self, error: OSError) -> None:
        """After a segment could not be written: forget what is unfinished, and read it again later."""
        for reading in self._readings.values():
            reading.discard()
        self._rest(_SECONDS_AFTER_A_FULL_DISK, f"{self._folder} cannot be written ({error.strerror})")

    def _rest(self, seconds: float, why: str, partition: int | None = None) -> None:
        """Read nothing for a while, without keeping other topics waiting; then go on from what was taken."""
        assert self._consumer is not None
        if why != self._rests_for:
            self._tell(
                f"{why}: trying again every {seconds:.0f} s. Nothing is lost as long as the broker keeps its "
                "messages."
            )
        self._rests_for, self._rests_at = why, partition
        self._rests_until = time.monotonic() + seconds
        self._consumer.unassign()
        for reading in self._readings.values():
            reading.progress.at_end = False

    def _look_at_broker(self) -> None:
        """Find out every few seconds whether the broker is there, and what it has that is new."""
        now = time.monotonic()
        assert self._consumer is not None
        if self._troubles.is_open and now - self._probed >= _SECONDS_BETWEEN_LOOKS:
            was_up, self.is_up = self.is_up, ask_partitions(self._consumer, self.source.topic) is not None
            self._troubles.is_open = not self.is_up
            if self.is_up and not was_up:
                self._troubles.end()
            self._probed = time.monotonic()
        if now - self._looked >= _SECONDS_BETWEEN_LOOKS:
            self._looked = now
            self._commit()
            if not self._troubles.is_open:
                self._check_topic()
                self._add_new()

    def _commit(self) -> None:
        """Tell the broker's group how far it came, for dashboards of lag; nothing rests on it."""
        from confluent_kafka import KafkaException, TopicPartition

        assert self._consumer is not None
        offsets = []
        for number, reading in self._readings.items():
            place = TopicPartition(self.source.topic, number, reading.progress.position)
            offsets.append(place)
            # What came with the last messages: the broker is not asked.
            _, end = self._consumer.get_watermark_offsets(place, cached=True)
            reading.progress.end = end if end >= 0 else None
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._troubles.last = error.args[0].str()

    def _end(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
        self._leases.close()
