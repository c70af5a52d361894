"""Transactions of a database land whole and once, wherever the process dies; without Java and a database."""

from __future__ import annotations

import errno
import gzip
import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from assay.core.fault import LOCKED, Fault
from assay.core.places import Places
from assay.landing.declared import LandingTable
from assay.landing.formats.messages import Message, line_of
from assay.stream import database, debezium
from assay.stream.database import DatabaseLanding, find_databases
from assay.stream.debezium import DatabaseAway, Place
from assay.stream.land import Limits
from assay.stream.partition import SegmentWriter
from assay.stream.position import Position, read_positions
from assay.stream.run import StreamOptions, run_streams
from assay.stream.source import StreamSource
from assay.stream.source import _check as check_source
from assay.stream.status import read_stream_status

PLACE = Place("127.0.0.1", 1, "shop")


@dataclass(frozen=True)
class Record:
    """A record as Debezium hands it over."""

    topic: str
    content: dict[str, Any]
    lsn: int
    is_within_snapshot: bool | None = None

    def destination(self) -> str:
        return f"shop.{self.topic}"

    def key(self) -> None:
        return None

    def value(self) -> str:
        return json.dumps(self.content, separators=(",", ":"))

    def sourceRecord(self) -> Record:
        return self

    def sourceOffset(self) -> dict[str, Any]:
        completed = None if self.is_within_snapshot is None else not self.is_within_snapshot
        return {"lsn": self.lsn, "snapshot_completed": completed}


def transaction(number: int, **rows: int) -> list[Record]:
    """A transaction that changes so many rows of each table; its log ends at 100 times its number."""
    changes = [
        Record(f"public.{table}", {"op": "c", "after": {"id": f"{number}.{row}"}}, 100 * number - 50)
        for table, count in rows.items()
        for row in range(count)
    ]
    begin = {"status": "BEGIN", "id": f"{number}:{100 * number - 50}"}
    end = {"status": "END", "id": f"{number}:{100 * number}"}
    return [
        Record("transaction", begin, 100 * number - 50),
        *changes,
        Record("transaction", end, 100 * number),
    ]


def snapshot(**rows: int) -> list[Record]:
    """A snapshot of tables with so many rows."""
    changes = [
        (table, {"op": "r", "after": {"id": f"0.{row}"}, "source": {"snapshot": "true"}})
        for table, count in rows.items()
        for row in range(count)
    ]
    changes[-1][1]["source"]["snapshot"] = "last"
    last = len(changes) - 1
    return [
        Record(f"public.{table}", content, 1, number < last)
        for number, (table, content) in enumerate(changes)
    ]


