"""Land the changes of a database, each once: a transaction lands whole or not at all."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from assay.core.fault import LOCKED, Fault
from assay.landing.formats.messages import Message, line_of, read_segment
from assay.stream.debezium import DatabaseAway, Engine, Place, look_at, lsn_of, start_java
from assay.stream.land import Limits, Progress
from assay.stream.partition import LandedPartition, SegmentWriter
from assay.stream.position import Position, make_position, read_positions
from assay.stream.source import StreamSource, find_stream_sources

_POSTGRES_PORT = 5432
_SECONDS_BETWEEN_TRIES = 5.0
_SECONDS_BETWEEN_LOOKS = 0.05
_SECONDS_BETWEEN_MARKS = 10.0
# Changes of a transaction that are held until it is complete; those of a larger one go to the disk.
_CHANGES_IN_MEMORY = 20_000
_BYTES_IN_MEMORY = 64 << 20
# So many changes, or bytes of them, wait to be handed over at most; then reading waits as well.
_MOST_COMPLETE = 100_000
_MOST_BYTES_COMPLETE = 256 << 20


class _Table:
    """One table: its partition, the changes of the open transaction, and the segment that is written."""

    def __init__(self, source: StreamSource, partition: LandedPartition, following: int) -> None:
        self.source = source
        self.partition = partition
        self.progress = Progress(partition, following)
        self.held: list[Message] = []
        self.writer: SegmentWriter | None = None
        # When changes landed that a killed process has left, and that come again.
        self.landed_before: Callable[[int], int | None] = lambda offset: None
        # Changes of complete transactions that were not handed over yet; those of a large one by their file.
        self.complete: list[list[Message] | Path] = []

    def add(self, key: bytes | None, value: bytes, now: int) -> None:
        """Number a change, and hold it."""
        offset = self.progress.position + len(self.held)
        landed_at = self.landed_before(offset) or now
        self.held.append(Message(offset, landed_at, landed_at, key, (), value))

    def write(self, is_complete: bool) -> None:
        """Add what is held to the open segment; it is handed over if its transaction is complete."""
        if not self.held:
            return
        if is_complete:
            if self.complete and isinstance(self.complete[-1], list):
                self.complete[-1] += self.held
            else:
                self.complete.append(self.held)
        if self.writer is None:
            self.writer = SegmentWriter(self.partition, self.progress.position)
        self.writer.add(map(line_of, self.held))
        self.progress.position += len(self.held)
        self.progress.messages += len(self.held)
        self.progress.bytes += _size(self.held)
        self.progress.last_timestamp = self.held[-1].timestamp
        self.held = []

    def discard(self) -> None:
        """Forget what is in no closed segment."""
        self.held = []
        if self.writer is not None:
            self.progress.messages -= self.progress.position - self.writer.first
            self.progress.position = self.writer.first
            self.writer.discard()
            self.writer = None
            self.complete = [
                part
                if isinstance(part, Path)
                else [each for each in part if each.offset < self.progress.position]
                for part in self.complete
            ]

    @property
    def waiting(self) -> list[Message]:
        """The changes in memory that were not handed over yet."""
        return [each for part in self.complete if isinstance(part, list) for each in part]


def _size(changes: Iterable[Message]) -> int:
    return sum(len(each.value or b"") for each in changes)


class DatabaseLanding:
    """Lands tables of one database by one replication slot. Use it as a context: it holds their leases.

    Args:
        place: the database.
        position: how far it has landed.
        sources: the landing tables.
        landing: the landing zone's folder.
        command: what other processes are told holds the leases.
        limits: when segments are closed.
        until_drained: whether the end of the log is waited for.
        tell: called with messages for people.

    Raises:
        Fault: the database cannot be followed, or another process does that already.
    """

    def __init__(
        self,
        place: Place,
        position: Position,
        sources: Sequence[StreamSource],
        landing: Path,
        *,
        command: str,
        limits: Limits,
        until_drained: bool,
        tell: Callable[[str], None],
    ) -> None:
        self._place, self._position, self._command = place, position, command
        self._limits, self._tell = limits, tell
        self._folder = landing / sources[0].table.source
        self._seconds_between_marks = 1.0 if until_drained else _SECONDS_BETWEEN_MARKS
        self._tables: dict[str, _Table] = {}
        for source in sources:
            partition = LandedPartition(self._folder / source.table.name, source.topic, 0)
            following = max(position.next_offsets.get(source.table.name, 0), partition.next_offset() or 0)
            self._tables[partition.topic] = _Table(source, partition, following)
        self._leases = ExitStack()
        # Batches come in threads of Java.
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._next_try = 0.0
        self._has_begun = self._is_drained = False
        #: Whether the database could be reached the last time.
        self.is_up = True
        self._mark = uuid4().hex
        self._committed = time.monotonic()
        self._reset()

    def _reset(self) -> None:
        """Begin to read at the position."""
        self._is_open = self._is_transaction = self._is_spilled = False
        self._committed_in_log = self._position.committed
        # The record after which Debezium goes on, and up to where all has landed.
        self._last: Any = None
        self._read_at = 0
        self._landed: Any = None
        self._is_stopped = False

    def __enter__(self) -> DatabaseLanding:
        try:
            for table in self._tables.values():
                self._leases.enter_context(table.partition.leased(self._command))
            self._check_position()
            start_java()
            self._start()
        except BaseException:
            self._leases.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._stop()
        finally:
            self._leases.close()

    def _check_position(self) -> None:
        """Refuse a position from which another process went on before this one had the leases.

        Raises:
            Fault: that is so.
        """
        names = {table.source.table.name for table in self._tables.values()}
        for each in read_positions(self._folder):
            is_of_these = each.database == self._position.database and each.next_offsets.keys() & names
            if is_of_these and each != self._position:
                raise Fault(
                    f"{', '.join(sorted(names))} of {self._place} landed in another process meanwhile: start "
                    "this one again.",
                    LOCKED,
                )

    @property
    def progress(self) -> dict[str, Progress]:
        """How far each landing table has come."""
        for table in self._tables.values():
            table.progress.at_end = self.is_drained
            table.progress.log_read_at = self._read_at / 1000 if self._read_at else None
        return {table.source.name: table.progress for table in self._tables.values()}

    @property
    def is_drained(self) -> bool:
        """Whether all that the log had when this run began has been read, and handed over."""
        return self._is_drained and not any(table.complete for table in self._tables.values())

    def poll(self, seconds: float) -> Iterator[tuple[StreamSource, dict[int, list[Message]]]]:
        """Wait while changes come in, close the segments that are due, and go on after troubles.

        Args:
            seconds: how long to wait.

        Returns:
            The changes of complete transactions, as the messages of their partition.

        Raises:
            Fault: the database cannot be followed.
        """
        time.sleep(seconds)
        self._go_on()
        with self._lock:
            complete = [(table.source, table.complete) for table in self._tables.values()]
            for table in self._tables.values():
                table.complete = []
        return (
            (source, {0: messages})
            for source, parts in complete
            for part in parts
            for messages in (_read(part) if isinstance(part, Path) else [part])
            if messages
        )

    def _go_on(self) -> None:
        if self._engine is None:
            if time.monotonic() >= self._next_try:
                self._begin_again()
            return
        if not self._engine.has_ended:
            with self._lock:
                try:
                    self._commit_due()
                    return
                except OSError as error:
                    self._discard()
                    self._engine.failure = error
        self._end(self._engine)

    def _end(self, engine: Engine) -> None:
        """Tell why the engine stopped, and close what has come until then."""
        failure, error = engine.failure, engine.error
        self._stop()
        if isinstance(failure, OSError):
            self._tell(
                f"{self._folder} cannot be written ({failure.strerror}): trying again every "
                f"{_SECONDS_BETWEEN_TRIES:.0f} s. Nothing is lost as long as the database keeps its log."
            )
        elif failure is not None:
            raise failure
        elif not self._has_begun:
            raise Fault(
                f"The log of {self._place} cannot be followed: {error.rstrip('.')}. The user needs "
                "REPLICATION, SELECT on the tables, and the right to make a publication of them.",
            )
        else:
            self.is_up = False
            self._tell(f"{self._place} is away ({error}): trying again every {_SECONDS_BETWEEN_TRIES:.0f} s.")
        self._next_try = time.monotonic() + _SECONDS_BETWEEN_TRIES

    def _begin_again(self) -> None:
        """Go on at what has landed, if the database and the disk are back."""
        try:
            self._start()
            self.is_up = True
        except (DatabaseAway, OSError):
            self._next_try = time.monotonic() + _SECONDS_BETWEEN_TRIES

    def _put_in_order(self) -> None:
        """Finish what a killed process had decided, and remove what it had not."""
        for table in self._tables.values():
            if closing := self._position.closing.get(table.source.table.name):
                table.partition.name_finished(*closing)
            for path in table.partition.put_in_order():
                self._tell(
                    f"{path} is damaged, and is set aside: its changes are no longer in the database's log. "
                    "Restore the file from a backup; until then mon_streams shows a gap."
                )
            if self._position.lsn:
                table.landed_before = table.partition.landing_times()
            else:
                # A snapshot that was not completed is another one now: its numbers are of other rows.
                table.partition.forget_unfinished()

    def _start(self) -> None:
        tables = [table.source.database_table for table in self._tables.values()]
        self._put_in_order()
        look_at(self._place, tables, self._position)
        # The slot is made under this name, so the name must outlive this process.
        self._position.write(self._folder)
        self._reset()
        self._engine = Engine(
            self._place,
            self._position,
            tables,
            mark=self._mark,
            seconds_between_marks=self._seconds_between_marks,
            take=self._take,
        )

    def _stop(self) -> None:
        """Stop reading, and close the segments."""
        with self._lock:
            self._is_stopped = True
            try:
                if self._is_spilled:
                    self._discard()
                for table in self._tables.values():
                    table.held = []
                self._commit()
            except OSError:
                self._discard()
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _take(self, records: Iterable[Any]) -> Any:
        """Land a batch of records; return the one up to which all has landed, if that is news."""
        with self._lock:
            self._has_begun = True
            now = time.time_ns() // 1_000_000
            try:
                for record in records:
                    if self._is_stopped:
                        return None
                    self._take_one(record, now)
                if self._is_open:
                    self._spill()
            except BaseException:
                # What is half written is read again.
                self._discard()
                raise
            landed, self._landed = self._landed, None
        while self._is_full() and not self._is_stopped:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return landed

    def _is_full(self) -> bool:
        waiting = [each for table in self._tables.values() for each in table.waiting]
        return len(waiting) > _MOST_COMPLETE or _size(waiting) > _MOST_BYTES_COMPLETE

    def _take_one(self, record: Any, now: int) -> None:
        topic = str(record.destination())
        table = self._tables.get(topic)
        if table is not None:
            key, value = record.key(), str(record.value())
            table.add(None if key is None else str(key).encode(), value.encode(), now)
            if not self._is_transaction:
                # A snapshot lands whole as well: one that begins anew has another state of the table.
                is_last = '"snapshot":"last"' in value
                self._is_open = not (is_last and orjson.loads(value)["source"]["snapshot"] == "last")
        elif topic == f"{self._place.prefix}.transaction":
            self._take_boundary(orjson.loads(str(record.value())))
        elif topic == f"{self._place.prefix}.message":
            self._is_drained |= self._mark in str(record.value())
        if not self._is_open:
            self._last, self._read_at = record, now
            self._complete(is_snapshot=table is not None)

    def _complete(self, is_snapshot: bool) -> None:
        """Write what is complete now, so that it is handed over."""
        tables, was_spilled = self._tables.values(), self._is_spilled
        for table in tables:
            table.write(is_complete=not was_spilled)
        self._is_spilled = False
        if was_spilled:
            # Its changes are no longer in memory, so that they are read from their segments.
            for table, path in self._commit():
                table.complete.append(path)
        elif is_snapshot:
            # After a kill before this, another snapshot is made, which may lack rows of this one.
            self._commit()
        else:
            self._commit_due()

    def _take_boundary(self, told: dict[str, Any]) -> None:
        self._is_open = self._is_transaction = told["status"] == "BEGIN"
        if self._is_open:
            return
        committed = int(told["id"].partition(":")[2])
        if committed > self._committed_in_log:
            self._committed_in_log = committed
            return
        # Debezium sends what it is not sure to have sent; only that comes before anything new.
        if self._is_spilled:
            self._discard()
        for table in self._tables.values():
            table.held = []

    def _spill(self) -> None:
        """Write a large transaction to the open segments before its end is seen."""
        held = [each for table in self._tables.values() for each in table.held]
        if len(held) > _CHANGES_IN_MEMORY or _size(held) > _BYTES_IN_MEMORY:
            self._is_spilled = True
            for table in self._tables.values():
                table.write(is_complete=False)

    def _commit_due(self) -> None:
        if self._is_open:
            return
        is_large = any(
            table.writer is not None and table.writer.size >= self._limits.bytes
            for table in self._tables.values()
        )
        if is_large or time.monotonic() - self._committed >= self._limits.seconds:
            self._commit()

    def _commit(self) -> list[tuple[_Table, Path]]:
        """Close the open segments, all of them with the position in one step; return them."""
        self._committed = time.monotonic()
        lsn = lsn_of(self._last) if self._last is not None else 0
        if not lsn:
            return []
        written = {}
        for table in self._tables.values():
            if table.writer is not None:
                table.writer.finish()
                written[table.source.table.name] = (table, table.writer, table.progress.position - 1)
        position = Position(
            self._position.slot,
            self._position.database,
            {table.source.table.name: table.progress.position for table in self._tables.values()},
            lsn,
            self._committed_in_log,
            self._read_at,
            {name: (writer.first, last) for name, (_, writer, last) in written.items()},
        )
        position.write(self._folder)
        self._position = position
        self._landed, self._last = self._last, None
        for table in self._tables.values():
            table.progress.segments += table.writer is not None
            table.writer = None
        return [
            (table, table.partition.table / writer.close(last).path)
            for table, writer, last in written.values()
        ]

    def _discard(self) -> None:
        for table in self._tables.values():
            table.discard()
        self._is_spilled = False
        self._last = None


def find_databases(
    sources: Sequence[StreamSource], landing: Path, tell: Callable[[str], None]
) -> list[tuple[Place, Position, list[StreamSource]]]:
    """Return the databases of landing tables, with how far each has landed.

    Tables that began together stay together, because one slot serves them: where one is asked for, the others
    land as well. A table that comes later has a slot of its own.

    Args:
        sources: the landing tables that are asked for.
        landing: the landing zone's folder.
        tell: called with messages for people.

    Raises:
        Fault: a position is damaged.
    """
    asked: dict[tuple[str, Place], dict[str, StreamSource]] = defaultdict(dict)
    for source in sources:
        asked[source.table.source, _place(source)][source.table.name] = source
    found = []
    for (name, place), wanted in asked.items():
        new = dict(wanted)
        for position in read_positions(landing / name):
            together = position.next_offsets.keys()
            if not together & wanted.keys():
                continue
            if position.database != str(place):
                tell(
                    f"{', '.join(sorted(together & wanted.keys()))} of {name} came from {position.database} "
                    f"before. Where nobody follows that any more, select pg_drop_replication_slot"
                    f"('{position.slot}') there, lest it keep its log, and remove "
                    f".{position.slot}.position.json."
                )
                continue
            known = wanted
            if not together <= wanted.keys():
                known = {each.table.name: each for each in find_stream_sources() if each.table.source == name}
            found.append((place, position, [known[table] for table in together if table in known]))
            new = {table: source for table, source in new.items() if table not in together}
        if new:
            found.append((place, make_position(name, str(place), sorted(new)), list(new.values())))
    return found


def _place(source: StreamSource) -> Place:
    server = source.server
    return Place(str(server["host"]), int(server.get("port") or _POSTGRES_PORT), str(server["database"]))


def _read(segment: Path) -> Iterator[list[Message]]:
    # One that was loaded and merged meanwhile is no longer there, nor needed.
    with suppress(FileNotFoundError):
        yield from read_segment(segment)
