"""Tell how far streams have come: at the broker, in the landing zone and in the warehouse."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb

from assay.core.fault import Fault
from assay.core.places import Places
from assay.landing.segments import holes_between, segment_of
from assay.online.ahead import Ahead, Place
from assay.project.warehouse import connect_published
from assay.stream.compact import find_partitions as landed_partitions
from assay.stream.kafka import BrokerAway, Troubles, connect, find_bounds, find_partitions, find_time_of
from assay.stream.loaded import read_loaded_files
from assay.stream.partition import LandedPartition
from assay.stream.position import read_positions
from assay.stream.source import StreamSource

# A topic and the number of a partition.
_Named = tuple[str, int]


@dataclass(frozen=True)
class PartitionStatus:
    """How far a partition has come; offsets are those of the last message, None where there is none.

    `at_broker` and `lag` are None if the broker cannot be asked, and of a database, whose log does not say
    how many changes follow; `loaded` is None if a build is under way. `online` is up to where the views that
    are kept up to date between builds have the messages. `behind_seconds` is the age of the oldest message
    that has not landed; of a database, since when its log is not known to be read. `watermark` and
    `late_share` are of the last build.
    """

    source: str
    topic: str
    partition: int
    at_broker: int | None
    landed: int | None
    loaded: int | None
    online: int | None
    lag: int | None
    behind_seconds: float | None
    missing: int
    watermark: datetime | None
    late_share: float | None


@dataclass(frozen=True)
class StreamStatus:
    """The partitions of all streams, and why some brokers could not be asked."""

    partitions: list[PartitionStatus]
    troubles: list[str]


@dataclass(frozen=True)
class _Ends:
    """The last offset that a broker has of a partition, how many wait to be landed, and since when (ms)."""

    last: int
    waiting: int
    waiting_since: int | None


def read_stream_status(sources: Sequence[StreamSource], places: Places) -> StreamStatus:
    """Return how far some streams have come. A broker that cannot be asked does not hide the rest."""
    troubles: list[str] = []
    try:
        loaded = _last_loaded(read_loaded_files(places))
    except duckdb.Error:
        loaded = None
        troubles.append("A build has the warehouse: what is loaded is told when it is done.")
    marks = _read_marks(places.published)
    online = Ahead(places.ahead).reached()
    found = []
    away: set[str] = set()
    for source in sources:
        # The folder keeps what has landed of a topic that was named otherwise.
        there = {(each.topic, each.partition): each for each in landed_partitions(source, places.landing)}
        ends: dict[_Named, _Ends] = {}
        if source.kind == "kafka" and source.server["host"] not in away:
            try:
                ends = _ask_broker(source, there)
            except BrokerAway as fault:
                away.add(source.server["host"])
                troubles.append(str(fault))
            except Fault as fault:
                troubles.append(str(fault))
        for named in sorted(there.keys() | ends.keys()):
            status = _status(source, named, there.get(named), ends.get(named), loaded, online, marks)
            if source.kind == "postgres":
                status = replace(status, behind_seconds=_since_read(source, places.landing))
            found.append(status)
    return StreamStatus(found, troubles)


def _since_read(source: StreamSource, landing: Path) -> float | None:
    """Return for how long a database may have had changes that have not landed, in seconds."""
    positions = read_positions(landing / source.table.source)
    # A database that has moved has left a position under its former address.
    read_at = max((each.read_at for each in positions if source.table.name in each.next_offsets), default=0)
    return max(0.0, time.time() - read_at / 1000) if read_at else None


def _ask_broker(source: StreamSource, landed: dict[_Named, LandedPartition]) -> dict[_Named, _Ends]:
    troubles = Troubles()
    consumer = connect(source, troubles)
    try:
        ends = {}
        for number in find_partitions(consumer, source, troubles):
            low, high = find_bounds(consumer, source.topic, number)
            named = (source.topic, number)
            following = landed[named].next_offset() if named in landed else None
            following = max(low, following or low)
            since = find_time_of(consumer, source.topic, number, following) if following < high else None
            ends[named] = _Ends(high - 1, max(0, high - following), since)
        return ends
    finally:
        consumer.close()


def _status(
    source: StreamSource,
    named: _Named,
    landed: LandedPartition | None,
    ends: _Ends | None,
    loaded: dict[Place, int] | None,
    online: dict[Place, int],
    marks: dict[Place, tuple[datetime | None, float | None]],
) -> PartitionStatus:
    following = landed.next_offset() if landed else None
    place = (source.name, *named)
    watermark, late_share = marks.get(place, (None, None))
    behind = None
    if ends is not None:
        behind = max(0.0, time.time() - ends.waiting_since / 1000) if ends.waiting_since else 0.0
    return PartitionStatus(
        *place,
        ends.last if ends and ends.last >= 0 else None,
        None if following is None else following - 1,
        None if loaded is None else loaded.get(place),
        online.get(place),
        None if ends is None else ends.waiting,
        behind,
        sum(last - first + 1 for first, last in (landed.holes() if landed else holes_between([]))),
        watermark,
        late_share,
    )


def _last_loaded(files: set[str]) -> dict[Place, int]:
    """Return the last offset that is loaded, by source, topic and partition."""
    last: dict[Place, int] = {}
    for name in files:
        if segment := segment_of(name):
            source, table, *_ = name.split("/")
            place = (f"{source}.{table}", segment.topic, segment.partition)
            last[place] = max(segment.last, last.get(place, -1))
    return last


def _read_marks(published: Path) -> dict[Place, tuple[datetime | None, float | None]]:
    """Return watermark and share of late messages of each partition, as the last build published them."""
    if not published.exists():
        return {}
    with connect_published(published) as connection:
        there = connection.execute(
            "from duckdb_tables() where schema_name = 'gold' and table_name = 'mon_streams'"
        ).fetchall()
        if not there:
            return {}
        rows = connection.execute(
            "select source_table, topic, partition, max(watermark), sum(late_count) / sum(message_count) "
            "from gold.mon_streams group by all"
        ).fetchall()
    return {(source, topic, number): (watermark, late) for source, topic, number, watermark, late in rows}