class FakeEngine:
    """An engine that does nothing by itself."""

    has_ended = False
    failure: BaseException | None = None
    error = ""

    def __init__(self, place: Place, position: Position, tables: Sequence[str], **options: Any) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class Followed:
    """A database with the tables a and b, and the landing zone that its changes land in."""

    landing: Path
    told: list[str] = field(default_factory=list)
    limits: Limits = field(default_factory=lambda: Limits(seconds=0))

    def source(self, table: str) -> StreamSource:
        declared = LandingTable("crm", table, "jsonl", (), frozenset(), {}, {}, is_streamed=True)
        return StreamSource(
            declared, {"type": "postgresql", "host": "127.0.0.1", "port": 1, "database": "shop"}
        )

    def open(self, *tables: str) -> DatabaseLanding:
        [(place, position, sources)] = find_databases(
            [self.source(table) for table in tables or ("a", "b")], self.landing, self.told.append
        )
        return DatabaseLanding(
            place,
            position,
            sources,
            self.landing,
            command="a test",
            limits=self.limits,
            until_drained=False,
            tell=self.told.append,
        )

    def land(self, records: Sequence[Record]) -> None:
        """Land records in a run of its own."""
        with self.open() as landing:
            landing._take(records)

    def die_while_landing(self, records: Sequence[Record]) -> None:
        """Land records in a process that dies where an exception is raised, or else at their end."""
        landing = self.open()
        try:
            landing.__enter__()
            landing._take(records)
        except Killed:
            pass
        finally:
            landing._leases.close()

    def handed_over(self, landing: DatabaseLanding) -> list[tuple[str, int, str]]:
        """What the online path is given: table, offset and what each change says."""
        return [
            (source.table.name, each.offset, json.loads(each.value or b"")["after"]["id"])
            for source, messages in landing.poll(0)
            for each in messages[0]
        ]

    def ids(self, table: str) -> list[str]:
        """What has landed of a table, in the order of its offsets, which have no holes."""
        lines = self.lines(table)
        assert [line["_offset"] for line in lines] == list(range(len(lines)))
        return [line["after"]["id"] for line in lines]

    def lines(self, table: str) -> list[dict[str, Any]]:
        folder = self.landing / "crm" / table
        paths = sorted(
            folder.glob("topic=*/partition=0/[0-9]*.gz"), key=lambda path: int(path.name.split("-")[0])
        )
        return [
            json.loads(line) for path in paths for line in gzip.decompress(path.read_bytes()).splitlines()
        ]


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    with (
        mock.patch.object(database, "Engine", FakeEngine),
        mock.patch.object(database, "start_java"),
        mock.patch.object(database, "look_at"),
        mock.patch.object(database, "_SECONDS_BETWEEN_TRIES", 0.01),
    ):
        yield Followed(tmp_path / "landing")


def test_a_transaction_lands_when_it_is_complete(followed: Followed) -> None:
    first, second = transaction(1, a=2, b=1), transaction(2, a=1)
    followed.land([*first, *second[:-1]])
    assert (followed.ids("a"), followed.ids("b")) == (["1.0", "1.1"], ["1.0"])
    followed.land(second)
    assert followed.ids("a") == ["1.0", "1.1", "2.0"]


def test_a_snapshot_lands_when_it_is_complete(followed: Followed) -> None:
    followed.land(snapshot(a=3, b=2)[:-1])
    assert followed.ids("a") == followed.ids("b") == []
    followed.land([*snapshot(a=3, b=2), *transaction(1, b=1)])
    assert (followed.ids("a"), followed.ids("b")) == (["0.0", "0.1", "0.2"], ["0.0", "0.1", "1.0"])


@pytest.mark.parametrize("held", [20_000, 1])
def test_what_comes_again_lands_once(followed: Followed, held: int) -> None:
    with mock.patch.object(database, "_CHANGES_IN_MEMORY", held):
        followed.land([*snapshot(a=1), *transaction(1, a=4), *transaction(2, b=3)])
        for _ in range(2):
            with followed.open() as landing:
                for record in [*transaction(1, a=4), *transaction(2, b=3), *transaction(3, a=2)]:
                    landing._take([record])
    assert followed.ids("a") == ["0.0", "1.0", "1.1", "1.2", "1.3", "3.0", "3.1"]
    assert followed.ids("b") == ["2.0", "2.1", "2.2"]


@pytest.mark.parametrize("held", [20_000, 1])
def test_changes_are_handed_over_when_their_transaction_is_complete(followed: Followed, held: int) -> None:
    followed.limits = Limits(seconds=3600)
    second = transaction(2, a=3, b=1)
    with mock.patch.object(database, "_CHANGES_IN_MEMORY", held), followed.open() as landing:
        for record in [*transaction(1, a=1), *second[:-1]]:
            landing._take([record])
        assert followed.handed_over(landing) == [("a", 0, "1.0")]
        landing._take([second[-1], *transaction(3, b=1)])
        handed = followed.handed_over(landing)
        assert followed.handed_over(landing) == []
    assert [each for each in handed if each != ("a", 0, "1.0")] == [
        *(("a", 1 + row, f"2.{row}") for row in range(3)),
        ("b", 0, "2.0"),
        ("b", 1, "3.0"),
    ]


def test_a_snapshot_is_in_closed_segments_before_it_is_handed_over(followed: Followed) -> None:
    followed.limits = Limits(seconds=3600)
    with followed.open() as landing:
        landing._take(snapshot(a=2)[:-1])
        assert followed.handed_over(landing) == []
        landing._take(snapshot(a=2)[-1:])
        assert followed.ids("a") == ["0.0", "0.1"]
        assert followed.handed_over(landing) == [("a", 0, "0.0"), ("a", 1, "0.1")]


def test_changes_that_come_again_are_handed_over_once(followed: Followed) -> None:
    followed.limits = Limits(seconds=3600)
    full, lines = OSError(errno.ENOSPC, "No space left on device"), iter(range(99))

    def line(message: Message) -> bytes:
        if next(lines) == 3:
            raise full
        return line_of(message)

    with followed.open() as landing:
        landing._take(snapshot(a=1))
        assert landing._engine is not None
        with mock.patch.object(database, "line_of", line), pytest.raises(OSError, match="space"):
            landing._take([*transaction(1, a=2), *transaction(2, a=2)])
        landing._engine.failure, landing._engine.has_ended = full, True  # type: ignore[misc]
        assert followed.handed_over(landing) == [("a", 0, "0.0")]
        time.sleep(0.02)
        assert followed.handed_over(landing) == []
        landing._take([*transaction(1, a=2), *transaction(2, a=2)])
        handed = followed.handed_over(landing)
    assert handed == [("a", 1, "1.0"), ("a", 2, "1.1"), ("a", 3, "2.0"), ("a", 4, "2.1")]
    assert followed.ids("a") == ["0.0", "1.0", "1.1", "2.0", "2.1"]


def test_changes_that_a_killed_process_has_read_keep_the_time_of_that(followed: Followed) -> None:
    followed.land(snapshot(a=1))
    followed.limits = Limits(seconds=3600)
    with mock.patch("time.time_ns", return_value=5_000_000):
        followed.die_while_landing(transaction(1, a=2))
    followed.die_while_landing(transaction(1, a=1)[:-1])
    followed.land([*transaction(1, a=2), *transaction(2, a=1)])
    assert [each["_landed_at"] == 5 for each in followed.lines("a")] == [False, True, True, False]


def test_changes_do_not_count_from_when_a_snapshot_was_not_completed(followed: Followed) -> None:
    """Its rows are fewer the next time, so that the numbers of the others are of changes that come later."""
    with (
        mock.patch.object(database, "_CHANGES_IN_MEMORY", 1),
        mock.patch("time.time_ns", return_value=5_000_000),
    ):
        followed.die_while_landing(snapshot(a=4)[:-1])
    followed.land(snapshot(a=1))
    followed.land(transaction(1, a=2))
    assert followed.ids("a") == ["0.0", "1.0", "1.1"]
    assert [each["_landed_at"] for each in followed.lines("a") if each["_landed_at"] == 5] == []
    assert list(followed.landing.rglob("*.unfinished")) == []


@pytest.mark.parametrize("limit", ["_CHANGES_IN_MEMORY", "_BYTES_IN_MEMORY"])
def test_a_large_transaction_is_on_the_disk_before_its_end(followed: Followed, limit: str) -> None:
    first, end = transaction(1, a=2, b=1), []
    end.append(first.pop())
    with mock.patch.object(database, limit, 1), followed.open() as landing:
        landing._take(first[:2])
        assert len(list(followed.landing.rglob(".*.part"))) == (limit == "_BYTES_IN_MEMORY")
        landing._take(first[2:])
        assert len(list(followed.landing.rglob(".*.part"))) == 2
        landing._take(end)
    assert (followed.ids("a"), followed.ids("b")) == (["1.0", "1.1"], ["1.0"])


@pytest.mark.parametrize("limit", ["_MOST_COMPLETE", "_MOST_BYTES_COMPLETE"])
def test_the_log_is_read_on_when_what_was_read_is_handed_over(followed: Followed, limit: str) -> None:
    followed.limits = Limits(seconds=3600)
    with mock.patch.object(database, limit, 1), followed.open() as landing:
        reader = threading.Thread(target=landing._take, args=[transaction(1, a=2)])
        reader.start()
        reader.join(0.2)
        assert reader.is_alive()
        assert len(followed.handed_over(landing)) == 2
        reader.join(5)
        assert not reader.is_alive()


# When the run begins, at the ends of the parts, at the position and at the segments' names.
@pytest.mark.parametrize("step", range(8))
def test_tables_land_together_wherever_the_process_dies(followed: Followed, step: int) -> None:
    steps = iter(range(99))

    def dying(step_of: Any) -> Any:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            if next(steps) == step:
                raise Killed
            return step_of(*arguments, **options)

        return wrapper

    followed.land([*snapshot(a=1, b=1), *transaction(1, a=1, b=1)])
    with (
        mock.patch.object(SegmentWriter, "finish", dying(SegmentWriter.finish)),
        mock.patch.object(SegmentWriter, "close", dying(SegmentWriter.close)),
        mock.patch.object(database.Position, "write", dying(Position.write)),
    ):
        followed.die_while_landing(transaction(2, a=2, b=2))
    [position] = read_positions(followed.landing / "crm")
    left = [] if position.committed == 200 else transaction(2, a=2, b=2)
    followed.land([*left, *transaction(3, a=1, b=1)])
    expected = ["0.0", "1.0", "2.0", "2.1", "3.0"]
    assert (followed.ids("a"), followed.ids("b")) == (expected, expected)


def test_segments_are_closed_by_size_and_by_time(followed: Followed) -> None:
    followed.limits = Limits(seconds=3600, bytes=1)
    followed.land([record for number in range(1, 6) for record in transaction(number, a=1)])
    few = len(list(followed.landing.rglob("[0-9]*.gz")))
    followed.limits = Limits(seconds=0)
    followed.land([record for number in range(6, 11) for record in transaction(number, a=1)])
    assert (few, len(list(followed.landing.rglob("[0-9]*.gz")))) == (5, 10)
    assert len(followed.ids("a")) == 10


@pytest.mark.parametrize("step", ["add", "finish", "write", "close"])
def test_a_full_disk_is_told_and_waited_for(followed: Followed, step: str) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with followed.open() as landing:
        landing._take(transaction(1, a=1))
        assert landing._engine is not None
        with (
            mock.patch.object(Position if step == "write" else SegmentWriter, step, side_effect=full),
            pytest.raises(OSError, match="space"),
        ):
            landing._take(transaction(2, a=1))
        landing._engine.failure, landing._engine.has_ended = full, True  # type: ignore[misc]
        landing.poll(0)
        landing.poll(0.02)
        landing._take([*transaction(2, a=1), *transaction(3, a=1)])
    assert followed.ids("a") == ["1.0", "2.0", "3.0"]
    assert "cannot be written (No space left on device): trying again" in followed.told[0]


def test_status_tells_since_when_the_log_is_not_read(followed: Followed, tmp_path: Path) -> None:
    followed.land(transaction(1, a=2))
    places = Places(followed.landing, tmp_path / "none.duckdb")
    [status] = read_stream_status([followed.source("a")], places).partitions
    assert (status.topic, status.landed, status.lag) == ("shop.public.a", 1, None)
    assert status.behind_seconds == pytest.approx(0, abs=60)


def test_a_run_knows_since_when_the_log_is_not_read(followed: Followed) -> None:
    with followed.open() as landing:
        landing._take(snapshot(a=2)[:-1])
        assert landing.progress["crm.a"].behind_seconds is None
        landing._take(snapshot(a=2)[-1:])
        assert landing.progress["crm.a"].behind_seconds == pytest.approx(0, abs=60)
        assert landing.progress["crm.a"].lag is None


def test_a_second_process_is_refused(followed: Followed) -> None:
    with followed.open(), pytest.raises(Fault, match=r"shop.public.a/0 is landed by another process: PID"):
        followed.open().__enter__()


@pytest.mark.parametrize("has_landed", [False, True])
def test_a_process_does_not_go_on_from_where_another_one_was(followed: Followed, has_landed: bool) -> None:
    """It looked at the position before the other one ended."""
    if has_landed:
        followed.land(transaction(1, a=1))
    late = followed.open()
    followed.land(transaction(2, a=1))
    with pytest.raises(Fault, match=r"a, b of 127.0.0.1:1/shop landed in another process meanwhile") as fault:
        late.__enter__()
    assert fault.value.exit_code == LOCKED
    followed.land(transaction(3, a=1))
    assert followed.ids("a") == ["1.0"] * has_landed + ["2.0", "3.0"]


def test_a_table_that_comes_later_has_a_slot_of_its_own(followed: Followed) -> None:
    with followed.open("a") as landing:
        landing._take(transaction(1, a=1))
    found = find_databases([followed.source("a"), followed.source("b")], followed.landing, print)
    assert [[each.table.name for each in sources] for _, _, sources in found] == [["a"], ["b"]]
    assert len({position.slot for _, position, _ in found}) == 2


def test_tables_that_began_together_stay_together(followed: Followed) -> None:
    followed.land(transaction(1, a=1, b=1))
    known = [followed.source("a"), followed.source("b")]
    with mock.patch.object(database, "find_stream_sources", return_value=known):
        [(_, _, sources)] = find_databases([followed.source("b")], followed.landing, print)
    assert [each.table.name for each in sources] == ["a", "b"]


def test_of_a_database_that_has_moved_the_slot_that_is_left_is_told(
    followed: Followed, tmp_path: Path
) -> None:
    # Of its name, the former position is read first.
    with (
        mock.patch("time.time_ns", return_value=5_000_000),
        mock.patch("assay.stream.position.uuid4", return_value=mock.Mock(hex="00000000")),
    ):
        followed.land(transaction(1, a=1))
    [before] = read_positions(followed.landing / "crm")
    source = followed.source("a")
    moved = replace(source, server=source.server | {"host": "elsewhere"})
    with mock.patch.object(Followed, "source", return_value=moved):
        with followed.open("a") as landing:
            landing._take(snapshot(a=2))
        assert followed.ids("a") == ["1.0", "0.0", "0.1"]
        assert "a of crm came from 127.0.0.1:1/shop before. " in followed.told[0]
        assert f"select pg_drop_replication_slot('{before.slot}')" in followed.told[0]
        places = Places(followed.landing, tmp_path / "none.duckdb")
        [status] = read_stream_status([moved], places).partitions
    assert status.behind_seconds == pytest.approx(0, abs=60)


def test_numbers_go_on_where_a_position_was_moved_away(followed: Followed) -> None:
    followed.land(transaction(1, a=2))
    for path in (followed.landing / "crm").glob(".*.position.json"):
        path.unlink()
    followed.land(snapshot(a=1))
    assert followed.ids("a") == ["1.0", "1.1", "0.0"]


def test_a_damaged_position_and_a_damaged_segment_are_told(followed: Followed) -> None:
    followed.land([*transaction(1, a=2), *transaction(2, a=1)])
    second = max(followed.landing.rglob("[0-9]*.gz"))
    second.write_bytes(second.read_bytes()[:-15])
    followed.land(transaction(3, a=1))
    assert "is damaged, and is set aside: its changes are no longer in the database's log" in followed.told[0]
    # Its number is not given to another change: the gap is seen.
    assert sorted(path.name for path in followed.landing.rglob("[0-9]*.gz")) == [
        "0-1.jsonl.gz",
        "3-3.jsonl.gz",
    ]
    [path] = (followed.landing / "crm").glob(".*.position.json")
    path.write_text("{")
    with pytest.raises(Fault, match="is damaged: it says how far a database's log has landed"):
        followed.open()


def test_a_database_that_was_never_read_is_a_fault_and_one_that_goes_is_waited_for(
    followed: Followed,
) -> None:
    with followed.open() as landing:
        landing._engine.has_ended, landing._engine.error = True, "no right"  # type: ignore[union-attr, misc]
        with pytest.raises(Fault, match=r"cannot be followed: no right. The user needs REPLICATION"):
            landing.poll(0)
    with followed.open() as landing:
        landing._take(transaction(1, a=1))
        landing._engine.has_ended, landing._engine.error = True, "gone"  # type: ignore[union-attr, misc]
        landing.poll(0)
        with mock.patch.object(database, "look_at", side_effect=DatabaseAway("still")):
            landing.poll(0.02)
        # Nothing blocks the process meanwhile, so that it can be stopped.
        assert landing._engine is None
        landing.poll(0.02)
        landing._take([*transaction(1, a=1), *transaction(2, a=1)])
    assert followed.ids("a") == ["1.0", "2.0"]
    assert followed.told == ["127.0.0.1:1/shop is away (gone): trying again every 0 s."]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"version": 130011}, "is too old to follow its log: it needs version 14 or newer"),
        ({"is_standby": True}, "is a standby, .*: name its primary"),
        ({"slot": {"status": "lost", "read": 7}}, "was invalidated, because the database kept too much"),
        ({"slot": {"status": "reserved", "read": 8}}, "was read further than what has landed"),
        ({"slot": {"status": "reserved", "read": 7}}, None),
    ],
)
def test_what_the_database_tells_of_itself_is_looked_at(told: dict[str, Any], message: str | None) -> None:
    good = {"version": 150000, "is_standby": False, "wal_level": "logical", "tables": {"public.a": True}}
    position = Position("assay_x", "", {}, lsn=7)
    with mock.patch.object(debezium, "_ask", return_value=json.dumps(good | told)):
        if message is None:
            debezium.look_at(PLACE, ["public.a"], position)
            return
        with pytest.raises(Fault, match=message):
            debezium.look_at(PLACE, ["public.a"], position)


@pytest.mark.parametrize(
    "name", ["TOPIC_DELIMITER", "TOMBSTONES_ON_DELETE", "VALUE_CONVERTER_SCHEMAS_ENABLE", "TRANSFORMS"]
)
def test_a_setting_by_which_changes_would_not_be_known_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("ASSAY_DEBEZIUM_SNAPSHOT_FETCH_SIZE", "100")
    assert debezium._own_settings() == {"snapshot.fetch.size": "100"}
    monkeypatch.setenv(f"ASSAY_DEBEZIUM_{name}", "true")
    with pytest.raises(Fault, match=f"ASSAY_DEBEZIUM_{name} cannot be set: landing each change once"):
        debezium._own_settings()


def test_a_port_that_is_no_number_is_refused(tmp_path: Path) -> None:
    good = Followed(tmp_path).source("a")
    check_source(good, "contracts/crm.odcs.yaml")
    with pytest.raises(Fault, match=r"contracts/crm.odcs.yaml: .* has the port '5432x': write"):
        check_source(replace(good, server=good.server | {"port": "5432x"}), "contracts/crm.odcs.yaml")


def test_a_database_is_not_replayed(tmp_path: Path) -> None:
    options = StreamOptions(until_drained=True, known=tmp_path)
    with pytest.raises(Fault, match=r"crm.a comes from a database, .* Copy their folder"):
        run_streams(
            [Followed(tmp_path).source("a")],
            tmp_path,
            options,
            command="a test",
            tell=lambda _: None,
            show=lambda _: None,
        )


def test_without_the_extra_it_is_told_what_to_install(tmp_path: Path) -> None:
    with (
        mock.patch.dict("sys.modules", {"jpype": None}),
        pytest.raises(Fault, match=r"needs jpype, which is not installed: pip install 'assay\[cdc\]'"),
    ):
        run_streams(
            [Followed(tmp_path).source("a")],
            tmp_path,
            StreamOptions(until_drained=True),
            command="a test",
            tell=lambda _: None,
            show=lambda _: None,
        )
